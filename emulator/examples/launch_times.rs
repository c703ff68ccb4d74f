//! Times whole launches of small kernels: `cargo run --release -p cuda-emulator --example launch_times -- [threads]`.

use cuda_emulator::device::Description;
use cuda_emulator::exec::{Launch, Module, Options};
use cuda_emulator::memory::Memory;
use std::time::Instant;

/// `out[i] = a * x[i]` in fp32, one element a thread.
const SCALE: &str = "
.version 7.8
.target sm_80
.address_size 64
.visible .entry scale(.param .u64 x, .param .f32 a, .param .u32 count)
{
	.reg .pred %p;
	.reg .b32 %r<6>;
	.reg .f32 %f<4>;
	.reg .b64 %d<3>;
	ld.param.u64 %d1, [x];
	ld.param.f32 %f1, [a];
	ld.param.u32 %r1, [count];
	mov.u32 %r2, %ctaid.x;
	mov.u32 %r3, %ntid.x;
	mov.u32 %r4, %tid.x;
	mad.lo.s32 %r5, %r2, %r3, %r4;
	setp.ge.u32 %p, %r5, %r1;
	@%p bra END;
	mad.wide.u32 %d2, %r5, 4, %d1;
	ld.global.f32 %f2, [%d2];
	mul.f32 %f3, %f2, %f1;
	st.global.f32 [%d2], %f3;
END:
	ret;
}";

fn main() {
    let threads = std::env::args().nth(1).map_or(1, |argument| argument.parse().expect("a number"));
    let mut memory = Memory::default();
    let module = Module::load(SCALE, &Description::default(), &mut memory).unwrap_or_else(|report| panic!("{report}"));
    let buffer = memory.allocate(4 << 20).expect("room on the device");
    for blocks in [1u32, 4, 16, 64, 256, 1024, 4096] {
        let count = 256 * blocks;
        let mut parameters = buffer.to_le_bytes().to_vec();
        parameters.extend(1.0f32.to_le_bytes());
        parameters.extend(count.to_le_bytes());
        let launch = Launch {
            kernel: 0,
            grid: [blocks, 1, 1],
            block: [256, 1, 1],
            dynamic_shared_bytes: 0,
            cooperative: false,
            parameters,
        };
        let measure = |_| {
            let start = Instant::now();
            module
                .run(&launch, &memory, Options { threads, ..Options::default() })
                .unwrap_or_else(|report| panic!("{report}"));
            start.elapsed()
        };
        let best = (0..200).map(measure).min().unwrap_or_default();
        println!("{blocks:5} blocks of 256: {:8.1} us", best.as_secs_f64() * 1e6);
    }
}
