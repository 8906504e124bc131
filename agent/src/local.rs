//! What on-site staff may do on the gateway itself: a Unix socket in the state directory, which only the agent's user and root
//! can reach. One request a connection, one line of JSON each way; who asked is known from the kernel.

use std::io::{BufRead, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Client;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use mdfm_shared::id::DeploymentId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

const SOCKET: &str = "control.sock";
/// Bytes of one request.
const REQUEST_BYTES_MAX: u64 = 8 * 1024;
/// For a whole request, and for its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests that may wait.
const WAITING_MAX: usize = 16;

/// A wish of somebody on the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Request {
    /// The hospital's staff agree to a deployment, or take it back.
    Consent { deployment: DeploymentId, given: bool, reason: String },
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    done: bool,
    message: String,
}

/// A request with the Unix user who made it.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) uid: u32,
    /// What came of it, in words.
    pub(crate) reply: oneshot::Sender<Result<String, String>>,
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(SOCKET)
}

/// Listens; requests come out of the channel. Without a socket none do: devices are watched all the same.
pub(crate) fn listen(state_dir: &Path) -> mpsc::Receiver<Asked> {
    let (asked, requests) = mpsc::channel(WAITING_MAX);
    match bind(&path(state_dir)) {
        Ok(listener) => drop(tokio::spawn(accept(listener, asked))),
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

async fn accept(listener: UnixListener, asked: mpsc::Sender<Asked>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, asked.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a local connection could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, asked: mpsc::Sender<Asked>) {
    let uid = stream.peer_cred().map(|c| c.uid());
    let (reader, mut writer) = stream.into_split();
    let answer = match timeout(PATIENCE, ask(uid, reader, &asked)).await {
        Ok(Ok(message)) => Answer { done: true, message },
        Ok(Err(message)) => Answer { done: false, message },
        Err(_) => Answer { done: false, message: "the request took too long".into() },
    };
    let mut line = serde_json::to_vec(&answer).expect("two plain fields encode");
    line.push(b'\n');
    // Who asked may have gone; what was done stands in the telemetry.
    let _ = timeout(PATIENCE, writer.write_all(&line)).await;
}

async fn ask(uid: std::io::Result<u32>, reader: OwnedReadHalf, asked: &mpsc::Sender<Asked>) -> Result<String, String> {
    let uid = uid.map_err(|e| format!("who is asking is not known: {e}"))?;
    if uid != 0 && uid != nix::unistd::Uid::current().as_raw() {
        return Err(format!("user {uid} may not ask; use root or the agent's own user"));
    }
    let mut line = String::new();
    let mut limited = BufReader::new(reader).take(REQUEST_BYTES_MAX);
    limited.read_line(&mut line).await.map_err(|e| format!("the request cannot be read: {e}"))?;
    let request = serde_json::from_str(&line).map_err(|e| format!("the request is not understood: {e}"))?;
    let (reply, answer) = oneshot::channel();
    asked.try_send(Asked { request, uid, reply }).map_err(|_| "too many requests are waiting".to_owned())?;
    answer.await.unwrap_or_else(|_| Err("the agent is stopping".into()))
}

/// Asks the agent that runs on this gateway.
///
/// # Errors
/// No agent runs here, this user may not ask, or the agent says no, and why.
pub(crate) fn request(state_dir: &Path, request: &Request) -> anyhow::Result<String> {
    let path = path(state_dir);
    let stream = Client::connect(&path)
        .with_context(|| format!("no agent can be reached at {}; is it running, and are you root?", path.display()))?;
    stream.set_read_timeout(Some(PATIENCE * 2))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    (&stream).write_all(&line)?;
    let mut answer = String::new();
    std::io::BufReader::new(&stream).read_line(&mut answer).context("the agent did not answer")?;
    let answer: Answer = serde_json::from_str(&answer).context("the agent's answer is not understood")?;
    anyhow::ensure!(answer.done, "{}", answer.message);
    Ok(answer.message)
}
