//! Pages of the documentation, carried out as they stand on a machine of their own: a directory in place of `/`, ports of its own, and small
//! stand-ins for what needs root. Where a page shows what a command prints, that is compared; `MDFM_SHOW_PAGES=1` prints it, to be pasted.

use std::path::{Path, PathBuf};
use std::process::Command;

use mdfm_shared::fixture::page::line_fits;
use mdfm_tests::{Checked, free_port, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fresh_dir;
use crate::record::record;

/// A block of commands, and what the page shows as its output.
struct Block {
    commands: String,
    shown: Option<String>,
}

/// The blocks of a page that are run, each with the `text` block behind it.
fn blocks(text: &str) -> Vec<Block> {
    let block = |rest: &str| {
        let (commands, behind) = rest.split_once("\n```\n").unwrap();
        let shown = behind.trim_start().strip_prefix("```text\n").and_then(|shown| shown.split_once("```"));
        Block { commands: commands.to_owned(), shown: shown.map(|(shown, _)| shown.to_owned()) }
    };
    text.split("```sh run\n").skip(1).map(block).collect()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

/// Whether lines are what a page shows, where a line of `…` alone stands for any lines.
pub(crate) fn lines_fit(shown: &[&str], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((&"…", more)) => (0..=lines.len()).any(|skipped| lines_fit(more, &lines[skipped..])),
        Some((first, more)) => {
            lines.split_first().is_some_and(|(line, rest)| line_fits(first, line.trim_end()) && lines_fit(more, rest))
        }
    }
}

/// Whether a line only keeps a value for the script.
fn is_value(line: &str) -> bool {
    line.split_once("=$(").is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase()))
}

/// The commands of a script, without comments, definitions of functions and values that only a script reads out of an answer; a command on several
/// lines or with a document inside is one.
pub(crate) fn count_commands(text: &str) -> usize {
    let mut count = 0;
    let (mut continued, mut until) = (false, None::<&str>);
    for line in text.lines().map(str::trim) {
        if let Some(end) = until {
            until = (line != end).then_some(end);
            continue;
        }
        let is_new =
            !continued && !line.is_empty() && !line.starts_with('#') && !line.contains("() {") && !is_value(line);
        count += usize::from(is_new);
        continued = line.ends_with('\\');
        until = line.split_once("<<'").and_then(|(_, end)| end.split('\'').next());
    }
    count
}

#[test]
fn cli_27_output_of_a_page_is_compared_with_gaps() {
    assert!(line_fits("a … c …", "a b c d") && line_fits("x", "x") && !line_fits("x", "xy") && !line_fits("a…c", "ab"));
    assert!(lines_fit(&["a", "…", "d"], &["a", "b", "c", "d"]) && lines_fit(&["…"], &[]));
    assert!(!lines_fit(&["a", "…", "d"], &["a", "b"]) && !lines_fit(&["a"], &["a", "b"]));
    assert_eq!(count_commands("# x\na \\\n  b\ncat > f <<'END'\nx\nEND\nf() { x; }\nv=$(d)\nc"), 3);
}

const SYSTEMCTL: &str = r#"#!/bin/bash
# What systemd does with the two daemons.
set -eu
action=$1 name=
shift
for name; do case $name in mdfm-*) break ;; esac; done
pid=$BASE/run/$name.pid log=$BASE/var/log/$name.log
case $action in
start)
    touch "$log"
    before=$(wc -l <"$log")
    token=$BASE/etc/credstore/mdfm-agent.enrolment-token
    case $name in
    mdfm-agent)
        if [ -e "$token" ] && [ ! -e "$BASE/var/lib/mdfm-agent/identity.json" ]; then
            mdfm-agent --config "$BASE/etc/mdfm/agent.toml" enrol --token-file "$token" 2>>"$log"
        fi
        mdfm-agent --config "$BASE/etc/mdfm/agent.toml" run >>"$log" 2>&1 </dev/null & ;;
    mdfm-coordinator) mdfm-coordinator serve --config "$BASE/etc/mdfm/coordinator.toml" >>"$log" 2>&1 </dev/null & ;;
    esac
    echo $! >"$pid"
    for _ in $(seq 200); do
        tail -n +$((before + 1)) "$log" | grep -q -e ' serving' -e 'connected to the coordinator' && exit 0
        kill -0 "$(cat "$pid")" || exit 1
        sleep 0.1
    done
    exit 1 ;;
