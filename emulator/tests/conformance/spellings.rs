//! Forms of ordinary instructions that few kernels use: directed fp64, 8-bit and tf32 conversions, parts of registers.

use half::{bf16, f16};

use crate::harness::{
    Argument, Case, HEADER, Shape, Ternary, check, check_f32, check32, elementwise, fill, floats32, integers32,
    integers64, launch, module, triples,
};

fn double(bits: u64) -> f64 {
    f64::from_bits(bits)
}

/// The neighbour of `nearest` in a direction, where the exact result is off by `error` of that sign.
fn directed(nearest: f64, error: f64, direction: &str) -> f64 {
    match direction {
        "rm" if error < 0.0 => nearest.next_down(),
        "rp" if error > 0.0 => nearest.next_up(),
        "rz" if nearest > 0.0 && error < 0.0 => nearest.next_down(),
        "rz" if nearest < 0.0 && error > 0.0 => nearest.next_up(),
        _ => nearest,
    }
}

/// The rounding errors come from fused multiply-adds, which are exact for numbers of moderate size.
#[test]
fn doubles_round_in_every_direction() {
    let numbers = [1.0, -1.5, 0.1, -3.3, 7.0, 1e10, -1.7e-9, 3.0, 0.333_333, -0.000_123, 123_456_789.125];
    let operands = triples(&numbers.map(f64::to_bits));
    for direction in ["rn", "rz", "rm", "rp"] {
        let check = |text: &str, definition: &dyn Fn(f64, f64, f64) -> (f64, f64)| {
            check(&text.replace("RND", direction), 64, 64, &operands, |a, b, c| {
                let (nearest, error) = definition(double(a), double(b), double(c));
                directed(nearest, error, direction).to_bits()
            });
        };
        let two_sum = |a: f64, b: f64| {
            let (sum, big, small) =
                (a + b, if a.abs() > b.abs() { a } else { b }, if a.abs() > b.abs() { b } else { a });
            (sum, small - (sum - big))
        };
        // Sums of nothing are left to the sign of the rounding.
        check("{ .reg .b64 z; add.RND.f64 %d, %a, %b; }", &|a, b, _| match a == -b {
            true => (if direction == "rm" { -0.0 } else { 0.0 }, 0.0),
            false => two_sum(a, b),
        });
        check("mul.RND.f64 %d, %a, %b;", &|a, b, _| (a * b, a.mul_add(b, -(a * b))));
        check("div.RND.f64 %d, %a, %b;", &|a, b, _| (a / b, (-(a / b)).mul_add(b, a) * b.signum()));
        check("rcp.RND.f64 %d, %a;", &|a, _, _| (1.0 / a, (-(1.0 / a)).mul_add(a, 1.0) * a.signum()));
        check("{ .reg .f64 t; abs.f64 t, %a; sqrt.RND.f64 %d, t; }", &|a, _, _| {
            let root = a.abs().sqrt();
            (root, (-root).mul_add(root, a.abs()))
        });
    }
}

/// Integers as factors and addends: the exact result has 107 bits at most.
#[test]
fn fused_doubles_round_in_every_direction() {
    let numbers =
        [1, -3, 0x1f_ffff_ffff_ffff, -0x12_3456_789a_bcde, 0x10_0000_0000_0001, 7_654_321, -0x1f_0000_0000_0001];
    let operands = triples(&numbers.map(|x: i64| (x as f64).to_bits()));
    for direction in ["rn", "rz", "rm", "rp"] {
        check(&format!("fma.{direction}.f64 %d, %a, %b, %c;"), 64, 64, &operands, |a, b, c| {
            let [a, b, c] = [a, b, c].map(|x| double(x) as i128);
            let exact = a * b + c;
            let nearest = exact as f64;
            directed(nearest, (exact - nearest as i128) as f64, direction).to_bits()
        });
    }
}

