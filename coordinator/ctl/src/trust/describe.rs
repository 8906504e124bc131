//! Every field of a document in plain language, for the person who is about to sign it. Each document is taken apart without
//! `..`: a field that is added to it does not compile until it is shown here.

use mdfm_shared::limits::RECALL_WINDOW_DEFAULT_MS;
use mdfm_shared::manifest::{Component, DeltaVariant, FirmwareClass, HealthPolicy, Manifest};
use mdfm_shared::sign::{Document, PublicKey};
use mdfm_shared::text::printable;
use mdfm_shared::time::UtcMillis;
use mdfm_shared::trust::{
    Approval, ApprovalPolicy, Freshness, OrderSigner, Revocation, Role, RoleKeys, RollbackOrder, Roster, RosterEntry,
    TrustRoot, Validation, Withdrawal, Withdrawals, Witnesses,
};

/// Columns of a line where no narrower terminal shows it.
const WIDTH: usize = 98;
/// Narrowest that lines are made for: the column of labels and some words.
const WIDTH_MIN: usize = 48;
/// Columns of the labels.
const LABEL: usize = 22;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const YEAR_DAYS: u64 = 365;

/// One line of a description.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Line {
    /// How deep it stands, 0 for the document's own fields.
    pub(crate) depth: usize,
    pub(crate) label: String,
    pub(crate) value: String,
}

/// What can be shown before it is signed.
pub(crate) trait Describe: Document {
    /// The document's name for people, with its version if it has one.
    fn title(&self) -> String;
    /// Every field, in the order in which people ask for them.
    fn describe(&self, now: UtcMillis) -> Vec<Line>;
}

/// Text from a document on one line, as a terminal may get it.
pub(crate) fn escape(text: &str) -> String {
    printable(text).into_owned()
}

/// A number with commas.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

fn count(n: u64, unit: &str) -> String {
    format!("{} {unit}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// A distance, rounded down to the unit that people think in.
pub(crate) fn span(ms: u64) -> String {
    let days = ms / DAY_MS;
    match ms {
        _ if days >= 10 * YEAR_DAYS => count(days / YEAR_DAYS, "year"),
        _ if days >= 2 => count(days, "day"),
        _ if ms >= 2 * HOUR_MS => count(ms / HOUR_MS, "hour"),
        _ if ms >= 120_000 => count(ms / 60_000, "minute"),
        _ if ms < 1_000 => "less than a second".to_owned(),
        _ => count(ms / 1_000, "second"),
    }
}

/// A duration that is signed: exact, in the largest unit that divides it.
fn exact(ms: u64) -> String {
    let units = [(DAY_MS, "day"), (HOUR_MS, "hour"), (60_000, "minute"), (1_000, "second")];
    let unit = units.into_iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit));
    unit.map_or_else(|| count(ms, "millisecond"), |(unit, name)| count(ms / unit, name))
}

/// A duration that people name in hours, exact: smaller ones in smaller units, and beside one of many hours how long that is.
pub(crate) fn hours(ms: u64) -> String {
    match ms.is_multiple_of(HOUR_MS) {
        true if ms >= 10 * DAY_MS => format!("{} ({})", count(ms / HOUR_MS, "hour"), span(ms)),
        true => count(ms / HOUR_MS, "hour"),
        false => exact(ms),
    }
}

/// A time as a date and as a distance.
pub(crate) fn when(at: UtcMillis, now: UtcMillis) -> String {
    // A date beyond the calendar that people use says nothing; the distance does.
    let date = if at.0 / DAY_MS / YEAR_DAYS > 8_000 { "far beyond the year 9999".to_owned() } else { at.to_string() };
    let is_now = at.since_ms(now).max(now.since_ms(at)) < 1_000;
    if is_now {
        format!("{date}, now")
    } else if at >= now {
        format!("{date}, in {}", span(at.since_ms(now)))
    } else {
        format!("{date}, {} ago", span(now.since_ms(at)))
    }
}

