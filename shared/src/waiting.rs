//! Why something that is to be done is not done: one structured value for every view (DESIGN §10.7, decision 0037).
//!
//! A gateway computes it for its devices, the coordinator for its deployments and for what only it knows. Between the two it travels
//! inside an event that every coordinator knows, so that neither side has to be updated first.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::DETAIL_CHARS_MAX;
use crate::text;
use crate::time::UtcMillis;

/// Characters of the name of a code that this version does not know.
const CODE_CHARS_MAX: usize = 40;

macro_rules! codes {
    ($($variant:ident $name:literal $fault:literal $summary:literal, $who:literal, $how:literal;)*) => {
        /// What is waited for. The names are stable; those of newer programs are kept as text.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum WaitCode {
            $(#[doc = $summary] $variant,)*
            /// A code of a newer program: lower-case letters, digits and hyphens.
            Other(String),
        }

        impl WaitCode {
            /// Every code of this version, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, in kebab case.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }

            /// What the code means, in one sentence; empty for one of a newer program.
            pub fn summary(&self) -> &'static str {
                match self {
                    $(Self::$variant => $summary,)*
                    Self::Other(_) => "",
                }
            }

            /// Who can end the wait.
            pub fn who(&self) -> &'static str {
                match self {
                    $(Self::$variant => $who,)*
                    Self::Other(_) => "",
                }
            }

            /// How the wait ends.
            pub fn how(&self) -> &'static str {
                match self {
                    $(Self::$variant => $how,)*
                    Self::Other(_) => "update the program that shows this: it does not know the code",
                }
            }

            /// Whether something does not work; `false` if the wait is part of every update.
            pub fn is_fault(&self) -> bool {
                match self {
                    $(Self::$variant => $fault,)*
                    Self::Other(_) => true,
                }
            }

            fn of_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    Consent "consent" false "the hospital's consent is missing",
        "staff of the hospital", "mdfmctl consent DEPLOYMENT --hospital HOSPITAL --reason …, or mdfm-agent consent on the gateway";
    Decision "decision" false "the deployment is paused",
        "Operator, Clinical, Regulatory", "mdfmctl resume, rollback or abort DEPLOYMENT --reason …";
    Signature "signature" false "the signature for the phase is missing",
        "the role that the plan names", "mdfmctl validate DEPLOYMENT --role ROLE --reason …";
    Monitoring "monitoring" false "the monitoring time of the phase is not over",
        "nobody: time ends it", "the gate is judged when the time has passed";
    Gate "gate" true "the gate of the phase does not hold",
        "Operator, Clinical, Regulatory", "what the gate lacks comes, or mdfmctl pause, rollback or abort DEPLOYMENT --reason …";
    Phase "phase" false "the phase of the device is not open",
        "nobody: the phases before it end it", "mdfmctl deployments show DEPLOYMENT says what these wait for";
    Devices "devices" false "devices of the phase are not done",
        "nobody: the devices end it", "enough devices of the phase settle; those that wait are named";
    Approvals "approvals" true "approvals of the release no longer count",
        "Clinical, QA, Regulatory", "sign them again: mdfmctl approve RELEASE --role ROLE --reason …";
    TrustNotFresh "trust-not-fresh" true "a trust document has expired or is missing",
        "registrar, Regulatory", "mdfmctl trust show names the document and the command";
    RollbackOrder "rollback-order" true "the device goes back by a rollback order alone",
        "Clinical, Regulatory", "mdfmctl rollback-orders make …, signed";
    Window "window" false "the maintenance window is closed",
        "nobody: time ends it", "mdfmctl hospitals policy show HOSPITAL; in an emergency a plan says ignoreWindows";
    HeldOnSite "held-on-site" false "the device is held on site",
        "staff beside the device", "mdfm-agent release DEVICE --reason … on the gateway";
    HeldByVendor "held-by-vendor" false "the vendor's directive holds the device",
        "the vendor, or staff of the hospital whose consent is missing", "mdfm-agent consent DEPLOYMENT --reason …, or wait for the vendor";
    InUse "in-use" false "the device is in use",
        "staff beside the device", "it goes on when no patient is connected";
    DeviceNotConnected "device-not-connected" true "the device is not connected to its gateway",
        "staff beside the device", "switch the device on, look at its cable; mdfm-agent device DEVICE";
    DeviceFails "device-fails" true "the device or its adapter does not do what its protocol says",
        "hospital IT, the device's maker", "mdfm-agent logs --device DEVICE, mdfm-agent conformance";
    DeviceRefuses "device-refuses" true "the device refused the image or the order to boot it",
        "the device's maker", "the text says why; put it right, then deploy again";
    SlotUnusable "slot-unusable" true "the slot for the image cannot be used as it is configured",
        "hospital IT", "mdfm-agent run --check-config on the gateway, then deploy again";
    Quarantine "quarantine" true "the device is in quarantine after several failed installations",
        "staff beside the device", "look at the device, then mdfm-agent release DEVICE --reason …";
    ManualIntervention "manual-intervention" true "the device could not be shown to run good firmware",
        "staff beside the device", "look at the device; it is rolled back as soon as it answers";
    ReleaseRefused "release-refused" true "the release is not installed on this device",
        "the vendor", "the text says why; deploy a release that fits";
    NoRoom "no-room" true "the gateway has no room for the image",
        "hospital IT", "free space below the gateway's state_dir, or lower cache_bytes_max";
    ImageUnavailable "image-unavailable" true "the image cannot be fetched",
        "the vendor, or hospital IT where the network fails", "the text has the answer; the gateway tries again automatically";
    ImageRefused "image-refused" true "the image is not what the release names",
        "the vendor", "the text says what differs; publish the image again, then deploy again";
    DownloadHours "download-hours" false "images are not downloaded at this hour",
        "hospital IT", "[download] hours in /etc/mdfm/agent.toml";
    EvidenceMissing "evidence-missing" true "the signed evidence of the release has not arrived",
        "the vendor, or hospital IT where the line fails", "mdfm-agent selftest; without a line: mdfm-agent import";
    EvidenceRefused "evidence-refused" true "the gateway does not accept the signed evidence of the release",
        "the vendor", "the text says what does not verify: approvals, roster, proof";
    NoLine "no-line" true "the gateway has no connection to the coordinator",
        "hospital IT", "mdfm-agent selftest, journalctl -u mdfm-agent";
    GatewaySilent "gateway-silent" true "the gateway is not heard of",
        "hospital IT", "mdfm-agent status on the gateway; its power, network and proxy";
    GatewayMissing "gateway-missing" true "no enrolled gateway serves the device",
        "Operator", "mdfmctl gateways add-token GATEWAY, or mdfmctl devices change DEVICE --gateway GATEWAY";
    TelemetryRefused "telemetry-refused" true "what the gateway reports is not taken into the log",
        "Operator, hospital IT", "mdfmctl gateways show GATEWAY says why; where it is held: mdfmctl gateways add-token GATEWAY, and mdfm-agent enrol --again on the right machine";
    ClockBehind "clock-behind" true "the gateway's clock is behind",
        "hospital IT", "set the gateway's clock (timedatectl) and see to its time server";
    ClockAhead "clock-ahead" true "the gateway's clock is ahead",
        "hospital IT", "set the gateway's clock (timedatectl) and see to its time server";
    DirectiveExpired "directive-expired" true "the directive has expired and no newer one has arrived",
        "the vendor, or hospital IT where the line fails", "mdfm-agent selftest; without a line: mdfm-agent import";
    Unconfirmed "unconfirmed" true "the coordinator has not confirmed the directive since the agent started",
        "the vendor, or hospital IT where the line fails", "mdfm-agent selftest; without a line: mdfm-agent import of a new bundle";
    RootExpired "root-expired" true "the trust root has expired",
        "owners of the root keys", "mdfmctl trust rotate-root, signed by the old and the new root keys, then mdfmctl trust publish";
    RosterMissing "roster-missing" true "no approver roster holds under the trust root",
        "registrar", "mdfmctl trust make-roster …, published";
    RosterExpired "roster-expired" true "the approver roster has expired",
        "registrar", "mdfmctl trust make-roster --previous … --renew, published; the line must stand";
    WithdrawalsMissing "withdrawals-missing" true "withdrawals that the roster demands have not arrived",
        "registrar, Clinical, QA, Regulatory", "mdfmctl withdrawals renew; the line must stand";
    WithdrawalsExpired "withdrawals-expired" true "the withdrawals have expired",
        "registrar, Clinical, QA, Regulatory", "mdfmctl withdrawals renew; the line must stand";
}

