//! What the device of a gateway waits for, and what of it reaches the log.

use mdfm_shared::directive::{Finish, Window};
use mdfm_shared::telemetry::REFUSED_WAITING;
use mdfm_shared::waiting::Waiting;

use super::*;

impl Site {
    fn wait(&self) -> Option<Waiting> {
        self.gateway.wait_of(self.now, &device())
    }

    fn code(&self) -> Option<String> {
        self.wait().map(|waiting| waiting.code.to_string())
    }

    /// What was reported of waits, in order; `None` where one ended.
    fn reported(&self) -> Vec<Option<WaitCode>> {
        let events = self.gateway.recent.iter().filter_map(|(_, _, kind)| match kind {
            EventKind::Refused { what, reason } if what == REFUSED_WAITING => {
                Some(Waiting::from_event_text(reason).map(|waiting| waiting.code))
            }
            _ => None,
        });
        events.collect()
    }

    fn install(&mut self, n: u8) -> Digest {
        let manifest = self.release(n);
        self.direct(Action::Install { manifest });
        manifest
    }

    /// A directive with the life that coordinators give.
    fn direct_for_a_day(&mut self, action: Action, issued_at: UtcMillis) {
        let directive = Directive { expires_at: issued_at.plus_ms(DAY_MS), ..self.directive(action, issued_at) };
        self.send_directive(&directive);
    }
}

#[test]
fn cli_14_each_reason_on_the_gateway_has_its_code() {
    let mut site = Site::new();
    assert_eq!(site.code(), None, "nothing is asked for");
    let manifest = site.release(2);
    site.in_use = true;
    site.direct(Action::Install { manifest });
    site.live(20);
    assert_eq!((site.state(), site.code().as_deref()), (InstallState::Staged, Some("in-use")));
    site.in_use = false;
    site.direct(Action::Hold { manifest });
    site.live(10);
    assert_eq!(site.code().as_deref(), Some("held-by-vendor"));
    let opens_at = site.now.utc.plus_ms(DAY_MS);
    let windows = vec![Window { opens_at, closes_at: opens_at.plus_ms(HOUR_MS) }];
    site.direct(Action::InstallWithin { manifest, windows, finish: Finish::Inside });
    site.live(10);
    let waiting = site.wait().expect("closed");
    assert_eq!((waiting.code.clone(), waiting.until), (WaitCode::Window, Some(opens_at)));
    assert!(waiting.text().contains(&opens_at.to_string()), "{waiting}");
    let hold = |site: &mut Site, act| {
        let now = site.now;
        site.gateway.on_site(now, &device(), act, 0).expect("no disk fails").expect("done");
    };
    hold(&mut site, crate::installer::OnSite::Hold("ward 3 until noon".into()));
    site.direct(Action::Install { manifest });
    site.live(10);
    assert_eq!(site.wait().map(|w| w.text()).as_deref(), Some("the device is held on site: ward 3 until noon"));
    hold(&mut site, crate::installer::OnSite::Release("over".into()));
    site.live(15);
    assert_eq!((site.state(), site.code()), (InstallState::Confirmed, None));
    let reported = site.reported();
    let expected = [WaitCode::InUse, WaitCode::Window, WaitCode::HeldOnSite].map(Some);
    assert_eq!(reported.into_iter().filter(Option::is_some).collect::<Vec<_>>(), expected);
}

#[test]
fn cli_14_a_change_of_state_ends_what_was_reported() {
    let mut site = Site::new();
    site.in_use = true;
    site.install(2);
    site.live(20);
    site.in_use = false;
    site.live(15);
    assert_eq!(site.state(), InstallState::Confirmed);
    assert_eq!(site.reported(), [Some(WaitCode::InUse)], "no record says that it ended");
    assert!(site.gateway.store().get("waiting/DEV-1").expect("reads").is_none());
}

