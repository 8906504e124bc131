//! The console as its people use it, in a real browser: a journey a role, and what may go wrong on the way.

use std::time::Duration;

use mdfm_tests::{Browser, Checked, Layout, Role, World, device_id, hospital_id, wait_for};
use serde_json::{Value, json};

use crate::access::{PASSWORD, one_time_code, release_to_approve};
use crate::console::{FAST, api, running, status_of, url};
use crate::{fresh_dir, image};

/// How long a page may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn world(name: &str, hospitals: usize) -> World {
    let layout = Layout { hospitals, devices: 1, more_config: FAST.into(), ..Layout::default() };
    World::start(&fresh_dir(name), layout).unwrap()
}

/// A browser in which somebody is signed in.
fn browser_of(world: &World, user: &str) -> Browser {
    let browser = Browser::start(&world.dir).unwrap();
    browser.sign_in_as(&url(world), api(world, user).token()).unwrap();
    browser
}

fn open(browser: &Browser, world: &World, path: &str) {
    browser.open(&format!("{}/console{path}", url(world))).unwrap();
}

/// Waits until the page says something.
fn says(browser: &Browser, words: &str) {
    wait_for(words, SOON, || Ok(browser.text("main")?.contains(words).then_some(()))).unwrap_or_else(|error| {
        let invalid = "return [...document.querySelectorAll('main :invalid')].map((one) => one.name ?? one.tagName)";
        let (invalid, complaints) = (browser.script(invalid), browser.complaints());
        let said = browser.text("main").unwrap_or_default();
        panic!("{error}: {} says {said}; not valid: {invalid:?}; {complaints:?}", browser.url().unwrap())
    });
}

