-- Migration 1 (CLUSTER.md, 6.2), as far as the append needs it. Tables that the leader writes carry its epoch.
CREATE SCHEMA mdfm;
CREATE TABLE mdfm.schema (
    version int PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now(),
    program text NOT NULL
);
CREATE TABLE mdfm.log (
    log_id smallint PRIMARY KEY,
    origin text NOT NULL UNIQUE,
    vkey text NOT NULL
);
-- UNIQUE (log_id, epoch), so that an append's FOR KEY SHARE stops takeovers and lets renewals through.
CREATE TABLE mdfm.leader (
    log_id smallint PRIMARY KEY REFERENCES mdfm.log,
    epoch bigint NOT NULL,
    term uuid NOT NULL,
    node text NOT NULL,
    backend_pid int,
    UNIQUE (log_id, epoch)
);
CREATE TABLE mdfm.log_chunk (
    log_id smallint NOT NULL REFERENCES mdfm.log,
    first bigint NOT NULL CHECK (first >= 0),
    count int NOT NULL CHECK (count > 0),
    epoch bigint NOT NULL,
    before bytea NOT NULL,
    root bytea NOT NULL,
    frames bytea NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, first)
);
-- PostgreSQL's own compression is several times slower than the append: lz4, or none where the server was built without it.
DO $$
BEGIN
    ALTER TABLE mdfm.log_chunk ALTER COLUMN frames SET COMPRESSION lz4;
EXCEPTION WHEN OTHERS THEN
    ALTER TABLE mdfm.log_chunk ALTER COLUMN frames SET STORAGE EXTERNAL;
END
$$;
CREATE TABLE mdfm.log_note (
    log_id smallint NOT NULL REFERENCES mdfm.log,
    kind text NOT NULL CHECK (kind IN ('signed', 'published')),
    size bigint NOT NULL,
    epoch bigint NOT NULL,
    note text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log_id, kind, size)
);
