//! What each device waits for, as a level: computed from what this gateway knows, shown on site, and reported when it begins, changes or
//! ends (DESIGN §10.7, decision 0037). Pure; times come in.

use std::collections::BTreeMap;

use mdfm_shared::digest::Digest;
use mdfm_shared::id::DeviceId;
use mdfm_shared::limits::{CLOCK_TOLERANCE_MS, DETAIL_CHARS_MAX};
use mdfm_shared::telemetry::{EventKind, InstallState, REFUSED_WAITING};
use mdfm_shared::text;
use mdfm_shared::time::{MonotonicMs, UtcMillis};
use mdfm_shared::waiting::{WaitCode, Waiting};
use mdfm_shared::wire;
use serde_json::{Value, json};

use super::budget::Bucket;
use super::{DeviceState, Gateway, GatewayError};
use crate::installer::{Journal, Now};
use crate::store::{Store, Write};
use crate::trust::Bar;

/// A wait that is over sooner, and one that is away for less, is not reported.
const GRACE_MS: u64 = 5_000;
/// Reports of one device at once, and the time after which there is one more.
const AT_ONCE: u32 = 4;
const REFILL_MS: u64 = 60_000;
/// What a device did wrong counts as the reason of its absence for so long.
const PROBLEM_MS: u64 = 5 * 60_000;
const HOUR_MS: u64 = 3_600_000;
/// Releases whose refusal is remembered.
const REFUSED_RELEASES_MAX: usize = 64;

/// Key of what was last reported of a device.
pub(super) fn waiting_key(device: &DeviceId) -> String {
    format!("waiting/{device}")
}

/// What one device waits for, and what of it was reported.
#[derive(Debug)]
pub(super) struct Waits {
    current: Option<Waiting>,
    began: MonotonicMs,
    /// As the log has it.
    reported: Option<Waiting>,
    reports: Bucket,
    /// Why the image is not written into a slot that lies here.
    trouble: Option<Trouble>,
    /// What the device or its adapter last did wrong.
    problem: Option<(MonotonicMs, String)>,
}

/// Why an image does not come, and how much of it was there when that was found: more of it ends the trouble.
#[derive(Debug)]
pub(super) struct Trouble {
    waiting: Waiting,
    had_bytes: u64,
}

impl Trouble {
    fn new(code: WaitCode, mut words: String, had_bytes: u64) -> Self {
        text::clip(&mut words, DETAIL_CHARS_MAX);
        Self { waiting: Waiting::new(code, words), had_bytes }
    }
}

/// What keeps images and documents from coming.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Why an image does not come.
    pub(super) fetch: BTreeMap<Digest, Trouble>,
    /// Why the evidence of a release was refused.
    evidence: BTreeMap<Digest, String>,
    /// Why the last proof about the log was refused.
    pub(super) proof: Option<String>,
    /// Serial of the directive that came over the line last, and when.
    pub(super) directive_came: Option<(u64, Now)>,
    /// Whether the coordinator has answered since the start with a statement about this gateway's telemetry.
    pub(super) head_came: bool,
}

impl Waits {
    /// Takes up what was last reported. Bytes of another version count as nothing: the next change is reported.
    pub(super) fn load(stored: Option<&[u8]>, now: MonotonicMs) -> Self {
        let reported = stored.and_then(|bytes| wire::decode::<Waiting>(bytes).ok());
        let reports = Bucket::new(AT_ONCE, REFILL_MS, now);
        Self { current: reported.clone(), began: now, reported, reports, trouble: None, problem: None }
    }

    /// Notes what is waited for now.
    fn look(&mut self, now: MonotonicMs, utc: UtcMillis, found: Option<Waiting>) {
        let is_found = |held: &&Waiting| found.as_ref().is_some_and(|f| f.code == held.code);
        if self.current.as_ref().map(|held| &held.code) != found.as_ref().map(|found| &found.code) {
            self.began = now;
        }
        // One that was away for a moment goes on: after a start nobody knows yet why an image did not come.
        let held = self.current.as_ref().filter(is_found).or(self.reported.as_ref().filter(is_found));
        let since = held.and_then(|held| held.since).or(Some(utc));
        self.current = found.map(|found| found.since(since));
    }

    /// What the log should have: what the coordinator cannot know itself.
    fn wanted(&self) -> Option<&Waiting> {
        self.current.as_ref().filter(|waiting| !is_known_upstream(waiting))
    }

