//! `mdfm-coordinator quickstart` as a newcomer meets it: one command, then the commands that it prints.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mdfm_tests::{Api, Checked, program, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::fresh_dir;

const BEGIN: &str = "# ---- commands of the trial ----\n";
const END: &str = "# ---- end of the commands ----\n";

/// A running `quickstart`, which stops with its handle.
struct Quickstart {
    child: Child,
    output: std::path::PathBuf,
}

impl Quickstart {
    fn start(dir: &Path, output: &Path) -> Self {
        let file = File::create(output).unwrap();
        let child = Command::new(program("mdfm-coordinator").unwrap())
            .arg("quickstart")
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, output: output.to_owned() }
    }
    fn text(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }
    /// Waits until it has printed these words.
    fn prints(&mut self, words: &str) -> String {
        let output = self.output.clone();
        wait_for(words, Duration::from_secs(60), || {
            let text = std::fs::read_to_string(&output)?;
            let is_running = matches!(self.child.try_wait(), Ok(None));
            anyhow::ensure!(is_running || text.contains(words), "it ended: {text}");
            Ok(text.contains(words).then_some(text))
        })
        .unwrap()
    }
    /// Stops it as Ctrl-C does, and returns whether it ended well.
    fn interrupt(&mut self) -> bool {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        wait_for("the end", Duration::from_secs(40), || Ok(self.child.try_wait()?)).unwrap().success()
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.interrupt();
        }
        mdfm_tests::check_errors(
            "mdfm-coordinator",
            std::fs::read_to_string(&self.output).unwrap_or_default().as_bytes(),
        );
    }
}

/// Runs a script with a bound, and returns standard output and standard error.
fn sh(script: &str, dir: &Path) -> (String, String) {
    let output =
        Command::new("timeout").args(["180", "sh", "-eu", "-c", script]).current_dir(dir).checked_output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status.code());
    (out, err)
}

fn processes(dir: &Path) -> Vec<i32> {
    let mark: Value = serde_json::from_slice(&std::fs::read(dir.join(".mdfm-trial")).unwrap()).unwrap();
    mark["processes"].as_array().unwrap().iter().map(|pid| pid.as_i64().unwrap().try_into().unwrap()).collect()
}

