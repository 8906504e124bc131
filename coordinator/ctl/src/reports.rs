//! Reports: made by the coordinator, saved here, verified offline.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Subcommand, ValueEnum};
use mdfm_shared::digest::Digest;
use mdfm_shared::report::ReportStatement;
use mdfm_shared::sign::{KeySet, Signed};
use mdfm_shared::wire;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::address::Part;
use crate::audit::Wanted;
use crate::client::Client;
use crate::files::{self, Access, Overwrite};
use crate::keys;
use crate::output::{Output, count};

/// What a report is about.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// One firmware release with its approvals.
    Firmware,
    /// One deployment with its gates, outcomes and rollbacks.
    Deployment,
    /// One device through all its life.
    Device,
    /// Who has access, and who used it.
    Access,
    /// An emergency deployment, day by day.
    Emergency,
    /// Draft of a report of a correction or removal (21 CFR 806), of a recall or a deployment.
    Correction,
    /// Draft of a medical device report (21 CFR 803) about a device.
    Event,
    /// Which controls of 21 CFR Part 11 there are.
    System,
    /// Records of the audit log.
    Audit,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Pdf,
    /// For programs, with the signed statement.
    Json,
    /// The main table.
    Csv,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Makes a report and saves it.
    Make {
        /// What it is about.
        kind: Kind,
        /// The firmware, deployment, device or recall; absent for access, system and audit.
        id: Option<Part>,
        /// The form; by the file's name unless given.
        #[arg(long)]
        format: Option<Format>,
        /// The file to make.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
        #[command(flatten)]
        wanted: Box<Wanted>,
    },
    /// Verifies a JSON report offline: that the coordinator states these facts, from which records of the log.
    Verify {
        /// The file.
        file: PathBuf,
        /// The coordinator's public key, or a file with it.
        #[arg(long = "coordinator", alias = "key")]
        key: String,
    },
}

/// Bytes of a report.
const REPORT_BYTES_MAX: u64 = 256 << 20;

#[derive(Deserialize)]
struct Saved<'a> {
    statement: String,
    #[serde(borrow)]
    report: &'a RawValue,
}

fn name<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

pub(crate) async fn run(out: &Output, session: &Path, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Make { kind, id, format, out: file, overwrite, wanted } => {
            let by_name = file.extension().and_then(|e| Format::from_str(e.to_str()?, true).ok());
            let format = format.or(by_name).context("give --format pdf, json or csv, or a file name that ends so")?;
            let subject = id.map(|id| format!("/{id}")).unwrap_or_default();
            let mut query = wanted.query()?;
            query.push(format!("format={}", name(format)));
            let path = format!("/api/v1/compliance/reports/{}{subject}?{}", name(kind), query.join("&"));
            let client = Client::open(session)?;
            let target = overwrite.reserve(&file, Access::Mask)?;
            let bytes = client.computed(&path, REPORT_BYTES_MAX as usize).await?;
            target.write(&bytes)?;
            out.answer(&json!({ "file": file, "bytes": bytes.len() }), || format!("report in {}", file.display()));
            Ok(())
        }
        Action::Verify { file, key } => {
            let bytes = files::read_within(&file, REPORT_BYTES_MAX)?;
            let what = || format!("{} is not a report in JSON (mdfmctl reports make … --format json)", file.display());
            let saved: Saved<'_> = serde_json::from_slice(&bytes).ok().with_context(what)?;
            let frame = STANDARD.decode(&saved.statement).context("the statement is not base64")?;
            let signed: Signed<ReportStatement> = wire::decode(&frame).context("the statement cannot be read")?;
            let statement = signed
                .verify(&KeySet::single(keys::public(&key).context("--coordinator")?))
                .context("the statement")?;
            if statement.facts_sha256 != Digest::of(saved.report.get().as_bytes()) {
                bail!("the facts are not those that the coordinator signed: the report was altered");
            }
            let ReportStatement { kind, subject, log, log_size, root, made_at, .. } = statement.into_inner();
            let view = json!({
                "kind": kind, "subject": subject, "log": log, "logSize": log_size, "root": root,
                "madeAt": made_at.to_string(),
            });
            out.answer(&view, || {
                format!(
                    "{kind} {subject}: stated at {made_at} from the first {} of {log}, root {root}",
                    count(log_size, "record")
                )
            });
            Ok(())
        }
    }
}