    /// Whether what the log has is no longer so. Without a line that is not known of what comes over it: what the log has stands until the
    /// line is back.
    fn differs(&self) -> bool {
        if self.current.as_ref().is_some_and(|waiting| waiting.code == WaitCode::NoLine) {
            return false;
        }
        match (self.wanted(), &self.reported) {
            (Some(wanted), Some(reported)) => !reported.is_same(wanted),
            (wanted, reported) => wanted.is_some() != reported.is_some(),
        }
    }

    /// What to report now, as far as the budget allows; the inner `None` says that the wait has ended.
    fn report(&mut self, now: MonotonicMs) -> Option<Option<Waiting>> {
        if !self.differs() || now.since_ms(self.began) < GRACE_MS || !self.reports.take(now) {
            return None;
        }
        self.reported = self.wanted().cloned();
        Some(self.reported.clone())
    }

    /// The log has nothing of it any more; returns whether it had.
    pub(super) fn forget(&mut self) -> bool {
        self.reported.take().is_some()
    }

    /// When there may be something to report without any input.
    pub(super) fn deadline(&self) -> Option<MonotonicMs> {
        self.differs().then(|| self.began.plus_ms(GRACE_MS).max(self.reports.next_at()))
    }

    /// Notes what the device or its adapter did wrong.
    pub(super) fn note_problem(&mut self, now: MonotonicMs, mut words: String) {
        text::clip(&mut words, DETAIL_CHARS_MAX);
        self.problem = Some((now, words));
    }
}

/// Codes that the coordinator knows better itself: they are shown on site alone.
fn is_known_upstream(waiting: &Waiting) -> bool {
    use WaitCode as C;
    matches!(
        waiting.code,
        C::HeldByVendor
            | C::NoLine
            | C::SlotUnusable
            | C::DeviceRefuses
            | C::ImageRefused
            | C::ReleaseRefused
            | C::Quarantine
            | C::ManualIntervention
    )
}

impl Bar {
    fn code(self) -> WaitCode {
        match self {
            Self::ClockBehind | Self::SignedAhead => WaitCode::ClockBehind,
            Self::RosterMissing => WaitCode::RosterMissing,
            Self::RosterExpired => WaitCode::RosterExpired,
            Self::WithdrawalsExpired => WaitCode::WithdrawalsExpired,
            Self::WithdrawalsMissing => WaitCode::WithdrawalsMissing,
        }
    }

    /// The reason of a bar, in words that do not change while it stands.
    fn waiting(self, text: String) -> Waiting {
        let detail = match self {
            Self::ClockBehind => "it stands more than an hour before a time that this gateway has seen".to_owned(),
            Self::SignedAhead => {
                "a document was signed more than an hour later than it says it is; one of them is wrong".to_owned()
            }
            Self::RosterMissing | Self::RosterExpired | Self::WithdrawalsExpired | Self::WithdrawalsMissing => text,
        };
        Waiting::new(self.code(), detail)
    }
}

