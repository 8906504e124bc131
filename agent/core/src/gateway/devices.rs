//! What devices say: reports, faults, and what does not agree with itself; and what the coordinator asks about them.

use mdfm_shared::id::DeviceId;

use super::*;

/// Cuts what a device made too long. A label keeps one character more than any real one has, so that it never equals one.
pub(super) fn bounded(mut report: Report) -> Report {
    for label in [&mut report.model, &mut report.serial, &mut report.hardware, &mut report.running.version] {
        text::clip(label, LABEL_CHARS_MAX + 1);
    }
    if let Some(refusal) = &mut report.last_refusal {
        text::clip(&mut refusal.code, LABEL_CHARS_MAX);
        text::clip(&mut refusal.message, DETAIL_CHARS_MAX);
    }
    for numbered in report.faults.iter_mut().flat_map(|level| &mut level.latest) {
        text::clip(&mut numbered.fault.code, LABEL_CHARS_MAX);
        text::clip(&mut numbered.fault.message, DETAIL_CHARS_MAX);
    }
    report
}

/// Removes fault counters that do not agree with themselves; returns what is wrong. The device counts as one of version 1 then.
pub(super) fn remove_bad_level(report: &mut Report) -> Option<Malformed> {
    let problem = match &report.faults {
        None if report.protocol >= FAULT_LEVEL_VERSION => "it speaks protocol version 2 and reports no `faults`",
        None => return None,
        Some(level) => level.check().err()?,
    };
    report.faults = None;
    Some(Malformed::with("its report has no valid fault counters", problem))
}

impl<S: Store> Gateway<S> {
    /// A device reported its state.
    pub fn device_report(&mut self, now: Now, device: &DeviceId, report: Report) -> Result<(), GatewayError> {
        let Some(state) = self.devices.get_mut(device) else { return Ok(()) };
        let mut report = report;
        let bad_level = remove_bad_level(&mut report);
        let report = bounded(report);
        if state.installer.is_of_earlier_boot(now, &report) {
            return Ok(());
        }
        state.report = Some(report.clone());
        let is_ordered = state.installer.expects_boot();
        let reboots = state.observation.look(now.mono, self.time.trusted(now).utc, &report, is_ordered);
        self.settle(now, device, is_ordered)?;
        if let Some(malformed) = bad_level {
            self.device_malformed(now, device, &malformed)?;
        }
        if self.due.contains(device) {
            // The journal may be older than the device; the report is compared with it before anything follows from it.
            self.input(now, device, Input::SetBack)?;
        }
        self.input(now, device, Input::Report(report))?;
        if let Some(found) = reboots {
            self.input(now, device, Input::Reboots { before: found.before, now: found.now })?;
        }
        self.report_if_due(now, device)
    }

    /// Stores what is observed of a device where it changed; the next heartbeat names it.
    pub(super) fn settle(&mut self, now: Now, device: &DeviceId, is_ordered: bool) -> Result<(), GatewayError> {
        let Some(state) = self.devices.get_mut(device) else { return Ok(()) };
        if let Some(bytes) = state.observation.settle(now.mono, is_ordered) {
            self.store.commit(vec![(observation_key(device), Some(bytes))])?;
            if self.hears_questions {
                self.next_heartbeat = now.mono.plus_ms(NEWS_MS).min(self.next_heartbeat);
            }
        }
        Ok(())
    }

    /// From when on the newest observed state of a device may be reported, for virtual worlds; `None` if that is no matter of time.
    pub fn observation_settles_at(&self, device: &DeviceId) -> Option<MonotonicMs> {
        self.devices.get(device)?.observation.settles_at()
    }

    /// A new connection of a device took the place of one that stood.
    pub fn device_displaced(&mut self, now: Now, device: &DeviceId) -> Result<(), GatewayError> {
        let Some(state) = self.devices.get_mut(device) else { return Ok(()) };
        if !state.observation.displaced(now.mono) {
            return Ok(());
        }
        let reason = "connections displace each other again and again: several devices use this id; give each device an id of its own";
        let event = EventKind::Refused { what: "device".into(), reason: reason.into() };
        self.refuse_once(now, Some(device), reason.into(), event)?;
        self.settle(now, device, false)
    }

    /// The coordinator granted the topic of its questions.
    pub fn questions_granted(&mut self, now: Now) {
        self.hears_questions = true;
        self.next_heartbeat = now.mono.plus_ms(NEWS_MS).min(self.next_heartbeat);
    }

    /// Answers the coordinator's question for observed states.
    pub(super) fn observed(&mut self, now: Now, request: &ObservationRequest) -> Result<(), GatewayError> {
        let is_new = request.epoch == self.outbox.epoch()
            && request.heartbeat > self.last_question
            && request.heartbeat <= self.heartbeats;
        if request.gateway != self.who.gateway || !request.is_bounded() || !is_new {
            return Ok(());
        }
        self.last_question = request.heartbeat;
        let mut events = Vec::new();
        for device in &request.devices {
            let Some(state) = self.devices.get_mut(device) else { continue };
            if let Some(observed) = state.observation.answer(now.mono) {
                let (digest, observed) = (observed.digest(), Box::new(observed));
                events.push((Some(device.clone()), EventKind::DeviceObserved { digest, observed }));
            }
        }
        if events.is_empty() { Ok(()) } else { self.record_all(now, events, Vec::new()) }
    }

    /// A device reported a fault as an event. The installer always learns of it; it is recorded within the device's budget. A numbered
    /// one of a device whose reports carry its fault counters is passed over: the report holds it too.
    pub fn device_fault(
        &mut self,
        now: Now,
        device: &DeviceId,
        fault: impl Into<FaultMessage>,
    ) -> Result<(), GatewayError> {
        let FaultMessage { mut fault, number } = fault.into();
        let Some(state) = self.devices.get(device) else { return Ok(()) };
        // Also before the first report: the one that follows holds it.
        let counts_faults = state.report.as_ref().is_none_or(|report| report.fault_level().is_some());
        if number.is_some() && counts_faults {
            return Ok(());
        }
        text::clip(&mut fault.code, LABEL_CHARS_MAX);
        text::clip(&mut fault.message, DETAIL_CHARS_MAX);
        self.input(now, device, Input::Fault(fault))
    }

    /// A device sent what its topic does not carry, or broke another rule.
    pub fn device_malformed(&mut self, now: Now, device: &DeviceId, malformed: &Malformed) -> Result<(), GatewayError> {
        let Some(state) = self.devices.get_mut(device) else { return Ok(()) };
        state.waits.note_problem(now.mono, malformed.to_string());
        let event = EventKind::Refused { what: "device".into(), reason: malformed.to_string() };
        self.refuse_once(now, Some(device), malformed.what.to_owned(), event)
    }
}
