//! Bundles on removable media: documents and images in, telemetry out. The agent checks each document and image as if it had come over
//! the network; this program only carries.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use mdfm_shared::bundle::{Document, Header, PREFIX_BYTES, header_len};
use mdfm_shared::text::{printable, printable_json};
use serde_json::Value;

use super::{Request, request};

/// Brings what is in a bundle to the agent; gives what came of it, a line each.
pub(super) fn import(state_dir: &Path, path: &Path) -> anyhow::Result<Vec<String>> {
    let mut file = BufReader::new(mdfm_service::open_regular(path, u64::MAX)?.into_inner());
    let mut prefix = [0; PREFIX_BYTES];
    file.read_exact(&mut prefix)
        .with_context(|| format!("{} is not a bundle; make one with mdfmctl bundles export", path.display()))?;
    let len = header_len(&prefix).with_context(|| format!("reading {}", path.display()))?;
    let mut header = vec![0; len];
    file.read_exact(&mut header).with_context(|| format!("{} is cut off", path.display()))?;
    let header = Header::decode(&header).with_context(|| format!("reading {}", path.display()))?;
    let mut said = Vec::new();
    for document in header.documents {
        let topic = document.topic.clone();
        let (message, data) = request(state_dir, &Request::ImportDocument(document), None)?;
        said.push(format!("{topic}: {message}"));
        let mut asked = data;
        // Rollback orders of several checkpoints need several proofs; each is asked for once.
        for _ in 0..=header.proofs.len() {
            let (Some(old), Some(new)) = (asked["old"].as_u64(), asked["new"].as_u64()) else { break };
            let proof = header.proofs.iter().find(|p| (p.old, p.new) == (old, new));
            let proof = proof.with_context(|| {
                format!("the bundle does not prove that the audit log of size {old} became that of size {new}; export it again with --log-size {old}")
            })?;
            let (message, data) = request(state_dir, &Request::ImportProof(proof.clone()), None)?;
            said.push(format!("{topic}: {message}"));
            asked = data;
        }
    }
    let (_, needed) = request(state_dir, &Request::NeededImages, None)?;
    let mut at = (PREFIX_BYTES + len) as u64;
    for image in header.images {
        let wanted = serde_json::json!({ "sha256": image.sha256, "sizeBytes": image.size_bytes });
        if needed.as_array().is_some_and(|n| n.contains(&wanted)) {
            file.seek(SeekFrom::Start(at))?;
            let ask = Request::ImportImage { sha256: image.sha256, size_bytes: image.size_bytes };
            let (message, _) = request(state_dir, &ask, Some(&mut (&mut file).take(image.size_bytes)))?;
            said.push(message);
        } else {
            said.push(format!("image {}: no device needs it now", image.sha256));
        }
        at += image.size_bytes;
    }
    Ok(said)
}

/// Writes the telemetry that waits into a new file, for `mdfmctl bundles deliver`; returns the number of batches. Without any, no file is made.
pub(super) fn export(state_dir: &Path, path: &Path) -> anyhow::Result<usize> {
    let (gateway, data) = request(state_dir, &Request::Export, None)?;
    let documents: Vec<Document> = serde_json::from_value(data).context("the agent's answer is not understood")?;
    if documents.is_empty() {
        return Ok(0);
    }
    let n = documents.len();
    let header = Header { gateway, documents, ..Header::default() };
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("making {}", path.display()))?;
    file.write_all(&header.encode()?)?;
    // The stick is pulled out soon.
    file.sync_all()?;
    Ok(n)
}

/// A value as one word of a table.
pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => printable(text).into_owned(),
        Value::Array(values) if values.is_empty() => "-".into(),
        Value::Array(values) => values.iter().map(word).collect::<Vec<_>>().join("; "),
        other => printable_json(&other.to_string()).into_owned(),
    }
}