#[test]
fn extrema_of_magnitudes_and_of_three() {
    let operands = triples(&floats32().into_iter().filter(|&x| !f32::from_bits(x as u32).is_nan()).collect::<Vec<_>>());
    let signed = |magnitude: f32, a: f32, b: f32| {
        if a.is_sign_negative() != b.is_sign_negative() { -magnitude } else { magnitude }
    };
    check_f32("min.xorsign.abs.f32 %d, %a, %b;", &operands, |a, b, _| signed(a.abs().min(b.abs()), a, b));
    check_f32("max.NaN.xorsign.abs.f32 %d, %a, %b;", &operands, |a, b, _| signed(a.abs().max(b.abs()), a, b));
    let numbers: Vec<_> = operands.iter().copied().filter(|o| o.iter().all(|&x| x as u32 & 0x7fff_ffff != 0)).collect();
    check_f32("max.f32 %d, %a, %b, %c;", &numbers, |a, b, c| a.max(b).max(c));
    check_f32("min.abs.f32 %d, %a, %b, %c;", &numbers, |a, b, c| a.abs().min(b.abs()).min(c.abs()));
    let pair =
        |low: f32, high: f32| u64::from(f16::from_f32(low).to_bits()) | u64::from(f16::from_f32(high).to_bits()) << 16;
    let pairs = [[pair(1.0, -2.0), pair(-3.0, -1.0), 0]];
    let expected = pair(-3.0, 2.0);
    check("max.xorsign.abs.f16x2 %d, %a, %b;", 32, 32, &pairs, |_, _, _| expected);
    // bf16 keeps subnormal numbers unless told otherwise.
    let tiny = u64::from(bf16::from_f32(1e-39).to_bits());
    check("abs.bf16 %d, %a;", 16, 16, &[[tiny | 0x8000, 0, 0]], |_, _, _| tiny);
    let low = u64::from(bf16::from_f32(-130.0).to_bits());
    check("ex2.approx.ftz.bf16 %d, %a;", 16, 16, &[[low, 0, 0]], |_, _, _| 0);
}

#[test]
fn angles_beyond_reduction_stay_finite() {
    let operands: Vec<[u64; 3]> = [2e9f32, -1e20, 3.4e38].map(|x| [x.to_bits().into(), 0, 0]).to_vec();
    check_f32("sin.approx.f32 %d, %a;", &operands, |a, _, _| f64::from(a).sin() as f32);
    check_f32("cos.approx.ftz.f32 %d, %a;", &operands, |a, _, _| f64::from(a).cos() as f32);
}

/// fp32 numbers of every size, halfway cases of 10 bits among them.
fn wide_range() -> Vec<[u64; 3]> {
    let patterns = (0..256u64).map(|i| (i << 23 | i.wrapping_mul(0x9e_3779) & 0x7f_ffff) ^ (i & 1) << 31);
    let ties = (0..64u64).map(|i| (0x3f80_1000 + (i << 13)) | i << 31);
    patterns.chain(ties).chain(floats32()).map(|x| [x, x.rotate_left(7) & 0xffff_ffff, 0]).collect()
}

#[test]
fn tensor_floats_round_as_told() {
    let rounded = |x: f32, away: bool| {
        // Scaled to an integer of 11 bits, rounded, scaled back.
        let unit = 2f64.powi((x.abs().log2().floor() as i32).max(-126) - 10);
        let scaled = f64::from(x) / unit;
        let whole = if away { scaled.round() } else { scaled.round_ties_even() };
        (whole * unit) as f32
    };
    let normal: Vec<_> = wide_range().into_iter().filter(|&[x, ..]| f32::from_bits(x as u32).is_normal()).collect();
    check_f32("cvt.rna.tf32.f32 %d, %a;", &normal, |a, _, _| rounded(a, true));
    check_f32("cvt.rn.tf32.f32 %d, %a;", &normal, |a, _, _| rounded(a, false));
    check_f32("cvt.rz.tf32.f32 %d, %a;", &normal, |a, _, _| f32::from_bits(a.to_bits() & !0x1fff));
    check_f32("cvt.rn.relu.tf32.f32 %d, %a;", &normal, |a, _, _| rounded(a.max(0.0), false));
    check_f32("cvt.rna.satfinite.tf32.f32 %d, %a;", &wide_range(), |a, _, _| {
        let largest = f32::from_bits(0x7f7f_e000);
        if a.is_nan() || a.is_subnormal() || a == 0.0 {
            return if a.is_nan() { a } else { f32::from_bits(a.to_bits().wrapping_add(0x1000) & !0x1fff) };
        }
        rounded(a.clamp(-largest, largest), true).clamp(-largest, largest)
    });
}

