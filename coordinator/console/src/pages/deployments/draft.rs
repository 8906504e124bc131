//! The draft of a deployment as the fields of a form, and the plan that the API takes. The draft lives in the form alone, never on the server.

use serde_json::{Map, Value, json};

use crate::form::Form;

/// Rows of phases and of windows in one draft.
pub(super) const PHASES_MAX: usize = 20;
pub(super) const WINDOWS_MAX: usize = 50;
/// Devices of one list; more are a group.
pub(super) const DEVICES_MAX: usize = 5_000;

const MS_PER_HOUR: f64 = 3_600_000.0;

/// The seed's three phases: name, cohort, percentage, limit in percent, hours, role.
const PRESET: [(&str, &str, &str, &str, &str, &str); 3] = [
    ("Pilot", "pilot", "10", "1", "72", "Clinical"),
    ("Regional", "regional", "50", "0.5", "48", "QA"),
    ("Full", "all", "100", "0.1", "24", "Regulatory"),
];

/// Fields of one row of a phase.
pub(super) const PHASE_FIELDS: [&str; 11] = [
    "name",
    "cohort",
    "percentage",
    "hospitals",
    "error_rate",
    "max_errors",
    "hours",
    "role",
    "reporting",
    "device_hours",
    "canaries",
];
/// Fields of one row of a window.
pub(super) const WINDOW_FIELDS: [&str; 5] = ["hospital", "day", "start", "end", "zone"];

/// Number of rows that the form has.
pub(super) fn rows(form: &Form, prefix: &str, max: usize) -> usize {
    form.text(&format!("{prefix}_rows")).parse().unwrap_or(0).min(max)
}

/// The rows of phases as a page shows them: those of the form, or the preset where it has none.
pub(super) fn phase_rows(form: &Form, add: bool) -> Vec<Value> {
    let count = rows(form, "phase", PHASES_MAX);
    let mut shown: Vec<Value> = (1..=count).map(|row| fields(form, "phase", row, &PHASE_FIELDS)).collect();
    if shown.is_empty() {
        let preset = |(name, cohort, percentage, error_rate, hours, role)| {
            let mut row = fields(&Form::default(), "phase", 0, &PHASE_FIELDS);
            let given = [
                ("name", name),
                ("cohort", cohort),
                ("percentage", percentage),
                ("error_rate", error_rate),
                ("hours", hours),
                ("role", role),
            ];
            for (field, value) in given {
                row[field] = Value::from(value);
            }
            row
        };
        shown = PRESET.into_iter().map(preset).collect();
    }
    if add && shown.len() < PHASES_MAX {
        shown.push(fields(&Form::default(), "phase", 0, &PHASE_FIELDS));
    }
    shown
}

/// The rows of windows as a page shows them.
pub(super) fn window_rows(form: &Form, add: bool) -> Vec<Value> {
    let count = rows(form, "window", WINDOWS_MAX);
    let mut shown: Vec<Value> = (1..=count).map(|row| fields(form, "window", row, &WINDOW_FIELDS)).collect();
    if add && shown.len() < WINDOWS_MAX {
        shown.push(fields(&Form::default(), "window", 0, &WINDOW_FIELDS));
    }
    shown
}

fn fields(form: &Form, prefix: &str, row: usize, names: &[&str]) -> Value {
    let value = |name: &&str| ((*name).to_owned(), Value::from(form.text(&format!("{prefix}{row}_{name}"))));
    Value::Object(names.iter().map(value).collect())
}

/// Words that are separated by blanks or commas.
pub(super) fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|word| !word.is_empty()).collect()
}

/// Hours as an ISO 8601 duration.
fn hours(form: &Form, name: &str, label: &str) -> Result<Option<String>, String> {
    let Some(hours) = form.number(name, label)? else { return Ok(None) };
    if !(0.0..=8_784.0).contains(&hours) {
        return Err(format!("{label}: must be 0 to 8784 hours"));
    }
    Ok(Some(format!("PT{:.0}S", hours * MS_PER_HOUR / 1_000.0)))
}

fn whole(form: &Form, name: &str, label: &str) -> Result<Option<u32>, String> {
    let text = form.text(name);
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| format!("{label}: \u{201c}{text}\u{201d} is not a whole number"))
}

fn put<T: Into<Value>>(plan: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        plan.insert(name.to_owned(), value.into());
    }
}

