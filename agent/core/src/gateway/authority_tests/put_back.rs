//! A disk that is put back forgets what people decided on site: nothing is activated before the coordinator has said again what it asks.

use super::*;
use crate::installer::OnSite;

impl Site {
    /// A release is in the slot, and the device in use keeps it from being booted.
    fn ready(&mut self) -> Digest {
        self.in_use = true;
        let manifest = self.release(2);
        self.direct(Action::Install { manifest });
        self.live(10);
        assert_eq!((self.state(), self.activations), (InstallState::Staged, 0));
        manifest
    }

    /// The gateway boots with this disk; nothing has come over its line yet.
    fn put_back(&mut self, disk: Memory) {
        self.now.mono = MonotonicMs(500);
        self.gateway = Self::start(disk, 9, self.now);
    }

    fn hold(&mut self) {
        let act = OnSite::Hold("ward 3 until noon".into());
        self.gateway.on_site(self.now, &device(), act, 0).expect("no disk fails").expect("done");
    }
}

#[test]
fn fld_6_a_put_back_disk_activates_nothing_on_its_own() {
    let mut site = Site::new();
    let manifest = site.ready();
    let older = site.gateway.store().clone();
    site.hold();
    site.put_back(older);
    site.in_use = false;
    site.live(60);
    assert_eq!((site.state(), site.activations), (InstallState::Staged, 0), "the line is down");
    site.gateway.link_up(site.now);
    // What a broker kept may be older than the log.
    let kept = site.newest.clone().expect("sent");
    site.message(&Topic::Directive(gateway_id()), kept);
    site.live(30);
    assert_eq!((site.state(), site.activations), (InstallState::Staged, 0), "nobody has answered");
    assert_eq!(site.gateway.wait_of(site.now, &device()).map(|w| w.code), Some(WaitCode::Unconfirmed));
    site.direct(Action::Hold { manifest });
    site.live(30);
    assert_eq!((site.state(), site.activations), (InstallState::Staged, 0), "the coordinator knows of the hold");
    let release = OnSite::Release("rounds are over".into());
    let (done, _) = site.gateway.on_site(site.now, &device(), release, 0).expect("no disk fails").expect("done");
    assert!(done.contains("once the vendor's coordinator knows"), "{done}");
    site.direct(Action::Install { manifest });
    site.live(15);
    assert_eq!((site.state(), site.running), (InstallState::Confirmed, 2));
}

#[test]
fn fld_6_after_a_start_the_directive_is_asked_for_again() {
    let mut site = Site::new();
    site.ready();
    site.put_back(site.gateway.store().clone());
    site.gateway.link_up(site.now);
    site.in_use = false;
    site.heartbeats.clear();
    site.answers();
    site.live(4);
    let serials: Vec<u64> = site.heartbeats.iter().map(|beat| beat.directive_serial).collect();
    assert_eq!(serials[..3], [1, 0, 0], "the true one first, for a coordinator whose own disk is older");
    assert_eq!(site.activations, 0);
    site.confirms();
    site.heartbeats.clear();
    site.live(15);
    assert!(site.heartbeats.iter().all(|beat| beat.directive_serial == 1));
    assert_eq!((site.state(), site.running), (InstallState::Confirmed, 2));
}

#[test]
fn fld_6_a_gateway_that_beats_rarely_asks_soon() {
    let mut site = Site::new();
    site.ready();
    site.put_back(site.gateway.store().clone());
    site.gateway.who.heartbeat_ms = HOUR_MS;
    site.gateway.link_up(site.now);
    site.heartbeats.clear();
    site.live(60);
    let unconfirmed = site.heartbeats.len();
    site.confirms();
    site.live(600);
    assert!(unconfirmed >= 4, "{unconfirmed} in a minute");
    assert!(site.heartbeats.len() <= unconfirmed + 2, "{} in eleven minutes", site.heartbeats.len());
}

#[test]
fn fld_6_a_bundle_brings_the_word_where_there_is_no_line() {
    let mut site = Site::new();
    site.ready();
    site.put_back(site.gateway.store().clone());
    site.in_use = false;
    site.live(30);
    assert_eq!(site.activations, 0);
    assert_eq!(site.gateway.wait_of(site.now, &device()).map(|w| w.code), Some(WaitCode::NoLine));
    let (topic, frame) = (Topic::Directive(gateway_id()).to_string(), site.newest.clone().expect("sent"));
    site.gateway.import(site.now, &topic, &frame, 0).expect("no disk fails").expect("known already");
    site.live(15);
    assert_eq!((site.state(), site.running), (InstallState::Confirmed, 2));
}

#[test]
fn fld_6_an_order_to_boot_is_repeated_once_it_is_confirmed() {
    let mut site = Site::new();
    let manifest = site.release(2);
    site.direct(Action::Install { manifest });
    site.until_activating();
    // The order is lost with the power.
    (site.boots, site.running, site.trial, site.staged) = (1, 1, false, Some(2));
    site.put_back(site.gateway.store().clone());
    site.live(30);
    assert_eq!((site.state(), site.running), (InstallState::Activating, 1), "it waits where it was");
    site.gateway.link_up(site.now);
    site.confirms();
    site.live(15);
    assert_eq!((site.state(), site.running), (InstallState::Confirmed, 2));
}

impl Site {
    fn until_activating(&mut self) {
        for _ in 0..20 {
            if self.state() == InstallState::Activating {
                return;
            }
            self.live(1);
        }
        panic!("{:?}", self.state());
    }
}

#[test]
fn fld_6_a_coordinator_with_the_same_serial_learns_a_higher_one() {
    let mut site = Site::new();
    let manifest = site.release(2);
    site.direct(Action::Hold { manifest });
    site.live(20);
    let held = site.serial;
    // Its log is older, or somebody else directed this gateway: it gives the serial out again, for something else.
    let rival = Directive { serial: held, ..site.directive(Action::Install { manifest }, site.now.utc) };
    site.send_directive(&rival);
    site.live(5);
    let named = site.heartbeats.last().expect("one, at once").directive_serial;
    assert_eq!(named, held + 1, "so that it goes on above both");
    site.serial = held + 1;
    site.direct(Action::Install { manifest });
    site.live(40);
    assert!(site.heartbeats.last().expect("one").directive_serial <= site.serial, "the true one, or the one before");
    assert_eq!(site.said("directive", "is not above"), 1);
}
