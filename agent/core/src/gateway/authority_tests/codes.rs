//! Every code by which a gateway says what a device waits for, provoked once, with its words. `tests/tidy/documents.rs` checks that each has
//! its test.

use mdfm_shared::device::Fault;
use mdfm_shared::directive::{Finish, Window};
use mdfm_shared::fixture::{role, root};
use mdfm_shared::telemetry::Severity;
use mdfm_shared::trust::TrustRoot;

use super::*;
use crate::installer::OnSite;

impl Site {
    /// The device waits for this now, in these words.
    #[track_caller]
    fn waits(&self, code: &WaitCode, text: &str) {
        let waiting = self.gateway.wait_of(self.now, &device());
        let found = waiting.as_ref().map(|waiting| (&waiting.code, waiting.text()));
        assert_eq!(found, Some((code, text.to_owned())), "{}", self.why());
    }

    fn asks_to_install(&mut self, n: u8) -> Digest {
        let manifest = self.release(n);
        self.direct(Action::Install { manifest });
        manifest
    }

    /// A release is written into the slot and held by the directive.
    fn staged(&mut self) -> Digest {
        let manifest = self.release(2);
        self.direct(Action::Hold { manifest });
        self.live(10);
        assert_eq!(self.state(), InstallState::Staged);
        manifest
    }

    fn pass(&mut self, ms: u64) {
        self.now = Now { mono: self.now.mono.plus_ms(ms), utc: self.now.utc.plus_ms(ms) };
    }

    /// Lives until the device's installation is in that state.
    fn until(&mut self, state: InstallState) {
        for _ in 0..400 {
            if self.state() == state {
                return;
            }
            self.live(1);
        }
        panic!("{:?} in place of {state:?}", self.state());
    }

    /// Installs a release that reports a critical fault on trial.
    fn fails(&mut self, n: u8) {
        self.asks_to_install(n);
        self.until(InstallState::Probation);
        let fault = Fault { severity: Severity::Critical, code: "ALM-03".into(), message: "alarm silent".into() };
        self.gateway.device_fault(self.now, &device(), fault).expect("no disk fails");
        self.outputs();
    }

    fn refuses_staging(&mut self, code: &str, message: &str) {
        self.images = Images::Come;
        self.asks_to_install(2);
        let refusal = Refusal { order: 1, code: code.into(), message: message.into() };
        self.gateway.staging_refused(self.now, &device(), refusal).expect("no disk fails");
        self.live(10);
        assert_eq!((self.state(), self.activations), (InstallState::Failed, 0));
    }

    fn roster_until(&mut self, expires_at: UtcMillis, withdrawals_version: u64) {
        let freshness = Freshness { issued_at: self.now.utc, expires_at, withdrawals_version };
        let dated = Roster { version: 2, freshness: Some(freshness), ..roster() };
        self.message(&Topic::Roster, wire::encode(&signed(&dated, &[11])));
    }

    fn next_root(&mut self, next: &TrustRoot) {
        self.message(&Topic::TrustRoot(2), wire::encode(&signed(next, &[1, 2])));
    }
}

#[test]
fn fld_14_rollback_order() {
    let mut site = Site::new();
    let manifest = site.asks_to_install(2);
    site.until(InstallState::Confirmed);
    site.live(1);
    let ended = site.now.utc.plus_ms(14 * DAY_MS);
    site.pass(15 * DAY_MS);
    site.direct(Action::Rollback { manifest });
    site.live(10);
    let waiting = site.gateway.wait_of(site.now, &device()).expect("it stays");
    let text = waiting.text();
    assert_eq!((waiting.code, site.running), (WaitCode::RollbackOrder, 2));
    assert!(
        text.starts_with("the device goes back by a rollback order alone: rollback refused: the time in which"),
        "{text}"
    );
    assert!(text.contains(&ended.to_string()[..10]) && text.ends_with("it needs a rollback order"), "{text}");
}

#[test]
fn fld_14_window() {
    let mut site = Site::new();
    let manifest = site.staged();
    let opens_at = site.now.utc.plus_ms(DAY_MS);
    let windows = vec![Window { opens_at, closes_at: opens_at.plus_ms(HOUR_MS) }];
    site.direct(Action::InstallWithin { manifest, windows, finish: Finish::Inside });
    site.waits(&WaitCode::Window, &format!("the maintenance window is closed: the next one opens at {opens_at}"));
    site.direct(Action::InstallWithin { manifest, windows: Vec::new(), finish: Finish::Inside });
    site.waits(
        &WaitCode::Window,
        "the maintenance window is closed: no further window opens before the directive expires",
    );
    let windows = vec![Window { opens_at: site.now.utc, closes_at: site.now.utc.plus_ms(5_000) }];
    site.direct(Action::InstallWithin { manifest, windows, finish: Finish::Inside });
    site.waits(
        &WaitCode::Window,
        "the maintenance window is closed: what is left of this one is shorter than activation and trial (22 s)",
    );
}

