//! What the vendor's people do with an installation: sign in, upload, approve, deploy, watch.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use mdfm_shared::digest::Digest;
use mdfm_shared::record::decode_document;
use mdfm_shared::sign::{SecretKey, Signed};
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{Freshness, Roster, RosterEntry, Withdrawals};
use mdfm_shared::wire;
use serde_json::{Value, json};

use super::World;
use crate::people::Role;
use crate::process::{Checked as _, program, set_clock};
use crate::{plain, wait_for};

/// The SHA-256 of the images that a command line names, one behind the other.
fn images_digest(images: &[&str]) -> anyhow::Result<String> {
    let mut all = Vec::new();
    for image in images {
        let file = image.strip_prefix("--component=").and_then(|c| c.split_once('=')).map_or(*image, |(_, file)| file);
        all.extend(std::fs::read(file).with_context(|| format!("reading {file}"))?);
    }
    Ok(Digest::of(&all).to_string())
}

/// Commands that ask before they act; a script confirms them.
const ASK: &[&[&str]] = &[
    &["deploy"],
    &["rollback"],
    &["abort"],
    &["reject"],
    &["recalls", "open"],
    &["firmware", "withdraw"],
    &["gateways", "revoke"],
    &["devices", "retire"],
    &["users", "remove-second-factor"],
    &["users", "reset-password"],
    &["retention", "set"],
    &["retention", "confirm"],
    &["groups", "set"],
];

/// The arguments of `mdfmctl`, after `--json --session FILE`, with the confirmation that a script gives.
fn confirmed<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = arguments.to_vec();
    let command = arguments.get(3..).unwrap_or_default();
    let asks = ASK.iter().any(|words| command.starts_with(words));
    if asks && !command.iter().any(|word| ["--yes", "--no-yes", "--dry-run"].contains(word)) {
        all.push("--yes");
    }
    all.retain(|word| *word != "--no-yes");
    all
}

impl World {
    /// Signs somebody in.
    ///
    /// # Errors
    /// What the command says.
    pub fn login(&self, role: Role) -> anyhow::Result<Value> {
        self.login_as(role.user())
    }

    /// The file with the second factor of a user, which nobody would keep in one outside a test.
    pub fn factor(&self, user: &str) -> String {
        self.text(&format!("sessions/{user}.factor"))
    }

    /// Signs in a user by id with both factors; sets up the second one the first time.
    ///
    /// # Errors
    /// What the commands say.
    pub fn login_as(&self, user: &str) -> anyhow::Result<Value> {
        let url = format!("https://127.0.0.1:{}", self.port);
        let (password, factor) = (self.text("password"), self.factor(user));
        let ca = self.text("coordinator/ca.pem");
        let mut arguments = vec!["login", "--url", &url, "--ca", &ca, "--user", user, "--password-file", &password];
        let recovery = self.path(&format!("sessions/{user}.recovery"));
        let is_first = !Path::new(&factor).exists();
        let mut codes: Vec<String> =
            std::fs::read_to_string(&recovery).unwrap_or_default().lines().map(str::to_owned).collect();
        // Codes are made by everybody's clock: for a coordinator in another year there are the recovery codes.
        let code = if self.years_ahead > 0 { codes.pop().unwrap_or_default() } else { String::new() };
        match (is_first, self.years_ahead) {
            (true, _) => {}
            (false, 0) => arguments.extend(["--factor-file", &factor]),
            (false, _) => arguments.extend(["--recovery-code", &code]),
        }
        let view = self.ctl_as(user, &arguments)?;
        if is_first {
            let enrol = ["second-factor", "enrol", "--password-file", &password, "--factor-file", &factor];
            let codes = self.ctl_as(user, &enrol)?["recoveryCodes"].clone();
            let codes: Vec<&str> = codes.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            std::fs::write(&recovery, codes.join("\n"))?;
        } else {
            std::fs::write(&recovery, codes.join("\n"))?;
        }
        Ok(view)
    }