pub(crate) fn roles_text(roles: &[Role]) -> String {
    let names: Vec<String> = roles.iter().map(ToString::to_string).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// Lines in the making.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn at(&mut self, depth: usize, label: &str, value: impl AsRef<str>) {
        self.0.push(Line { depth, label: label.to_owned(), value: escape(value.as_ref()) });
    }
    fn add(&mut self, label: &str, value: impl AsRef<str>) {
        self.at(0, label, value);
    }

    fn key(&mut self, depth: usize, label: &str, key: &PublicKey) {
        self.at(depth, label, format!("{key} (id {})", key.id()));
    }

    fn role(&mut self, label: &str, role: &RoleKeys) {
        let RoleKeys { keys, threshold } = role;
        self.add(label, format!("{threshold} of {} keys must sign", keys.len()));
        for key in keys {
            self.key(1, "key", key);
        }
    }

    fn witnesses(&mut self, witnesses: &Witnesses) {
        let Witnesses { keys, threshold } = witnesses;
        let needed = if *threshold == 0 { "none must have".to_owned() } else { format!("{threshold} must have") };
        self.add("witnesses", format!("{needed} cosigned the log; {} named", keys.len()));
        for key in keys {
            self.at(1, "witness", key);
        }
    }

    fn policy(&mut self, policy: &ApprovalPolicy) {
        let ApprovalPolicy { standard, emergency, emergency_window_ms } = policy;
        let by_class = |class| match class {
            FirmwareClass::Standard | FirmwareClass::Recall => standard,
            FirmwareClass::Emergency => emergency,
        };
        self.add("approvals needed", "each by a different person");
        for (label, class) in [
            ("standard release", FirmwareClass::Standard),
            ("recall release", FirmwareClass::Recall),
            ("emergency release", FirmwareClass::Emergency),
        ] {
            self.at(1, label, roles_text(by_class(class)));
        }
        self.at(1, "emergency window", format!("{} between first and last approval", hours(*emergency_window_ms)));
    }

    fn entry(&mut self, entry: &RosterEntry, now: UtcMillis) {
        let RosterEntry { user, printed_name, roles, key, valid_from, valid_until, revoked } = entry;
        self.add("person", format!("{user} ({printed_name}) as {}", roles_text(roles)));
        self.key(1, "key", key);
        self.at(1, "valid from", when(*valid_from, now));
        let end = if *valid_until <= now { "ENDED " } else { "" };
        self.at(1, "valid until", format!("{end}{}", when(*valid_until, now)));
        match revoked {
            None => self.at(1, "revoked", "no"),
            Some(Revocation { at, log_size }) => {
                self.at(1, "REVOKED", format!("signatures dated {at} or later do not count"));
                self.at(1, "", format!("nor do those at position {} of the log or later", grouped(*log_size)));
            }
        }
    }

    fn component(&mut self, component: &Component) {
        let Component { name, sha256, size_bytes } = component;
        self.add("component", format!("{name}, {} bytes", grouped(*size_bytes)));
        self.at(1, "SHA-256", sha256.to_string());
    }

    fn delta(&mut self, delta: &DeltaVariant) {
        let DeltaVariant { base_sha256, format, sha256, size_bytes } = delta;
        self.add("patch", format!("{} bytes, format {format}", grouped(*size_bytes)));
        self.at(1, "from image", base_sha256.to_string());
        self.at(1, "SHA-256", sha256.to_string());
    }

    fn health(&mut self, health: &HealthPolicy) {
        let HealthPolicy { probation_ms, error_budget, silence_limit_ms } = health;
        self.add("time on trial", exact(*probation_ms));
        self.at(1, "errors tolerated", error_budget.to_string());
        self.at(1, "longest silence", exact(*silence_limit_ms));
    }

    /// The manifestation of a person's signature (21 CFR 11.50).
    fn signature(&mut self, role: Role, user: &str, name: &str, meaning: &str, reason: &str) {
        self.add("signer", format!("{user} ({name}) as {role}"));
        self.add("meaning", meaning);
        self.add("reason", reason);
    }
}

impl Describe for TrustRoot {
    fn title(&self) -> String {
        format!("trust root {}", self.version)
    }
    fn describe(&self, now: UtcMillis) -> Vec<Line> {
        let Self { version, expires_at, root, release, registrar, coordinator, log, witnesses, approvals } = self;
        let mut lines = Lines::default();
        lines.add("version", version.to_string());
        lines.add("expires", when(*expires_at, now));
        lines.role("root role", root);
        lines.role("release role", release);
        lines.role("registrar role", registrar);
        lines.role("coordinator role", coordinator);
        lines.add("audit log key", log);
        lines.witnesses(witnesses);
        lines.policy(approvals);
        lines.0
    }
}

impl Describe for Roster {
    fn title(&self) -> String {
        format!("roster {}", self.version)
    }
    fn describe(&self, now: UtcMillis) -> Vec<Line> {
        let Self { version, entries, freshness } = self;
        let mut lines = Lines::default();
        lines.add("version", version.to_string());
        match freshness {
            None => lines.add("expires", "never: it has no expiry"),
            Some(Freshness { issued_at, expires_at, withdrawals_version }) => {
                lines.add("made", when(*issued_at, now));
                lines.add("expires", when(*expires_at, now));
                let demanded = match withdrawals_version {
                    0 => "none".to_owned(),
                    version => format!("version {version} or later"),
                };
                lines.add("withdrawals demanded", demanded);
            }
        }
        lines.add("entries", entries.len().to_string());
        entries.iter().for_each(|entry| lines.entry(entry, now));
        lines.0
    }
}

