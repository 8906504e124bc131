//! The audit log: search, the past, export, evidence, and verification of a copy that needs nothing but the log's verifier key.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use mdfm_audit::EVIDENCE_BYTES_MAX;
use mdfm_audit::{Evidence, Field, Order, Query, Verified, verify_copy};
use mdfm_service::output::note;
use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::text::json_for_html;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::tlog::{ProofFile, TILE_WIDTH, TilePath, entries_of_bundle, tiles_between};
use serde_json::{Value, json};

use crate::address::{Object, encode};
use crate::client::Client;
use crate::copy::{Keys, Offline, read_evidence, verify_evidence};
use crate::fault;
use crate::files::{self, Access, Overwrite};
use crate::output::{Output, count, text};
use crate::records::{self, First};
use crate::times::{self, Toward};
use crate::words::{EVENTS, OUTCOMES, ROLES, at_least_one, one_of, some_text};

/// Where the newest checkpoint is.
const CHECKPOINT: &str = "/api/v1/compliance/log/checkpoint";
/// Bytes of a checkpoint, or of a proof with its checkpoint: a hundred signatures of some 150 bytes, and 63 hashes.
const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a tile: a full bundle of the longest entries.
const TILE_BYTES_MAX: usize = TILE_WIDTH as usize * (LOG_ENTRY_BYTES_MAX + 2);
/// Entries of a log: a thousand a second for a century have fewer. The list of its tiles fits into memory.
const ENTRIES_MAX: u64 = 1 << 32;
/// Bytes of a page of records: the coordinator's has at most 500, each as long as an entry of the log may be.
const PAGE_BYTES_MAX: usize = 64 << 20;
/// The page that verifies evidence in a browser, without a network.
const PAGE: &str = include_str!("../verifier.html");
/// Where a page takes evidence that it is made with.
const PAGE_SLOT: &str = "<!-- evidence -->";

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Searches the log, newest first; everything given must hold, and values may end in `*`.
    Search {
        #[command(flatten)]
        wanted: Wanted,
        /// The oldest first.
        #[arg(long, conflicts_with = "newest")]
        oldest: bool,
        /// The newest first, as without it; for scripts of earlier versions.
        #[arg(long, hide = true)]
        newest: bool,
        /// Where to go on: the first entry not to look at, or with --oldest the first to.
        #[arg(long)]
        from: Option<u64>,
        /// Largest number of records.
        #[arg(long, value_name = "N", default_value = "100", value_parser = at_least_one)]
        limit: NonZeroUsize,
        #[command(flatten)]
        offline: Offline,
    },
    /// Shows one record with everything in it; a batch of telemetry with its events.
    Show {
        /// Position of the entry.
        index: u64,
        #[command(flatten)]
        offline: Offline,
    },
    /// Shows an object as it was at a time, for example `audit state device/D-1 --at 2027-03-01T12:00:00Z`.
    State {
        /// `device/ID`, `deployment/ID`, `firmware/ID`, `gateway/ID`, `hospital/ID`, `recall/ID` or `user/ID`.
        object: Object,
        /// The time: RFC 3339, a date, or a duration before now such as `1h` or `14d`.
        #[arg(long, value_name = "TIME")]
        at: String,
        #[command(flatten)]
        offline: Offline,
    },
    /// Shows what changed about an object between two times.
    #[command(alias = "diff")]
    Differences {
        /// As for `state`.
        object: Object,
        /// The earlier time: RFC 3339, a date, or a duration before now.
        #[arg(long = "since", alias = "from")]
        from: String,
        /// The later time, likewise.
        #[arg(long = "until", alias = "to")]
        to: String,
    },
    /// Shows how the store is: size, newest checkpoint, what the last scrub found.
    Status,
    /// Copies the log and its newest checkpoint into a directory.
    Export {
        /// The directory to make.
        dir: PathBuf,
        /// As static tiles (C2SP tlog-tiles), which public tools read.
        #[arg(long)]
        tiles: bool,
    },
    /// Saves the proof that one entry stands in the log (C2SP tlog-proof), and the entry.
    Proof {
        /// Position of the entry.
        index: u64,
        /// File for the proof; the entry goes beside it, with `.json` added.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Saves records with proofs, checkpoint and keys as one file that anybody can verify offline.
    Evidence {
        #[command(flatten)]
        wanted: Wanted,
        /// The file to make.
        #[arg(long)]
        out: PathBuf,
        /// Also a page with the evidence in it, for a browser without a network.
        #[arg(long)]
        page: Option<PathBuf>,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Saves the page that verifies evidence files in a browser.
    Page {
        /// The file to make.
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Verifies offline: an exported log, the `log` directory of a backup, static tiles, an evidence file, or a proof file.
    Verify {
        /// The directory or file.
        copy: PathBuf,
        #[command(flatten)]
        keys: Keys,
    },
}

/// Which records.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Only this action, for example `firmware.approve` or `firmware.*`.
    #[arg(long, value_parser = some_text())]
    action: Option<String>,
    /// Only this object, for example `firmware/FW-1`.
    #[arg(long, value_parser = some_text())]
    object: Option<String>,
    /// Only this actor.
    #[arg(long, value_parser = some_text())]
    actor: Option<String>,
    /// Only actors with this role.
    #[arg(long, ignore_case = true, value_parser = one_of(ROLES))]
    role: Option<String>,
    /// Only `accepted` or `refused`.
    #[arg(long, ignore_case = true, value_parser = one_of(OUTCOMES))]
    outcome: Option<String>,
    /// Only what concerns this hospital.
    #[arg(long, value_parser = some_text())]
    hospital: Option<String>,
    /// Only what concerns this gateway.
    #[arg(long, value_parser = some_text())]
    gateway: Option<String>,
    /// Only what concerns this device, inside telemetry too.
    #[arg(long, value_parser = some_text())]
    device: Option<String>,
    /// Only what concerns this firmware.
    #[arg(long, value_parser = some_text())]
    firmware: Option<String>,
    /// Only what concerns this deployment.
    #[arg(long, value_parser = some_text())]
    deployment: Option<String>,
    /// Only what gateways reported so, for example `deviceError`.
    #[arg(long, ignore_case = true, value_parser = one_of(EVENTS))]
    event: Option<String>,
    /// Words of the reason.
    #[arg(long, value_parser = some_text())]
    text: Option<String>,
    /// Not before this time: RFC 3339, a date, or a duration before now such as `1h` or `14d`.
    #[arg(long, value_parser = some_text())]
    since: Option<String>,
    /// Before this time, likewise.
    #[arg(long, value_parser = some_text())]
    until: Option<String>,
}

impl Wanted {
    /// The device that is meant, if it is one alone.
    fn device(&self) -> Option<String> {
        self.device.clone().filter(|device| !device.ends_with('*'))
    }

    /// The same query for a copy.
    fn offline(&self) -> anyhow::Result<Query> {
        let fields = [
            (Field::Action, &self.action),
            (Field::Object, &self.object),
            (Field::Actor, &self.actor),
            (Field::Role, &self.role),
            (Field::Outcome, &self.outcome),
            (Field::Hospital, &self.hospital),
            (Field::Gateway, &self.gateway),
            (Field::Device, &self.device),
            (Field::Firmware, &self.firmware),
            (Field::Deployment, &self.deployment),
            (Field::Event, &self.event),
        ];
        let time = |text: &Option<String>| {
            let read = text.as_deref().map(|t| times::read_ms(t, Toward::Past).map_err(anyhow::Error::msg));
            Ok::<_, anyhow::Error>(read.transpose()?.map(|at| at.0))
        };
        Ok(Query {
            fields: fields.into_iter().filter_map(|(field, value)| Some((field, value.clone()?))).collect(),
            text: self.text.clone(),
            since_ms: time(&self.since)?,
            until_ms: time(&self.until)?,
        })
    }

    pub(crate) fn query(self) -> anyhow::Result<Vec<String>> {
        let now = jiff::Timestamp::now();
        let time = |text: Option<String>| text.map(|t| times::read(&t, Toward::Past, now)).transpose();
        let (since, until) = (time(self.since)?, time(self.until)?);
        let fields = [
            ("action", self.action),
            ("object", self.object),
            ("actor", self.actor),
            ("role", self.role),
            ("outcome", self.outcome),
            ("hospital", self.hospital),
            ("gateway", self.gateway),
            ("device", self.device),
            ("firmware", self.firmware),
            ("deployment", self.deployment),
            ("event", self.event),
            ("text", self.text),
            ("since", since),
            ("until", until),
        ];
        Ok(fields.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?)))).collect())
    }
}

