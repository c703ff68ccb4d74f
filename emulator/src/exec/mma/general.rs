//! Matrix products of any element types: fragments to plain matrices, products in loops, results back to lanes.
//!
//! Floating-point products are accumulated as those of the fast shapes: `acc = fma(a[k], b[k], acc)` in order of k, in
//! fp64 for fp64 and in fp32 for everything else; fp16 accumulators are widened first and rounded once at the end. A
//! [`Model`] replaces that by the arithmetic of hardware. Integer sums are exact, then wrapped or clamped to 32 bits.

use super::model::Model;
use crate::exec::half::{CANONICAL_NAN_F32, bf16_to_f32, f16_to_f32, round_to_half};
use crate::exec::lanes::{FULL, File};
use crate::exec::simd::SimdLevel;
use crate::isa::{
    Element, Fragment, HalfFormat, MatrixOperand, MatrixProduct, Mma, MmaShape, Pairing, QuadPairProduct, Reg, Role,
    Rounding,
};

/// A matrix in rows; large enough for every shape, and B stands transposed in it.
struct Matrix<T> {
    columns: usize,
    values: Vec<T>,
}

impl<T: Copy + Default> Matrix<T> {
    fn new(fragment: Fragment) -> Self {
        let columns = fragment.columns as usize;
        Matrix { columns, values: vec![T::default(); fragment.rows as usize * columns] }
    }

    fn row(&self, row: usize) -> &[T] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// Gathers a fragment; `decode` makes a value of an element's bits.
    fn gather(file: &File, operand: &MatrixOperand, decode: impl Fn(u64) -> T) -> Self {
        let fragment = operand.fragment;
        let mut matrix = Matrix::new(fragment);
        let (bits, count) = (fragment.element.bits(), fragment.per_register());
        let mask = u64::MAX >> (64 - bits);
        for (register, reg) in operand.registers.iter().enumerate() {
            let word = |lane: usize| match fragment.element {
                Element::F64 => file.get64(*reg)[lane],
                _ => file.get(*reg)[lane].into(),
            };
            for lane in 0..32 {
                let word = word(lane);
                for part in 0..count {
                    let (row, column) = fragment.position(register, part, lane);
                    matrix.values[row * matrix.columns + column] = decode(word >> (bits * part) & mask);
                }
            }
        }
        matrix
    }

    /// Scatters a result into its fragment.
    fn scatter(&self, file: &mut File, operand: &MatrixOperand, encode: impl Fn(T) -> u64) {
        let fragment = operand.fragment;
        let (bits, count) = (fragment.element.bits(), fragment.per_register());
        for (register, reg) in operand.registers.iter().enumerate() {
            let word = |lane: usize| {
                (0..count).fold(0, |word, part| {
                    let (row, column) = fragment.position(register, part, lane);
                    word | encode(self.values[row * self.columns + column]) << (bits * part)
                })
            };
            match fragment.element {
                Element::F64 => file.set64(FULL, *reg, std::array::from_fn(word)),
                _ => file.set(FULL, *reg, std::array::from_fn(|lane| word(lane) as u32)),
            }
        }
    }
}

/// An element of at most 32 bits as fp32, exactly; tf32 loses the bits that do not count.
fn to_f32(element: Element) -> fn(u64) -> f32 {
    match element {
        Element::F16 => |bits| f32::from_bits(f16_to_f32(bits as u16)),
        Element::Bf16 => |bits| f32::from_bits(bf16_to_f32(bits as u16)),
        Element::Tf32 => |bits| f32::from_bits(bits as u32 & !0x1fff),
        Element::E4m3 => |bits| e4m3_to_f32(bits as u8),
        // The upper byte of an fp16 number.
        Element::E5m2 => |bits| f32::from_bits(f16_to_f32((bits as u16) << 8)),
        _ => |bits| f32::from_bits(bits as u32),
    }
}

/// 4 exponent bits of bias 7 and 3 fraction bits; no infinities, and one NaN of each sign.
pub(in crate::exec) fn e4m3_to_f32(bits: u8) -> f32 {
    if bits & 0x7f == 0x7f {
        return f32::from_bits(CANONICAL_NAN_F32);
    }
    let magnitude = u16::from(bits & 0x7f) << 7;
    // As fp16 the exponent is too small by 8; the scale is exact.
    let value = f32::from_bits(f16_to_f32(magnitude)) * 256.0;
    if bits & 0x80 == 0 { value } else { -value }
}

/// An element of 1 to 8 bits as an integer.
fn to_integer(element: Element) -> fn(u64) -> i32 {
    match element {
        Element::S8 => |bits| (bits as i8).into(),
        Element::S4 => |bits| (((bits as i8) << 4) >> 4).into(),
        _ => |bits| bits as i32,
    }
}

/// The bits of an accumulator.
fn from_f32(element: Element) -> fn(f32) -> u64 {
    match element {
        Element::F16 => |value| round_to_half(HalfFormat::F16, Rounding::Nearest, value.into()).into(),
        _ => |value| if value.is_nan() { CANONICAL_NAN_F32.into() } else { value.to_bits().into() },
    }
}

