//! What quickstart prints at its end, pure: what there is, and commands that can be pasted as they stand.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::{APPROVERS, DEVICE, GATEWAY, HOSPITAL, PEOPLE, RELEASE};

/// What the words depend on.
#[derive(Debug, Clone)]
pub(super) struct Guide {
    pub(super) dir: PathBuf,
    /// The directory of `mdfmctl` if a shell does not find it.
    pub(super) tools: Option<PathBuf>,
    pub(super) port: u16,
    /// The digest of the release's manifest, in hexadecimal digits.
    pub(super) manifest_digest: String,
    pub(super) progress: Progress,
}

/// Which of the steps are done already, in an earlier run of the trial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Roles that have approved the release.
    approved: Vec<String>,
    deployment: Deployment,
}

/// How far the newest deployment is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Deployment {
    /// No deployment, or the newest one was rolled back or aborted: a new one can be made.
    #[default]
    None,
    Running(String),
    Completed(String),
}

impl Progress {
    /// Reads the progress out of the views of the release and of all deployments.
    pub(super) fn new(release: &Value, deployments: &Value) -> Self {
        let approvals = release["approvals"].as_array().into_iter().flatten();
        let approved = approvals.filter_map(|approval| approval["role"].as_str()).map(str::to_owned).collect();
        let made = |view: &&Value| view["createdAt"].as_str().unwrap_or_default().to_owned();
        let newest = deployments.as_array().into_iter().flatten().max_by_key(made).unwrap_or(&Value::Null);
        let id = newest["deploymentId"].as_str().unwrap_or_default().to_owned();
        let deployment = match newest["status"]["name"].as_str() {
            None | Some("rolledBack" | "aborted" | "superseded") => Deployment::None,
            Some("completed") => Deployment::Completed(id),
            Some(_) => Deployment::Running(id),
        };
        Self { approved, deployment }
    }
}

/// Before and after the commands, so that they can be found in the output.
pub(super) const BEGIN: &str = "# ---- commands of the trial ----";
pub(super) const END: &str = "# ---- end of the commands ----";

/// A word as a shell takes it (POSIX 2.2.2).
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Who signs as what.
fn role(user: &str) -> &'static str {
    PEOPLE.iter().find(|person| person.0 == user).map_or("", |person| person.2)
}

fn login(user: &str) -> String {
    format!(
        "mdfmctl --session people/{user}.session login --user {user} --password-file people/{user}.password \
         --factor-file people/{user}.factor"
    )
}

/// Everything that is printed once the trial is ready.
pub(super) fn summary(guide: &Guide, took: Duration) -> String {
    let people: Vec<String> = PEOPLE.iter().map(|(user, _, role)| format!("{user} ({role})")).collect();
    let dir = guide.dir.display();
    format!(
        "TRIAL INSTALLATION, not for patients: ready after {:.1} s\n\n\
         coordinator  https://127.0.0.1:{}, on this machine alone; its API as a page: /api/v1/docs\n\
         console      https://127.0.0.1:{}/console, for a browser on this machine; it does not know the trial's authority yet\n             \
         (coordinator/ca.pem) and warns. Sign in as operator: the password stands in people/operator.password; as the\n             \
         code, give one of people/operator.recovery-codes (each counts once)\n\
         directory    {dir}; removing it removes the trial\n\
         secrets      {dir}/people: passwords, second factors and secret keys of everybody, readable by you alone (0600);\n             \
         whoever has this folder is everybody at once\n\
         people       {}\n\
         fleet        hospital {HOSPITAL}, gateway {GATEWAY}, device {DEVICE} (simulated) with firmware 2.1.0\n\
         release      {RELEASE} (2.2.0), uploaded and signed, {approvals}\n\
         logs         {dir}/logs\n\n\
         Ctrl-C stops everything; the same command starts it again. What to do next, in another terminal, in this order\n\
         (the commands can be pasted, and stand in {dir}/next-steps.sh):\n",
        took.as_secs_f64(),
        guide.port,
        guide.port,
        people.join(", "),
        approvals = match guide.progress.approved.as_slice() {
            [] => "waits for its approvals".to_owned(),
            roles => format!("approved by {}", roles.join(", ")),
        },
    )
}

