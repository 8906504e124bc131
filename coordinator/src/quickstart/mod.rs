//! `quickstart`: a trial installation on one machine, in one directory. Every step is the one that people take: `init`, `mdfmctl`'s ceremony, accounts
//! with second factors, an enrolment token, an upload signed with the release key. The programs beside this one carry them out; nothing is done past
//! the API, and no check is left out.
//!
//! `folder` is the directory and its mark, `programs` the child processes, `guide` (pure) what is printed at the end.

mod folder;
mod guide;
mod programs;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use mdfm_service::{atomic_write, output};
use mdfm_shared::digest::Digest;
use serde_json::{Value, json};

use folder::{Folder, Mark};
use programs::{Children, Programs, Stopped};

/// Where the trial of nobody's hospital is.
const HOSPITAL: &str = "HOSP-001";
const GATEWAY: &str = "GW-001";
const DEVICE: &str = "DEV-001";
const SERIAL: &str = "SN-001";
const RELEASE: &str = "FW-2.2.0";
/// Name of a trial's log (RFC 6761 keeps `.invalid` for names that nobody has). It stands in every checkpoint and in every signed report.
const LOG_ORIGIN: &str = "trial.mdfm.invalid/log";
/// Bytes of the image, which the simulated device accepts whatever is in it.
const IMAGE_BYTES: usize = 200_000;
/// Longest time until a program of the trial serves.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Time between looks at the children.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const PASSWORD_BYTES: usize = 18;

/// Whom the trial has: user id, printed name, role.
const PEOPLE: [(&str, &str, &str); 7] = [
    ("admin", "First administrator", "Admin"),
    ("operator", "Olivia Operator", "Operator"),
    ("clinical", "Clara Clinical", "Clinical"),
    ("qa", "Quentin Quality", "QA"),
    ("regulatory", "Rita Regulatory", "Regulatory"),
    ("auditor", "Ines Inspector", "Auditor"),
    ("nurse", "Nora Nurse", "HospitalStaff"),
];
/// Those who approve releases; the ceremony opens their accounts.
const APPROVERS: [&str; 3] = ["clinical", "qa", "regulatory"];

/// Makes a trial installation and runs it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The directory: a new one, an empty one, or a trial that this command made, which it starts again.
    #[arg(long, default_value = "mdfm-trial")]
    dir: PathBuf,
    /// The coordinator's port on this machine; a free one if absent. A trial keeps the port that it was made with.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// Makes the trial, or starts it again, and runs it until somebody stops it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let started = Instant::now();
    let programs = Programs::find()?;
    let signals = programs::Signals::listen()?;
    let folder = Folder::open(&options.dir)?;
    let mut trial = Trial { folder, programs, children: Children::new(signals), progress: guide::Progress::default() };
    let ready = trial.bring_up(options.port);
    let ended = match ready {
        Ok(mark) => {
            output::line("");
            let guide = trial.guide(&mark);
            output::prose(guide::summary(&guide, started.elapsed()));
            // What is pasted into a shell keeps its lines.
            output::lines(guide::commands(&guide));
            trial.watch()
        }
        Err(error) => Err(error),
    };
    trial.children.stop();
    match ended {
        Err(error) if error.is::<Stopped>() => {
            output::line("stopped; the same command starts the trial again");
            Ok(())
        }
        ended => ended.with_context(|| {
            let dir = trial.folder.dir().display();
            format!("the trial in {dir} does not run (its logs: {dir}/logs)")
        }),
    }
}

/// A TCP port of loopback that is free now.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?.local_addr()?.port())
}

/// Refuses a port that another program has.
fn check_port(port: u16, what: &str) -> anyhow::Result<()> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop);
    free.with_context(|| {
        format!("{what} cannot have port {port} of 127.0.0.1; end the program that has it (ss -ltnp shows which)")
    })
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("this machine gives no random numbers: {e}"))?;
    Ok(bytes)
}

