//! The installation.

mod vendor;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::lossy::{self, Losses};
use crate::process::{Checked as _, Process, free_port, program, set_clock};
use crate::{Role, wait_for};

const PASSWORD: &str = "correct horse battery staple";

/// How large and of what temper.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Hospitals, each with one gateway.
    pub hospitals: usize,
    /// Devices behind each gateway.
    pub devices: usize,
    /// Fault scripts by device id.
    pub scripts: BTreeMap<String, String>,
    /// Time after which the coordinator counts a device as silent, in seconds.
    pub silence_seconds: u64,
    /// Bytes of one firmware image at most; none for the default.
    pub image_bytes_max: Option<u64>,
    /// What stands between the fleet and the core.
    pub front: Front,
    /// Devices that do not speak MQTT, by device id.
    pub kinds: BTreeMap<String, Kind>,
    /// Boot time of the devices, in milliseconds.
    pub boot_ms: u64,
    /// Witnesses of the audit log; agents then demand that all of them cosigned.
    pub witnesses: usize,
    /// Whether roster and withdrawals expire, as in a real installation.
    pub fresh: bool,
    /// Whether the installation is marked as a trial.
    pub trial: bool,
    /// More lines of the coordinator's configuration.
    pub more_config: String,
    /// More lines of every agent's configuration.
    pub more_agent_config: String,
    /// By how much everybody's wall clock is moved, for example `-20d`; empty for the real one. It may be changed between starts.
    pub clock: String,
}

/// How an agent reaches a device that does not speak MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its images lie on the gateway, in so many components.
    Slots(usize),
    /// A maker's tool reaches it.
    Command,
}

/// What stands between the fleet and the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// The coordinator's front door, the embedded broker behind it.
    Door,
    /// The front door with Mosquitto behind it.
    DoorAndMosquitto,
    /// The front door with Mosquitto behind it, over a line that loses, repeats and reorders three messages in ten.
    DoorAndLossyLine,
    /// Mosquitto itself, with TLS and client certificates; to compare with. The front door is there for HTTPS.
    Mosquitto,
}

impl Default for Front {
    /// The embedded broker, or with `MDFM_BROKER=mosquitto` that one: the same tests hold for both.
    fn default() -> Self {
        match std::env::var("MDFM_BROKER").as_deref() {
            Ok("mosquitto") => Self::DoorAndMosquitto,
            _ => Self::Door,
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            hospitals: 2,
            devices: 1,
            scripts: BTreeMap::new(),
            silence_seconds: 60,
            image_bytes_max: None,
            front: Front::default(),
            kinds: BTreeMap::new(),
            more_agent_config: String::new(),
            boot_ms: 200,
            witnesses: 0,
            fresh: false,
            trial: false,
            more_config: String::new(),
            clock: String::new(),
        }
    }
}

/// Id of hospital `h`, 1 for the first.
pub fn hospital_id(h: usize) -> String {
    format!("HOSP-{h:03}")
}
/// Id of the gateway of hospital `h`.
pub fn gateway_id(h: usize) -> String {
    format!("GW-{h:03}")
}
/// Id of device `d` of hospital `h`.
pub fn device_id(h: usize, d: usize) -> String {
    format!("DEV-{h:03}-{d}")
}

/// Everything that runs, and the directory in which it does.
#[derive(Debug)]
pub struct World {
    /// Root of all files.
    pub dir: PathBuf,
    /// The coordinator's port.
    pub port: u16,
    /// The layout it was made by.
    pub layout: Layout,
    coordinator: Option<Process>,
    agents: BTreeMap<usize, Process>,
    devices: BTreeMap<(usize, usize), Process>,
    device_ports: BTreeMap<usize, u16>,
    broker: Option<Process>,
    /// Where gateways connect when Mosquitto stands in front.
    broker_port: u16,
    losses: Option<Arc<Losses>>,
    witnesses: BTreeMap<usize, Process>,
    keep: bool,
    /// By how much the coordinator's clock is ahead of everybody's.
    years_ahead: u32,
}

fn texts<const N: usize>(arguments: [&str; N]) -> Vec<String> {
    arguments.iter().map(|a| (*a).to_owned()).collect()
}

