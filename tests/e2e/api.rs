//! `docs/api.md`, carried out as it stands; and what its promises mean when somebody tests them.

use std::process::Command;

use mdfm_tests::{Layout, Role, World, program};

use crate::access::{PASSWORD, one_time_code};
use crate::{fresh_dir, image};

/// The blocks of a page that are to be run, one script.
fn script(page: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```sh run\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks.map(|block| format!("echo '--- next block'\n{block}")).collect()
}

#[test]
fn seed_api_the_documented_calls_work_as_they_stand() {
    let dir = fresh_dir("api-walk");
    let world = World::start(&dir, Layout { hospitals: 0, ..Layout::default() }).unwrap();
    let image = image(&dir, 1, 300_000);
    let work = dir.join("walk");
    std::fs::create_dir_all(&work).unwrap();
    let tools = program("mdfmctl").unwrap().parent().unwrap().display().to_string();
    let output = Command::new("bash")
        .args(["-eu", "-c", &script("api.md")])
        .current_dir(&work)
        .env("PATH", format!("{tools}:{}", std::env::var("PATH").unwrap()))
        .env("URL", format!("https://127.0.0.1:{}", world.port))
        .env("CA", world.data().join("ca.pem"))
        .env("OPERATOR", Role::Operator.user())
        .env("PASSWORD", PASSWORD)
        .env("CODE", one_time_code(&world, Role::Operator.user(), 1))
        .env("KEYS", dir.join("keys"))
        .env("IMAGE", &image)
        .output()
        .unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let problem = std::fs::read_to_string(work.join("problem.json")).unwrap();
    assert!(problem.contains("not-approved") || problem.contains("FW-2.3.0"), "{problem}");
    let created = world.ctl(Role::Auditor, &["audit", "search", "--object", "hospital/HOSP-101"]).unwrap();
    assert_eq!(created["records"].as_array().map(Vec::len), Some(1), "done once: {created}");
}