/// The commands, for a POSIX shell.
pub(super) fn commands(guide: &Guide) -> String {
    let (digest, operator) = (&guide.manifest_digest, "export MDFMCTL_SESSION=people/operator.session");
    let path_line = guide.tools.as_deref().map(|tools| format!("export PATH={}:\"$PATH\"\n", path(tools)));
    let progress = &guide.progress;
    let (missing, signed): (Vec<&str>, Vec<&str>) =
        APPROVERS.iter().partition(|user| !progress.approved.iter().any(|approved| approved == role(user)));
    let approvals: Vec<String> = missing
        .iter()
        .map(|user| {
            format!(
                "{}\nmdfmctl --session people/{user}.session approve {RELEASE} --role {} --key people/trial-secret-keys/{user} \
                 --reason 'bench test passed' --yes --digest {digest}\n",
                login(user),
                role(user)
            )
        })
        .collect();
    format!(
        "{BEGIN}\n\
         # This terminal works in the trial's directory, with its coordinator.\n\
         cd {dir}\n\
         unset MDFMCTL_TOKEN MDFMCTL_CONTEXT MDFMCTL_USER MDFMCTL_PASSWORD_FILE MDFMCTL_FACTOR_FILE\n\
         {tools}export MDFMCTL_URL=https://127.0.0.1:{port} MDFMCTL_CA=coordinator/ca.pem NO_PROXY=127.0.0.1\n\n\
         # Sign in as the operator. Each person has a session file: MDFMCTL_SESSION names the one that is used, or --session.\n\
         {operator}\n\
         {login}\n\
         mdfmctl whoami\n\n\
         # Look at devices and at the release.\n\
         mdfmctl devices list\n\
         mdfmctl firmware show {RELEASE}\n\n\
         {approvals}\n\
         {deploy}\n\
         {watch}\n\
         # Roll it back, and wait until the device runs 2.1.0 again.\n\
         mdfmctl rollback \"$DEPLOYMENT\" --reason 'trying a rollback' --yes\n\
         until mdfmctl devices list --filter currentFirmwareVersion=2.1.0 --output name | grep -q {DEVICE}; do sleep 1; done\n\
         mdfmctl devices history {DEVICE}\n\n\
         # Verify a copy of the audit log, offline.\n\
         {auditor}\n\
         COPY=copy-$(date -u +%Y%m%dT%H%M%SZ)\n\
         mdfmctl --session people/auditor.session audit export \"$COPY\"\n\
         mdfmctl audit verify \"$COPY\" --log-vkey coordinator/log.vkey\n\
         {END}\n",
        dir = path(&guide.dir),
        tools = path_line.unwrap_or_default(),
        port = guide.port,
        login = login("operator"),
        approvals = approvals_words(&signed, &approvals),
        deploy = deploy(&progress.deployment),
        watch = watch(&progress.deployment, digest),
        auditor = login("auditor"),
    )
}

/// The commands that approve the release, those who have not done it yet.
fn approvals_words(signed: &[&str], commands: &[String]) -> String {
    let roles: Vec<&str> = signed.iter().map(|user| role(user)).collect();
    let done = if roles.is_empty() { String::new() } else { format!("# Done: {} approved it.\n", roles.join(", ")) };
    if commands.is_empty() {
        return done;
    }
    format!(
        "# Approve it: Clinical, QA and Regulatory, each with a key of their own. Without --yes and --digest the tool shows what is\n\
         # signed and asks.\n\
         {done}{}",
        commands.concat()
    )
}

/// The commands that deploy the release, or name the deployment that there is.
fn deploy(deployment: &Deployment) -> String {
    match deployment {
        Deployment::None => format!(
            "# Deploy it: look at the plan first.\n\
             mdfmctl deploy --firmware {RELEASE} plan.json --dry-run\n\
             mdfmctl deploy --firmware {RELEASE} plan.json --yes\n\
             DEPLOYMENT=$(mdfmctl deployments list --active --limit 1 --output name)\n"
        ),
        Deployment::Running(id) | Deployment::Completed(id) => {
            format!("# Done: it is deployed.\nDEPLOYMENT={}\n", quoted(id))
        }
    }
}

