//! `mdfm-sim`: see `mdfm_simulators::run`.

fn main() -> std::process::ExitCode {
    match mdfm_service::command_line::read(mdfm_simulators::command()) {
        Ok(arguments) => mdfm_service::finish(mdfm_simulators::run(arguments)),
        Err(exit) => exit,
    }
}