impl World {
    /// Makes an installation in `dir` (which must not exist) and starts all of it.
    ///
    /// # Errors
    /// Whatever does not work.
    pub fn start(dir: &Path, layout: Layout) -> anyhow::Result<Self> {
        Self::start_with(dir, layout, |_| {})
    }

    /// The same, with files that its configuration names put there first.
    ///
    /// # Errors
    /// Whatever does not work.
    pub fn start_with(dir: &Path, layout: Layout, prepare: impl FnOnce(&Path)) -> anyhow::Result<Self> {
        let mut world = Self::start_empty(dir, layout, prepare)?;
        world.hold_key_ceremony()?;
        for h in 1..=world.layout.hospitals {
            world.install_hospital(h)?;
        }
        for h in 1..=world.layout.hospitals {
            world.start_agent(h)?;
            for d in 1..=world.layout.devices {
                world.start_device(h, d)?;
            }
        }
        Ok(world)
    }

    /// A coordinator just after its installation: no key ceremony was held, nobody but the first administrator is known.
    ///
    /// # Errors
    /// Whatever does not work.
    pub fn start_empty(dir: &Path, layout: Layout, prepare: impl FnOnce(&Path)) -> anyhow::Result<Self> {
        // The demonstration makes and marks its folder before.
        ensure!(!dir.join("keys").exists(), "{} exists already", dir.display());
        std::fs::create_dir_all(dir.join("keys"))?;
        std::fs::create_dir_all(dir.join("sessions"))?;
        std::fs::create_dir_all(dir.join("logs"))?;
        prepare(dir);
        let mut world = Self {
            dir: dir.to_owned(),
            port: free_port()?,
            layout,
            coordinator: None,
            agents: BTreeMap::new(),
            devices: BTreeMap::new(),
            device_ports: BTreeMap::new(),
            broker: None,
            broker_port: free_port()?,
            losses: None,
            witnesses: BTreeMap::new(),
            keep: false,
            years_ahead: 0,
        };
        world.install_coordinator()?;
        for w in 1..=world.layout.witnesses {
            world.install_witness(w)?;
            world.start_witness(w)?;
        }
        if world.layout.front != Front::Door {
            world.install_mosquitto()?;
            world.restart_mosquitto()?;
        }
        world.start_coordinator()?;
        Ok(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
    /// The secret key file called `name`.
    pub fn key(&self, name: &str) -> String {
        self.text(&format!("keys/{name}"))
    }
    /// The public half of a key that the ceremony made.
    pub fn public(&self, name: &str) -> String {
        format!("{}.pub", self.key(name))
    }
    /// The coordinator's data directory.
    pub fn data(&self) -> PathBuf {
        self.path("coordinator")
    }
    /// The state directory of a gateway.
    pub fn agent_state(&self, h: usize) -> PathBuf {
        self.path(&format!("agent-{h:03}"))
    }
    /// The flash of a device.
    pub fn device_dir(&self, h: usize, d: usize) -> PathBuf {
        self.path(&device_id(h, d))
    }

    fn install_coordinator(&self) -> anyhow::Result<()> {
        let password = self.path("password");
        write_private(&password, PASSWORD)?;
        let mut command = Command::new(program("mdfm-coordinator")?);
        set_clock(&mut command, &self.layout.clock)?;
        let output = command
            .args(["init", "--data", &self.text("coordinator"), "--name", "localhost", "--name", "127.0.0.1"])
            .args(["--log-origin", "demo.mdfm.example/log", "--admin-password-file", &self.text("password")])
            .args(self.layout.trial.then_some("--trial"))
            .checked_output()?;
        ensure!(output.status.success(), "init failed: {}", String::from_utf8_lossy(&output.stderr));
        let config = format!(
            "data_dir = {:?}\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"https://127.0.0.1:{port}\"\n\
             silence_limit_seconds = {}\n",
            self.text("coordinator"),
            self.layout.silence_seconds,
            port = self.port
        );
        let limit = self.layout.image_bytes_max.map(|n| format!("image_bytes_max = {n}\n")).unwrap_or_default();
        std::fs::write(self.path("coordinator.toml"), config + &limit + &self.layout.more_config)?;
        Ok(())
    }

    fn witness_dir(&self, w: usize) -> String {
        self.text(&format!("witness-{w}"))
    }

    /// Makes a witness that the coordinator reaches over TLS, with the coordinator's own certificate for want of another one.
    fn install_witness(&self, w: usize) -> anyhow::Result<()> {
        let (dir, port) = (self.witness_dir(w), free_port()?);
        let output = Command::new(program("mdfm-witness")?)
            .args(["init", "--data", &dir, "--name", &format!("witness.example/{w}")])
            .checked_output()?;
        ensure!(output.status.success(), "init failed: {}", String::from_utf8_lossy(&output.stderr));
        let log = std::fs::read_to_string(self.path("coordinator/log.vkey"))?;
        let config = format!(
            "data_dir = {dir:?}\nlisten = \"127.0.0.1:{port}\"\ncertificate_file = {:?}\nkey_file = {:?}\nlogs = [{log:?}]\n",
            self.text("coordinator/server.pem"),
            self.text("coordinator/server.key"),
        );
        std::fs::write(self.path(&format!("witness-{w}.toml")), config)?;
        let vkey = std::fs::read_to_string(self.path(&format!("witness-{w}/witness.vkey")))?;
        let section = format!(
            "[[witnesses]]\nurl = \"https://localhost:{port}\"\nvkey = {vkey:?}\nca_file = {:?}\n",
            self.text("coordinator/ca.pem")
        );
        let config = std::fs::read_to_string(self.path("coordinator.toml"))?;
        std::fs::write(self.path("coordinator.toml"), config + &section)?;
        Ok(())
    }

    /// Starts a witness, 1 for the first.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_witness(&mut self, w: usize) -> anyhow::Result<()> {
        self.start_witness_at(w, "")
    }

    /// As [`Self::start_witness`], with a wall clock moved by this offset, for example `+1y`; empty for the real one.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_witness_at(&mut self, w: usize, clock: &str) -> anyhow::Result<()> {
        let log = self.path(&format!("logs/witness-{w}.log"));
        let arguments = texts(["serve", "--config", &self.text(&format!("witness-{w}.toml"))]);
        self.witnesses.insert(w, Process::start_at("mdfm-witness", &arguments, &log, clock)?);
        Ok(())
    }