pub(crate) async fn run(out: &Output, session: &Path, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Search { wanted, oldest, newest: _, from, limit, offline } => {
            let (newest, limit) = (!oldest, limit.get() as u64);
            let device = wanted.device();
            let page = match offline.copy()? {
                Some(copy) => {
                    let order = match newest {
                        true => Order::Newest { before: from.unwrap_or(u64::MAX) },
                        false => Order::Oldest { from: from.unwrap_or(0) },
                    };
                    copy.search(&wanted.offline()?, order, limit)?
                }
                None => {
                    let mut query = wanted.query()?;
                    query.push(format!("limit={limit}"));
                    query.extend(from.map(|from| format!("from={from}")));
                    query.push(format!("order={}", if newest { "newest" } else { "oldest" }));
                    let path = format!("/api/v1/compliance/audit-logs?{}", query.join("&"));
                    Client::open(session)?.get_within(&path, PAGE_BYTES_MAX).await?
                }
            };
            show_page(out, page, device.as_deref(), newest);
            Ok(())
        }
        Action::Show { index, offline } => {
            let found = match offline.copy()? {
                Some(copy) => copy.record(index)?,
                None => record(&Client::open(session)?, index).await?,
            };
            records::show(out, &found);
            Ok(())
        }
        Action::State { object, at, offline } => {
            let at = times::read(&at, Toward::Past, jiff::Timestamp::now())?;
            let view = match offline.copy()? {
                Some(copy) => {
                    let ms = times::read_ms(&at, Toward::Past).map_err(anyhow::Error::msg)?;
                    copy.state(&object, ms.0)?
                }
                None => {
                    let path = format!("/api/v1/compliance/states/{object}?at={}", encode(&at));
                    Client::open(session)?.get(&path).await?
                }
            };
            out.answer(&view, || {
                let size = view["logSize"].as_u64().unwrap_or(0);
                state_words(&object.name(), &at, size, &view["state"])
            });
            Ok(())
        }
        Action::Differences { object, from, to } => {
            let now = jiff::Timestamp::now();
            let [from, to] = [from, to].map(|time| times::read(&time, Toward::Past, now));
            let (from, to) = (from?, to?);
            let path = format!("/api/v1/compliance/differences/{object}?from={}&to={}", encode(&from), encode(&to));
            let view = Client::open(session)?.get(&path).await?;
            if out.is_json() {
                out.answer(&view, String::new);
            } else {
                out.table(&view["changes"], &[("WHERE", "/path"), ("BEFORE", "/before"), ("AFTER", "/after")]);
            }
            Ok(())
        }
        Action::Status => {
            let view = Client::open(session)?.get("/api/v1/compliance/log/status").await?;
            out.answer(&view, || {
                let damage = count(view["damage"].as_array().map_or(0, Vec::len), "damaged place");
                let room = match (view["room"].as_str(), view["writable"] == true) {
                    (_, true) => "room for more",
                    (Some("nearlyFull"), false) => {
                        "NEARLY FULL: only what stops harm is recorded (pause, abort, rollback, recall, sign-in); free some space"
                    }
                    (_, false) => "NO ROOM: nothing new is recorded; free some space",
                };
                let scrub = match view["scrubbedAt"].as_str() {
                    Some(at) => format!("last read through {at}: {damage}"),
                    None => "not read through yet since the start".into(),
                };
                let size =
                    view["logSize"].as_u64().map_or_else(|| text(&view["logSize"]), |size| count(size, "record"));
                let clock = clock_in_words(&view);
                format!("{size}, {} under the published checkpoint; {room}; {scrub}{clock}", view["publishedSize"])
            });
            if view["damage"].as_array().is_some_and(|d| !d.is_empty()) {
                let columns = [("FILE", "/file"), ("BYTE", "/position"), ("ENTRY", "/entry"), ("WHAT", "/what")];
                out.table(&view["damage"], &columns);
                bail!("the store is damaged; restore the files named from a backup");
            }
            Ok(())
        }
        Action::Export { dir, tiles: false } => export(out, &Client::open(session)?, &dir).await,
        Action::Export { dir, tiles: true } => export_tiles(out, &Client::open(session)?, &dir).await,
        Action::Proof { index, out: file, overwrite } => {
            proof(out, &Client::open(session)?, index, &file, overwrite).await
        }
        Action::Evidence { wanted, out: file, page, overwrite } => {
            let client = Client::open(session)?;
            evidence(out, &client, &wanted.query()?, &file, page.as_deref(), overwrite).await
        }
        Action::Page { out: file, overwrite } => {
            overwrite.reserve(&file, Access::Mask)?.write(PAGE.as_bytes())?;
            out.answer(&json!({ "page": file }), || {
                format!("open {} in a browser; it needs no network", file.display())
            });
            Ok(())
        }
        Action::Verify { copy, keys } => verify(out, &copy, &keys),
    }
}

