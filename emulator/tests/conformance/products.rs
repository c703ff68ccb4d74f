//! Matrix products of every element type against plain loops; fragments are placed by the formulas of the PTX manual.

mod sparse;

use cuda_emulator::report::Report;
use half::{bf16, f16};

use crate::harness::{Argument, HEADER, Shape, launch};

/// Row and column of element `i` of a lane's fragment, the elements counted over all its registers.
type Place = fn(lane: usize, i: usize) -> (usize, usize);

/// An element type: its name, its bits, some values, and what bits stand for.
#[derive(Clone, Copy)]
struct Element {
    name: &'static str,
    bits: usize,
    /// Some bit pattern chosen by a random number.
    random: fn(u64) -> u64,
    value: fn(u64) -> f64,
}

fn small(random: u64) -> f64 {
    (random % 17) as f64 - 8.0
}

const F16: Element = Element {
    name: "f16",
    bits: 16,
    random: |r| f16::from_f64(small(r)).to_bits().into(),
    value: |bits| f16::from_bits(bits as u16).into(),
};
const BF16: Element = Element {
    name: "bf16",
    bits: 16,
    random: |r| bf16::from_f64(small(r)).to_bits().into(),
    value: |bits| bf16::from_bits(bits as u16).into(),
};
/// The low bits do not count.
const TF32: Element = Element {
    name: "tf32",
    bits: 32,
    random: |r| ((small(r) as f32).to_bits() | (r >> 32) as u32 & 0x1fff).into(),
    value: |bits| f32::from_bits(bits as u32 & !0x1fff).into(),
};
const F32: Element = Element {
    name: "f32",
    bits: 32,
    random: |r| (small(r) as f32).to_bits().into(),
    value: |bits| f32::from_bits(bits as u32).into(),
};
const F64: Element = Element { name: "f64", bits: 64, random: |r| small(r).to_bits(), value: f64::from_bits };
const E4M3: Element = Element { name: "e4m3", bits: 8, random: |r| r & 0xb7, value: |bits| eight_bits(bits, 3, 7) };
const E5M2: Element =
    Element { name: "e5m2", bits: 8, random: |r| r & 0x87 | 0x38, value: |bits| eight_bits(bits, 2, 15) };
const S8: Element = Element { name: "s8", bits: 8, random: |r| r & 0xff, value: |bits| (bits as i8).into() };
const U8: Element = Element { name: "u8", bits: 8, random: |r| r & 0xff, value: |bits| (bits as u8).into() };
const S4: Element = Element { name: "s4", bits: 4, random: |r| r & 15, value: |bits| ((bits ^ 8) as f64) - 8.0 };
const U4: Element = Element { name: "u4", bits: 4, random: |r| r & 15, value: |bits| bits as f64 };
const B1: Element = Element { name: "b1", bits: 1, random: |r| r & 1, value: |bits| bits as f64 };
const S32: Element =
    Element { name: "s32", bits: 32, random: |r| (r as i32 >> 8) as u32 as u64, value: |bits| (bits as i32).into() };
/// Accumulators near the end of their range.
const S32_LARGE: Element =
    Element { name: "s32", bits: 32, random: |r| if r & 1 == 0 { 0x7fff_ff00 } else { 0x8000_0100 }, value: S32.value };

/// A finite 8-bit float with `fraction` bits.
fn eight_bits(bits: u64, fraction: i32, bias: i32) -> f64 {
    let field = (bits >> fraction & (0x7f >> fraction)) as i32;
    let rest = (bits & ((1 << fraction) - 1)) as f64 / f64::from(1 << fraction);
    let magnitude = if field == 0 { rest * 2f64.powi(1 - bias) } else { (1.0 + rest) * 2f64.powi(field - bias) };
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 7
    }
}

/// A matrix of bit patterns in rows.
struct Matrix {
    element: Element,
    columns: usize,
    bits: Vec<u64>,
}

impl Matrix {
    fn random(element: Element, rows: usize, columns: usize, random: &mut Random) -> Matrix {
        Matrix { element, columns, bits: (0..rows * columns).map(|_| (element.random)(random.next())).collect() }
    }

    fn value(&self, row: usize, column: usize) -> f64 {
        (self.element.value)(self.bits[row * self.columns + column])
    }

