//! Says which kernels of PTX files the emulator can run: `cargo run -p cuda-emulator --example check_ptx -- FILE...`.

use cuda_emulator::device::Description;
use cuda_emulator::exec::Module;
use cuda_emulator::memory::Memory;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut refused = 0;
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        match Module::load(&text, &Description::default(), &mut Memory::default()) {
            Ok(module) => {
                for (index, kernel) in module.kernels().iter().enumerate() {
                    match module.unsupported(index) {
                        None => println!("{path}: {} runs", kernel.name),
                        Some(report) => {
                            refused += 1;
                            println!("{path}: {report}");
                        }
                    }
                }
            }
            Err(report) => {
                refused += 1;
                println!("{path}: {report}");
            }
        }
    }
    if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
