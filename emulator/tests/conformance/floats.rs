//! fp32 and fp64 arithmetic.

use crate::harness::{Case, Comparison, Predicate, Ternary, check, check_f32, elementwise, floats32, triples};

/// `(s, e)` with `s + e` the exact sum.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Zero,
    Down,
    Up,
}

/// The fp32 number next to `value + error` in `direction`; `error` is below half a unit in the last place of `value`.
fn directed(value: f64, error: f64, direction: Direction) -> f32 {
    let nearest = value as f32;
    if !value.is_finite() || nearest.is_nan() {
        return nearest;
    }
    let error = if error.is_nan() { 0.0 } else { error };
    let difference = if f64::from(nearest) == value { error } else { value - f64::from(nearest) };
    let exact_is_negative = value < 0.0 || value == 0.0 && error < 0.0;
    match direction {
        Direction::Down if difference < 0.0 => nearest.next_down(),
        Direction::Up if difference > 0.0 => nearest.next_up(),
        Direction::Zero if exact_is_negative && difference > 0.0 => nearest.next_up(),
        Direction::Zero if !exact_is_negative && difference < 0.0 => nearest.next_down(),
        _ => nearest,
    }
}

const DIRECTIONS: [(&str, Direction); 3] = [("rz", Direction::Zero), ("rm", Direction::Down), ("rp", Direction::Up)];

/// Operands for directed rounding: finite, and no sum that is exactly zero, whose sign depends on the direction.
fn finite() -> Vec<[u64; 3]> {
    let values: Vec<u64> = floats32().into_iter().filter(|&bits| f32::from_bits(bits as u32).is_finite()).collect();
    triples(&values)
}

#[test]
fn basic_operations_round_to_nearest() {
    let operands = triples(&floats32());
    let cases: [Case<Ternary<f32>>; 12] = [
        ("add.f32 %d, %a, %b;", |a, b, _| a + b),
        ("add.rn.f32 %d, %a, 0f3F800000;", |a, _, _| a + 1.0),
        ("sub.rn.f32 %d, %a, %b;", |a, b, _| a - b),
        ("mul.rn.f32 %d, %a, %b;", |a, b, _| a * b),
        ("fma.rn.f32 %d, %a, %b, %c;", f32::mul_add),
        ("div.rn.f32 %d, %a, %b;", |a, b, _| a / b),
        ("rcp.rn.f32 %d, %a;", |a, _, _| 1.0 / a),
        ("sqrt.rn.f32 %d, %a;", |a, _, _| a.sqrt()),
        ("neg.f32 %d, %a;", |a, _, _| -a),
        ("abs.f32 %d, %a;", |a, _, _| a.abs()),
        ("copysign.f32 %d, %a, %b;", |a, b, _| b.copysign(a)),
        ("mul.rn.f32 %t, %a, %b; add.rn.f32 %d, %t, %c;", |a, b, c| a * b + c),
    ];
    for (text, definition) in cases {
        check_f32(text, &operands, definition);
    }
}

#[test]
fn directed_roundings() {
    let operands = finite();
    for (name, direction) in DIRECTIONS {
        let exact_zero = |x: f64| x == 0.0;
        let sums: Vec<_> = operands.iter().copied().filter(|&[a, b, _]| !exact_zero(float(a) + float(b))).collect();
        check_f32(&format!("add.{name}.f32 %d, %a, %b;"), &sums, |a, b, _| {
            let (value, error) = two_sum(a.into(), b.into());
            directed(value, error, direction)
        });
        let fused: Vec<_> =
            operands.iter().copied().filter(|&[a, b, c]| !exact_zero(float(a) * float(b) + float(c))).collect();
        check_f32(&format!("fma.{name}.f32 %d, %a, %b, %c;"), &fused, |a, b, c| {
            let (value, error) = two_sum(f64::from(a) * f64::from(b), c.into());
            directed(value, error, direction)
        });
        check_f32(&format!("mul.{name}.f32 %d, %a, %b;"), &operands, |a, b, _| {
            directed(f64::from(a) * f64::from(b), 0.0, direction)
        });
        let quotients: Vec<_> = operands.iter().copied().filter(|&[_, b, _]| !exact_zero(float(b))).collect();
        check_f32(&format!("div.{name}.f32 %d, %a, %b;"), &quotients, |a, b, _| {
            let (a, b) = (f64::from(a), f64::from(b));
            directed(a / b, (-(a / b)).mul_add(b, a) / b, direction)
        });
        let roots: Vec<_> = operands.iter().copied().filter(|&[a, ..]| float(a) > 0.0).collect();
        check_f32(&format!("sqrt.{name}.f32 %d, %a;"), &roots, |a, _, _| {
            let (a, root) = (f64::from(a), f64::from(a).sqrt());
            directed(root, (-root).mul_add(root, a), direction)
        });
    }
}

