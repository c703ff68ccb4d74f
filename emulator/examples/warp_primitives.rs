//! Times the warp-wide primitives that matrix kernels live on: `cargo run --release -p cuda-emulator --example
//! warp_primitives`.
//!
//! Each line is the best of many short runs, which a busy machine disturbs least.

use std::hint::black_box;
use std::time::Instant;

use cuda_emulator::exec::half::{Clamp, Lanes, f32_to_half2, half2_to_f32};
use cuda_emulator::exec::mma::{Operands, load_block, mma, multiply};
use cuda_emulator::exec::simd::SimdLevel;
use cuda_emulator::isa::{HalfFormat, MmaShape, Rounding};

/// Calls in one measurement, measurements of which the best counts.
const CALLS: u32 = 200;
const MEASUREMENTS: u32 = 1000;

fn time(path: &str, name: &str, mut operation: impl FnMut()) {
    let measure = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| operation());
        start.elapsed() / CALLS
    };
    let best = (0..MEASUREMENTS).map(measure).min().unwrap_or_default();
    println!("{path:8} {name:28} {:5} ns", best.as_nanos());
}

fn main() {
    for (path, level) in [("detected", SimdLevel::detect()), ("portable", SimdLevel::PORTABLE)] {
        products(path, level);
        conversions(path, level);
        loads(path, level);
    }
}

fn products(path: &str, level: SimdLevel) {
    let (a, b, c) = ([[0x3c00_3801; 32]; 4], [[0x3400_3555; 32]; 2], [[0; 32]; 4]);
    let (mut operands, mut d) = (Operands::default(), [[0; 32]; 4]);
    for shape in [MmaShape::M16N8K16F16F32, MmaShape::M16N8K8F16F32, MmaShape::M16N8K16F16F16] {
        time(path, &format!("{shape:?}"), || {
            let (a, b, c) = (black_box(&a).each_ref(), black_box(&b).each_ref(), black_box(&c).each_ref());
            mma(level, shape, &mut operands, &mut d, a, b, c);
            black_box(&mut d);
        });
    }
    time(path, "M16N8K16F16F32, widened", || {
        let Operands { a, b } = black_box(&operands);
        multiply(level, MmaShape::M16N8K16F16F32, &mut d, a.each_ref(), b.each_ref(), black_box(&c).each_ref());
        black_box(&mut d);
    });
}

fn conversions(path: &str, level: SimdLevel) {
    let packed: Lanes = [0x3c00_3801; 32];
    let (mut low, mut high, mut d) = ([0; 32], [0; 32], [0; 32]);
    time(path, "f16x2 to f32", || {
        half2_to_f32(level, HalfFormat::F16, &mut low, &mut high, black_box(&packed));
        black_box((&mut low, &mut high));
    });
    time(path, "f32 to f16x2", || {
        let (low, high) = (black_box(&low), black_box(&high));
        f32_to_half2(level, HalfFormat::F16, Rounding::Nearest, Clamp::None, &mut d, low, high);
        black_box(&mut d);
    });
}

fn loads(path: &str, level: SimdLevel) {
    let shared = vec![1; 64 << 10];
    let rows = std::array::from_fn(|row| row as u32 * 144);
    let mut d = [[0; 32]; 4];
    for transposed in [false, true] {
        time(path, if transposed { "ldmatrix.x4.trans" } else { "ldmatrix.x4" }, || {
            for d in &mut d {
                assert!(load_block(level, black_box(&shared), black_box(&rows), transposed, d).is_ok());
            }
            black_box(&mut d);
        });
    }
}
