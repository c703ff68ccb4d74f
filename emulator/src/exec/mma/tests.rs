use super::*;
use crate::exec::half::{CANONICAL_NAN_F32, bf16_to_f32, f16_to_f32, round_to_half};
use crate::isa::Rounding;

const SHAPES: [MmaShape; 6] = [
    MmaShape::M16N8K16F16F32,
    MmaShape::M16N8K8F16F32,
    MmaShape::M16N8K16F16F16,
    MmaShape::M16N8K8F16F16,
    MmaShape::M16N8K16Bf16F32,
    MmaShape::M16N8K8Bf16F32,
];

/// What 16-bit operands are drawn from.
#[derive(Clone, Copy, Debug)]
enum Draw {
    /// Every bit pattern, NaN and infinities included.
    Anything,
    /// Numbers near 1 with full fractions.
    Ordinary,
    /// Subnormal numbers and zeros of both signs.
    Tiny,
}

struct Random(u64);

impl Random {
    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 32) as u32
    }

    fn halves(&mut self, draw: Draw, format: HalfFormat) -> Lanes {
        let exponent = if format == HalfFormat::F16 { 0x3800 } else { 0x3f00 };
        std::array::from_fn(|_| {
            let bits = self.bits();
            match draw {
                Draw::Anything => bits,
                Draw::Ordinary => (bits & 0x83ff_83ff) + exponent * 0x0001_0001,
                Draw::Tiny => bits & 0x8003_8003,
            }
        })
    }

    fn singles(&mut self, draw: Draw) -> Lanes {
        std::array::from_fn(|_| {
            let bits = self.bits();
            match draw {
                Draw::Anything => bits,
                Draw::Ordinary => (bits & 0x80ff_ffff) + 0x3f00_0000,
                Draw::Tiny => bits & 0x8000_0003,
            }
        })
    }
}

struct Case {
    a: [Lanes; 4],
    b: [Lanes; 2],
    c: [Lanes; 4],
}

impl Case {
    fn new(random: &mut Random, shape: MmaShape, draw: Draw) -> Case {
        let (format, _, half_accumulator) = parameters(shape);
        Case {
            a: std::array::from_fn(|_| random.halves(draw, format)),
            b: std::array::from_fn(|_| random.halves(draw, format)),
            c: std::array::from_fn(
                |_| if half_accumulator { random.halves(draw, format) } else { random.singles(draw) },
            ),
        }
    }

    fn run(&self, level: SimdLevel, shape: MmaShape) -> [Lanes; 4] {
        let mut d = [[0; 32]; 4];
        mma(level, shape, &mut Operands::default(), &mut d, self.a.each_ref(), self.b.each_ref(), self.c.each_ref());
        d
    }
}

/// The product lane by lane, from the tables of the PTX manual.
fn naive(shape: MmaShape, case: &Case) -> [Lanes; 4] {
    let (format, blocks, half_accumulator) = parameters(shape);
    let half = |register: &Lanes, lane: usize, upper: usize| {
        let bits = (register[lane] >> (16 * upper)) as u16;
        f32::from_bits(if format == HalfFormat::F16 { f16_to_f32(bits) } else { bf16_to_f32(bits) })
    };
    // groupID = lane / 4, threadID_in_group = lane % 4; row = groupID (+ 8), k = threadID_in_group * 2 + i (+ 8).
    let a = |row: usize, k: usize| half(&case.a[row / 8 + k / 8 * 2], row % 8 * 4 + k % 8 / 2, k % 2);
    let b = |k: usize, n: usize| half(&case.b[k / 8], n * 4 + k % 8 / 2, k % 2);
    let mut d = [[0; 32]; 4];
    for (row, n) in (0..16).flat_map(|row| (0..8).map(move |n| (row, n))) {
        let lane = row % 8 * 4 + n / 2;
        let mut sum = if half_accumulator {
            half(&case.c[row / 8], lane, n % 2)
        } else {
            f32::from_bits(case.c[row / 8 * 2 + n % 2][lane])
        };
        for k in 0..8 * blocks {
            sum = a(row, k).mul_add(b(k, n), sum);
        }
        let bits = if sum.is_nan() { CANONICAL_NAN_F32 } else { sum.to_bits() };
        if half_accumulator {
            let bits = round_to_half(HalfFormat::F16, Rounding::Nearest, f32::from_bits(bits).into());
            d[row / 8][lane] |= u32::from(bits) << (16 * (n % 2));
        } else {
            d[row / 8 * 2 + n % 2][lane] = bits;
        }
    }
    d
}

#[test]
fn products_agree_with_the_naive_loop_on_every_path() {
    let mut random = Random(1);
    for shape in SHAPES {
        for draw in [Draw::Anything, Draw::Ordinary, Draw::Tiny] {
            for round in 0..40 {
                let case = Case::new(&mut random, shape, draw);
                let expected = naive(shape, &case);
                assert_eq!(case.run(SimdLevel::PORTABLE, shape), expected, "portable {shape:?} {draw:?} {round}");
                assert_eq!(case.run(SimdLevel::detect(), shape), expected, "detected {shape:?} {draw:?} {round}");
            }
        }
    }
}