fn float(bits: u64) -> f64 {
    f32::from_bits(bits as u32).into()
}

#[test]
fn extrema_prefer_numbers_and_order_zeros() {
    let operands = triples(&floats32());
    let minimum = |a: f32, b: f32| match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if a == 0.0 && b == 0.0 => {
            if a.is_sign_negative() {
                a
            } else {
                b
            }
        }
        _ => a.min(b),
    };
    check_f32("min.f32 %d, %a, %b;", &operands, |a, b, _| minimum(a, b));
    check_f32("max.f32 %d, %a, %b;", &operands, |a, b, _| -minimum(-a, -b));
    check_f32(
        "max.NaN.f32 %d, %a, %b;",
        &operands,
        |a, b, _| {
            if a.is_nan() || b.is_nan() { f32::NAN } else { -minimum(-a, -b) }
        },
    );
}

#[test]
fn flushing_and_saturation() {
    let flush = |x: f32| if x.is_subnormal() { 0f32.copysign(x) } else { x };
    let operands = triples(&floats32());
    check_f32("add.ftz.f32 %d, %a, %b;", &operands, |a, b, _| flush(flush(a) + flush(b)));
    check_f32("mul.ftz.f32 %d, %a, %b;", &operands, |a, b, _| flush(flush(a) * flush(b)));
    check_f32("fma.rn.ftz.f32 %d, %a, %b, %c;", &operands, |a, b, c| flush(flush(a).mul_add(flush(b), flush(c))));
    check_f32("abs.ftz.f32 %d, %a;", &operands, |a, _, _| flush(a).abs());
    check_f32("add.sat.f32 %d, %a, %b;", &operands, |a, b, _| saturate(a + b));
    check_f32("fma.rn.sat.f32 %d, %a, %b, %c;", &operands, |a, b, c| saturate(a.mul_add(b, c)));
}

fn saturate(x: f32) -> f32 {
    if x > 0.0 { x.min(1.0) } else { 0.0 }
}

#[test]
#[allow(clippy::neg_cmp_op_on_partial_ord, reason = "the unordered forms are the negations")]
fn comparisons_know_unordered() {
    let operands = triples(&floats32());
    let cases: [Case<Comparison<f32>>; 14] = [
        ("eq", |a, b| a == b),
        ("ne", |a, b| !a.is_nan() && !b.is_nan() && a != b),
        ("lt", |a, b| a < b),
        ("le", |a, b| a <= b),
        ("gt", |a, b| a > b),
        ("ge", |a, b| a >= b),
        ("equ", |a, b| a.is_nan() || b.is_nan() || a == b),
        ("neu", |a, b| a != b),
        ("ltu", |a, b| !(a >= b)),
        ("leu", |a, b| !(a > b)),
        ("gtu", |a, b| !(a <= b)),
        ("geu", |a, b| !(a < b)),
        ("num", |a, b| !a.is_nan() && !b.is_nan()),
        ("nan", |a, b| a.is_nan() || b.is_nan()),
    ];
    for (comparison, definition) in cases {
        let text = format!("setp.{comparison}.f32 %p, %a, %b; selp.f32 %d, 0f3F800000, 0f00000000, %p;");
        check_f32(&text, &operands, |a, b, _| if definition(a, b) { 1.0 } else { 0.0 });
    }
}

#[test]
fn classes() {
    let operands = triples(&floats32());
    let cases: [Case<Predicate<f32>>; 6] = [
        ("finite", f32::is_finite),
        ("infinite", f32::is_infinite),
        ("number", |a| !a.is_nan()),
        ("notanumber", f32::is_nan),
        ("normal", f32::is_normal),
        ("subnormal", f32::is_subnormal),
    ];
    for (class, definition) in cases {
        let text = format!("testp.{class}.f32 %p, %a; selp.b32 %d, 1, 0, %p;");
        let found = elementwise(&text, 32, 32, &operands);
        for (found, [a, ..]) in found.into_iter().zip(&operands) {
            assert_eq!(found == 1, definition(f32::from_bits(*a as u32)), "{class} of {a:#x}");
        }
    }
}

/// Checks an approximation against fp64 within `relative` or `absolute`, whichever is more.
fn check_approximation(text: &str, inputs: &[f32], relative: f64, absolute: f64, definition: fn(f64) -> f64) {
    let operands: Vec<[u64; 3]> = inputs.iter().map(|x| [x.to_bits().into(), 0, 0]).collect();
    for (found, &x) in elementwise(text, 32, 32, &operands).into_iter().zip(inputs) {
        let (found, expected) = (f64::from(f32::from_bits(found as u32)), definition(x.into()));
        let limit = absolute.max(relative * expected.abs());
        assert!((found - expected).abs() <= limit, "{text} of {x:e}: {found:e}, not {expected:e}");
    }
}