    /// Signs and publishes the roster of this version: the first one with a validity of so many days, the lowest version of the
    /// withdrawals beside it, and what `change` makes of its entries.
    ///
    /// # Errors
    /// The documents do not fit, or what the command says.
    pub fn publish_roster(
        &self,
        version: u64,
        days: u64,
        withdrawals_version: u64,
        change: impl FnOnce(&mut Vec<RosterEntry>),
    ) -> anyhow::Result<()> {
        let first: Signed<Roster> = wire::decode(&std::fs::read(self.path("roster-1.mdfm"))?)?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let issued_at = UtcMillis(u64::try_from(since.as_millis())?);
        let expires_at = issued_at.plus_ms(days * 86_400_000);
        let mut roster = first.decode_unverified()?;
        roster.version = version;
        roster.freshness = Some(Freshness { issued_at, expires_at, withdrawals_version });
        change(&mut roster.entries);
        let key = SecretKey::from_secret_text(&std::fs::read_to_string(self.key("registrar"))?)?;
        let file = self.path(&format!("roster-{version}.mdfm"));
        std::fs::write(&file, wire::encode(&Signed::sign(&roster, &[&key])?))?;
        self.ctl(Role::Admin, &["trust", "publish", &file.display().to_string()])?;
        Ok(())
    }

    /// Makes a user of a hospital's own staff and signs them in.
    ///
    /// # Errors
    /// What the commands say.
    pub fn add_staff(&self, user: &str, hospital: &str) -> anyhow::Result<()> {
        let password = self.text("password");
        let new = ["--role", "HospitalStaff", "--hospital", hospital, "--password-file", &password];
        self.ctl(Role::Admin, &[&["users", "add", user, "--name", user][..], &new].concat())?;
        self.login_as(user)?;
        Ok(())
    }

    /// Runs `mdfmctl` as a user by id and gives its JSON.
    ///
    /// # Errors
    /// What the command says.
    pub fn ctl_as(&self, user: &str, arguments: &[&str]) -> anyhow::Result<Value> {
        let session = self.text(&format!("sessions/{user}"));
        let mut all = vec!["--json", "--session", &session];
        all.extend(arguments);
        self.run_ctl(&all)
    }

