//! The seed's JSON, letter by letter, and what is refused.

use super::*;

fn parsed(text: &str) -> Result<DeploymentRequest, Refusal> {
    let json: DeploymentJson = serde_json::from_str(text).expect("the seed's JSON");
    let request = json.parse(json.firmware_id.is_none().then_some("FW-1"))?;
    request.spec.check()?;
    Ok(request)
}

#[test]
fn cli_1_two_releases_in_one_request_are_refused() {
    let json: DeploymentJson =
        serde_json::from_str(r#"{ "strategy": "Progressive", "firmwareId": "FW-2" }"#).expect("JSON");
    let refusal = json.parse(Some("FW-1")).expect_err("which of them?");
    assert!(refusal.detail.contains("FW-2") && refusal.detail.contains("FW-1"), "{refusal}");
    assert_eq!(json.parse(Some("FW-2")).expect("the same twice").firmware.as_str(), "FW-2");
    assert_eq!(json.parse(None).expect("named once").firmware.as_str(), "FW-2");
}

#[test]
fn cli_2_a_plan_may_say_that_it_is_a_dry_run() {
    let is_dry = |text: &str| serde_json::from_str::<DeploymentJson>(text).expect("JSON").is_dry_run();
    assert!(is_dry(r#"{ "strategy": "Progressive", "dryRun": true }"#));
    assert!(!is_dry(r#"{ "strategy": "Progressive" }"#));
}

/// Both spellings, letter by letter as the seed documents write them.
#[test]
fn seed_api_deployments_are_taken_as_the_seed_writes_them() {
    let overview = parsed(
        r#"{
          "firmwareId": "fw-abc123",
          "strategy": "ProgressiveHospital",
          "targetDevices": ["DEV-12345", "DEV-12346"],
          "rolloutPhases": [
            { "hospitalCohort": "pilot", "percentage": 10 },
            { "hospitalCohort": "regional", "percentage": 50 },
            { "hospitalCohort": "all", "percentage": 100 }
          ]
        }"#,
    )
    .expect("accepted");
    let strategies = parsed(
        r#"{
          "strategy": "Progressive",
          "phases": [
            { "name": "Pilot", "hospitalCohort": "pilot", "percentage": 10, "targetHospitals": ["HOSP-001", "HOSP-002"],
              "maxErrorRatePercent": 1.0, "monitoringDurationHours": 72 },
            { "name": "Regional", "hospitalCohort": "regional", "percentage": 50,
              "maxErrorRatePercent": 0.5, "monitoringDurationHours": 48 },
            { "name": "Full", "hospitalCohort": "all", "percentage": 100,
              "maxErrorRatePercent": 0.1, "monitoringDurationHours": 24 }
          ]
        }"#,
    )
    .expect("accepted");
    assert_eq!(overview.firmware.as_str(), "fw-abc123");
    assert!(matches!(&overview.targets, Targets::Named(d) if d.len() == 2));
    assert_eq!(strategies.spec.phases[0].target_hospitals.len(), 2);
    // What the overview leaves out are the figures of the strategies document.
    for (short, long) in overview.spec.phases.iter().zip(&strategies.spec.phases) {
        assert_eq!(short.monitoring_ms, long.monitoring_ms);
        assert!((short.max_error_rate_percent - long.max_error_rate_percent).abs() < f64::EPSILON);
        assert_eq!(short.validation, long.validation);
    }
    let roles: Vec<Option<Role>> = strategies.spec.phases.iter().map(|p| p.validation).collect();
    assert_eq!(roles, [Role::Clinical, Role::Qa, Role::Regulatory].map(Some));
}

#[test]
fn seed_strat_emergency_is_taken_as_the_seed_writes_it() {
    let request = parsed(
        r#"{
          "strategy": "Emergency",
          "firmwareId": "FW-emergency-001",
          "targetDevices": "all",
          "approvalWindow": "PT4H",
          "monitoringInterval": "PT10S",
          "autoRollback": true,
          "fdaNotificationRequired": true
        }"#,
    )
    .expect("accepted");
    let spec = request.spec;
    assert_eq!((spec.strategy, request.targets), (Strategy::Emergency, Targets::All));
    assert_eq!((spec.approval_window_ms, spec.monitoring_interval_ms), (Some(4 * HOUR_MS), Some(10_000)));
    assert!(spec.auto_rollback && spec.fda_notification);
    assert_eq!(spec.status_reports, Some(StatusReports { interval_ms: DAY_MS, count: 7 }));
    let [everybody] = spec.phases.as_slice() else { panic!("one phase") };
    assert!((everybody.percentage - 100.0).abs() < f64::EPSILON);
    assert_eq!((everybody.max_errors, everybody.monitoring_ms), (Some(0), 7 * DAY_MS));
}

#[test]
fn seed_strat_canary_is_taken_as_the_seed_writes_it() {
    let request = parsed(
        r#"{
          "strategy": "Canary",
          "canaryDevices": ["DEV-CANARY-001", "DEV-CANARY-002"],
          "canaryMonitoringDays": 7,
          "validationGate": {
            "maxErrors": 0,
            "requiresStaffValidation": true
          }
        }"#,
    )
    .expect("accepted");
    let canary = &request.spec.phases[0];
    assert!(matches!(&canary.reach, Reach::Canaries { named, per_hospital: 0 } if named.len() == 2));
    assert_eq!(
        (canary.monitoring_ms, canary.max_errors, canary.validation),
        (7 * DAY_MS, Some(0), Some(Role::Clinical))
    );
    assert_eq!(request.spec.phases.len(), 4, "Progressive follows");
    let counted = parsed(r#"{ "strategy": "Canary" }"#).expect("accepted");
    assert!(matches!(&counted.spec.phases[0].reach, Reach::Canaries { named, per_hospital: 1 } if named.is_empty()));
}

#[test]
fn seed_strat_scheduled_is_taken_as_the_seed_writes_it() {
    let request = parsed(
        r#"{
          "strategy": "Scheduled",
          "maintenanceWindows": [
            {
              "hospitalId": "HOSP-001",
              "dayOfWeek": "Sunday",
              "startTime": "02:00:00",
              "endTime": "06:00:00",
              "timezone": "America/New_York"
            }
          ],
          "pauseOutsideWindow": true
        }"#,
    )
    .expect("accepted");
    let WindowRule::Windows { given, finish, .. } = &request.spec.windows else { panic!("windows") };
    let weekly = Weekly { weekday: 7, start_s: 7_200, end_s: 21_600, timezone: "America/New_York".into() };
    assert_eq!(given.values().next(), Some(&vec![weekly.clone()]));
    assert_eq!(*finish, Finish::Inside);
    assert_eq!(window_text(&weekly)["startTime"], "02:00:00");
    assert_eq!(window_text(&weekly)["dayOfWeek"], "Sunday");
    let anytime = parsed(r#"{ "strategy": "Scheduled", "pauseOutsideWindow": false }"#).expect("accepted");
    assert!(matches!(anytime.spec.windows, WindowRule::Windows { finish: Finish::Anytime, .. }));
}

#[test]
fn strategies_are_combined() {
    let request = parsed(
        r#"{ "strategy": "Progressive", "pauseOutsideWindow": true, "hospitalConsent": "every", "membership": "dynamic",
             "phases": [ { "name": "Pilot", "hospitalCohort": "pilot", "percentage": 10, "canaryDevicesPerHospital": 2,
                           "canaryMonitoring": "P2D" },
                         { "name": "Full", "hospitalCohort": "all", "percentage": 100 } ] }"#,
    )
    .expect("accepted");
    let spec = request.spec;
    let names: Vec<&str> = spec.phases.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["Pilot canaries", "Pilot", "Full"]);
    assert_eq!(spec.phases[0].reach, Reach::CanariesOfNext { per_hospital: 2 });
    assert_eq!((spec.phases[0].monitoring_ms, spec.phases[0].max_errors), (2 * DAY_MS, Some(0)));
    assert_eq!((spec.phases[1].monitoring_ms, spec.phases[1].max_errors), (72 * HOUR_MS, None));
    assert_eq!((spec.consent, spec.membership), (ConsentRule::Every, Membership::Dynamic));
    assert!(matches!(&spec.windows, WindowRule::Windows { given, .. } if given.is_empty()));
}

