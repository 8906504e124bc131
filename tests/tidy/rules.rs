//! What code may not do.

use super::{files, root, without_tests};

/// The pure cores: no I/O, no clock, no randomness, no unordered iteration.
const CORES: [&str; 4] = ["shared/src", "agent/core/src", "coordinator/core/src", "coordinator/audit/src/lease"];
/// What a core may not name.
const IMPURE: [&str; 12] = [
    "tokio",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::",
    "::now()",
    "getrandom",
    "rand::",
    "HashMap",
    "HashSet",
];

/// The lines of a text that are code, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, l)| (i + 1, l)).filter(|(_, l)| !l.trim_start().starts_with("//"))
}

#[test]
fn cores_are_pure() {
    let mut found = Vec::new();
    for (path, text) in CORES.iter().flat_map(|core| files(core, ".rs")) {
        if path.ends_with("tests.rs") || path.ends_with("fixture.rs") || path.contains("/fixture/") {
            continue;
        }
        for (line, words) in code(without_tests(&text)) {
            found.extend(IMPURE.iter().filter(|w| words.contains(**w)).map(|w| format!("{path}:{line}: {w}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn crates_depend_downwards() {
    let manifest = |name: &str| std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    for (name, never) in [
        ("shared", &["tokio", "rumqtt", "axum", "reqwest", "sled", "mdfm-agent", "mdfm-coordinator"][..]),
        ("agent", &["mdfm-coordinator", "mdfm-simulators", "axum"]),
        (
            "agent/core",
            &["tokio", "hyper", "reqwest", "rumqtt", "nix", "getrandom", "mdfm-service", "mdfm-coordinator"],
        ),
        ("coordinator", &["mdfm-agent", "mdfm-simulators"]),
        (
            "coordinator/core",
            &["tokio", "axum", "hyper", "reqwest", "rumqtt", "sled", "nix", "mdfm-audit", "mdfm-service", "mdfm-agent"],
        ),
        ("coordinator/audit", &["tokio", "axum", "reqwest", "rumqtt", "mdfm-coordinator"]),
        ("coordinator/postgres", &["mdfm-coordinator", "axum", "reqwest", "rumqtt", "sled"]),
        ("coordinator/witness", &["mdfm-coordinator", "mdfm-audit", "reqwest", "sled"]),
        ("coordinator/ctl", &["mdfm-coordinator", "mdfm-agent", "rumqtt", "sled"]),
    ] {
        let dependencies = manifest(name);
        for other in never {
            assert!(!dependencies.lines().any(|l| l.starts_with(other)), "{name} must not depend on {other}");
        }
    }
}

/// The world in virtual time drives what agent and coordinator decide; nothing else of the simulators knows them, and nothing a program.
#[test]
fn only_the_world_drives_the_cores() {
    for (path, text) in files("simulators/src", ".rs") {
        let names = |what: &str| code(&text).any(|(_, words)| words.contains(what));
        let knows = names("mdfm_agent_core") || names("mdfm_coordinator_core");
        assert!(!knows || path.starts_with("simulators/src/world/"), "{path}");
    }
    let manifest = std::fs::read_to_string(root().join("simulators/Cargo.toml")).unwrap();
    for program in ["mdfm-agent", "mdfm-coordinator"] {
        let is_it = |line: &str| line.split(['.', ' ', '=']).next() == Some(program);
        assert!(!manifest.lines().any(is_it), "the simulators run {program}");
    }
}

/// What remembers how signatures were judged is for worlds alone, and in no program that guards anything.
#[test]
fn att_1_only_worlds_remember_signatures() {
    let allowed = ["simulators/src/world/mod.rs", "simulators/src/world/run.rs"];
    for (path, text) in files(".", ".rs").into_iter().filter(|(path, _)| !path.starts_with("shared/src/sign/")) {
        let is_allowed = allowed.contains(&path.as_str()) || path == "tests/tidy/rules.rs";
        assert!(is_allowed || !code(&text).any(|(_, words)| words.contains("remembering")), "{path}");
    }
    for (path, text) in files(".", "Cargo.toml") {
        let asks = text.lines().any(|line| line.contains("\"simulation\"") || line.contains("shared/simulation"));
        assert_eq!(asks, path == "simulators/Cargo.toml", "{path}");
    }
    // Features of one build are those of all that is built with it.
    let packages = std::fs::read_to_string(root().join("packaging/scripts/packages")).unwrap();
    assert!(
        packages.contains("grep -vx mdfm-simulators") && packages.contains("for group in \"$guards\" \"$simulators\"")
    );
    assert_eq!(packages.matches("cargo auditable").count(), 1, "another build of packages");
}

/// The top level is the architecture: nothing else gets there by accident.
#[test]
fn the_top_level_is_what_the_architecture_says() {
    const FOLDERS: [&str; 7] = ["agent", "coordinator", "docs", "packaging", "shared", "simulators", "tests"];
    // Made by builds and by the demonstration, and ignored.
    const MADE: [&str; 3] = ["target", "demo-run", "vendor"];
    for entry in std::fs::read_dir(root()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let is_known = FOLDERS.contains(&name.as_str()) || MADE.contains(&name.as_str()) || name.starts_with('.');
        assert!(is_known || !entry.path().is_dir(), "{name} is no folder of the architecture");
    }
}

/// Everything that a program prints or logs passes the one place that escapes what a terminal obeys.
#[test]
fn sec_17_only_one_module_prints() {
    let allowed = [
        "shared/service/src/output.rs",    // the one place
        "shared/service/src/logging.rs",   // the journal; its fields are escaped there
        "simulators/src/device/tool.rs",   // a protocol between programs, JSON lines
        "coordinator/ctl/src/terminal.rs", // asks the terminal for secrets, prints nothing
        "shared/service/src/terminal.rs",  // asks the terminal for its size, prints nothing
    ];
    let prints = ["println!", "print!(", "eprint!(", "dbg!(", "stdout()", "stderr()", "io::stdout", "io::stderr"];
    for dir in [
        "agent",
        "coordinator/src",
        "coordinator/audit/src",
        "coordinator/postgres/src",
        "coordinator/ctl/src",
        "coordinator/witness/src",
        "shared",
        "simulators/src",
        "tests/demo",
    ] {
        for (path, text) in files(dir, ".rs") {
            if allowed.contains(&path.as_str()) || path.ends_with("tests.rs") || path.contains("/tests/") {
                continue;
            }
            for (line, words) in code(without_tests(&text)) {
                let found = prints.iter().find(|p| words.contains(**p) && !words.contains("is_terminal"));
                assert!(found.is_none(), "{path}:{line} prints past mdfm_service::output: {words}");
                let starts = words.contains("tracing_subscriber::fmt") && !words.contains("//");
                assert!(!starts, "{path}:{line} logs past mdfm_service::start_logging");
            }
        }
    }
}

/// Names of the keys in a page or a spreadsheet may change; the functions that make both safe may not be passed by.
#[test]
fn sec_24_cells_of_spreadsheets_are_made_in_one_place() {
    for dir in ["agent", "coordinator", "shared", "simulators/src"] {
        for (path, text) in files(dir, ".rs") {
            for (line, words) in code(without_tests(&text)) {
                assert!(!words.contains("csv::Writer"), "{path}:{line}: write cells with text::csv_cell");
                let escapes = words.contains("&amp;") && path != "shared/src/text.rs";
                assert!(!escapes, "{path}:{line}: escape with text::html");
            }
        }
    }
}

/// What others answer has a bound in bytes, in time and in informational answers; each program has one place that reads it.
#[test]
fn sec_9_answers_are_read_in_one_place() {
    let allowed = ["coordinator/ctl/src/answer.rs", "coordinator/src/https.rs"];
    // Forms that browsers send to the console are not answers; the two places bound them in bytes.
    let forms = ["coordinator/console/src/form.rs", "coordinator/console/src/upload.rs"];
    let reads = [".send().await", ".chunk()", ".bytes().await", ".text().await", ".bytes_stream()", ".send_request("];
    for dir in ["agent/src", "coordinator", "shared"] {
        for (path, text) in files(dir, ".rs") {
            if allowed.iter().chain(&forms).any(|place| *place == path)
                || path.ends_with("tests.rs")
                || path.contains("/tests/")
            {
                continue;
            }
            for (line, words) in code(without_tests(&text)) {
                let found = reads.iter().find(|read| words.contains(**read) && !words.contains("answered("));
                assert!(found.is_none(), "{path}:{line} reads an answer past {allowed:?}: {words}");
            }
        }
    }
}

/// What programs and the coordinator say to people passes the one place that refuses debug output.
#[test]
fn cli_23_what_tests_read_is_checked_in_one_place() {
    // The API of the tests reads answers, and gives all of them to the check.
    let allowed = ["tests/src/process.rs"];
    for dir in ["tests/e2e", "tests/src"] {
        for (path, text) in files(dir, ".rs").into_iter().filter(|(path, _)| !allowed.contains(&path.as_str())) {
            for (line, words) in code(without_tests(&text)) {
                let is_past = words.contains(".output()") || words.contains("wait_with_output()");
                assert!(!is_past, "{path}:{line} runs a program past Checked: {words}");
            }
        }
    }
    let api = std::fs::read_to_string(root().join("tests/src/api.rs")).unwrap();
    let (read, checked) = (
        api.matches("answer.text().await").count() + api.matches(".bytes().await").count(),
        api.matches("check_answer(").count(),
    );
    assert!(checked > read, "each of {read} answers of the API, and those to raw bytes, are checked: {checked}");
}

/// A limit that is kept for each address counts networks: `shared/src/network.rs` says which, and everybody asks it.
#[test]
fn sec_20_networks_of_addresses_are_made_in_one_place() {
    for dir in ["agent", "coordinator", "shared", "simulators/src"] {
        for (path, text) in files(dir, ".rs") {
            for (line, words) in code(without_tests(&text)) {
                let masks = words.contains("u128::MAX") || words.contains("from_bits(") && words.contains("v6");
                assert!(!masks || path == "shared/src/network.rs", "{path}:{line}: ask mdfm_shared::network");
            }
        }
    }
}

/// A file that somebody names may be a FIFO, a device or endless, and may hold a secret: `shared/service/src/input.rs` and `secret.rs` open it.
/// Named here is who reads what a program itself has written, with what that is.
#[test]
fn cli_28_files_that_people_name_are_read_in_one_place() {
    let allowed = [
        ("shared/service/src/input.rs", "the one place"),
        ("shared/service/src/file.rs", "directories, to sync them"),
        ("agent/src/clock.rs", "the boot id"),
        ("agent/src/disk/real.rs", "the agent's disk"),
        ("coordinator/audit/src/commit/conformance.rs", "the folders of the stores that it tries"),
        ("coordinator/audit/src/disk.rs", "the audit log's disk, which refuses what is not a file"),
        ("coordinator/ctl/src/files.rs", "a directory, to sync it"),
        ("coordinator/src/backup.rs", "data directory and backup, both private"),
        ("coordinator/src/cursor.rs", "the data directory"),
        ("coordinator/src/disposal.rs", "the data directory"),
        ("coordinator/src/quickstart/folder.rs", "the trial's folder, and /proc"),
        ("coordinator/src/quickstart/mod.rs", "the trial's log"),
        ("coordinator/src/server.rs", "the data directory"),
        ("coordinator/src/store/credentials.rs", "the data directory"),
        ("coordinator/src/store/images/mod.rs", "the data directory"),
        ("coordinator/witness/src/ledger.rs", "the data directory"),
        ("coordinator/witness/src/lib.rs", "the data directory"),
        ("simulators/src/device/slots.rs", "the device's flash"),
        ("simulators/src/fleet/load.rs", "the fleet's folder"),
        ("simulators/src/fleet/report.rs", "/proc"),
        ("simulators/src/world/scale.rs", "/proc"),
    ];
    let reads = [
        "File::open(",
        "fs::read(",
        "fs::read_to_string(",
        "fs::copy(",
        ".read(true)",
        "from_pem_file(",
        "pem_file_iter(",
        "read_to_string(std::io::stdin",
    ];
    let mut needed: std::collections::BTreeSet<&(&str, &str)> = std::collections::BTreeSet::new();
    for dir in ["agent", "coordinator", "shared/service", "simulators/src"] {
        for (path, text) in files(dir, ".rs") {
            if path.ends_with("tests.rs") || path.contains("/tests/") || path.contains("/fuzz") {
                continue;
            }
            for (line, words) in code(without_tests(&text)) {
                let Some(read) = reads.iter().find(|read| words.contains(**read)) else { continue };
                let place = allowed.iter().find(|(place, _)| *place == path);
                assert!(place.is_some(), "{path}:{line}: {read} goes past mdfm_service::read_input and read_secret");
                needed.extend(place);
            }
        }
    }
    let idle: Vec<_> = allowed.iter().filter(|place| !needed.contains(place)).collect();
    assert!(idle.is_empty(), "not needed any more: {idle:?}");
}

#[test]
fn adapters_never_touch_the_journal() {
    for (path, text) in files("agent/src/device", ".rs").into_iter().chain(files("agent/src/link", ".rs")) {
        for (line, words) in code(&text) {
            for name in ["crate::installer", "crate::runner"] {
                assert!(!words.contains(name), "{path}:{line}: {name}");
            }
        }
    }
}

/// What survives a power cut goes through `agent/src/disk`, where a test can cut it; the rest is named here with what it does.
#[test]
fn the_agent_writes_through_its_disk() {
    let allowed = [
        "agent/src/disk/real.rs",            // the layer itself
        "agent/src/store/lock.rs",           // a lock holds nothing
        "agent/src/link/enrol.rs",           // the identity, replaced as a whole
        "agent/src/local/mod.rs",            // the socket
        "agent/src/local/bundle.rs",         // removable media, read and written by whoever typed the command
        "agent/src/link/road.rs",            // a socket
        "agent/src/clock.rs",                // reads the boot id
        "agent/src/config.rs",               // lists the drop-in folder
        "agent/src/device_files.rs",         // configuration, replaced as a whole
        "agent/src/vendor.rs",               // configuration, replaced as a whole
        "agent/src/conformance.rs",          // reads the image that a maker gives
        "agent/src/store/flood_tests.rs",    // measures the state file
        "agent/src/store/state_v1_tests.rs", // copies a kept state file
    ];
    for (path, text) in files("agent/src", ".rs") {
        let writes =
            code(without_tests(&text)).any(|(_, words)| words.contains("fs::") && !words.contains("unix::fs::"));
        assert!(!writes || allowed.contains(&path.as_str()), "{path} goes past the disk");
    }
}

#[test]
fn every_module_says_what_lives_in_it_and_tells_one_story() {
    for (path, text) in files(".", ".rs") {
        assert!(text.starts_with("//!"), "{path} does not begin with its module's documentation");
        assert!(text.lines().count() <= 1_000, "{path} is too long to tell one story");
    }
}

#[test]
fn nothing_is_left_for_later_in_silence() {
    for (path, text) in files(".", ".rs") {
        if path == "tests/tidy/rules.rs" {
            continue;
        }
        for mark in ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "#[ignore"] {
            assert!(!text.contains(mark), "{path}: {mark}");
        }
    }
}

/// Crates that are there in more than one version cost time and trust; the number may fall, and rises with a decision alone (0004).
/// CLI-31: what was read as another thing than it is.
const OLD_WORDS: [&str; 5] = ["called back", "ASKED", "FINDINGS", "need hands", "needs hands"];

/// The string literals of a line of code.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

#[test]
fn cli_31_no_visible_text_has_the_old_words() {
    let mut found = Vec::new();
    for crate_dir in ["shared", "agent", "coordinator", "simulators"] {
        for (path, text) in files(crate_dir, ".rs") {
            if path.ends_with("tests.rs") || path.contains("/tests/") {
                continue;
            }
            for (line, words) in code(without_tests(&text)) {
                let old = |text: &str| OLD_WORDS.iter().find(|word| text.contains(**word));
                found.extend(literals(words).filter_map(old).map(|word| format!("{path}:{line}: {word}")));
            }
        }
        for (path, text) in files(crate_dir, ".html") {
            found.extend(OLD_WORDS.iter().filter(|word| text.contains(**word)).map(|word| format!("{path}: {word}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// A region with the name of the section around it is read out twice: two landmarks of one name (axe: landmark-unique).
#[test]
fn regions_have_other_names_than_their_sections() {
    let mut found = Vec::new();
    for (path, text) in files("coordinator/console/templates", ".html") {
        let headings: Vec<&str> = ["</h2>", "</h3>"]
            .iter()
            .flat_map(|end| text.match_indices(end))
            .filter_map(|(end, _)| text[..end].rsplit_once('>').map(|(_, words)| words.trim()))
            .collect();
        let labels =
            text.split("aria-label=\"").skip(1).filter_map(|rest| rest.split_once('"').map(|(label, _)| label));
        found.extend(labels.filter(|label| headings.contains(label)).map(|label| format!("{path}: {label}")));
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Crates that a program is built from, on this platform: each is code that a manufacturer answers for (IEC 62304 §8.1.2), and time to
/// the first success. A number here may only fall, or rise with a reason in `docs/decisions`.
#[test]
fn programs_are_built_from_few_crates() {
    for (program, most) in [
        ("mdfm-agent", 166),
        ("mdfm-coordinator", 381),
        ("mdfmctl", 198),
        ("mdfm-witness", 151),
        ("mdfm-simulators", 198),
    ] {
        let listed = std::process::Command::new(env!("CARGO"))
            .args([
                "tree",
                "--package",
                program,
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "--locked",
                "--offline",
            ])
            .current_dir(root())
            // As packages are built, one program at a time.
            .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
            .output()
            .unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let listed = String::from_utf8(listed.stdout).unwrap();
        let crates: std::collections::BTreeSet<&str> = listed
            .lines()
            .filter_map(|line| Some(line.split_once(" (").map_or(line, |(name, _)| name)).filter(|l| !l.is_empty()))
            .collect();
        assert!(crates.len() <= most, "{program} is built from {} crates, allowed are {most}", crates.len());
    }
}

#[test]
fn duplicate_crates_are_bounded() {
    // With those of TLS to PostgreSQL, which no program is built with by default (decision 0047).
    const DUPLICATES_MAX: usize = 36;
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut versions: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for name in lock.lines().filter_map(|l| l.strip_prefix("name = ")) {
        *versions.entry(name).or_default() += 1;
    }
    let twice: Vec<&str> = versions.iter().filter(|(_, n)| **n > 1).map(|(name, _)| *name).collect();
    assert!(twice.len() <= DUPLICATES_MAX, "{} crates in several versions: {twice:?}", twice.len());
}
