//! Arithmetic and conversions of fp16 and bf16, single and packed.

use half::{bf16, f16};

use crate::harness::{Case, Comparison, Unary, check, check_f32, check32, elementwise, floats32, triples};

/// fp16 numbers that matter, as bits.
fn numbers() -> Vec<u64> {
    vec![
        0, 0x8000, 0x3c00, 0xbc00, 0x3555, 0x4248, 0xc900, 0x7bff, 0xfbff, 0x0001, 0x83ff, 0x0400, 0x7c00, 0xfc00,
        0x7e00, 0x1400, 0x5140,
    ]
}

fn same(found: f16, expected: f16) -> bool {
    found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan()
}

/// Checks a scalar instruction on every triple, then its packed form on pairs of triples.
fn check_half(operation: &str, tail: &str, definition: impl Fn(f16, f16, f16) -> f16) {
    let operands = triples(&numbers());
    let text = format!("{operation}.f16 {tail}");
    let expected = |&[a, b, c]: &[u64; 3]| {
        let [a, b, c] = [a, b, c].map(|bits| f16::from_bits(bits as u16));
        definition(a, b, c)
    };
    for (found, operand) in elementwise(&text, 16, 16, &operands).into_iter().zip(&operands) {
        let found = f16::from_bits(found as u16);
        assert!(same(found, expected(operand)), "{text} of {operand:x?}: {found:e}, not {:e}", expected(operand));
    }
    let text = format!("{operation}.f16x2 {tail}");
    let high = |row: usize| operands[(row + 5) % operands.len()];
    let packed: Vec<[u64; 3]> = (0..operands.len())
        .map(|row| std::array::from_fn(|column| operands[row][column] | high(row)[column] << 16))
        .collect();
    for (row, found) in elementwise(&text, 32, 32, &packed).into_iter().enumerate() {
        let halves = [found as u16, (found >> 16) as u16].map(f16::from_bits);
        let right = same(halves[0], expected(&operands[row])) && same(halves[1], expected(&high(row)));
        assert!(right, "{text} of {:x?}: {halves:?}", packed[row]);
    }
}

/// One rounding: the fp64 result is exact enough for every fp16 operation.
fn rounded(x: f64) -> f16 {
    f16::from_f64(x)
}

#[test]
fn arithmetic_rounds_once() {
    let f = f64::from;
    check_half("add.rn", "%d, %a, %b;", |a, b, _| rounded(f(a) + f(b)));
    check_half("sub.rn", "%d, %a, %b;", |a, b, _| rounded(f(a) - f(b)));
    check_half("mul.rn", "%d, %a, %b;", |a, b, _| rounded(f(a) * f(b)));
    check_half("fma.rn", "%d, %a, %b, %c;", |a, b, c| rounded(f(a).mul_add(f(b), f(c))));
    check_half("neg", "%d, %a;", |a, _, _| -a);
    check_half("abs", "%d, %a;", |a, _, _| f16::from_bits(a.to_bits() & 0x7fff));
}

#[test]
fn clamps() {
    let f = f64::from;
    check_half("fma.rn.relu", "%d, %a, %b, %c;", |a, b, c| {
        let sum = rounded(f(a).mul_add(f(b), f(c)));
        if sum <= f16::ZERO { f16::ZERO } else { sum }
    });
    check_half("add.rn.sat", "%d, %a, %b;", |a, b, _| {
        let sum = f(a) + f(b);
        rounded(if sum > 0.0 { sum.min(1.0) } else { 0.0 })
    });
    let flush = |x: f16| if x.is_normal() || !x.is_finite() { x } else { f16::ZERO.copysign(x) };
    check_half("mul.rn.ftz", "%d, %a, %b;", |a, b, _| flush(rounded(f(flush(a)) * f(flush(b)))));
}

#[test]
fn extrema() {
    let minimum = |a: f16, b: f16| match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if a == b => {
            if a.is_sign_negative() {
                a
            } else {
                b
            }
        }
        _ => {
            if a < b {
                a
            } else {
                b
            }
        }
    };
    check_half("min", "%d, %a, %b;", |a, b, _| minimum(a, b));
    check_half("max", "%d, %a, %b;", |a, b, _| -minimum(-a, -b));
    check_half("max.NaN", "%d, %a, %b;", |a, b, _| if a.is_nan() || b.is_nan() { f16::NAN } else { -minimum(-a, -b) });
}

#[test]
fn exponentials_are_close() {
    let operands: Vec<[u64; 3]> =
        (0..64).map(|i| [f16::from_f32(i as f32 * 0.2 - 6.0).to_bits().into(), 0, 0]).collect();
    let functions: [Case<Unary<f64>>; 2] = [("ex2.approx", f64::exp2), ("tanh.approx", f64::tanh)];
    for (operation, definition) in functions {
        let found = elementwise(&format!("{operation}.f16 %d, %a;"), 16, 16, &operands);
        for (found, [a, ..]) in found.into_iter().zip(&operands) {
            let (found, x) = (f16::from_bits(found as u16).to_f64(), f16::from_bits(*a as u16).to_f64());
            let error = (found - definition(x)).abs();
            assert!(error <= definition(x).abs() * 2f64.powf(-9.9), "{operation} of {x}: {found}");
        }
    }
}

