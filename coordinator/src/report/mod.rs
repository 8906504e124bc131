//! Reports for inspectors and authorities: facts gathered from the log and the state at one position, a template in plain words,
//! and a signed statement of what the report was made from. As PDF, JSON and CSV.

mod blocks;
mod controls;
mod facts;
mod pdf;
mod trial;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdfm_audit::{LogError, Query, SearchIndex};
use mdfm_shared::digest::Digest;
use mdfm_shared::report::ReportStatement;
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::text;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::wire;
use serde_json::Value;

pub(crate) use controls::Setup;

use mdfm_coordinator_core::presence::Presence;
use mdfm_coordinator_core::{Refusal, State};

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One release: manifest, bill of materials, approvals with the manifestation of each signature.
    Firmware,
    /// One deployment: plan, gates with their inputs, outcome of each hospital and device, rollbacks with their times.
    Deployment,
    /// One device through all its life.
    Device,
    /// Who has access, and who used it.
    Access,
    /// An emergency deployment, day by day.
    Emergency,
    /// Draft of a report of a correction or removal (21 CFR 806.10).
    Correction,
    /// Draft of a medical device report (21 CFR 803) about one device.
    Event,
    /// Which controls of 21 CFR Part 11 this system has, and which stay with people.
    System,
    /// Records of the log with their positions.
    Audit,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Firmware,
        Self::Deployment,
        Self::Device,
        Self::Access,
        Self::Emergency,
        Self::Correction,
        Self::Event,
        Self::System,
        Self::Audit,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::Deployment => "deployment",
            Self::Device => "device",
            Self::Access => "access",
            Self::Emergency => "emergency",
            Self::Correction => "correction",
            Self::Event => "event",
            Self::System => "system",
            Self::Audit => "audit",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it is about one thing, whose id must be given.
    pub(crate) fn needs_subject(self) -> bool {
        !matches!(self, Self::Access | Self::System | Self::Audit)
    }

    fn template(self) -> &'static str {
        match self {
            Self::Firmware => include_str!("templates/firmware.txt"),
            Self::Deployment => include_str!("templates/deployment.txt"),
            Self::Device => include_str!("templates/device.txt"),
            Self::Access => include_str!("templates/access.txt"),
            Self::Emergency => include_str!("templates/emergency.txt"),
            Self::Correction => include_str!("templates/correction.txt"),
            Self::Event => include_str!("templates/event.txt"),
            Self::System => include_str!("templates/system.txt"),
            Self::Audit => include_str!("templates/audit.txt"),
        }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    #[error("the report cannot be set: {0}")]
    Setting(String),
}

/// From what a report is made: the state and the log at one position.
pub(crate) struct Source<'a> {
    pub(crate) state: &'a State,
    /// Who was heard of when the report was made: it shows what is waited for.
    pub(crate) presence: &'a Presence,
    pub(crate) search: &'a SearchIndex,
    /// Records after this one are not in the report.
    pub(crate) log_size: u64,
    pub(crate) root: Digest,
    pub(crate) origin: &'a str,
    pub(crate) made_at: UtcMillis,
    pub(crate) made_by: &'a str,
    pub(crate) setup: &'a Setup,
}

/// A report with its signed statement.
pub(crate) struct Report {
    kind: Kind,
    facts: Value,
    /// The facts as the statement names them, byte for byte.
    json: String,
    statement: ReportStatement,
    signed: Signed<ReportStatement>,
    key: String,
}

impl Report {
    /// Gathers the facts and signs the statement.
    pub(crate) fn make(
        source: &Source<'_>,
        kind: Kind,
        subject: Option<&str>,
        wanted: &Query,
        key: &SecretKey,
    ) -> Result<Self, ReportError> {
        let facts = facts::gather(source, kind, subject, wanted)?;
        let json = facts.to_string();
        let statement = ReportStatement {
            kind: kind.name().to_owned(),
            subject: subject.unwrap_or_default().to_owned(),
            facts_sha256: Digest::of(json.as_bytes()),
            log: source.origin.to_owned(),
            log_size: source.log_size,
            root: source.root,
            made_at: source.made_at,
        };
        let signed = Signed::sign(&statement, &[key]).map_err(|e| ReportError::Setting(e.to_string()))?;
        Ok(Self { kind, facts, json, statement, signed, key: key.public().to_string() })
    }

    /// The report for programs: the facts and the signed statement about exactly these bytes.
    pub(crate) fn to_json(&self) -> String {
        let statement = STANDARD.encode(wire::encode(&self.signed));
        format!("{{\"statement\":\"{statement}\",\"signedBy\":\"{}\",\"report\":{}}}", self.key, self.json)
    }

    /// The report's main table.
    pub(crate) fn to_csv(&self) -> Vec<u8> {
        let cell = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(words) => text::csv_cell(words),
            Value::Number(number) => number.to_string(),
            other => text::csv_cell(&other.to_string()),
        };
        let line = |row: &Value| {
            let cells: Vec<String> = row.as_array().into_iter().flatten().map(cell).collect();
            // A row of one empty cell would read as no row (RFC 4180 has no word for it).
            if cells.len() == 1 && cells[0].is_empty() { "\"\"\r\n".to_owned() } else { cells.join(",") + "\r\n" }
        };
        let rows = self.facts["table"]["rows"].as_array().into_iter().flatten();
        std::iter::once(&self.facts["table"]["columns"]).chain(rows).map(line).collect::<String>().into_bytes()
    }

    /// What stands at the foot of every page: what the report is, and the digest by which it is checked.
    fn footer(&self) -> String {
        let ReportStatement { facts_sha256, log, log_size, made_at, .. } = &self.statement;
        format!(
            "{} · audit log {log} at {log_size} records · {made_at} · facts (attached) SHA-256 {facts_sha256}; how to check: last page",
            self.facts["title"].as_str().unwrap_or("")
        )
    }

    /// The report for people.
    pub(crate) fn to_pdf(&self) -> Result<Vec<u8>, ReportError> {
        let text = blocks::render(self.kind.template(), &self.facts).map_err(ReportError::Setting)?;
        let mut all = blocks::parse(&text, &self.facts);
        let ReportStatement { facts_sha256, log, log_size, root, made_at, .. } = &self.statement;
        all.push(blocks::Block::Section("What this report was made from".into()));
        all.push(blocks::Block::Paragraph(format!(
            "This report shows the facts as they stood after the first {log_size} records of the audit log {log}, whose root is \
             {root}. The facts, in the attached report.json, have SHA-256 {facts_sha256}. The coordinator signed this \
             statement at {made_at} with the key {}:",
            self.key
        )));
        let signature = self.signed.signatures().first().map(|s| STANDARD.encode(&s.bytes)).unwrap_or_default();
        all.push(blocks::Block::Paragraph(signature));
        all.push(blocks::Block::Paragraph(
            "To check it: mdfmctl reports verify on this file, with the coordinator's public key. It verifies the attached \
             report.json and shows the SHA-256 that stands above and at the foot of every page; what the pages say is not signed, the \
             attached facts are. mdfmctl audit verify on a copy of the log shows the same root at the same number of records."
                .into(),
        ));
        let footer = self.footer();
        pdf::set(&all, self.facts["title"].as_str().unwrap_or("Report"), &footer, *made_at, &self.to_json())
            .map_err(ReportError::Setting)
    }
}

#[cfg(test)]
mod tests;