impl<S: Store> Gateway<S> {
    /// What a device waits for now; `None` if what is asked of it is done or on its way.
    fn find_wait(&self, now: Now, device: &DeviceId) -> Option<Waiting> {
        let state = self.devices.get(device)?;
        let trusted = self.time.trusted(now);
        let installer = &state.installer;
        if installer.journal().state() == InstallState::RollbackFailed {
            // An alarm comes before everything that a release lacks.
            return installer.waits_for(trusted);
        }
        if let Some(manifest) = self.trust.lacking_release(device)
            && !installer.is_asked()
        {
            // Without a roster no evidence can be judged, whether it has come or not.
            let bars = self.trust.bars(now.utc, trusted.utc);
            if let Some((bar, text)) = bars.into_iter().find(|(bar, _)| *bar == Bar::RosterMissing) {
                return Some(bar.waiting(text));
            }
            return Some(match self.troubles.evidence.get(&manifest).or(self.troubles.proof.as_ref()) {
                Some(reason) => Waiting::new(WaitCode::EvidenceRefused, reason),
                None if !self.connected => Waiting::new(WaitCode::NoLine, self.line_detail()),
                None => Waiting::new(WaitCode::EvidenceMissing, ""),
            });
        }
        let found = installer.waits_for(trusted);
        match found.as_ref().map(|waiting| &waiting.code) {
            Some(WaitCode::HeldByVendor) => {
                let bar = self.trust.bars(now.utc, trusted.utc).into_iter().next();
                return bar.map(|(bar, text)| bar.waiting(text)).or(found);
            }
            Some(WaitCode::DirectiveExpired) => {
                if trusted.utc >= self.trust.root_expires_at() {
                    let detail = format!("it ended at {}", self.trust.root_expires_at());
                    return Some(Waiting::new(WaitCode::RootExpired, detail));
                }
                if let Some(detail) = self.clock_ahead(now) {
                    return Some(Waiting::new(WaitCode::ClockAhead, detail));
                }
                return if self.connected { found } else { Some(Waiting::new(WaitCode::NoLine, self.line_detail())) };
            }
            Some(WaitCode::Unconfirmed) => {
                return if self.connected { found } else { Some(Waiting::new(WaitCode::NoLine, self.line_detail())) };
            }
            Some(WaitCode::DeviceNotConnected) => {
                let problem = state.waits.problem.as_ref().filter(|(at, _)| now.mono.since_ms(*at) < PROBLEM_MS);
                return problem.map(|(_, words)| Waiting::new(WaitCode::DeviceFails, &**words)).or(found);
            }
            Some(_) => return found,
            None => {}
        }
        if !installer.is_preparing() {
            return None;
        }
        let journal = installer.journal();
        let image = journal.plan.as_ref().map(|plan| plan.image.firmware.sha256)?;
        let trouble = self.troubles.fetch.get(&image).or(state.waits.trouble.as_ref()).map(|trouble| &trouble.waiting);
        match trouble {
            Some(trouble) if self.connected || trouble.code != WaitCode::ImageUnavailable => Some(trouble.clone()),
            _ if !self.connected && self.is_without_image(journal) => {
                Some(Waiting::new(WaitCode::NoLine, self.line_detail()))
            }
            _ => None,
        }
    }

    /// Whether the device's image has still to come over the line.
    fn is_without_image(&self, journal: &Journal) -> bool {
        let streams = journal.plan.as_ref().is_some_and(|plan| plan.image.streams);
        journal.state() == InstallState::Fetching || streams
    }

    /// Why this gateway's clock seems to be ahead, in words that do not change while it is; `None` if it does not.
    ///
    /// A coordinator renews a directive before half of its life is over. One that is older when it arrives over the line, or gets older
    /// while the monotonic clock counts less, shows a wall clock that is ahead.
    pub(super) fn clock_ahead(&self, now: Now) -> Option<String> {
        let directive = self.trust.directive()?;
        let (serial, came) = self.troubles.directive_came?;
        if serial != directive.serial {
            return None;
        }
        let half_ms = directive.expires_at.since_ms(directive.issued_at) / 2;
        let old_at = directive.issued_at.plus_ms(half_ms.saturating_add(CLOCK_TOLERANCE_MS));
        let counted = came.utc.plus_ms(now.mono.since_ms(came.mono));
        let hours = came.utc.since_ms(directive.issued_at) / HOUR_MS;
        let signed = directive.issued_at;
        if came.utc > old_at && now.utc > old_at {
            return Some(format!(
                "the coordinator's newest directive was signed at {signed}, and arrived {} later by this clock",
                text::count(hours, "hour")
            ));
        }
        (now.utc > old_at && counted <= old_at).then(|| {
            format!("it was set forward after the coordinator's newest directive, signed at {signed}, had arrived")
        })
    }

    /// When the newest document that the coordinator's key signed was made, for comparison with the wall clock.
    pub(super) fn signed_time(&self) -> Option<UtcMillis> {
        self.trust.directive().map(|directive| directive.issued_at)
    }

    /// When the newest directive came over the line, by the wall clock; `None` if it did not since the start.
    pub(super) fn directive_came(&self) -> Option<UtcMillis> {
        let serial = self.trust.directive()?.serial;
        self.troubles.directive_came.filter(|(came, _)| *came == serial).map(|(_, came)| came.utc)
    }

    /// A directive came, new or known.
    pub(super) fn note_arrival(&mut self, now: Now) {
        let serial = self.trust.directive().map(|directive| directive.serial);
        // One that is delivered again says nothing of the clock.
        if self.troubles.directive_came.map(|(came, _)| came) != serial {
            self.troubles.directive_came = serial.map(|serial| (serial, now));
        }
    }