struct Trial {
    folder: Folder,
    programs: Programs,
    children: Children,
    progress: guide::Progress,
}

impl Trial {
    fn text(&self, name: &str) -> String {
        self.folder.path(name).display().to_string()
    }
    /// A file of somebody's secrets.
    fn of(&self, user: &str, kind: &str) -> String {
        self.text(&format!("people/{user}.{kind}"))
    }
    fn guide(&self, mark: &Mark) -> guide::Guide {
        guide::Guide {
            dir: self.folder.dir().to_owned(),
            tools: self.programs.not_in_path(),
            port: mark.port,
            manifest_digest: mark.manifest_digest.clone(),
            progress: self.progress.clone(),
        }
    }

    /// Reads which steps of the guide are done.
    fn read_progress(&mut self, port: u16) -> anyhow::Result<guide::Progress> {
        // The session of the run before may have ended. A sign-in can take half a minute: each code counts once.
        let has_session = match self.ctl("operator", &["whoami"]) {
            Err(error) if error.is::<Stopped>() => return Err(error),
            answer => answer.is_ok(),
        };
        if !has_session {
            let (url, ca) = (format!("https://127.0.0.1:{port}"), self.text("coordinator/ca.pem"));
            let (password, factor) = (self.of("operator", "password"), self.of("operator", "factor"));
            let login = ["login", "--url", &url, "--ca", &ca, "--user", "operator", "--password-file", &password];
            self.ctl("operator", &[&login[..], &["--factor-file", &factor]].concat())?;
        }
        let release = self.ctl("operator", &["firmware", "show", RELEASE])?;
        let deployments = self.ctl("operator", &["deployments", "list"])?;
        Ok(guide::Progress::new(&release, &deployments))
    }

    /// Starts everything; makes it before if it is not there.
    fn bring_up(&mut self, port: Option<u16>) -> anyhow::Result<Mark> {
        let mut mark = self.folder.mark().clone();
        if mark.ready {
            ensure!(
                port.is_none_or(|port| port == mark.port),
                "the trial in {} has port {}; start it without --port, or make another one with --dir",
                self.folder.dir().display(),
                mark.port
            );
            output::line(format_args!("starting the trial in {}", self.folder.dir().display()));
        } else {
            output::line(format_args!("making a trial in {}", self.folder.dir().display()));
            mark = Mark { port: port.map_or_else(free_port, Ok)?, ..Mark::default() };
        }
        check_port(mark.port, "the coordinator")?;
        if mark.ready {
            check_port(mark.device_port, "the gateway")?;
        }
        self.keep(&mark)?;
        if !mark.ready {
            self.make_coordinator(mark.port)?;
        }
        self.start_coordinator(&mark)?;
        if !mark.ready {
            self.make_people(mark.port)?;
            self.make_hospital(&mut mark)?;
        }
        self.start_gateway(&mark)?;
        self.start_device(&mark)?;
        if !mark.ready {
            mark.manifest_digest = self.make_release()?;
            self.wait_for_device()?;
            mark.ready = true;
            self.keep(&mark)?;
        } else {
            // A trial that runs is worth more than its advice.
            match self.read_progress(mark.port) {
                Ok(progress) => self.progress = progress,
                Err(error) if error.is::<Stopped>() => return Err(error),
                Err(error) => {
                    output::note(format_args!("which of the steps below are done already is not known: {error:#}"))
                }
            }
        }
        let guide = guide::commands(&self.guide(&mark));
        atomic_write(&self.folder.path("next-steps.sh"), guide.as_bytes()).context("writing next-steps.sh")?;
        Ok(mark)
    }

    /// Keeps the mark with the processes that run now.
    fn keep(&self, mark: &Mark) -> anyhow::Result<()> {
        self.folder.keep(&Mark { processes: self.children.ids(), ..mark.clone() })
    }

    fn step(&self, what: &str) {
        output::line(format_args!("  {what}"));
    }

