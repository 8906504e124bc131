//! `mdfmctl`: the operator's command line. Talks HTTP to the coordinator; signs and verifies on its own.

mod account;
mod address;
mod answer;
mod audit;
mod broker;
mod bundle;
mod ceremony;
mod client;
mod contexts;
mod copy;
mod delta;
mod deployments;
mod fault;
mod files;
mod firmware;
mod fleet;
mod groups;
mod help;
mod incidents;
mod keys;
mod notices;
mod output;
mod qr;
mod recalls;
mod records;
mod reports;
mod retention;
mod rollback_orders;
mod sbom;
mod settings;
mod single_sign_on;
mod terminal;
mod times;
mod trust;
mod withdrawals;
mod words;

use std::path::PathBuf;

use anyhow::ensure;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use mdfm_service::command_line::{self, refusal};

use client::Client;
use output::{Form, Output};

/// Heading of the options that every command takes.
const GLOBAL: &str = "Global options";

/// Operates a Medical Device Firmware Manager.
#[derive(Debug, Parser)]
#[command(name = "mdfmctl", version)]
pub struct Arguments {
    /// Print JSON; the same as `--output json`.
    #[arg(long, global = true, help_heading = GLOBAL, display_order = 900, conflicts_with = "output")]
    json: bool,
    /// Form of what is printed.
    #[arg(short, long, global = true, help_heading = GLOBAL, display_order = 901, value_name = "FORM", default_value = "table")]
    output: Form,
    /// Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is.
    #[arg(long, global = true, help_heading = GLOBAL, display_order = 902)]
    local: bool,
    /// File that keeps the session.
    #[arg(long, global = true, help_heading = GLOBAL, display_order = 903, env = "MDFMCTL_SESSION")]
    session: Option<PathBuf>,
    /// Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call.
    #[arg(long, global = true, help_heading = GLOBAL, display_order = 904, env = "MDFMCTL_CONTEXT")]
    context: Option<contexts::Name>,
    /// Whether `--session` or `--context` stands on the command line itself.
    #[arg(skip)]
    names_session: bool,
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Sign in and keep the session.
    Login(client::Login),
    /// Sign out.
    Logout,
    /// Show who you are here, with which roles, and whether you can sign.
    Whoami,
    /// Contexts: sessions by name, for several coordinators or people.
    #[command(subcommand)]
    Contexts(contexts::Contexts),
    /// Your second factor.
    #[command(subcommand)]
    SecondFactor(account::Factor),
    /// Change your password.
    #[command(alias = "password")]
    ChangePassword(account::Password),
    /// Your signing key, where the coordinator keeps it for you.
    #[command(subcommand)]
    SigningKey(account::Key),
    /// Tokens for machines that act for you.
    #[command(subcommand)]
    Tokens(account::Tokens),
    /// Set up a first installation: a guided key ceremony. Call it again after each step.
    Init(ceremony::Init),
    /// Make keys; works offline.
    #[command(subcommand)]
    Keys(keys::Action),
    /// Make, sign and publish trust roots and rosters; making and signing work offline.
    #[command(subcommand)]
    Trust(trust::Action),
    /// Users.
    #[command(subcommand)]
    Users(fleet::Users),
    /// Hospitals.
    #[command(subcommand)]
    Hospitals(fleet::Hospitals),
    /// Groups of devices that deployments name.
    #[command(subcommand)]
    Groups(groups::Groups),
    /// Gateways and their enrolment tokens.
    #[command(subcommand)]
    Gateways(fleet::Gateways),
    /// Removable media for gateways without a line.
    #[command(subcommand, alias = "bundle")]
    Bundles(bundle::Action),
    /// Rules for an MQTT broker of your own.
    #[command(subcommand)]
    Broker(broker::Action),
    /// Devices.
    #[command(subcommand)]
    Devices(fleet::Devices),
    /// Firmware releases.
    #[command(subcommand)]
    Firmware(firmware::Action),
    /// Sign an approval with your own key.
    Approve(firmware::Approve),
    /// Reject a release; final.
    Reject(firmware::Reject),
    /// Start a deployment from a JSON file.
    Deploy(deployments::Deploy),
    /// List and show deployments.
    #[command(subcommand)]
    Deployments(deployments::Deployments),
    /// Show a deployment, live with `--follow`.
    Watch(deployments::Watch),
    /// Sign the validation of a phase whose gate has held.
    Validate(deployments::Validate),
    /// Pause a deployment.
    Pause(deployments::Change),
    /// Resume a deployment.
    Resume(deployments::Change),
    /// End a deployment: what is in flight goes back, what is done stays.
    Abort(deployments::Abort),
    /// Roll back a device, a hospital, a phase or a deployment.
    Rollback(deployments::Rollback),
    /// Say that a hospital's staff agree to a deployment.
    Consent(deployments::Consent),
    /// What a deployment owes to an authority.
    #[command(subcommand)]
    Duties(deployments::Duties),
    /// The same as `duties fulfil`; for scripts of earlier versions.
    #[command(hide = true)]
    Duty(deployments::Duty),
    /// Incidents: report, decide, close.
    #[command(subcommand)]
    Incidents(incidents::Incidents),
    /// Your notices, and what could not be delivered.
    #[command(subcommand)]
    Notices(notices::Notices),
    /// Webhooks: other programs that get notices.
    #[command(subcommand)]
    Webhooks(notices::Webhooks),
    /// Settings of the installation.
    #[command(subcommand)]
    Settings(settings::Settings),
    /// Recalls: find the devices concerned, follow them to the last.
    #[command(subcommand)]
    Recalls(recalls::Recalls),
    /// Rollback orders: let devices go back after their recall window, or below their security floor.
    #[command(subcommand)]
    RollbackOrders(rollback_orders::Action),
    /// Withdrawals: releases that gateways activate no more.
    #[command(subcommand)]
    Withdrawals(withdrawals::Action),
    /// Reports for inspectors and authorities: make, verify offline.
    #[command(subcommand, alias = "report")]
    Reports(reports::Action),
    /// Retention of records: terms, legal holds, disposal.
    #[command(subcommand)]
    Retention(retention::Action),
    /// The audit log: search, the past, export, evidence, verify offline.
    #[command(subcommand)]
    Audit(audit::Action),
    /// Print the completions of a shell; works offline.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The command line with an example of each command, as `--help` and the manual pages show it.
pub fn command() -> clap::Command {
    command_line::described(Arguments::command(), help::EXAMPLES)
}

/// Runs the program with the arguments of its process.
pub fn main() -> std::process::ExitCode {
    match command_line::at_terminal(command()).try_get_matches().and_then(read) {
        Ok(arguments) => run(arguments),
        // Help and version are no errors; they go to standard output.
        Err(error) if error.exit_code() == 0 => error.exit(),
        Err(error) => {
            let exit = command_line::exit_code(&error);
            let verbs = verbs(error.kind(), std::env::args_os());
            let words = refusal(error) + &verbs;
            if wants_json(std::env::args_os()) {
                let is_said = |line: &&str| !line.is_empty() && !line.starts_with("For more information");
                let lines = words.trim_start_matches("error: ").lines().map(str::trim).filter(is_said);
                let words = lines.collect::<Vec<_>>().join("; ");
                mdfm_service::output::note(output::problem(&anyhow::anyhow!(words), exit));
            } else {
                mdfm_service::output::notes(words.trim_end());
            }
            exit.into()
        }
    }
}

/// The arguments. What names the session on the command line stands above what the environment names.
///
/// # Errors
/// They are not complete, or name two sessions.
fn read(mut matches: ArgMatches) -> Result<Arguments, clap::Error> {
    // A global option has its value, and where that is from, on the innermost command.
    let mut innermost = &matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let is_typed = |id| innermost.value_source(id) == Some(ValueSource::CommandLine);
    let (session, context) = (is_typed("session"), is_typed("context"));
    if session && context {
        let words = "--session and --context name two sessions; give one";
        return Err(command().error(ErrorKind::ArgumentConflict, words));
    }
    let mut arguments = Arguments::from_arg_matches_mut(&mut matches)?;
    if context {
        arguments.session = None;
    }
    arguments.names_session = session || context;
    Ok(arguments)
}

/// The commands that may follow, where the one that was typed is not there; empty for any other error.
fn verbs(kind: ErrorKind, arguments: impl Iterator<Item = std::ffi::OsString>) -> String {
    if kind != ErrorKind::InvalidSubcommand {
        return String::new();
    }
    let (mut command, mut path) = (command(), Vec::new());
    for word in arguments.skip(1).filter_map(|word| word.into_string().ok()) {
        if let Some(found) = command.find_subcommand(&word).cloned() {
            path.push(word);
            command = found;
        }
    }
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    let names: Vec<&str> = shown.map(clap::Command::get_name).collect();
    // The top has a list of its own, in groups.
    if path.is_empty() { String::new() } else { format!("\nCommands of {}: {}\n", path.join(" "), names.join(", ")) }
}

/// Whether a command line that cannot be read asks for JSON.
fn wants_json(arguments: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let words: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    let is_form = |word: &String| ["-ojson", "-o=json", "--output=json", "--json"].contains(&word.as_str());
    let is_pair = |pair: &[String]| ["-o", "--output"].contains(&pair[0].as_str()) && pair[1] == "json";
    words.iter().any(is_form) || words.windows(2).any(is_pair)
}

/// Runs one invocation of the program.
fn run(arguments: Arguments) -> std::process::ExitCode {
    let is_json = arguments.form() == Form::Json;
    if is_json {
        client::without_trial_notice();
        trust::confirm::for_a_program();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into(), is_json),
    };
    match runtime.block_on(carry_out(arguments)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) if files::is_enough(&error) => std::process::ExitCode::SUCCESS,
        Err(error) => fail(&error, is_json),
    }
}