#[test]
fn largest_finite_numbers() {
    let operands = wide_range();
    let finite = |x: f32, largest: f32| if x.is_nan() { x } else { x.clamp(-largest, largest) };
    for (found, [a, ..]) in
        elementwise("cvt.rn.satfinite.f16.f32 %d, %a;", 16, 32, &operands).into_iter().zip(&operands)
    {
        let expected = f16::from_f32(finite(f32::from_bits(*a as u32), 65504.0));
        let found = f16::from_bits(found as u16);
        assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{a:#x}: {found}");
    }
    let found = elementwise("cvt.rn.relu.satfinite.bf16x2.f32 %d, %a, %b;", 32, 32, &operands);
    for (found, &[a, b, _]) in found.into_iter().zip(&operands) {
        for (found, x) in [(found >> 16, a), (found, b)] {
            let x = finite(f32::from_bits(x as u32), bf16::MAX.to_f32());
            let expected = if x <= 0.0 { bf16::ZERO } else { bf16::from_f32(x) };
            let found = bf16::from_bits(found as u16);
            assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(), "{x:e}: {found}");
        }
    }
}

/// The value of an 8-bit float; `None` for what is no number.
fn byte_value(bits: u8, fraction: i32, bias: i32) -> Option<f64> {
    let field = i32::from(bits & 0x7f) >> fraction;
    let rest = f64::from(bits & ((1 << fraction) - 1)) / f64::from(1 << fraction);
    let special = if fraction == 3 { bits & 0x7f == 0x7f } else { field == 31 };
    let magnitude = if field == 0 { rest * 2f64.powi(1 - bias) } else { (1.0 + rest) * 2f64.powi(field - bias) };
    (!special).then_some(if bits & 0x80 == 0 { magnitude } else { -magnitude })
}

/// Against a search of all 256 of them.
#[test]
fn bytes_of_floats() {
    for (name, fraction, bias) in [("e4m3", 3, 7), ("e5m2", 2, 15)] {
        let nearest = |x: f32| {
            if x.is_nan() {
                return 0x7f;
            }
            let largest = if fraction == 3 { 448.0 } else { 57_344.0 };
            let x = x.clamp(-largest, largest);
            let half = if x.is_sign_negative() { 128..=255u8 } else { 0..=127 };
            let distance = |bits: u8| byte_value(bits, fraction, bias).map(|value| (value - f64::from(x)).abs());
            let candidates = half.filter_map(|bits| Some((distance(bits)?, bits & 1, bits)));
            candidates.min_by(|a, b| a.partial_cmp(b).unwrap()).unwrap().2
        };
        let operands: Vec<[u64; 3]> = (0..2000u64)
            .map(|i| {
                let x = (i as f32 / 37.0 - 27.0).exp2() * if i % 3 == 0 { -1.0 } else { 1.0 };
                let y = (i % 61) as f32 * 0.062_5 - 1.9;
                [x.to_bits().into(), y.to_bits().into(), 0]
            })
            .chain(floats32().into_iter().map(|x| [x, x ^ 0x8000_0000, 0]))
            .collect();
        check(&format!("cvt.rn.satfinite.{name}x2.f32 %d, %a, %b;"), 16, 32, &operands, |a, b, _| {
            let [a, b] = [a, b].map(|x| nearest(f32::from_bits(x as u32)));
            u64::from(b) | u64::from(a) << 8
        });
        let pairs: Vec<[u64; 3]> = (0..0x1_0000u64).step_by(13).map(|i| [i | (i ^ 0x5a5a) << 16, 0, 0]).collect();
        check(&format!("cvt.rn.satfinite.relu.{name}x2.f16x2 %d, %a;"), 16, 32, &pairs, |a, _, _| {
            let [low, high] = [a as u16, (a >> 16) as u16].map(|x| {
                let x = f16::from_bits(x).to_f32();
                u64::from(if x <= 0.0 { 0 } else { nearest(x) })
            });
            low | high << 8
        });
        let bytes: Vec<[u64; 3]> = (0..256u64).map(|i| [i | (255 - i) << 8, 0, 0]).collect();
        let found = elementwise(&format!("cvt.rn.f16x2.{name}x2 %d, %a;"), 32, 16, &bytes);
        for (found, [a, ..]) in found.into_iter().zip(&bytes) {
            for shift in [0, 8] {
                let found = f16::from_bits((found >> (2 * shift)) as u16);
                match byte_value((a >> shift) as u8, fraction, bias) {
                    Some(value) => assert_eq!(found.to_f64().to_bits(), value.to_bits(), "{name} {a:#x}"),
                    None if fraction == 2 && (a >> shift) & 3 == 0 => assert!(found.is_infinite(), "{name} {a:#x}"),
                    None => assert!(found.is_nan(), "{name} {a:#x}: {found}"),
                }
            }
        }
    }
}