    /// Runs `mdfmctl` as somebody, and returns its JSON.
    fn ctl(&mut self, user: &str, arguments: &[&str]) -> anyhow::Result<Value> {
        let session = self.of(user, "session");
        let all = [&["--json", "--session", &session][..], arguments].concat();
        let printed = self.children.call(&self.programs.ctl, &all)?;
        Ok(serde_json::from_str(&printed).unwrap_or(Value::Null))
    }

    fn write_secret(&self, name: &str, text: &str) -> anyhow::Result<()> {
        folder::write_secret(&self.folder.path(name), text.as_bytes())
    }

    fn make_password(&self, user: &str) -> anyhow::Result<()> {
        let password = URL_SAFE_NO_PAD.encode(random::<PASSWORD_BYTES>()?);
        self.write_secret(&format!("people/{user}.password"), &password)
    }

    fn make_coordinator(&mut self, port: u16) -> anyhow::Result<()> {
        self.step("coordinator: keys, certificates, an empty audit log");
        self.make_password("admin")?;
        let (data, password) = (self.text("coordinator"), self.of("admin", "password"));
        let names = ["--dns-name", "localhost", "--dns-name", "127.0.0.1", "--log-origin", LOG_ORIGIN];
        let init = ["init", "--data", &data, "--admin-password-file", &password, "--trial"];
        self.children.call(&self.programs.coordinator, &[&init[..], &names].concat())?;
        // Loopback alone: a trial serves nobody else's gateways.
        let config = format!(
            "# A trial installation, made by mdfm-coordinator quickstart. Not for patients.\n\
             data_dir = {data:?}\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"https://127.0.0.1:{port}\"\n"
        );
        atomic_write(&self.folder.path("coordinator.toml"), config.as_bytes()).context("writing coordinator.toml")
    }

    fn start_coordinator(&mut self, mark: &Mark) -> anyhow::Result<()> {
        let config = self.text("coordinator.toml");
        let log = self.folder.path("logs/coordinator.log");
        let program = self.programs.coordinator.clone();
        self.children.start("coordinator", &program, &["serve", "--config", &config], &log)?;
        self.keep(mark)?;
        self.wait_for_port(mark.port, "coordinator")
    }

    /// Waits until a child listens.
    fn wait_for_port(&mut self, port: u16, name: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect_timeout(&address, LOOK_INTERVAL).is_err() {
            self.children.check()?;
            ensure!(began.elapsed() < START_LIMIT, "{name} did not serve within {} s", START_LIMIT.as_secs());
            self.children.pause(Duration::from_millis(20))?;
        }
        self.children.check()
    }

    /// Signs somebody in for the first time and sets up the second factor.
    fn enrol(&mut self, port: u16, user: &str) -> anyhow::Result<()> {
        let (url, ca) = (format!("https://127.0.0.1:{port}"), self.text("coordinator/ca.pem"));
        let (password, factor) = (self.of(user, "password"), self.of(user, "factor"));
        self.ctl(user, &["login", "--url", &url, "--ca", &ca, "--user", user, "--password-file", &password])?;
        let enrol = ["second-factor", "enrol", "--password-file", &password, "--factor-file", &factor];
        let codes = self.ctl(user, &enrol)?["recoveryCodes"].take();
        let codes: Vec<&str> = codes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.write_secret(&format!("people/{user}.recovery-codes"), &(codes.join("\n") + "\n"))
    }