    /// The evidence of a release was accepted, or refused and why.
    pub(super) fn note_evidence(&mut self, manifest: Digest, refused: Option<String>) {
        match refused {
            None => drop(self.troubles.evidence.remove(&manifest)),
            Some(reason) => {
                if self.troubles.evidence.len() >= REFUSED_RELEASES_MAX {
                    self.troubles.evidence.pop_first();
                }
                self.troubles.evidence.insert(manifest, reason);
            }
        }
    }

    /// An image did not come, of which `had_bytes` are here: why. It is asked for again.
    pub fn fetch_failed(&mut self, sha256: Digest, code: WaitCode, words: String, had_bytes: u64) {
        self.troubles.fetch.insert(sha256, Trouble::new(code, words, had_bytes));
        let needed = |sha256: &Digest| self.devices.values().any(|d| d.installer.prepared_image() == Some(*sha256));
        let kept: Vec<Digest> = self.troubles.fetch.keys().copied().filter(needed).collect();
        self.troubles.fetch.retain(|sha256, _| kept.contains(sha256));
    }

    /// The images that are being fetched again after a try that failed.
    pub fn troubled_fetches(&self) -> Vec<Digest> {
        self.fetching.iter().copied().filter(|sha256| self.troubles.fetch.contains_key(sha256)).collect()
    }

    /// Takes the number of bytes of an image that are here now: more than when it last failed show that it comes.
    pub fn fetch_progressed(&mut self, sha256: Digest, bytes: u64) {
        if self.troubles.fetch.get(&sha256).is_some_and(|trouble| bytes > trouble.had_bytes) {
            self.troubles.fetch.remove(&sha256);
        }
    }

    /// An image could not be written into a slot that lies here: why. The device's next report says where to go on.
    pub fn staging_failed(&mut self, device: &DeviceId, code: WaitCode, words: String) {
        if let Some(state) = self.devices.get_mut(device) {
            let had_bytes = state.written_bytes();
            state.waits.trouble = Some(Trouble::new(code, words, had_bytes));
        }
    }

    /// Looks at every device; reports what began, changed or ended.
    pub(super) fn watch_waits(&mut self, now: Now) -> Result<(), GatewayError> {
        let utc = self.time.stamp(now);
        for device in self.ids() {
            let found = self.find_wait(now, &device);
            let Some(state) = self.devices.get_mut(&device) else { continue };
            let written_bytes = state.written_bytes();
            let is_preparing = state.installer.is_preparing();
            state.waits.trouble.take_if(|trouble| !is_preparing || written_bytes > trouble.had_bytes);
            state.waits.look(now.mono, utc, found);
            if let Some(report) = state.waits.report(now.mono) {
                let reason = report.as_ref().map(Waiting::to_event_text).unwrap_or_default();
                let write: Write = (waiting_key(&device), report.map(|waiting| wire::encode(&waiting)));
                let event = EventKind::Refused { what: REFUSED_WAITING.into(), reason };
                self.record(now, Some(&device), [event], vec![write])?;
            }
        }
        Ok(())
    }

    /// The writes by which nothing counts as reported of any device: a new epoch has begun.
    pub(super) fn forget_reported_waits(&mut self) -> Vec<Write> {
        let devices = self.devices.iter_mut();
        devices.filter_map(|(id, state)| state.waits.forget().then(|| (waiting_key(id), None))).collect()
    }

    /// What a device waits for, with its beginning.
    pub(super) fn wait_of(&self, now: Now, device: &DeviceId) -> Option<Waiting> {
        let found = self.find_wait(now, device)?;
        let held = self.devices.get(device)?.waits.current.as_ref().filter(|held| held.code == found.code);
        let since = held.and_then(|held| held.since);
        Some(found.since(since))
    }

    /// The same for people on site.
    pub(super) fn wait_view(&self, now: Now, device: &DeviceId) -> Value {
        self.wait_of(now, device).map_or(Value::Null, |waiting| view(&waiting))
    }

    /// What every device waits for that waits.
    pub(super) fn wait_views(&self, now: Now) -> Vec<Value> {
        let views = self.devices.keys().filter_map(|id| {
            let mut view = view(&self.wait_of(now, id)?);
            view["device"] = json!(id);
            Some(view)
        });
        views.collect()
    }
}

