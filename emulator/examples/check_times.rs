//! What the checks cost: a tensor-core GEMM and two streaming kernels with each of them.
//!
//! ```sh
//! cargo run --release -p cuda-emulator --example check_times
//! ```

use cuda_emulator::Checks;
use cuda_emulator::device::Description;
use cuda_emulator::exec::{Launch, Module, Options};
use cuda_emulator::memory::Memory;
use std::time::{Duration, Instant};

/// `out[i] = 2 x[i]` in fp32, `per` neighbouring elements a thread.
fn streaming(per: u32) -> String {
    let (vector, list) = match per {
        1 => ("", "%f0"),
        _ => (".v4", "{%f0, %f1, %f2, %f3}"),
    };
    let products: String = (0..per).map(|i| format!("mul.f32 %f{i}, %f{i}, 0f40000000;\n")).collect();
    format!(
        ".version 7.8\n.target sm_80\n.address_size 64
.visible .entry stream(.param .u64 x, .param .u64 out, .param .u32 count)
{{
	.reg .pred %p;\n	.reg .b32 %r<6>;\n	.reg .f32 %f<4>;\n	.reg .b64 %d<4>;
	ld.param.u64 %d1, [x];\n	ld.param.u64 %d2, [out];\n	ld.param.u32 %r1, [count];
	mov.u32 %r2, %ctaid.x;\n	mov.u32 %r3, %ntid.x;\n	mov.u32 %r4, %tid.x;
	mad.lo.s32 %r5, %r2, %r3, %r4;\n	setp.ge.u32 %p, %r5, %r1;\n	@%p bra END;
	mul.wide.u32 %d3, %r5, {bytes};\n	add.s64 %d1, %d1, %d3;\n	add.s64 %d2, %d2, %d3;
	ld.global{vector}.f32 {list}, [%d1];\n	{products}	st.global{vector}.f32 [%d2], {list};
END:\n	ret;\n}}",
        bytes = 4 * per
    )
}

/// Memory that counts as written.
fn input(memory: &mut Memory, bytes: u64) -> u64 {
    let start = memory.allocate(bytes).expect("room on the device");
    // SAFETY: the allocation holds that many bytes at this host address.
    unsafe { (start as *mut u8).write_bytes(0x3c, bytes as usize) };
    memory.mark_written(start, bytes);
    start
}

/// The best of a few launches, each with fresh memory for its results.
fn time(ptx: &str, checks: Checks, prepare: impl Fn(&mut Memory) -> Launch) -> Duration {
    let mut memory = Memory::default();
    if checks.initialised {
        memory.track_writes();
    }
    let module = Module::load(ptx, &Description::default(), &mut memory).unwrap_or_else(|report| panic!("{report}"));
    let launch = |_| {
        let launch = prepare(&mut memory);
        let start = Instant::now();
        let options = Options { checks, ..Options::default() };
        module.run(&launch, &memory, options).unwrap_or_else(|report| panic!("{report}"));
        start.elapsed()
    };
    (0..4).map(launch).min().unwrap_or_default()
}

fn gemm(memory: &mut Memory) -> Launch {
    const SIZE: u32 = 512;
    let bytes = 2 * u64::from(SIZE * SIZE);
    let out = memory.allocate(bytes).expect("room on the device");
    let addresses = [input(memory, bytes), input(memory, bytes), out];
    let mut parameters: Vec<u8> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
    parameters.extend([SIZE; 3].iter().flat_map(|size| size.to_le_bytes()));
    let grid = [SIZE / 128, SIZE / 128, 1];
    let dynamic_shared_bytes = 3 * 16384;
    Launch { kernel: 0, grid, block: [256, 1, 1], dynamic_shared_bytes, cooperative: false, parameters }
}

fn stream(memory: &mut Memory, per: u32) -> Launch {
    const COUNT: u32 = 1 << 20;
    let out = memory.allocate(4 * u64::from(COUNT)).expect("room on the device");
    let addresses = [input(memory, 4 * u64::from(COUNT)), out];
    let mut parameters: Vec<u8> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
    parameters.extend((COUNT / per).to_le_bytes());
    let grid = [COUNT / per / 256, 1, 1];
    Launch { kernel: 0, grid, block: [256, 1, 1], dynamic_shared_bytes: 0, cooperative: false, parameters }
}

fn main() {
    let initialised = Checks { initialised: true, ..Checks::NONE };
    let races = Checks { races: true, ..Checks::NONE };
    let kinds = [("none", Checks::NONE), ("initialised", initialised), ("races", races), ("all", Checks::ALL)];
    let report = |name: &str, times: [Duration; 4]| {
        for ((check, _), time) in kinds.iter().zip(times) {
            let factor = time.as_secs_f64() / times[0].as_secs_f64();
            println!("{name:10} {check:12} {:8.2} ms {factor:6.2} x", time.as_secs_f64() * 1e3);
        }
    };
    report("gemm", kinds.map(|(_, checks)| time(include_str!("../tests/ptx/gemm.ptx"), checks, gemm)));
    for (name, per) in [("stream", 1), ("stream x4", 4)] {
        report(name, kinds.map(|(_, checks)| time(&streaming(per), checks, |memory| stream(memory, per))));
    }
    for finding in cuda_emulator::findings() {
        println!("{} times: {}", finding.count, finding.report);
    }
}
