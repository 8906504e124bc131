//! The audit log: search, export, and verification of a copy that needs nothing but the log's verifier key.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use futures_util::StreamExt;
use mdfm_shared::id::GatewayId;
use mdfm_shared::limits::LOG_ENTRY_BYTES_MAX;
use mdfm_shared::record::AuditRecord;
use mdfm_shared::sign::{KeySet, PublicKey};
use mdfm_shared::telemetry::TelemetryBatch;
use mdfm_shared::tlog::{Checkpoint, NoteKey, Tree, leaf_hash};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, checked};
use crate::output::Output;

const MAGIC: &[u8; 8] = b"MDFMLOG1";

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Searches the log.
    Search {
        /// Only this action, for example `firmware.approve`.
        #[arg(long)]
        action: Option<String>,
        /// Only this object, for example `firmware/FW-1`.
        #[arg(long)]
        object: Option<String>,
        /// Only this actor.
        #[arg(long)]
        actor: Option<String>,
        /// Only `accepted` or `refused`.
        #[arg(long)]
        outcome: Option<String>,
        /// First entry to look at.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Records at most.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Copies the log and its newest checkpoint into a directory.
    Export {
        /// The directory to make.
        dir: PathBuf,
    },
    /// Verifies a copy of the log offline: an export, or the `log` directory of a data directory or backup.
    Verify {
        /// The directory.
        dir: PathBuf,
        /// The log's verifier key, or a file with it.
        #[arg(long)]
        key: String,
    },
}

pub(crate) async fn run(out: &Output, session: &Path, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Search { action, object, actor, outcome, from, limit } => {
            let client = Client::open(session)?;
            let mut query = vec![format!("from={from}"), format!("limit={limit}")];
            for (name, value) in [("action", action), ("object", object), ("actor", actor), ("outcome", outcome)] {
                query.extend(value.map(|v| format!("{name}={}", encode(&v))));
            }
            let page = client.get(&format!("/api/v1/compliance/audit-logs?{}", query.join("&"))).await?;
            if out.json {
                out.answer(&page, String::new);
            } else {
                let columns = [
                    ("ENTRY", "/index"),
                    ("TIME", "/at"),
                    ("ACTOR", "/actor/id"),
                    ("ACTION", "/action"),
                    ("OBJECT", "/object"),
                    ("OUTCOME", "/outcome"),
                    ("REASON", "/reason"),
                ];
                out.table(&page["records"], &columns);
            }
            Ok(())
        }
        Action::Export { dir } => export(out, &Client::open(session)?, &dir).await,
        Action::Verify { dir, key } => {
            let text = if Path::new(&key).exists() { std::fs::read_to_string(&key)? } else { key };
            let found = verify(&dir, &NoteKey::parse(text.trim())?)?;
            out.answer(&found, || {
                format!(
                    "verified: {} entries under the signed checkpoint of size {}, root {}; {} more since; {} telemetry \
                     batches of {} gateways signed and chained",
                    found["entries"],
                    found["checkpointSize"],
                    found["root"],
                    found["beyond"],
                    found["batches"],
                    found["gateways"]
                )
            });
            Ok(())
        }
    }
}

/// Percent-encodes a query value (RFC 3986).
fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

async fn export(out: &Output, client: &Client, dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    // The checkpoint first: the log may grow meanwhile, never shrink, so the entries that follow always reach its size.
    let request = client.request(Method::GET, "/api/v1/compliance/log/checkpoint");
    let note = checked(request.send().await?).await?.bytes().await?;
    let request = client.request(Method::GET, "/api/v1/compliance/log/export");
    let mut stream = checked(request.send().await?).await?.bytes_stream();
    let mut file = std::fs::File::create(dir.join(format!("{:020}.log", 0)))?;
    while let Some(piece) = stream.next().await {
        file.write_all(&piece?)?;
    }
    file.sync_all()?;
    let exported = entries(dir)?.len() as u64;
    std::fs::write(dir.join("checkpoint"), &note)?;
    out.answer(&json!({ "entries": exported, "directory": dir }), || {
        format!("{exported} entries and the checkpoint in {}", dir.display())
    });
    Ok(())
}