/// Nothing was loaded from elsewhere, no script failed, the policy was kept. A refused form is an answer with the status of an error, which the
/// browser notes.
fn is_clean(browser: &Browser) {
    let complaints = browser.complaints().unwrap();
    let ours: Vec<&String> = complaints.iter().filter(|line| !line.contains("Failed to load resource")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

/// Sends a form that asks for the second factor, with codes until one was not used before.
fn send_with_code(browser: &Browser, world: &World, user: &str, button: &str, is_done: impl Fn() -> bool) {
    wait_for("the act with a code", Duration::from_secs(100), || {
        if is_done() {
            return Ok(Some(()));
        }
        if browser.has("[name=step_up_code]") {
            browser.fill("[name=step_up_code]", &one_time_code(world, user, 0))?;
        }
        browser.click(if browser.has(button) { button } else { "main form button.primary" })?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(is_done().then_some(()))
    })
    .unwrap();
}

/// An operator: from the wizard with its dry run to the running deployment; nurses consent.
#[test]
fn console_journey_of_an_operator_and_a_nurse() {
    let world = world("console-wizard", 2);
    let dir = world.dir.clone();
    world.add_staff("nurse", &hospital_id(1)).unwrap();
    wait_for("the devices to be known", Duration::from_secs(60), || {
        Ok(world.device_list()?.iter().all(|d| !d["runningSha256"].is_null()).then_some(()))
    })
    .unwrap();
    world.release("FW-2.3.0", "2.3.0", 23, &image(&dir, 41, 100_000), 0.5).unwrap();
    let browser = browser_of(&world, "operator");
    open(&browser, &world, "/deployments/new");
    browser.click("[name=firmware][value='FW-2.3.0']").unwrap();
    browser.click("button.primary[value=next]").unwrap();
    browser.click("[name=targets][value=all]").unwrap();
    browser.click("button.primary[value=next]").unwrap();
    browser.click("[name=strategy][value=Progressive]").unwrap();
    browser.click("[name=phases][value=own]").unwrap();
    browser.fill("#phase1_name", "Everybody").unwrap();
    browser.fill("#phase1_cohort", "all").unwrap();
    browser.fill("#phase1_percentage", "100").unwrap();
    browser.fill("#phase1_error_rate", "50").unwrap();
    browser.fill("#phase1_hours", "1").unwrap();
    // A phase without any value is left out.
    let empty = "for (const one of document.querySelectorAll('[name^=phase2_], [name^=phase3_]')) one.value = ''";
    browser.script(empty).unwrap();
    browser.click("button.primary[value=next]").unwrap();
    says(&browser, "Consent of the hospital's staff");
    browser.script("document.querySelector('[name=consent]').value = 'every'").unwrap();
    send_with_code(&browser, &world, "operator", "button.primary[value=next]", || browser.has("button[value=start]"));
    // The dry run shows exactly what will happen, before anything does.
    let plan = browser.text("main").unwrap();
    for part in ["2 devices", "2 hospitals", "Plan digest", "needed"] {
        assert!(plan.replace('\n', " ").contains(part), "{part}: {plan}");
    }
    assert!(
        api(&world, "operator").send("GET", "/api/v1/deployments", vec![]).unwrap().1.as_array().unwrap().is_empty()
    );
    send_with_code(&browser, &world, "operator", "button[value=start]", || {
        browser.url().is_ok_and(|url| url.contains("/console/deployments/dep-"))
    });
    let deployment = browser.url().unwrap().rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    assert_eq!(status_of(&world, &deployment), "running");
    is_clean(&browser);

    // The nurse is asked, sees the own hospital's devices alone, and says yes.
    let nurse = browser_of(&world, "nurse");
    open(&nurse, &world, "/consents");
    says(&nurse, "FW-2.3.0");
    open(&nurse, &world, &format!("/consents/{deployment}/{}", hospital_id(1)));
    says(&nurse, &device_id(1, 1));
    assert!(!nurse.source().unwrap().contains(&device_id(2, 1)));
    nurse.fill("#f-reason", "the ward agrees").unwrap();
    nurse.click("main form button.primary").unwrap();
    says(&nurse, "given");
    is_clean(&nurse);
    wait_for("the device of the ward alone to be updated", Duration::from_secs(90), || {
        let devices = world.device_list()?;
        let runs = |id: &str| devices.iter().any(|d| d["deviceId"] == id && d["currentFirmwareVersion"] == "2.3.0");
        assert!(!runs(&device_id(2, 1)), "nobody consented there");
        Ok(runs(&device_id(1, 1)).then_some(()))
    })
    .unwrap();
}

/// Clinical stops, regulatory decides about an incident, an auditor verifies it in the browser, an administrator makes and disables an account.
#[test]
fn console_journeys_of_the_other_roles() {
    let world = world("console-roles", 1);
    let dir = world.dir.clone();
    let deployment = running(&world, &dir);

    let clinical = browser_of(&world, "clinical");
    open(&clinical, &world, &format!("/incidents/new?device={}&deployment={deployment}", device_id(1, 1)));
    clinical.fill("#f-title", "Alarm was late").unwrap();
    clinical.fill("#f-description", "It was heard ten seconds after the event.").unwrap();
    clinical.click("[name=outcome][value=malfunction]").unwrap();
    clinical.click("main form button.primary").unwrap();
    says(&clinical, "waits for a decision");
    let incident = clinical.url().unwrap().rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    open(&clinical, &world, &format!("/deployments/{deployment}"));
    clinical.fill("#pause-reason", "an alarm was late").unwrap();
    clinical.click("#pause button").unwrap();
    says(&clinical, "Paused.");
    is_clean(&clinical);

    let regulatory = browser_of(&world, "regulatory");
    open(&regulatory, &world, "");
    says(&regulatory, "Alarm was late");
    open(&regulatory, &world, &format!("/incidents/{incident}"));
    regulatory.click("[name=reportable][value='30days']").unwrap();
    regulatory.fill("#f-decision_reason", "likely to contribute to harm").unwrap();
    regulatory.click("form[action$='/decide'] button").unwrap();
    says(&regulatory, "yes, within 30 days");
    is_clean(&regulatory);

    // The auditor finds the decision, and verifies it with a key that is not the server's word.
    let auditor = browser_of(&world, "auditor");
    let found = world.ctl(Role::Auditor, &["audit", "search", "--action", "incident.decide", "--limit", "1"]).unwrap();
    let index = found["records"][0]["index"].as_u64().unwrap();
    let vkey = std::fs::read_to_string(world.dir.join("coordinator/log.vkey")).unwrap();
    wait_for("a checkpoint that covers the entry", Duration::from_secs(60), || {
        open(&auditor, &world, &format!("/audit/{index}"));
        Ok(auditor.has("#verify-now").then_some(()))
    })
    .unwrap();
    auditor.fill("#log-key", vkey.trim()).unwrap();
    auditor.click("#verify-now").unwrap();
    wait_for("a verdict", SOON, || Ok(auditor.text("#verdict")?.contains("Verified").then_some(())))
        .unwrap_or_else(|error| panic!("{error}: {}", auditor.text("#verdict").unwrap_or_default()));
    // Another key of the same form finds that nothing is proved.
    let other = vkey.trim().rsplit_once('+').map(|(name, _)| format!("{name}+{}", "A".repeat(44))).unwrap();
    auditor.fill("#log-key", &other).unwrap();
    auditor.click("#verify-now").unwrap();
    wait_for("a refusal", SOON, || Ok((!auditor.text("#verdict")?.contains("Verified")).then_some(()))).unwrap();
    is_clean(&auditor);

    let admin = browser_of(&world, "admin");
    open(&admin, &world, "/people/new");
    admin.fill("#f-user_id", "jdoe").unwrap();
    admin.fill("#f-printed_name", "J. Doe").unwrap();
    admin.click("[name=roles][value=Auditor]").unwrap();
    send_with_code(&admin, &world, "admin", "main form button.primary", || admin.has("[data-once]"));
    let secret = admin.text("[data-once]").unwrap();
    open(&admin, &world, "/people/jdoe");
    says(&admin, "J. Doe");
    assert!(!admin.source().unwrap().contains(secret.trim()), "a password is shown once");
    is_clean(&admin);
}

/// Lets the clock of the pages that are opened from now on run ahead when the test says so.
fn clock_can_jump(browser: &Browser) {
    let script = "window.ahead = 0; const now = Date.now.bind(Date); Date.now = () => now() + window.ahead;";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script })).unwrap();
}

