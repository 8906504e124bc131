//! `mdfmctl`: see `mdfmctl::main`.

fn main() -> std::process::ExitCode {
    mdfmctl::main()
}