#[test]
fn infinities_cancel_to_the_canonical_nan() {
    let mut case = Case { a: [[0x3c00_3c00; 32]; 4], b: [[0; 32]; 2], c: [[0; 32]; 4] };
    // Column 0 of B: +inf and -inf at k = 0 and 1.
    case.b[0][0] = 0xfc00_7c00;
    for level in [SimdLevel::PORTABLE, SimdLevel::detect()] {
        let d = case.run(level, MmaShape::M16N8K16F16F32);
        assert_eq!((d[0][0], d[1][0], d[0][1]), (CANONICAL_NAN_F32, 0, 0));
    }
}

/// Products over shared widened operands are the single products.
#[test]
fn widened_operands_serve_many_products() {
    let mut random = Random(2);
    for level in [SimdLevel::PORTABLE, SimdLevel::detect()] {
        for shape in SHAPES {
            let (format, ..) = parameters(shape);
            let cases: [Case; 3] = std::array::from_fn(|_| Case::new(&mut random, shape, Draw::Ordinary));
            let mut a: [Wide; 4] = Default::default();
            a.iter_mut().zip(&cases[0].a).for_each(|(wide, register)| widen_a(level, format, wide, register));
            for case in cases {
                let mut b: [Wide; 2] = Default::default();
                b.iter_mut().zip(&case.b).for_each(|(wide, register)| widen_b(level, format, wide, register));
                let mut d = [[0; 32]; 4];
                multiply(level, shape, &mut d, a.each_ref(), b.each_ref(), case.c.each_ref());
                let expected = naive(shape, &Case { a: a_registers(&a, format), b: case.b, c: case.c });
                assert_eq!(d, expected, "{shape:?}");
            }
        }
    }
}

/// The registers that widened to `a`.
fn a_registers(a: &[Wide; 4], format: HalfFormat) -> [Lanes; 4] {
    std::array::from_fn(|register| {
        std::array::from_fn(|lane| {
            let half = |index: usize| u32::from(round_to_half(format, Rounding::Zero, a[register].0[index].into()));
            half(2 * lane) | half(2 * lane + 1) << 16
        })
    })
}

#[test]
fn blocks_load_in_fragment_order() {
    let shared: Vec<u8> = (0..1024).map(|i| (i * 7 % 251) as u8).collect();
    // Rows in no order, unaligned and overlapping.
    let rows = [640, 16, 1008, 3, 19, 500, 0, 512];
    let half = |row: usize, column: usize| {
        let at = rows[row] as usize + 2 * column;
        u32::from(shared[at]) | u32::from(shared[at + 1]) << 8
    };
    for level in [SimdLevel::PORTABLE, SimdLevel::detect()] {
        for transposed in [false, true] {
            let mut d = [0; 32];
            assert_eq!(load_block(level, &shared, &rows, transposed, &mut d), Ok(()));
            for (lane, found) in d.into_iter().enumerate() {
                let (row, column) = (lane / 4, 2 * (lane % 4));
                let expected = if transposed {
                    half(column, row) | half(column + 1, row) << 16
                } else {
                    half(row, column) | half(row, column + 1) << 16
                };
                assert_eq!(found, expected, "lane {lane}, transposed {transposed}");
            }
        }
    }
}

#[test]
fn blocks_store_what_they_loaded() {
    let mut random = Random(3);
    let block: Lanes = std::array::from_fn(|_| random.bits());
    let rows = std::array::from_fn(|row| row as u32 * 48 + 8);
    for level in [SimdLevel::PORTABLE, SimdLevel::detect()] {
        for (store, load) in [(false, false), (true, true), (true, false)] {
            let (mut shared, mut d) = (vec![0xee; 400], [0; 32]);
            assert_eq!(store_block(level, &mut shared, &rows, store, &block), Ok(()));
            assert_eq!(load_block(level, &shared, &rows, load, &mut d), Ok(()));
            let expected = if store == load {
                block
            } else {
                // One transposition remains.
                std::array::from_fn(|lane| {
                    let half = |row: usize, column: usize| block[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
                    half(2 * (lane % 4), lane / 4) | half(2 * (lane % 4) + 1, lane / 4) << 16
                })
            };
            assert_eq!(d, expected, "stored {store}, loaded {load}");
            assert!(shared[..8].iter().all(|&byte| byte == 0xee) && shared[24] == 0xee);
        }
    }
}

#[test]
fn rows_out_of_bounds_are_named() {
    let mut rows = [0; 8];
    rows[5] = 49;
    let mut d = [7; 32];
    for level in [SimdLevel::PORTABLE, SimdLevel::detect()] {
        let mut shared = vec![1; 64];
        assert_eq!(load_block(level, &shared, &rows, false, &mut d), Err(5));
        assert_eq!(store_block(level, &mut shared, &rows, true, &d), Err(5));
        assert_eq!((d, shared), ([7; 32], vec![1; 64]));
        assert_eq!(load_block(level, &[0; 8], &[0; 8], false, &mut d), Err(0));
        assert_eq!(store_block(level, &mut [0; 8], &[0; 8], false, &d), Err(0));
    }
}