/// The past of an object in words: as of which record, and what gateways reported since then beside it.
fn state_words(object: &str, at: &str, size: u64, state: &Value) -> String {
    if state.is_null() {
        return format!("{object} at {at}, after {}:\nthere was no such object", count(size, "record"));
    }
    let last =
        size.checked_sub(1).map_or_else(|| "before the first record".to_owned(), |n| format!("as of record {n}"));
    let mut registered = with_times(state);
    // Of a copy: what gateways reported is newer than what was registered, and is what the coordinator answers from.
    match registered.as_object_mut().and_then(|fields| fields.remove("reported")) {
        Some(reported) => format!(
            "{object} at {at}, {last}\nreported, by gateway, up to then:\n{reported:#}\n\
             registered, as the last record of {object} shows it; what was reported since is not in it:\n{registered:#}"
        ),
        None => format!("{object} at {at}, {last}:\n{registered:#}"),
    }
}

/// The warning about a coordinator's clock that stands before its newest record; empty if it does not.
fn clock_in_words(status: &Value) -> String {
    match status["clockBehindSeconds"].as_u64() {
        None | Some(0) => String::new(),
        Some(behind) => format!(
            "\nTHE COORDINATOR'S CLOCK IS {behind} s BEHIND the newest record ({}): records get that time until the clock has caught up; \
             check its time service",
            text(&status["lastRecordAt"])
        ),
    }
}