    /// The words of all lanes' registers, `place` saying where each element lies.
    fn fragments(&self, place: Place) -> Vec<u32> {
        let bytes = self.bits.len() * self.element.bits / 8;
        let mut words = vec![0; bytes / 4];
        self.each(place, bytes, |index, bit| {
            let wide = u128::from(self.bits[index]) << (bit % 32);
            words[bit / 32] |= wide as u32;
            if self.element.bits == 64 {
                words[bit / 32 + 1] |= (wide >> 32) as u32;
            }
        });
        words
    }

    /// The matrix of this size that words of registers hold.
    fn of_fragments(&self, place: Place, words: &[u32]) -> Vec<u64> {
        let mut found = vec![0; self.bits.len()];
        self.each(place, 4 * words.len(), |index, bit| {
            let high = if self.element.bits == 64 { u64::from(words[bit / 32 + 1]) << 32 } else { 0 };
            found[index] = (u64::from(words[bit / 32]) >> (bit % 32) | high) & (u64::MAX >> (64 - self.element.bits));
        });
        found
    }

    /// Calls back with the index of every element and its first bit among all lanes' registers of `bytes` together.
    fn each(&self, place: Place, bytes: usize, mut f: impl FnMut(usize, usize)) {
        let per_lane = bytes / 4 / self.element.bits;
        for lane in 0..32 {
            for i in 0..per_lane {
                let (row, column) = place(lane, i);
                f(row * self.columns + column, (lane * per_lane + i) * self.element.bits);
            }
        }
    }
}

/// The fragments of one instruction.
struct Layout {
    a: Place,
    b: Place,
    c: Place,
}

/// What is computed of the elements of a row of A and a column of B.
#[derive(Clone, Copy)]
enum Pairing {
    Multiply,
    Xor,
    And,
}

/// `d = a * b + c`, exact in fp64 for the numbers here; of saturating and wrapping sums too.
fn reference(a: &Matrix, b: &Matrix, c: &Matrix, pairing: Pairing) -> Vec<f64> {
    let (depth, columns) = (a.columns, c.columns);
    let pair = |x: f64, y: f64| match pairing {
        Pairing::Multiply => x * y,
        Pairing::Xor => f64::from(u8::from(x != y)),
        Pairing::And => x * y,
    };
    (0..c.bits.len())
        .map(|index| {
            let (row, column) = (index / columns, index % columns);
            let products = (0..depth).map(|k| pair(a.value(row, k), b.value(k, column)));
            c.value(row, column) + products.sum::<f64>()
        })
        .collect()
}

/// Bits of a result in the accumulator's type.
fn encode(element: Element, value: f64, saturate: bool) -> u64 {
    match element.name {
        "f16" => f16::from_f64(value).to_bits().into(),
        "f32" => (value as f32).to_bits().into(),
        "s32" if saturate => value.clamp(i32::MIN.into(), i32::MAX.into()) as i32 as u32 as u64,
        "s32" => value as i64 as u32 as u64,
        _ => value.to_bits(),
    }
}

/// `{%a0, %a1, ...}` and the loads or stores of these registers at `[%p{name}]`.
fn registers(name: &str, count: usize, wide: bool, store: bool) -> (String, String) {
    let list: Vec<String> = (0..count).map(|i| format!("%{name}{i}")).collect();
    let (bits, bytes) = if wide { (64, 8) } else { (32, 4) };
    let moves = (0..count).map(|i| match store {
        true => format!("\tst.global.b{bits} [%p{name}+{}], %{name}{i};\n", i * bytes),
        false => format!("\tld.global.b{bits} %{name}{i}, [%p{name}+{}];\n", i * bytes),
    });
    (format!("{{{}}}", list.join(", ")), moves.collect())
}

/// Runs `instruction` (without operands) with each lane's registers taken from `words`; the words of `d`.
fn run(instruction: &str, wide: bool, operands: [&[u32]; 3], d_words: usize) -> Vec<u32> {
    let [a, b, c] = operands;
    let text = format!("{instruction} D, A, B, C;");
    run_shape(&text, wide, &[("a", a), ("b", b), ("c", c)], d_words, Shape::line(1, 32))
        .unwrap_or_else(|report| panic!("{report}"))
}