fn dialog(browser: &Browser) -> Option<String> {
    browser.has("dialog[open]").then(|| browser.text("dialog[open] h2").unwrap_or_default())
}

#[test]
fn console_idle_people_are_warned_and_lose_no_text() {
    let world = world("console-idle", 1);
    let deployment = running(&world, &world.dir.clone());
    let browser = browser_of(&world, "operator");
    clock_can_jump(&browser);
    open(&browser, &world, &format!("/deployments/{deployment}/abort"));
    browser.fill("#f-reason", "typed with care").unwrap();
    assert_eq!(dialog(&browser), None);
    // Half an hour without use ends the session; two minutes before, people are asked.
    browser.script("window.ahead = 28.5 * 60000").unwrap();
    wait_for("the warning", SOON, || Ok(dialog(&browser))).unwrap();
    assert!(dialog(&browser).unwrap().contains("about to end"));
    browser.script("window.ahead = 0").unwrap();
    browser.click("dialog[open] button").unwrap();
    wait_for("the warning to go", SOON, || Ok(dialog(&browser).is_none().then_some(()))).unwrap();

    // What somebody does in another tab is a use too.
    browser.script("window.ahead = 28.5 * 60000").unwrap();
    wait_for("the warning", SOON, || Ok(dialog(&browser))).unwrap();
    browser.script("window.ahead = 0").unwrap();
    let first = browser.new_tab().unwrap();
    open(&browser, &world, "/devices");
    browser.show_tab(&first).unwrap();
    wait_for("the warning to go", SOON, || Ok(dialog(&browser).is_none().then_some(()))).unwrap();

    // When the session has ended, the text is still there, and nothing is sent.
    browser.script("window.ahead = 31 * 60000").unwrap();
    wait_for("the end", SOON, || Ok(dialog(&browser).filter(|words| words.contains("has ended")))).unwrap();
    let typed = browser.script("return document.querySelector('#f-reason').value").unwrap();
    assert_eq!(typed, "typed with care");
    is_clean(&browser);
}

/// A session that ended elsewhere: the form stays, and is sent after signing in again in another tab.
#[test]
fn console_a_form_outlives_its_session() {
    let world = world("console-session", 1);
    let deployment = running(&world, &world.dir.clone());
    let browser = browser_of(&world, "operator");
    open(&browser, &world, &format!("/deployments/{deployment}"));
    browser.fill("#pause-reason", "typed with care").unwrap();
    let others = api(&world, "operator");
    let cookies = json!({ "name": "__Host-mdfm", "url": format!("{}/", url(&world)) });
    browser.devtools("Network.deleteCookies", &cookies).unwrap();
    browser.click("#pause button").unwrap();
    wait_for("the form to stay", SOON, || Ok(browser.text("#pause")?.contains("session has ended").then_some(())))
        .unwrap();
    assert_eq!(browser.script("return document.querySelector('#pause-reason').value").unwrap(), "typed with care");
    assert_eq!(status_of(&world, &deployment), "running");
    browser.sign_in_as(&url(&world), others.token()).unwrap();
    browser.click("#pause button").unwrap();
    says(&browser, "Paused.");
    is_clean(&browser);
}

