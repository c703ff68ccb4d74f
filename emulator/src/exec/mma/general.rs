//! Matrix products of any element types: fragments to plain matrices, products in loops, results back to lanes.
//!
//! Floating-point products are accumulated as those of the fast shapes: `acc = fma(a[k], b[k], acc)` in order of k, in
//! fp64 for fp64 and in fp32 for everything else; fp16 accumulators are widened first and rounded once at the end. A
//! [`Model`] replaces that by the arithmetic of hardware. Integer sums are exact, then wrapped or clamped to 32 bits.
//! Of a sparse A the elements that are there are multiplied, in the order in which they are stored: they fill the blocks
//! of a model as the elements of a dense one do, of which no measurement is known.

use super::model::Model;
use super::sparse::{Columns, Invalid};
use crate::exec::half::{CANONICAL_NAN_F32, bf16_to_f32, f16_to_f32, round_to_half};
use crate::exec::lanes::{FULL, File};
use crate::exec::simd::SimdLevel;
use crate::isa::{
    Element, Fragment, HalfFormat, MatrixOperand, MatrixProduct, Mma, MmaShape, Pairing, QuadPairProduct, Reg, Role,
    Rounding,
};

/// The order in which a matrix is kept.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// Rows of the fragment one after the other.
    Rows,
    /// Columns of the fragment: B, whose fragment is that of its transpose, then stands as it is multiplied.
    Columns,
}

/// The elements of a fragment, and the steps between them.
struct Matrix<T> {
    values: Vec<T>,
    row_step: usize,
    column_step: usize,
}

impl<T: Copy + Default> Matrix<T> {
    fn new(fragment: Fragment, order: Order) -> Self {
        let (rows, columns) = (fragment.rows as usize, fragment.columns as usize);
        let (row_step, column_step) = if order == Order::Rows { (columns, 1) } else { (1, rows) };
        Matrix { values: vec![T::default(); rows * columns], row_step, column_step }
    }

    /// Where lane 0 has the first element of a register, and the step from one lane of a row to the next.
    fn start(&self, fragment: Fragment, register: usize) -> (usize, usize) {
        let (row, column) = fragment.origin(register, 0);
        (row * self.row_step + column * self.column_step, fragment.run() as usize * self.column_step)
    }

    /// Gathers a fragment of `PARTS` elements a register of 32 bits.
    #[inline(always)]
    fn gather<const PARTS: usize>(
        file: &File,
        operand: &MatrixOperand,
        order: Order,
        decode: impl Fn(u32) -> T,
    ) -> Self {
        let fragment = operand.fragment;
        let mut matrix = Matrix::new(fragment, order);
        let (bits, mask) = (32 / PARTS as u32, u32::MAX >> (32 - 32 / PARTS as u32));
        for (register, reg) in operand.registers.iter().enumerate() {
            let (start, step) = matrix.start(fragment, register);
            for (row, words) in file.get(*reg).as_chunks::<4>().0.iter().enumerate() {
                for (lane, word) in words.iter().enumerate() {
                    let place = start + row * matrix.row_step + lane * step;
                    for part in 0..PARTS {
                        let value = decode(word >> (bits * part as u32) & mask);
                        matrix.values[place + part * matrix.column_step] = value;
                    }
                }
            }
        }
        matrix
    }

    /// Scatters a result in rows into its fragment of `PARTS` elements a register of 32 bits.
    #[inline(always)]
    fn scatter<const PARTS: usize>(&self, file: &mut File, operand: &MatrixOperand, encode: impl Fn(T) -> u32) {
        let bits = 32 / PARTS as u32;
        for (register, reg) in operand.registers.iter().enumerate() {
            let (start, step) = self.start(operand.fragment, register);
            let word = |lane: usize| {
                let place = start + lane / 4 * self.row_step + lane % 4 * step;
                let parts = self.values[place..][..PARTS].iter().enumerate();
                parts.fold(0, |word, (part, value)| word | encode(*value) << (bits * part as u32))
            };
            file.set(FULL, *reg, std::array::from_fn(word));
        }
    }
}

/// A fragment of fp64 numbers.
fn read_doubles(file: &File, operand: &MatrixOperand, order: Order) -> Matrix<f64> {
    let mut matrix = Matrix::new(operand.fragment, order);
    for (register, reg) in operand.registers.iter().enumerate() {
        let (start, step) = matrix.start(operand.fragment, register);
        for (lane, word) in file.get64(*reg).iter().enumerate() {
            matrix.values[start + lane / 4 * matrix.row_step + lane % 4 * step] = f64::from_bits(*word);
        }
    }
    matrix
}