#[test]
fn fld_15_a_gateway_without_room_says_so_and_goes_on() {
    let mut site = Site::new();
    site.images = Images::Fail(WaitCode::NoRoom, "9 bytes are missing below /var/lib/mdfm");
    site.install(2);
    site.live(60);
    let waiting = site.wait().expect("waits");
    assert_eq!((site.state(), waiting.code.clone()), (InstallState::Fetching, WaitCode::NoRoom));
    assert!(waiting.text().contains("9 bytes are missing"), "{waiting}");
    assert_eq!(site.reported(), [Some(WaitCode::NoRoom)], "once");
    site.reboot(2, site.now.utc);
    site.live(30);
    assert_eq!(site.wait().map(|w| w.since), Some(waiting.since), "its beginning stays");
    assert_eq!(site.reported(), [], "a restart reports nothing again");
    site.images = Images::Fail(WaitCode::ImageUnavailable, "the coordinator answered 404 to the image request");
    site.live(10);
    assert_eq!(site.code().as_deref(), Some("image-unavailable"));
    site.gateway.link_down();
    site.live(1);
    assert_eq!(site.code().as_deref(), Some("no-line"), "the line comes first");
    site.gateway.link_up(site.now);
    site.images = Images::Come;
    site.live(15);
    assert_eq!((site.state(), site.code()), (InstallState::Confirmed, None));
}

#[test]
fn fld_15_a_download_that_goes_on_ends_its_wait() {
    let mut site = Site::new();
    site.images = Images::Fail(WaitCode::ImageUnavailable, "the image broke off after 100 of 1000 bytes");
    site.install(2);
    site.live(20);
    assert_eq!(site.code().as_deref(), Some("image-unavailable"));
    site.images = Images::Last;
    site.live(5);
    let fetched = site.gateway.troubled_fetches();
    assert_eq!((fetched.len(), site.code().as_deref()), (1, Some("image-unavailable")), "nothing more has come");
    site.gateway.fetch_progressed(fetched[0], 100);
    assert_eq!(site.code().as_deref(), Some("image-unavailable"));
    site.gateway.fetch_progressed(fetched[0], 101);
    assert_eq!((site.gateway.troubled_fetches().len(), site.code()), (0, None), "it comes");
    site.live(15);
    assert_eq!(site.reported(), [Some(WaitCode::ImageUnavailable), None]);
}

#[test]
fn fld_15_a_slot_that_is_written_on_ends_its_wait() {
    let mut site = Site::new();
    site.written = Some(3);
    site.install(2);
    site.live(5);
    assert_eq!((site.state(), site.code()), (InstallState::Staging, None));
    site.gateway.staging_failed(&device(), WaitCode::ImageUnavailable, "the image broke off".into());
    site.live(5);
    assert_eq!(site.code().as_deref(), Some("image-unavailable"));
    site.written = Some(4);
    site.live(1);
    assert_eq!(site.code(), None, "it comes");
    site.written = None;
    site.live(15);
    assert_eq!(site.state(), InstallState::Confirmed);
}

#[test]
fn fld_14_a_clock_a_day_ahead_is_named_not_the_coordinator() {
    let mut site = Site::new();
    let (manifest, good) = (site.release(2), site.now.utc);
    site.now.utc = good.plus_ms(25 * HOUR_MS);
    site.direct_for_a_day(Action::Install { manifest }, good);
    site.live(30);
    assert_eq!((site.state(), site.code().as_deref()), (InstallState::Staged, Some("clock-ahead")));
    assert_eq!(site.reported().last(), Some(&Some(WaitCode::ClockAhead)));
    let status = site.gateway.status(site.now);
    assert_eq!((&status["clockTrusted"], &status["waiting"][0]["code"]), (&false.into(), &"clock-ahead".into()));
    assert_eq!(status["coordinatorSignedAt"], good.to_string());
    assert_eq!(site.said("directive", "has not renewed it"), 0);
    assert_eq!(site.said("clock", "the clock is ahead"), 1);
    site.now.utc = good.plus_ms(60_000);
    // What the gateway has seen of its own clock yields to the next signed document.
    site.direct_for_a_day(Action::Install { manifest }, site.now.utc);
    site.live(20);
    assert_eq!((site.state(), site.code()), (InstallState::Confirmed, None));
}

