//! Conversions.

use crate::harness::{Case, Unary, check, check_f32, elementwise, floats32, integers32, integers64, triples};

fn operands(values: impl IntoIterator<Item = u64>) -> Vec<[u64; 3]> {
    values.into_iter().map(|value| [value, 0, 0]).collect()
}

#[test]
fn integers_narrow_widen_and_saturate() {
    let words = operands(integers32());
    let cases: [(&str, u32, Unary<u64>); 11] = [
        ("cvt.u64.u32 %d, %a;", 64, |a| a),
        ("cvt.s64.s32 %d, %a;", 64, |a| a as i32 as u64),
        ("cvt.u16.u32 %d, %a;", 16, |a| a),
        ("cvt.s32.s8 %d, %a;", 32, |a| a as i8 as u64),
        ("cvt.u32.u8 %d, %a;", 32, |a| a & 0xff),
        ("cvt.s32.s16 %d, %a;", 32, |a| a as i16 as u64),
        ("cvt.sat.u8.s32 %d, %a;", 32, |a| (a as i32).clamp(0, 255) as u64),
        ("cvt.sat.s8.s32 %d, %a;", 32, |a| (a as i32).clamp(-128, 127) as u64),
        ("cvt.sat.u16.u32 %d, %a;", 16, |a| a.min(0xffff)),
        ("cvt.sat.s32.u32 %d, %a;", 32, |a| a.min(0x7fff_ffff)),
        ("cvt.sat.u32.s32 %d, %a;", 32, |a| (a as i32).max(0) as u64),
    ];
    for (text, to, definition) in cases {
        check(text, to, 32, &words, |a, _, _| definition(a));
    }
    check("cvt.u32.u64 %d, %a;", 32, 64, &operands(integers64()), |a, _, _| a);
    check("cvt.u32.u16 %d, %a;", 32, 16, &operands([0, 1, 0x8000, 0xffff]), |a, _, _| a);
    check("cvt.s32.s16 %d, %a;", 32, 16, &operands([0, 1, 0x8000, 0xffff]), |a, _, _| a as i16 as u64);
}

#[test]
fn integers_become_floats() {
    let words = operands(integers32());
    check_f32("cvt.rn.f32.s32 %d, %a;", &words, |a, _, _| a.to_bits() as i32 as f32);
    check_f32("cvt.rn.f32.u32 %d, %a;", &words, |a, _, _| a.to_bits() as f32);
    check_f32("cvt.rz.f32.u32 %d, %a;", &words, |a, _, _| {
        let nearest = a.to_bits() as f32;
        if f64::from(nearest) > f64::from(a.to_bits()) { nearest.next_down() } else { nearest }
    });
    let wide = operands(integers64());
    check("cvt.rn.f32.s64 %d, %a;", 32, 64, &wide, |a, _, _| (a as i64 as f32).to_bits().into());
    check("cvt.rn.f32.u64 %d, %a;", 32, 64, &wide, |a, _, _| (a as f32).to_bits().into());
    check("cvt.rn.f64.s64 %d, %a;", 64, 64, &wide, |a, _, _| (a as i64 as f64).to_bits());
    check("cvt.rn.f64.u32 %d, %a;", 64, 32, &words, |a, _, _| (a as f64).to_bits());
}

/// Out of range clamps; NaN becomes zero in 32 bits.
#[test]
fn floats_become_integers() {
    let floats = operands(floats32().into_iter().chain(halfway()));
    let numbers: Vec<_> = floats.iter().copied().filter(|&[a, ..]| !f32::from_bits(a as u32).is_nan()).collect();
    let cases: [Case<Unary<f32>>; 4] =
        [("rni", f32::round_ties_even), ("rzi", f32::trunc), ("rmi", f32::floor), ("rpi", f32::ceil)];
    for (rounding, round) in cases {
        let signed = |a: u64| round(f32::from_bits(a as u32));
        check(&format!("cvt.{rounding}.s32.f32 %d, %a;"), 32, 32, &floats, |a, _, _| signed(a) as i32 as u64);
        check(&format!("cvt.{rounding}.u32.f32 %d, %a;"), 32, 32, &floats, |a, _, _| (signed(a) as u32).into());
        check(&format!("cvt.{rounding}.s64.f32 %d, %a;"), 64, 32, &numbers, |a, _, _| signed(a) as i64 as u64);
        check_f32(&format!("cvt.{rounding}.f32.f32 %d, %a;"), &floats, |a, _, _| round(a));
    }
    let doubles = operands([0.0, 1.5, -2.5, 1e9, -1e19, 4e9].map(f64::to_bits));
    check("cvt.rzi.s32.f64 %d, %a;", 32, 64, &doubles, |a, _, _| f64::from_bits(a) as i32 as u64);
    check("cvt.rni.s64.f64 %d, %a;", 64, 64, &doubles, |a, _, _| f64::from_bits(a).round_ties_even() as i64 as u64);
}

fn halfway() -> impl Iterator<Item = u64> {
    [0.5f32, -0.5, 1.5, 2.5, -3.5, 2_147_483_520.0, 4_294_967_040.0, -2_147_483_648.0, 0.499_999_97]
        .into_iter()
        .map(|x| x.to_bits().into())
}

#[test]
fn floats_change_width() {
    let floats = operands(floats32());
    for (found, [a, ..]) in elementwise("cvt.f64.f32 %d, %a;", 64, 32, &floats).into_iter().zip(&floats) {
        let (found, expected) = (f64::from_bits(found), f64::from(f32::from_bits(*a as u32)));
        assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{expected:e}");
    }
    let doubles = operands([0.1f64, -1e-50, 1e50, 3.0, 1e-42, f64::INFINITY, 16_777_217.0].map(f64::to_bits));
    check("cvt.rn.f32.f64 %d, %a;", 32, 64, &doubles, |a, _, _| (f64::from_bits(a) as f32).to_bits().into());
    check("cvt.rz.f32.f64 %d, %a;", 32, 64, &doubles, |a, _, _| {
        let (x, nearest) = (f64::from_bits(a), f64::from_bits(a) as f32);
        let toward_zero = match f64::from(nearest).abs() > x.abs() {
            true if nearest > 0.0 => nearest.next_down(),
            true => nearest.next_up(),
            false => nearest,
        };
        toward_zero.to_bits().into()
    });
    check_f32("cvt.sat.f32.f32 %d, %a;", &floats, |a, _, _| if a > 0.0 { a.min(1.0) } else { 0.0 });
    check_f32("cvt.ftz.f32.f32 %d, %a;", &floats, |a, _, _| if a.is_subnormal() { 0f32.copysign(a) } else { a });
}

#[test]
fn bits_move_between_kinds_of_registers() {
    let words = triples(&integers32());
    let text = "{ .reg .f32 x; .reg .s32 y; mov.b32 x, %a; mov.b32 y, x; mov.b32 %d, y; }";
    check(text, 32, 32, &words, |a, _, _| a);
    check("mov.b64 %d, {%a, %b};", 64, 32, &words, |a, b, _| a | b << 32);
    let text = "{ .reg .b16 x, y; mov.b32 {x, y}, %a; mov.b32 {_, x}, %b; mov.b32 %d, {x, y}; }";
    check(text, 32, 32, &words, |a, b, _| b >> 16 | a >> 16 << 16);
}
