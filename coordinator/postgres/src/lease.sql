-- Migration 2: the lease of a term (decision 0049). By the clock of this server alone; no node's clock is compared with it.
ALTER TABLE mdfm.leader ADD COLUMN until timestamptz NOT NULL DEFAULT '-infinity';