impl From<String> for WaitCode {
    /// A name of a newer program is cut, and characters that no code has are dropped: it becomes a label of metrics.
    fn from(name: String) -> Self {
        Self::of_name(&name).unwrap_or_else(|| {
            let is_code = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
            Self::Other(name.chars().filter(is_code).take(CODE_CHARS_MAX).collect())
        })
    }
}

impl From<WaitCode> for String {
    fn from(code: WaitCode) -> Self {
        code.name().to_owned()
    }
}

impl fmt::Display for WaitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for WaitCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for WaitCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?))
    }
}

/// Why something waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// What is waited for.
    pub code: WaitCode,
    /// What is special here, in words that do not change while it lasts; empty if there is nothing.
    pub detail: String,
    /// Since when; `None` if nobody noted it.
    pub since: Option<UtcMillis>,
    /// When it ends automatically; `None` if that is not known.
    pub until: Option<UtcMillis>,
}

impl Waiting {
    /// Of which only the code and the detail are known.
    pub fn new(code: WaitCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), since: None, until: None }
    }

    /// With its beginning.
    #[must_use]
    pub fn since(self, since: Option<UtcMillis>) -> Self {
        Self { since, ..self }
    }

    /// With its end.
    #[must_use]
    pub fn until(self, until: Option<UtcMillis>) -> Self {
        Self { until, ..self }
    }

    /// The reason in one line: what the code means, and what is special here.
    pub fn text(&self) -> String {
        match (self.code.summary(), self.detail.as_str()) {
            ("", "") => self.code.name().to_owned(),
            ("", detail) => detail.to_owned(),
            (summary, "") => summary.to_owned(),
            (summary, detail) => format!("{summary}: {detail}"),
        }
    }

    /// Whether both say the same, whenever it began. For an image that does not come, numbers within the detail may differ: how many bytes
    /// came, or are missing, is another one at each try. Elsewhere a number is a version, a limit or a name.
    pub fn is_same(&self, other: &Self) -> bool {
        if (&self.code, self.until) != (&other.code, other.until) {
            return false;
        }
        let counts = matches!(self.code, WaitCode::NoRoom | WaitCode::ImageUnavailable);
        let words = |waiting: &Self| waiting.detail.replace(|c: char| c.is_ascii_digit(), "");
        self.detail == other.detail || (counts && words(self) == words(other))
    }

    /// The value within the bound of an event's text; the detail is cut as far as it must be.
    pub fn to_event_text(&self) -> String {
        let mut cut = self.clone();
        loop {
            let text = serde_json::to_string(&cut).unwrap_or_default();
            let chars = text.chars().count();
            if chars <= DETAIL_CHARS_MAX || cut.detail.is_empty() {
                return text;
            }
            // Escapes take up to six characters for one: several rounds at most.
            let over = chars - DETAIL_CHARS_MAX;
            let keep = cut.detail.chars().count().saturating_sub(over.div_ceil(6).max(1));
            text::clip(&mut cut.detail, keep);
        }
    }

    /// Reads what [`Self::to_event_text`] wrote, or a newer program. A gateway may send anything: what does not decode is no reason, and
    /// texts are bounded.
    pub fn from_event_text(text: &str) -> Option<Self> {
        let mut waiting: Self = serde_json::from_str(text).ok()?;
        text::clip(&mut waiting.detail, DETAIL_CHARS_MAX);
        Some(waiting)
    }

    /// The code of an installation that failed before it touched the device, by the reason that its agent wrote.
    pub fn of_failure(detail: &str) -> Self {
        let code = if detail.contains("(slotUnusable)") {
            WaitCode::SlotUnusable
        } else if detail.contains("in quarantine") {
            WaitCode::Quarantine
        } else if detail.starts_with("image refused") {
            WaitCode::ImageRefused
        } else if detail.contains("did not take the image") || detail.contains("refused to boot") {
            WaitCode::DeviceRefuses
        } else if detail.contains("contradicted itself") {
            WaitCode::DeviceFails
        } else {
            WaitCode::ReleaseRefused
        };
        Self::new(code, detail)
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn cli_14_every_code_has_a_name_a_meaning_and_an_end() {
        let names: BTreeSet<&str> = WaitCode::ALL.iter().map(WaitCode::name).collect();
        assert_eq!(names.len(), WaitCode::ALL.len(), "names differ");
        for code in WaitCode::ALL {
            assert!(code.name().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{code}");
            assert!(code.name().len() <= CODE_CHARS_MAX, "{code}");
            for text in [code.summary(), code.who(), code.how()] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{code}: {text}");
            }
            let json = serde_json::to_string(code).expect("encodes");
            assert_eq!(serde_json::from_str::<WaitCode>(&json).expect("its own"), *code);
        }
    }

    #[test]
    fn cli_14_codes_of_newer_programs_are_kept_as_text() {
        let text = r#"{"code":"moon-phase","detail":"the moon is wrong","since":5,"until":null,"more":[1]}"#;
        let waiting = Waiting::from_event_text(text).expect("decodes");
        assert_eq!((waiting.code.name(), waiting.text().as_str()), ("moon-phase", "the moon is wrong"));
        let hostile = format!(r#"{{"code":"A\"}}\n{}","detail":"","since":null,"until":null}}"#, "x".repeat(99));
        let code = Waiting::from_event_text(&hostile).expect("decodes").code;
        assert!(code.name().len() <= CODE_CHARS_MAX && code.name().chars().all(|c| c == 'x'), "{code}");
    }

    #[test]
    fn cli_14_a_reason_keeps_the_bound_of_an_event() {
        for detail in ["", "short", &"é\u{1b}\"".repeat(400), &"x".repeat(5_000)] {
            let whole = Waiting::new(WaitCode::ImageUnavailable, detail).since(Some(UtcMillis(u64::MAX)));
            let text = whole.to_event_text();
            assert!(text.chars().count() <= DETAIL_CHARS_MAX, "{}", text.chars().count());
            let read = Waiting::from_event_text(&text).expect("its own");
            assert_eq!((read.code, read.since), (WaitCode::ImageUnavailable, Some(UtcMillis(u64::MAX))));
            assert!(detail.starts_with(&read.detail) && (detail.is_empty() || !read.detail.is_empty()));
        }
        for text in ["", "{}", "[", "a text", "{\"code\":7}"] {
            assert_eq!(Waiting::from_event_text(text), None);
        }
    }

    #[test]
    fn fld_15_numbers_count_except_in_bytes_that_come() {
        let same = |code: &WaitCode, a: &str, b: &str| {
            Waiting::new(code.clone(), a).is_same(&Waiting::new(code.clone(), b).since(Some(UtcMillis(7))))
        };
        for code in WaitCode::ALL {
            let counts = matches!(code, WaitCode::NoRoom | WaitCode::ImageUnavailable);
            assert_eq!(same(code, "broke off after 5 bytes", "broke off after 17 bytes"), counts, "{code}");
            assert!(same(code, "security version 3", "security version 3"), "{code}");
            assert!(!same(code, "the answer was 404", "the image broke off"), "{code}");
        }
        assert!(!Waiting::new(WaitCode::NoRoom, "").is_same(&Waiting::new(WaitCode::ImageUnavailable, "")));
    }

    #[test]
    fn fld_20_failures_have_the_code_of_their_cause() {
        for (detail, code) in [
            ("the device did not take the image: /dev/x is a link (slotUnusable)", WaitCode::SlotUnusable),
            ("image refused: the image is longer than the 7 bytes signed", WaitCode::ImageRefused),
            ("the device did not take the image: bad (wrongDigest)", WaitCode::DeviceRefuses),
            ("in quarantine after several failed installations; …", WaitCode::Quarantine),
            ("wrong model: the release is for A, the device is a B", WaitCode::ReleaseRefused),
        ] {
            assert_eq!(Waiting::of_failure(detail).code, code);
        }
    }
}