    /// Kills a witness.
    pub fn kill_witness(&mut self, w: usize) {
        self.witnesses.remove(&w);
    }

    fn install_mosquitto(&mut self) -> anyhow::Result<()> {
        let port = free_port()?;
        let passwords = self.text("mosquitto.passwords");
        std::fs::write(&passwords, "")?;
        for user in ["gateway", "coordinator"] {
            let secret = format!("broker-secret-of-{user}");
            let file = self.path(&format!("{user}.password"));
            write_private(&file, &secret)?;
            let made = Command::new("mosquitto_passwd").args(["-b", &passwords, user, &secret]).status();
            ensure!(made.context("mosquitto is not installed; run `make tools`")?.success(), "mosquitto_passwd failed");
        }
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\npersistence false\n\
             message_size_limit 525312\nuser root\nacl_file {}\n",
            self.text("mosquitto.acl")
        );
        let front = if self.layout.front == Front::Mosquitto { "certificates" } else { "coordinator" };
        let rules = self.text("mosquitto.acl");
        self.offline(&["broker", "rules", "--authenticates", front, "--out", &rules])?;
        let in_front = format!(
            "per_listener_settings true\nlistener {}\ncafile {data}/ca.pem\ncertfile {data}/server.pem\nkeyfile {data}/server.key\n\
             require_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3\nmax_connections -1\n\
             use_username_as_clientid true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\nacl_file {rules}\n",
            self.broker_port,
            data = self.text("coordinator"),
        );
        let config = if self.layout.front == Front::Mosquitto { in_front + &config } else { config };
        std::fs::write(self.path("mosquitto.conf"), config)?;
        let mut port = port;
        if self.layout.front == Front::DoorAndLossyLine {
            let (broker, line) = (port, free_port()?);
            let seed = std::env::var("MDFM_SEED").ok().and_then(|s| s.parse().ok());
            let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
            eprintln!("MDFM_SEED={seed}");
            self.losses = Some(lossy::start(line, broker, seed)?);
            port = line;
        }
        let section = format!(
            "[broker]\naddress = \"127.0.0.1:{port}\"\ngateway_user = \"gateway\"\ngateway_password_file = {:?}\n\
             coordinator_user = \"coordinator\"\ncoordinator_password_file = {:?}\n",
            self.text("gateway.password"),
            self.text("coordinator.password")
        );
        let config = std::fs::read_to_string(self.path("coordinator.toml"))?;
        std::fs::write(self.path("coordinator.toml"), config + &section)?;
        Ok(())
    }

    /// The port to which gateways connect.
    pub fn gateway_port(&self) -> u16 {
        if self.layout.front == Front::Mosquitto { self.broker_port } else { self.port }
    }

    /// The processes between the fleet and the audit log, by name.
    pub fn link_processes(&self) -> Vec<(&'static str, u32)> {
        let named = |name, process: &Option<Process>| process.as_ref().map(|p| (name, p.id()));
        [named("coordinator", &self.coordinator), named("mosquitto", &self.broker)].into_iter().flatten().collect()
    }

    /// What became of messages on a line that loses them.
    ///
    /// # Errors
    /// There is no such line in this world.
    pub fn losses(&self) -> anyhow::Result<&Losses> {
        self.losses.as_deref().context("no lossy line")
    }

    /// How the link to the fleet does.
    ///
    /// # Errors
    /// What the command says.
    pub fn link(&self) -> anyhow::Result<Value> {
        self.ctl(Role::Operator, &["gateways", "link"])
    }

    /// Starts the external broker, killing the one that runs: everything that it held is gone.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn restart_mosquitto(&mut self) -> anyhow::Result<()> {
        self.broker = None;
        let log = self.path("logs/mosquitto.log");
        self.broker = Some(Process::start("mosquitto", &texts(["-c", &self.text("mosquitto.conf")]), &log)?);
        Ok(())
    }

    /// Starts the coordinator and waits until it serves.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_coordinator(&mut self) -> anyhow::Result<()> {
        self.start_coordinator_later(0)
    }

    /// As [`Self::start_coordinator`], so many years later.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_coordinator_later(&mut self, years: u32) -> anyhow::Result<()> {
        let clock = self.layout.clock.clone();
        self.start_coordinator_as(|arguments, log| match years {
            0 => Process::start_at("mdfm-coordinator", arguments, log, &clock),
            _ => Process::start_later("mdfm-coordinator", arguments, log, years),
        })?;
        self.years_ahead = years;
        Ok(())
    }

    /// As [`Self::start_coordinator`], with a clock moved by the offset that stands in a file, for example `+2d`, as soon as it is written there.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_coordinator_by(&mut self, clock: &Path) -> anyhow::Result<()> {
        self.start_coordinator_as(|arguments, log| Process::start_by("mdfm-coordinator", arguments, log, clock))
    }

    fn start_coordinator_as(
        &mut self,
        start: impl FnOnce(&[String], &Path) -> anyhow::Result<Process>,
    ) -> anyhow::Result<()> {
        let arguments = texts(["serve", "--config", &self.text("coordinator.toml")]);
        let log = self.path("logs/coordinator.log");
        let said_before = std::fs::read(&log).map_or(0, |bytes| bytes.len());
        let mut process = start(&arguments, &log)?;
        wait_for("the coordinator to serve", Duration::from_secs(20), || {
            let said = std::fs::read(&log)?;
            let said = String::from_utf8_lossy(&said[said_before..]).into_owned();
            ensure!(process.is_running(), "the coordinator ended: {said}");
            Ok(said.contains("serving").then_some(()))
        })?;
        self.coordinator = Some(process);
        Ok(())
    }

    /// Stops the coordinator in order, as its service manager does.
    pub fn stop_coordinator(&mut self) {
        if let Some(mut process) = self.coordinator.take() {
            process.terminate();
        }
    }

    /// Kills the coordinator.
    pub fn kill_coordinator(&mut self) {
        self.coordinator = None;
    }

    /// Makes keys, trust root, users and roster. In a real installation each key is made by its owner on their own machine; here
    /// all lie in one folder.
    fn hold_key_ceremony(&self) -> anyhow::Result<()> {
        for name in ["root-1", "root-2", "release", "registrar", "clinical", "qa", "regulatory"] {
            self.offline(&["keys", "new", &self.key(name)])?;
        }
        let root = self.text("root-1.mdfm");
        let online = self.text("coordinator/online.pub");
        let vkey = self.text("coordinator/log.vkey");
        let witnesses: Vec<String> =
            (1..=self.layout.witnesses).map(|w| format!("{}/witness.vkey", self.witness_dir(w))).collect();
        let [public_root_1, public_root_2, public_release, public_registrar] =
            ["root-1", "root-2", "release", "registrar"].map(|name| self.public(name));
        let mut ceremony = vec![
            "trust",
            "root",
            "--out",
            &root,
            "--root",
            &public_root_1,
            "--root",
            &public_root_2,
            "--root-threshold",
            "2",
            "--release",
            &public_release,
            "--registrar",
            &public_registrar,
            "--coordinator",
            &online,
            "--log-vkey",
            &vkey,
        ];
        for witness in &witnesses {
            ceremony.extend(["--witness", witness]);
        }
        self.offline(&ceremony)?;
        self.sign_file(&root, &["root-1", "root-2"], &[])?;
        self.login(Role::Admin)?;
        self.ctl(Role::Admin, &["trust", "publish", &root])?;
        for role in Role::CREATED {
            let password = self.text("password");
            self.ctl(
                Role::Admin,
                &[
                    "users",
                    "add",
                    role.user(),
                    "--name",
                    &role.printed_name(),
                    "--role",
                    role.name(),
                    "--password-file",
                    &password,
                ],
            )?;
            self.login(role)?;
            if Role::APPROVERS.contains(&role) {
                let verify = ["users", "verify", role.user(), "--evidence", "passport", "--reason", "first day"];
                self.ctl(Role::Admin, &verify)?;
            }
        }
        let people: Vec<String> = Role::APPROVERS
            .iter()
            .map(|r| format!("{}|{}|{}|{}", r.user(), r.printed_name(), r.name(), self.public(r.user())))
            .collect();
        let roster = self.text("roster-1.mdfm");
        let mut arguments =
            vec!["trust".to_owned(), "roster".into(), "--out".into(), roster.clone(), "--version".into(), "1".into()];
        for person in people {
            arguments.extend(["--person".into(), person]);
        }
        self.offline(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.sign_file(&roster, &["registrar"], &[])?;
        self.ctl(Role::Admin, &["trust", "publish", &roster])?;
        if self.layout.fresh {
            self.publish_roster(2, 90, 1, |_| {})?;
            let (key, digest) = (self.key("release"), self.withdrawals_digest()?);
            self.ctl(Role::Operator, &["withdrawals", "renew", "--key", &key, "--yes", "--digest", &digest])?;
        }
        Ok(())
    }

    fn install_hospital(&mut self, h: usize) -> anyhow::Result<()> {
        let (hospital, gateway) = (hospital_id(h), gateway_id(h));
        let cohort = match h {
            1 => "pilot",
            h if h <= self.layout.hospitals / 2 => "regional",
            _ => "general",
        };
        let name = format!("Hospital {h}");
        self.ctl(Role::Operator, &["hospitals", "add", &hospital, "--name", &name, "--cohort", cohort])?;
        self.ctl(Role::Operator, &["gateways", "add", &gateway, "--hospital", &hospital])?;
        let mut config = format!(
            "state_dir = {:?}\nheartbeat_seconds = 1\nreconnect_spread_seconds = 1\n{}device_listen = \"127.0.0.1:{port}\"\n",
            self.agent_state(h).display().to_string(),
            self.layout.more_agent_config,
            port = free_port()?
        );
        let port = config.rsplit_once("127.0.0.1:").and_then(|(_, p)| p.trim().trim_end_matches('"').parse().ok());
        self.device_ports.insert(h, port.context("the port just written")?);
        for d in 1..=self.layout.devices {
            let device = device_id(h, d);
            let serial = format!("SN-{h:03}-{d}");
            self.ctl(
                Role::Operator,
                &[
                    "devices",
                    "add",
                    &device,
                    "--model",
                    "CardiacMonitor-X200",
                    "--serial",
                    &serial,
                    "--hospital",
                    &hospital,
                    "--firmware-version",
                    "2.1.0",
                ],
            )?;
            std::fs::create_dir_all(self.device_dir(h, d))?;
            config.push_str(&self.device_config(h, d, &serial)?);
            if let Some(script) = self.layout.scripts.get(&device) {
                std::fs::write(self.path(&format!("{device}.toml")), script)?;
            }
        }
        write_private(&self.path(&format!("agent-{h:03}.toml")), &config)?;
        let token = self.text(&format!("{gateway}.token"));
        self.ctl(Role::Operator, &["gateways", "token", &gateway, "--out", &token])?;
        let mut command = Command::new(program("mdfm-agent")?);
        set_clock(&mut command, &self.layout.clock)?;
        let output = command
            .args(["--config", &self.text(&format!("agent-{h:03}.toml")), "enrol", "--token-file", &token])
            .checked_output()?;
        ensure!(output.status.success(), "enrolment failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// The section of a device in its agent's configuration.
    fn device_config(&self, h: usize, d: usize, serial: &str) -> anyhow::Result<String> {
        let device = device_id(h, d);
        let dir = self.device_dir(h, d);
        let section = match self.layout.kinds.get(&device) {
            None => {
                let secret = format!("secret-of-{device}-{}", self.port);
                write_private(&self.path(&format!("{device}.secret")), &secret)?;
                format!("secret = {secret:?}\n")
            }
            Some(Kind::Slots(components)) => slots_section(&dir, serial, *components)?,
            Some(Kind::Command) => format!(
                "[device.command]\nprogram = {:?}\narguments = [\"tool\", \"--dir\", {:?}, \"--serial\", {serial:?}]\npoll_seconds = 1\n",
                program("mdfm-sim")?.display().to_string(),
                dir.display().to_string(),
            ),
        };
        Ok(format!("[[device]]\nid = {device:?}\n{section}"))
    }

    /// Starts the agent of a hospital.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_agent(&mut self, h: usize) -> anyhow::Result<()> {
        let arguments = texts(["--config", &self.text(&format!("agent-{h:03}.toml")), "run"]);
        let log = self.path(&format!("logs/agent-{h:03}.log"));
        self.agents.insert(h, Process::start_at("mdfm-agent", &arguments, &log, &self.layout.clock)?);
        Ok(())
    }

    /// The process id of a hospital's agent.
    ///
    /// # Errors
    /// None runs.
    pub fn agent_pid(&self, h: usize) -> anyhow::Result<u32> {
        Ok(self.agents.get(&h).context("no agent runs there")?.id())
    }

    /// Kills the agent of a hospital.
    pub fn kill_agent(&mut self, h: usize) {
        self.agents.remove(&h);
    }

    /// Starts a device.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_device(&mut self, h: usize, d: usize) -> anyhow::Result<()> {
        let device = device_id(h, d);
        let log = self.path(&format!("logs/{device}.log"));
        let mut arguments = match self.layout.kinds.get(&device) {
            // It lives only while its tool runs.
            Some(Kind::Command) => return Ok(()),
            Some(Kind::Slots(_)) => {
                let agent = program("mdfm-agent")?.display().to_string();
                let config = self.text(&format!("agent-{h:03}.toml"));
                let dir = self.device_dir(h, d).display().to_string();
                texts(["bedside", "--agent", &agent, "--config", &config, "--id", &device, "--dir", &dir])
            }
            None => {
                let broker = format!("127.0.0.1:{}", self.device_ports.get(&h).context("an installed hospital")?);
                texts([
                    "device",
                    "--dir",
                    &self.device_dir(h, d).display().to_string(),
                    "--id",
                    &device,
                    "--broker",
                    &broker,
                    "--secret-file",
                    &self.text(&format!("{device}.secret")),
                    "--serial",
                    &self.serial(h, d),
                ])
            }
        };
        arguments.extend(["--boot-ms".into(), self.layout.boot_ms.to_string()]);
        if self.layout.scripts.contains_key(&device) {
            arguments.extend(["--script".into(), self.text(&format!("{device}.toml"))]);
        }
        self.devices.insert((h, d), Process::start("mdfm-sim", &arguments, &log)?);
        Ok(())
    }

    /// The serial number of the device that stands there.
    fn serial(&self, h: usize, d: usize) -> String {
        let exchanged = std::fs::read_to_string(self.path(&format!("{}.serial", device_id(h, d))));
        exchanged.unwrap_or_else(|_| format!("SN-{h:03}-{d}"))
    }

    /// Puts another device, fresh from the factory, in the place of one.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn exchange_device(&mut self, h: usize, d: usize, serial: &str) -> anyhow::Result<()> {
        self.kill_device(h, d);
        std::fs::write(self.path(&format!("{}.serial", device_id(h, d))), serial)?;
        std::fs::remove_dir_all(self.device_dir(h, d))?;
        std::fs::create_dir_all(self.device_dir(h, d))?;
        self.start_device(h, d)
    }

    /// Pulls the plug of a device.
    pub fn kill_device(&mut self, h: usize, d: usize) {
        self.devices.remove(&(h, d));
    }

    /// Leaves everything running when this handle goes.
    pub fn keep_running(&mut self) {
        self.keep = true;
        let all = self.coordinator.iter_mut().chain(self.agents.values_mut()).chain(self.devices.values_mut());
        all.for_each(Process::keep);
    }

    /// Ids of all running processes.
    pub fn process_ids(&self) -> Vec<u32> {
        self.coordinator.iter().chain(self.agents.values()).chain(self.devices.values()).map(Process::id).collect()
    }

    /// What the device's own boot record says that it starts: version, and whether that is permanent.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn boot_record(&self, h: usize, d: usize) -> anyhow::Result<(String, bool)> {
        let record: Value = serde_json::from_slice(&std::fs::read(self.device_dir(h, d).join("boot.json"))?)?;
        let slot = record["active"].as_str().unwrap_or("A").to_lowercase();
        let version = record[&slot]["firmware"]["version"].as_str().context("a version in the active slot")?;
        Ok((version.to_owned(), record["trial"].is_null()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        self.devices.clear();
        self.agents.clear();
        self.coordinator = None;
        self.broker = None;
        if !std::thread::panicking() && std::env::var_os("MDFM_KEEP_FILES").is_none() {
            // What a test leaves behind is of use only when it failed.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// The section of a device whose images lie on the gateway, with what the factory put into slot A.
///
/// # Errors
/// The factory's images cannot be written.
pub fn slots_section(dir: &Path, serial: &str, components: usize) -> anyhow::Result<String> {
    let names = ["main", "radio", "display"];
    let mut pairs = Vec::new();
    for name in &names[..components] {
        let slot = |letter: &str| dir.join(format!("{name}-{letter}")).display().to_string();
        std::fs::write(slot("a"), format!("factory firmware of {name}\n").repeat(64))?;
        pairs.push(format!("{{ name = {name:?}, a = {:?}, b = {:?} }}", slot("a"), slot("b")));
    }
    Ok(format!(
        "[device.slots]\ndir = {:?}\nmodel = \"CardiacMonitor-X200\"\nserial = {serial:?}\nhardware = \"B\"\n\
         reboot = [\"/usr/bin/touch\", {:?}]\npair = [{}]\n\
         factory = {{ version = \"2.1.0\", release_number = 1, security_version = 1 }}\n",
        dir.display().to_string(),
        dir.join("reboot").display().to_string(),
        pairs.join(", ")
    ))
}

/// Writes a file with secrets in it, which programs refuse if others can read it.
///
/// # Errors
/// It cannot be written.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}