/// Runs `text`, in which the capital letter of an operand stands for its registers, as [`run`].
fn run_shape(
    text: &str,
    wide: bool,
    operands: &[(&str, &[u32])],
    d_words: usize,
    shape: Shape,
) -> Result<Vec<u32>, Report> {
    let size = if wide { 64 } else { 32 };
    let mut body =
        String::from("\t.reg .b64 %lane;\n\t.reg .b32 %t;\n\tmov.u32 %t, %laneid;\n\tcvt.u64.u32 %lane, %t;\n");
    let (mut text, mut stores) = (text.to_owned(), String::new());
    let result = vec![0; d_words];
    let all: Vec<(&str, &[u32])> = std::iter::once(("d", &result[..])).chain(operands.iter().copied()).collect();
    for (name, words) in &all {
        let bytes = words.len() / 32 * 4;
        let (list, moves) = registers(name, bytes * 8 / size, wide, *name == "d");
        body += &format!("\t.reg .b64 %p{name};\n\t.reg .b{size} %{name}<{}>;\n", bytes * 8 / size);
        body += &format!("\tld.param.u64 %p{name}, [{name}];\n\tmad.lo.u64 %p{name}, %lane, {bytes}, %p{name};\n");
        *(if *name == "d" { &mut stores } else { &mut body }) += &moves;
        text = text.replace(&name.to_uppercase(), &list);
    }
    body += &format!("\t{text}\n{stores}");
    let parameters: Vec<String> = all.iter().map(|(name, _)| format!(".param .u64 {name}")).collect();
    let ptx = format!("{HEADER}.visible .entry k({})\n{{\n{body}\tret;\n}}\n", parameters.join(", "));
    let mut buffers: Vec<Vec<u32>> = all.iter().map(|(_, words)| words.to_vec()).collect();
    let mut arguments: Vec<Argument> = buffers.iter_mut().map(|buffer| Argument::Buffer(buffer)).collect();
    launch(&ptx, shape, &mut arguments)?;
    Ok(buffers.swap_remove(0))
}

/// Checks one `mma.sync` of `m`, `n`, `k` on random matrices; `suffix` follows the types.
fn check(shape: (usize, usize, usize), [d, a, b, c]: [Element; 4], suffix: &str, layout: &Layout) {
    let (m, n, k) = shape;
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (m * 1000 + n * 100 + k) as u64);
    let instruction = format!(
        "mma.sync.aligned.m{m}n{n}k{k}.row.col{}.{}.{}.{}.{}{}",
        if suffix == ".satfinite" { suffix } else { "" },
        d.name,
        a.name,
        b.name,
        c.name,
        if suffix == ".satfinite" { "" } else { suffix },
    );
    let pairing = match suffix {
        ".xor.popc" => Pairing::Xor,
        ".and.popc" => Pairing::And,
        _ => Pairing::Multiply,
    };
    for _ in 0..4 {
        let x = Matrix::random(a, m, k, &mut random);
        let y = Matrix::random(b, k, n, &mut random);
        let z = Matrix::random(c, m, n, &mut random);
        let words = [x.fragments(layout.a), y.fragments(layout.b), z.fragments(layout.c)];
        let d_words = m * n * d.bits / 32;
        let found = run(&instruction, d.bits == 64, words.each_ref().map(Vec::as_slice), d_words);
        let result = Matrix { element: d, columns: n, bits: vec![0; m * n] };
        let found = result.of_fragments(layout.c, &found);
        for (index, (found, exact)) in found.into_iter().zip(reference(&x, &y, &z, pairing)).enumerate() {
            let expected = encode(d, exact, suffix == ".satfinite");
            assert_eq!(found, expected, "{instruction}: row {}, column {}: {exact}", index / n, index % n);
        }
    }
}

/// Accumulators of 8 rows, and of 16 rows of 8 columns.
const C_8: Place = |lane, i| (lane / 4, 2 * (lane % 4) + i);
const C_16: Place = |lane, i| (lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2);