fn fail(error: &anyhow::Error, is_json: bool) -> std::process::ExitCode {
    let exit = exit_code(error);
    if is_json {
        mdfm_service::output::note(output::problem(error, exit));
    } else {
        mdfm_service::output::note(format_args!("mdfmctl: {}", output::error_words(error)));
    }
    exit.into()
}

impl Arguments {
    fn form(&self) -> Form {
        if self.json { Form::Json } else { self.output }
    }
}

/// The exit status by cause, as `docs/cli.md` lists them.
fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(ended) = error.downcast_ref::<deployments::Ended>() {
        return match ended {
            deployments::Ended::RolledBack => 10,
            deployments::Ended::Aborted => 11,
            deployments::Ended::Superseded => 12,
        };
    }
    if let Some(fault) = error.chain().find_map(|cause| cause.downcast_ref::<fault::Fault>()) {
        return fault.exit();
    }
    match error.chain().find_map(|cause| cause.downcast_ref::<client::Refused>()).map(|refused| refused.status) {
        Some(401 | 403) => 3,
        Some(404) => 4,
        Some(409 | 412) => 5,
        Some(400 | 413 | 422) => 6,
        Some(_) => 7,
        None if client::is_broken_line(error) => 7,
        None => 1,
    }
}

/// Whether a command does nothing without a session: where nobody is signed in, a terminal is asked before. What also works offline opens a session
/// itself when it needs one.
fn needs_session(action: &Action) -> bool {
    !matches!(
        action,
        Action::Login(_)
            | Action::Logout
            | Action::Contexts(_)
            | Action::Init(_)
            | Action::Keys(_)
            | Action::Trust(
                trust::Action::MakeRoot { .. }
                    | trust::Action::MakeRoster { .. }
                    | trust::Action::RotateRoot { .. }
                    | trust::Action::Sign { .. }
                    | trust::Action::Join { .. }
                    | trust::Action::Inspect { .. }
                    | trust::Action::Verify { .. }
            )
            | Action::Audit(_)
            | Action::Reports(_)
            | Action::Retention(_)
            | Action::RollbackOrders(_)
            | Action::Withdrawals(_)
            | Action::Firmware(firmware::Action::MakeDelta(_))
            | Action::Broker(_)
            | Action::Completions { .. }
    )
}