/// Errors as the PTX manual bounds them.
#[test]
fn approximations_stay_within_their_bounds() {
    let around: Vec<f32> = (-64..64).map(|i| i as f32 * 0.049 + 0.013).collect();
    let positive: Vec<f32> = (0..128).map(|i| 1.7f32.powi(i - 64)).collect();
    let ulp = 2f64.powi(-23);
    check_approximation("ex2.approx.f32 %d, %a;", &around, 2.0 * ulp, 0.0, f64::exp2);
    check_approximation("lg2.approx.f32 %d, %a;", &positive, 2.0 * ulp, 2.0 * ulp, f64::log2);
    check_approximation("sin.approx.f32 %d, %a;", &around, 0.0, 2f64.powf(-20.5), f64::sin);
    check_approximation("cos.approx.f32 %d, %a;", &around, 0.0, 2f64.powf(-20.5), f64::cos);
    check_approximation("tanh.approx.f32 %d, %a;", &around, 2f64.powi(-11), 0.0, f64::tanh);
    check_approximation("rcp.approx.ftz.f32 %d, %a;", &positive, 2.0 * ulp, 0.0, f64::recip);
    check_approximation("rsqrt.approx.f32 %d, %a;", &positive, 2.0 * ulp, 0.0, |x| x.sqrt().recip());
    check_approximation("sqrt.approx.f32 %d, %a;", &positive, 2.0 * ulp, 0.0, f64::sqrt);
    check_approximation("div.approx.f32 %d, %a, 0f40400000;", &positive, 3.0 * ulp, 0.0, |x| x / 3.0);
    check_approximation("div.full.f32 %d, %a, 0f40400000;", &positive, 3.0 * ulp, 0.0, |x| x / 3.0);
}

#[test]
fn approximations_have_the_limits_of_the_manual() {
    let infinity = f32::INFINITY;
    let cases = [
        ("ex2.approx.f32", f32::NEG_INFINITY, 0.0),
        ("ex2.approx.f32", -0.0, 1.0),
        ("ex2.approx.f32", infinity, infinity),
        ("lg2.approx.f32", 0.0, f32::NEG_INFINITY),
        ("lg2.approx.f32", infinity, infinity),
        ("lg2.approx.f32", -1.0, f32::NAN),
        ("rcp.approx.f32", -0.0, f32::NEG_INFINITY),
        ("rcp.approx.f32", infinity, 0.0),
        ("rsqrt.approx.f32", 0.0, infinity),
        ("rsqrt.approx.f32", infinity, 0.0),
        ("rsqrt.approx.f32", -1.0, f32::NAN),
        ("sqrt.approx.f32", -0.0, -0.0),
        ("sin.approx.f32", -0.0, -0.0),
        ("sin.approx.f32", infinity, f32::NAN),
        ("tanh.approx.f32", infinity, 1.0),
    ];
    for (name, x, expected) in cases {
        check_f32(&format!("{name} %d, %a;"), &[[x.to_bits().into(), 0, 0]], |_, _, _| expected);
    }
}

#[test]
fn doubles() {
    let numbers = [0.0, -0.0, 1.0, -1.5, 0.1, 1e300, -1e-300, 5e-324, f64::MAX, f64::INFINITY, f64::NAN, 3.0];
    let values: Vec<u64> = numbers.iter().map(|x: &f64| x.to_bits()).collect();
    let operands = triples(&values);
    let cases: [Case<Ternary<f64>>; 8] = [
        ("add.f64 %d, %a, %b;", |a, b, _| a + b),
        ("sub.rn.f64 %d, %a, %b;", |a, b, _| a - b),
        ("mul.f64 %d, %a, 0d4008000000000000;", |a, _, _| a * 3.0),
        ("fma.rn.f64 %d, %a, %b, %c;", f64::mul_add),
        ("div.rn.f64 %d, %a, %b;", |a, b, _| a / b),
        ("sqrt.rn.f64 %d, %a;", |a, _, _| a.sqrt()),
        ("neg.f64 %d, %a;", |a, _, _| -a),
        ("abs.f64 %d, %a;", |a, _, _| a.abs()),
    ];
    for (text, definition) in cases {
        let found = elementwise(text, 64, 64, &operands);
        for (found, &[a, b, c]) in found.into_iter().zip(&operands) {
            let [a, b, c] = [a, b, c].map(f64::from_bits);
            let (found, expected) = (f64::from_bits(found), definition(a, b, c));
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "{text} of {a:e}, {b:e}, {c:e}: {found:e}, not {expected:e}");
        }
    }
    check("setp.lt.f64 %p, %a, %b; selp.b64 %d, 1, 0, %p;", 64, 64, &operands, |a, b, _| {
        (f64::from_bits(a) < f64::from_bits(b)).into()
    });
}
