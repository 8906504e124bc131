//! Pictures of a terminal: what the programs print in the installation of the pictures, and in a trial, each at two widths.

use std::path::{Path, PathBuf};

use anyhow::Context;
use mdfm_service::output;
use mdfm_shared::text::html;
use mdfm_tests::{Browser, Role, Screen, Terminal, World, device_id, gateway_id};

/// Characters in a line: a small terminal, and a usual one.
const COLUMNS: [usize; 2] = [80, 120];
/// Where every picture is kept.
const MADE: &str = "target/terminal-pictures";
/// Pixels of a character's width, and of what stands beside the lines.
const LETTER_PX: f64 = 8.43;
const BESIDE_PX: f64 = 44.0;
/// Pixels of a line's height, and of what stands above and below the lines.
const LINE_PX: f64 = 19.6;
const AROUND_PX: f64 = 36.0;

/// Pictures that the documents show, by name and width.
const SHOWN: [(&str, usize); 4] = [("deployment", 80), ("devices", 120), ("sign", 120), ("selftest", 80)];

const STYLE: &str = "body{margin:0;background:#0d1117;color:#e6edf3;font:14px/1.4 'DejaVu Sans Mono',monospace}\
    pre{margin:18px 22px;font:inherit}.typed{color:#7ee787}.prompt{color:#8b949e}";

/// A command as it is typed, and how it is run.
struct Typed {
    /// Who types; `None` without a session.
    role: Option<Role>,
    program: &'static str,
    arguments: Vec<String>,
    /// Seconds after which it is looked at, for what goes on.
    seconds: Option<u32>,
}

fn typed(role: Option<Role>, program: &'static str, line: &str) -> Typed {
    let arguments = line.split('|').map(|word| word.replace('¦', "|")).collect();
    Typed { role, program, arguments, seconds: None }
}

fn ctl(role: Role, line: &str) -> Typed {
    typed(Some(role), "mdfmctl", line)
}