/// The commands that watch the deployment to its end.
fn watch(deployment: &Deployment, digest: &str) -> String {
    if matches!(deployment, Deployment::Completed(_)) {
        return "# Done: the device has confirmed the firmware, and the phase is validated.\n\
                mdfmctl watch \"$DEPLOYMENT\"\n\
                mdfmctl devices list\n"
            .to_owned();
    }
    format!(
        "# Watch it until the device has confirmed the firmware and the phase waits for its validation (mdfmctl watch \"$DEPLOYMENT\"\n\
         # --follow shows each change), then sign the validation.\n\
         until mdfmctl --json watch \"$DEPLOYMENT\" | grep -q awaitingValidation; do sleep 1; done\n\
         mdfmctl watch \"$DEPLOYMENT\"\n\
         {login}\n\
         mdfmctl --session people/regulatory.session validate \"$DEPLOYMENT\" --role Regulatory --key people/trial-secret-keys/regulatory \
         --reason 'the phase went well' --yes --digest {digest}\n\
         mdfmctl devices list\n",
        login = login("regulatory"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cli_27_paths_of_the_guide_survive_a_shell() {
        assert_eq!(quoted("/home/ada/mdfm-trial"), "/home/ada/mdfm-trial");
        for name in ["my trial", "it's", "$(id)", "a;b", "`id`", ""] {
            let echoed =
                std::process::Command::new("/bin/sh").args(["-c", &format!("printf %s {}", quoted(name))]).output();
            assert_eq!(String::from_utf8(echoed.expect("runs").stdout).expect("UTF-8"), name);
        }
    }

    #[test]
    fn cli_27_the_guide_says_trial_and_names_everybody() {
        let guide = Guide {
            dir: "/x y".into(),
            tools: None,
            port: 8_443,
            manifest_digest: "ab".repeat(32),
            progress: Progress::default(),
        };
        let words = summary(&guide, Duration::from_millis(4_321)) + &commands(&guide);
        assert!(words.starts_with("TRIAL INSTALLATION, not for patients: ready after 4.3 s"), "{words}");
        for (user, _, role) in PEOPLE {
            assert!(words.contains(&format!("{user} ({role})")), "{user}");
        }
        assert!(words.contains("cd '/x y'\n") && words.contains("(0600)"));
        assert!(words.ends_with(&format!("{END}\n")) && words.contains(&format!("{BEGIN}\n")));
        assert!(!words.contains("# Done"), "{words}");
    }

    #[test]
    fn cli_27_the_guide_leaves_out_what_is_done() {
        let shown = |roles: &[&str], deployments: Value| {
            let approvals: Vec<Value> = roles.iter().map(|role| json!({ "role": role })).collect();
            let progress = Progress::new(&json!({ "approvals": approvals }), &deployments);
            let guide =
                Guide { dir: "/x".into(), tools: None, port: 8_443, manifest_digest: "ab".repeat(32), progress };
            let words = summary(&guide, Duration::from_secs(1)) + &commands(&guide);
            let count = |part: &str| words.matches(part).count();
            let counts = [count(" approve "), count(" --yes\n"), count(" validate "), count(" rollback ")];
            (counts, words)
        };
        let deployment = |status: &str, at: &str| json!({ "deploymentId": format!("dep-{status}"), "status": { "name": status }, "createdAt": at });
        let all = ["Clinical", "QA", "Regulatory"];
        assert_eq!(shown(&[], json!([])).0, [3, 2, 1, 1]);
        let (counts, words) = shown(&["QA"], json!([]));
        assert!(counts == [2, 2, 1, 1] && words.contains("# Done: QA approved it."), "{words}");
        assert!(words.contains("release      FW-2.2.0 (2.2.0), uploaded and signed, approved by QA"), "{words}");
        let (counts, words) = shown(&all, json!([deployment("running", "1")]));
        assert!(counts == [0, 1, 1, 1] && words.contains("DEPLOYMENT=dep-running\n"), "{words}");
        let (counts, words) = shown(&all, json!([deployment("completed", "2"), deployment("rolledBack", "1")]));
        assert!(counts == [0, 1, 0, 1] && words.contains("DEPLOYMENT=dep-completed\n"), "{words}");
        let (counts, words) = shown(&all, json!([deployment("completed", "1"), deployment("rolledBack", "2")]));
        assert!(counts == [0, 2, 1, 1] && words.contains("plan.json --dry-run"), "{words}");
        assert!(!words.contains("waits for its approvals"), "{words}");
    }
}
