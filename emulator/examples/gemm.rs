//! Multiply-accumulates a second of a tensor-core GEMM on the emulator.
//!
//! ```sh
//! cargo run --release -p cuda-emulator --example gemm -- [threads [size [checks]]]
//! ```

use cuda_emulator::check::Checks;
use cuda_emulator::device::Description;
use cuda_emulator::exec::{Launch, Module, Options};
use cuda_emulator::memory::Memory;
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(default, |argument| argument.parse().expect("a number"));
    let (threads, size) = (number(1), number(1024));
    let checks = arguments.next().map_or(Checks::NONE, |words| words.parse().expect("checks"));
    let mut memory = Memory::default();
    let ptx = include_str!("../tests/ptx/gemm.ptx");
    let start = Instant::now();
    let module = Module::load(ptx, &Description::default(), &mut memory).unwrap_or_else(|report| panic!("{report}"));
    println!("load {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
    let mut parameters = Vec::new();
    for buffer in 0..3 {
        let address = memory.allocate((2 * size * size) as u64).expect("room on the device");
        for index in 0..if buffer < 2 { size * size } else { 0 } {
            let value = half::f16::from_f32(((index * 7919 % 1021) as f32 - 510.0) / 512.0);
            // SAFETY: the allocation holds size^2 halves at this host address.
            unsafe { (address as *mut u16).add(index).write(value.to_bits()) };
        }
        parameters.extend(address.to_le_bytes());
    }
    parameters.extend((0..3).flat_map(|_| (size as u32).to_le_bytes()));
    let tiles = size.div_ceil(128) as u32;
    let launch = Launch {
        kernel: 0,
        grid: [tiles, tiles, 1],
        block: [256, 1, 1],
        dynamic_shared_bytes: 3 * 16384,
        cooperative: false,
        parameters,
    };
    for _ in 0..5 {
        let start = Instant::now();
        module
            .run(&launch, &memory, Options { threads, checks, ..Options::default() })
            .unwrap_or_else(|report| panic!("{report}"));
        let seconds = start.elapsed().as_secs_f64();
        println!("{threads} threads, {size}^3: {:.2} GMAC/s", (size as f64).powi(3) / seconds / 1e9);
    }
}