/// A fragment of floating-point numbers of at most 32 bits as fp32, exactly; tf32 loses the bits that do not count.
fn read_floats(file: &File, operand: &MatrixOperand, order: Order) -> Matrix<f32> {
    let wide = f32::from_bits;
    match operand.fragment.element {
        Element::F16 => Matrix::gather::<2>(file, operand, order, |bits| wide(f16_to_f32(bits as u16))),
        Element::Bf16 => Matrix::gather::<2>(file, operand, order, |bits| wide(bf16_to_f32(bits as u16))),
        Element::Tf32 => Matrix::gather::<1>(file, operand, order, |bits| wide(bits & !0x1fff)),
        Element::E4m3 => Matrix::gather::<4>(file, operand, order, |bits| e4m3_to_f32(bits as u8)),
        // The upper byte of an fp16 number.
        Element::E5m2 => Matrix::gather::<4>(file, operand, order, |bits| wide(f16_to_f32((bits as u16) << 8))),
        _ => Matrix::gather::<1>(file, operand, order, wide),
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

/// A fragment of integers of at most 8 bits.
fn read_integers(file: &File, operand: &MatrixOperand, order: Order) -> Matrix<i32> {
    match operand.fragment.element {
        Element::S8 => Matrix::gather::<4>(file, operand, order, |bits| (bits as i8).into()),
        Element::U8 => Matrix::gather::<4>(file, operand, order, |bits| bits as i32),
        Element::S4 => Matrix::gather::<8>(file, operand, order, |bits| (((bits as i8) << 4) >> 4).into()),
        _ => Matrix::gather::<8>(file, operand, order, |bits| bits as i32),
    }
}

/// The bits of an fp16 accumulator.
fn to_f16(value: f32) -> u32 {
    round_to_half(HalfFormat::F16, Rounding::Nearest, value.into()).into()
}

/// The bits of an fp32 accumulator.
fn to_f32(value: f32) -> u32 {
    if value.is_nan() { CANONICAL_NAN_F32 } else { value.to_bits() }
}

/// `d = a * b + c` of any types by the lanes of a whole warp.
pub(in crate::exec) fn product(
    level: SimdLevel,
    model: Option<&Model>,
    file: &mut File,
    product: &MatrixProduct,
) -> Result<(), Invalid> {
    let columns = product.sparsity.map(|sparsity| Columns::of(file, product, &sparsity)).transpose()?;
    match (product.pairing, product.a.fragment.element) {
        (Pairing::Multiply, Element::F64) => doubles(level, file, product),
        (Pairing::Multiply, Element::S8 | Element::U8 | Element::S4 | Element::U4) => {
            integers(level, file, product, columns.as_ref());
        }
        (Pairing::Multiply, _) => floats(level, model, file, product, columns.as_ref()),
        (pairing, _) => bits(file, product, pairing == Pairing::XorPopc),
    }
    Ok(())
}

/// Calls `add(a, b, c)` for the whole product, or for each row of a sparse A with what of B it meets.
fn by_row<T: Copy, S>(
    a: &Matrix<T>,
    b: &Matrix<T>,
    c: &mut [S],
    columns: Option<&Columns>,
    add: impl Fn(&[T], &[T], &mut [S]),
) {
    let Some(columns) = columns else {
        return add(&a.values, &b.values, c);
    };
    let rows = a.values.chunks_exact(a.row_step).zip(c.chunks_exact_mut(SPARSE_COLUMNS));
    for (row, (a, c)) in rows.enumerate() {
        add(a, &meeting(b, columns.row(row)), c);
    }
}

/// Columns of B and of the result of every sparse product.
const SPARSE_COLUMNS: usize = 8;

/// What of B meets the elements of A in `columns`: a row for each, as B is multiplied.
fn meeting<T: Copy>(b: &Matrix<T>, columns: &[u16]) -> Vec<T> {
    let row = |column: &u16| {
        let start = usize::from(*column) * b.column_step;
        (0..SPARSE_COLUMNS).map(move |n| b.values[start + n * b.row_step])
    };
    columns.iter().flat_map(row).collect()
}

fn floats(
    level: SimdLevel,
    model: Option<&Model>,
    file: &mut File,
    product: &MatrixProduct,
    columns: Option<&Columns>,
) {
    let (depth, d) = (product.a.fragment.columns as usize, product.d.fragment.element);
    let a = read_floats(file, &product.a, Order::Rows);
    let mut c = read_floats(file, &product.c, Order::Rows);
    let b = read_floats(file, &product.b, Order::Columns);
    let arithmetic = model.map(|model| model.arithmetic(product.a.fragment.element, d));
    by_row(&a, &b, &mut c.values, columns, |a, b, c| match &arithmetic {
        Some(arithmetic) => arithmetic.multiply(level, depth, a, b, c),
        None => multiply(level, depth, a, b, c),
    });
    match d {
        Element::F16 => c.scatter::<2>(file, &product.d, to_f16),
        _ => c.scatter::<1>(file, &product.d, to_f32),
    }
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

impl Number for i32 {
    #[inline(always)]
    fn fma(self, b: i32, c: i32) -> i32 {
        self.wrapping_mul(b).wrapping_add(c)
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
        // Every shape has 8 columns or a multiple of them.
        for (block, c) in c.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let mut sums = *c;
            for (a, b) in a.iter().zip(b.chunks_exact(columns)) {
                let b = &b.as_chunks::<8>().0[block];
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = a.fma(*b, *sum);
                }
            }
            *c = sums;
        }
    }
}

fn doubles(level: SimdLevel, file: &mut File, product: &MatrixProduct) {
    let depth = product.a.fragment.columns as usize;
    let a = read_doubles(file, &product.a, Order::Rows);
    let b = read_doubles(file, &product.b, Order::Columns);
    let mut c = read_doubles(file, &product.c, Order::Rows);
    multiply(level, depth, &a.values, &b.values, &mut c.values);
    for (register, reg) in product.d.registers.iter().enumerate() {
        let (start, step) = c.start(product.d.fragment, register);
        let value = |lane: usize| c.values[start + lane / 4 * c.row_step + lane % 4 * step].to_bits();
        file.set64(FULL, *reg, std::array::from_fn(value));
    }
}

/// An exact sum in the 32 bits of the accumulator.
fn narrow(sum: i64, saturate: bool) -> i32 {
    if saturate { sum.clamp(i32::MIN.into(), i32::MAX.into()) as i32 } else { sum as i32 }
}

fn integers(level: SimdLevel, file: &mut File, product: &MatrixProduct, columns: Option<&Columns>) {
    let a = read_integers(file, &product.a, Order::Rows);
    let b = read_integers(file, &product.b, Order::Columns);
    let mut c = Matrix::gather::<1>(file, &product.c, Order::Rows, |bits| bits as i32);
    // At most 64 products of 16 bits.
    let mut sums = vec![0; c.values.len()];
    let depth = product.a.fragment.columns as usize;
    by_row(&a, &b, &mut sums, columns, |a, b, c| multiply(level, depth, a, b, c));
    for (c, sum) in c.values.iter_mut().zip(sums) {
        *c = narrow(i64::from(*c) + i64::from(sum), product.saturate);
    }
    c.scatter::<1>(file, &product.d, |value| value as u32);
}

/// A row of a matrix in rows.
fn row(matrix: &Matrix<u32>, row: usize) -> &[u32] {
    &matrix.values[row * matrix.row_step..][..matrix.row_step]
}

/// Counts bits: rows as words of 32 columns.
fn bits(file: &mut File, product: &MatrixProduct, differ: bool) {
    let words = |file: &File, operand: &MatrixOperand| {
        let fragment = Fragment { element: Element::S32, columns: operand.fragment.columns / 32, ..operand.fragment };
        let operand = MatrixOperand { fragment, registers: operand.registers.clone() };
        Matrix::gather::<1>(file, &operand, Order::Rows, |bits| bits)
    };
    let (a, b) = (words(file, &product.a), words(file, &product.b));
    let mut c = Matrix::gather::<1>(file, &product.c, Order::Rows, |bits| bits);
    let columns = c.row_step;
    for (index, c) in c.values.iter_mut().enumerate() {
        let pairs = row(&a, index / columns).iter().zip(row(&b, index % columns));
        *c = c.wrapping_add(pairs.map(|(a, b)| if differ { a ^ b } else { a & b }.count_ones()).sum());
    }
    c.scatter::<1>(file, &product.d, |value| value);
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
        sparsity: None,
    };
    floats(level, Some(model), file, &operands, None);
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
        let b: Vec<f32> = (0..32).map(|index| vector(op.b, op.b_rows, index % 8, index / 8)).collect();
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
        let d = if op.d.len() == 8 { Element::F32 } else { Element::F16 };
        match model.map(|model| model.arithmetic(Element::F16, d)) {
            Some(arithmetic) => arithmetic.multiply(level, 4, &a, &b, &mut c),
            None => multiply(level, 4, &a, &b, &mut c),
        }
        for (index, part) in (0..8).flat_map(|index| (0..8).map(move |part| (index, part))) {
            let (row, column) = quad_pair_position(op.d.len() == 8, index, part);
            results[lane(index)][part] = c[8 * row + column];
        }
    }
    for (register, reg) in op.d.iter().enumerate() {
        let value = std::array::from_fn(|lane| match op.d.len() {
            8 => to_f32(results[lane][register]),
            _ => to_f16(results[lane][2 * register]) | to_f16(results[lane][2 * register + 1]) << 16,
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
