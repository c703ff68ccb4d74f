//! The definition, in plain loops.

use super::{COLUMNS, Wide, parameters};
use crate::exec::half::{CANONICAL_NAN_F32, Lanes, bf16_to_f32, f16_to_f32, round_to_half};
use crate::isa::{HalfFormat, MmaShape, Rounding};

/// Element `index` of a block in row-major order.
fn element(format: HalfFormat, block: &Lanes, index: usize) -> f32 {
    let bits = (block[index / 2] >> (16 * (index % 2))) as u16;
    f32::from_bits(match format {
        HalfFormat::F16 => f16_to_f32(bits),
        HalfFormat::Bf16 => bf16_to_f32(bits),
    })
}

pub fn widen_a(format: HalfFormat, wide: &mut Wide, a: &Lanes) {
    for (index, wide) in wide.0.iter_mut().enumerate() {
        *wide = element(format, a, index);
    }
}

pub fn widen_b(format: HalfFormat, wide: &mut Wide, b: &Lanes) {
    for (index, wide) in wide.0.iter_mut().enumerate() {
        *wide = element(format, b, COLUMNS[index % 8] * 8 + index / 8);
    }
}

pub fn multiply(shape: MmaShape, d: &mut [Lanes; 4], a: [&Wide; 4], b: [&Wide; 2], c: [&Lanes; 4]) {
    let (format, blocks, half_accumulator) = parameters(shape);
    for top in 0..2 {
        let mut rows = if half_accumulator { load_half(c[top]) } else { load(c[2 * top], c[2 * top + 1]) };
        for block in 0..blocks {
            accumulate(format, &mut rows, a[2 * block + top], b[block]);
        }
        for value in rows.as_flattened_mut().iter_mut().filter(|value| value.is_nan()) {
            *value = f32::from_bits(CANONICAL_NAN_F32);
        }
        if half_accumulator {
            store_half(&rows, &mut d[top]);
        } else {
            let [even, odd] = d[2 * top..].first_chunk_mut().expect("two registers a half");
            store(&rows, even, odd);
        }
    }
}

fn accumulate(format: HalfFormat, rows: &mut [[f32; 8]; 8], a: &Wide, b: &Wide) {
    for (row, a) in rows.iter_mut().zip(a.0.as_chunks::<8>().0) {
        for (&a, b) in a.iter().zip(b.0.as_chunks::<8>().0) {
            for (sum, &b) in row.iter_mut().zip(b) {
                *sum = match format {
                    // The product of two fp16 numbers is exact in fp32.
                    HalfFormat::F16 => a * b + *sum,
                    HalfFormat::Bf16 => a.mul_add(b, *sum),
                };
            }
        }
    }
}

/// Rows of an fp32 accumulator block: even columns, then odd ones.
fn load(even: &Lanes, odd: &Lanes) -> [[f32; 8]; 8] {
    std::array::from_fn(|row| {
        std::array::from_fn(|n| f32::from_bits(if n < 4 { even[4 * row + n] } else { odd[4 * row + n - 4] }))
    })
}

fn store(rows: &[[f32; 8]; 8], even: &mut Lanes, odd: &mut Lanes) {
    for (row, values) in rows.iter().enumerate() {
        for j in 0..4 {
            (even[4 * row + j], odd[4 * row + j]) = (values[j].to_bits(), values[j + 4].to_bits());
        }
    }
}

fn load_half(pairs: &Lanes) -> [[f32; 8]; 8] {
    std::array::from_fn(|row| std::array::from_fn(|n| element(HalfFormat::F16, pairs, 8 * row + COLUMNS[n])))
}

fn store_half(rows: &[[f32; 8]; 8], pairs: &mut Lanes) {
    let narrow = |value: f32| u32::from(round_to_half(HalfFormat::F16, Rounding::Nearest, value.into()));
    for (row, values) in rows.iter().enumerate() {
        for j in 0..4 {
            pairs[4 * row + j] = narrow(values[j]) | narrow(values[j + 4]) << 16;
        }
    }
}
