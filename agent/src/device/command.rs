//! The adapter for devices that only their maker's own tool can reach: `docs/command-adapter.md` says what the tool must do.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mdfm_agent_core::gateway::Malformed;
use mdfm_shared::device::{Command, FaultMessage, Order, Refusal, Report};
use mdfm_shared::id::DeviceId;
use mdfm_shared::telemetry::FirmwareReport;
use serde::Deserialize;
use serde_json::json;

use super::local::{Attached, Said};
use super::program::Program;

/// Exit code of a tool that refused the order; it said why.
const REFUSED: i32 = 10;
/// Exit code of a tool that cannot reach the device now.
const UNREACHABLE: i32 = 75;

/// A device behind its maker's tool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandConfig {
    /// The tool.
    pub(crate) program: PathBuf,
    /// Arguments before the operation.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// Time between two reports, in seconds.
    #[serde(default = "poll_seconds")]
    pub(crate) poll_seconds: u64,
    /// Time that the tool has for an order or a report, and between two pieces of progress of a writing, in seconds.
    #[serde(default = "deadline_seconds")]
    pub(crate) deadline_seconds: u64,
}

fn poll_seconds() -> u64 {
    2
}
fn deadline_seconds() -> u64 {
    60
}

/// What a tool says, one a line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Line {
    /// The device's whole state; `lastOrder` and `lastRefusal` are the agent's to fill in.
    Report(Box<Report>),
    /// A fault of the device, once; numbered where the report holds it too.
    Fault(FaultMessage),
    /// Why the order is refused; with exit code 10.
    Refusal { code: String, message: String },
    /// Bytes of the image that would survive a power cut.
    Written { bytes: u64 },
}

/// A writing in progress.
struct Writing {
    program: Program,
    next: u64,
    size_bytes: u64,
}

/// The device's side of the protocol.
pub(crate) struct CommandDevice {
    device: DeviceId,
    config: CommandConfig,
    last_order: u64,
    last_refusal: Option<Refusal>,
    /// The newest that is known of it, and whether that is news.
    report: Option<Report>,
    fresh: bool,
    /// What is being written, since the order to begin.
    begun: Option<(FirmwareReport, u64)>,
    writing: Option<Writing>,
    next_poll: Instant,
    pending: Vec<Said>,
}

impl CommandDevice {
    pub(crate) fn new(device: DeviceId, config: CommandConfig) -> Self {
        Self {
            device,
            config,
            last_order: 0,
            last_refusal: None,
            report: None,
            fresh: false,
            begun: None,
            writing: None,
            next_poll: Instant::now(),
            pending: Vec::new(),
        }
    }

    fn start(&self, operation: &str) -> io::Result<Program> {
        let mut command = vec![self.config.program.display().to_string()];
        command.extend(self.config.arguments.iter().cloned());
        Program::start(&command, &[operation, self.device.as_str()], self.deadline())
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(self.config.deadline_seconds)
    }

    /// Runs one operation to its end; gives the refusal if it refused.
    fn run(&mut self, operation: &str, input: &serde_json::Value) -> io::Result<Option<Refusal>> {
        let mut program = self.start(operation)?;
        let mut line = serde_json::to_vec(input)?;
        line.push(b'\n');
        // A tool need not read what it does not need.
        let _ = program.write(&line);
        let (said, status) = program.end()?;
        let refusal =
            said.iter().map(|line| self.hear(line)).collect::<io::Result<Vec<_>>>()?.into_iter().flatten().last();
        match status.code() {
            Some(0) => Ok(None),
            Some(REFUSED) => Ok(Some(refusal.unwrap_or(Refusal {
                order: 0,
                code: "refused".into(),
                message: "the tool did not say why".into(),
            }))),
            Some(UNREACHABLE) => {
                self.fresh = false;
                Ok(None)
            }
            _ => Err(io::Error::other(format!("{} {operation} ended with {status}", self.config.program.display()))),
        }
    }