/// The same value for people: times in milliseconds since 1970 as dates.
fn with_times(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let ms = value.as_u64().filter(|ms| (FIRST_MS..LAST_MS).contains(ms) && !is_duration(name));
                (name.clone(), ms.map_or_else(|| with_times(value), |ms| UtcMillis(ms).to_string().into()))
            };
            fields.iter().map(field).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(with_times).collect(),
        other => other.clone(),
    }
}

/// Milliseconds since 1970 of the years 2020 to 2120: no other number of a record is as large and a time.
const FIRST_MS: u64 = 1_577_836_800_000;
const LAST_MS: u64 = 4_733_510_400_000;

/// Whether a field is a number by its name: a duration, a size, a place.
fn is_duration(name: &str) -> bool {
    !["at", "At", "Until", "From", "since", "Since"].iter().any(|end| name.ends_with(end))
}

/// What verification found, in one word: everything, or everything but whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Verified,
    Consistent,
}

impl Verdict {
    /// As the first words for people.
    fn words(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED",
            Self::Consistent => "CONSISTENT, but whose log this is was not checked",
        }
    }
    /// The findings with the verdict for programs.
    fn on(self, findings: &impl serde::Serialize) -> anyhow::Result<Value> {
        let mut view = serde_json::to_value(findings)?;
        view["verdict"] = if self == Self::Verified { "verified" } else { "consistent" }.into();
        Ok(view)
    }
}

/// The span of time of the records, in words.
fn span(first: Option<&String>, last: Option<&String>) -> String {
    match (first, last) {
        (Some(first), Some(last)) => {
            let shown = |at: &String| text(&at.as_str().into());
            format!("records from {} to {}", shown(first), shown(last))
        }
        _ => "no records".to_owned(),
    }
}