#[test]
fn seed_strat_durations_are_iso_8601_or_hours_and_never_absurd() {
    let with = |field: &str| {
        let phase = format!(r#"{{ "hospitalCohort": "all", "percentage": 100, {field} }}"#);
        parsed(&format!(r#"{{ "strategy": "Progressive", "phases": [{phase}] }}"#))
            .map(|r| r.spec.phases[0].monitoring_ms)
    };
    for (field, ms) in [
        (r#""monitoringDuration": "PT10S""#, 10_000),
        (r#""monitoringDuration": "PT72H""#, 72 * HOUR_MS),
        (r#""monitoringDuration": "P3D""#, 72 * HOUR_MS),
        (r#""monitoringDurationHours": 0.5"#, 1_800_000),
    ] {
        assert_eq!(with(field).ok(), Some(ms), "{field}");
    }
    for field in [
        r#""monitoringDuration": "-PT1S""#,
        r#""monitoringDuration": "soon""#,
        r#""monitoringDuration": "P1M""#,
        r#""monitoringDurationHours": -1"#,
        r#""monitoringDurationHours": 1e9"#,
        r#""monitoringDuration": "PT1S", "monitoringDurationHours": 1"#,
    ] {
        assert!(with(field).is_err(), "{field}");
    }
}

#[test]
fn words_that_make_no_sense_are_refused_with_their_field() {
    for (text, words) in [
        (r#"{ "strategy": "Hasty" }"#, "strategy: \"Hasty\" is not known"),
        (r#"{ "strategy": "Progressive", "canaryDevices": ["D-1"] }"#, "belong to Canary"),
        (r#"{ "strategy": "Scheduled", "approvalWindow": "PT4H" }"#, "belong to Emergency"),
        (r#"{ "strategy": "Emergency", "phases": [] }"#, "phases: an emergency"),
        (r#"{ "strategy": "Progressive", "phases": [] }"#, "phases: must be 1"),
        (
            r#"{ "strategy": "Progressive", "membership": "sometimes" }"#,
            "membership: \"sometimes\" is neither fixed nor dynamic",
        ),
        (r#"{ "strategy": "Progressive", "targetDevices": "some" }"#, "targetDevices"),
        (r#"{ "strategy": "Progressive", "targetDevices": ["../x"] }"#, "targetDevices"),
        (r#"{ "strategy": "Progressive", "targetDevices": ["D"], "targetRecall": "R" }"#, "give one of targetDevices"),
        (r#"{ "strategy": "Emergency", "monitoringInterval": "PT0S" }"#, "monitoringInterval"),
        (r#"{ "strategy": "Emergency", "statusReportInterval": "PT0S" }"#, "statusReportInterval"),
        (r#"{ "strategy": "Canary", "canaryDevicesPerHospital": 0 }"#, "canaryDevices: name devices"),
        (r#"{ "strategy": "Canary", "canaryDevicesPerHospital": 101 }"#, "canaryDevicesPerHospital"),
        (r#"{ "strategy": "Canary", "canaryMonitoring": "P1D", "canaryMonitoringDays": 1 }"#, "not both"),
    ] {
        let refusal = parsed(text).expect_err(text);
        assert!(refusal.detail.contains(words), "{refusal}");
    }
    let window = |day: &str, start: &str, end: &str, zone: &str| {
        format!(
            r#"{{ "strategy": "Scheduled", "maintenanceWindows": [ {{ "hospitalId": "H-1", "dayOfWeek": "{day}",
                 "startTime": "{start}", "endTime": "{end}", "timezone": "{zone}" }} ] }}"#
        )
    };
    for (text, words) in [
        (window("Caturday", "02:00", "03:00", "UTC"), "maintenanceWindows[0].dayOfWeek"),
        (window("Sunday", "26:00", "03:00", "UTC"), "maintenanceWindows[0].startTime"),
        (window("Sunday", "02:00", "late", "UTC"), "maintenanceWindows[0].endTime"),
        (window("Sunday", "02:00", "03:00", "Mars/Olympus_Mons"), "maintenanceWindows.timezone"),
    ] {
        let refusal = parsed(&text).expect_err(&text);
        assert!(refusal.detail.contains(words), "{refusal}");
    }
    let phase = |more: &str| format!(r#"{{ "hospitalCohort": "all", "percentage": 100 {more} }}"#);
    for (more, words) in [
        (r#", "minReportingPercent": 0"#, "phases[0].minReportingPercent: must be above 0"),
        (r#", "minReportingPercent": 101"#, "phases[0].minReportingPercent"),
        (r#", "minDeviceHours": -1"#, "phases[0].minDeviceHours"),
        (r#", "maxErrorRatePercent": 101"#, "phases[0].maxErrorRatePercent"),
        (r#", "validationRole": "Janitor""#, "phases[0].validationRole"),
    ] {
        let refusal =
            parsed(&format!(r#"{{ "strategy": "Progressive", "phases": [{}] }}"#, phase(more))).expect_err(more);
        assert!(refusal.detail.contains(words), "{refusal}");
    }
}
