use std::process::ExitCode;

fn main() -> ExitCode {
    diffedit::cli::main()
}