/// A copy of the log in words.
fn copy_words(found: &Verified) -> String {
    let mut words = format!(
        "{}: {}\n{} lead to the signed root {}; {} of {} are signed and chained",
        Verdict::Verified.words(),
        span(found.first_at.as_ref(), found.last_at.as_ref()),
        count(found.entries, "entry"),
        found.root,
        count(found.batches, "telemetry batch"),
        count(found.gateways, "gateway")
    );
    if found.witnesses > 0 {
        words.push_str(&format!("; {} cosigned", count(found.witnesses, "witness")));
    }
    if found.disposed > 0 {
        words.push_str(&format!("; disposed of after retention, hashes hold: {}", count(found.disposed, "entry")));
    }
    if found.anomalies > 0 {
        words.push_str(&format!("; reports of gateways with a broken chain: {}", count(found.anomalies, "record")));
    }
    if found.beyond > 0 || found.torn_end {
        words.push_str(&format!("; after the checkpoint, not signed for: {}", count(found.beyond, "entry")));
    }
    words
}

fn verify(out: &Output, copy: &Path, keys: &Keys) -> anyhow::Result<()> {
    let (key, policy) = (keys.log()?, keys.policy()?);
    if copy.is_dir() {
        let found = verify_copy(copy, &keys.log_needed()?, &policy)?;
        if found.entries == 0 {
            return Err(fault::not_found("the copy holds no entries: it proves nothing"));
        }
        out.answer(&Verdict::Verified.on(&found)?, || copy_words(&found));
        return Ok(());
    }
    let bytes = read_evidence(copy)?;
    if bytes.starts_with(b"c2sp.org/tlog-proof") {
        let file = ProofFile::parse(std::str::from_utf8(&bytes)?)?;
        let beside = PathBuf::from(format!("{}.json", copy.display()));
        let entry = files::read(&beside).context("the entry")?;
        let checkpoint = file.verify(&entry, &keys.log_needed()?, &policy)?;
        let found = json!({ "index": file.index, "size": checkpoint.size, "root": hex::encode(checkpoint.root) });
        out.answer(&Verdict::Verified.on(&found)?, || {
            let size = count(checkpoint.size, "entry");
            format!("{}: entry {} stands in the log of {size}", Verdict::Verified.words(), file.index)
        });
        return Ok(());
    }
    if is_report(&bytes) {
        bail!("{0} is a report: verify it with mdfmctl reports verify {0} --coordinator KEY", copy.display());
    }
    let what = || format!("{} is neither evidence, nor a proof, nor a copy of a log", copy.display());
    let evidence = Evidence::parse(&bytes).with_context(what)?;
    let found = verify_evidence(&evidence, keys)?;
    let verdict = if key.is_some() { Verdict::Verified } else { Verdict::Consistent };
    out.answer(&verdict.on(&found)?, || {
        let mut words = format!(
            "{}: {}\n{} ({}) stand in {} of {}, root {}\n",
            verdict.words(),
            span(found.first_at.as_ref(), found.last_at.as_ref()),
            count(found.records, "record"),
            text(&evidence.about.as_str().into()),
            text(&found.origin.as_str().into()),
            count(found.size, "entry"),
            found.root
        );
        words.push_str(&format!(
            "{} cosigned; {} inside hold",
            count(found.witnesses, "witness"),
            count(found.signatures.len(), "signature")
        ));
        if found.unchecked > 0 {
            let unchecked = count(found.unchecked, "document");
            words.push_str(&format!("; signed by keys that are not in the file: {unchecked}"));
        }
        for signature in &found.signatures {
            words.push_str(&format!("\n  {}", text(&json!(signature))));
        }
        if key.is_none()
            && let Some(first) = &found.first_root
        {
            words.push_str(&format!(
                "\nThe keys come from the file: compare the first trust root's digest with the vendor's: {first}"
            ));
        }
        words
    });
    Ok(())
}

/// Whether a file is a report of `reports make`.
fn is_report(bytes: &[u8]) -> bool {
    let fields = serde_json::from_slice::<std::collections::BTreeMap<String, serde::de::IgnoredAny>>(bytes);
    fields.is_ok_and(|fields| ["statement", "report"].iter().all(|field| fields.contains_key(*field)))
}