#[test]
fn fld_14_held_on_site() {
    let mut site = Site::new();
    let manifest = site.staged();
    let hold = OnSite::Hold("ward 3 until noon".into());
    site.gateway.on_site(site.now, &device(), hold, 0).expect("no disk fails").expect("done");
    site.direct(Action::Install { manifest });
    site.live(5);
    site.waits(&WaitCode::HeldOnSite, "the device is held on site: ward 3 until noon");
}

#[test]
fn fld_14_held_by_vendor() {
    let mut site = Site::new();
    site.staged();
    site.waits(&WaitCode::HeldByVendor, "the vendor's directive holds the device");
}

#[test]
fn fld_14_in_use() {
    let mut site = Site::new();
    site.in_use = true;
    site.asks_to_install(2);
    site.live(10);
    site.waits(&WaitCode::InUse, "the device is in use");
}

#[test]
fn fld_14_device_not_connected() {
    let mut site = Site::new();
    let manifest = site.staged();
    site.pass(60_000);
    site.direct(Action::Install { manifest });
    let text = "the device is not connected to its gateway: it does not report any more";
    site.waits(&WaitCode::DeviceNotConnected, text);
    site.reboot(2, site.now.utc);
    site.gateway.work(site.now).expect("no disk fails");
    let text = "the device is not connected to its gateway: it has never reported";
    site.waits(&WaitCode::DeviceNotConnected, text);
}

#[test]
fn fld_14_device_fails() {
    let mut site = Site::new();
    let manifest = site.staged();
    site.pass(60_000);
    site.direct(Action::Install { manifest });
    let malformed = Malformed::with("the maker's tool failed", "exit status 3");
    site.gateway.device_malformed(site.now, &device(), &malformed).expect("no disk fails");
    let text = "the device or its adapter does not do what its protocol says: the maker's tool failed: exit status 3";
    site.waits(&WaitCode::DeviceFails, text);
}

#[test]
fn fld_14_device_refuses() {
    let mut site = Site::new();
    site.refuses_staging("tooLarge", "the slot holds 8 bytes");
    site.waits(
        &WaitCode::DeviceRefuses,
        "the device refused the image or the order to boot it: the device did not take the image: the slot holds 8 bytes (tooLarge)",
    );
}

#[test]
fn fld_14_slot_unusable() {
    let mut site = Site::new();
    site.refuses_staging("slotUnusable", "/dev/x is a link");
    site.waits(
        &WaitCode::SlotUnusable,
        "the slot for the image cannot be used as it is configured: the device did not take the image: /dev/x is a link (slotUnusable)",
    );
}

#[test]
fn fld_14_quarantine() {
    let mut site = Site::new();
    for n in 2..5 {
        site.fails(n);
        site.until(InstallState::RolledBack);
    }
    site.asks_to_install(5);
    site.live(5);
    site.waits(
        &WaitCode::Quarantine,
        "the device is in quarantine after several failed installations: in quarantine after several failed installations; release it on \
         site (mdfm-agent release)",
    );
}

#[test]
fn fld_14_manual_intervention() {
    let mut site = Site::new();
    site.stays = true;
    site.fails(2);
    site.until(InstallState::RollbackFailed);
    let text = "the device could not be shown to run good firmware: not shown to run the last good firmware after 4 min 30 s: needs manual \
                intervention";
    site.waits(&WaitCode::ManualIntervention, text);
    // The alarm comes before what a release lacks.
    site.direct(Action::Install { manifest: Digest([77; 32]) });
    site.live(10);
    site.waits(&WaitCode::ManualIntervention, text);
}

#[test]
fn fld_14_release_refused() {
    let mut site = Site::new();
    site.installs(3);
    site.asks_to_install(2);
    site.live(5);
    let text = "the release is not installed on this device: downgrade: release number 2 is not above the installed 3";
    site.waits(&WaitCode::ReleaseRefused, text);
}

