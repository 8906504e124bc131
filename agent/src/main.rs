//! `mdfm-agent`: see `mdfm_agent::run`.

fn main() -> std::process::ExitCode {
    match mdfm_service::command_line::read(mdfm_agent::command()) {
        Ok(arguments) => mdfm_service::finish(mdfm_agent::run(arguments)),
        Err(exit) => exit,
    }
}