fn text(form: &Form, name: &str) -> Option<String> {
    Some(form.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Yes or no where it is said.
fn choice(form: &Form, name: &str) -> Option<bool> {
    match form.text(name) {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn targets(form: &Form, plan: &mut Map<String, Value>) -> Result<(), String> {
    match form.text("targets") {
        "all" => drop(plan.insert("targetDevices".into(), "all".into())),
        "group" => {
            let group = text(form, "group").ok_or("Choose the group whose devices are meant.")?;
            plan.insert("targetGroup".into(), group.into());
        }
        "recall" => {
            let recall = text(form, "recall").ok_or("Choose the recall whose devices are meant.")?;
            plan.insert("targetRecall".into(), recall.into());
        }
        "list" => {
            let devices = words(form.text("devices"));
            if devices.is_empty() {
                return Err("Name the devices that are meant.".into());
            }
            if devices.len() > DEVICES_MAX {
                return Err(format!("{} devices are named; more than {DEVICES_MAX} are a group.", devices.len()));
            }
            plan.insert("targetDevices".into(), json!(devices));
        }
        _ => return Err("Choose which devices are meant.".into()),
    }
    Ok(())
}

fn phase(form: &Form, row: usize) -> Result<Option<Value>, String> {
    let field = |name: &str| format!("phase{row}_{name}");
    if PHASE_FIELDS.iter().all(|name| form.text(&field(name)).is_empty()) {
        return Ok(None);
    }
    let label = |what: &str| format!("Phase {row}, {what}");
    let percentage = form.number(&field("percentage"), &label("share of hospitals"))?;
    let percentage = percentage.ok_or_else(|| format!("{}: is missing", label("share of hospitals")))?;
    let mut phase = Map::new();
    phase.insert("hospitalCohort".into(), text(form, &field("cohort")).unwrap_or_else(|| "all".into()).into());
    phase.insert("percentage".into(), percentage.into());
    put(&mut phase, "name", text(form, &field("name")));
    let hospitals = words(form.text(&field("hospitals")));
    if !hospitals.is_empty() {
        phase.insert("targetHospitals".into(), json!(hospitals));
    }
    put(&mut phase, "maxErrorRatePercent", form.number(&field("error_rate"), &label("error limit"))?);
    put(&mut phase, "maxErrors", whole(form, &field("max_errors"), &label("failed devices"))?);
    put(&mut phase, "monitoringDuration", hours(form, &field("hours"), &label("monitoring"))?);
    put(&mut phase, "validationRole", text(form, &field("role")));
    put(&mut phase, "minReportingPercent", form.number(&field("reporting"), &label("share that must report"))?);
    put(&mut phase, "minDeviceHours", form.number(&field("device_hours"), &label("device-hours"))?);
    put(&mut phase, "canaryDevicesPerHospital", whole(form, &field("canaries"), &label("canaries"))?);
    Ok(Some(Value::Object(phase)))
}

fn phases(form: &Form) -> Result<Option<Vec<Value>>, String> {
    if form.text("phases") != "own" {
        return Ok(None);
    }
    let mut phases = Vec::new();
    for row in 1..=rows(form, "phase", PHASES_MAX) {
        phases.extend(phase(form, row)?);
    }
    if phases.is_empty() {
        return Err("Describe at least one phase, or take the usual phases.".into());
    }
    Ok(Some(phases))
}

/// What belongs to one strategy alone.
fn of_strategy(form: &Form, plan: &mut Map<String, Value>) -> Result<(), String> {
    match form.text("strategy") {
        "Canary" => {
            let devices = words(form.text("canary_devices"));
            if !devices.is_empty() {
                plan.insert("canaryDevices".into(), json!(devices));
            }
            put(plan, "canaryDevicesPerHospital", whole(form, "canary_per_hospital", "Canaries in each hospital")?);
            put(plan, "canaryMonitoring", hours(form, "canary_hours", "Monitoring of the canaries")?);
            let mut gate = Map::new();
            put(&mut gate, "maxErrors", whole(form, "canary_max_errors", "Failed canaries")?);
            put(&mut gate, "requiresStaffValidation", choice(form, "canary_staff"));
            if !gate.is_empty() {
                plan.insert("validationGate".into(), Value::Object(gate));
            }
        }
        "Emergency" => {
            put(plan, "approvalWindow", hours(form, "approval_hours", "Time between approvals")?);
            put(plan, "postDeploymentMonitoring", hours(form, "watched_hours", "Monitoring afterwards")?);
            put(plan, "statusReportInterval", hours(form, "report_hours", "Time between status reports")?);
        }
        _ => {}
    }
    Ok(())
}

fn windows(form: &Form) -> Result<Vec<Value>, String> {
    let mut windows = Vec::new();
    for row in 1..=rows(form, "window", WINDOWS_MAX) {
        let value = |name: &str| form.text(&format!("window{row}_{name}"));
        if WINDOW_FIELDS.iter().all(|name| value(name).is_empty()) {
            continue;
        }
        if let Some(missing) = WINDOW_FIELDS.iter().find(|name| value(name).is_empty()) {
            return Err(format!("Window {row}: the field \u{201c}{missing}\u{201d} is empty."));
        }
        windows.push(json!({
            "hospitalId": value("hospital"), "dayOfWeek": value("day"), "startTime": value("start"), "endTime": value("end"), "timezone": value("zone"),
        }));
    }
    Ok(windows)
}

/// Checks what one step of the way to a plan asks for.
///
/// # Errors
/// The first field that is missing or cannot be read, for people.
pub(super) fn check(form: &Form, step: &str) -> Result<(), String> {
    let mut part = Map::new();
    match step {
        "release" => text(form, "firmware").map(drop).ok_or_else(|| "Choose a release.".to_owned()),
        "devices" => targets(form, &mut part),
        "strategy" => {
            let strategy = text(form, "strategy").ok_or("Choose a strategy.")?;
            of_strategy(form, &mut part)?;
            if strategy == "Emergency" { Ok(()) } else { phases(form).map(drop) }
        }
        _ => windows(form).map(drop),
    }
}

/// The step that asks for a field; `None` for a field that is no part of a draft.
pub(super) fn step_of(name: &str) -> Option<&'static str> {
    let (prefix, number) = name.find(|c: char| c.is_ascii_digit()).map_or((name, false), |at| (&name[..at], true));
    Some(match prefix {
        "firmware" => "release",
        "targets" | "group" | "recall" | "devices" | "filter" => "devices",
        "phase" if number => "strategy",
        "strategy"
        | "phases"
        | "phase_rows"
        | "canary_devices"
        | "canary_per_hospital"
        | "canary_hours"
        | "canary_max_errors"
        | "canary_staff"
        | "approval_hours"
        | "watched_hours"
        | "report_hours"
        | "auto_rollback"
        | "critical_reach"
        | "fda"
        | "monitoring_seconds" => "strategy",
        "window" if number => "rules",
        "window_rows" | "pause_outside" | "ignore_windows" | "ignore_reason" | "consent" | "membership"
        | "on_silence" | "supersedes" => "rules",
        _ => return None,
    })
}

/// The plan that a form describes, as the API takes it.
///
/// # Errors
/// The first field that is missing or cannot be read, for people.
pub(super) fn plan(form: &Form) -> Result<Value, String> {
    let mut plan = Map::new();
    let firmware = text(form, "firmware").ok_or("Choose a release.")?;
    plan.insert("firmwareId".into(), firmware.into());
    targets(form, &mut plan)?;
    let strategy = text(form, "strategy").ok_or("Choose a strategy.")?;
    let is_emergency = strategy == "Emergency";
    plan.insert("strategy".into(), strategy.into());
    if !is_emergency {
        put(&mut plan, "phases", phases(form)?);
    }
    of_strategy(form, &mut plan)?;
    put(&mut plan, "autoRollback", choice(form, "auto_rollback"));
    put(&mut plan, "criticalReach", text(form, "critical_reach"));
    put(&mut plan, "fdaNotificationRequired", choice(form, "fda"));
    if let Some(seconds) = form.number("monitoring_seconds", "Seconds between signs of life")? {
        plan.insert("monitoringInterval".into(), format!("PT{seconds:.0}S").into());
    }
    let windows = windows(form)?;
    if !windows.is_empty() {
        plan.insert("maintenanceWindows".into(), windows.into());
    }
    put(&mut plan, "pauseOutsideWindow", choice(form, "pause_outside"));
    if form.text("ignore_windows") == "yes" {
        plan.insert("ignoreWindows".into(), true.into());
        let reason = text(form, "ignore_reason").ok_or("Say why registered windows are ignored.")?;
        plan.insert("ignoreWindowsReason".into(), reason.into());
    }
    put(&mut plan, "hospitalConsent", text(form, "consent"));
    put(&mut plan, "membership", text(form, "membership"));
    put(&mut plan, "onSilence", text(form, "on_silence"));
    let supersedes = form.all("supersedes");
    if !supersedes.is_empty() {
        plan.insert("supersedes".into(), json!(supersedes));
    }
    Ok(Value::Object(plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_a_draft_of_usual_phases_is_a_short_plan() {
        let form = Form::of_texts(&[
            ("firmware", "FW-1"),
            ("targets", "all"),
            ("strategy", "Progressive"),
            ("phases", "usual"),
            ("phase_rows", "1"),
            ("phase1_name", "x"),
        ]);
        let expected = json!({ "firmwareId": "FW-1", "targetDevices": "all", "strategy": "Progressive" });
        assert_eq!(plan(&form).expect("a plan"), expected);
    }

    #[test]
    fn console_a_full_draft_becomes_its_plan() {
        let form = Form::of_texts(&[
            ("firmware", "FW-1"),
            ("targets", "list"),
            ("devices", "D-1, D-2\n D-3;D-4"),
            ("strategy", "Canary"),
            ("phases", "own"),
            ("phase_rows", "3"),
            ("phase1_name", "Pilot"),
            ("phase1_cohort", "pilot"),
            ("phase1_percentage", "10"),
            ("phase1_hospitals", "H-1 H-2"),
            ("phase1_error_rate", "0.5"),
            ("phase1_hours", "72"),
            ("phase1_role", "QA"),
            ("phase1_canaries", "2"),
            ("phase3_percentage", "100"),
            ("canary_devices", "D-1"),
            ("canary_max_errors", "0"),
            ("canary_staff", "no"),
            ("window_rows", "2"),
            ("window1_hospital", "H-1"),
            ("window1_day", "Monday"),
            ("window1_start", "01:00"),
            ("window1_end", "04:00"),
            ("window1_zone", "Europe/Berlin"),
            ("ignore_windows", "yes"),
            ("ignore_reason", "exploited now"),
            ("consent", "every"),
            ("supersedes", "dep-1"),
            ("supersedes", "dep-2"),
            ("approval_hours", "4"),
            ("auto_rollback", "yes"),
            ("monitoring_seconds", "10"),
        ]);
        assert_eq!(
            plan(&form).expect("a plan"),
            json!({
                "firmwareId": "FW-1", "targetDevices": ["D-1", "D-2", "D-3", "D-4"], "strategy": "Canary",
                "phases": [
                    { "name": "Pilot", "hospitalCohort": "pilot", "percentage": 10.0, "targetHospitals": ["H-1", "H-2"], "maxErrorRatePercent": 0.5,
                      "monitoringDuration": "PT259200S", "validationRole": "QA", "canaryDevicesPerHospital": 2 },
                    { "hospitalCohort": "all", "percentage": 100.0 },
                ],
                "canaryDevices": ["D-1"], "validationGate": { "maxErrors": 0, "requiresStaffValidation": false },
                "maintenanceWindows": [{ "hospitalId": "H-1", "dayOfWeek": "Monday", "startTime": "01:00", "endTime": "04:00", "timezone": "Europe/Berlin" }],
                "ignoreWindows": true, "ignoreWindowsReason": "exploited now", "hospitalConsent": "every", "supersedes": ["dep-1", "dep-2"],
                "autoRollback": true, "monitoringInterval": "PT10S",
            }),
            "the approval window belongs to emergencies alone"
        );
    }

    #[test]
    fn console_a_draft_says_what_is_missing() {
        let base = [("firmware", "FW-1"), ("targets", "all"), ("strategy", "Progressive")];
        for (more, said) in [
            (&[("firmware", "")][..], "release"),
            (&[("targets", "")], "which devices"),
            (&[("targets", "group")], "group"),
            (&[("targets", "recall")], "recall"),
            (&[("targets", "list")], "Name the devices"),
            (&[("strategy", "")], "strategy"),
            (&[("phases", "own")], "at least one phase"),
            (&[("phases", "own"), ("phase_rows", "1"), ("phase1_name", "A")], "Phase 1, share"),
            (&[("phases", "own"), ("phase_rows", "1"), ("phase1_percentage", "ten")], "is not a number"),
            (&[("phases", "own"), ("phase_rows", "1"), ("phase1_percentage", "9"), ("phase1_hours", "-1")], "8784"),
            (&[("window_rows", "1"), ("window1_day", "Monday")], "Window 1"),
            (&[("ignore_windows", "yes")], "why"),
        ] {
            let names: Vec<_> = more.iter().map(|(name, _)| *name).collect();
            let mut fields: Vec<_> = base.into_iter().filter(|(name, _)| !names.contains(name)).collect();
            fields.extend(more);
            let problem = plan(&Form::of_texts(&fields)).expect_err(said);
            assert!(problem.contains(said), "{problem}");
        }
    }

    #[test]
    fn console_each_field_of_a_draft_belongs_to_a_step() {
        for (name, step) in [
            ("firmware", Some("release")),
            ("devices", Some("devices")),
            ("phase12_name", Some("strategy")),
            ("phase_rows", Some("strategy")),
            ("window1_day", Some("rules")),
            ("supersedes", Some("rules")),
            ("form_token", None),
            ("password", None),
            ("go", None),
            ("1", None),
        ] {
            assert_eq!(step_of(name), step, "{name}");
        }
    }

    #[test]
    fn console_rows_of_a_draft_are_bounded() {
        let form = Form::of_texts(&[("phase_rows", "1000000"), ("window_rows", "-1")]);
        assert_eq!(phase_rows(&form, true).len(), PHASES_MAX);
        assert_eq!((window_rows(&form, false).len(), window_rows(&form, true).len()), (0, 1));
        let preset = phase_rows(&Form::default(), true);
        assert_eq!((preset.len(), &preset[0]["role"], &preset[3]["name"]), (4, &json!("Clinical"), &json!("")));
    }
}