    /// The key ceremony, everybody's account, and everybody's second factor.
    fn make_people(&mut self, port: u16) -> anyhow::Result<()> {
        self.step("people: keys, trust root, roster of approvers, accounts with second factors");
        self.enrol(port, "admin")?;
        let people = self.text("people");
        let (online, vkey) = (self.text("coordinator/online.pub"), self.text("coordinator/log.vkey"));
        let approver = |user: &&str| PEOPLE.iter().find(|person| person.0 == *user);
        let approvers: Vec<String> =
            APPROVERS.iter().filter_map(approver).map(|(user, name, role)| format!("{user}|{name}|{role}")).collect();
        let mut init = vec!["init", &people, "--trial", "--coordinator", &online, "--log-vkey", &vkey];
        init.extend(approvers.iter().flat_map(|approver| ["--approver", approver]));
        self.ctl("admin", &init)?;
        for user in APPROVERS {
            // The ceremony's first password stays the trial's.
            let first = self.folder.path(&format!("people/first-password-of-{user}"));
            fs::rename(&first, self.folder.path(&format!("people/{user}.password")))
                .with_context(|| format!("the ceremony left no {}", first.display()))?;
            let evidence = ["--evidence", "a made-up person", "--reason", "a trial"];
            self.ctl("admin", &[&["users", "verify", user][..], &evidence].concat())?;
            self.enrol(port, user)?;
        }
        for user in ["operator", "auditor"] {
            self.add_user(port, user, &[])?;
        }
        Ok(())
    }

    fn add_user(&mut self, port: u16, user: &str, more: &[&str]) -> anyhow::Result<()> {
        self.make_password(user)?;
        let password = self.of(user, "password");
        let person = PEOPLE.iter().find(|person| person.0 == user);
        let (_, name, role) = *person.with_context(|| format!("{user} is nobody of the trial"))?;
        let add = ["users", "add", user, "--name", name, "--role", role, "--password-file", &password];
        self.ctl("admin", &[&add[..], more].concat())?;
        self.enrol(port, user)
    }

    /// A hospital with its staff, its enrolled gateway and one device.
    fn make_hospital(&mut self, mark: &mut Mark) -> anyhow::Result<()> {
        self.step("hospital: a gateway, enrolled with its token, and a device");
        let hospital = ["hospitals", "add", HOSPITAL, "--name", "Trial Hospital", "--cohort", "pilot"];
        self.ctl("operator", &hospital)?;
        self.ctl("operator", &["gateways", "add", GATEWAY, "--hospital", HOSPITAL])?;
        let device = ["devices", "add", DEVICE, "--model", "CardiacMonitor-X200", "--serial", SERIAL];
        let place = ["--hospital", HOSPITAL, "--firmware-version", "2.1.0"];
        self.ctl("operator", &[&device[..], &place].concat())?;
        self.add_user(mark.port, "nurse", &["--hospital", HOSPITAL])?;
        // Late, so that no other program takes it before the gateway listens.
        mark.device_port = free_port()?;
        ensure!(mark.device_port != mark.port, "no second free port on 127.0.0.1");
        let secret = hex::encode(random::<16>()?);
        self.write_secret("people/device.secret", &secret)?;
        let config = format!(
            "# The gateway of a trial installation. Not for patients.\nstate_dir = {:?}\nheartbeat_seconds = 1\nreconnect_spread_seconds = 1\n\
             device_listen = \"127.0.0.1:{}\"\n[[device]]\nid = \"{DEVICE}\"\nsecret = \"{secret}\"\n",
            self.text("agent"),
            mark.device_port
        );
        self.write_secret("people/agent.toml", &config)?;
        let token = self.text("people/enrolment-token");
        self.ctl("operator", &["gateways", "add-token", GATEWAY, "--out", &token])?;
        let config = self.text("people/agent.toml");
        self.children.call(&self.programs.agent, &["--config", &config, "enrol", "--token-file", &token])?;
        // It works once.
        fs::remove_file(&token).context("removing the used enrolment token")
    }

    fn start_gateway(&mut self, mark: &Mark) -> anyhow::Result<()> {
        let config = self.text("people/agent.toml");
        let log = self.folder.path("logs/agent.log");
        let program = self.programs.agent.clone();
        self.children.start("gateway", &program, &["--config", &config, "run"], &log)?;
        self.keep(mark)
    }

