//! The commands of on-site staff: `mdfm-agent status` and its like.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use mdfm_service::output as terminal;
use mdfm_service::terminal::{Table, columns as terminal_columns, wrapped_table};
use mdfm_shared::id::{DeploymentId, DeviceId};
use mdfm_shared::text::{count, printable};
use serde_json::{Value, json};

use super::bundle::{self, word};
use super::{Request, confirm, request};
use crate::device_files::Change;

/// What somebody on the gateway wants. Each needs root or the agent's own user.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Shows how the gateway is: line to the vendor, directive, trust documents, what waits to be reported.
    Status,
    /// Lists the devices with what they run and where an installation stands.
    Devices,
    /// Shows all that is known of one device; adds, lists and removes configured devices.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Device {
        /// Device id.
        #[arg(required = true)]
        device: Option<DeviceId>,
        #[command(subcommand)]
        change: Option<Change>,
    },
    /// Returns a device to the firmware that it ran before, unless it is in use.
    Rollback {
        /// Device id.
        device: DeviceId,
        /// Who wants it and why.
        #[arg(long)]
        reason: String,
        /// Do it without asking; for scripts.
        #[arg(long)]
        yes: bool,
    },
    /// Leaves a device as it is: nothing is activated on it until it is released.
    Hold {
        /// Device id.
        device: DeviceId,
        /// Who wants it and why.
        #[arg(long)]
        reason: String,
    },
    /// Ends a hold, or the quarantine of a device on which three installations in a row failed.
    Release {
        /// Device id.
        device: DeviceId,
        /// Who wants it and why.
        #[arg(long)]
        reason: String,
    },
    /// Says that this hospital's staff agree to a deployment, with or without a connection.
    Consent {
        /// Deployment id.
        deployment: DeploymentId,
        /// Who agrees and why.
        #[arg(long)]
        reason: String,
        /// Take the consent back: devices not yet activated wait again.
        #[arg(long)]
        withdraw: bool,
    },
    /// Brings a bundle from removable media: documents and images, checked as if they had come over the network.
    Import {
        /// The file that `mdfmctl bundles export` made.
        bundle: PathBuf,
    },
    /// Writes the telemetry that waits to a file, for a gateway without a line; `mdfmctl bundles deliver` takes it up.
    Export {
        /// The file to make.
        file: PathBuf,
    },
    /// Shows the newest events, the newest last; `journalctl -u mdfm-agent` has more.
    Logs {
        /// Only of this device.
        #[arg(long)]
        device: Option<DeviceId>,
        /// Largest number of events.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Asks the running agent whether it can do its work: clock, disk, certificate, line, devices, what they wait for. Fails if it cannot.
    Selftest,
    /// Takes the gateway's clock as right where a wrong one once stood far ahead, which the gateway remembers: for root alone. It asks first, and the
    /// vendor is informed. Set the clock before (timedatectl).
    AcceptClock {
        /// Who compared the clock, and with what.
        #[arg(long)]
        reason: String,
        /// Do it without asking; for scripts.
        #[arg(long)]
        yes: bool,
    },
}

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints JSON, or the lines that `words` makes, on a terminal at its width.
    fn answer(self, data: &Value, words: impl FnOnce() -> Vec<String>) {
        if self.json {
            terminal::json(data);
            return;
        }
        words().into_iter().for_each(terminal::prose);
    }

    pub(crate) fn message(self, message: &str, data: &Value) {
        let mut answer = json!({ "message": message });
        if !data.is_null() {
            answer["data"] = data.clone();
        }
        self.answer(&answer, || vec![message.to_owned()]);
    }

    pub(crate) fn rows(self, rows: &Value, columns: &[(&str, &str)]) {
        if !self.json && rows.as_array().is_none_or(Vec::is_empty) {
            terminal::note("nothing found");
            return;
        }
        if self.json {
            terminal::json(rows);
            return;
        }
        let width = terminal_columns();
        let Table { lines, left_out } = table(rows, columns, width);
        lines.iter().for_each(terminal::line);
        if let Some(width) = width.filter(|_| !left_out.is_empty()) {
            let names = left_out.join(", ");
            let words = format!("not shown at {width} columns: {names}; --json shows everything");
            terminal::note(words);
        }
    }
}

/// Columns that a narrow terminal goes without first.
const LEAST_FIRST: [&str; 4] = ["DETAIL", "ATTACHED", "HELD", "TARGET"];

