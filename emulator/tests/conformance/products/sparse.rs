//! `mma.sp`: a dense matrix with the zeros in their places gives what the sparse one does. Fragments and metadata are
//! placed by the manual's sections on sparse matrices.

use cuda_emulator::exec::Numerics;

use super::*;

/// What the manual says of an element type.
struct Sparse {
    /// Elements of a chunk, and those of them that are stored.
    chunk: usize,
    stored: usize,
    /// Four bits of metadata and the places of the stored elements that they mean; the last half of the table only where
    /// the order is free.
    meanings: &'static [(u32, [usize; 4])],
    /// How many of them have their elements in order.
    ordered: usize,
    /// Row and chunk of the four bits `field` (of 8) of the lane `thread` of those of a quad that count.
    place: fn(group: usize, thread: usize, field: usize) -> (usize, usize),
}

/// Two of four: the lower two bits are the place of the first.
const PAIRS: &[(u32, [usize; 4])] = &[
    (0b0100, [0, 1, 0, 0]),
    (0b1000, [0, 2, 0, 0]),
    (0b1100, [0, 3, 0, 0]),
    (0b1001, [1, 2, 0, 0]),
    (0b1101, [1, 3, 0, 0]),
    (0b1110, [2, 3, 0, 0]),
    (0b0001, [1, 0, 0, 0]),
    (0b0010, [2, 0, 0, 0]),
    (0b0110, [2, 1, 0, 0]),
    (0b0011, [3, 0, 0, 0]),
    (0b0111, [3, 1, 0, 0]),
    (0b1011, [3, 2, 0, 0]),
];
/// Four of eight, in pairs.
const PAIRS_OF_PAIRS: &[(u32, [usize; 4])] = &[
    (0b0100, [0, 1, 2, 3]),
    (0b1000, [0, 1, 4, 5]),
    (0b1100, [0, 1, 6, 7]),
    (0b1001, [2, 3, 4, 5]),
    (0b1101, [2, 3, 6, 7]),
    (0b1110, [4, 5, 6, 7]),
];
/// One of two.
const SINGLES: &[(u32, [usize; 4])] = &[(0b0100, [0; 4]), (0b1110, [1, 0, 0, 0])];

/// Sixteen bits of each of the two rows of a quad in a lane.
const HALVES: fn(usize, usize, usize) -> (usize, usize) =
    |group, thread, field| (group + 8 * (field / 4), 4 * thread + field % 4);
/// The rows of a quad take turns with its lanes.
const TURNS: fn(usize, usize, usize) -> (usize, usize) =
    |group, thread, field| (group + 8 * (thread % 2), 8 * (thread / 2) + field);

const SIXTEEN: Sparse = Sparse { chunk: 4, stored: 2, meanings: PAIRS, ordered: 6, place: HALVES };
const TENSOR: Sparse = Sparse { chunk: 2, stored: 1, meanings: SINGLES, ordered: 2, place: HALVES };
const EIGHT: Sparse = Sparse { place: TURNS, ..SIXTEEN };
const FOUR: Sparse = Sparse { chunk: 8, stored: 4, meanings: PAIRS_OF_PAIRS, ordered: 6, place: TURNS };

/// A matrix of `k` columns, the half of it that is stored, and each lane's metadata for `selector`. Lanes that do not
/// count have bits without a meaning.
struct Sample {
    dense: Matrix,
    stored: Matrix,
    metadata: Vec<u32>,
}

