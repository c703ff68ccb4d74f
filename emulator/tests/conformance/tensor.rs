//! Matrix products and the loads that feed them.

use half::{bf16, f16};

use crate::harness::{Argument, HEADER, Shape, fill, launch};

/// How a 16-bit operand is written and what it stands for.
#[derive(Clone, Copy)]
struct Format {
    name: &'static str,
    bits: fn(f32) -> u16,
}

const F16: Format = Format { name: "f16", bits: |x| f16::from_f32(x).to_bits() };
const BF16: Format = Format { name: "bf16", bits: |x| bf16::from_f32(x).to_bits() };

/// Small integers, so that every order of summation gives the same.
fn value(seed: u32, row: usize, column: usize) -> f32 {
    let mixed = (row as u32 * 31 + column as u32 * 17 + seed).wrapping_mul(0x9e37_79b1);
    (mixed >> 28) as f32 - 8.0
}

/// Rows of `rows` x `columns` packed in pairs.
fn matrix(seed: u32, rows: usize, columns: usize, format: Format) -> Vec<u32> {
    let element = |index: usize| u32::from((format.bits)(value(seed, index / columns, index % columns)));
    (0..rows * columns / 2).map(|pair| element(2 * pair) | element(2 * pair + 1) << 16).collect()
}

/// One product of `m16n8k{depth}`: A (16, depth) in rows, B (8, depth) in columns, C and D (16, 8) in rows.
fn product(depth: usize, format: Format, half_accumulator: bool) {
    let (a_count, b_count) = (depth / 4, depth / 8);
    let list = |name: &str, count: usize| (0..count).map(|i| format!("%{name}{i}")).collect::<Vec<_>>().join(", ");
    let (accumulator, c_count) = if half_accumulator { ("f16", 2) } else { ("f32", 4) };
    let ptx = format!("{HEADER}{}", include_str!("../ptx/mma.ptx"))
        .replace(
            "INSTRUCTION",
            &format!(
                "mma.sync.aligned.m16n8k{depth}.row.col.{accumulator}.{}.{}.{accumulator}
		{{{}}},\n\t\t{{{}}},\n\t\t{{{}}},\n\t\t{{{}}};",
                format.name,
                format.name,
                list("d", c_count),
                list("a", a_count),
                list("b", b_count),
                list("c", c_count),
            ),
        )
        .replace("DEPTH_BYTES", &(2 * depth).to_string())
        .replace("ACCUMULATOR_BYTES", if half_accumulator { "2" } else { "4" });
    let ptx = guard_loads(&ptx, depth, half_accumulator);
    let mut a = matrix(1, 16, depth, format);
    // Columns of B lie in rows.
    let mut b = matrix(2, 8, depth, format);
    let mut c: Vec<u32> = if half_accumulator {
        matrix(3, 16, 8, F16)
    } else {
        (0..128).map(|index| value(3, index / 8, index % 8).to_bits()).collect()
    };
    let mut d = vec![0; c.len()];
    let arguments = &mut [&mut d, &mut a, &mut b, &mut c].map(|buffer| Argument::Buffer(buffer));
    launch(&ptx, Shape::line(1, 32), arguments).unwrap_or_else(|report| panic!("{report}"));
    for (row, column) in (0..16).flat_map(|row| (0..8).map(move |column| (row, column))) {
        let products = (0..depth).map(|k| value(1, row, k) * value(2, column, k));
        let expected: f32 = value(3, row, column) + products.sum::<f32>();
        let index = row * 8 + column;
        let found = if half_accumulator {
            f16::from_bits((d[index / 2] >> (16 * (index % 2))) as u16).to_f32()
        } else {
            f32::from_bits(d[index])
        };
        let expected = if half_accumulator { f16::from_f32(expected).to_f32() } else { expected };
        assert_eq!(found, expected, "k {depth}, {}, row {row}, column {column}", format.name);
    }
}

/// Keeps of the lines that are marked for a depth or an accumulator those that apply.
fn guard_loads(ptx: &str, depth: usize, half_accumulator: bool) -> String {
    let keep = |line: &&str| match line.split_once("// only ") {
        Some((_, "k16")) => depth == 16,
        Some((_, "f16")) => half_accumulator,
        Some((_, "f32")) => !half_accumulator,
        _ => true,
    };
    ptx.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

#[test]
fn products_of_every_shape() {
    for depth in [16, 8] {
        product(depth, F16, false);
        product(depth, F16, true);
        product(depth, BF16, false);
    }
}

/// Products that share operands and feed each other, as an inner loop has them.
#[test]
fn products_in_a_row_share_operands() {
    let found = fill(&format!("{HEADER}{}", include_str!("../ptx/mma_chain.ptx")), Shape::line(1, 32), 32 * 4);
    // A is all ones, B0 all twos, B1 all threes: 16 * 2, then 16 * 3 on top, twice with C overwritten between.
    for words in found.as_chunks::<4>().0 {
        assert_eq!(words.map(f32::from_bits), [32.0, 80.0, 128.0, 48.0]);
    }
}

/// `ldmatrix` of `count` blocks of a tile of 32 rows of 8 halves, each half its index; rows are given in reverse.
fn load_matrix(count: usize, transpose: bool) {
    let registers = (0..count).map(|i| format!("%r{}", i + 10)).collect::<Vec<_>>().join(", ");
    let modifier = if transpose { ".trans" } else { "" };
    let ptx = format!("{HEADER}{}", include_str!("../ptx/ldmatrix.ptx")).replace(
        "INSTRUCTION",
        &format!("ldmatrix.sync.aligned.m8n8.x{count}{modifier}.shared.b16 {{{registers}}}, [%r5];"),
    );
    let found = fill(&ptx, Shape::line(1, 32), 32 * 4);
    for (lane, words) in found.as_chunks::<4>().0.iter().enumerate() {
        for (block, word) in words.iter().enumerate().take(count) {
            // Row r of a block comes from lane 8 block + r, which points at row 31 - (8 block + r) of the tile.
            let half = |row: usize, column: usize| (31 - (8 * block + row)) as u32 * 8 + column as u32;
            let (i, j) = (lane / 4, lane % 4 * 2);
            let expected =
                if transpose { half(j, i) | half(j + 1, i) << 16 } else { half(i, j) | half(i, j + 1) << 16 };
            assert_eq!(*word, expected, "x{count}{modifier}, lane {lane}, block {block}");
        }
    }
}

#[test]
fn matrices_load_in_every_form() {
    for count in [1, 2, 4] {
        load_matrix(count, false);
        load_matrix(count, true);
    }
}