fn signatures(world: &World) -> usize {
    let shown = world.ctl(Role::Auditor, &["firmware", "show", "FW-22"]).unwrap();
    shown["approvals"].as_array().unwrap().iter().filter(|a| a["role"] == "QA").count()
}

/// The ceremony with the coordinator gone in the middle, a double click, and the receipt on paper.
#[test]
fn p11_200a1_a_signature_survives_a_restart_and_a_double_click() {
    let mut world = world("console-restart", 1);
    let (password, factor) = (world.dir.join("password").display().to_string(), world.factor("qa"));
    let both = ["--password-file", &password, "--factor-file", &factor];
    let made = world.ctl(Role::Qa, &[&["signing-key", "create"], &both[..]].concat()).unwrap();
    release_to_approve(&world, made["publicKey"].as_str().unwrap());
    let browser = browser_of(&world, "qa");
    open(&browser, &world, "/releases/FW-22/sign");
    browser.click("[name=role][value=QA]").unwrap();
    browser.fill("#f-reason", "protocol 7 passed").unwrap();
    browser.fill("#f-password", PASSWORD).unwrap();
    browser.fill("#f-code", "123456").unwrap();

    world.kill_coordinator();
    browser.click("#sign button.primary").unwrap();
    wait_for("the page to say it", Duration::from_secs(60), || {
        Ok(browser.text("#sign")?.contains("does not answer").then_some(()))
    })
    .unwrap();
    let kept = "return ['#f-reason', '#f-password'].map((css) => document.querySelector(css).value)";
    assert_eq!(browser.script(kept).unwrap(), json!(["protocol 7 passed", PASSWORD]), "nothing is lost");
    world.start_coordinator().unwrap();

    wait_for("the signature", Duration::from_secs(100), || {
        if browser.has("#sign") {
            if !browser.has("[name=role]:checked") {
                browser.click("[name=role][value=QA]")?;
            }
            browser.fill("#f-password", PASSWORD)?;
            browser.fill("#f-code", &one_time_code(&world, "qa", 0))?;
            // Twice, as people do.
            browser.script("const b = document.querySelector('#sign button.primary'); b.click(); b.click();")?;
        }
        std::thread::sleep(Duration::from_secs(3));
        let is_signed = browser.url()?.contains("/receipt");
        if !is_signed {
            std::thread::sleep(Duration::from_secs(5));
        }
        Ok(is_signed.then_some(()))
    })
    .unwrap();
    assert_eq!(signatures(&world), 1);
    let signed =
        world.ctl(Role::Auditor, &["audit", "search", "--action", "firmware.approve", "--limit", "10"]).unwrap();
    let accepted = signed["records"].as_array().unwrap().iter().filter(|r| r["outcome"] == "accepted").count();
    assert_eq!(accepted, 1, "one click, one record: {signed}");
    // On paper: who, as what, when, what it means (21 CFR 11.50).
    let pdf = world.dir.join("receipt.pdf");
    std::fs::write(&pdf, browser.print().unwrap()).unwrap();
    let pages = pages_of(&pdf);
    for part in ["QA signatory", "as QA", "UTC", "I approve FW-22", "protocol 7 passed", "As the console showed it to"]
    {
        assert!(pages.concat().contains(part), "{part}: {pages:?}");
    }
    assert_eq!(pages.len(), 1, "a receipt is one sheet: {pages:?}");
    // The other sheets that people file: no page holds a heading alone, and no control is on them.
    for (path, part) in [("/releases/FW-22", "Manifest digest"), ("/devices", "DEV-"), ("/deployments", "Deployments")]
    {
        open(&browser, &world, path);
        std::fs::write(&pdf, browser.print().unwrap()).unwrap();
        let pages = pages_of(&pdf);
        assert!(pages.concat().contains(part), "{path}: {part}: {pages:?}");
        let thin = pages.iter().find(|page| page.split_whitespace().count() < 8);
        assert_eq!(thin, None, "{path}: a page with next to nothing on it");
        for control in ["Sign out", "Plan a deployment", "Apply", "What is new"] {
            assert!(!pages.concat().contains(control), "{path}: {control} is on paper: {pages:?}");
        }
    }
    is_clean(&browser);
}