#[test]
fn conversions_of_nan_and_of_wide_integers() {
    let nan = [[f64::NAN.to_bits(), 0, 0]];
    check("cvt.rzi.s32.f64 %d, %a;", 32, 64, &nan, |_, _, _| 0x8000_0000);
    check("cvt.rzi.u32.f64 %d, %a;", 32, 64, &nan, |_, _, _| 0x8000_0000);
    check("cvt.rzi.u64.f64 %d, %a;", 64, 64, &nan, |_, _, _| 1 << 63);
    let nan = [[f32::NAN.to_bits().into(), 0, 0]];
    check("cvt.rni.s64.f32 %d, %a;", 64, 32, &nan, |_, _, _| 1 << 63);
    check("cvt.rni.u32.f32 %d, %a;", 32, 32, &nan, |_, _, _| 0);
    // Halfway but for the last bit: one rounding, not two.
    let above = [[(1 << 63) + (1 << 55) + 1, 0, 0], [(1 << 63) + (1 << 55), 0, 0], [70_000, 0, 0], [2049, 0, 0]];
    check("cvt.rn.bf16.u64 %d, %a;", 16, 64, &above, |a, _, _| match a {
        70_000 => bf16::from_f32(70_000.0).to_bits().into(),
        2049 => bf16::from_f32(2049.0).to_bits().into(),
        _ => u64::from(bf16::from_f32(2f32.powi(63)).to_bits()) + (a & 1),
    });
    check("cvt.rz.f16.u64 %d, %a;", 16, 64, &above, |a, _, _| match a {
        2049 => f16::from_f32(2048.0).to_bits().into(),
        _ => f16::MAX.to_bits().into(),
    });
}

#[test]
fn integers_are_packed_clamped() {
    let operands = triples(&integers32());
    check32("cvt.pack.sat.s16.s32 %d, %a, %b;", &operands, |a, b, _| {
        let clamp = |x: u32| (x as i32).clamp(-0x8000, 0x7fff) as u32 & 0xffff;
        clamp(b) | clamp(a) << 16
    });
    check32("cvt.pack.sat.u8.s32.b32 %d, %a, %b, %c;", &operands, |a, b, c| {
        let clamp = |x: u32| (x as i32).clamp(0, 255) as u32;
        clamp(b) | clamp(a) << 8 | c << 16
    });
    check32("cvt.pack.sat.s4.s32.b32 %d, %a, %b, %c;", &operands, |a, b, c| {
        let clamp = |x: u32| (x as i32).clamp(-8, 7) as u32 & 15;
        clamp(b) | clamp(a) << 4 | c << 8
    });
}

fn halves_of(x: u32) -> [i32; 2] {
    [i32::from(x as i16), i32::from((x >> 16) as i16)]
}

fn of_halves(parts: [i32; 2]) -> u32 {
    parts[0] as u32 & 0xffff | (parts[1] as u32) << 16
}