#[test]
fn fld_14_no_room() {
    let mut site = Site::new();
    site.images = Images::Fail(WaitCode::NoRoom, "9 bytes are missing below /var/lib/mdfm");
    site.asks_to_install(2);
    site.live(10);
    let text = "the gateway has no room for the image: 9 bytes are missing below /var/lib/mdfm";
    site.waits(&WaitCode::NoRoom, text);
}

#[test]
fn fld_14_image_unavailable() {
    let mut site = Site::new();
    site.images = Images::Fail(WaitCode::ImageUnavailable, "the coordinator answered 404 to the image request");
    site.asks_to_install(2);
    site.live(10);
    let text = "the image cannot be fetched: the coordinator answered 404 to the image request";
    site.waits(&WaitCode::ImageUnavailable, text);
}

#[test]
fn fld_14_image_refused() {
    let mut site = Site::new();
    site.images = Images::Differ("the image has SHA-256 00, the manifest names 02");
    site.asks_to_install(2);
    site.live(10);
    site.waits(
        &WaitCode::ImageRefused,
        "the image is not what the release names: image refused: the image has SHA-256 00, the manifest names 02",
    );
}

#[test]
fn fld_14_download_hours() {
    let mut site = Site::new();
    site.images = Images::Fail(WaitCode::DownloadHours, "downloads are allowed from 22:00 to 06:00 UTC");
    site.asks_to_install(2);
    site.live(10);
    let text = "images are not downloaded at this hour: downloads are allowed from 22:00 to 06:00 UTC";
    site.waits(&WaitCode::DownloadHours, text);
}

#[test]
fn fld_14_evidence_missing() {
    let mut site = Site::new();
    site.direct(Action::Install { manifest: Digest([77; 32]) });
    site.live(10);
    site.waits(&WaitCode::EvidenceMissing, "the signed evidence of the release has not arrived");
}

#[test]
fn fld_14_evidence_refused() {
    let mut site = Site::new();
    let unknown = Digest([77; 32]);
    site.direct(Action::Install { manifest: unknown });
    site.message(&Topic::Release(unknown), vec![1, 2, 3]);
    let waiting = site.gateway.wait_of(site.now, &device()).expect("waits");
    let text = waiting.text();
    assert_eq!(waiting.code, WaitCode::EvidenceRefused);
    let summary = "the gateway does not accept the signed evidence of the release: ";
    assert!(text.strip_prefix(summary).is_some_and(|why| !why.is_empty()), "{text}");
}

#[test]
fn fld_14_no_line() {
    let mut site = Site::new();
    site.images = Images::Last;
    site.asks_to_install(2);
    site.live(5);
    site.gateway.link_down();
    site.waits(&WaitCode::NoLine, "the gateway has no connection to the coordinator");
    site.direct(Action::Install { manifest: Digest([77; 32]) });
    site.waits(&WaitCode::NoLine, "the gateway has no connection to the coordinator");
    assert_eq!(site.gateway.status(site.now)["line"], "no connection to the coordinator");
    site.gateway.note_line_problem(LineProblem::failed("Connection refused"));
    site.waits(&WaitCode::NoLine, "the gateway has no connection to the coordinator");
    site.gateway.note_line_problem(LineProblem::Revoked);
    let text = format!("the gateway has no connection to the coordinator: {}", LineProblem::Revoked);
    site.waits(&WaitCode::NoLine, &text);
    let status = site.gateway.status(site.now);
    assert!(status["line"].as_str().is_some_and(|line| line.contains("the vendor has revoked this gateway")), "CLI-20");
    assert_eq!(status["revoked"], true);
    site.gateway.link_up(site.now);
    assert_eq!((&site.gateway.status(site.now)["line"], site.gateway.is_revoked()), (&"connected".into(), false));
}

#[test]
fn fld_14_clock_behind() {
    let mut site = Site::new();
    site.installs(2);
    let manifest = site.release(3);
    site.reboot(2, UtcMillis(site.now.utc.0 - 2 * DAY_MS));
    site.direct(Action::Install { manifest });
    site.live(20);
    site.waits(
        &WaitCode::ClockBehind,
        "the gateway's clock is behind: it stands more than an hour before a time that this gateway has seen",
    );
    let mut site = Site::new();
    let manifest = site.release(2);
    let ahead = site.directive(Action::Install { manifest }, NOW.plus_ms(2 * DAY_MS));
    site.message(&Topic::Directive(gateway_id()), wire::encode(&signed(&ahead, &[COORDINATOR])));
    site.live(20);
    site.waits(
        &WaitCode::ClockBehind,
        "the gateway's clock is behind: a document was signed more than an hour later than it says it is; one of them is wrong",
    );
}