impl Sample {
    fn random(sparse: &Sparse, a: Element, k: usize, selector: usize, ordered: bool, random: &mut Random) -> Sample {
        let chunks = k / sparse.chunk;
        let stored = Matrix::random(a, 16, k / 2, random);
        let mut dense = Matrix { element: a, columns: k, bits: vec![0; 16 * k] };
        let known = if ordered { sparse.ordered } else { sparse.meanings.len() };
        let choices: Vec<usize> = (0..16 * chunks).map(|_| random.next() as usize % known).collect();
        for (index, choice) in choices.iter().enumerate() {
            let (row, chunk) = (index / chunks, index % chunks);
            for (i, place) in sparse.meanings[*choice].1[..sparse.stored].iter().enumerate() {
                dense.bits[row * k + chunk * sparse.chunk + place] =
                    stored.bits[row * k / 2 + chunk * sparse.stored + i];
            }
        }
        let counting = 2 * chunks * 4 / 32;
        let mut metadata = vec![0x0000_f5a0; 32];
        for (group, thread) in (0..8).flat_map(|group| (0..counting).map(move |thread| (group, thread))) {
            let fields = (0..8).map(|field| {
                let (row, chunk) = (sparse.place)(group, thread, field);
                sparse.meanings[choices[row * chunks + chunk]].0 << (4 * field)
            });
            metadata[4 * group + selector * counting + thread] = fields.sum();
        }
        Sample { dense, stored, metadata }
    }
}

/// Checks one instruction with every selector, both kinds of metadata and both arithmetics.
fn check_sparse(k: usize, types: [Element; 4], suffix: &str, layout: &Layout, sparse: &Sparse) {
    let [d, a, b, c] = types;
    let mut random = Random(0x5851_f42d_4c95_7f2d ^ k as u64);
    let selectors = 32 / (2 * k / sparse.chunk);
    for (selector, ordered) in (0..selectors).flat_map(|selector| [(selector, false), (selector, true)]) {
        let sample = Sample::random(sparse, a, k, selector, ordered, &mut random);
        let (y, z) = (Matrix::random(b, k, 8, &mut random), Matrix::random(c, 16, 8, &mut random));
        let kind = if ordered { "sp::ordered_metadata" } else { "sp" };
        let names = types.map(|element| element.name).join(".");
        let text = format!("mma.{kind}.sync.aligned.m16n8k{k}.row.col{suffix}.{names} D, A, B, C, %e0, {selector};");
        let words = [sample.stored.fragments(layout.a), y.fragments(layout.b), z.fragments(layout.c)];
        let operands = [("a", &words[0][..]), ("b", &words[1]), ("c", &words[2]), ("e", &sample.metadata)];
        for numerics in [Numerics::Fast, Numerics::Hardware] {
            let shape = Shape::line(1, 32).numerics(numerics);
            let found = run_shape(&text, false, &operands, 128 * d.bits / 32, shape)
                .unwrap_or_else(|report| panic!("{text} {report}"));
            let found = Matrix { element: d, columns: 8, bits: vec![0; 128] }.of_fragments(layout.c, &found);
            let exact = reference(&sample.dense, &y, &z, Pairing::Multiply);
            for (index, (found, exact)) in found.into_iter().zip(exact).enumerate() {
                let expected = encode(d, exact, suffix == ".satfinite");
                assert_eq!(found, expected, "{text} {numerics:?}: row {}, column {}: {exact}", index / 8, index % 8);
            }
        }
    }
}

#[test]
fn sixteen_bit_floats() {
    let k16 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2),
        b: |lane, i| (2 * (lane % 4) + i % 2 + 8 * (i / 2), lane / 4),
        c: C_16,
    };
    let k32 = Layout { a: |lane, i| (lane / 4 + 8 * (i / 2 % 2), 2 * (lane % 4) + i % 2 + 8 * (i / 4)), ..k16 };
    for (k, layout) in [(16, &k16), (32, &k32)] {
        for (d, c) in [(F32, F32), (F16, F16), (F32, F16), (F16, F32)] {
            check_sparse(k, [d, F16, F16, c], "", layout, &SIXTEEN);
        }
        check_sparse(k, [F32, BF16, BF16, F32], "", layout, &SIXTEEN);
    }
}

#[test]
fn tensor_floats() {
    let k8 = Layout { a: |lane, i| (lane / 4 + 8 * i, lane % 4), b: |lane, i| (lane % 4 + 4 * i, lane / 4), c: C_16 };
    let k16 = Layout { a: |lane, i| (lane / 4 + 8 * (i % 2), lane % 4 + 4 * (i / 2)), ..k8 };
    for (k, layout) in [(8, &k8), (16, &k16)] {
        check_sparse(k, [F32, TF32, TF32, F32], "", layout, &TENSOR);
    }
}

