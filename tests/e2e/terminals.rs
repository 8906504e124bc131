//! Lists and objects on terminals of every usual width: nothing wraps, no id and no heading is cut, and what is left out is named.

use std::time::Duration;

use mdfm_tests::{Layout, Role, Screen, Terminal, World, device_id, gateway_id, hospital_id, wait_for};
use serde_json::json;

use crate::{fresh_dir, image};

const WIDTHS: [usize; 4] = [60, 80, 100, 200];
/// Looks at something that may change meanwhile.
const LOOKS_MAX: usize = 4;

/// Words that are whole on every terminal, however narrow: what stands in a list or an answer.
fn is_whole(screen: &Screen, all: &str) -> Result<(), String> {
    for line in screen.lines() {
        for word in line.split_whitespace() {
            let word = word.trim_matches([',', ';', ':']);
            // The name of an action is read from its beginning.
            let is_action = word.strip_suffix('…').is_some_and(|name| name.contains('.') && all.contains(name));
            // The gateway's time goes on between two looks.
            let is_time = word.len() >= "2026-11-30T10:00:00Z".len() && word.contains('T') && word.ends_with('Z');
            if word != "…" && !is_action && !is_time && !all.contains(word) {
                return Err(format!("{word:?} is cut in {line:?}"));
            }
        }
    }
    // A digest is wider than the narrowest terminal, and so is a command to be copied: the terminal breaks them, so that they stay whole when they are
    // copied.
    let is_command = |line: &str| line.contains("mdfm");
    let is_one_word = |line: &str| line.split_whitespace().last().is_some_and(|word| word.chars().count() > 24);
    match screen.wrapped().iter().find(|line| !is_command(line) && !is_one_word(line)) {
        Some(line) => Err(format!("it wraps: {line:?}")),
        None => Ok(()),
    }
}

/// A command on terminals of every width.
fn fits(world: &World, environment: &[(String, String)], program: &str, arguments: &[&str]) {
    fits_and_ends(world, environment, program, arguments, true);
}

/// The same of one that ends well or not.
fn fits_and_ends(world: &World, environment: &[(String, String)], program: &str, arguments: &[&str], ends_well: bool) {
    let on = |columns: usize| {
        let terminal = Terminal { environment: environment.to_vec(), ..Terminal::of(columns) };
        let (screen, is_good) = terminal.run(&world.dir, program, arguments).unwrap();
        assert_eq!(is_good, ends_well, "{program} {arguments:?}: {:#?}", screen.lines());
        screen
    };
    // What changes between two looks is looked at again.
    let mut bad = None;
    for _ in 0..LOOKS_MAX {
        let all =
            on(4_000).lines().join("\n") + " not shown at columns: --output wide shows every column --json everything";
        bad = WIDTHS.iter().find_map(|width| {
            let screen = on(*width);
            let lines = screen.lines();
            let named: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once("not shown at ")?.1)).collect();
            let all = format!("{all} {}", named.join(" "));
            is_whole(&screen, &all).err().map(|why| format!("at {width} columns: {why}\n{}", lines.join("\n")))
        });
        if bad.is_none() {
            return;
        }
    }
    panic!("{program} {arguments:?} {}", bad.unwrap_or_default());
}