#[test]
fn fld_14_clock_ahead() {
    let mut site = Site::new();
    let (manifest, good) = (site.release(2), site.now.utc);
    site.now.utc = good.plus_ms(25 * HOUR_MS);
    let directive = site.directive(Action::Install { manifest }, good);
    let directive = Directive { expires_at: good.plus_ms(DAY_MS), ..directive };
    site.message(&Topic::Directive(gateway_id()), wire::encode(&signed(&directive, &[COORDINATOR])));
    site.live(20);
    let detail =
        format!("the coordinator's newest directive was signed at {good}, and arrived 25 hours later by this clock");
    site.waits(&WaitCode::ClockAhead, &format!("the gateway's clock is ahead: {detail}"));
}

#[test]
fn fld_14_directive_expired() {
    let mut site = Site::new();
    site.in_use = true;
    site.asks_to_install(2);
    let ended = site.now.utc.plus_ms(30 * DAY_MS);
    site.live(10);
    site.pass(31 * DAY_MS);
    site.live(1);
    let text = format!("the directive has expired and no newer one has arrived: it ended at {ended}");
    site.waits(&WaitCode::DirectiveExpired, &text);
}

#[test]
fn fld_14_unconfirmed() {
    let mut site = Site::new();
    site.in_use = true;
    site.asks_to_install(2);
    site.until(InstallState::Staged);
    let disk = site.gateway.store().clone();
    site.gateway = Site::start(disk, 2, site.now);
    site.gateway.link_up(site.now);
    site.in_use = false;
    site.live(10);
    let words = "the coordinator has not confirmed the directive since the agent started";
    site.waits(&WaitCode::Unconfirmed, words);
    site.confirms();
    site.until(InstallState::Confirmed);
}

#[test]
fn fld_14_root_expired() {
    let mut site = Site::new();
    let expires_at = NOW.plus_ms(10 * DAY_MS);
    site.next_root(&TrustRoot { expires_at, ..root(2) });
    site.in_use = true;
    site.asks_to_install(2);
    site.live(10);
    site.pass(10 * DAY_MS);
    site.live(1);
    site.waits(&WaitCode::RootExpired, &format!("the trust root has expired: it ended at {expires_at}"));
}

#[test]
fn fld_14_roster_missing() {
    let mut site = Site::new();
    site.asks_to_install(2);
    site.next_root(&TrustRoot { registrar: role(&[14], 1), ..root(2) });
    site.asks_to_install(3);
    site.live(5);
    let text = "no approver roster holds under the trust root: no approver roster holds under trust root 2; the vendor must publish one";
    site.waits(&WaitCode::RosterMissing, text);
}

#[test]
fn fld_14_roster_expired() {
    let mut site = Site::new();
    let expires_at = NOW.plus_ms(20 * DAY_MS);
    site.roster_until(expires_at, 0);
    let manifest = site.release(2);
    site.pass(20 * DAY_MS);
    site.direct(Action::Install { manifest });
    site.live(20);
    site.waits(
        &WaitCode::RosterExpired,
        &format!("the approver roster has expired: the approver roster expired at {expires_at}; the vendor must publish a newer one"),
    );
}

#[test]
fn fld_14_withdrawals_missing() {
    let mut site = Site::new();
    site.roster_until(NOW.plus_ms(90 * DAY_MS), 3);
    site.asks_to_install(2);
    site.live(20);
    site.waits(
        &WaitCode::WithdrawalsMissing,
        "withdrawals that the roster demands have not arrived: withdrawals version 3 or newer is needed and has not arrived; version 0 is held",
    );
}

#[test]
fn fld_14_withdrawals_expired() {
    let mut site = Site::new();
    let expires_at = NOW.plus_ms(20 * DAY_MS);
    let document = Withdrawals { version: 1, issued_at: NOW, expires_at, releases: Vec::new() };
    site.message(&Topic::Withdrawals, wire::encode(&signed(&document, &[10])));
    let manifest = site.release(2);
    site.pass(20 * DAY_MS);
    site.direct(Action::Install { manifest });
    site.live(20);
    site.waits(
        &WaitCode::WithdrawalsExpired,
        &format!(
            "the withdrawals have expired: the withdrawals expired at {expires_at}; the vendor must publish newer ones"
        ),
    );
}
