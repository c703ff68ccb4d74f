//! Times warp instructions in the interpreter: `cargo run --release -p cuda-emulator --example instruction_times`.
//!
//! Each line is the best of several runs of a loop in one warp, less the empty loop.

use cuda_emulator::device::Description;
use cuda_emulator::exec::{Launch, Module, Options};
use cuda_emulator::memory::Memory;
use std::time::{Duration, Instant};

const UNROLL: usize = 64;
const ROUNDS: u32 = 50;
const RUNS: u32 = 200;

/// Name and one instruction; registers: %r0.. 32 bits, %f0.. fp32, %d0.. 64 bits, %h0.. 16 bits, %p, %q predicates,
/// %g a global address that differs by 4 bytes a lane, %w by 16, %s a shared one by 16, %u a uniform global one.
const CASES: &[(&str, &str)] = &[
    ("nothing", ""),
    ("mov", "mov.b32 %r1, %r2;"),
    ("add.s32", "add.s32 %r1, %r2, %r3;"),
    ("add.s32, half the lanes", "@%q add.s32 %r1, %r2, %r3;"),
    ("mad.lo.s32", "mad.lo.s32 %r1, %r2, %r3, %r4;"),
    ("mad.wide.s32", "mad.wide.s32 %d1, %r2, %r3, %d2;"),
    ("shl.b32", "shl.b32 %r1, %r2, 3;"),
    ("add.s64", "add.s64 %d1, %d2, %d3;"),
    ("div.u32", "div.u32 %r1, %r2, %r3;"),
    ("lop3", "lop3.b32 %r1, %r2, %r3, %r4, 0xea;"),
    ("bfi", "bfi.b32 %r1, %r2, %r3, 4, 8;"),
    ("prmt", "prmt.b32 %r1, %r2, %r3, 0x5410;"),
    ("setp.lt.s32", "setp.lt.s32 %p, %r1, %r2;"),
    ("setp.ge.f32", "setp.ge.f32 %p, %f1, %f2;"),
    ("selp", "selp.b32 %r1, %r2, %r3, %q;"),
    ("add.f32", "add.f32 %f1, %f2, %f3;"),
    ("fma.rn.f32", "fma.rn.f32 %f1, %f2, %f3, %f4;"),
    ("max.f32", "max.f32 %f1, %f2, %f3;"),
    ("div.rn.f32", "div.rn.f32 %f1, %f2, %f3;"),
    ("rcp.approx.ftz.f32", "rcp.approx.ftz.f32 %f1, %f2;"),
    ("sqrt.rn.f32", "sqrt.rn.f32 %f1, %f2;"),
    ("ex2.approx.ftz.f32", "ex2.approx.ftz.f32 %f1, %f2;"),
    ("lg2.approx.f32", "lg2.approx.f32 %f1, %f2;"),
    ("sin.approx.f32", "sin.approx.f32 %f1, %f2;"),
    ("tanh.approx.f32", "tanh.approx.f32 %f1, %f2;"),
    ("cvt.rn.f16x2.f32", "cvt.rn.f16x2.f32 %r1, %f1, %f2;"),
    ("cvt.f32.f16", "cvt.f32.f16 %f1, %h1;"),
    ("cvt.rn.f16.f32", "cvt.rn.f16.f32 %h1, %f1;"),
    ("cvt.rn.f32.s32", "cvt.rn.f32.s32 %f1, %r1;"),
    ("cvt.rzi.s32.f32", "cvt.rzi.s32.f32 %r1, %f1;"),
    ("mov.b32 {h, h}, r", "mov.b32 {%h1, %h2}, %r1;"),
    ("mov.b32 r, {h, h}", "mov.b32 %r1, {%h1, %h2};"),
    ("add.f16x2", "add.f16x2 %r1, %r2, %r3;"),
    ("fma.rn.f16x2", "fma.rn.f16x2 %r1, %r2, %r3, %r4;"),
    ("shfl.bfly", "shfl.sync.bfly.b32 %r1, %r2, 4, 31, -1;"),
    ("shfl.idx", "shfl.sync.idx.b32 %r1, %r2, %r5, 31, -1;"),
    ("vote.any", "vote.sync.any.pred %p, %q, -1;"),
    ("ld.global.b32", "ld.global.b32 %r1, [%g];"),
    ("ld.global.b32, half the lanes", "@%q ld.global.b32 %r1, [%g];"),
    ("ld.global.b32 uniform", "ld.global.b32 %r1, [%u];"),
    ("ld.global.b16", "ld.global.b16 %h1, [%g];"),
    ("ld.global.v4.b32", "ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%w];"),
    ("st.global.b32", "st.global.b32 [%g], %r1;"),
    ("st.global.b16", "st.global.b16 [%g], %h1;"),
    ("st.global.v4.b32", "st.global.v4.b32 [%w], {%r1, %r2, %r3, %r4};"),
    ("ld.shared.b32", "ld.shared.b32 %r1, [%s];"),
    ("st.shared.v4.b32", "st.shared.v4.b32 [%s], {%r1, %r2, %r3, %r4};"),
    ("ldmatrix.x4", "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r4}, [%s];"),
    ("ldmatrix.x4.trans", "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r1, %r2, %r3, %r4}, [%s];"),
    (
        "mma.m16n8k16",
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f2, %f3, %f4}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, \
         {%f1, %f2, %f3, %f4};",
    ),
    ("bar.sync", "bar.sync 0;"),
    ("bra, not taken", "@!%always bra END;"),
    ("atom.global.add.u32", "atom.global.add.u32 %r1, [%g], 1;"),
    ("red.shared.add.u32", "red.shared.add.u32 [%s], 1;"),
];