    fn start_device(&mut self, mark: &Mark) -> anyhow::Result<()> {
        self.wait_for_port(mark.device_port, "gateway")?;
        let flash = self.folder.path("device");
        fs::create_dir_all(&flash).with_context(|| format!("making {}", flash.display()))?;
        let (flash, broker) = (flash.display().to_string(), format!("127.0.0.1:{}", mark.device_port));
        let secret = self.text("people/device.secret");
        let device = ["device", "--dir", &flash, "--id", DEVICE, "--serial", SERIAL, "--boot-ms", "500"];
        let all = [&device[..], &["--broker", &broker, "--secret-file", &secret]].concat();
        let log = self.folder.path("logs/device.log");
        let program = self.programs.sim.clone();
        self.children.start("device", &program, &all, &log)?;
        self.keep(mark)
    }

    /// A release that waits for its approvals; returns its manifest's digest.
    fn make_release(&mut self) -> anyhow::Result<String> {
        self.step("release: an image, its manifest signed with the release key");
        fs::create_dir_all(self.folder.path("firmware")).context("making the folder of firmware")?;
        let image = self.folder.path("firmware/monitor-2.2.0.img");
        let line = b"trial firmware 2.2.0 of nobody's device\n";
        let bytes: Vec<u8> = line.iter().copied().cycle().take(IMAGE_BYTES).collect();
        atomic_write(&image, &bytes).with_context(|| format!("writing {}", image.display()))?;
        let plan = json!({ "strategy": "Progressive", "phases": [{
            "name": "Everybody", "hospitalCohort": "all", "percentage": 100,
            "maxErrorRatePercent": 1.0, "monitoringDuration": "PT2S",
        }] });
        atomic_write(&self.folder.path("plan.json"), format!("{plan:#}\n").as_bytes()).context("writing plan.json")?;
        let (image, digest) = (image.display().to_string(), Digest::of(&bytes).to_string());
        let key = self.text("people/trial-secret-keys/release");
        let upload = ["firmware", "upload", &image, "--id", RELEASE, "--model", "CardiacMonitor-X200"];
        let version = ["--hardware", "B", "--version", "2.2.0", "--release-number", "22", "--probation-seconds", "3"];
        // Each start of the trial is a reboot that nobody ordered.
        let health = ["--reboots-per-day", "100"];
        let signing = ["--notes", "trial", "--release-key", &key, "--yes", "--digest", &digest];
        self.ctl("operator", &[&upload[..], &version, &health, &signing].concat())?;
        let view = self.ctl("operator", &["firmware", "show", RELEASE])?;
        Ok(view["manifestDigest"].as_str().context("the release has no manifest")?.to_owned())
    }

    fn wait_for_device(&mut self) -> anyhow::Result<()> {
        self.step("waiting until the device is seen");
        let began = Instant::now();
        while self.ctl("operator", &["devices", "show", DEVICE])?["lastAttachedAt"].is_null() {
            ensure!(
                began.elapsed() < START_LIMIT,
                "the device did not attach within {} s; {} and {} say why",
                START_LIMIT.as_secs(),
                self.text("logs/agent.log"),
                self.text("logs/device.log")
            );
            self.children.check()?;
            self.children.pause(LOOK_INTERVAL)?;
        }
        Ok(())
    }

    /// Runs until somebody stops it, or the coordinator ends; reports each child that ends.
    fn watch(&mut self) -> anyhow::Result<()> {
        loop {
            self.children.pause(LOOK_INTERVAL)?;
            for ended in self.children.ended() {
                output::notes(&ended.words);
                if ended.name == "coordinator" {
                    bail!("its coordinator ended; the same command starts everything again");
                }
                output::note("the rest goes on; stop it with Ctrl-C and start the trial again to have everything back");
            }
        }
    }
}

/// The last lines of a log file, at most `count`, out of its last bytes.
fn last_lines(log: &Path, count: usize) -> String {
    use std::io::{Read as _, Seek as _, SeekFrom};
    const TAIL_BYTES: u64 = 8 * 1024;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::open(log)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| format!("  {line}\n")).collect()
}
