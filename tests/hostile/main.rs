//! The API against whatever a property-based tester (schemathesis) makes of its OpenAPI document: no answer of ours may be a server error, of a kind
//! that the document does not know, or not what its schema says. Run by `make test-api`, which brings the tester.

#![expect(clippy::print_stdout, reason = "a tester prints what it found")]

use std::process::Command;

use anyhow::{Context, ensure};
use mdfm_tests::{Layout, Role, World};
use serde_json::Value;

/// What is looked at in every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
/// What would end the tester's own session, or is not for people.
const LEFT_OUT: &str = "^/api/v1/(sessions/current|me/password|me/second-factor.*)$|^/agent/";

fn main() -> anyhow::Result<()> {
    let tester = std::env::args().nth(1).context("the tester's program is the first argument")?;
    let seconds = std::env::var("SECONDS").unwrap_or_else(|_| "120".into());
    let dir = std::env::current_dir()?.join("target/hostile");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    // A refusal before the body is read ends its connection; the tester makes more new ones in a second than the front door lets in.
    let more_config = "connections_per_address_per_second = 10000\nrequests_per_second = 10000\n".to_owned();
    let mut world = World::start(&dir, Layout { hospitals: 1, more_config, ..Layout::default() })?;
    let mut bad = 0;
    // An operator reaches most of it, an administrator the accounts, the regulator retention and recalls.
    for role in [Role::Operator, Role::Admin, Role::Regulatory] {
        let session: Value = serde_json::from_slice(&std::fs::read(world.session(role))?)?;
        let token = session["token"].as_str().context("a session")?;
        println!("as {}:", role.name());
        let status = Command::new(&tester)
            .arg("run")
            .arg(format!("https://127.0.0.1:{}/api/v1/openapi.json", world.port))
            .args(["--checks", CHECKS, "--exclude-path-regex", LEFT_OUT, "--phases", "examples,coverage,fuzzing"])
            .args(["--max-time", &seconds, "--seed", "1", "--warnings", "off", "--suppress-health-check", "all"])
            .args(["--tls-verify", &world.data().join("ca.pem").display().to_string()])
            .args(["-H", &format!("Authorization: Bearer {token}"), "--continue-on-failure"])
            .status()?;
        bad += usize::from(!status.success());
    }
    // It still does its work, and the log is whole.
    let copy = dir.join("copy").display().to_string();
    world.ctl(Role::Auditor, &["audit", "export", &copy])?;
    let key = world.data().join("log.vkey").display().to_string();
    world.offline(&["audit", "verify", &copy, "--key", &key])?;
    world.kill_coordinator();
    ensure!(bad == 0, "what the tester found is above");
    Ok(())
}