fn is_running(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

/// What a person of the trial gets as JSON.
fn ctl(dir: &Path, user: &str, arguments: &[&str]) -> Value {
    let session = dir.join(format!("people/{user}.session"));
    let mut command = Command::new(program("mdfmctl").unwrap());
    let output = command.arg("--json").arg("--session").arg(session).args(arguments).checked_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{arguments:?}: JSON has the mark as a field: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// Everything of the trial that could be taken for a real installation's.
fn is_marked(dir: &Path) {
    let api = Api::with_session(&dir.join("people/auditor.session")).unwrap();
    for path in ["/api/v1/health", "/api/v1/me", "/api/v1/deployments", "/api/v1/nothing", "/api/v1/openapi.json"] {
        let (_, headers, body) = api.raw(path).unwrap();
        assert_eq!(headers.get("mdfm-trial").map(|v| v.as_bytes()), Some(&b"true"[..]), "{path}: {body}");
    }
    let (_, headers, health) = api.anonymous().raw("/api/v1/health").unwrap();
    assert!(headers.contains_key("mdfm-trial") && health.contains("\"trial\":true"), "{health}");
    assert_eq!(ctl(dir, "auditor", &["whoami"])["trial"], true);
    let first = ctl(dir, "auditor", &["audit", "show", "0"]);
    assert!(first.to_string().contains("installation.trial"), "{first}");
    let out = dir.join("report");
    for (kind, id, format) in [("device", Some("DEV-001"), "csv"), ("access", None, "json"), ("system", None, "pdf")] {
        let out = format!("{}.{format}", out.display());
        let id: Vec<&str> = id.into_iter().collect();
        ctl(dir, "auditor", &[&["report", "make", kind][..], &id, &["--out", &out]].concat());
        let made = String::from_utf8_lossy(&std::fs::read(&out).unwrap()).into_owned();
        // The title of a PDF stands uncompressed in its metadata.
        let mark = if format == "csv" { ",TRIAL\r\n" } else { "TRIAL INSTALLATION, not for patients" };
        assert!(made.contains(mark), "{kind}: {}", made.chars().take(2_000).collect::<String>());
        if format == "pdf" {
            // A PDF is verified by what is attached to it, and that has a digest of its own.
            let (key, saved) = (dir.join("coordinator/online.pub").display().to_string(), format!("{out}.json"));
            let verified = ctl(dir, "auditor", &["reports", "verify", &out, "--coordinator", &key, "--out", &saved]);
            let again = ctl(dir, "auditor", &["reports", "verify", &saved, "--coordinator", &key]);
            assert!(verified["factsSha256"].as_str().is_some_and(|digest| digest.len() == 64), "{verified}");
            assert_eq!(verified, again);
        }
    }
    let log = std::fs::read_to_string(dir.join("logs/coordinator.log")).unwrap();
    assert!(log.contains("this is a TRIAL installation"), "{log}");
}

#[test]
fn cli_27_quickstart_leads_to_a_device_and_back() {
    let base = fresh_dir("quickstart");
    std::fs::create_dir_all(&base).unwrap();
    // A name that a shell would take apart.
    let dir = base.join("my trial");
    // Stopped while it is made, it leaves nothing running; the same command makes it again.
    let mut early = Quickstart::start(&dir, &base.join("early.log"));
    early.prints("  people: ");
    let left = processes(&dir);
    assert!(early.interrupt(), "{}", early.text());
    assert!(early.text().contains("stopped") && !left.is_empty() && !left.iter().any(|pid| is_running(*pid)));
    let mut first = Quickstart::start(&dir, &base.join("first.log"));
    let printed = first.prints(END);
    assert!(printed.contains("TRIAL INSTALLATION, not for patients: ready after "), "{printed}");
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/start.md")).unwrap();
    let shown = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap().replace("mdfm-trial", "my trial");
    let (shown, lines): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), printed.lines().collect());
    assert!(crate::documents::lines_fit(&shown, &lines), "docs/start.md shows {shown:#?}");
    let commands = printed.split(BEGIN).nth(1).unwrap().split(END).next().unwrap();

    let until = commands.find("grep -q awaitingValidation").unwrap();
    let count = crate::documents::count_commands(&commands[..until]);
    assert!(page.contains(&format!("| {count} commands, printed to be pasted |")), "docs/start.md must say {count}");

    // Exactly what it printed, up to a confirmed device and its way back.
    let (out, err) = sh(commands, &base);
    assert!(out.contains("confirmed") && out.contains("runs 2.2.0"), "{out}");
    assert!(out.contains("installation rolled back") && out.contains("VERIFIED"), "{out}");
    assert!(err.contains("TRIAL installation"), "the notice on standard error: {err}");
    is_marked(&dir);

    // Whoever holds one folder holds everything, and nobody else does.
    let secret = |name: &str| std::fs::metadata(dir.join("people").join(name)).unwrap().permissions().mode();
    for name in ["admin.password", "nurse.factor", "qa.session", "qa.recovery-codes", "trial-secret-keys/root-1"] {
        assert_eq!(secret(name) & 0o077, 0, "{name}");
    }
    assert_eq!(secret("."), 0o40700);

    // A second factor is set up at the first sign-in alone.
    let wrong =
        "mdfmctl --session people/x login --user qa --password-file people/qa.password --factor-file people/none";
    let setup: String =
        commands.lines().filter(|l| l.starts_with("cd ") || l.starts_with("export ")).collect::<Vec<_>>().join("\n");
    let (out, _) = sh(&format!("{setup}\n{wrong} 2>&1 || true"), &base);
    assert!(out.contains("people/none does not exist, and the account has a second factor already"), "{out}");
    assert!(!dir.join("people/none").exists());

    // A second one beside it is refused; a child that dies is reported; Ctrl-C leaves nothing behind.
    let second =
        Command::new(program("mdfm-coordinator").unwrap()).args(["quickstart", "--dir"]).arg(&dir).checked_output();
    let second = String::from_utf8_lossy(&second.unwrap().stderr).into_owned();
    assert!(second.contains("is running already"), "{second}");
    let running = processes(&dir);
    assert_eq!(running.len(), 3, "coordinator, gateway and device");
    kill(Pid::from_raw(running[1]), Signal::SIGKILL).unwrap();
    first.prints(&format!("the gateway (process {}) ended: signal: 9", running[1]));
    assert!(first.interrupt(), "{}", first.text());
    assert!(running.iter().all(|pid| !is_running(*pid)), "{running:?}");

    // The same command starts it again, with everything that was done.
    let mut again = Quickstart::start(&dir, &base.join("again.log"));
    let printed = again.prints(END);
    assert!(printed.starts_with("starting the trial in "), "{printed}");
    // What is done is not advised again, and what is advised works as pasted, a second copy of the log too.
    let commands = printed.split(BEGIN).nth(1).unwrap().split(END).next().unwrap();
    assert!(
        commands.contains("# Done: Clinical, QA, Regulatory approved it.") && !commands.contains(" approve "),
        "{commands}"
    );
    assert_eq!(
        std::fs::read_to_string(dir.join("next-steps.sh"))
            .unwrap()
            .split(BEGIN)
            .nth(1)
            .unwrap()
            .split(END)
            .next()
            .unwrap(),
        commands
    );
    let (out, _) = sh(commands, &base);
    assert!(out.contains("installation rolled back") && out.contains("VERIFIED"), "{out}");
    let device = ctl(&dir, "operator", &["devices", "show", "DEV-001"]);
    assert_eq!(device["currentFirmwareVersion"], "2.1.0", "{device}");
    assert!(again.interrupt(), "{}", again.text());
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn cli_27_quickstart_says_what_is_missing() {
    let base = fresh_dir("quickstart-alone");
    std::fs::create_dir_all(&base).unwrap();
    let alone = base.join("mdfm-coordinator");
    std::fs::copy(program("mdfm-coordinator").unwrap(), &alone).unwrap();
    let output = Command::new(&alone)
        .args(["quickstart", "--dir"])
        .arg(base.join("trial"))
        .env("PATH", "/nowhere")
        .checked_output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && words.contains("mdfm-sim (package mdfm-simulators)"), "{words}");
    assert!(!base.join("trial").exists(), "nothing was made");
    std::fs::remove_dir_all(&base).unwrap();
}
