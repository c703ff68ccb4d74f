//! What a PTX file holds.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use cuda_emulator::device::Description;
use cuda_emulator::exec::Module;
use cuda_emulator::memory::Memory;
use cuda_emulator::report::Report;

pub fn inspect(path: &Path) -> ExitCode {
    let outcome = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => "no text, so no PTX: of a cubin or an executable nothing can be said".to_owned(),
        _ => error.to_string(),
    });
    match outcome.and_then(|text| describe(&text).map_err(|report| report.to_string())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{}: {message}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// Prints the kernels; whether all of them can be executed.
fn describe(text: &str) -> Result<bool, Report> {
    let mut memory = Memory::default();
    let module = Module::load(text, &Description::default(), &mut memory)?;
    let problems = Module::problems(text, &mut memory)?;
    for (index, kernel) in module.kernels().iter().enumerate() {
        let sizes: Vec<String> = kernel.parameters.iter().map(|parameter| parameter.bytes.to_string()).collect();
        println!("kernel {}", kernel.name);
        println!(
            "  {} parameter{} of {} bytes",
            sizes.len(),
            if sizes.len() == 1 { "" } else { "s" },
            if sizes.is_empty() { "0".into() } else { sizes.join(", ") }
        );
        if let Some(registers) = kernel.registers_per_thread {
            println!("  {registers} registers a thread");
        }
        if module.unsupported(index).is_none() {
            let (shared, local) = (kernel.static_shared_bytes, kernel.local_bytes_per_thread);
            println!("  {shared} bytes of static shared memory, {local} bytes of local memory a thread");
        }
        println!("  at most {} threads a block", kernel.max_threads_per_block);
        let own: Vec<&Report> =
            problems.iter().filter(|problem| problem.kernel.as_deref() == Some(kernel.name.as_str())).collect();
        println!("  {}", if own.is_empty() { "supported" } else { "not supported:" });
        for problem in own {
            let line = problem.ptx_line.map_or(String::new(), |line| format!("line {line}: "));
            println!("    {line}{}", problem.message);
            problem.instruction.iter().for_each(|text| println!("      {text}"));
        }
    }
    Ok(problems.is_empty())
}
