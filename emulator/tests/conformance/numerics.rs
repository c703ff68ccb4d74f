//! The two arithmetics of matrix products, in kernels.

use cuda_emulator::exec::Numerics;
use half::{bf16, f16};

use crate::harness::{Argument, Shape, launch, module};

/// The deepest product of the models that this was built for: 2,560 channels of 3 x 3.
const DEPTH: usize = 23_040;

/// fp16 numbers in [0.5, 1.5).
fn number(index: usize) -> f16 {
    f16::from_f32(0.5 + ((index as u32).wrapping_mul(0x9e37_79b1) >> 22) as f32 / 1024.0)
}

/// The sums of 16 x 8 dot products of `DEPTH`, and what they are exactly. Row r of A begins r numbers later, column n of
/// B 5 n numbers later.
fn long_sums(numerics: Numerics) -> Vec<(f32, f64)> {
    let body = "	.reg .b64 %pa, %pb, %pd, %lane;
	.reg .b32 %t, %i, %a<4>, %b<2>;
	.reg .f32 %d<4>;
	.reg .pred %p;
	ld.param.u64 %pd, [d];
	ld.param.u64 %pa, [a];
	ld.param.u64 %pb, [b];
	mov.u32 %t, %laneid;
	mul.wide.u32 %lane, %t, 16;
	add.u64 %pd, %pd, %lane;
	add.u64 %pa, %pa, %lane;
	mul.wide.u32 %lane, %t, 8;
	add.u64 %pb, %pb, %lane;
	mov.f32 %d0, 0f00000000;
	mov.f32 %d1, 0f00000000;
	mov.f32 %d2, 0f00000000;
	mov.f32 %d3, 0f00000000;
	mov.u32 %i, 0;
LOOP:
	ld.global.v4.u32 {%a0, %a1, %a2, %a3}, [%pa];
	ld.global.v2.u32 {%b0, %b1}, [%pb];
	mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%d0, %d1, %d2, %d3}, {%a0, %a1, %a2, %a3}, {%b0, %b1}, {%d0, %d1, %d2, %d3};
	add.u64 %pa, %pa, 512;
	add.u64 %pb, %pb, 256;
	add.u32 %i, %i, 16;
	setp.lt.u32 %p, %i, 23040;
	@%p bra LOOP;
	st.global.v4.f32 [%pd], {%d0, %d1, %d2, %d3};";
    let a = |row: usize, k: usize| number(k + row);
    let b = |k: usize, column: usize| number(k + 5 * column + 7);
    let pair = |x: f16, y: f16| u32::from(x.to_bits()) | u32::from(y.to_bits()) << 16;
    let (mut a_words, mut b_words) = (Vec::new(), Vec::new());
    for (step, lane) in (0..DEPTH / 16).flat_map(|step| (0..32).map(move |lane| (16 * step, lane))) {
        let (row, k) = (lane / 4, step + 2 * (lane % 4));
        for (row, k) in [(row, k), (row + 8, k), (row, k + 8), (row + 8, k + 8)] {
            a_words.push(pair(a(row, k), a(row, k + 1)));
        }
        b_words.extend([k, k + 8].map(|k| pair(b(k, row), b(k + 1, row))));
    }
    let mut d = vec![0; 128];
    let arguments = &mut [&mut d, &mut a_words, &mut b_words].map(|words| Argument::Buffer(words.as_mut_slice()));
    let shape = Shape::line(1, 32).numerics(numerics);
    launch(&module(&["d", "a", "b"], body), shape, arguments).unwrap_or_else(|report| panic!("{report}"));
    let place = |index: usize| (index / 16 + 8 * (index % 4 / 2), 2 * (index / 4 % 4) + index % 2);
    let exact = |row, column| (0..DEPTH).map(|k| a(row, k).to_f64() * b(k, column).to_f64()).sum::<f64>();
    d.iter().enumerate().map(|(index, bits)| (f32::from_bits(*bits), exact(place(index).0, place(index).1))).collect()
}

/// The largest relative error.
fn worst(sums: &[(f32, f64)]) -> f64 {
    sums.iter().map(|(sum, exact)| ((f64::from(*sum) - exact) / exact).abs()).fold(0.0, f64::max)
}

#[test]
fn tensor_cores_lose_what_truncation_takes() {
    let (fast, hardware) = (long_sums(Numerics::Fast), long_sums(Numerics::Hardware));
    assert!(worst(&fast) < 4e-5, "{:e}", worst(&fast));
    assert!((1e-4..5e-4).contains(&worst(&hardware)), "{:e}", worst(&hardware));
    // Truncation of positive numbers only ever takes.
    assert!(hardware.iter().all(|(sum, exact)| f64::from(*sum) < *exact));
}

/// `warp_matrix.cu` in both arithmetics: its numbers are so small that they agree.
#[test]
fn the_header_for_warp_matrices() {
    let a = |row: usize, k: usize| ((row * 7 + k * 3) % 11) as f32 - 5.0;
    let b = |k: usize, column: usize| ((column * 5 + k) % 7) as f32 - 3.0;
    let encodings: [(usize, fn(f32) -> u32); 4] = [
        (16, |x| f16::from_f32(x).to_bits().into()),
        (16, |x| bf16::from_f32(x).to_bits().into()),
        (32, f32::to_bits),
        (8, |x| u32::from(x as i8 as u8)),
    ];
    let pack = |values: Vec<f32>, (bits, encode): (usize, fn(f32) -> u32)| -> Vec<u32> {
        let words = values.chunks(32 / bits);
        words.map(|part| part.iter().rev().fold(0, |word, x| (u64::from(word) << bits) as u32 | encode(*x))).collect()
    };
    for (which, encoding) in encodings.into_iter().enumerate() {
        for numerics in [Numerics::Fast, Numerics::Hardware] {
            let mut d = vec![0; 32 * 16];
            let mut a_words = pack((0..32 * 64).map(|i| a(i / 64, i % 64)).collect(), encoding);
            let mut b_words = pack((0..16 * 64).map(|i| b(i % 64, i / 64)).collect(), encoding);
            let mut arguments = vec![
                Argument::Buffer(&mut d),
                Argument::Buffer(&mut a_words),
                Argument::Buffer(&mut b_words),
                Argument::U32(which as u32),
            ];
            let shape = Shape::line(1, 32).numerics(numerics);
            launch(include_str!("../ptx/warp_matrix.ptx"), shape, &mut arguments)
                .unwrap_or_else(|report| panic!("{report}"));
            for (index, found) in d.into_iter().enumerate() {
                let exact: f32 = (0..64).map(|k| a(index / 16, k) * b(k, index % 16)).sum::<f32>() * 2.0;
                let expected = if which == 3 { exact as i32 as u32 } else { exact.to_bits() };
                assert_eq!(found, expected, "{which}, row {}, column {}, {numerics:?}", index / 16, index % 16);
            }
        }
    }
}