/// Shows a page of records, and how to go on.
fn show_page(out: &Output, mut page: Value, device: Option<&str>, is_newest_first: bool) {
    if out.is_json() {
        records::decode(&mut page["records"]);
        out.answer(&page, String::new);
        return;
    }
    let first = if is_newest_first { First::Newest } else { First::Oldest };
    records::search_table(out, &page["records"], device, first);
    if let Some(next) = page["next"].as_u64() {
        let order = if is_newest_first { "" } else { "--oldest " };
        note(format_args!("there are more: {order}--from {next}"));
    }
}

/// The size that a checkpoint names.
///
/// # Errors
/// It names none, or one that no log has.
fn size_of(note: &str) -> anyhow::Result<u64> {
    let size = note.lines().nth(1).and_then(|line| line.parse().ok()).context("the checkpoint has no size")?;
    ensure!(size <= ENTRIES_MAX, "the checkpoint names {size} entries; a log has at most {ENTRIES_MAX}");
    Ok(size)
}

/// One record of the coordinator's log.
async fn record(client: &Client, index: u64) -> anyhow::Result<Value> {
    let page = client.get(&format!("/api/v1/compliance/audit-logs?from={index}&limit=1")).await?;
    let found = page["records"].get(0).filter(|record| record["index"].as_u64() == Some(index)).cloned();
    found.ok_or_else(|| {
        let size = page["logSize"].as_u64().unwrap_or(0);
        if index >= size {
            fault::not_found(format!("there is no entry {index}; the log has {}", count(size, "entry")))
        } else {
            fault::not_found(format!(
                "entry {index} was disposed of after retention: its hash is left, what it said is not"
            ))
        }
    })
}

async fn proof(out: &Output, client: &Client, index: u64, file: &Path, overwrite: Overwrite) -> anyhow::Result<()> {
    let entry_file = PathBuf::from(format!("{}.json", file.display()));
    let (proof_target, entry_target) =
        (overwrite.reserve(file, Access::Mask)?, overwrite.reserve(&entry_file, Access::Mask)?);
    let proof = client.bytes(&format!("/api/v1/compliance/log/proofs/{index}"), NOTE_BYTES_MAX).await?;
    let note = ProofFile::parse(std::str::from_utf8(&proof)?)?.checkpoint;
    let size = size_of(&note)?;
    let bundle = index / TILE_WIDTH;
    let tile = TilePath::Entries { index: bundle, width: (size - bundle * TILE_WIDTH).min(TILE_WIDTH) };
    let bundle = client.bytes(&format!("/api/v1/compliance/log/{tile}"), TILE_BYTES_MAX).await?;
    let entries = entries_of_bundle(&bundle).context("the bundle is not whole")?;
    let entry = *entries.get((index % TILE_WIDTH) as usize).context("the bundle does not reach that far")?;
    proof_target.write(&proof)?;
    entry_target.write(entry)?;
    out.answer(&json!({ "index": index, "proof": file }), || {
        format!("proof of entry {index} in {}, the entry in {}", file.display(), entry_file.display())
    });
    Ok(())
}

/// Evidence without a record is of something that the log does not know.
fn need_records(evidence: &Evidence) -> anyhow::Result<()> {
    match evidence.records.is_empty() {
        true => Err(fault::not_found(
            "nothing was written: up to the newest published checkpoint no record of the log is about that",
        )),
        false => Ok(()),
    }
}

async fn evidence(
    out: &Output,
    client: &Client,
    query: &[String],
    file: &Path,
    page: Option<&Path>,
    overwrite: Overwrite,
) -> anyhow::Result<()> {
    let target = overwrite.reserve(file, Access::Mask)?;
    let page_target = page.map(|page| overwrite.reserve(page, Access::Mask)).transpose()?;
    let path = format!("/api/v1/compliance/evidence?{}", query.join("&"));
    let bytes = client.computed(&path, EVIDENCE_BYTES_MAX).await?;
    let evidence = Evidence::parse(&bytes)?;
    need_records(&evidence)?;
    target.write(&bytes)?;
    if let Some(page_target) = page_target {
        let data = json_for_html(std::str::from_utf8(&bytes)?);
        let script = format!("<script type=\"application/json\" id=\"evidence\">{data}</script>");
        page_target.write(PAGE.replacen(PAGE_SLOT, &script, 1).as_bytes())?;
    }
    let records = evidence.records.len();
    out.answer(&json!({ "records": records, "file": file, "page": page }), || {
        format!("{} with proofs in {}; verify with mdfmctl audit verify", count(records, "record"), file.display())
    });
    Ok(())
}

