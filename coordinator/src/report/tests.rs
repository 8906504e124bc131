//! Every report on a small installation, as JSON, CSV and PDF.

use std::sync::atomic::{AtomicU32, Ordering};

use mdfm_audit::{AuditLog, Options, SearchIndex};
use mdfm_shared::fixture::key;
use mdfm_shared::sign::KeySet;
use mdfm_shared::tlog::NoteSigner;
use mdfm_shared::wire;

use super::*;
use mdfm_coordinator_core::expiry::{Expiry, ExpiryKind};
use mdfm_coordinator_core::fixture::example;
use mdfm_coordinator_core::rollout::{PhaseStatus, Status};

const MADE_AT: UtcMillis = UtcMillis(1_800_000_000_000);

struct Installation {
    dir: std::path::PathBuf,
    log: AuditLog,
    search: SearchIndex,
    state: State,
    presence: Presence,
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A deployment to eight devices with errors, a rollback, a recall, refusals; its records in a real log.
fn installation() -> Installation {
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("mdfm-report-{}-{n}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let (state, entries) = example();
    let signer = NoteSigner::new("log.example", key(9)).expect("good name");
    let mut log = AuditLog::open(&dir, signer, Options::default()).expect("opens");
    log.append(&entries).expect("appends");
    let (_, note) = log.sign_checkpoint().expect("signs");
    log.publish(&note).expect("publishes");
    let search = SearchIndex::open(log.reader()).expect("opens");
    Installation { dir, log, search, state, presence: Presence::default() }
}

impl Installation {
    fn report(&self, kind: Kind, subject: Option<&str>) -> Result<Report, ReportError> {
        self.report_with(kind, subject, &setup())
    }

    fn report_with(&self, kind: Kind, subject: Option<&str>, setup: &Setup) -> Result<Report, ReportError> {
        let source = Source {
            state: &self.state,
            presence: &self.presence,
            search: &self.search,
            log_size: self.state.log_size,
            root: Digest(self.log.root()),
            origin: "log.example",
            made_at: MADE_AT,
            made_by: "inspector",
            setup,
        };
        Report::make(&source, kind, subject, &Query::default(), &key(12))
    }
}

fn setup() -> Setup {
    Setup {
        needs_second_factor: true,
        session_ms: 12 * 3_600_000,
        idle_ms: 15 * 60_000,
        step_up_ms: 5 * 60_000,
        refuses_breached: true,
        issuer: None,
    }
}

#[test]
fn cli_7_the_system_report_says_what_is_set_and_what_is_held() {
    let mut installation = installation();
    let how = |installation: &Installation, setup: &Setup, section: &str| {
        let facts = installation.report_with(Kind::System, None, setup).expect("makes").facts;
        let controls = facts["controls"].as_array().expect("rows").clone();
        let row = controls.iter().find(|c| c["section"] == section).expect(section);
        row["how"].as_str().expect("text").to_owned()
    };
    let strict = setup();
    assert!(how(&installation, &strict, "11.200(a)").starts_with("on: password and one-time code"));
    let lax = Setup { needs_second_factor: false, refuses_breached: false, ..setup() };
    assert!(how(&installation, &lax, "11.200(a)").starts_with("partly"));
    assert!(how(&installation, &lax, "11.300(b)").contains("no list of breached ones"));
    assert!(how(&installation, &strict, "11.200(a)").contains("after 12 hours, or 15 minutes without"));
    let hour = Setup { session_ms: 3_600_000, idle_ms: 60_000, step_up_ms: 1_000, ..setup() };
    let words = how(&installation, &hour, "11.200(a)");
    assert!(words.contains("after 1 hour, or 1 minute without") && words.contains("counts for 1 second."), "{words}");
    assert!(how(&installation, &strict, "11.300(a)").contains("no two people have the same id and password"));
    assert!(how(&installation, &strict, "11.10(i)").starts_with("off"));
    installation.state.settings.training_required = true;
    installation.state.settings.password_days = 0;
    assert!(how(&installation, &strict, "11.10(i)").starts_with("on: nobody signs without confirmed training"));
    assert!(how(&installation, &strict, "11.300(b)").starts_with("off"));
    let verified = how(&installation, &strict, "11.100(b)");
    for user in installation.state.users.values_mut() {
        user.identity = None;
    }
    assert_ne!(how(&installation, &strict, "11.100(b)"), verified, "it counts people");
    let signs_on = Setup { issuer: Some("https://id.example".into()), ..setup() };
    assert!(how(&installation, &signs_on, "11.10(d)").contains("https://id.example"));
}

fn subject(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Firmware => Some("FW-22"),
        Kind::Deployment | Kind::Emergency => Some("D-1"),
        Kind::Device | Kind::Event => Some("DEV-1-1"),
        Kind::Correction => Some("R-1"),
        Kind::Access | Kind::System | Kind::Audit => None,
    }
}

#[test]
fn p11_10b_every_report_comes_as_pdf_json_and_csv_with_a_statement_that_holds() {
    let installation = installation();
    for kind in Kind::ALL {
        let report = installation.report(kind, subject(kind)).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        let json: Value = serde_json::from_str(&report.to_json()).expect("is JSON");
        let frame = STANDARD.decode(json["statement"].as_str().expect("text")).expect("base64");
        let signed: Signed<ReportStatement> = wire::decode(&frame).expect("frame");
        let statement = signed.verify(&KeySet::single(key(12).public())).expect("signed by the coordinator");
        assert_eq!(statement.facts_sha256, Digest::of(json["report"].to_string().as_bytes()), "{kind:?}");
        assert_eq!((statement.log_size, statement.root.0), (installation.state.log_size, installation.log.root()));
        let csv = String::from_utf8(report.to_csv()).expect("UTF-8");
        let rows = json["report"]["table"]["rows"].as_array().expect("rows").len();
        assert!(rows > 0, "{kind:?} has rows");
        let foot = report.footer();
        assert!(
            foot.ends_with(&format!("facts (attached) SHA-256 {}; how to check: last page", statement.facts_sha256)),
            "{foot}"
        );
        assert!(pdf::foot_is_whole(&foot).expect("sets"), "the digest is not cut off: {foot}");
        assert_eq!(csv::Reader::from_reader(csv.as_bytes()).records().count(), rows, "{kind:?}");
        let pdf = report.to_pdf().unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        assert!(pdf.starts_with(b"%PDF-1.7") && pdf.len() > 5_000, "{kind:?}");
        let attached = ["stream\n", &report.to_json(), "\nendstream"].concat();
        let count = pdf.windows(attached.len()).filter(|bytes| *bytes == attached.as_bytes()).count();
        assert_eq!(count, 1, "{kind:?}: the JSON is attached as it is");
        if let Ok(dir) = std::env::var("MDFM_REPORTS") {
            std::fs::write(format!("{dir}/{}.pdf", kind.name()), &pdf).expect("writes");
        }
    }
}

#[test]
fn cli_30_every_page_of_every_report_holds_what_is_on_it() {
    let mut installation = installation();
    // The longest names that people may give.
    for hospital in installation.state.hospitals.values_mut() {
        hospital.name = "W".repeat(120);
    }
    for deployment in installation.state.deployments.values_mut() {
        deployment.plan.spec.phases[0].name = "Intensive care units of the northern region ".repeat(4);
    }
    for kind in Kind::ALL {
        let report = installation.report(kind, subject(kind)).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        let text = blocks::render(report.kind.template(), &report.facts).expect("renders");
        let blocks = blocks::parse(&text, &report.facts);
        assert_eq!(pdf::misplaced(&blocks).expect("sets"), Vec::<String>::new(), "{kind:?}");
    }
}

#[test]
fn cli_12_an_extract_says_what_gateways_reported() {
    let installation = installation();
    let facts = installation.report(Kind::Audit, None).expect("makes").facts;
    let batches = facts["records"].as_array().expect("records").iter().filter(|r| r["action"] == "telemetry.commit");
    let reported: Vec<&str> = batches.map(|r| r["reported"].as_str().expect("what was reported")).collect();
    assert!(reported.iter().any(|words| words.contains("DEV-4-2: ")), "{reported:?}");
    let rows = facts["table"]["rows"].as_array().expect("rows");
    assert!(
        rows.iter().filter(|row| row[4] == "telemetry.commit").all(|row| row[8].is_string()),
        "the CSV says it too"
    );
}

#[test]
fn cli_30_a_draft_of_a_deployment_says_why_and_how_it_stands() {
    let mut installation = installation();
    let render = |installation: &Installation| {
        let report = installation.report(Kind::Correction, Some("D-1")).expect("makes");
        blocks::render(report.kind.template(), &report.facts).expect("renders")
    };
    installation.state.firmware.get_mut(&"FW-22".parse().expect("id")).expect("held").release_notes =
        "leads fail".into();
    let text = render(&installation);
    assert!(text.contains("leads fail") && text.contains("How it stands | aborted"), "{text}");
    installation.state.firmware.get_mut(&"FW-22".parse().expect("id")).expect("held").release_notes = " ".into();
    assert!(render(&installation).contains("Why, by the release notes | –"), "a strategy is no reason");
}

#[test]
fn p11_50_printed_name_time_and_meaning_are_under_every_signature() {
    let installation = installation();
    let report = installation.report(Kind::Firmware, Some("FW-22")).expect("makes");
    let text = blocks::render(report.kind.template(), &report.facts).expect("renders");
    let blocks = blocks::parse(&text, &report.facts);
    let approvals = &installation.state.firmware[&"FW-22".parse().expect("id")].approvals;
    assert_eq!(approvals.len(), 3);
    let head = ["Printed name", "Signed at", "Meaning"];
    let signed = blocks.iter().find_map(|b| match b {
        blocks::Block::Table(rows) if rows[0].iter().take(3).eq(head) => Some(rows),
        _ => None,
    });
    let signed = signed.expect("the signatures are a table of their own");
    for approval in approvals.values() {
        let shown = [&approval.printed_name, &approval.at.to_string(), &approval.meaning];
        assert!(signed.iter().any(|row| row.iter().take(3).eq(shown)), "{shown:?}");
    }
}

#[test]
fn deployment_reports_tell_phases_gates_and_rollbacks_with_their_times() {
    let installation = installation();
    let facts = installation.report(Kind::Deployment, Some("D-1")).expect("makes").facts;
    assert_eq!(facts["timeline"].as_array().map(Vec::len), Some(1));
    assert!(facts["gates"].as_array().is_some_and(|g| g.iter().any(|g| g["upperBoundPercent"].as_f64() > Some(0.0))));
    let rollbacks = facts["rollbacks"].as_array().expect("rows");
    assert_eq!(rollbacks.len(), 1);
    assert_eq!((rollbacks[0]["device"].as_str(), rollbacks[0]["durationMs"].as_u64()), (Some("DEV-4-2"), Some(1_500)));
    assert_eq!(rollbacks[0]["cause"].as_str(), Some("E-7: =HYPERLINK(1)"));
    assert_eq!(facts["perHospital"].as_array().map(Vec::len), Some(4));
    assert_eq!(facts["table"]["rows"].as_array().map(Vec::len), Some(8), "every device");
    let text = String::from_utf8(installation.report(Kind::Device, Some("DEV-4-2")).expect("makes").to_csv());
    assert!(!text.expect("UTF-8").contains(",=HYPERLINK"), "no cell is a formula");
}

#[test]
fn reports_about_nothing_are_refused_by_name() {
    let installation = installation();
    for kind in Kind::ALL.into_iter().filter(|k| k.needs_subject()) {
        assert!(matches!(installation.report(kind, Some("NO-1")), Err(ReportError::Refused(_))), "{kind:?}");
        assert!(matches!(installation.report(kind, Some("../x")), Err(ReportError::Refused(_))), "{kind:?}");
    }
}

#[test]
fn fld_14_reports_say_what_is_waited_for_and_what_ends_soon() {
    let mut installation = installation();
    let waiting = |installation: &Installation, kind| {
        let facts = installation.report(kind, subject(kind)).expect("makes").facts;
        facts["waiting"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|w| w["reason"].as_str().expect("text").to_owned())
            .collect::<Vec<_>>()
    };
    assert!(waiting(&installation, Kind::Deployment).is_empty(), "it was aborted");
    let deployment = installation.state.deployments.get_mut(&"D-1".parse().expect("id")).expect("made");
    deployment.status = Status::Running;
    deployment.phases[0].status = PhaseStatus::Monitoring { since: MADE_AT };
    for kind in [Kind::Deployment, Kind::Emergency] {
        assert_eq!(waiting(&installation, kind), ["the monitoring time of the phase is not over"], "{}", kind.name());
    }
    let days = |n: u64| MADE_AT.plus_ms(n * 86_400_000);
    let certificate = |n| Expiry::new(ExpiryKind::ServerCertificate, "certificate/server", "", days(n));
    let soon = |installation: &Installation| {
        let facts = installation.report(Kind::System, None).expect("makes").facts;
        facts["expiries"].as_array().expect("rows").iter().filter(|e| e["kind"] == "server-certificate").count()
    };
    installation.presence.certificates = vec![certificate(40)];
    assert_eq!(soon(&installation), 0);
    installation.presence.certificates = vec![certificate(5)];
    assert_eq!(soon(&installation), 1);
    installation.report(Kind::System, None).expect("makes").to_pdf().expect("sets");
}