#[test]
fn fld_14_a_clock_set_forward_later_is_named_too() {
    let mut site = Site::new();
    let (manifest, good) = (site.release(2), site.now.utc);
    site.in_use = true;
    site.direct_for_a_day(Action::Install { manifest }, good);
    site.live(10);
    assert_eq!(site.gateway.status(site.now)["clockTrusted"], true);
    // Half a day and more: nothing has expired, and selftest fails all the same.
    site.now.utc = site.now.utc.plus_ms(14 * HOUR_MS);
    site.live(2);
    assert_eq!(
        (site.gateway.status(site.now)["clockTrusted"].clone(), site.code().as_deref()),
        (false.into(), Some("in-use"))
    );
    site.in_use = false;
    site.now.utc = site.now.utc.plus_ms(12 * HOUR_MS);
    site.live(10);
    assert_eq!(site.code().as_deref(), Some("clock-ahead"));
}

#[test]
fn fld_14_a_coordinator_that_renews_nothing_is_named() {
    let mut site = Site::new();
    let (manifest, good) = (site.release(2), site.now.utc);
    site.in_use = true;
    site.direct_for_a_day(Action::Install { manifest }, good);
    site.live(10);
    site.now = Now { mono: site.now.mono.plus_ms(25 * HOUR_MS), utc: site.now.utc.plus_ms(25 * HOUR_MS) };
    site.live(10);
    assert_eq!(site.code().as_deref(), Some("directive-expired"));
    assert_eq!(site.said("directive", "has not renewed it"), 1);
    site.gateway.link_down();
    site.live(1);
    assert_eq!(site.code().as_deref(), Some("no-line"));
}

#[test]
fn cli_14_evidence_that_lacks_or_is_refused_is_named() {
    let mut site = Site::new();
    let unknown = Digest([77; 32]);
    site.direct(Action::Install { manifest: unknown });
    site.live(10);
    assert_eq!(site.code().as_deref(), Some("evidence-missing"));
    site.message(&Topic::Release(unknown), vec![1, 2, 3]);
    site.live(10);
    assert_eq!(site.code().as_deref(), Some("evidence-refused"));
    assert_eq!(site.reported(), [Some(WaitCode::EvidenceMissing), Some(WaitCode::EvidenceRefused)]);
    site.installs(2);
    assert_eq!(site.code(), None);
}

#[test]
fn cli_14_an_expired_document_is_the_reason_of_a_device() {
    let mut site = Site::new();
    let freshness = Freshness { issued_at: NOW, expires_at: NOW.plus_ms(20 * DAY_MS), withdrawals_version: 0 };
    let dated = Roster { version: 2, freshness: Some(freshness), ..roster() };
    site.message(&Topic::Roster, wire::encode(&signed(&dated, &[11])));
    let manifest = site.release(2);
    site.now = Now { mono: site.now.mono.plus_ms(20 * DAY_MS), utc: NOW.plus_ms(20 * DAY_MS) };
    site.direct(Action::Install { manifest });
    site.live(30);
    assert_eq!(site.code().as_deref(), Some("roster-expired"));
    assert_eq!(site.reported(), [Some(WaitCode::RosterExpired)]);
}

#[test]
fn fld_15_an_absent_device_and_a_broken_adapter_differ() {
    let mut site = Site::new();
    let manifest = site.release(2);
    site.direct(Action::Hold { manifest });
    site.live(10);
    assert_eq!(site.state(), InstallState::Staged);
    site.now = Now { mono: site.now.mono.plus_ms(60_000), utc: site.now.utc.plus_ms(60_000) };
    site.direct(Action::Install { manifest });
    assert_eq!(site.code().as_deref(), Some("device-not-connected"));
    let malformed = Malformed::with("the maker's tool failed", "exit status 3");
    site.gateway.device_malformed(site.now, &device(), &malformed).expect("no disk fails");
    let waiting = site.wait().expect("waits");
    assert_eq!(waiting.code, WaitCode::DeviceFails);
    assert!(waiting.text().ends_with("the maker's tool failed: exit status 3"), "{waiting}");
    site.live(15);
    assert_eq!((site.state(), site.code()), (InstallState::Confirmed, None));
}
