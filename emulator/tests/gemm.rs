//! A whole tensor-core GEMM, as NVRTC compiles it, against plain loops, to the bit, whatever the order of execution.

use cuda_emulator::device::Description;
use cuda_emulator::exec::{Launch, Module, Options};
use cuda_emulator::memory::Memory;
use cuda_emulator::{Checks, findings};
use half::f16;

/// Sizes of C = A B^T; rows and columns that are no multiple of a tile.
const M: usize = 200;
const N: usize = 136;
const K: usize = 96;

fn values(count: usize, factor: usize) -> Vec<u16> {
    (0..count).map(|i| f16::from_f32(((i * factor % 257) as f32 - 128.0) / 64.0).to_bits()).collect()
}

fn upload(memory: &mut Memory, values: &[u16]) -> u64 {
    let address = memory.allocate(2 * values.len() as u64).expect("room on the device");
    // SAFETY: device addresses are host addresses, and the allocation holds the values.
    unsafe { values.as_ptr().copy_to_nonoverlapping(address as *mut u16, values.len()) };
    memory.mark_written(address, 2 * values.len() as u64);
    address
}

fn run(a: &[u16], b: &[u16], options: Options) -> Vec<u16> {
    let mut memory = Memory::default();
    if options.checks.initialised {
        memory.track_writes();
    }
    let module = Module::load(include_str!("ptx/gemm.ptx"), &Description::default(), &mut memory)
        .unwrap_or_else(|report| panic!("{report}"));
    let out = memory.allocate(2 * (M * N) as u64).expect("room on the device");
    let addresses = [upload(&mut memory, a), upload(&mut memory, b), out];
    let mut parameters: Vec<u8> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
    parameters.extend([M, N, K].iter().flat_map(|size| (*size as u32).to_le_bytes()));
    let launch = Launch {
        kernel: 0,
        grid: [N.div_ceil(128) as u32, M.div_ceil(128) as u32, 1],
        block: [256, 1, 1],
        dynamic_shared_bytes: 3 * 16384,
        cooperative: false,
        parameters,
    };
    module.run(&launch, &memory, options).unwrap_or_else(|report| panic!("{report}"));
    // SAFETY: the third allocation holds that many values.
    (0..M * N).map(|index| unsafe { (addresses[2] as *const u16).add(index).read() }).collect()
}

#[test]
fn products_are_those_of_plain_loops_in_every_order() {
    let (a, b) = (values(M * K, 31), values(N * K, 97));
    let widen = |bits: u16| f16::from_bits(bits).to_f32();
    let element = |row: usize, column: usize| {
        let products = a[row * K..][..K].iter().zip(&b[column * K..][..K]);
        products.fold(0.0f32, |sum, (a, b)| widen(*a).mul_add(widen(*b), sum))
    };
    let expected: Vec<u16> = (0..M * N).map(|index| f16::from_f32(element(index / N, index % N)).to_bits()).collect();
    for (threads, seed) in [(1, 0), (1, 7), (2, 1), (3, 12345)] {
        assert!(
            run(&a, &b, Options { threads, seed, ..Options::default() }) == expected,
            "{threads} threads, seed {seed}"
        );
    }
}

#[test]
fn the_kernel_is_clean_under_all_checks() {
    let (a, b) = (values(M * K, 31), values(N * K, 97));
    let plain = run(&a, &b, Options::default());
    let checked = run(&a, &b, Options { checks: Checks::ALL, ..Options::default() });
    assert!(plain == checked, "a check changed what the kernel computes");
    assert!(findings().is_empty(), "{:?}", findings());
}
