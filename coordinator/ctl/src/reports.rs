//! Reports: made by the coordinator, saved here, verified offline.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
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
use crate::files::{self, Access, NewFile, Overwrite};
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
    /// Verifies a report offline: that the coordinator states these facts, from which records of the log. Of a PDF it verifies the attached JSON, and
    /// shows the digest that stands at the foot of each page.
    Verify {
        /// The JSON or PDF file.
        file: PathBuf,
        /// A file to make, with the verified JSON.
        #[arg(long)]
        out: Option<PathBuf>,
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

/// The JSON that is attached to a PDF of a report: uncompressed, as a stream of its own.
fn attached(pdf: &[u8]) -> anyhow::Result<&[u8]> {
    const BEGIN: &[u8] = b"stream\n{\"statement\":\"";
    const END: &[u8] = b"\nendstream";
    let mut found = pdf.windows(BEGIN.len()).enumerate().filter(|(_, bytes)| *bytes == BEGIN).map(|(at, _)| at);
    let at = found.next().context("no signed JSON is attached: the PDF is not a report, or of an earlier release")?;
    ensure!(found.next().is_none(), "several signed JSON reports are attached; it is not clear which one counts");
    let json = &pdf[at + b"stream\n".len()..];
    // JSON on one line has no line break.
    let end = json.windows(END.len()).position(|bytes| bytes == END).context("the attached JSON is cut off")?;
    Ok(&json[..end])
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
        Action::Verify { file, key, out: target } => {
            let bytes = files::read_within(&file, REPORT_BYTES_MAX)?;
            let is_pdf = bytes.starts_with(b"%PDF-");
            let json = if is_pdf { attached(&bytes).with_context(|| file.display().to_string())? } else { &bytes };
            let what = || match file.extension().is_some_and(|ending| ending == "csv") {
                true => {
                    format!("{} is a CSV, which has no signature: verify the JSON of the same report", file.display())
                }
                false => format!("{} is not a report in JSON or PDF (mdfmctl reports make)", file.display()),
            };
            let saved: Saved<'_> = serde_json::from_slice(json).ok().with_context(what)?;
            let frame = STANDARD.decode(&saved.statement).context("the statement is not base64")?;
            let signed: Signed<ReportStatement> = wire::decode(&frame).context("the statement cannot be read")?;
            let statement = signed
                .verify(&KeySet::single(keys::public(&key).context("--coordinator")?))
                .context("the statement")?;
            if statement.facts_sha256 != Digest::of(saved.report.get().as_bytes()) {
                bail!("the facts are not those that the coordinator signed: the report was altered");
            }
            let ReportStatement { kind, subject, log, log_size, root, made_at, facts_sha256 } = statement.into_inner();
            let view = json!({
                "kind": kind, "subject": subject, "log": log, "logSize": log_size, "root": root,
                "madeAt": made_at.to_string(), "factsSha256": facts_sha256,
            });
            if let Some(target) = &target {
                NewFile::create(target, Access::Mask)?.write(json)?;
            }
            let attachment =
                "; verified is the attached JSON: where the pages say something else, the JSON counts (--out saves it)";
            out.answer(&view, || {
                format!(
                    "{kind} {subject}: stated at {made_at} from the first {} of {log}, root {root}\nfacts SHA-256 {facts_sha256}{}",
                    count(log_size, "record"),
                    if is_pdf { attachment } else { "" }
                )
            });
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p11_10b_the_json_attached_to_a_pdf_is_found() {
        let json = r#"{"statement":"AA==","signedBy":"x","report":{"words":"stream\n{\"statement\":\""}}"#;
        let pdf = |json: &str| format!("%PDF-1.7\n1 0 obj <<>>\nstream\n{json}\nendstream\nendobj\n").into_bytes();
        assert_eq!(attached(&pdf(json)).expect("found"), json.as_bytes());
        for (bytes, words) in [
            (pdf("{}"), "no signed JSON is attached"),
            ([pdf(json), pdf(json)].concat(), "several signed JSON"),
            (pdf(json)[..60].to_vec(), "cut off"),
        ] {
            let refused = attached(&bytes).expect_err(words).to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