#[test]
fn parts_of_registers() {
    let operands = triples(&integers32());
    let signed = |f: fn(i32, i32) -> i32| {
        move |a: u32, b: u32, _: u32| {
            let (a, b) = (halves_of(a), halves_of(b));
            of_halves([f(a[0], b[0]), f(a[1], b[1])])
        }
    };
    check32("add.u16x2 %d, %a, %b;", &operands, signed(|a, b| a + b));
    check32("min.s16x2 %d, %a, %b;", &operands, signed(i32::min));
    check32("max.s16x2.relu %d, %a, %b;", &operands, signed(|a, b| a.max(b).max(0)));
    check32("vsub2.s32.s32.s32.sat %d, %a, %b, %c;", &operands, signed(|a, b| (a - b).clamp(-0x8000, 0x7fff)));
    check32("vset2.s32.s32.lt %d, %a, %b, %c;", &operands, signed(|a, b| i32::from(a < b)));
    check32("max.u16x2 %d, %a, %b;", &operands, |a, b, _| (a & 0xffff).max(b & 0xffff) | (a >> 16).max(b >> 16) << 16);
    let bytes = |a: u32, b: u32, f: &dyn Fn(u8, u8) -> u8| {
        u32::from_le_bytes(std::array::from_fn(|i| f(a.to_le_bytes()[i], b.to_le_bytes()[i])))
    };
    check32("vabsdiff4.u32.u32.u32 %d, %a, %b, %c;", &operands, |a, b, _| bytes(a, b, &u8::abs_diff));
    check32("vabsdiff4.u32.u32.u32.add %d, %a, %b, %c;", &operands, |a, b, c| {
        bytes(a, b, &u8::abs_diff).to_le_bytes().into_iter().fold(c, |sum, x| sum.wrapping_add(x.into()))
    });
    check32("vadd4.u32.u32.u32.sat %d, %a, %b, %c;", &operands, |a, b, _| bytes(a, b, &u8::saturating_add));
    check32("vavrg4.u32.u32.u32 %d, %a, %b, %c;", &operands, |a, b, _| {
        bytes(a, b, &|a, b| ((u32::from(a) + u32::from(b) + 1) >> 1) as u8)
    });
    check32("vmin4.s32.s32.s32 %d, %a, %b, %c;", &operands, |a, b, _| {
        bytes(a, b, &|a, b| (a as i8).min(b as i8) as u8)
    });
}

#[test]
fn rarer_integers() {
    let operands = triples(&integers32());
    let s = |x: u32| x as i32;
    let wide = |x: u32| i64::from(s(x));
    let low24 = |x: u32| i64::from(s(x << 8) >> 8);
    let dot = |a: u32, b: u32, c: u32, shift: u32| {
        let byte = |i: u32| s((b >> (shift + 8 * i)) << 24) >> 24;
        let [low, high] = halves_of(a);
        c.wrapping_add((low * byte(0)) as u32).wrapping_add((high * byte(1)) as u32)
    };
    let cases: [Case<Ternary<u32>>; 6] = [
        ("max.relu.s32 %d, %a, %b;", |a, b, _| (a as i32).max(b as i32).max(0) as u32),
        ("mul24.hi.u32 %d, %a, %b;", |a, b, _| ((u64::from(a & 0xff_ffff) * u64::from(b & 0xff_ffff)) >> 16) as u32),
        ("dp2a.lo.u32.u32 %d, %a, %b, %c;", |a, b, c| {
            c.wrapping_add((a & 0xffff) * (b & 0xff)).wrapping_add((a >> 16) * (b >> 8 & 0xff))
        }),
        ("lop3.and.b32 %d|%q, %a, %b, %c, 0x80, 1; @!%q mov.b32 %d, 7;", |a, b, c| match a & b & c {
            0 => 7,
            bits => bits,
        }),
        ("mov.b32 %d, 0; { .reg .b8 w, x, y, z; mov.b32 {w, x, y, z}, %a; mov.b32 %d, {z, y, x, w}; }", |a, _, _| {
            a.swap_bytes()
        }),
        (
            "{ .reg .b16 h; .reg .b8 x, y; mov.b32 {h, _}, %a; mov.b16 {x, y}, h; mov.b16 h, {y, x}; cvt.u32.u16 %d, h; }",
            |a, _, _| u32::from((a as u16).swap_bytes()),
        ),
    ];
    for (text, definition) in cases {
        check32(text, &operands, definition);
    }
    check32("dp2a.lo.s32.s32 %d, %a, %b, %c;", &operands, |a, b, c| dot(a, b, c, 0));
    check32("dp2a.hi.s32.s32 %d, %a, %b, %c;", &operands, |a, b, c| dot(a, b, c, 16));
    check32("mad24.hi.s32 %d, %a, %b, %c;", &operands, |a, b, c| {
        (((low24(a) * low24(b)) >> 16) as u32).wrapping_add(c)
    });
    let clamp = |x: i64| x.clamp(i32::MIN.into(), i32::MAX.into()) as u32;
    check32("mad.hi.sat.s32 %d, %a, %b, %c;", &operands, |a, b, c| clamp(((wide(a) * wide(b)) >> 32) + wide(c)));
    check32("szext.clamp.s32 %d, %a, %b;", &operands, |a, b, _| match b {
        0 => 0,
        1..32 => (s(a << (32 - b)) >> (32 - b)) as u32,
        _ => a,
    });
    check32("szext.wrap.u32 %d, %a, %b;", &operands, |a, b, _| a & ((1 << (b & 31)) - 1));
}