/// The text of each page of a PDF.
fn pages_of(pdf: &std::path::Path) -> Vec<String> {
    let mut reader = std::process::Command::new("pdftotext");
    let text = reader.args(["-layout", &pdf.display().to_string(), "-"]).checked_output();
    let text = String::from_utf8_lossy(&text.expect("pdftotext is installed").stdout).into_owned();
    text.trim_end_matches('\u{c}').split('\u{c}').map(str::to_owned).collect()
}

/// Goes on with the tab key until an element has the focus.
fn tab_to(browser: &Browser, css: &str) {
    let is_there = format!("return !!document.activeElement && document.activeElement.matches({})", json!(css));
    for _ in 0..80 {
        if browser.script(&is_there).unwrap() == Value::Bool(true) {
            // Where the keys are is to be seen.
            let outline = browser.script("return getComputedStyle(document.activeElement).outlineStyle").unwrap();
            assert_ne!(outline, "none", "the focus on {css} is not visible");
            return;
        }
        browser.press(Browser::TAB).unwrap();
    }
    panic!("the tab key does not lead to {css} on {}", browser.url().unwrap());
}

#[test]
fn console_everything_is_reached_by_keyboard_alone() {
    let world = world("console-keys", 1);
    let deployment = running(&world, &world.dir.clone());
    let browser = Browser::start(&world.dir).unwrap();
    browser.devtools("Emulation.setFocusEmulationEnabled", &json!({ "enabled": true })).unwrap();
    open(&browser, &world, "/sign-in");
    wait_for("a sign-in", Duration::from_secs(100), || {
        if browser.has("nav[aria-label=Main]") {
            return Ok(Some(()));
        }
        browser.script("document.querySelector('#user_id').value = ''")?;
        tab_to(&browser, "#user_id");
        browser.press("operator")?;
        tab_to(&browser, "#password");
        browser.press(PASSWORD)?;
        tab_to(&browser, "#code");
        browser.press(&one_time_code(&world, "operator", 0))?;
        browser.press(Browser::ENTER)?;
        std::thread::sleep(Duration::from_secs(4));
        Ok(browser.has("nav[aria-label=Main]").then_some(()))
    })
    .unwrap();
    // From the beginning to a pause: links, a field, a button.
    tab_to(&browser, "nav[aria-label=Main] a[href='/console/deployments']");
    browser.press(Browser::ENTER).unwrap();
    wait_for("the list", SOON, || Ok(browser.url()?.ends_with("/console/deployments").then_some(()))).unwrap();
    tab_to(&browser, &format!("main a[href='/console/deployments/{deployment}']"));
    browser.press(Browser::ENTER).unwrap();
    wait_for("the deployment", SOON, || Ok(browser.url()?.contains(&deployment).then_some(()))).unwrap();
    tab_to(&browser, "#pause-reason");
    browser.press("without a mouse").unwrap();
    browser.press(Browser::TAB).unwrap();
    browser.press(Browser::ENTER).unwrap();
    wait_for("the pause", SOON, || Ok((status_of(&world, &deployment) == "paused").then_some(()))).unwrap();

    // Single keys, which can be switched off.
    says(&browser, "Paused.");
    browser.press("g").unwrap();
    browser.press("v").unwrap();
    wait_for("the devices", SOON, || Ok(browser.url()?.ends_with("/console/devices").then_some(()))).unwrap();
    browser.press("/").unwrap();
    assert_eq!(browser.script("return document.activeElement.id").unwrap(), "search");
    open(&browser, &world, "/me");
    browser.click("[name=keys][value=off]").unwrap();
    browser.click("form[action='/console/me/view'] button").unwrap();
    says(&browser, "me");
    wait_for("the choice", SOON, || Ok(browser.has("body[data-keys=off]").then_some(()))).unwrap();
    browser.press("/").unwrap();
    assert_ne!(browser.script("return document.activeElement.id").unwrap(), "search");
    is_clean(&browser);
}
