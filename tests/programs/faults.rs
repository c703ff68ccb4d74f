//! What stops a program, and what it prints.

use std::process::Command;

use cudarc::driver::sys::CUresult;

use crate::harness::{Build, Program, Source, line, on_build, on_every_build};

const SOURCE: Source = Source::new("faults.cu");

/// Launches what is to fail, as `error`; the context fails from then on with the same.
fn fails(program: &Program, error: CUresult, launch: impl Fn(&Program) -> Result<(), cudarc::driver::DriverError>) {
    for _ in 0..2 {
        assert_eq!(launch(program).expect_err("it is to fail").0, error, "{}", program.build);
    }
}

#[test]
fn traps() {
    on_every_build(SOURCE, |program| {
        program.launch("trapping", line(2, 64), &[&64]);
        let launch = |program: &Program| program.try_launch("trapping", line(2, 64), &[&33]);
        fails(program, CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION, launch);
    });
}

#[test]
fn assertions() {
    on_every_build(SOURCE, |program| {
        program.launch("asserting", line(1, 64), &[&64]);
        let launch = |program: &Program| program.try_launch("asserting", line(1, 64), &[&50]);
        fails(program, CUresult::CUDA_ERROR_ASSERT, launch);
    });
}

#[test]
fn wild_and_null_and_misaligned_addresses() {
    let illegal = CUresult::CUDA_ERROR_ILLEGAL_ADDRESS;
    on_every_build(SOURCE, |program| {
        let data = program.zeros::<i32>(32);
        program.launch("wild", line(1, 32), &[&data, &0i64]);
        fails(program, illegal, |program| program.try_launch("wild", line(1, 32), &[&data, &(1i64 << 40)]));
    });
    on_every_build(SOURCE, |program| {
        let output = program.zeros::<i32>(1);
        fails(program, illegal, |program| program.try_launch("null_pointer", line(1, 1), &[&0u64, &output]));
    });
    on_every_build(SOURCE, |program| {
        let data = program.zeros::<i32>(4);
        let launch = |program: &Program| program.try_launch("misaligned", line(1, 1), &[&data]);
        fails(program, CUresult::CUDA_ERROR_MISALIGNED_ADDRESS, launch);
    });
}

#[test]
fn beyond_shared_memory() {
    on_every_build(SOURCE, |program| {
        let output = program.zeros::<i32>(1);
        program.launch("shared_overrun", line(1, 4), &[&3, &output]);
        let launch = |program: &Program| program.try_launch("shared_overrun", line(1, 4), &[&(1 << 20), &output]);
        fails(program, CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, launch);
    });
}

/// Set in the process that prints.
const PRINTS: &str = "PROGRAMS_PRINT";

#[test]
fn printing() {
    if std::env::var_os(PRINTS).is_some() {
        let build = Build::REPRESENTATIVE[0];
        on_build(SOURCE, build, |program| program.launch("printing", line(1, 32), &[&2, &0u64]));
        return;
    }
    let test = std::env::current_exe().expect("this program");
    let output = Command::new(test).args(["--exact", "faults::printing", "--nocapture"]).env(PRINTS, "1").output();
    let output = String::from_utf8(output.expect("it starts").stdout).expect("text");
    for thread in 0..2 {
        let line = format!("thread {thread} of 32:  6.28|-2    |00beef|z|word|-5000000000|%|1.234568e+04\n");
        assert!(output.contains(&line), "{output}");
    }
}