/// `d = a * b + c` of any types by the lanes of a whole warp.
pub(in crate::exec) fn product(level: SimdLevel, model: Option<&Model>, file: &mut File, product: &MatrixProduct) {
    match (product.pairing, product.a.fragment.element) {
        (Pairing::Multiply, Element::F64) => doubles(level, file, product),
        (Pairing::Multiply, Element::S8 | Element::U8 | Element::S4 | Element::U4) => integers(file, product),
        (Pairing::Multiply, _) => floats(level, model, file, product),
        (pairing, _) => bits(file, product, pairing == Pairing::XorPopc),
    }
}

fn floats(level: SimdLevel, model: Option<&Model>, file: &mut File, product: &MatrixProduct) {
    let read = |file: &File, operand: &MatrixOperand| Matrix::gather(file, operand, to_f32(operand.fragment.element));
    let (a, b, mut c) = (read(file, &product.a), read(file, &product.b), read(file, &product.c));
    let d = product.d.fragment.element;
    match model {
        Some(model) => {
            let arithmetic = model.arithmetic(product.a.fragment.element, d);
            arithmetic.multiply(a.columns, &a.values, &b.values, &mut c.values);
        }
        None => multiply(level, a.columns, &a.values, &transposed(&b).values, &mut c.values),
    }
    c.scatter(file, &product.d, from_f32(d));
}

fn transposed<T: Copy + Default>(b: &Matrix<T>) -> Matrix<T> {
    let rows = b.values.len() / b.columns;
    let values = (0..b.values.len()).map(|index| b.values[index % rows * b.columns + index / rows]).collect();
    Matrix { columns: rows, values }
}

/// What `c += a * b` needs of its numbers.
trait Number: Copy {
    fn fma(self, b: Self, c: Self) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn fma(self, b: f32, c: f32) -> f32 {
        self.mul_add(b, c)
    }
}

impl Number for f64 {
    #[inline(always)]
    fn fma(self, b: f64, c: f64) -> f64 {
        self.mul_add(b, c)
    }
}

/// `c += a * b` for A of `depth` columns, all in rows.
fn multiply<T: Number>(level: SimdLevel, depth: usize, a: &[T], b: &[T], c: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn vectors<T: Number>(depth: usize, a: &[T], b: &[T], c: &mut [T]) {
            loops(depth, a, b, c);
        }
        if level.has_avx2() {
            // SAFETY: the level says that the host has AVX2 and FMA.
            return unsafe { vectors(depth, a, b, c) };
        }
    }
    let _ = level;
    loops(depth, a, b, c);
}

#[inline(always)]
fn loops<T: Number>(depth: usize, a: &[T], b: &[T], c: &mut [T]) {
    let columns = b.len() / depth;
    for (a, c) in a.chunks_exact(depth).zip(c.chunks_exact_mut(columns)) {
        for (a, b) in a.iter().zip(b.chunks_exact(columns)) {
            for (c, b) in c.iter_mut().zip(b) {
                *c = a.fma(*b, *c);
            }
        }
    }
}

fn doubles(level: SimdLevel, file: &mut File, product: &MatrixProduct) {
    let read = |file: &File, operand| Matrix::gather(file, operand, f64::from_bits);
    let (a, b, mut c) = (read(file, &product.a), read(file, &product.b), read(file, &product.c));
    multiply(level, a.columns, &a.values, &transposed(&b).values, &mut c.values);
    c.scatter(file, &product.d, f64::to_bits);
}

/// An exact sum in the 32 bits of the accumulator.
fn narrow(sum: i64, saturate: bool) -> i32 {
    if saturate { sum.clamp(i32::MIN.into(), i32::MAX.into()) as i32 } else { sum as i32 }
}

fn integers(file: &mut File, product: &MatrixProduct) {
    let read =
        |file: &File, operand: &MatrixOperand| Matrix::gather(file, operand, to_integer(operand.fragment.element));
    let (a, b) = (read(file, &product.a), read(file, &product.b));
    let mut c = Matrix::gather(file, &product.c, |bits| bits as i32);
    let columns = c.columns;
    for (index, c) in c.values.iter_mut().enumerate() {
        // At most 64 products of 16 bits.
        let sum: i32 = a.row(index / columns).iter().zip(b.row(index % columns)).map(|(a, b)| a * b).sum();
        *c = narrow(i64::from(*c) + i64::from(sum), product.saturate);
    }
    c.scatter(file, &product.d, |value| value as u32 as u64);
}

/// Counts bits: rows as words of 32 columns.
fn bits(file: &mut File, product: &MatrixProduct, differ: bool) {
    let words = |file: &File, operand: &MatrixOperand| {
        let fragment = Fragment { element: Element::S32, columns: operand.fragment.columns / 32, ..operand.fragment };
        Matrix::gather(file, &MatrixOperand { fragment, registers: operand.registers.clone() }, |bits| bits as u32)
    };
    let (a, b) = (words(file, &product.a), words(file, &product.b));
    let mut c = Matrix::gather(file, &product.c, |bits| bits as u32);
    let columns = c.columns;
    for (index, c) in c.values.iter_mut().enumerate() {
        let pairs = a.row(index / columns).iter().zip(b.row(index % columns));
        let count = pairs.map(|(a, b)| if differ { a ^ b } else { a & b }.count_ones());
        *c = c.wrapping_add(count.sum());
    }
    c.scatter(file, &product.d, u64::from);
}