    /// Runs `mdfm-agent` on the gateway of a hospital, as its staff would.
    ///
    /// # Errors
    /// What the command says.
    pub fn on_gateway(&self, h: usize, arguments: &[&str]) -> anyhow::Result<String> {
        let config = self.text(&format!("agent-{h:03}.toml"));
        let output =
            Command::new(program("mdfm-agent")?).args(["--config", &config]).args(arguments).checked_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The session file of somebody.
    pub fn session(&self, role: Role) -> String {
        self.text(&format!("sessions/{}", role.user()))
    }

    /// Runs `mdfmctl` as somebody and gives its JSON.
    ///
    /// # Errors
    /// What the command says.
    pub fn ctl(&self, role: Role, arguments: &[&str]) -> anyhow::Result<Value> {
        let session = self.session(role);
        let mut all = vec!["--json", "--session", &session];
        all.extend(arguments);
        self.run_ctl(&all)
    }

    /// Runs `mdfmctl` without a session.
    ///
    /// # Errors
    /// What the command says.
    pub fn offline(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let none = self.text("sessions/none");
        let mut all = vec!["--json", "--session", &none];
        all.extend(arguments);
        self.run_ctl(&all)
    }

    fn run_ctl(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut command = Command::new(program("mdfmctl")?);
        set_clock(&mut command, &self.layout.clock)?;
        let output = command.args(confirmed(arguments)).checked_output()?;
        if !output.status.success() {
            bail!("{}", words_of(&String::from_utf8_lossy(&output.stderr)));
        }
        if let Some(made) = arguments.iter().position(|word| *word == "--out").and_then(|at| arguments.get(at + 1)) {
            plain::check_document(Path::new(made))?;
        }
        Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    }

    /// Uploads an image as a release with a probation of `probation_s` seconds, and gives its view.
    ///
    /// # Errors
    /// What the command says.
    pub fn upload(
        &self,
        id: &str,
        version: &str,
        release: u64,
        image: &Path,
        probation_s: f64,
    ) -> anyhow::Result<Value> {
        self.upload_with(id, version, release, image, &["--probation-seconds", &probation_s.to_string()])
    }

    fn upload_with(&self, id: &str, version: &str, release: u64, image: &Path, more: &[&str]) -> anyhow::Result<Value> {
        self.upload_images(id, version, release, &[&image.display().to_string()], more)
    }

    /// Uploads a release whose images are named on the command line in this way.
    fn upload_images(
        &self,
        id: &str,
        version: &str,
        release: u64,
        images: &[&str],
        more: &[&str],
    ) -> anyhow::Result<Value> {
        let (release, key) = (release.to_string(), self.key("release"));
        let sha256 = images_digest(images)?;
        let what = ["--id", id, "--version", version, "--release-number", &release];
        let fits = ["--model", "CardiacMonitor-X200", "--hardware", "B", "--notes", "for the test"];
        let rest = ["--silence-seconds", "15", "--release-key", &key, "--yes", "--digest", &sha256];
        self.ctl(Role::Operator, &[&["firmware", "upload"], images, &what, &fits, &rest, more].concat())
    }

    /// Uploads a release of several components and collects all three approvals.
    ///
    /// # Errors
    /// What the commands say.
    pub fn release_components(
        &self,
        id: &str,
        version: &str,
        release: u64,
        parts: &[(&str, &Path)],
    ) -> anyhow::Result<()> {
        self.release_components_with(id, version, release, parts, &[])
    }

    /// The same with more options of the command.
    ///
    /// # Errors
    /// What the commands say.
    pub fn release_components_with(
        &self,
        id: &str,
        version: &str,
        release: u64,
        parts: &[(&str, &Path)],
        more: &[&str],
    ) -> anyhow::Result<()> {
        let parts: Vec<String> =
            parts.iter().map(|(name, file)| format!("--component={name}={}", file.display())).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let more = [&["--probation-seconds", "1"], more].concat();
        self.upload_images(id, version, release, &parts, &more)?;
        for role in Role::APPROVERS {
            self.approve(id, role)?;
        }
        Ok(())
    }

    /// Gives one approval.
    ///
    /// # Errors
    /// What the command says.
    pub fn approve(&self, id: &str, role: Role) -> anyhow::Result<Value> {
        self.approve_with(id, role, &self.key(role.user()))
    }

    /// Gives one approval with the key in a file.
    ///
    /// # Errors
    /// What the command says.
    pub fn approve_with(&self, id: &str, role: Role, key: &str) -> anyhow::Result<Value> {
        let digest = self.manifest_digest(id)?;
        let signer = ["--role", role.name(), "--key", key, "--reason", "tested and reviewed"];
        self.ctl(role, &[&["approve", id][..], &signer, &["--yes", "--digest", &digest]].concat())
    }

    /// The digest of a release's manifest, which approvals and validations are confirmed by.
    ///
    /// # Errors
    /// What the command says, or the release has no manifest.
    pub fn manifest_digest(&self, id: &str) -> anyhow::Result<String> {
        let view = self.ctl(Role::Operator, &["firmware", "show", id])?;
        Ok(view["manifestDigest"].as_str().context("the release has no manifest")?.to_owned())
    }

    /// The digest of the withdrawals that the coordinator holds, by which a renewal is confirmed; of nothing before the first.
    ///
    /// # Errors
    /// What the command says.
    pub fn withdrawals_digest(&self) -> anyhow::Result<String> {
        let trust = self.ctl(Role::Operator, &["trust", "show"])?;
        let held = trust["withdrawals"].as_str().map(|text| decode_document::<Withdrawals>("withdrawals", text));
        Ok(held.transpose()?.map_or(Digest::of(&[]), |signed| signed.digest()).to_string())
    }

    /// Signs a document in a file with keys by name, as a script does: by its digest, whatever is marked as weaker.
    ///
    /// # Errors
    /// What the commands say.
    pub fn sign_file(&self, file: &str, keys: &[&str], more: &[&str]) -> anyhow::Result<Value> {
        let digest = self.offline(&["trust", "inspect", file])?["digest"].as_str().context("a digest")?.to_owned();
        let keys: Vec<String> = keys.iter().map(|name| format!("--key={}", self.key(name))).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let confirmed = ["--yes", "--accept-weaker", "--digest", &digest];
        self.offline(&[&["trust", "sign", file], &keys[..], &confirmed, more].concat())
    }

    /// Uploads a release of another class or security version and collects the approvals that it needs.
    ///
    /// # Errors
    /// What the commands say.
    pub fn release_as(&self, id: &str, version: &str, release: u64, image: &Path, more: &[&str]) -> anyhow::Result<()> {
        let more = [&["--probation-seconds", "1"], more].concat();
        let view = self.upload_with(id, version, release, image, &more)?;
        for role in Role::APPROVERS {
            if view["missingApprovals"].as_array().is_some_and(|m| m.iter().any(|r| r == role.name())) {
                self.approve(id, role)?;
            }
        }
        Ok(())
    }

    /// Uploads and collects all three approvals.
    ///
    /// # Errors
    /// What the commands say.
    pub fn release(&self, id: &str, version: &str, release: u64, image: &Path, probation_s: f64) -> anyhow::Result<()> {
        self.upload(id, version, release, image, probation_s)?;
        for role in Role::APPROVERS {
            self.approve(id, role)?;
        }
        Ok(())
    }

    /// Starts a deployment of the plan and gives its id.
    ///
    /// # Errors
    /// What the command says.
    pub fn deploy(&self, id: &str, plan: &Value) -> anyhow::Result<String> {
        let file = self.path(&format!("{id}.plan.json"));
        std::fs::write(&file, plan.to_string())?;
        let view = self.ctl(Role::Operator, &["deploy", "--firmware", id, &file.display().to_string()])?;
        Ok(view["deploymentId"].as_str().context("a deployment id")?.to_owned())
    }

    /// [`World::deploy`] in place of `before`, whatever becomes of that meanwhile: it may run, have ended, or be on its way back.
    ///
    /// # Errors
    /// What the command said last, if it says so for two minutes.
    pub fn deploy_instead(&self, id: &str, plan: &Value, before: &str) -> anyhow::Result<String> {
        let mut instead = plan.clone();
        instead["supersedes"] = json!([before]);
        let mut said = anyhow::anyhow!("not tried");
        wait_for("the deployment to be taken", Duration::from_secs(120), || {
            match self.deploy(id, &instead).or_else(|first| self.deploy(id, plan).context(first)) {
                Ok(deployment) => return Ok(Some(deployment)),
                Err(refused) => said = refused,
            }
            Ok(None)
        })
        .map_err(|late| said.context(late))
    }

    /// The seed's three phases with `pilot` as the named pilot hospital and `monitoring` (ISO 8601) as the monitoring time.
    pub fn progressive(pilot: &str, monitoring: &str) -> Value {
        json!({
            "strategy": "Progressive",
            "phases": [
                { "name": "Pilot", "hospitalCohort": "pilot", "percentage": 10, "targetHospitals": [pilot],
                  "maxErrorRatePercent": 1.0, "monitoringDuration": monitoring },
                { "name": "Regional", "hospitalCohort": "regional", "percentage": 50,
                  "maxErrorRatePercent": 0.5, "monitoringDuration": monitoring },
                { "name": "Full", "hospitalCohort": "all", "percentage": 100,
                  "maxErrorRatePercent": 0.1, "monitoringDuration": monitoring },
            ]
        })
    }

    /// The deployment as the API shows it.
    ///
    /// # Errors
    /// What the command says.
    pub fn deployment(&self, id: &str) -> anyhow::Result<Value> {
        self.ctl(Role::Operator, &["watch", id])
    }

    /// Signs the validation of the current phase if its gate has held. Gives whether it did.
    ///
    /// # Errors
    /// What the command says.
    pub fn validate_if_due(&self, id: &str, view: &Value) -> anyhow::Result<bool> {
        let current = view["currentPhase"].as_u64().unwrap_or(1) as usize - 1;
        let phase = &view["phases"][current];
        if view["status"]["name"] != "running" || phase["status"]["name"] != "awaitingValidation" {
            return Ok(false);
        }
        let role = Role::APPROVERS.into_iter().find(|r| phase["validationRole"] == r.name()).context("a known role")?;
        let (key, digest) = (self.key(role.user()), view["manifestDigest"].as_str().context("a digest")?);
        let signer = ["--role", role.name(), "--key", &key, "--reason", "phase went well"];
        self.ctl(role, &[&["validate", id][..], &signer, &["--yes", "--digest", digest]].concat())?;
        Ok(true)
    }

    /// All devices as the API shows them.
    ///
    /// # Errors
    /// What the command says.
    pub fn device_list(&self) -> anyhow::Result<Vec<Value>> {
        Ok(self.ctl(Role::Operator, &["devices", "list", "--all"])?.as_array().cloned().unwrap_or_default())
    }
}

/// What `mdfmctl --json` printed of a failure: its last line is problem details, whose message is what people get.
fn words_of(printed: &str) -> String {
    let printed = printed.trim();
    let (before, last) = printed.rsplit_once('\n').unwrap_or(("", printed));
    match serde_json::from_str::<Value>(last).ok().as_ref().and_then(|problem| problem["message"].as_str()) {
        Some(message) => format!("{before}\n{message}").trim().to_owned(),
        None => printed.to_owned(),
    }
}
