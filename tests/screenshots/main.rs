//! Takes the pictures of the console and of the terminal that the documents show: a small installation with a deployment that runs, a release that waits and an incident,
//! in a real browser. Writes `docs/pictures/*.png`; all pictures of the terminal are in `target/terminal-pictures`.

mod terminal;

use std::time::Duration;

use anyhow::ensure;
use mdfm_service::output;
use mdfm_tests::{Api, Browser, Layout, Role, World, device_id, hospital_id, wait_for};
use serde_json::{Value, json};

/// Pixels of a picture's width.
const WIDTH: u32 = 1280;

/// Pixels of a picture's height at most.
const HEIGHT_MAX: f64 = 1_150.0;

/// Picture, who looks, address, theme.
type Shot = (&'static str, Role, String, &'static str);

fn plan() -> Value {
    json!({ "strategy": "Progressive", "phases": [
        { "name": "Pilot", "hospitalCohort": "pilot", "targetHospitals": [hospital_id(1)], "percentage": 10, "maxErrorRatePercent": 1, "monitoringDuration": "PT2H" },
        { "name": "Regional", "hospitalCohort": "regional", "percentage": 50, "maxErrorRatePercent": 0.5, "monitoringDuration": "PT2H" },
        { "name": "Full", "hospitalCohort": "all", "percentage": 100, "maxErrorRatePercent": 0.1, "monitoringDuration": "PT2H" } ] })
}

fn main() -> anyhow::Result<()> {
    let root = std::env::current_dir()?;
    let dir = root.join("target/screenshots");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let layout = Layout { hospitals: 4, devices: 3, ..Layout::default() };
    let world = World::start(&dir, layout)?;
    wait_for("the devices to be known", Duration::from_secs(60), || {
        Ok(world.device_list()?.iter().all(|d| !d["runningSha256"].is_null()).then_some(()))
    })?;
    let image = dir.join("firmware.img");
    std::fs::write(&image, vec![7_u8; 300_000])?;
    world.release("FW-2.2.0", "2.2.0", 22, &image, 1.0)?;
    let running = world.deploy("FW-2.2.0", &plan())?;
    wait_for("the pilot to be confirmed", Duration::from_secs(90), || {
        let view = world.deployment(&running)?;
        let pilot =
            view["devices"].as_array().into_iter().flatten().filter(|d| d["hospitalId"] == hospital_id(1).as_str());
        Ok(pilot.into_iter().all(|d| d["state"] == "confirmed").then_some(()))
    })?;
    std::fs::write(&image, vec![9_u8; 300_000])?;
    world.upload("FW-2.3.0", "2.3.0", 23, &image, 1.0)?;
    world.approve("FW-2.3.0", Role::Qa)?;
    let operator = Api::with_session(world.session(Role::Operator).as_ref())?;
    let incident = json!({ "title": "display dark", "deviceIds": [device_id(2, 1)], "outcome": "noHarm", "description": "the display stays dark after a restart" });
    let (status, answer) = operator.json("POST", "/api/v1/incidents", &incident)?;
    ensure!(status < 300, "the incident was refused: {answer}");

    let url = format!("https://127.0.0.1:{}", world.port);
    let pictures = root.join("docs/pictures");
    std::fs::create_dir_all(&pictures)?;
    let shots: Vec<Shot> = vec![
        ("home", Role::Clinical, "/console".into(), "light"),
        ("deployment", Role::Operator, format!("/console/deployments/{running}"), "light"),
        ("review", Role::Clinical, "/console/releases/FW-2.3.0/review".into(), "light"),
        ("devices", Role::Operator, "/console/devices".into(), "light"),
        ("fleet", Role::Operator, "/console/fleet".into(), "dark"),
        ("audit", Role::Auditor, "/console/audit".into(), "light"),
    ];
    let browser = Browser::start(&dir)?;
    if std::env::args().nth(1).as_deref() == Some("terminal") {
        terminal::pictures(&browser, &world, &running, &pictures)?;
        return terminal::first_pictures(&browser, &dir, &pictures);
    }
    for (name, role, path, theme) in shots {
        let reader = Api::with_session(world.session(role).as_ref())?;
        browser.sign_in_as(&url, reader.token())?;
        browser.resize(WIDTH, theme)?;
        browser.open(&format!("{url}{path}"))?;
        // What follows the deployment has said so.
        std::thread::sleep(Duration::from_millis(1_500));
        let file = pictures.join(format!("console-{name}.png"));
        std::fs::write(&file, browser.picture(WIDTH, HEIGHT_MAX)?)?;
        output::line(format_args!("{}", file.display()));
    }
    terminal::pictures(&browser, &world, &running, &pictures)?;
    terminal::first_pictures(&browser, &dir, &pictures)
}