    /// Takes a line; gives the refusal that it says.
    fn hear(&mut self, line: &str) -> io::Result<Option<Refusal>> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(None);
        }
        match serde_json::from_str(line) {
            Ok(Line::Report(report)) => {
                self.report = Some(*report);
                self.fresh = true;
            }
            Ok(Line::Fault(fault)) => self.pending.push(Said::Fault(fault)),
            Ok(Line::Refusal { code, message }) => return Ok(Some(Refusal { order: 0, code, message })),
            Ok(Line::Written { bytes }) => {
                if let Some(staged) = self.report.as_mut().and_then(|r| r.staged.as_mut()) {
                    staged.written_bytes = bytes;
                    self.fresh = true;
                }
            }
            Err(error) => {
                return Err(io::Error::other(format!("the tool says what is no line of its protocol: {error}")));
            }
        }
        Ok(None)
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.writing.is_none() {
            let Some((firmware, size_bytes)) = self.begun.clone() else { return Ok(()) };
            let from = self.report.as_ref().and_then(|r| r.staged.as_ref()).map_or(0, |s| s.written_bytes);
            if offset != from || offset >= size_bytes {
                return Ok(());
            }
            let mut program = self.start("write")?;
            let header = json!({ "sha256": firmware.sha256, "offset": offset, "sizeBytes": size_bytes });
            program.write(format!("{header}\n").as_bytes())?;
            self.writing = Some(Writing { program, next: offset, size_bytes });
        }
        let deadline = self.deadline();
        let Some(writing) = &mut self.writing else { return Ok(()) };
        if offset != writing.next || offset + data.len() as u64 > writing.size_bytes {
            return Ok(());
        }
        writing.program.grant(deadline);
        writing.program.write(data)?;
        writing.next += data.len() as u64;
        if writing.next == writing.size_bytes {
            self.end_writing()?;
        }
        Ok(())
    }

    /// Lets the tool end its writing: what it has then is durable.
    fn end_writing(&mut self) -> io::Result<()> {
        let Some(Writing { program, .. }) = self.writing.take() else { return Ok(()) };
        program.grant(self.deadline());
        let (said, status) = program.end()?;
        for line in said {
            self.hear(&line)?;
        }
        if !status.success() {
            return Err(io::Error::other(format!("{} write ended with {status}", self.config.program.display())));
        }
        self.look()
    }

    fn look(&mut self) -> io::Result<()> {
        self.next_poll = Instant::now() + Duration::from_secs(self.config.poll_seconds);
        self.run("report", &json!({})).map(drop)
    }
}

fn operation(order: &Order) -> &'static str {
    match order {
        Order::Begin { .. } => "begin",
        Order::Finish { .. } => "finish",
        Order::Activate { .. } => "activate",
        Order::Confirm { .. } => "confirm",
        Order::Rollback { .. } => "rollback",
    }
}

impl Attached for CommandDevice {
    fn order(&mut self, command: &Command) -> io::Result<()> {
        if command.order == self.last_order {
            return Ok(());
        }
        if let Order::Begin { firmware, size_bytes, .. } = &command.what {
            self.writing = None;
            self.begun = Some((firmware.clone(), *size_bytes));
        } else if self.writing.is_some() {
            self.end_writing()?;
        }
        let refusal = self.run(operation(&command.what), &serde_json::to_value(command)?)?;
        self.last_order = command.order;
        self.last_refusal = refusal.map(|r| Refusal { order: command.order, ..r });
        self.look()
    }

    fn chunk(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if let Err(error) = self.write(offset, data) {
            // What the tool reports next says where to go on.
            self.writing = None;
            self.pending.push(Said::Malformed(Malformed::with("the image was not written", error)));
        }
        // A tool that nobody listens to stops writing.
        self.idle()
    }

    fn idle(&mut self) -> io::Result<()> {
        let Some(writing) = &self.writing else { return Ok(()) };
        let lines: Vec<String> =
            std::iter::from_fn(|| writing.program.line(Duration::ZERO).transpose()).collect::<io::Result<_>>()?;
        lines.iter().try_for_each(|line| self.hear(line).map(drop))
    }

    fn poll(&mut self) -> io::Result<Vec<Said>> {
        // While the tool writes nobody else may reach the device through it.
        if self.writing.is_none() && Instant::now() >= self.next_poll {
            self.look()?;
        }
        let mut said = std::mem::take(&mut self.pending);
        if let Some(report) = self.report.as_ref().filter(|_| std::mem::take(&mut self.fresh)) {
            let report =
                Report { last_order: self.last_order, last_refusal: self.last_refusal.clone(), ..report.clone() };
            said.push(Said::Report(Box::new(report)));
        }
        Ok(said)
    }
}

/// A line of a maker's tool.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Line>(bytes);
}
