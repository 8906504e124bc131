//! Slots that are one place under two names, links, state directories that are none: what the programs say of them, and what they leave
//! untouched.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use mdfm_tests::{Checked, program, slots_section};

use crate::adapters::{conformance, one_device};
use crate::{fresh_dir, image};

fn agent(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("mdfm-agent").unwrap());
    command.arg("--config").arg(config).args(arguments).checked_output().unwrap()
}

fn words(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// The section of a device whose slots are these.
fn section(dir: &Path, serial: &str, pair: &str) -> String {
    let text = slots_section(dir, serial, 1).unwrap();
    let lines = text.lines().map(|l| if l.starts_with("pair") { pair.to_owned() } else { l.to_owned() });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn fld_10_a_running_slot_under_another_name_is_never_written() {
    let dir = fresh_dir("places");
    std::fs::create_dir_all(&dir).unwrap();
    let text = section(&dir, "SN-1", "");
    let factory = dir.join("main-a");
    let before = std::fs::read(&factory).unwrap();
    let other = dir.join("other-name");
    std::fs::hard_link(&factory, &other).unwrap();
    let pair = format!("pair = [{{ a = {factory:?}, b = {other:?} }}]\n");
    let config = one_device(&dir, &(text + &pair));
    let checked = agent(&config, &["run", "--check-config"]);
    assert_eq!(checked.status.code(), Some(78), "{}", words(&checked));
    assert!(words(&checked).contains("are the same place"), "{}", words(&checked));
    let (findings, success) = conformance(&config, &image(&dir, 1, 300_000));
    assert!(!success && findings.len() == 1 && !findings[0].1, "asked first, and nothing after it: {findings:?}");
    assert_eq!(std::fs::read(&factory).unwrap(), before, "not a byte was written");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn fld_20_a_linked_slot_is_named_with_the_cure() {
    let dir = fresh_dir("linked");
    std::fs::create_dir_all(&dir).unwrap();
    let text = section(&dir, "SN-1", "");
    let factory = dir.join("main-a");
    let (target, link) = (dir.join("target"), dir.join("link"));
    std::fs::write(&target, b"").unwrap();
    symlink(&target, &link).unwrap();
    let config = one_device(&dir, &format!("{text}pair = [{{ a = {factory:?}, b = {link:?} }}]\n"));
    let checked = agent(&config, &["run", "--check-config"]);
    let said = words(&checked);
    assert_eq!(checked.status.code(), Some(78), "{said}");
    assert!(said.contains(&link.display().to_string()) && said.contains("write that path"), "{said}");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn fld_21_an_unusable_state_dir_is_named() {
    let dir = fresh_dir("state");
    std::fs::create_dir_all(&dir).unwrap();
    let (file, dangling) = (dir.join("file"), dir.join("dangling"));
    std::fs::write(&file, b"x").unwrap();
    symlink(dir.join("nowhere"), &dangling).unwrap();
    std::fs::write(dir.join("token"), "mdfm-token").unwrap();
    let token = dir.join("token").display().to_string();
    for (state, cure) in [(&file, "move that file away"), (&dangling, "make that directory")] {
        let config = dir.join("agent.toml");
        std::fs::write(&config, format!("state_dir = {:?}\n", state.display().to_string())).unwrap();
        for arguments in [&["run"][..], &["run", "--check-config"], &["enrol", "--token-file", &token]] {
            let output = agent(&config, arguments);
            let said = words(&output);
            assert_eq!(output.status.code(), Some(78), "{arguments:?}: {said}");
            assert!(said.contains(&state.display().to_string()) && said.contains(cure), "{arguments:?}: {said}");
            assert!(!said.contains("os error"), "{said}");
        }
    }
    std::fs::remove_dir_all(dir).unwrap();
}
