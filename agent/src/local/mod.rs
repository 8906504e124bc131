//! What on-site staff may ask and do on the gateway itself: a Unix socket in the state directory, which only the agent's user and root
//! can reach. One request a connection, a line of JSON each way (an image follows its request); who asked is known from the kernel,
//! and what was done is reported upstream under that user.

mod bundle;
mod clock;
mod commands;
mod confirm;

use std::collections::BTreeSet;
use std::io::{BufRead, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Client;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use mdfm_agent_core::gateway::Reply;
use mdfm_shared::bundle::{Document, Proof};
use mdfm_shared::digest::Digest;
use mdfm_shared::id::{DeploymentId, DeviceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::image::{ImageCache, ImageError};

pub(crate) use commands::{Action, Output, run, wait_in_words};

const SOCKET: &str = "control.sock";
/// Bytes of one request; a document of a bundle is the largest.
const REQUEST_BYTES_MAX: u64 = 1 << 20;
/// Bytes of one answer: the whole outbox of a gateway that was alone for months.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// For a whole request, for its answer, and between two pieces of an image.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests that may wait.
const WAITING_MAX: usize = 16;
/// Connections at once.
const CONNECTIONS_MAX: usize = 32;

/// A request of somebody on the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Request {
    /// The hospital's staff agree to a deployment, or take it back.
    Consent { deployment: DeploymentId, given: bool, reason: String },
    /// How the gateway is.
    Status,
    /// How each device is, or one.
    Devices { device: Option<DeviceId> },
    /// Leave the device as it is.
    Hold { device: DeviceId, reason: String },
    /// End a hold or a quarantine.
    Release { device: DeviceId, reason: String },
    /// Return to the firmware before.
    Rollback { device: DeviceId, reason: String },
    /// What happened lately.
    Logs { device: Option<DeviceId>, limit: usize },
    /// Whether the gateway can do its work.
    SelfTest,
    /// What the clock says, and the latest time that was seen.
    Clock,
    /// The clock is right, although a later time was seen.
    AcceptClock { reason: String },
    /// A document from a bundle, as if it had come as a message.
    ImportDocument(Document),
    /// A proof from a bundle; answers the question that a document raised.
    ImportProof(Proof),
    /// The images that devices still need.
    NeededImages,
    /// An image from a bundle; its bytes follow.
    ImportImage { sha256: Digest, size_bytes: u64 },
    /// The telemetry that waits, as a bundle's documents.
    Export,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    done: bool,
    message: String,
    #[serde(default)]
    data: Value,
}

/// A request with the Unix user who made it.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) uid: u32,
    /// What came of it.
    pub(crate) reply: oneshot::Sender<Reply>,
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(SOCKET)
}

/// Listens; requests come out of the channel. Without a socket none do: devices are watched all the same.
pub(crate) fn listen(state_dir: &Path, cache: ImageCache) -> mpsc::Receiver<Asked> {
    let (asked, requests) = mpsc::channel(WAITING_MAX);
    match bind(&path(state_dir)) {
        Ok(listener) => drop(tokio::spawn(accept(listener, asked, cache))),
        Err(error) => tracing::error!("{error:#}; commands on this gateway will not be heard"),
    }
    requests
}

fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    // Left by a process that died; a living one holds the state directory's lock.
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, asked: mpsc::Sender<Asked>, cache: ImageCache) {
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Never closed.
        let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (asked, cache) = (asked.clone(), cache.clone());
                tokio::spawn(async move {
                    serve(stream, asked, cache).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a local connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, asked: mpsc::Sender<Asked>, cache: ImageCache) {
    let uid = stream.peer_cred().map(|c| c.uid());
    let (reader, mut writer) = stream.into_split();
    let answer = match ask(uid, reader, &asked, &cache).await {
        Ok((message, data)) => Answer { done: true, message, data },
        Err(message) => Answer { done: false, message, data: Value::Null },
    };
    let mut line = serde_json::to_vec(&answer).expect("plain fields encode");
    line.push(b'\n');
    // Who asked may have gone; what was done stands in the telemetry.
    let _ = timeout(PATIENCE, writer.write_all(&line)).await;
}

/// Whether a user may ask the agent, which runs as `own`: the agents of other vendors on this gateway may not.
fn may_ask(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

async fn ask(
    uid: std::io::Result<u32>,
    reader: OwnedReadHalf,
    asked: &mpsc::Sender<Asked>,
    cache: &ImageCache,
) -> Reply {
    let uid = uid.map_err(|e| format!("who is asking is not known: {e}"))?;
    if !may_ask(uid, nix::unistd::Uid::current().as_raw()) {
        return Err(format!("user {uid} may not ask; use root or the agent's own user"));
    }
    let mut line = String::new();
    let mut reader = BufReader::new(reader);
    let mut limited = (&mut reader).take(REQUEST_BYTES_MAX);
    timeout(PATIENCE, limited.read_line(&mut line))
        .await
        .map_err(|_| "the request took too long".to_owned())?
        .map_err(|e| format!("the request cannot be read: {e}"))?;
    let request = serde_json::from_str(&line).map_err(|e| format!("the request is not understood: {e}"))?;
    if let Request::ImportImage { sha256, size_bytes } = request {
        // Only what a signed manifest names comes in.
        let needed = hand_over(asked, Request::NeededImages, uid).await?.1;
        let image = serde_json::json!({ "sha256": sha256, "sizeBytes": size_bytes });
        if !needed.as_array().is_some_and(|n| n.contains(&image)) {
            return Err(format!("no device of this gateway needs image {sha256} of {size_bytes} bytes now"));
        }
        let digest = |image: &Value| image["sha256"].as_str()?.parse().ok();
        let needed: BTreeSet<Digest> = needed.as_array().into_iter().flatten().filter_map(digest).collect();
        import(cache, &needed, sha256, size_bytes, reader).await.map_err(|e| e.to_string())?;
        return Ok((format!("image {sha256} is here and verified"), Value::Null));
    }
    hand_over(asked, request, uid).await
}

async fn hand_over(asked: &mpsc::Sender<Asked>, request: Request, uid: u32) -> Reply {
    let (reply, answer) = oneshot::channel();
    asked.try_send(Asked { request, uid, reply }).map_err(|_| "too many requests are waiting".to_owned())?;
    timeout(PATIENCE, answer)
        .await
        .map_err(|_| "the agent did not answer in time".to_owned())?
        .unwrap_or_else(|_| Err("the agent is stopping".into()))
}

async fn import(
    cache: &ImageCache,
    needed: &BTreeSet<Digest>,
    sha256: Digest,
    size_bytes: u64,
    mut reader: BufReader<OwnedReadHalf>,
) -> Result<(), ImageError> {
    let mut download = cache.download(sha256, size_bytes)?;
    cache.make_room(needed, size_bytes - download.have())?;
    let mut buffer = vec![0; 256 * 1024];
    // What an earlier try brought is there already.
    let mut skip = download.have();
    let mut left = size_bytes;
    while left > 0 {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let n = timeout(PATIENCE, reader.read(&mut buffer[..n]))
            .await
            .map_err(|_| ImageError::Later("the image stopped coming".into()))??;
        if n == 0 {
            break;
        }
        left -= n as u64;
        let known = usize::try_from(skip).unwrap_or(usize::MAX).min(n);
        skip -= known as u64;
        download.write(&buffer[known..n])?;
    }
    download.finish()
}

/// Asks the agent that runs on this gateway; `follows` is sent behind the request.
///
/// # Errors
/// No agent runs here, this user may not ask, or the agent says no, and why.
fn request(state_dir: &Path, request: &Request, follows: Option<&mut dyn Read>) -> anyhow::Result<(String, Value)> {
    let path = path(state_dir);
    let stream = Client::connect(&path).map_err(|error| unreachable_agent(&path, &error))?;
    stream.set_read_timeout(Some(PATIENCE * 3))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    (&stream).write_all(&line)?;
    // Where the agent refused before all had gone its answer says why.
    let sent = follows.map_or(Ok(0), |follows| std::io::copy(follows, &mut &stream));
    let mut answer = String::new();
    let read = std::io::BufReader::new(&stream).take(ANSWER_BYTES_MAX).read_line(&mut answer);
    if read.is_err() || answer.is_empty() {
        sent.context("sending to the agent")?;
    }
    read.context("the agent did not answer")?;
    let answer: Answer = serde_json::from_str(&answer).context("the agent's answer is not understood")?;
    anyhow::ensure!(answer.done, "{}", answer.message);
    Ok((answer.message, answer.data))
}

/// Why no agent answers at its socket, and what to do.
fn unreachable_agent(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let path = path.display();
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("the agent at {path} cannot be asked: this user may not; run the command as root")
        }
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            anyhow::anyhow!("no agent can be reached at {path}: none runs there; start it (systemctl start mdfm-agent)")
        }
        _ => anyhow::anyhow!("no agent can be reached at {path}: {error}; see systemctl status mdfm-agent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_25_only_root_and_the_agents_user_may_ask() {
        for (uid, own, may) in [(0, 990, true), (990, 990, true), (991, 990, false), (65_534, 0, false), (1, 0, false)]
        {
            assert_eq!(may_ask(uid, own), may, "{uid} asks {own}");
        }
    }

    /// Whoever comes is asked of the kernel, not of the request.
    #[tokio::test]
    async fn sec_25_a_user_who_may_not_ask_changes_nothing() {
        let (asked, mut requests) = mpsc::channel(1);
        let dir = std::env::temp_dir().join(format!("mdfm-ask-{}", std::process::id()));
        let disk: crate::disk::DiskHandle = std::sync::Arc::new(crate::disk::Real);
        let cache = ImageCache::open(&disk, &dir, 1 << 20).expect("a cache");
        for (uid, reaches) in [(Ok(nix::unistd::Uid::current().as_raw()), true), (Ok(54_321), false), (Err(()), false)]
        {
            let (mut theirs, ours) = UnixStream::pair().expect("a pair");
            theirs.write_all(b"{\"command\":\"status\"}\n").await.expect("sent");
            let uid = uid.map_err(|()| std::io::ErrorKind::NotConnected.into());
            let ask = ask(uid, ours.into_split().0, &asked, &cache);
            let answered = tokio::select! {
                answer = ask => answer.is_ok(),
                asked = requests.recv() => asked.is_some(),
            };
            assert_eq!(answered, reaches);
        }
        let _ = std::fs::remove_dir_all(&dir);
    }
}

/// A request with this text in it.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    let _ = serde_json::from_str::<Request>(text);
}
