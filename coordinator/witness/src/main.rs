//! `mdfm-witness`: see `mdfm_witness::run`.

fn main() -> std::process::ExitCode {
    match mdfm_service::command_line::read(mdfm_witness::command()) {
        Ok(arguments) => mdfm_service::finish(mdfm_witness::run(arguments)),
        Err(exit) => exit,
    }
}