fn source(instruction: &str) -> String {
    let body = format!("\t{instruction}\n").repeat(UNROLL);
    format!(
        ".version 7.8
.target sm_80
.address_size 64
.shared .align 16 .b8 rows[4096];
.visible .entry k(.param .u64 buffer)
{{
	.reg .pred %p, %q, %always;
	.reg .b16 %h<4>;
	.reg .b32 %r<8>, %s, %round, %lane;
	.reg .b64 %d<4>, %g, %w, %u;
	.reg .f32 %f<8>;
	mov.u32 %lane, %tid.x;
	ld.param.u64 %u, [buffer];
	mad.wide.u32 %g, %lane, 4, %u;
	mad.wide.u32 %w, %lane, 16, %u;
	mov.u32 %s, rows;
	mad.lo.u32 %s, %lane, 16, %s;
	setp.lt.u32 %q, %lane, 16;
	setp.lt.u32 %always, %lane, 64;
	mov.b32 %r1, 1; mov.b32 %r2, 2; mov.b32 %r3, 3; mov.b32 %r4, 4; mov.b32 %r5, 5; mov.b32 %r6, 6;
	mov.b64 %d1, 1; mov.b64 %d2, 2; mov.b64 %d3, 3;
	mov.b32 %f1, 0f3F800000; mov.b32 %f2, 0f3F000000; mov.b32 %f3, 0f40000000; mov.b32 %f4, 0f3E800000;
	mov.b16 %h1, 0x3c00; mov.b16 %h2, 0x3800;
	mov.b32 %round, 0;
LOOP:
{body}
	add.u32 %round, %round, 1;
	setp.lt.u32 %p, %round, {ROUNDS};
	@%p bra LOOP;
END:
	st.global.v2.b32 [%u], {{%r1, %r2}};
	st.global.v2.b32 [%u], {{%r3, %r4}};
	st.global.v4.f32 [%u], {{%f1, %f2, %f3, %f4}};
	st.global.v2.b16 [%u], {{%h1, %h2}};
	st.global.v2.b64 [%u], {{%d1, %d2}};
	selp.b32 %r1, 1, 0, %p;
	st.global.b32 [%u], %r1;
	ret;
}}"
    )
}

fn time(instruction: &str) -> Duration {
    let mut memory = Memory::default();
    let module = Module::load(&source(instruction), &Description::default(), &mut memory);
    let module = module.unwrap_or_else(|report| panic!("{report}"));
    let buffer = memory.allocate(4096).expect("room on the device");
    // SAFETY: the allocation has that many bytes.
    unsafe { std::ptr::write_bytes(buffer as *mut u8, 0, 4096) };
    let launch = Launch {
        kernel: 0,
        grid: [1, 1, 1],
        block: [32, 1, 1],
        dynamic_shared_bytes: 0,
        cooperative: false,
        parameters: buffer.to_le_bytes().to_vec(),
    };
    let measure = |_| {
        let start = Instant::now();
        module.run(&launch, &memory, Options::default()).unwrap_or_else(|report| panic!("{report}"));
        start.elapsed()
    };
    (0..RUNS).map(measure).min().unwrap_or_default()
}

fn main() {
    let empty = time("");
    for (name, instruction) in CASES.iter().skip(1) {
        let spent = time(instruction).saturating_sub(empty).as_secs_f64();
        println!("{name:32} {:7.1} ns", spent / f64::from(ROUNDS) / UNROLL as f64 * 1e9);
    }
}