#[test]
fn the_nth_set_bit() {
    let masks = [0u64, 1, 0x8000_0000, 0xffff_ffff, 0x0f0f_0f0f, 0x8421_1248];
    let operands: Vec<[u64; 3]> = masks
        .into_iter()
        .flat_map(|mask| {
            (0..34u64).flat_map(move |base| [0, 1, 2, 5, -1i32, -2, -4].map(|n| [mask, base, n as u32 as u64]))
        })
        .collect();
    check32("fns.b32 %d, %a, %b, %c;", &operands, |mask, base, offset| {
        let set = |position: i32| (0..32).contains(&position) && mask >> position & 1 == 1;
        let (offset, base) = (offset as i32, base as i32);
        if offset == 0 {
            return if set(base) { base as u32 } else { u32::MAX };
        }
        let (mut position, mut count) = (base, offset.abs());
        while (0..32).contains(&position) {
            count -= i32::from(set(position));
            if count == 0 {
                return position as u32;
            }
            position += offset.signum();
        }
        u32::MAX
    });
}

#[test]
fn carries_chain_through_wide_products() {
    let operands = triples(&integers64());
    check("{ .reg .b64 l; mad.lo.cc.u64 l, %a, %b, %c; madc.hi.u64 %d, %a, %b, 0; }", 64, 64, &operands, |a, b, c| {
        ((u128::from(a) * u128::from(b) + u128::from(c)) >> 64) as u64
    });
    check(
        "{ .reg .b64 l; sub.cc.u64 l, %a, %b; subc.cc.u64 l, %b, %a; subc.u64 %d, %c, 0; }",
        64,
        64,
        &operands,
        |a, b, c| {
            let (_, first) = a.overflowing_sub(b);
            let (rest, second) = b.overflowing_sub(a);
            let third = rest.overflowing_sub(first.into()).1;
            c.wrapping_sub(u64::from(second || third))
        },
    );
}

/// The flag of a subtraction is the carry of adding the complement: set where nothing is borrowed.
#[test]
fn additions_see_what_subtractions_borrowed() {
    let operands = triples(&integers32());
    check32("{ .reg .b32 l; sub.cc.u32 l, %a, %b; addc.u32 %d, 0, 0; }", &operands, |a, b, _| u32::from(a >= b));
    check32("{ .reg .b32 l; add.cc.u32 l, %a, %b; subc.u32 %d, %c, 0; }", &operands, |a, b, c| {
        c.wrapping_sub(u32::from(a.checked_add(b).is_some()))
    });
}

#[test]
fn vectors_of_eight_and_vector_atomics() {
    let body = "	.reg .b64 %p, %q;
	.reg .b32 %r<8>, %t;
	.reg .f32 %f<4>;
	ld.param.u64 %p, [out];
	mov.u32 %t, %tid.x;
	mul.wide.u32 %q, %t, 32;
	add.u64 %p, %p, %q;
	ld.global.v8.b32 {%r0, %r1, %r2, %r3, %r4, %r5, %r6, %r7}, [%p];
	st.global.v8.b32 [%p], {%r7, %r6, %r5, %r4, %r3, %r2, %r1, %r0};
	mov.f32 %f1, 0f3F800000;
	mov.f32 %f2, 0f40000000;
	atom.global.v2.f32.add {%f2, %f3}, [%p], {%f1, %f2};
	st.global.f32 [%p+8], %f3;
	mov.b32 %t, 0x3C003C00;
	red.global.v2.f16x2.add.noftz [%p+16], {%t, %t};
	atom.global.v2.f16.max.noftz {_, _}, [%p+24], {%rh, %rh};";
    let body = format!("\t.reg .b16 %rh;\n\tmov.b16 %rh, 0x4000;\n{body}");
    let mut out: Vec<u32> = (0..8).map(|i| (i as f32).to_bits()).collect();
    (out[0], out[3], out[2], out[1]) = (0x4400_c000, 0x4000_3c00, 0, 0x3c00_4200);
    let ptx = module(&["out"], &body);
    launch(&ptx, Shape::line(1, 1), &mut [Argument::Buffer(&mut out)])
        .unwrap_or_else(|report| panic!("{report}\n{ptx}"));
    // Reversed; then 1 and 2 added to the first two, and what the second was before.
    assert_eq!(out[..3].iter().map(|x| f32::from_bits(*x)).collect::<Vec<_>>(), [8.0, 8.0, 6.0]);
    // fp16 pairs plus one; then the maximum with 2 of the lower pair of the last words.
    let halves = |x: u32| [x as u16, (x >> 16) as u16].map(|x| f16::from_bits(x).to_f32());
    assert_eq!([halves(out[4]), halves(out[5])], [[2.0, 3.0], [1.0, 1.0]]);
    assert_eq!(halves(out[6]), [3.0, 2.0]);
}

