//! The emulator's own speed: `cargo bench -p cuda-emulator`.
//!
//! Multiply-accumulates a second of a tensor-core GEMM, bytes a second of kernels that stream, on one thread of the
//! host and on two, and the time to load a module.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use cuda_emulator::device::Description;
use cuda_emulator::exec::{Launch, Module, Options};
use cuda_emulator::memory::Memory;

const THREADS: [usize; 2] = [1, 2];

fn load(ptx: &str, memory: &mut Memory) -> Module {
    Module::load(ptx, &Description::default(), memory).unwrap_or_else(|report| panic!("{report}"))
}

fn run(module: &Module, launch: &Launch, memory: &Memory, threads: usize) {
    let options = Options { threads, ..Options::default() };
    module.run(launch, memory, options).unwrap_or_else(|report| panic!("{report}"));
}

/// Device memory of `bytes` bytes, all zero.
fn zeros(memory: &mut Memory, bytes: usize) -> u64 {
    let address = memory.allocate(bytes as u64).expect("room on the device");
    // SAFETY: device addresses are host addresses, and the allocation has that many bytes.
    unsafe { (address as *mut u8).write_bytes(0, bytes) };
    address
}

fn gemm(criterion: &mut Criterion) {
    const SIZE: usize = 512;
    let mut memory = Memory::default();
    let module = load(include_str!("../tests/ptx/gemm.ptx"), &mut memory);
    let mut parameters = Vec::new();
    for _ in 0..3 {
        parameters.extend(zeros(&mut memory, 2 * SIZE * SIZE).to_le_bytes());
    }
    parameters.extend([SIZE as u32; 3].iter().flat_map(|size| size.to_le_bytes()));
    let tiles = SIZE.div_ceil(128) as u32;
    let launch = Launch {
        kernel: 0,
        grid: [tiles, tiles, 1],
        block: [256, 1, 1],
        dynamic_shared_bytes: 3 * 16384,
        cooperative: false,
        parameters,
    };
    let mut group = criterion.benchmark_group("gemm");
    group.throughput(Throughput::Elements((SIZE * SIZE * SIZE) as u64)).sample_size(20);
    for threads in THREADS {
        group.bench_function(BenchmarkId::new("fp16, fp32 accumulation", threads), |bencher| {
            bencher.iter(|| run(&module, &launch, &memory, threads));
        });
    }
}

/// A kernel's name, whether its counts are in sixteen bytes, and the arrays that it moves.
const STREAMS: [(&str, bool, usize); 3] = [("axpy", false, 3), ("copy", true, 2), ("sum", true, 1)];

fn streams(criterion: &mut Criterion) {
    const BYTES: usize = 8 << 20;
    let mut memory = Memory::default();
    let module = load(include_str!("stream.ptx"), &mut memory);
    let arrays = [zeros(&mut memory, BYTES), zeros(&mut memory, BYTES)];
    let mut group = criterion.benchmark_group("stream");
    group.sample_size(20);
    for (name, wide, moved) in STREAMS {
        let kernel = module.kernels().iter().position(|kernel| kernel.name == name).expect("one of the file's kernels");
        let mut parameters: Vec<u8> = arrays.iter().flat_map(|array| array.to_le_bytes()).collect();
        if name == "axpy" {
            parameters.extend(2f32.to_le_bytes());
        }
        parameters.extend(((BYTES / if wide { 16 } else { 4 }) as u32).to_le_bytes());
        let launch = Launch {
            kernel,
            grid: [128, 1, 1],
            block: [256, 1, 1],
            dynamic_shared_bytes: 0,
            cooperative: false,
            parameters,
        };
        group.throughput(Throughput::Bytes((moved * BYTES) as u64));
        for threads in THREADS {
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                bencher.iter(|| run(&module, &launch, &memory, threads));
            });
        }
    }
}

/// A module of 5,000 instructions: a straight line of arithmetic on values that live long, in a loop.
fn large_module() -> String {
    let mut body = String::new();
    for index in 0..4990 {
        let (d, a, b) = (index % 100, (index * 7 + 1) % 100, (index * 13 + 5) % 100);
        body += &format!("\tmad.lo.s32 \t%r{d}, %r{a}, %r{b}, %r{};\n", (index * 31 + 3) % 100);
    }
    format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry large(.param .u64 out)\n{{\n\
         \t.reg .b32 %r<100>;\n\t.reg .b64 %d<2>;\n\t.reg .pred %p;\n\tmov.u32 \t%r0, %tid.x;\n$again:\n{body}\
         \tsetp.lt.s32 \t%p, %r1, %r2;\n@%p bra \t$again;\n\tld.param.u64 \t%d0, [out];\n\
         \tst.global.u32 \t[%d0], %r0;\n\tret;\n}}\n"
    )
}

fn module_load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(20);
    for (name, ptx) in [("5,000 instructions", large_module()), ("gemm", include_str!("../tests/ptx/gemm.ptx").into())]
    {
        group.bench_function(name, |bencher| bencher.iter(|| load(&ptx, &mut Memory::default())));
    }
}

criterion_group!(benches, gemm, streams, module_load);
criterion_main!(benches);