#[test]
fn eight_bit_numbers() {
    let k32 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 4), 4 * (lane % 4) + i % 4),
        b: |lane, i| (4 * (lane % 4) + i % 4 + 16 * (i / 4), lane / 4),
        c: C_16,
    };
    let k64 = Layout { a: |lane, i| (lane / 4 + 8 * (i / 4 % 2), 4 * (lane % 4) + i % 4 + 16 * (i / 8)), ..k32 };
    for (k, layout) in [(32, &k32), (64, &k64)] {
        for (a, b) in [(S8, S8), (S8, U8), (U8, S8), (U8, U8)] {
            check_sparse(k, [S32, a, b, S32], "", layout, &EIGHT);
            check_sparse(k, [S32, a, b, S32_LARGE], ".satfinite", layout, &EIGHT);
        }
    }
    for (a, b) in [(E4M3, E4M3), (E5M2, E4M3), (E5M2, E5M2)] {
        check_sparse(64, [F32, a, b, F32], "", &k64, &EIGHT);
    }
}

#[test]
fn four_bit_numbers() {
    let k64 = Layout {
        a: |lane, i| (lane / 4 + 8 * (i / 8), 8 * (lane % 4) + i % 8),
        b: |lane, i| (8 * (lane % 4) + i % 8 + 32 * (i / 8), lane / 4),
        c: C_16,
    };
    let k128 = Layout { a: |lane, i| (lane / 4 + 8 * (i / 8 % 2), 8 * (lane % 4) + i % 8 + 32 * (i / 16)), ..k64 };
    for (k, layout) in [(64, &k64), (128, &k128)] {
        for (a, b) in [(S4, S4), (S4, U4), (U4, U4)] {
            check_sparse(k, [S32, a, b, S32], "", layout, &FOUR);
            check_sparse(k, [S32, a, b, S32_LARGE], ".satfinite", layout, &FOUR);
        }
    }
}

/// A product of ones with metadata `bits` in every field, in fp16, of B that is NaN in the rows `wrong`.
fn ones(kind: &str, bits: u32, selector: u32, wrong: fn(usize) -> bool) -> Result<Vec<f32>, Report> {
    let pairs = vec![0x3c00_3c00; 64];
    let b: Vec<u32> = (0..64)
        .map(|word| {
            let row = 2 * (word / 2 % 4) + 8 * (word % 2);
            let half = |row| if wrong(row) { 0x7e00 } else { 0x3c00 };
            half(row) | half(row + 1) << 16
        })
        .collect();
    let (c, metadata) = (vec![0; 128], vec![bits * 0x1111_1111; 32]);
    let text = format!("mma.{kind}.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 D, A, B, C, %e0, {selector};");
    let operands = [("a", &pairs[..]), ("b", &b), ("c", &c), ("e", &metadata)];
    let words = run_shape(&text, false, &operands, 128, Shape::line(1, 32).unchecked())?;
    Ok(words.into_iter().map(f32::from_bits).collect())
}

/// What is not there is not multiplied, whatever stands in B.
#[test]
fn zeros_meet_nothing() {
    let found = ones("sp", 0b1101, 3, |row| row % 2 == 0).expect("it runs");
    assert_eq!(found, [8.0; 128]);
    assert!(ones("sp", 0b1101, 3, |row| row == 5).expect("it runs").iter().all(|x| x.is_nan()));
}

#[test]
fn metadata_without_a_meaning_are_faults() {
    for (kind, bits) in [("sp", 0b0000), ("sp", 0b1010), ("sp::ordered_metadata", 0b0001), ("sp::ordered_metadata", 15)]
    {
        let report = ones(kind, bits, 0, |_| false).expect_err("they say nothing");
        assert!(report.message.contains(&format!("metadata {bits:#06b} of chunk 0 of row 0 of A")), "{report}");
    }
    let report = ones("sp", 0b0100, 4, |_| false).expect_err("there are four selectors");
    assert!(report.message.contains("sparsity selector"), "{report}");
}