/// A table at the width of a terminal. Nothing is cut; a column in which nothing stands takes no room.
fn table(rows: &Value, columns: &[(&str, &str)], width: Option<usize>) -> Table {
    let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
    let cell = |row: &Value, at: &str| row.pointer(at).map_or("-".into(), word);
    let is_shown = |(i, (_, at)): &(usize, &(&str, &str))| *i == 0 || rows.iter().any(|row| cell(row, at) != "-");
    let shown: Vec<&(&str, &str)> = columns.iter().enumerate().filter(is_shown).map(|(_, column)| column).collect();
    let names = shown.iter().map(|(name, _)| (*name).to_owned()).collect();
    let cells = rows.iter().map(|row| shown.iter().map(|(_, at)| cell(row, at)).collect());
    let all: Vec<Vec<String>> = std::iter::once(names).chain(cells).collect();
    wrapped_table(&all, width, &LEAST_FIRST)
}

/// What was exported, in words.
fn exported(batches: usize, file: &Path) -> String {
    let path = file.display();
    match batches {
        0 => format!("no telemetry waits: everything has reached the vendor, and {path} was not made"),
        n => format!("{} written to {path}; bring it to `mdfmctl bundles deliver`", count(n, "batch")),
    }
}

/// What a device waits for, who can end that, and how.
fn wait_parts(waiting: &Value) -> [String; 3] {
    let of = |name: &str| word(&waiting[name]);
    let device = waiting["device"].as_str().map_or_else(String::new, |device| format!("{}: ", printable(device)));
    let since = waiting["since"].as_str().map_or_else(String::new, |at| format!(" since {}", printable(at)));
    let until = waiting["until"].as_str().map_or_else(String::new, |at| format!(" until {}", printable(at)));
    [
        format!("{device}{} ({}){since}{until}", of("text"), of("code")),
        format!("who can end it: {}", of("who")),
        format!("how: {}", of("how")),
    ]
}

/// What a device waits for, in one line.
pub(crate) fn wait_in_words(waiting: &Value) -> String {
    wait_parts(waiting).join("; ")
}

/// The same in lines of their own, the first with the field's name.
fn wait_lines(name: &str, waiting: &Value) -> Vec<(String, String)> {
    let [what, who, how] = wait_parts(waiting);
    vec![(name.to_owned(), what), (String::new(), who), (String::new(), how)]
}

/// One field a line.
fn fields(data: &Value) -> Vec<String> {
    let all = data.as_object().into_iter().flatten();
    let pairs: Vec<(String, String)> = all
        .flat_map(|(name, value)| match value {
            Value::Array(waits) if name == "waiting" && !waits.is_empty() => {
                waits.iter().flat_map(|waiting| wait_lines(name, waiting)).collect()
            }
            Value::Object(_) if name == "waiting" => wait_lines(name, value),
            Value::Object(parts) => parts
                .iter()
                .map(|(part, value)| (printable(&format!("{name}.{part}")).into_owned(), word(value)))
                .collect(),
            _ => vec![(printable(name).into_owned(), word(value))],
        })
        .collect();
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(20);
    pairs.into_iter().map(|(name, value)| format!("{name:width$} {value}")).collect()
}