#[test]
#[allow(clippy::neg_cmp_op_on_partial_ord, reason = "the unordered forms are the negations")]
fn comparisons() {
    let operands = triples(&numbers());
    let cases: [Case<Comparison<f16>>; 4] = [
        ("lt", |a, b| a < b),
        ("eq", |a, b| a == b),
        ("geu", |a, b| !(a < b)),
        ("nan", |a, b| a.is_nan() || b.is_nan()),
    ];
    for (comparison, definition) in cases {
        let text = format!("setp.{comparison}.f16 %p, %a, %b; selp.b16 %d, 1, 0, %p;");
        check(&text, 16, 16, &operands, |a, b, _| {
            definition(f16::from_bits(a as u16), f16::from_bits(b as u16)).into()
        });
    }
    let text = "setp.lt.f16x2 %p|%q, %a, %b;
        { .reg .b32 x, y; selp.b32 x, 1, 0, %p; selp.b32 y, 2, 0, %q; or.b32 %d, x, y; }";
    let packed = triples(&[0x3c00_0000, 0xbc00_4000, 0x7e00_3c01, 0x0001_8001]);
    check32(text, &packed, |a, b, _| {
        let less = |shift: u32| f16::from_bits((a >> shift) as u16) < f16::from_bits((b >> shift) as u16);
        u32::from(less(0)) | u32::from(less(16)) << 1
    });
}

#[test]
fn conversions_round_every_way() {
    let values: Vec<u64> = floats32()
        .into_iter()
        .chain([1.0004883, 1.0009766, 65519.9, 65520.0, 2.98e-8, -1.0005].map(|x: f32| x.to_bits().into()))
        .collect();
    let operands: Vec<[u64; 3]> = values.iter().map(|&a| [a, values[(a as usize) % values.len()], 0]).collect();
    let single = |bits: u64| f32::from_bits(bits as u32);
    let nan = |bits: u16| f16::from_bits(bits).is_nan();
    let found = elementwise("cvt.rn.f16.f32 %d, %a;", 16, 32, &operands);
    for (found, [a, ..]) in found.into_iter().zip(&operands) {
        let (found, expected) = (found as u16, f16::from_f32(single(*a)).to_bits());
        assert!(found == expected || nan(found) && nan(expected), "{:e}: {found:#x}", single(*a));
    }
    let found = elementwise("cvt.rz.f16.f32 %d, %a;", 16, 32, &operands);
    for (found, x) in found.into_iter().zip(values.iter().map(|&bits| single(bits))).filter(|(_, x)| x.is_finite()) {
        let found = f16::from_bits(found as u16);
        let next = f16::from_bits(found.to_bits() + 1);
        let bracketed = found.to_f32().abs() <= x.abs() && (next.is_infinite() || next.to_f32().abs() > x.abs());
        assert!(bracketed && found.is_sign_negative() == x.is_sign_negative(), "rz of {x:e}: {found:e}");
    }
    let found = elementwise("cvt.rn.f16x2.f32 %d, %a, %b;", 32, 32, &operands);
    for (found, &[a, b, _]) in found.into_iter().zip(&operands) {
        let halves = [found as u16, (found >> 16) as u16].map(f16::from_bits);
        let right = same(halves[0], f16::from_f32(single(b))) && same(halves[1], f16::from_f32(single(a)));
        assert!(right, "{:e}, {:e}: {halves:?}", single(a), single(b));
    }
}

#[test]
fn halves_widen_and_meet_integers() {
    let operands = triples(&numbers());
    for (found, &[a, ..]) in elementwise("cvt.f32.f16 %d, %a;", 32, 16, &operands).into_iter().zip(&operands) {
        let (found, expected) = (f32::from_bits(found as u32), f16::from_bits(a as u16).to_f32());
        assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{a:#x}");
    }
    check_f32("{ .reg .b16 h; cvt.rn.f16.s32 h, %a; cvt.f32.f16 %d, h; }", &floats32_small(), |a, _, _| {
        f16::from_f64(f64::from(a.to_bits() as i32)).to_f32()
    });
    let finite: Vec<_> = operands.iter().copied().filter(|&[a, ..]| a & 0x7fff < 0x7c00).collect();
    check("cvt.rzi.s32.f16 %d, %a;", 32, 16, &finite, |a, _, _| f16::from_bits(a as u16).to_f32() as i32 as u64);
    check("cvt.rni.u16.f16 %d, %a;", 16, 16, &finite, |a, _, _| {
        (f16::from_bits(a as u16).to_f32().round_ties_even() as u16).into()
    });
}

/// Integers around the range of fp16.
fn floats32_small() -> Vec<[u64; 3]> {
    [0, 1, -1, 2049, 2051, -4099, 65504, 65519, 65520, -70000].map(|x: i32| [u64::from(x as u32), 0, 0]).to_vec()
}

#[test]
fn bfloat16() {
    let operands = triples(&floats32());
    let single = |bits: u64| f32::from_bits(bits as u32);
    let found = elementwise("cvt.rn.bf16.f32 %d, %a;", 16, 32, &operands);
    for (found, &[a, ..]) in found.into_iter().zip(&operands) {
        let (found, expected) = (bf16::from_bits(found as u16), bf16::from_f32(single(a)));
        assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{:e}", single(a));
    }
    let numbers: Vec<u64> = [0.0, -0.0, 1.0, 1.0078125, -3.5, 1e30, 1e-39, f32::INFINITY, f32::NAN]
        .map(|x| bf16::from_f32(x).to_bits().into())
        .to_vec();
    let operands = triples(&numbers);
    for (found, operand) in elementwise("fma.rn.bf16 %d, %a, %b, %c;", 16, 16, &operands).into_iter().zip(&operands) {
        let [a, b, c] = operand.map(|bits| bf16::from_bits(bits as u16).to_f32());
        // With these operands the fp32 result is exact or far from a tie.
        let (found, expected) = (bf16::from_bits(found as u16), bf16::from_f32(a.mul_add(b, c)));
        assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{a:e} {b:e} {c:e}");
    }
}