#[test]
fn cli_26_lists_and_objects_fit_every_terminal() {
    let dir = fresh_dir("terminals");
    let mut world = World::start(&dir, Layout { hospitals: 2, devices: 2, ..Layout::default() }).unwrap();
    wait_for("the devices to be known", Duration::from_secs(60), || {
        Ok(world.device_list()?.iter().all(|d| !d["runningSha256"].is_null()).then_some(()))
    })
    .unwrap();
    let (hospital, gateway, device) = (hospital_id(1), gateway_id(1), device_id(1, 1));
    let consent =
        ["hospitals", "policy", "change", &hospital, "--consent", "--reason", "the ward decides about each change"];
    world.ctl(Role::Operator, &consent).unwrap();
    world.release("FW-2.2.0", "2.2.0", 22, &image(&dir, 22, 100_000), 0.5).unwrap();
    let plan = json!({ "strategy": "Progressive", "phases": [
        { "name": "Pilot", "hospitalCohort": "all", "percentage": 100, "monitoringDuration": "PT1H" } ] });
    let id = world.deploy("FW-2.2.0", &plan).unwrap();
    wait_for("a device to wait for the ward", Duration::from_secs(60), || {
        Ok((world.ctl(Role::Operator, &["devices", "show", &device])?["waiting"]["code"] == "consent").then_some(()))
    })
    .unwrap();
    // What is signed is shown whole before it is; nothing is, as another digest is named.
    world.upload("FW-2.3.0", "2.3.0", 23, &image(&dir, 23, 100_000), 0.5).unwrap();
    // From here on nothing changes: what is compared stands still.
    for h in 1..=2 {
        world.kill_agent(h);
        (1..=2).for_each(|d| world.kill_device(h, d));
    }
    let add = [
        "groups",
        "set",
        "ICU-MONITORS",
        "--name",
        "Monitors of the intensive care unit",
        "--device",
        &device,
        "--reason",
        "list",
    ];
    world.ctl(Role::Operator, &add).unwrap();
    let incident = [
        "incidents",
        "open",
        "--title",
        "the display stays dark after a restart",
        "--device",
        &device,
        "--outcome",
        "noHarm",
        "--description",
        "dark",
    ];
    world.ctl(Role::Operator, &incident).unwrap();

    let of = |role: Role| vec![("MDFMCTL_SESSION".to_owned(), world.session(role))];
    let (key, other) = (world.key("qa"), "0".repeat(64));
    let reason = "protocol 7 passed on the bench, on three monitors, with the leads of the ward, for eight hours each";
    let approve =
        ["approve", "FW-2.3.0", "--role", "QA", "--key", &key, "--reason", reason, "--yes", "--digest", &other];
    fits_and_ends(&world, &of(Role::Qa), "mdfmctl", &approve, false);
    let root = dir.join("root-1.mdfm").display().to_string();
    fits(&world, &of(Role::Qa), "mdfmctl", &["trust", "inspect", &root]);
    for noun in [
        "hospitals",
        "gateways",
        "devices",
        "firmware",
        "deployments",
        "groups",
        "recalls",
        "rollback-orders",
        "incidents",
        "notices",
        "tokens",
    ] {
        fits(&world, &of(Role::Operator), "mdfmctl", &[noun, "list"]);
    }
    for shown in [
        &["hospitals", "show", &hospital][..],
        &["hospitals", "policy", "show", &hospital],
        &["hospitals", "cohorts"],
        &["gateways", "show", &gateway],
        &["devices", "show", &device],
        &["devices", "history", &device],
        &["firmware", "show", "FW-2.2.0"],
        &["firmware", "history", "FW-2.2.0"],
        &["deployments", "show", &id],
        &["deployments", "history", &id],
        &["groups", "show", "ICU-MONITORS"],
        &["groups", "devices", "ICU-MONITORS"],
        &["trust", "show"],
        &["withdrawals", "show"],
        &["whoami"],
    ] {
        fits(&world, &of(Role::Operator), "mdfmctl", shown);
    }
    for shown in
        [&["webhooks", "list"][..], &["users", "list"], &["users", "show", "operator"], &["users", "permissions"]]
    {
        fits(&world, &of(Role::Admin), "mdfmctl", shown);
    }
    for shown in [
        &["audit", "search", "--limit", "30"][..],
        &["audit", "show", "3"],
        &["audit", "status"],
        &["retention", "show"],
    ] {
        fits(&world, &of(Role::Auditor), "mdfmctl", shown);
    }
    // On the gateway.
    world.start_agent(1).unwrap();
    let config = world.dir.join("agent-001.toml").display().to_string();
    wait_for("the agent to answer", Duration::from_secs(30), || Ok(world.on_gateway(1, &["status"]).ok())).unwrap();
    for shown in [&["status"][..], &["devices"], &["device", &device], &["device", "list"], &["logs"]] {
        fits(&world, &[], "mdfm-agent", &[&["--config", &config], shown].concat());
    }
    // Help of every program.
    for program in ["mdfmctl", "mdfm-agent", "mdfm-coordinator", "mdfm-witness", "mdfm-sim"] {
        for width in WIDTHS {
            let (screen, is_good) = Terminal::of(width).run(&dir, program, &["--help"]).unwrap();
            // The parser lays out its own help, and the values of an option.
            let is_ours = |line: &String| !line.contains("Print this message") && !line.starts_with("          - ");
            let long: Vec<String> = screen.wrapped().into_iter().filter(is_ours).collect();
            assert!(is_good && long.is_empty(), "{program} at {width}: {long:#?}");
        }
    }
}