/// A picture of a terminal: its name, and what is typed there one after the other.
type Shot = (&'static str, Vec<Typed>);

/// What is typed; words are divided by `|`, and `¦` stands for that sign.
fn shots(world: &World, deployment: &str) -> Vec<Shot> {
    let (device, gateway) = (device_id(1, 1), gateway_id(1));
    let key = world.dir.join("keys/qa").display().to_string();
    let config = world.dir.join("agent-001.toml").display().to_string();
    let agent = |line: &str| typed(None, "mdfm-agent", &format!("--config|{config}|{line}"));
    let watch = |role| Typed { seconds: Some(3), ..ctl(role, &format!("watch|{deployment}|--follow")) };
    let sign = Typed {
        seconds: Some(3),
        ..ctl(Role::Qa, &format!("approve|FW-2.3.0|--role|QA|--key|{key}|--reason|tested and reviewed"))
    };
    vec![
        ("devices", vec![ctl(Role::Operator, "devices|list")]),
        (
            "device",
            vec![
                ctl(Role::Operator, &format!("devices|show|{device}")),
                ctl(Role::Operator, &format!("devices|history|{device}")),
            ],
        ),
        (
            "gateways",
            vec![ctl(Role::Operator, "gateways|list"), ctl(Role::Operator, &format!("gateways|show|{gateway}"))],
        ),
        ("releases", vec![ctl(Role::Operator, "firmware|list"), ctl(Role::Operator, "firmware|show|FW-2.3.0")]),
        ("differences", vec![ctl(Role::Qa, "firmware|differences|FW-2.2.0|FW-2.3.0")]),
        (
            "deployments",
            vec![
                ctl(Role::Operator, "deployments|list"),
                ctl(Role::Operator, &format!("deployments|show|{deployment}")),
            ],
        ),
        ("deployment", vec![watch(Role::Operator)]),
        ("sign", vec![sign]),
        ("people", vec![ctl(Role::Admin, "users|list"), ctl(Role::Clinical, "whoami")]),
        ("audit", vec![ctl(Role::Auditor, "audit|search|--limit|12"), ctl(Role::Auditor, "audit|show|12")]),
        ("help", vec![ctl(Role::Operator, "deploy|--help")]),
        ("selftest", vec![agent("devices"), agent("selftest")]),
        ("gateway", vec![agent("status"), agent(&format!("device|{device}")), agent("logs|--limit|8")]),
        (
            "errors",
            vec![
                ctl(Role::Operator, "devices|show|NO-1"),
                ctl(Role::Operator, "devices|list|--filter|installState=confirmd"),
                ctl(Role::Operator, "recalls|open|--model|CardiacMonitor-X200|--action|rollBack|--reason|alarms"),
                ctl(Role::Operator, "devices|lst"),
                ctl(Role::Qa, "deploy|plan.json|--firmware|FW-2.3.0"),
                ctl(Role::Auditor, "audit|search|--since|yesterday"),
                agent("device|NO-1"),
                agent("export|/no/such/folder/telemetry"),
            ],
        ),
    ]
}

/// The words of a command as somebody would type them.
fn shown(typed: &Typed, dir: &Path) -> String {
    let quoted = |word: &String| if word.contains([' ', '|']) { format!("'{word}'") } else { word.clone() };
    let words: Vec<String> = typed.arguments.iter().map(quoted).collect();
    format!("{} {}", typed.program, words.join(" ")).replace(&format!("{}/", dir.display()), "")
}

/// One page with all that was typed, at a width.
fn page(
    world_dir: &Path,
    session: impl Fn(Role) -> String,
    commands: &[Typed],
    columns: usize,
) -> anyhow::Result<String> {
    let mut body = String::new();
    for command in commands {
        let environment = command.role.map(|role| ("MDFMCTL_SESSION".to_owned(), session(role)));
        let terminal = Terminal {
            seconds: command.seconds,
            environment: environment.into_iter().collect(),
            ..Terminal::of(columns)
        };
        let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
        let (screen, _) = terminal.run(world_dir, command.program, &arguments)?;
        let prompt = format!("\u{1b}[90m$\u{1b}[0m \u{1b}[32m{}\u{1b}[0m", shown(command, world_dir));
        body += &Screen::of(prompt.as_bytes(), columns).html();
        body += &screen.html();
        body.push('\n');
    }
    Ok(format!(
        "<!doctype html><meta charset=\"utf-8\"><title>{}</title><style>{STYLE}</style><pre>{body}</pre>",
        html("terminal")
    ))
}

/// Takes all pictures of a set of commands into a folder; those that the documents show go to theirs, too.
fn take(browser: &Browser, name: &str, columns: usize, page: &str, pictures: &Path) -> anyhow::Result<()> {
    let made = std::env::current_dir()?.join(MADE);
    std::fs::create_dir_all(&made)?;
    let file = made.join(format!("{name}-{columns}.html"));
    std::fs::write(&file, page)?;
    let width = (columns as f64).mul_add(LETTER_PX, BESIDE_PX).ceil() as u32;
    browser.resize(width, "dark")?;
    browser.open(&format!("file://{}", file.display()))?;
    let height = (page.lines().count() as f64).mul_add(LINE_PX, AROUND_PX);
    let picture = browser.picture(width, height.ceil())?;
    std::fs::write(file.with_extension("png"), &picture)?;
    if SHOWN.contains(&(name, columns)) {
        let shown = pictures.join(format!("terminal-{name}.png"));
        std::fs::write(&shown, &picture)?;
        output::line(format_args!("{}", shown.display()));
    }
    Ok(())
}

/// The terminals of an installation.
pub(super) fn pictures(browser: &Browser, world: &World, deployment: &str, to: &Path) -> anyhow::Result<()> {
    for (name, commands) in shots(world, deployment) {
        for columns in COLUMNS {
            let page =
                page(&world.dir, |role| world.session(role), &commands, columns).with_context(|| name.to_owned())?;
            take(browser, name, columns, &page, to)?;
        }
    }
    Ok(())
}

/// The terminal of a newcomer: a trial is made, and the key ceremony of a real installation begins.
pub(super) fn first_pictures(browser: &Browser, dir: &Path, to: &Path) -> anyhow::Result<()> {
    let none = |_: Role| String::new();
    for columns in COLUMNS {
        let folder: PathBuf = dir.join(format!("trial-{columns}"));
        std::fs::create_dir_all(&folder)?;
        let quickstart = Typed { seconds: Some(25), ..typed(None, "mdfm-coordinator", "quickstart") };
        let page_of = page(&folder, none, &[quickstart], columns)?;
        take(browser, "quickstart", columns, &page_of, to)?;
        let init = "init|ceremony|--coordinator|../coordinator/online.pub|--log-vkey|../coordinator/log.vkey|--keys|.|--approver|clinical¦Clara Clinical¦Clinical|--approver|qa¦Quentin Quality¦QA|--approver|regulatory¦Rita Regulatory¦Regulatory|--operator|operator¦Olivia Operator";
        let commands = [
            typed(None, "mdfmctl", "keys|make|root-1|root-2|release|registrar|clinical|qa|regulatory"),
            typed(None, "mdfmctl", init),
            typed(None, "mdfmctl", "keys|show|root-1.pub"),
        ];
        let page_of = page(&folder, none, &commands, columns)?;
        take(browser, "init", columns, &page_of, to)?;
    }
    Ok(())
}