/// Every entry of the copy in order; a frame that is not whole or does not match its checksum names the first bad entry.
fn entries(dir: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .with_context(|| format!("opening {}", dir.display()))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for path in files {
        let first = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<usize>().ok());
        if first != Some(entries.len()) {
            bail!("entry {}: the file {} does not begin there; a file is missing", entries.len(), path.display());
        }
        let mut reader = std::io::BufReader::new(std::fs::File::open(&path)?);
        let mut magic = [0; 8];
        reader
            .read_exact(&mut magic)
            .ok()
            .filter(|()| &magic == MAGIC)
            .with_context(|| format!("entry {}: {} is no segment of an audit log", entries.len(), path.display()))?;
        loop {
            let bad = || format!("entry {}: damaged or cut off in {}", entries.len(), path.display());
            let mut header = [0; 12];
            match reader.read(&mut header)? {
                0 => break,
                n => reader.read_exact(&mut header[n..]).with_context(bad)?,
            }
            let n = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if n == 0 || n > LOG_ENTRY_BYTES_MAX {
                bail!(bad());
            }
            let mut entry = vec![0; n];
            reader.read_exact(&mut entry).with_context(bad)?;
            if leaf_hash(&entry)[..8] != header[4..] {
                bail!(bad());
            }
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// Checks a copy: every frame, the root that the checkpoint signs, every record's form, and of every telemetry batch the
/// gateway's own signature and its place in the gateway's chain.
fn verify(dir: &Path, key: &NoteKey) -> anyhow::Result<Value> {
    let note = std::fs::read(dir.join("checkpoint")).context("reading the checkpoint of the copy")?;
    let checkpoint = Checkpoint::open(&note, key)?;
    let entries = entries(dir)?;
    if (entries.len() as u64) < checkpoint.size {
        bail!("entry {}: missing; the checkpoint signs {} entries", entries.len(), checkpoint.size);
    }
    let mut tree = Tree::default();
    entries.iter().for_each(|e| tree.push(e));
    if tree.root_at(checkpoint.size) != Some(checkpoint.root) {
        bail!("the entries do not lead to the root that the checkpoint signs: entries were altered, dropped or moved");
    }
    let mut gateways: BTreeMap<GatewayId, (PublicKey, u64, u64, mdfm_shared::digest::Digest)> = BTreeMap::new();
    let mut batches = 0_u64;
    for (index, entry) in entries.iter().enumerate() {
        let record = AuditRecord::from_bytes(entry).with_context(|| format!("entry {index}"))?;
        let Some(event) = &record.event else { continue };
        match event["type"].as_str() {
            Some("gatewayEnrolled") => {
                let gateway: GatewayId = crate::output::text(&event["gateway"]).parse()?;
                let key: PublicKey = crate::output::text(&event["telemetryKey"]).parse()?;
                let epoch = event["epoch"].as_u64().unwrap_or_default();
                gateways.insert(gateway, (key, epoch, 0, mdfm_shared::digest::Digest([0; 32])));
            }
            Some("telemetryCommitted") => {
                let signed = record.document::<TelemetryBatch>().with_context(|| format!("entry {index}"))?;
                let claimed = signed.decode_unverified()?;
                let chain = gateways
                    .get_mut(&claimed.gateway)
                    .with_context(|| format!("entry {index}: {} was never enrolled", claimed.gateway))?;
                signed.verify(&KeySet::single(chain.0.clone())).with_context(|| format!("entry {index}"))?;
                if claimed.epoch != chain.1 || claimed.sequence != chain.2 + 1 || claimed.previous != chain.3 {
                    bail!(
                        "entry {index}: batch {}.{} of {} is out of its chain",
                        claimed.epoch,
                        claimed.sequence,
                        claimed.gateway
                    );
                }
                (chain.2, chain.3) = (claimed.sequence, signed.digest());
                batches += 1;
            }
            _ => {}
        }
    }
    Ok(json!({
        "entries": checkpoint.size,
        "beyond": entries.len() as u64 - checkpoint.size,
        "checkpointSize": checkpoint.size,
        "root": hex::encode(checkpoint.root),
        "batches": batches,
        "gateways": gateways.len(),
    }))
}