#[test]
fn sixteen_bit_floats() {
    let k8 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2),
        b: |lane, i| (2 * (lane % 4) + i, lane / 4),
        c: C_16,
    };
    let k16 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 2 % 2), 2 * (lane % 4) + i % 2 + 8 * (i / 4)),
        b: |lane, i| (2 * (lane % 4) + i % 2 + 8 * (i / 2), lane / 4),
        c: C_16,
    };
    for (shape, layout) in [((16, 8, 8), &k8), ((16, 8, 16), &k16)] {
        for (d, c) in [(F32, F32), (F16, F16), (F32, F16), (F16, F32)] {
            check(shape, [d, F16, F16, c], "", layout);
        }
        check(shape, [F32, BF16, BF16, F32], "", layout);
    }
}

#[test]
fn tensor_floats() {
    let k4 = Layout { a: |lane, i| (lane / 4 + 8 * i, lane % 4), b: |lane, _| (lane % 4, lane / 4), c: C_16 };
    let k8 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i % 2), lane % 4 + 4 * (i / 2)),
        b: |lane, i| (lane % 4 + 4 * i, lane / 4),
        c: C_16,
    };
    check((16, 8, 4), [F32, TF32, TF32, F32], "", &k4);
    check((16, 8, 8), [F32, TF32, TF32, F32], "", &k8);
}

#[test]
fn doubles() {
    let small = Layout { a: |lane, _| (lane / 4, lane % 4), b: |lane, _| (lane % 4, lane / 4), c: C_8 };
    let tall = Layout {
        a: |lane, i| (lane / 4 + 8 * (i % 2), 4 * (i / 2) + lane % 4),
        b: |lane, i| (4 * i + lane % 4, lane / 4),
        c: C_16,
    };
    check((8, 8, 4), [F64; 4], "", &small);
    for k in [4, 8, 16] {
        check((16, 8, k), [F64; 4], "", &tall);
    }
}

#[test]
fn eight_bit_numbers() {
    let small =
        Layout { a: |lane, i| (lane / 4, 4 * (lane % 4) + i), b: |lane, i| (4 * (lane % 4) + i, lane / 4), c: C_8 };
    let k16 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 4), 4 * (lane % 4) + i % 4),
        b: |lane, i| (4 * (lane % 4) + i, lane / 4),
        c: C_16,
    };
    let k32 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 4 % 2), 4 * (lane % 4) + i % 4 + 16 * (i / 8)),
        b: |lane, i| (4 * (lane % 4) + i % 4 + 16 * (i / 4), lane / 4),
        c: C_16,
    };
    for (shape, layout) in [((8, 8, 16), &small), ((16, 8, 16), &k16), ((16, 8, 32), &k32)] {
        for (a, b) in [(S8, S8), (S8, U8), (U8, S8), (U8, U8)] {
            check(shape, [S32, a, b, S32], "", layout);
            check(shape, [S32, a, b, S32_LARGE], "", layout);
            check(shape, [S32, a, b, S32_LARGE], ".satfinite", layout);
        }
    }
    for (a, b) in [(E4M3, E4M3), (E4M3, E5M2), (E5M2, E4M3), (E5M2, E5M2)] {
        check((16, 8, 32), [F32, a, b, F32], "", &k32);
        check((16, 8, 32), [F16, a, b, F16], "", &k32);
    }
}

#[test]
fn four_bit_numbers() {
    let small =
        Layout { a: |lane, i| (lane / 4, 8 * (lane % 4) + i), b: |lane, i| (8 * (lane % 4) + i, lane / 4), c: C_8 };
    let k32 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 8), 8 * (lane % 4) + i % 8),
        b: |lane, i| (8 * (lane % 4) + i, lane / 4),
        c: C_16,
    };
    let k64 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 8 % 2), 8 * (lane % 4) + i % 8 + 32 * (i / 16)),
        b: |lane, i| (8 * (lane % 4) + i % 8 + 32 * (i / 8), lane / 4),
        c: C_16,
    };
    for (shape, layout) in [((8, 8, 32), &small), ((16, 8, 32), &k32), ((16, 8, 64), &k64)] {
        for (a, b) in [(S4, S4), (S4, U4), (U4, S4), (U4, U4)] {
            check(shape, [S32, a, b, S32], "", layout);
            check(shape, [S32, a, b, S32_LARGE], ".satfinite", layout);
        }
    }
}