impl Describe for Withdrawals {
    fn title(&self) -> String {
        format!("withdrawals {}", self.version)
    }
    fn describe(&self, now: UtcMillis) -> Vec<Line> {
        let Self { version, issued_at, expires_at, releases } = self;
        let mut lines = Lines::default();
        lines.add("version", version.to_string());
        lines.add("made", when(*issued_at, now));
        lines.add("expires", when(*expires_at, now));
        lines.add("withdrawn releases", releases.len().to_string());
        for Withdrawal { manifest, reason, at } in releases {
            lines.add("manifest", manifest.to_string());
            lines.at(1, "withdrawn", when(*at, now));
            lines.at(1, "reason", reason);
        }
        lines.0
    }
}

impl Describe for RollbackOrder {
    fn title(&self) -> String {
        format!("rollback order {}", escape(&self.label))
    }
    fn describe(&self, now: UtcMillis) -> Vec<Line> {
        let Self { label, releases, devices, below_floor, meaning, reason, issued_at, expires_at, signers } = self;
        let mut lines = Lines::default();
        lines.add("label", label);
        let every = |n: usize, what: &str| if n == 0 { what.to_owned() } else { format!("{n}, these:") };
        lines.add("releases to leave", every(releases.len(), "whatever the named devices run"));
        releases.iter().for_each(|release| lines.at(1, "manifest", release.to_string()));
        lines.add("devices", every(devices.len(), "EVERY device that runs one of the releases"));
        devices.iter().for_each(|device| lines.at(1, "device", device.as_str()));
        lines.add("below security floor", if *below_floor { "YES, devices may go below it" } else { "no" });
        lines.add("meaning", meaning);
        lines.add("reason", reason);
        lines.add("made", when(*issued_at, now));
        lines.add("expires", when(*expires_at, now));
        for OrderSigner { user, printed_name, role } in signers {
            lines.add("signer", format!("{user} ({printed_name}) as {role}"));
        }
        lines.0
    }
}

impl Describe for Manifest {
    fn title(&self) -> String {
        format!("manifest of {} {}", self.firmware_id, escape(&self.version))
    }
    fn describe(&self, _: UtcMillis) -> Vec<Line> {
        let Self {
            firmware_id,
            model,
            hardware_revisions,
            version,
            release_number,
            security_version,
            class,
            sha256,
            components,
            deltas,
            minimum_release,
            health,
            extra_approvals,
            sbom_sha256,
            recall_window_ms,
            reboots_per_day,
        } = self;
        let mut lines = Lines::default();
        lines.add("firmware", firmware_id.as_str());
        lines.add("device model", model);
        lines.add("hardware revisions", hardware_revisions.join(", "));
        lines.add("version", version);
        lines.add("release number", release_number.to_string());
        lines.add("security version", security_version.to_string());
        let class = match class {
            FirmwareClass::Standard => "standard release",
            FirmwareClass::Emergency => "EMERGENCY release",
            FirmwareClass::Recall => "release that replaces recalled firmware",
        };
        lines.add("class", class);
        lines.add("images' SHA-256", sha256.to_string());
        components.iter().for_each(|component| lines.component(component));
        deltas.iter().for_each(|delta| lines.delta(delta));
        lines.add("lowest release before", minimum_release.to_string());
        lines.health(health);
        let extra = if extra_approvals.is_empty() { "none".to_owned() } else { roles_text(extra_approvals) };
        lines.add("more approvals", extra);
        lines.add("bill of materials", sbom_sha256.map_or("none".to_owned(), |d| d.to_string()));
        let window = recall_window_ms.unwrap_or(RECALL_WINDOW_DEFAULT_MS);
        let default = if recall_window_ms.is_none() { " (the default)" } else { "" };
        lines.add("recall window", format!("{} after confirmation{default}", exact(window)));
        let default = if reboots_per_day.is_none() { " (the default)" } else { "" };
        let budget = self.reboot_budget();
        lines.add("reboots tolerated", format!("{budget} in 24 hours that nobody ordered{default}"));
        lines.0
    }
}

impl Describe for Approval {
    fn title(&self) -> String {
        format!("approval as {}", self.role)
    }
    fn describe(&self, now: UtcMillis) -> Vec<Line> {
        let Self { manifest, role, user, printed_name, meaning, reason, at } = self;
        let mut lines = Lines::default();
        lines.add("manifest", manifest.to_string());
        lines.signature(*role, user.as_str(), printed_name, meaning, reason);
        lines.add("signed", when(*at, now));
        lines.0
    }
}