#[test]
fn constants_are_no_globals() {
    let ptx = format!(
        "{HEADER}.const .align 4 .b32 c[4];\n.global .align 4 .b32 g;\n.visible .entry k(.param .u64 out)\n{{
	.reg .b64 %p, %c, %g;
	.reg .pred %q;
	.reg .b32 %r<5>;
	ld.param.u64 %p, [out];
	mov.u64 %c, c;
	cvta.const.u64 %c, %c;
	add.u64 %c, %c, 12;
	mov.u64 %g, g;
	cvta.global.u64 %g, %g;
	isspacep.const %q, %c;
	selp.b32 %r0, 1, 0, %q;
	isspacep.global %q, %c;
	selp.b32 %r1, 1, 0, %q;
	isspacep.const %q, %g;
	selp.b32 %r2, 1, 0, %q;
	isspacep.global %q, %g;
	selp.b32 %r3, 1, 0, %q;
	isspacep.shared::cluster %q, %g;
	selp.b32 %r4, 1, 0, %q;
	st.global.v4.b32 [%p], {{%r0, %r1, %r2, %r3}};
	st.global.b32 [%p+16], %r4;
	ret;\n}}\n"
    );
    assert_eq!(fill(&ptx, Shape::line(1, 1), 5), [1, 0, 0, 1, 0]);
}

/// The block that lanes hold in row-major order, and its transpose.
#[test]
fn blocks_are_transposed() {
    let body = "	.reg .b64 %p, %q;
	.reg .b32 %t, %v;
	ld.param.u64 %p, [out];
	mov.u32 %t, %laneid;
	mad.lo.u32 %v, %t, 0x00020002, 0x00010000;
	movmatrix.sync.aligned.m8n8.trans.b16 %v, %v;
	mul.wide.u32 %q, %t, 4;
	add.u64 %p, %p, %q;
	st.global.u32 [%p], %v;";
    let found = fill(&module(&["out"], body), Shape::line(1, 32), 32);
    for (lane, found) in found.into_iter().enumerate() {
        let (row, column) = (lane / 4, 2 * (lane % 4));
        let expected = (8 * column + row) as u32 | ((8 * (column + 1) + row) as u32) << 16;
        assert_eq!(found, expected, "lane {lane}");
    }
}

/// Vector registers, constant expressions and the address of an array's first element.
#[test]
fn registers_and_constants_are_spelled_as_in_the_manual() {
    let body = "	.reg .b64 %p, %l;
	.reg .b32 %t;
	.reg .v4 .u32 v;
	.reg .v2 .u32 w;
	.local .align 16 .b8 local0[4*4];
	ld.param.u64 %p, [out];
	mov.u64 %l, local0[0];
	mov.u32 v.x, (1<<4)|3;
	mov.u32 v.y, (3>2)?5:6;
	mov.u32 v.b, WARP_SZ-1;
	sub.u32 v.w, v.z, 2*(1+1);
	st.local.v4.u32 [%l], v;
	ld.local.v2.u32 w, [local0+2*4];
	mov.u32 %t, v.g;
	st.global.v4.u32 [%p], v;
	st.global.v2.u32 [%p+4*4], w;
	st.global.u32 [%p+24], %t;";
    assert_eq!(fill(&module(&["out"], body), Shape::line(1, 1), 7), [19, 5, 31, 27, 31, 27, 5]);
}