#[test]
fn single_bits() {
    let small =
        Layout { a: |lane, i| (lane / 4, 32 * (lane % 4) + i), b: |lane, i| (32 * (lane % 4) + i, lane / 4), c: C_8 };
    let k128 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 32), 32 * (lane % 4) + i % 32),
        b: |lane, i| (32 * (lane % 4) + i, lane / 4),
        c: C_16,
    };
    let k256 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 32 % 2), 32 * (lane % 4) + i % 32 + 128 * (i / 64)),
        b: |lane, i| (32 * (lane % 4) + i % 32 + 128 * (i / 32), lane / 4),
        c: C_16,
    };
    for (shape, layout) in [((8, 8, 128), &small), ((16, 8, 128), &k128), ((16, 8, 256), &k256)] {
        check(shape, [S32, B1, B1, S32], ".xor.popc", layout);
        check(shape, [S32, B1, B1, S32], ".and.popc", layout);
    }
}

/// The four products of `mma.m8n8k4`, in every pair of layouts and of accumulator types.
#[test]
fn quad_pairs() {
    let lane = |quad: usize, index: usize| 4 * quad + index % 4 + 16 * (index / 4);
    let wide: Place = |index, i| ((index & 1) + (i & 2) + (index & 4), (i & 4) + (index & 2) + (i & 1));
    let packed: Place = |index, i| (index, i);
    for (layouts, (d, c)) in ["row.col", "row.row", "col.col", "col.row"]
        .into_iter()
        .flat_map(|layouts| [(F32, F32), (F16, F16), (F32, F16)].map(|types| (layouts, types)))
    {
        // Rows of A, and columns of B, by the lane that holds them, or by the lanes of their elements.
        let by_row: Place = |index, i| (index, i);
        let by_column: Place = |index, i| (i + (index & 4), index % 4);
        let a_place = if layouts.starts_with("row") { by_row } else { by_column };
        let b_place = if layouts.ends_with("col") { by_row } else { by_column };
        let mut random = Random(0x1234_5678_9abc_def1);
        let quads: Vec<[Matrix; 3]> = (0..4)
            .map(|_| [(F16, 8, 4), (F16, 8, 4), (c, 8, 8)].map(|(e, r, n)| Matrix::random(e, r, n, &mut random)))
            .collect();
        let place_of = |element: Element| if element.bits == 32 { wide } else { packed };
        let places = [a_place, b_place, place_of(c)];
        let words: [Vec<u32>; 3] = std::array::from_fn(|operand| {
            let per_lane = quads[0][operand].bits.len() * quads[0][operand].element.bits / 32 / 8;
            let mut words = vec![0; 32 * per_lane];
            for (quad, matrices) in quads.iter().enumerate() {
                let matrix = &matrices[operand];
                for index in 0..8 {
                    for i in 0..matrix.bits.len() / 8 {
                        let (row, column) = places[operand](index, i);
                        let bit = i * matrix.element.bits;
                        words[lane(quad, index) * per_lane + bit / 32] |=
                            (matrix.bits[row * matrix.columns + column] << (bit % 32)) as u32;
                    }
                }
            }
            words
        });
        let instruction = format!("mma.sync.aligned.m8n8k4.{layouts}.{}.f16.f16.{}", d.name, c.name);
        let per_lane = 8 * d.bits / 32;
        let found = run(&instruction, false, words.each_ref().map(Vec::as_slice), 32 * per_lane);
        for (quad, [a, b, c]) in quads.iter().enumerate() {
            for (index, i) in (0..8).flat_map(|index| (0..8).map(move |i| (index, i))) {
                let (row, column) = place_of(d)(index, i);
                let sum: f64 = (0..4).map(|k| a.value(row, k) * b.value(column, k)).sum();
                let expected = encode(d, c.value(row, column) + sum, false);
                let bit = i * d.bits;
                let word = u64::from(found[lane(quad, index) * per_lane + bit / 32]);
                assert_eq!(
                    word >> (bit % 32) & (u64::MAX >> (64 - d.bits)),
                    expected,
                    "{instruction}, {row}, {column}"
                );
            }
        }
    }
}