async fn carry_out(arguments: Arguments) -> anyhow::Result<()> {
    let out = Output::new(arguments.form(), arguments.local)?;
    // Signing in and looking after contexts use no token.
    if arguments.names_session && !matches!(arguments.command, Action::Login(_) | Action::Contexts(_)) {
        ensure!(
            client::environment(client::TOKEN).is_none(),
            "{0} is set, and stands above every session; unset {0}, or leave out --session and --context",
            client::TOKEN
        );
    }
    let file = match contexts::session_file(arguments.session, arguments.context) {
        Ok(file) => file,
        // What works offline needs no session file; what turns out to need one says so when it opens it.
        Err(_)
            if matches!(
                arguments.command,
                Action::Keys(_)
                    | Action::Init(_)
                    | Action::Trust(_)
                    | Action::Audit(_)
                    | Action::Reports(_)
                    | Action::RollbackOrders(rollback_orders::Action::Sign { .. })
                    | Action::Withdrawals(withdrawals::Action::Sign { .. })
                    | Action::Firmware(firmware::Action::MakeDelta(_))
                    | Action::Broker(_)
                    | Action::Completions { .. }
                    | Action::Contexts(_)
            ) =>
        {
            PathBuf::new()
        }
        Err(error) => return Err(error),
    };
    if needs_session(&arguments.command) {
        client::sign_in_first(&file).await?;
    }
    match arguments.command {
        Action::Login(login) => client::login(&out, &file, login).await,
        Action::Logout => client::logout(&out, &file).await,
        Action::Contexts(action) => contexts::run(&out, &action),
        Action::Whoami => account::whoami(&out, &Client::open(&file)?).await,
        Action::SecondFactor(action) => account::factor(&out, &Client::open(&file)?, action).await,
        Action::ChangePassword(options) => account::change_password(&out, &Client::open(&file)?, options).await,
        Action::SigningKey(action) => account::key(&out, &Client::open(&file)?, action).await,
        Action::Tokens(action) => account::tokens(&out, &Client::open(&file)?, action).await,
        Action::Init(options) => ceremony::run(&out, &file, options).await,
        Action::Keys(action) => keys::run(&out, action),
        Action::Trust(action) => trust::run(&out, &file, action).await,
        Action::Users(action) => fleet::users(&out, &Client::open(&file)?, action).await,
        Action::Hospitals(action) => fleet::hospitals(&out, &Client::open(&file)?, action).await,
        Action::Groups(action) => groups::run(&out, &Client::open(&file)?, action).await,
        Action::Gateways(action) => fleet::gateways(&out, &Client::open(&file)?, action).await,
        Action::Bundles(action) => bundle::run(&out, &Client::open(&file)?, action).await,
        Action::Broker(action) => broker::run(action),
        Action::Completions { shell } => {
            help::completions(shell);
            Ok(())
        }
        Action::Devices(action) => fleet::devices(&out, &Client::open(&file)?, action).await,
        Action::Firmware(action) => firmware::run(&out, &file, action).await,
        Action::Approve(approve) => firmware::approve(&out, &Client::open(&file)?, approve).await,
        Action::Reject(reject) => firmware::reject(&out, &Client::open(&file)?, reject).await,
        Action::Deploy(deploy) => deployments::deploy(&out, &Client::open(&file)?, deploy).await,
        Action::Deployments(action) => deployments::deployments(&out, &Client::open(&file)?, action).await,
        Action::Watch(watch) => deployments::watch(&out, &Client::open(&file)?, watch).await,
        Action::Validate(validate) => deployments::validate(&out, &Client::open(&file)?, validate).await,
        Action::Pause(change) => deployments::change(&out, &Client::open(&file)?, "pause", change).await,
        Action::Resume(change) => deployments::change(&out, &Client::open(&file)?, "resume", change).await,
        Action::Abort(abort) => deployments::abort(&out, &Client::open(&file)?, abort).await,
        Action::Rollback(order) => deployments::roll_back(&out, &Client::open(&file)?, order).await,
        Action::Consent(consent) => deployments::consent(&out, &Client::open(&file)?, consent).await,
        Action::Duties(deployments::Duties::Fulfil(duty)) | Action::Duty(duty) => {
            deployments::duty(&out, &Client::open(&file)?, duty).await
        }
        Action::Incidents(action) => incidents::run(&out, &Client::open(&file)?, action).await,
        Action::Notices(action) => notices::notices(&out, &Client::open(&file)?, action).await,
        Action::Webhooks(action) => notices::webhooks(&out, &Client::open(&file)?, action).await,
        Action::Settings(action) => settings::run(&out, &Client::open(&file)?, action).await,
        Action::Recalls(action) => recalls::run(&out, &Client::open(&file)?, action).await,
        Action::RollbackOrders(action) => rollback_orders::run(&out, &file, action).await,
        Action::Withdrawals(action) => withdrawals::run(&out, &file, action).await,
        Action::Reports(action) => reports::run(&out, &file, action).await,
        Action::Retention(action) => retention::run(&out, &file, action).await,
        Action::Audit(action) => audit::run(&out, &file, action).await,
    }
}

#[cfg(test)]
mod tests;