impl Describe for Validation {
    fn title(&self) -> String {
        format!("validation of phase {} as {}", self.phase.saturating_add(1), self.role)
    }
    fn describe(&self, now: UtcMillis) -> Vec<Line> {
        let Self { deployment, phase, manifest, evidence, role, user, printed_name, meaning, reason, at } = self;
        let mut lines = Lines::default();
        lines.add("deployment", deployment.as_str());
        lines.add("phase", phase.saturating_add(1).to_string());
        lines.add("manifest", manifest.to_string());
        lines.add("evidence", evidence.map_or_else(|| "not part of it".to_owned(), |digest| digest.to_string()));
        lines.signature(*role, user.as_str(), printed_name, meaning, reason);
        lines.add("signed", when(*at, now));
        lines.0
    }
}

/// Columns that lines are made for: those of the terminal, so that it breaks none of them.
pub(crate) fn width() -> usize {
    mdfm_service::terminal::narrowest().unwrap_or(WIDTH).clamp(WIDTH_MIN, WIDTH)
}

/// The lines as text: two aligned columns, at most `width` wide; long values continue under their
/// column.
pub(crate) fn render(lines: &[Line], width: usize) -> Vec<String> {
    let mut text = Vec::new();
    for Line { depth, label, value } in lines {
        let begin = 2 + 2 * depth;
        let head = format!("{:begin$}{label}", "");
        let column = LABEL + 4;
        // A label never touches its value, however long it is.
        let head = if head.chars().count() < column || value.is_empty() { head } else { head + " " };
        text.extend(laid_out(head, value, column, begin + 2, width));
    }
    text
}

/// A text as one item of a list under a mark, at most `width` wide.
pub(crate) fn marked(mark: &str, text: &str, width: usize) -> Vec<String> {
    let head = format!("  {mark} ");
    let column = head.chars().count();
    laid_out(head, &escape(text), column, 4, width)
}

/// A text behind its head, in lines of `width` from `column` on; a word that fits no such line
/// stands on one of its own from `outdent` on.
fn laid_out(head: String, text: &str, column: usize, outdent: usize, width: usize) -> Vec<String> {
    let mut lines = vec![head];
    for (i, row) in wrap(text, column, outdent, width).into_iter().enumerate() {
        match row {
            Row::Text(piece) if i == 0 => lines[0] = format!("{:column$}{piece}", lines[0]),
            Row::Text(piece) => lines.push(format!("{:column$}{piece}", "")),
            Row::Code(word) => lines.push(format!("{:outdent$}{word}", "")),
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// A row of a text.
#[derive(Debug)]
enum Row {
    /// Words, below each other in their column.
    Text(String),
    /// A digest or a key that is wider than the column: somebody compares or copies it, so it is
    /// not broken.
    Code(String),
}

/// Hexadecimal digits of the longest digest that is shown.
const DIGEST_CHARS: usize = 64;

/// Breaks a text at spaces. A word that is too long for its column stands on a row of its own if
/// the terminal has room for it, and so does a digest
/// on the narrowest one; any other is broken, so that the terminal never begins a line with a part
/// of it.
fn wrap(text: &str, column: usize, outdent: usize, width: usize) -> Vec<Row> {
    let room = width.saturating_sub(column).max(1);
    let (mut rows, mut row, mut used) = (Vec::new(), String::new(), 0);
    for word in text.split(' ') {
        let mut letters: Vec<char> = word.chars().collect();
        let is_digest = letters.len() <= DIGEST_CHARS && letters.iter().all(char::is_ascii_hexdigit);
        if letters.len() > room && (letters.len() <= width.saturating_sub(outdent) || is_digest) {
            // Beside its label stands nothing, then.
            if used > 0 {
                rows.push(Row::Text(std::mem::take(&mut row)));
            }
            rows.push(Row::Code(word.to_owned()));
            used = 0;
            continue;
        }
        if used > 0 && used + 1 + letters.len() > room {
            rows.push(Row::Text(std::mem::take(&mut row)));
            used = 0;
        }
        if used > 0 {
            row.push(' ');
            used += 1;
        }
        while used + letters.len() > room {
            let rest = letters.split_off(room - used);
            row.extend(letters);
            rows.push(Row::Text(std::mem::take(&mut row)));
            (letters, used) = (rest, 0);
        }
        used += letters.len();
        row.extend(letters);
    }
    if used > 0 || rows.is_empty() {
        rows.push(Row::Text(row));
    }
    rows
}