/// A matrix in memory with rows or columns a stride apart, and in between a pattern that nothing may touch.
fn in_memory(matrix: &Matrix, by_rows: bool, stride: usize) -> Vec<u32> {
    let (rows, bits) = (matrix.bits.len() / matrix.columns, matrix.element.bits);
    let outer = if by_rows { rows } else { matrix.columns };
    let mut bytes = vec![0xa5; outer * stride * bits / 8];
    for (index, value) in matrix.bits.iter().enumerate() {
        let (row, column) = (index / matrix.columns, index % matrix.columns);
        let bit = (if by_rows { row * stride + column } else { column * stride + row }) * bits;
        let width = bits.div_ceil(8);
        if bits < 8 {
            bytes[bit / 8] = bytes[bit / 8] & !(((1 << bits) - 1) << (bit % 8)) | (*value as u8) << (bit % 8);
        } else {
            bytes[bit / 8..][..width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

/// Registers of a `wmma` fragment, by the manual's tables.
fn wmma_registers(role: char, element: Element, (m, n, k): (usize, usize, usize)) -> usize {
    match (role, element.name) {
        ('a' | 'b', "f16") => 8,
        ('a', _) => m * k * element.bits / 32 / element.bits.max(32),
        ('b', _) => k * n * element.bits / 32 / element.bits.max(32),
        _ => m * n * element.bits / 32 / element.bits.max(32),
    }
}

/// One `wmma` product from memory to memory; `shared` lets the operands pass through shared memory.
fn check_wmma(
    shape: (usize, usize, usize),
    [d, a, b, c]: [Element; 4],
    layouts: [&str; 3],
    words: [&str; 2],
    shared: bool,
) {
    let (m, n, k) = shape;
    let by_rows = layouts.map(|layout| layout == "row");
    let mut random = Random(0x0bad_cafe_1234_5678 ^ (m * 31 + n * 7 + k) as u64);
    let [x, y, z] = [(a, m, k), (b, k, n), (c, m, n)].map(|(e, r, n)| Matrix::random(e, r, n, &mut random));
    // A gap between rows, wide enough to stay aligned.
    let gap = |element: Element| 128 / element.bits;
    let length = |rows: usize, columns: usize, by_rows: bool| if by_rows { columns } else { rows };
    let strides = [
        length(m, k, by_rows[0]) + gap(a),
        length(k, n, by_rows[1]) + gap(b),
        length(m, n, by_rows[2]) + gap(c),
        length(m, n, by_rows[2]) + gap(d),
    ];
    let mut buffers = [
        in_memory(&x, by_rows[0], strides[0]),
        in_memory(&y, by_rows[1], strides[1]),
        in_memory(&z, by_rows[2], strides[2]),
    ];
    let blank = Matrix { element: d, columns: n, bits: vec![0; m * n] };
    let mut out = in_memory(&blank, by_rows[2], strides[3]);
    let list = |name: &str, count: usize| {
        format!("{{{}}}", (0..count).map(|i| format!("%{name}{i}")).collect::<Vec<_>>().join(", "))
    };
    let counts = [('a', a), ('b', b), ('c', c), ('d', d)].map(|(role, element)| wmma_registers(role, element, shape));
    let mut body = String::from("\t.reg .b64 %pa, %pb, %pc, %pd, %w;\n\t.reg .b32 %t, %s, %i;\n\t.reg .pred %p;\n");
    for (index, (name, element)) in [("a", a), ("b", b), ("c", c), ("d", d)].into_iter().enumerate() {
        let size = if element.bits == 64 { 64 } else { 32 };
        body += &format!("\t.reg .b{size} %{name}<{}>;\n\tld.param.u64 %p{name}, [{name}];\n", counts[index]);
    }
    let space = if shared { ".shared" } else { "" };
    for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
        let element = [a, b, c][index].name;
        if shared {
            body += &format!(
                "\t.shared .align 32 .b8 s{name}[{}];\n\tmov.u32 %i, %laneid;\nL{name}:\n\tmad.wide.u32 %w, %i, 4, %p{name};\n\tld.global.u32 %t, [%w];\n\tmov.u32 %s, s{name};\n\tmad.lo.u32 %s, %i, 4, %s;\n\tst.shared.u32 [%s], %t;\n\tadd.u32 %i, %i, 32;\n\tsetp.lt.u32 %p, %i, {};\n\t@%p bra L{name};\n\tbar.warp.sync -1;\n",
                4 * buffers[index].len(),
                buffers[index].len()
            );
        }
        let place = if shared { format!("s{name}") } else { format!("%p{name}") };
        body += &format!(
            "\twmma.load.{name}.sync.aligned.{}.m{m}n{n}k{k}{space}.{element} {}, [{place}], {};\n",
            layouts[index],
            list(name, counts[index]),
            strides[index]
        );
    }
    let types = match a.name {
        "f16" => format!("{}.{}", d.name, c.name),
        _ => format!("{}.{}.{}.{}", d.name, a.name, b.name, c.name),
    };
    body += &format!(
        "\twmma.mma{}.sync.aligned.{}.{}.m{m}n{n}k{k}.{types}{} {}, {}, {}, {};\n",
        words[0],
        layouts[0],
        layouts[1],
        words[1],
        list("d", counts[3]),
        list("a", counts[0]),
        list("b", counts[1]),
        list("c", counts[2])
    );
    body += &format!(
        "\twmma.store.d.sync.aligned.{}.m{m}n{n}k{k}.global.{} [%pd], {}, {};\n",
        layouts[2],
        d.name,
        list("d", counts[3]),
        strides[3]
    );
    let parameters = ["d", "a", "b", "c"].map(|name| format!(".param .u64 {name}")).join(", ");
    let ptx = format!("{HEADER}.visible .entry k({parameters})\n{{\n{body}\tret;\n}}\n");
    let [ba, bb, bc] = buffers.each_mut();
    let arguments = &mut [&mut out, ba, bb, bc].map(|buffer| Argument::Buffer(buffer.as_mut_slice()));
    launch(&ptx, Shape::line(1, 32), arguments).unwrap_or_else(|report| panic!("{report}\n{ptx}"));
    let pairing = match words[0] {
        ".xor.popc" => Pairing::Xor,
        ".and.popc" => Pairing::And,
        _ => Pairing::Multiply,
    };
    let results = reference(&x, &y, &z, pairing).into_iter().map(|exact| encode(d, exact, words[1] == ".satfinite"));
    let expected = in_memory(&Matrix { bits: results.collect(), ..blank }, by_rows[2], strides[3]);
    assert_eq!(out, expected, "{shape:?} {} {} {} {} {layouts:?} {words:?}", d.name, a.name, b.name, c.name);
}

#[test]
fn warp_matrices() {
    let layouts = ["row", "col"];
    let all =
        || layouts.into_iter().flat_map(move |a| layouts.into_iter().flat_map(move |b| layouts.map(|c| [a, b, c])));
    for shape in [(16, 16, 16), (32, 8, 16), (8, 32, 16)] {
        for layouts in all() {
            for (d, c) in [(F32, F32), (F16, F16), (F32, F16), (F16, F32)] {
                check_wmma(shape, [d, F16, F16, c], layouts, ["", ""], d.bits == 32);
            }
            check_wmma(shape, [F32, BF16, BF16, F32], layouts, ["", ""], false);
            check_wmma(shape, [S32, S8, S8, S32], layouts, ["", ""], true);
            check_wmma(shape, [S32, U8, U8, S32_LARGE], layouts, ["", ".satfinite"], false);
        }
    }
    for layouts in all() {
        check_wmma((16, 16, 8), [F32, TF32, TF32, F32], layouts, ["", ""], false);
        check_wmma((8, 8, 4), [F64; 4], layouts, ["", ".rn"], true);
    }
    for layout in layouts {
        check_wmma((8, 8, 32), [S32, S4, S4, S32], ["row", "col", layout], ["", ""], false);
        check_wmma((8, 8, 32), [S32, U4, U4, S32], ["row", "col", layout], ["", ""], true);
        check_wmma((8, 8, 128), [S32, B1, B1, S32], ["row", "col", layout], [".xor.popc", ""], false);
        check_wmma((8, 8, 128), [S32, B1, B1, S32], ["row", "col", layout], [".and.popc", ""], true);
    }
}