/// Does what somebody on the gateway wants.
///
/// # Errors
/// No agent runs here, this user may not ask, or the agent says no, and why.
pub(crate) fn run(state_dir: &Path, action: Action, output: Output) -> anyhow::Result<()> {
    let ask = |what: &Request| request(state_dir, what, None);
    let done = |what: &Request| ask(what).map(|(message, data)| output.message(&message, &data));
    match action {
        Action::Status => {
            let (_, data) = ask(&Request::Status)?;
            output.answer(&data, || fields(&data));
            Ok(())
        }
        Action::Devices => {
            let (_, data) = ask(&Request::Devices { device: None })?;
            let columns = [
                ("DEVICE", "/device"),
                ("STATE", "/state"),
                ("RUNNING", "/running/version"),
                ("TARGET", "/target/version"),
                ("ATTACHED", "/attached"),
                ("IN USE", "/inUse"),
                ("HELD", "/held"),
                ("WAITS FOR", "/waiting/text"),
                ("DETAIL", "/detail"),
            ];
            output.rows(&data, &columns);
            Ok(())
        }
        Action::Device { device, .. } => {
            let (_, data) = ask(&Request::Devices { device })?;
            output.answer(&data[0], || fields(&data[0]));
            Ok(())
        }
        Action::Rollback { device, reason, yes } => {
            if !yes {
                let (_, data) = ask(&Request::Devices { device: Some(device.clone()) })?;
                if let Some(why_not) = data[0]["cannotGoBackBecause"].as_str() {
                    anyhow::bail!("{device} is not rolled back: {}", word(&why_not.into()));
                }
                confirm::ask(&way_back(&data[0]), device.as_str())?;
            }
            done(&Request::Rollback { device, reason })
        }
        Action::Hold { device, reason } => done(&Request::Hold { device, reason }),
        Action::Release { device, reason } => done(&Request::Release { device, reason }),
        Action::Consent { deployment, reason, withdraw } => {
            done(&Request::Consent { deployment, given: !withdraw, reason })
        }
        Action::Import { bundle } => {
            let said = bundle::import(state_dir, &bundle)?;
            output.answer(&json!({ "imported": said }), || said.clone());
            Ok(())
        }
        Action::Export { file } => {
            let n = bundle::export(state_dir, &file)?;
            output.message(&exported(n, &file), &json!({ "batches": n }));
            Ok(())
        }
        Action::Logs { device, limit } => {
            let (_, data) = ask(&Request::Logs { device, limit })?;
            output.rows(&data, &[("TIME", "/at"), ("DEVICE", "/device"), ("EVENT", "/event"), ("DETAIL", "/detail")]);
            Ok(())
        }
        Action::AcceptClock { reason, yes } => {
            let (message, data) = super::clock::accept(state_dir, reason, yes)?;
            output.message(&message, &data);
            Ok(())
        }
        Action::Selftest => {
            let (_, data) = ask(&Request::SelfTest)?;
            output.rows(&data, &[("CHECK", "/check"), ("OK", "/ok"), ("FOUND", "/found")]);
            let bad: Vec<String> =
                data.as_array().into_iter().flatten().filter(|c| c["ok"] != true).map(|c| word(&c["check"])).collect();
            let names = bad.join(", ");
            anyhow::ensure!(bad.is_empty(), "the self-test failed: {names}; FOUND says why, and what to do");
            Ok(())
        }
    }
}

/// What a rollback does to a device, in words.
fn way_back(device: &Value) -> String {
    let of = |place: &str| device.pointer(place).filter(|value| !value.is_null()).map_or("unknown".into(), word);
    format!(
        "device       {} (model {}, serial {})\nruns         {}\ngoes back to {}\nin use       {}",
        of("/device"),
        of("/model"),
        of("/serial"),
        of("/running/version"),
        of("/goesBackTo/version"),
        of("/inUse")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_13_a_rollback_is_asked_for_with_its_versions() {
        let device = json!({
            "device": "D-1", "model": "M", "serial": "S-7", "running": { "version": "2.1.0" }, "inUse": true,
            "goesBackTo": { "version": "2.0.3" },
        });
        let words = way_back(&device);
        for part in ["D-1", "S-7", "runs         2.1.0", "goes back to 2.0.3", "in use       true"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(way_back(&json!({ "device": "D-1" })).contains("goes back to unknown"));
    }

    #[test]
    fn cli_26_tables_on_site_fit_the_terminal_and_lose_nothing() {
        let rows = json!([
            { "check": "clock", "ok": true, "found": "right" },
            { "check": "line", "ok": false, "found": "no connection since 2026-11-29T13:00:00Z: the coordinator cannot be reached, and so on" },
        ]);
        let columns = [("CHECK", "/check"), ("OK", "/ok"), ("SITE", "/site"), ("FOUND", "/found")];
        let lines = table(&rows, &columns, Some(60)).lines;
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{lines:?}");
        assert!(!lines[0].contains("SITE"), "an empty column takes no room: {lines:?}");
        assert!(lines.concat().contains("and so on") && lines.len() == 4, "{lines:?}");
        assert_eq!(table(&rows, &columns, None).lines.len(), 3, "a file gets one line a row");
    }

    #[test]
    fn cli_23_one_device_is_shown_without_json() {
        let device = json!({ "device": "D-1", "running": { "releaseNumber": 1, "version": "2.1.0" }, "waiting": [] });
        let lines = fields(&device);
        assert!(lines.iter().any(|line| line == "running.version       2.1.0"), "{lines:?}");
        assert!(!lines.concat().contains(['{', '"']), "{lines:?}");
    }

    #[test]
    fn cli_25_an_export_of_nothing_is_said_and_is_no_error() {
        let file = Path::new("/media/stick/telemetry");
        assert!(exported(0, file).contains("no telemetry waits") && exported(0, file).contains("was not made"));
        assert!(exported(1, file).starts_with("1 batch written to") && exported(2, file).starts_with("2 batches"));
    }
}
