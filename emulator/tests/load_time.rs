//! How long a module takes to load: parsing and lowering stay in proportion to its length.

use cuda_emulator::device::Description;
use cuda_emulator::exec::Module;
use cuda_emulator::memory::Memory;
use std::fmt::Write;

/// Instructions of each module.
const INSTRUCTIONS: usize = 5000;
/// The most that a module may take, in milliseconds of the processor.
const LIMIT: f64 = 20.0;

/// Milliseconds that this thread has had the processor.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the result.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 * 1e-6
}

/// The shortest of several loads of `ptx`.
fn load_time(ptx: &str) -> f64 {
    let load = |_| {
        let mut memory = Memory::default();
        let start = processor_time();
        let module =
            Module::load(ptx, &Description::default(), &mut memory).unwrap_or_else(|report| panic!("{report}"));
        let time = processor_time() - start;
        assert!(module.unsupported(0).is_none());
        time
    };
    (0..5).map(load).fold(f64::INFINITY, f64::min)
}

fn kernel(body: &str) -> String {
    format!(
        ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out)\n{{\n\t.reg .pred %p<3000>;
\t.reg .b32 %r<6000>;\n\t.reg .f32 %f<6000>;\n\t.reg .b64 %rd<6000>;\n\tld.param.u64 %rd1, [out];\n\tmov.u32 %r1, %tid.x;
\tmov.u32 %r0, 0;\n\tmov.b64 %rd0, 0;\n{body}\tst.global.u32 [%rd1], %r1;\n\tret;\n}}\n"
    )
}

/// No branches, and every value is needed at the end.
fn straight_line() -> String {
    let mut body = String::new();
    for i in 2..INSTRUCTIONS / 2 {
        writeln!(body, "\tmad.lo.s32 %r{i}, %r{}, %r{}, {i};", i - 1, i / 2).unwrap();
    }
    for i in 2..INSTRUCTIONS / 2 {
        writeln!(body, "\txor.b32 %r1, %r1, %r{};", INSTRUCTIONS / 2 + 1 - i).unwrap();
    }
    kernel(&body)
}

/// A loop with many ways through it and many values that live all the way.
fn many_branches() -> String {
    let mut body = String::new();
    for i in 2..200 {
        writeln!(body, "\tadd.s32 %r{i}, %r1, {i};\n\tmul.wide.u32 %rd{i}, %r1, {i};").unwrap();
    }
    body += "LOOP:\n";
    let rounds = (INSTRUCTIONS - 800) / 7;
    for i in 0..rounds {
        let (a, b) = (2 + i % 198, 2 + i * 7 % 198);
        writeln!(
            body,
            "\tsetp.lt.s32 %p{p}, %r{a}, %r{b};\n\t@%p{p} bra ELSE{i};\n\tadd.s32 %r{a}, %r{a}, %r{b};\n\tbra JOIN{i};\nELSE{i}:
\tsub.s32 %r{b}, %r{b}, 3;\nJOIN{i}:\n\tadd.s64 %rd{a}, %rd{a}, %rd{b};\n\txor.b32 %r1, %r1, %r{a};",
            p = i + 1
        )
        .unwrap();
    }
    body += "\tsetp.gt.s32 %p0, %r1, 5;\n\t@%p0 bra LOOP;\n";
    for i in 2..200 {
        writeln!(body, "\tcvt.u32.u64 %r0, %rd{i};\n\txor.b32 %r1, %r1, %r0;").unwrap();
    }
    kernel(&body)
}

/// A chain of values that nothing reads.
fn dead_chain() -> String {
    let mut body = String::new();
    for i in 2..INSTRUCTIONS {
        writeln!(body, "\tadd.s32 %r{i}, %r{}, {i};", i - 1).unwrap();
    }
    kernel(&body)
}

#[test]
fn five_thousand_instructions_load_in_twenty_milliseconds() {
    for (name, ptx) in [("straight line", straight_line()), ("branches", many_branches()), ("dead chain", dead_chain())]
    {
        let time = load_time(&ptx);
        println!("{name}: {} lines, {time:.1} ms", ptx.lines().count());
        assert!(time <= LIMIT, "{name}: {time:.1} ms");
    }
}