/// A product of a fast shape by the arithmetic of `model`.
pub(in crate::exec) fn modelled(level: SimdLevel, model: &Model, file: &mut File, op: &Mma) {
    let (a, b, c) = op.shape.registers();
    let (element, accumulator, depth) = elements(op.shape);
    let operand = |role, element, rows, columns, registers: &[Reg]| MatrixOperand {
        fragment: Fragment { role, element, rows, columns },
        registers: registers.to_vec(),
    };
    let operands = MatrixProduct {
        a: operand(Role::A, element, 16, depth, &op.a[..a]),
        b: operand(Role::B, element, 8, depth, &op.b[..b]),
        c: operand(Role::Accumulator, accumulator, 16, 8, &op.c[..c]),
        d: operand(Role::Accumulator, accumulator, 16, 8, &op.d[..c]),
        pairing: Pairing::Multiply,
        saturate: false,
    };
    product(level, Some(model), file, &operands);
}

/// Elements of A and B, of the accumulators, and the columns of A.
fn elements(shape: MmaShape) -> (Element, Element, u32) {
    let element = match shape.format() {
        HalfFormat::F16 => Element::F16,
        HalfFormat::Bf16 => Element::Bf16,
    };
    let (a, _, accumulators) = shape.registers();
    (element, if accumulators == 2 { Element::F16 } else { Element::F32 }, 4 * a as u32)
}

/// `mma.m8n8k4` on fp16: the lanes of a quad pair hold an 8 x 4 matrix, a 4 x 8 one and an 8 x 8 accumulator (PTX ISA,
/// "Matrix fragments for mma.m8n8k4 with .f16").
pub(in crate::exec) fn quad_pairs(level: SimdLevel, model: Option<&Model>, file: &mut File, op: &QuadPairProduct) {
    let mut results = vec![[0f32; 8]; 32];
    for quad in 0..4 {
        let lane = |index: usize| 4 * quad + index % 4 + 4 * (index & 4);
        let half = |registers: [Reg; 2], index: usize, part: usize| {
            let word = file.get(registers[part / 2])[lane(index)] >> (16 * (part % 2));
            f32::from_bits(f16_to_f32(word as u16))
        };
        // Row i of A, and column i of B, from the lane that holds it or from the lanes of its elements.
        let vector = |registers, scattered: bool, i: usize, k: usize| match scattered {
            false => half(registers, i, k),
            true => half(registers, k + (i & 4), i % 4),
        };
        let a: Vec<f32> = (0..32).map(|index| vector(op.a, op.a_columns, index / 4, index % 4)).collect();
        let b: Vec<f32> = (0..32).map(|index| vector(op.b, op.b_rows, index / 4, index % 4)).collect();
        let wide = op.c.len() == 8;
        let mut c = [0f32; 64];
        for (index, part) in (0..8).flat_map(|index| (0..8).map(move |part| (index, part))) {
            let (row, column) = quad_pair_position(wide, index, part);
            c[8 * row + column] = match wide {
                true => f32::from_bits(file.get(op.c[part])[lane(index)]),
                false => {
                    f32::from_bits(f16_to_f32((file.get(op.c[part / 2])[lane(index)] >> (16 * (part % 2))) as u16))
                }
            };
        }
        match model {
            Some(model) => {
                let d = if op.d.len() == 8 { Element::F32 } else { Element::F16 };
                model.arithmetic(Element::F16, d).multiply(4, &a, &b, &mut c);
            }
            None => multiply(level, 4, &a, &transposed(&Matrix { columns: 4, values: b }).values, &mut c),
        }
        for (index, part) in (0..8).flat_map(|index| (0..8).map(move |part| (index, part))) {
            let (row, column) = quad_pair_position(op.d.len() == 8, index, part);
            results[lane(index)][part] = c[8 * row + column];
        }
    }
    let narrow = from_f32(if op.d.len() == 8 { Element::F32 } else { Element::F16 });
    for (register, reg) in op.d.iter().enumerate() {
        let value = std::array::from_fn(|lane| match op.d.len() {
            8 => narrow(results[lane][register]) as u32,
            _ => narrow(results[lane][2 * register]) as u32 | (narrow(results[lane][2 * register + 1]) as u32) << 16,
        });
        file.set(FULL, *reg, value);
    }
}

/// Row and column of accumulator `part` of lane `index` of a quad pair.
fn quad_pair_position(wide: bool, index: usize, part: usize) -> (usize, usize) {
    match wide {
        true => ((index & 1) + (part & 2) + (index & 4), (part & 4) + (index & 2) + (part & 1)),
        false => (index, part),
    }
}
