//! What `--help` shows beside the options: an example of each command. Completions for shells.

use clap::CommandFactory;

use crate::Arguments;

/// An example of each command. A test reads each as the program does, and demands one for every command.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("login", "login --url https://coordinator.example:8443 --ca ca.pem --user jdoe"),
    ("logout", "logout"),
    ("whoami", "whoami"),
    ("contexts list", "contexts list"),
    ("contexts use", "contexts use production"),
    ("contexts remove", "contexts remove staging"),
    ("second-factor enrol", "second-factor enrol"),
    ("second-factor confirm", "second-factor confirm 123456"),
    ("second-factor show", "second-factor show --code 123456"),
    ("change-password", "change-password"),
    ("signing-key add", "signing-key add"),
    ("tokens add", "tokens add ci --permission read --permission readAll --until 90d --out ci.token"),
    ("tokens list", "tokens list --all --filter userId=jdoe"),
    ("tokens revoke", "tokens revoke token-1a2b3c"),
    ("init", "init ceremony"),
    ("keys make", "keys make release"),
    ("keys show", "keys show release.pub"),
    (
        "trust make-root",
        "trust make-root --out root-1.mdfm --root root.pub --release release.pub --registrar registrar.pub --coordinator online.pub --log-vkey log.vkey",
    ),
    (
        "trust make-roster",
        "trust make-roster --previous roster-1.mdfm --out roster-2.mdfm --person 'jdoe|Jane Doe|QA|jdoe.pub'",
    ),
    ("trust rotate-root", "trust rotate-root --previous root-1.mdfm --out root-2.mdfm --release new-release.pub"),
    ("trust sign", "trust sign root-1.mdfm --key root"),
    ("trust join", "trust join root-1.mdfm root-1-of-owner-2.mdfm"),
    ("trust inspect", "trust inspect roster-2.mdfm --previous roster-1.mdfm"),
    ("trust verify", "trust verify root-1.mdfm root-2.mdfm --roster roster-2.mdfm"),
    ("trust publish", "trust publish roster-2.mdfm --reason 'Jane Doe joins QA'"),
    ("trust show", "trust show"),
    ("users add", "users add jdoe --name 'Jane Doe' --role QA"),
    ("users list", "users list --filter disabled=false --sort trainedUntil"),
    ("users permissions", "users permissions"),
    ("users change-roles", "users change-roles jdoe --add Auditor --reason 'takes over from R. Roe'"),
    ("users verify", "users verify jdoe --evidence 'passport, in person' --reason 'new colleague'"),
    ("users train", "users train jdoe --until 365d --reason 'course of 2026-11-29'"),
    ("users link", "users link jdoe --subject 248289761001 --reason 'single sign-on'"),
    ("users unlink", "users unlink jdoe --reason 'left the directory'"),
    ("users show", "users show jdoe"),
    ("users disable", "users disable jdoe --reason 'on leave'"),
    ("users enable", "users enable jdoe --reason 'back from leave'"),
    ("users sign-out", "users sign-out jdoe --reason 'laptop stolen'"),
    ("users remove-second-factor", "users remove-second-factor jdoe --reason 'telephone lost, seen in person'"),
    ("users reset-password", "users reset-password jdoe --reason 'forgotten, seen in person'"),
    ("hospitals add", "hospitals add HOSP-1 --name 'First Hospital' --cohort pilot --timezone Europe/Zurich"),
    ("hospitals change", "hospitals change HOSP-1 --cohort regional --reason 'pilot ended'"),
    ("hospitals cohorts", "hospitals cohorts"),
    ("hospitals policy show", "hospitals policy show HOSP-1"),
    (
        "hospitals policy change",
        "hospitals policy change HOSP-1 --add-window 'Sunday 02:00-06:00 Europe/Zurich' --reason 'agreed with the ward'",
    ),
    ("hospitals show", "hospitals show HOSP-1"),
    ("hospitals list", "hospitals list --filter cohort=pilot"),
    ("groups set", "groups set ICU --name 'Intensive care' --query 'hospitalId=HOSP-1' --reason 'first ward'"),
    ("groups change", "groups change ICU --add-device D-1 --reason 'moved in'"),
    ("groups list", "groups list --output wide"),
    ("groups show", "groups show ICU"),
    ("groups devices", "groups devices ICU --output name"),
    ("groups remove", "groups remove ICU --reason 'ward closed'"),
    ("gateways add", "gateways add GW-1 --hospital HOSP-1"),
    ("gateways add-token", "gateways add-token GW-1 --out GW-1.token"),
    ("gateways revoke", "gateways revoke GW-1 --reason 'stolen'"),
    ("gateways list", "gateways list --filter hospitalId=HOSP-1"),
    ("gateways show", "gateways show GW-1"),
    ("gateways fleet-link", "gateways fleet-link"),
    ("bundles export", "bundles export GW-1 --out GW-1.bundle"),
    ("bundles deliver", "bundles deliver GW-1.telemetry --ack GW-1.ack"),
    ("broker rules", "broker rules --out mdfm.acl"),
    (
        "devices add",
        "devices add D-1 --model CardiacMonitor-X200 --serial SN-1 --hospital HOSP-1 --firmware-version 2.1.0",
    ),
    (
        "devices list",
        "devices list --filter 'hospitalId=HOSP-1,currentFirmwareVersion<2.2' --sort -deviceId --limit 20",
    ),
    ("devices show", "devices show D-1"),
    ("devices import", "devices import inventory.csv --dry-run"),
    ("devices change", "devices change D-1 --hospital HOSP-2 --reason 'on loan'"),
    ("devices reconcile", "devices reconcile D-1 --accept-observed --reason 'board replaced'"),
    ("devices history", "devices history D-1 --local"),
    ("devices retire", "devices retire D-1 --reason 'worn out'"),
    (
        "firmware upload",
        "firmware upload image.bin --model CardiacMonitor-X200 --hardware B --version 2.2.0 --release-number 22 --release-key release --sbom sbom.json",
    ),
    ("firmware make-delta", "firmware make-delta --base old.bin --image new.bin --out new.patch"),
    ("firmware list", "firmware list --filter 'status=approved' --sort -version"),
    ("firmware withdraw", "firmware withdraw FW-2.2.0 --reason 'alarm fails' --key approver"),
    ("firmware history", "firmware history FW-2.2.0"),
    ("firmware attach-sbom", "firmware attach-sbom FW-2.2.0 sbom.json"),
    ("firmware sbom", "firmware sbom FW-2.2.0 --out sbom.json"),
    ("firmware show", "firmware show FW-2.2.0"),
    ("firmware differences", "firmware differences FW-2.2.0 --other FW-2.1.0"),
    ("approve", "approve FW-2.2.0 --role QA --reason 'tested on the bench' --image image.bin"),
    ("reject", "reject FW-2.2.0 --role QA --reason 'test 7 fails'"),
    ("deploy", "deploy plan.json --dry-run"),
    ("deployments list", "deployments list --active"),
    ("deployments show", "deployments show dep-1a2b3c"),
    ("deployments history", "deployments history dep-1a2b3c --local"),
    ("watch", "watch dep-1a2b3c --follow"),
    ("validate", "validate dep-1a2b3c --role Clinical --reason 'no alarms in 72 hours'"),
    ("pause", "pause dep-1a2b3c --reason 'ward is full'"),
    ("resume", "resume dep-1a2b3c --reason 'ward agrees'"),
    ("abort", "abort dep-1a2b3c --reason 'wrong hospitals'"),
    ("rollback", "rollback dep-1a2b3c --device D-1 --because firmware --reason 'screen flickers' --dry-run"),
    ("consent", "consent dep-1a2b3c --hospital HOSP-1 --reason 'agreed by Dr. Roe'"),
    ("duties fulfil", "duties fulfil dep-1a2b3c 1 --reference 'FDA 2026-0001'"),
    ("duty", "duty dep-1a2b3c 1 --reference 'FDA 2026-0001'"),
    (
        "incidents open",
        "incidents open --title 'Screen dark' --description 'went dark for 3 s' --consequence malfunction --device D-1",
    ),
    ("incidents list", "incidents list --sort dueAt"),
    ("incidents show", "incidents show inc-1a2b3c"),
    ("incidents note", "incidents note inc-1a2b3c 'cable replaced'"),
    ("incidents decide", "incidents decide inc-1a2b3c --not-reportable --reason 'no harm possible'"),
    ("incidents report", "incidents report inc-1a2b3c --reference 'MDR 2026-0001'"),
    ("incidents close", "incidents close inc-1a2b3c --reason 'cable replaced'"),
    ("notices list", "notices list --filter read=false"),
    ("notices read", "notices read --all"),
    ("notices set-address", "notices set-address jdoe@vendor.example"),
    ("notices dead-letters", "notices dead-letters"),
    ("notices retry", "notices retry del-1a2b3c"),
    ("webhooks set", "webhooks set pager --url https://pager.example/mdfm --kind deploymentPaused --reason 'on call'"),
    ("webhooks list", "webhooks list"),
    ("webhooks show", "webhooks show pager"),
    ("webhooks remove", "webhooks remove pager --reason 'another pager'"),
    ("settings show", "settings show"),
    ("settings set", "settings set settings.json --reason 'passwordDays is 180: agreed with QA'"),
    (
        "recalls open",
        "recalls open --model CardiacMonitor-X200 --release-to 22 --remedy rollBack --reason 'alarm fails' --dry-run",
    ),
    ("recalls list", "recalls list --filter closedAt=null"),
    ("recalls show", "recalls show rec-1a2b3c"),
    ("recalls close", "recalls close rec-1a2b3c"),
    (
        "rollback-orders preview",
        "rollback-orders preview --recall rec-1a2b3c --reason 'alarm fails' --signer roe:Regulatory",
    ),
    (
        "rollback-orders make",
        "rollback-orders make --recall rec-1a2b3c --reason 'alarm fails' --signer roe:Regulatory --out order.mdfm",
    ),
    ("rollback-orders sign", "rollback-orders sign order.mdfm --key roe"),
    ("rollback-orders publish", "rollback-orders publish order.mdfm"),
    ("rollback-orders list", "rollback-orders list"),
    ("rollback-orders show", "rollback-orders show 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("withdrawals show", "withdrawals show"),
    ("withdrawals renew", "withdrawals renew --key approver"),
    ("withdrawals make", "withdrawals make --firmware FW-2.2.0 --reason 'alarm fails' --out withdrawals.mdfm"),
    ("withdrawals sign", "withdrawals sign withdrawals.mdfm --key approver"),
    ("withdrawals publish", "withdrawals publish withdrawals.mdfm"),
    ("reports make", "reports make deployment dep-1a2b3c --out report.pdf"),
    ("reports verify", "reports verify report.json --coordinator online.pub"),
    ("retention show", "retention show"),
    ("retention set", "retention set --audit-years 10 --reason 'new policy'"),
    ("retention hold", "retention hold LH-1 --object device/D-1 --reason 'a claim'"),
    ("retention release", "retention release LH-1 --reason 'claim settled'"),
    ("retention propose", "retention propose DISP-1 --reason 'yearly disposal'"),
    ("retention confirm", "retention confirm DISP-1 --reason 'checked'"),
    ("audit search", "audit search --device D-1 --since 14d"),
    ("audit show", "audit show 1234 --copy exported --log-vkey log.vkey"),
    ("audit state", "audit state device/D-1 --at 2026-11-29T10:00:00+01:00"),
    ("audit differences", "audit differences device/D-1 --since 2026-11-28 --until 2026-11-29"),
    ("audit status", "audit status"),
    ("audit export", "audit export exported"),
    ("audit proof", "audit proof 1234 --out entry.tlog-proof"),
    ("audit evidence", "audit evidence --deployment dep-1a2b3c --out evidence.json --page evidence.html"),
    ("audit page", "audit page verifier.html"),
    ("audit verify", "audit verify exported --log-vkey log.vkey"),
    ("completions", "completions bash"),
];

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "mdfmctl", &mut script);
    // It follows from the program alone, and a shell takes it only as it is.
    mdfm_service::output::constant(String::leak(String::from_utf8_lossy(&script).into_owned()));
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Command;
    use mdfm_service::command_line::{HELP_INDENT, example_words, wrapped};

    use super::*;

    /// Every command without commands below it, by its path.
    pub(crate) fn leaves() -> Vec<(Vec<String>, Command)> {
        fn walk(command: &Command, path: &[String], found: &mut Vec<(Vec<String>, Command)>) {
            if !command.has_subcommands() {
                found.push((path.to_vec(), command.clone()));
            }
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                walk(sub, &[path, &[sub.get_name().to_owned()]].concat(), found);
            }
        }
        let mut found = Vec::new();
        let mut command = Arguments::command();
        command.build();
        walk(&command, &[], &mut found);
        found
    }

    pub(crate) fn example(path: &[String]) -> &'static str {
        let path = path.join(" ");
        let found = EXAMPLES.iter().find(|(name, _)| *name == path);
        found.unwrap_or_else(|| panic!("{path} has no example in help.rs")).1
    }

    #[test]
    fn cli_29_every_command_has_an_example_that_is_read() {
        let leaves = leaves();
        for (path, _) in &leaves {
            let example = example(path);
            assert!(example.starts_with(&path.join(" ")), "{example}");
            let words = example_words(example);
            let read = crate::command().try_get_matches_from(["mdfmctl".to_owned()].into_iter().chain(words));
            assert!(read.is_ok(), "{example}: {}", read.err().map(|e| e.to_string()).unwrap_or_default());
        }
        assert_eq!(EXAMPLES.len(), leaves.len(), "an example of a command that is not there");
    }

    #[test]
    fn cli_29_help_fits_the_terminal_and_has_its_headings() {
        for columns in [60, 80, 100] {
            let mut command = wrapped(crate::command(), columns);
            command.build();
            let mut list =
                command.find_subcommand("devices").and_then(|c| c.find_subcommand("list")).expect("a command").clone();
            let help = list.render_long_help().to_string();
            let (own, global) = help.split_once("Global options:").expect("a heading");
            assert!(own.contains("--filter") && global.contains("--json") && global.contains("--session"), "{help}");
            assert!(help.contains("Example:\n  mdfmctl devices list"), "{help}");
            // Usage, values in brackets and examples are not broken.
            let is_text = |line: &&str| {
                line.starts_with(&" ".repeat(HELP_INDENT)) && !line.trim_start().starts_with(['[', '-', '<'])
            };
            let long = help.lines().filter(is_text).find(|line| line.chars().count() > columns);
            assert!(long.is_none(), "{columns}: {long:?}");
            let top = command.render_long_help().to_string();
            // The list of an option's values and clap's own `help` are laid out by clap.
            let is_own = |line: &&str| !line.contains("Print this message") && !line.starts_with("          - ");
            let long = top.lines().filter(is_own).find(|line| line.chars().count() > columns);
            assert!(long.is_none(), "{columns}: {long:?}");
        }
    }

    #[test]
    fn cli_29_completions_are_made_for_every_shell() {
        use clap::ValueEnum;
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "mdfmctl", &mut script);
            let script = String::from_utf8(script).expect("text");
            assert!(script.contains("rollback-orders"), "{shell}");
        }
    }
}