is-active) kill -0 "$(cat "$pid")" && echo active ;;
status) kill -0 "$(cat "$pid")" && echo "$name is active (running)" ;;
*) echo "systemctl $action is not played here" >&2; exit 1 ;;
esac
"#;
const INSTALL: &str = r#"#!/bin/bash
# Without root a file belongs to whoever makes it.
set -eu
all=()
while [ $# -gt 0 ]; do case $1 in -o | -g) shift 2 ;; *) all+=("$1"); shift ;; esac; done
exec /usr/bin/install "${all[@]}"
"#;
const RUNUSER: &str = "#!/bin/bash\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n";
const JOURNALCTL: &str = "#!/bin/bash\ncat \"$BASE/var/log/mdfm-agent.log\"\n";

/// A directory in place of a machine with the packages installed.
struct Machine {
    base: PathBuf,
    port: u16,
    device_port: u16,
}

impl Machine {
    fn new(name: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let machine = Self { base: fresh_dir(name), port: free_port().unwrap(), device_port: free_port().unwrap() };
        let base = &machine.base;
        for dir in [
            "bin",
            "media",
            "root",
            "run",
            "srv",
            "etc/mdfm",
            "var/lib/mdfm-agent",
            "var/lib/mdfm-coordinator",
            "var/log",
        ] {
            std::fs::create_dir_all(base.join(dir)).unwrap();
            std::fs::set_permissions(base.join(dir), std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        for (tool, text) in
            [("systemctl", SYSTEMCTL), ("install", INSTALL), ("runuser", RUNUSER), ("journalctl", JOURNALCTL)]
        {
            let file = base.join("bin").join(tool);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        // As the packages install them, but for where they are.
        let data = |daemon: &str| base.join("var/lib").join(daemon).display().to_string();
        let default = |daemon: &str| {
            let output = Command::new(program(daemon).unwrap()).arg("default-config").checked_output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let coordinator = format!(
            "data_dir = {:?}\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"https://localhost:{port}\"\n",
            data("mdfm-coordinator"),
            port = machine.port
        );
        let agent = format!("state_dir = {:?}\n", data("mdfm-agent"));
        std::fs::write(base.join("etc/mdfm/coordinator.toml"), coordinator + &default("mdfm-coordinator")).unwrap();
        std::fs::write(base.join("etc/mdfm/agent.toml"), agent + &default("mdfm-agent")).unwrap();
        let owned = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(base.join("etc/mdfm/agent.toml"), owned).unwrap();
        machine
    }

    /// Where a page says `/etc` and the like, and which ports.
    fn here(&self, script: &str) -> String {
        let base = self.base.display();
        let mut here = script.to_owned();
        for dir in ["/root/", "/var/lib/", "/etc/", "/run/", "/srv/", "/media/"] {
            here = here.replace(dir, &format!("{base}{dir}"));
        }
        let device = format!("127.0.0.1:{}", self.device_port);
        here.replace("localhost:8443", &format!("localhost:{}", self.port)).replace("127.0.0.1:1883", &device)
    }

    /// The same the other way round, for what was printed.
    fn as_written(&self, printed: &str) -> String {
        let printed = printed.replace(&self.base.display().to_string(), "");
        let printed = printed.replace(&format!("localhost:{}", self.port), "localhost:8443");
        printed.replace(&format!("127.0.0.1:{}", self.device_port), "127.0.0.1:1883")
    }

    /// Runs blocks in one shell, and returns what each printed.
    fn run(&self, blocks: &[Block]) -> Vec<String> {
        const NEXT: &str = "--- the next block";
        let script: String = blocks.iter().map(|b| format!("{}\necho '{NEXT}'\n", self.here(&b.commands))).collect();
        let tools = program("mdfmctl").unwrap().parent().unwrap().display().to_string();
        // What a page starts in the background ends with its shell.
        let script = format!("exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}");
        let output = Command::new("timeout")
            .args(["240", "bash", "-eu", "-c", &script])
            .current_dir(self.base.join("root"))
            .env("BASE", &self.base)
            .env("PATH", format!("{}:{tools}:{}", self.base.join("bin").display(), std::env::var("PATH").unwrap()))
            .checked_output()
            .unwrap();
        let printed = self.as_written(&String::from_utf8_lossy(&output.stdout));
        let log = std::fs::read_to_string(self.base.join("var/log/mdfm-agent.log")).unwrap_or_default();
        assert!(output.status.success(), "{:?}: {printed}\n--- the agent: {log}", output.status.code());
        if std::env::var_os("MDFM_SHOW_PAGES").is_some() {
            // What to paste into the page.
            eprintln!("{printed}");
        }
        printed.split(&format!("{NEXT}\n")).map(str::to_owned).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for daemon in ["mdfm-agent", "mdfm-coordinator"] {
            let pid = std::fs::read_to_string(self.base.join(format!("run/{daemon}.pid"))).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse() {
                // It may have ended already.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.base);
        }
    }
}

/// docs/operate.md and docs/install.md, as the package test runs them as root with systemd.
#[test]
fn cli_27_the_pages_operate_and_install_work_without_root() {
    let machine = Machine::new("pages");
    let all = [page("operate.md"), page("install.md")].concat();
    let blocks: Vec<Block> = blocks(&all).into_iter().filter(|b| !b.commands.contains("# needs systemd")).collect();
    assert!(blocks.len() >= 7, "{}", blocks.len());
    let printed = machine.run(&blocks);
    let all = printed.concat();
    assert!(all.contains("connected to the coordinator"), "{all}");
    for (block, printed) in blocks.iter().zip(&printed) {
        check_shown(block, printed);
    }
}

/// Most commands from nothing to the first confirmed device.
const STEPS_MAX: usize = 20;

/// The owners of keys who act in one command.
fn owners(line: &str) -> usize {
    match line.strip_prefix("mdfmctl keys make ") {
        Some(names) => names.split_whitespace().count(),
        None if line.starts_with("mdfmctl trust sign ") => line.matches(" --key ").count(),
        None => 1,
    }
}

/// docs/start.md: from nothing to a confirmed device, with everything that it shows, in as many commands as it says.
#[test]
fn cli_27_the_real_path_prints_what_its_page_shows() {
    let text = page("start.md");
    let real = text.split("## A real installation\n").nth(1).unwrap();
    let blocks = blocks(real);
    let machine = Machine::new("real-path");
    let printed = machine.run(&blocks);
    for (block, printed) in blocks.iter().zip(&printed) {
        check_shown(block, printed);
    }
    // The first block is what there is before; behind the one that waits for the device stands what comes after.
    let last = blocks.iter().position(|block| block.commands.contains("installState=confirmed")).unwrap();
    let path = &blocks[1..=last];
    let counts: Vec<usize> = path.iter().map(|block| count_commands(&block.commands)).collect();
    let (running, steps): (usize, usize) = (counts[..3].iter().sum(), counts.iter().sum());
    let row = format!("| {running} commands | {steps} commands |");
    assert!(text.contains(&row) && steps <= STEPS_MAX, "the page must say: {row}");
    // Where owners who stand in one command are apart, each of them types it.
    let all: String = path.iter().map(|block| block.commands.replace("\\\n", " ")).collect();
    let apart = steps + all.lines().map(owners).map(|owners| owners.saturating_sub(1)).sum::<usize>();
    assert!(text.contains(&format!("it is {apart} commands:")), "the page must say that apart it is {apart} commands");
    assert!(printed[last].contains("confirmed"), "{}", printed[last]);
    let before = real.split("```sh run\n").map(|text| text.rsplit_once("### ").map_or("", |(_, title)| title));
    let mut heading = String::new();
    let headings = before.map(|title| {
        if let Some(title) = title.lines().next() {
            heading = title.to_owned();
        }
        heading.clone()
    });
    let runs = headings.zip(&blocks).zip(&printed);
    let record = record(runs.map(|((heading, block), printed)| (heading, block.commands.as_str(), printed.as_str())));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/start-record.md");
    if std::env::var_os("MDFM_WRITE").is_some() {
        std::fs::write(&file, record).unwrap();
        return;
    }
    let held = std::fs::read_to_string(&file).unwrap_or_default();
    let differing = held.lines().zip(record.lines()).find(|(held, now)| held != now);
    assert!(held == record, "docs/start-record.md is not what the page prints (`make trace`): {differing:#?}");
}

fn check_shown(block: &Block, printed: &str) {
    let Some(shown) = &block.shown else { return };
    let (shown, lines): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), printed.lines().collect());
    assert!(
        lines_fit(&shown, &lines),
        "of\n{}\nthe page shows\n{}\nbut it prints\n{printed}",
        block.commands,
        shown.join("\n")
    );
}