impl DeviceState {
    /// Bytes of the image that are in the device's slot, as it reports.
    fn written_bytes(&self) -> u64 {
        let staged = self.report.as_ref().and_then(|report| report.staged.as_ref());
        let sha256 = self.installer.prepared_image();
        staged.filter(|staged| Some(staged.sha256) == sha256).map_or(0, |staged| staged.written_bytes)
    }
}

fn view(waiting: &Waiting) -> Value {
    json!({
        "code": waiting.code,
        "text": waiting.text(),
        "since": waiting.since.map(|at| at.to_string()),
        "until": waiting.until.map(|at| at.to_string()),
        "who": waiting.code.who(),
        "how": waiting.code.how(),
        "isFault": waiting.code.is_fault(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> (MonotonicMs, UtcMillis) {
        (MonotonicMs(s * 1_000), UtcMillis(1_750_000_000_000 + s * 1_000))
    }

    fn look(waits: &mut Waits, s: u64, found: Option<Waiting>) -> Option<Option<Waiting>> {
        let (now, utc) = at(s);
        waits.look(now, utc, found);
        waits.report(now)
    }

    fn room(missing: u64) -> Option<Waiting> {
        Some(Waiting::new(WaitCode::NoRoom, format!("{missing} bytes are missing")))
    }

    #[test]
    fn fld_15_a_wait_is_reported_once_with_its_beginning() {
        let mut waits = Waits::load(None, MonotonicMs(0));
        assert_eq!(look(&mut waits, 10, room(5)), None, "it may pass");
        assert_eq!(waits.deadline(), Some(MonotonicMs(15_000)));
        let reported = look(&mut waits, 15, room(5)).flatten().expect("reported");
        assert_eq!(reported.since, Some(at(10).1));
        assert!((16..10_000).all(|s| look(&mut waits, s, room(5)).is_none()), "nothing changes");
        assert_eq!(waits.deadline(), None);
        let stored = wire::encode(&reported);
        let mut again = Waits::load(Some(&stored), MonotonicMs(0));
        assert!((1..100).all(|s| look(&mut again, s, room(5)).is_none()), "nor after a restart");
        assert_eq!(look(&mut again, 200, None), None, "it may come again");
        assert_eq!(look(&mut again, 202, room(5)), None);
        assert_eq!(again.current.as_ref().and_then(|w| w.since), Some(at(10).1));
        assert_eq!(look(&mut again, 300, None), None);
        assert_eq!(look(&mut again, 305, None), Some(None), "its end");
        assert_eq!(look(&mut again, 400, None), None);
    }

    #[test]
    fn fld_15_a_lost_line_ends_no_reason_in_the_log() {
        let mut waits = Waits::load(None, MonotonicMs(0));
        assert!(look(&mut waits, 5, room(5)).is_none() && look(&mut waits, 10, room(5)).is_some());
        let no_line = || Some(Waiting::new(WaitCode::NoLine, ""));
        assert!((11..100).all(|s| look(&mut waits, s, no_line()).is_none()), "nothing is known to have ended");
        assert!((100..200).all(|s| look(&mut waits, s, room(6)).is_none()), "it goes on");
        assert!((200..250).all(|s| look(&mut waits, s, no_line()).is_none()));
        assert!(look(&mut waits, 250, None).is_none() && look(&mut waits, 255, None) == Some(None), "its end");
    }

    #[test]
    fn fld_15_changing_reasons_cost_a_report_a_minute() {
        let mut waits = Waits::load(None, MonotonicMs(0));
        let other = |s: u64| Some(Waiting::new(WaitCode::NoRoom, "x".repeat(usize::try_from(s % 300).unwrap_or(0))));
        let reports = (1..=3_600).filter(|s| look(&mut waits, *s, other(*s)).is_some()).count();
        assert!(reports <= 60 + AT_ONCE as usize, "{reports} in an hour");
        let mut waits = Waits::load(None, MonotonicMs(0));
        let counts = (1..=3_600).filter(|s| look(&mut waits, *s, room(*s)).is_some()).count();
        assert_eq!(counts, 1, "that other numbers are in it is no change");
        let mut waits = Waits::load(None, MonotonicMs(0));
        let flaps = (1..=3_600).filter(|s| look(&mut waits, *s, room(1).filter(|_| s % 8 < 7)).is_some()).count();
        assert!(flaps <= 60 + AT_ONCE as usize, "{flaps} in an hour");
    }
}