/// A copy is never written over another: if the line broke, the old checkpoint would stand beside half a log.
fn check_no_copy(dir: &Path) -> anyhow::Result<()> {
    let is_there = |name: &str| dir.join(name).symlink_metadata().is_ok();
    let has_copy = is_there("checkpoint") || is_there("tile") || is_there(&format!("{:020}.log", 0));
    ensure!(!has_copy, "{} holds a copy, or a part of one, already; name another directory", dir.display());
    Ok(())
}

async fn export_tiles(out: &Output, client: &Client, dir: &Path) -> anyhow::Result<()> {
    check_no_copy(dir)?;
    let note = client.bytes(CHECKPOINT, NOTE_BYTES_MAX).await?;
    let size = size_of(&String::from_utf8_lossy(&note))?;
    let tiles = tiles_between(0, size);
    let bar = indicatif::ProgressBar::new(tiles.len() as u64);
    for tile in &tiles {
        let file = dir.join(tile.to_string());
        let written = || format!("writing {}", file.display());
        std::fs::create_dir_all(file.parent().context("a tile has a directory")?).with_context(written)?;
        let bytes = client.bytes(&format!("/api/v1/compliance/log/{tile}"), TILE_BYTES_MAX).await?;
        std::fs::write(&file, bytes).with_context(written)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    std::fs::write(dir.join("checkpoint"), note)
        .with_context(|| format!("writing the checkpoint into {}", dir.display()))?;
    out.answer(&json!({ "entries": size, "files": tiles.len(), "directory": dir }), || {
        format!("{} as {} in {}", count(size, "entry"), count(tiles.len(), "tile"), dir.display())
    });
    Ok(())
}

/// Writes the entries of the coordinator's log into a new file.
async fn export_entries(client: &Client, place: &Path) -> anyhow::Result<()> {
    let mut answer = client.stream("/api/v1/compliance/log/export").await?;
    let written = || format!("writing {}", place.display());
    let mut file = std::fs::File::create(place).with_context(written)?;
    while let Some(piece) = answer.piece().await? {
        files::check_room(place)?;
        file.write_all(&piece).with_context(written)?;
    }
    file.sync_all().with_context(written)
}

async fn export(out: &Output, client: &Client, dir: &Path) -> anyhow::Result<()> {
    check_no_copy(dir)?;
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    // The checkpoint first: the log may grow meanwhile, never shrink, so the entries that follow always reach its size.
    let note = client.bytes(CHECKPOINT, NOTE_BYTES_MAX).await?;
    let place = dir.join(format!("{:020}.log", 0));
    if let Err(error) = export_entries(client, &place).await {
        // A part of a log is no copy, and what has no end would keep the disk full.
        let _ = std::fs::remove_file(&place);
        return Err(error.context("nothing of the log was kept"));
    }
    std::fs::write(dir.join("checkpoint"), &note)
        .with_context(|| format!("writing the checkpoint into {}", dir.display()))?;
    let note = String::from_utf8_lossy(&note).into_owned();
    let (origin, size) = (note.lines().next().unwrap_or_default(), size_of(&note)?);
    // How many records are newer is for people; a coordinator that does not say it has exported all the same.
    let status = client.get("/api/v1/compliance/log/status").await.unwrap_or_default();
    let newer = status["logSize"].as_u64().map(|all| all.saturating_sub(size));
    out.answer(&json!({ "entries": size, "origin": origin, "newer": newer, "directory": dir }), || {
        let newer = match newer {
            None | Some(0) => String::new(),
            Some(newer) => format!(
                "\n{} of the log {} newer than that checkpoint and not in this copy: export again after the next checkpoint",
                count(newer, "record"),
                if newer == 1 { "is" } else { "are" }
            ),
        };
        let entries = count(size, "entry");
        format!(
            "{entries} in {0}, up to the newest published checkpoint of {1}{newer}\nverify with mdfmctl audit verify {0} --log-vkey FILE, the verifier \
             key that the trust root names (log.vkey of the coordinator's data directory)",
            dir.display(),
            text(&origin.into())
        )
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use mdfm_shared::text::is_unsafe;

    use super::*;

    #[test]
    fn sec_9_no_checkpoint_names_a_log_that_fills_the_memory() {
        let of = |size: &str| size_of(&format!("origin\n{size}\nhash\n"));
        assert_eq!(of("4294967296").expect("a size"), ENTRIES_MAX);
        for bad in ["4294967297", "18446744073709551615", "-1", ""] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cli_24_the_past_has_no_milliseconds() {
        let state = json!({
            "changedAt": 1_795_000_000_000_u64, "rollbackMs": 1_795_000_000_000_u64, "sizeBytes": 1_795_000_000_000_u64, "at": 7,
            "reported": { "GW-1": [{ "at": 1_795_000_000_000_u64 }] },
        });
        let words = state_words("device/D-1", "2026-11-30T00:00:00Z", 12, &state);
        assert!(
            words.starts_with("device/D-1 at 2026-11-30T00:00:00Z, as of record 11\nreported, by gateway"),
            "{words}"
        );
        assert_eq!(words.matches("2026-11-18T").count(), 2, "{words}");
        assert_eq!(words.matches("1795000000000").count(), 2, "a duration and a size stay numbers: {words}");
        assert!(state_words("device/D-1", "x", 0, &Value::Null).contains("no such object"));
    }

    #[test]
    fn cli_13_what_is_registered_stands_below_what_is_reported() {
        let state =
            json!({ "firmware_version": "2.1.0", "install": null, "reported": { "GW-1": { "running": "2.2.0" } } });
        let words = state_words("device/D-1", "2026-11-30T00:00:00Z", 12, &state);
        let at = |part: &str| words.find(part).expect(part);
        assert!(at("\nreported, by gateway") < at("2.2.0") && at("2.2.0") < at("\nregistered, as"), "{words}");
        assert!(at("\nregistered, as") < at("2.1.0") && words.matches("GW-1").count() == 1, "{words}");
    }

    #[test]
    fn cli_13_nothing_found_is_no_evidence() {
        let empty = json!({
            "format": "mdfm-evidence/1", "about": "deployment=dep-WRONG", "madeAt": "x", "logKey": "x", "witnessKeys": [],
            "witnessThreshold": 0, "checkpoint": "x", "trustRoots": [], "roster": null, "records": [],
        });
        let mut evidence = Evidence::parse(empty.to_string().as_bytes()).expect("of the form");
        let error = need_records(&evidence).expect_err("no records");
        assert_eq!(error.downcast_ref::<fault::Fault>().map(fault::Fault::exit), Some(4));
        evidence.records.push(mdfm_audit::EvidenceRecord { index: 0, entry: "{}".into(), proof: vec![] });
        assert!(need_records(&evidence).is_ok());
        assert!(PAGE.contains("if (!records.length) fail("), "nor is it on the page");
    }

    /// The page escapes every character that the programs escape.
    #[test]
    fn cli_28_the_page_escapes_what_the_programs_escape() {
        let unsafe_chars = ('\0'..=char::MAX).filter(|c| is_unsafe(*c)).map(u32::from);
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for c in unsafe_chars {
            match ranges.last_mut() {
                Some((_, end)) if *end + 1 == c => *end = c,
                _ => ranges.push((c, c)),
            }
        }
        let class: String = ranges
            .into_iter()
            .map(|(first, last)| match first == last {
                true => format!("\\u{{{first:x}}}"),
                false => format!("\\u{{{first:x}}}-\\u{{{last:x}}}"),
            })
            .collect();
        assert!(PAGE.contains(&class), "write into `shown` of verifier.html: {class}");
    }

    #[test]
    fn cli_14_a_clock_that_is_behind_is_named_as_on_the_page() {
        let status = json!({ "clockBehindSeconds": 7_200, "lastRecordAt": "2026-11-29T10:00:00Z" });
        mdfm_shared::fixture::page::symptom("The coordinator does nothing", "THE COORDINATOR'S CLOCK")
            .assert_in(&clock_in_words(&status));
        assert_eq!(clock_in_words(&json!({ "clockBehindSeconds": 0 })), "");
    }
}
