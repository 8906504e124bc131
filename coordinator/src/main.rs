//! `mdfm-coordinator`: see `mdfm_coordinator::run`.

fn main() -> std::process::ExitCode {
    match mdfm_service::command_line::read(mdfm_coordinator::command()) {
        Ok(arguments) => mdfm_service::finish(mdfm_coordinator::run(arguments)),
        Err(exit) => exit,
    }
}
