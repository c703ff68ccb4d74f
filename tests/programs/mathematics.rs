//! Mathematics: against the host's library in double precision, within the errors that the CUDA programming guide
//! states ("Mathematical Functions"), and exactly where results are defined exactly.

use half::{bf16, f16};

use crate::harness::{Source, line, on_every_build};
use crate::support::Random;

const SOURCE: Source = Source::new("mathematics.cu");

/// Numbers of all sizes between 1e-3 and 30, and large arguments for periodic functions.
fn arguments() -> Vec<f32> {
    let mut random = Random::new(1);
    let mut values: Vec<f32> = (0..120)
        .map(|_| {
            let size = 10f32.powf((random.next() % 4500) as f32 / 1000.0 - 3.0);
            if random.next().is_multiple_of(2) { size } else { -size }
        })
        .collect();
    values.extend([0.5, 1.0, -1.0, 2.0, 1e5, -3e6, 123_456.7, 7.5e9]);
    values
}

/// Whether `actual` is within `ulps` units in the last place of `T`, whose mantissas have `bits` bits, of `expected`.
fn within(actual: f64, expected: f64, ulps: f64, bits: i32, smallest: f64) -> bool {
    if expected.is_nan() {
        return actual.is_nan();
    }
    if expected.is_infinite() || actual.is_infinite() {
        return actual == expected;
    }
    let unit = 2f64.powi(expected.abs().max(smallest).log2().floor() as i32 - bits + 1);
    (actual - expected).abs() <= ulps * unit
}

/// A function, its error in units in the last place, and its definition.
type Function = (&'static str, f64, fn(f64) -> f64);

/// The gamma function by Lanczos' sum (g = 7, nine terms), good to 1e-14.
fn gamma(x: f64) -> f64 {
    const C: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let t = x - 1.0 + 7.5;
    let sum = C[0] + (1..9).map(|i| C[i] / (x - 1.0 + i as f64)).sum::<f64>();
    (std::f64::consts::TAU).sqrt() * t.powf(x - 0.5) * (-t).exp() * sum
}

/// The error function near 0, by its series.
fn erf_series(x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= -x * x / n;
        sum += term / (2.0 * n + 1.0);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

/// The complementary error function: the series near 0, else a continued fraction.
fn erfc(x: f64) -> f64 {
    let a = x.abs();
    let upper = if a < 2.0 {
        1.0 - erf_series(a)
    } else {
        let fraction = (1..200).rev().fold(a, |fraction, k| a + f64::from(k) / 2.0 / fraction);
        (-a * a).exp() / (fraction * std::f64::consts::PI.sqrt())
    };
    if x < 0.0 { 2.0 - upper } else { upper }
}

fn erf(x: f64) -> f64 {
    if x.abs() < 2.0 { erf_series(x) } else { 1.0 - erfc(x) }
}

/// Bessel's J0 by Simpson's rule on its integral.
fn bessel(x: f64) -> f64 {
    let n = 400;
    let at = |i: i32| (x * (std::f64::consts::PI * f64::from(i) / f64::from(n)).sin()).cos();
    // The integrand is periodic: the trapezoidal rule converges faster than any power.
    ((at(0) + at(n)) / 2.0 + (1..n).map(at).sum::<f64>()) / f64::from(n)
}

const SINGLE: [Function; 32] = [
    ("expf", 2.0, f64::exp),
    ("logf", 1.0, |x| x.abs().ln()),
    ("sinf", 2.0, f64::sin),
    ("cosf", 2.0, f64::cos),
    ("tanf", 4.0, f64::tan),
    ("atanf", 2.0, f64::atan),
    ("atan2f", 3.0, |x| x.atan2(0.75)),
    ("tanhf", 2.0, f64::tanh),
    ("sinhf", 3.0, |x| f64::from(x as f32 * 0.01).sinh()),
    ("erff", 2.0, erf),
    ("erfcf", 4.0, erfc),
    ("powf", 4.0, |x| x.abs().powf(f64::from(1.7f32))),
    ("cbrtf", 1.0, f64::cbrt),
    ("sqrtf", 0.5, |x| x.abs().sqrt()),
    ("rsqrtf", 2.0, |x| 1.0 / x.abs().sqrt()),
    ("1/x", 0.5, |x| 1.0 / x),
    ("log2f", 1.0, |x| x.abs().log2()),
    ("log10f", 2.0, |x| x.abs().log10()),
    ("exp2f", 2.0, f64::exp2),
    ("expm1f", 1.0, f64::exp_m1),
    ("log1pf", 1.0, |x| x.abs().ln_1p()),
    ("hypotf", 3.0, |x| x.hypot(2.5)),
    ("asinf", 2.0, |x| f64::from(x as f32 / (x.abs() as f32 + 1.0)).asin()),
    ("acosf", 2.0, |x| f64::from(x as f32 / (x.abs() as f32 + 1.0)).acos()),
    ("lgammaf", 6.0, |x| {
        let y = f64::from(x.abs() as f32 + 0.5);
        if y < 100.0 {
            gamma(y).ln()
        } else {
            (y - 0.5) * y.ln() - y + 0.5 * std::f64::consts::TAU.ln() + 1.0 / 12.0 / y
        }
    }),
    ("normcdff", 5.0, |x| 0.5 * erfc(-x / 2f64.sqrt())),
    ("sinpif", 1.0, |x| (std::f64::consts::PI * (x % 2.0)).sin()),
    ("exp10f", 2.0, |x| 10f64.powf(f64::from(x as f32 * 0.1))),
    ("asinhf", 3.0, f64::asinh),
    ("tgammaf", 5.0, |x| gamma(f64::from((x.abs() as f32).min(20.0) + 0.5))),
    ("fmodf", 0.0, |x| f64::from((x as f32 * 100.0) % 7.3f32)),
    ("j0f", 9.0, |x| bessel(x.abs().min(8.0))),
];

#[test]
fn functions_in_single_precision() {
    let input = arguments();
    on_every_build(SOURCE, |program| {
        let output = program.room::<[f32; 32]>(input.len());
        let launch = line(2, 64);
        program.launch("functions_f32", launch, &[&program.upload(&input), &output, &(input.len() as i32)]);
        for (&x, found) in input.iter().zip(output.read()) {
            for ((name, ulps, definition), found) in SINGLE.iter().zip(found) {
                let expected = definition(x.into());
                // Where results cross zero the guide bounds the absolute error.
                let smallest = match *name {
                    "lgammaf" | "log1pf" | "logf" | "log2f" | "log10f" | "j0f" | "tanf" | "sinpif" => 0.25,
                    _ => f64::from(f32::MIN_POSITIVE),
                };
                let infinity = f64::INFINITY.copysign(expected);
                let expected = if expected.abs() > f64::from(f32::MAX) { infinity } else { expected };
                // Half a unit for the rounding of the host's result.
                let close = within(found.into(), expected, ulps + 0.5, 24, smallest);
                assert!(close, "{name}({x:e}) is {found:e}, not {expected:e}");
            }
        }
    });
}

const DOUBLE: [Function; 24] = [
    ("exp", 1.0, f64::exp),
    ("log", 1.0, |x| x.abs().ln()),
    ("sin", 2.0, f64::sin),
    ("cos", 2.0, f64::cos),
    ("tan", 2.0, f64::tan),
    ("atan", 2.0, f64::atan),
    ("atan2", 2.0, |x| x.atan2(-0.75)),
    ("tanh", 1.0, f64::tanh),
    ("sinh", 2.0, |x| (x * 0.01).sinh()),
    // The definitions here lose some places.
    ("erf", 20.0, erf),
    ("erfc", 5000.0, erfc),
    ("pow", 2.0, |x| x.abs().powf(1.7)),
    ("cbrt", 1.0, f64::cbrt),
    ("sqrt", 0.0, |x| x.abs().sqrt()),
    ("rsqrt", 1.0, |x| 1.0 / x.abs().sqrt()),
    ("1/x", 0.0, |x| 1.0 / x),
    ("log2", 1.0, |x| x.abs().log2()),
    ("log10", 1.0, |x| x.abs().log10()),
    ("exp2", 1.0, f64::exp2),
    ("expm1", 1.0, f64::exp_m1),
    ("log1p", 1.0, |x| x.abs().ln_1p()),
    ("hypot", 2.0, |x| x.hypot(2.5)),
    ("asin", 2.0, |x| (x / (x.abs() + 1.0)).asin()),
    ("acosh", 3.0, |x| {
        // acosh(1 + a) without the cancellation of the textbook's formula.
        let a = (x.abs() + 1.0) - 1.0;
        (a + (a * (a + 2.0)).sqrt()).ln_1p()
    }),
];

#[test]
fn functions_in_double_precision() {
    let input: Vec<f64> = arguments().iter().map(|&x| f64::from(x) * 1.000_000_012_3).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<[f64; 24]>(input.len());
        let launch = line(2, 64);
        program.launch("functions_f64", launch, &[&program.upload(&input), &output, &(input.len() as i32)]);
        for (&x, found) in input.iter().zip(output.read()) {
            for ((name, ulps, definition), found) in DOUBLE.iter().zip(found) {
                let expected = definition(x);
                // The host's library errs by a unit itself.
                let close = within(found, expected, if *ulps == 0.0 { 0.0 } else { ulps + 1.0 }, 53, 1e-290);
                assert!(close, "{name}({x:e}) is {found:e}, not {expected:e}");
            }
        }
    });
}

#[test]
fn fast_functions() {
    let input: Vec<f32> = (0..100).map(|i| (i as f32 - 50.0) / 16.0 + 0.01).collect();
    /// The error that the guide states: relative, and absolute.
    type Fast = (&'static str, fn(f64) -> (f64, f64), fn(f64) -> f64);
    const UNIT: f64 = f32::EPSILON as f64;
    let functions: [Fast; 9] = [
        ("__expf", |x| ((3.0 + (1.173 * x).abs()) * UNIT, 0.0), f64::exp),
        ("__logf", |_| (3.0 * UNIT, 2f64.powf(-21.41)), |x| x.abs().ln()),
        ("__sinf", |_| (0.0, 2f64.powf(-20.9)), f64::sin),
        ("__cosf", |_| (0.0, 2f64.powf(-20.9)), f64::cos),
        ("__fdividef", |_| (2.0 * UNIT, 0.0), |x| x / f64::from(3.7f32)),
        // exp2(1.7 log2 x), each as above.
        ("__powf", |x| ((8.0 + 8.0 * x.abs().log2().abs()) * UNIT, 0.0), |x| x.abs().powf(f64::from(1.7f32))),
        ("__exp10f", |x| ((3.0 + (3.0 * x).abs()) * UNIT, 0.0), |x| 10f64.powf(f64::from(x as f32 * 0.1))),
        ("__tanf", |x| ((0.3 * x).cos().powi(-2) * 2f64.powf(-19.0), 0.0), |x| f64::from(x as f32 * 0.3).tan()),
        ("__log2f", |_| (2.0 * UNIT, 2f64.powi(-22)), |x| x.abs().log2()),
    ];
    on_every_build(SOURCE, |program| {
        let output = program.room::<[f32; 9]>(input.len());
        program.launch("fast", line(2, 64), &[&program.upload(&input), &output, &(input.len() as i32)]);
        for (&x, found) in input.iter().zip(output.read()) {
            for ((name, error, definition), found) in functions.iter().zip(found) {
                let (expected, (relative, absolute)) = (definition(x.into()), error(x.into()));
                let bound = relative * expected.abs().max(if *name == "__tanf" { 1.0 } else { 0.0 }) + absolute;
                let close = (f64::from(found) - expected).abs() <= bound;
                assert!(close, "{name}({x}) is {found}, not {expected} within {bound:.1e}");
            }
        }
    });
}

/// `exact` rounded to fp32 as told: to nearest, to zero, up, down. `exact` may be off by far less than its distance
/// from the next fp32 number, unless `sign` says on which side of `exact` the true value lies.
fn rounded(exact: f64, sign: f64) -> [f32; 4] {
    let nearest = exact as f32;
    let step = |up: bool| {
        let side = f64::from(nearest) - exact;
        // The true value is above `nearest` where `exact` is, or equal to it and `sign` positive.
        let above = side < 0.0 || (side == 0.0 && sign > 0.0);
        let below = side > 0.0 || (side == 0.0 && sign < 0.0);
        match (up, above, below) {
            (true, true, _) => nearest.next_up(),
            (false, _, true) => nearest.next_down(),
            _ => nearest,
        }
    };
    let (up, down) = (step(true), step(false));
    [nearest, if exact < 0.0 { up } else { down }, up, down]
}

#[test]
fn all_directions_of_rounding() {
    let mut random = Random::new(2);
    let (a, b): (Vec<f32>, Vec<f32>) = (0..64).map(|_| (random.normal(), random.normal() * 3.0)).unzip();
    on_every_build(SOURCE, |program| {
        let output = program.room::<[f32; 20]>(64);
        program.launch("roundings", line(1, 64), &[&program.upload(&a), &program.upload(&b), &output]);
        for ((&x, &y), found) in a.iter().zip(&b).zip(output.read()) {
            let (wide_x, wide_y) = (f64::from(x), f64::from(y));
            // What rounding to fp64 left out: of a sum by Knuth's, of quotient and root by the residue.
            let left = |sum: f64, p: f64, q: f64| {
                let back = sum - p;
                (p - (sum - back)) + (q - back)
            };
            let (sum, quotient, root) = (wide_x + wide_y, wide_x / wide_y, wide_x.abs().sqrt());
            let fused = wide_x * wide_y + wide_x;
            let expected = [
                rounded(sum, left(sum, wide_x, wide_y)),
                rounded(wide_x * wide_y, 0.0),
                rounded(quotient, quotient.mul_add(-wide_y, wide_x) * wide_y.signum()),
                rounded(root, root.mul_add(-root, wide_x.abs())),
                rounded(fused, left(fused, wide_x * wide_y, wide_x)),
            ];
            assert_eq!(found, expected.as_flattened(), "of {x} and {y}");
        }
    });
}

fn converted(x: f32) -> [i64; 20] {
    let d = f64::from(x);
    let nearest = d.round_ties_even();
    let bits = d.to_bits();
    [
        i64::from(nearest as i32),
        i64::from(x as i32),
        i64::from(d.ceil() as i32),
        i64::from(d.floor() as i32),
        i64::from(x as u32),
        nearest as i64,
        x as u64 as i64,
        i64::from(d.floor() as i32),
        d.ceil() as i64,
        i64::from(x as i32),
        nearest as i64,
        d.round() as i64,
        d.ceil() as i64,
        d.floor() as i64,
        d.trunc() as i64,
        i64::from(x as i32 as i8),
        i64::from(x as i32 as u16),
        i64::from(((x as i64) as f32).to_bits() as i32),
        f64::from(x as u32).to_bits() as i64,
        i64::from((bits >> 32) as i32 ^ bits as i32),
    ]
}

#[test]
fn conversions_between_all_kinds() {
    let mut input: Vec<f32> = arguments()[..120].to_vec();
    input.extend([0.5, 1.5, 2.5, -0.5, -1.5, 3e9, -3e9, 1e18]);
    let expected: Vec<[i64; 20]> = input.iter().map(|&x| converted(x)).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<[i64; 20]>(128);
        program.launch("conversions", line(1, 128), &[&program.upload(&input), &output]);
        for ((x, found), expected) in input.iter().zip(output.read()).zip(&expected) {
            assert_eq!(found, *expected, "of {x}");
        }
    });
}

fn halves(count: usize, seed: u64) -> Vec<f16> {
    let mut random = Random::new(seed);
    (0..count).map(|_| f16::from_f32(random.normal() * 3.0)).collect()
}

/// Towards zero.
fn truncated(x: f32) -> f16 {
    let nearest = f16::from_f32(x);
    if nearest.to_f32().abs() > x.abs() { f16::from_bits(nearest.to_bits() - 1) } else { nearest }
}

#[test]
fn half_precision() {
    let (a, b) = (halves(64, 3), halves(64, 4));
    // Sums, products and quotients of halves are rounded to fp64 without changing what fp16 rounds to.
    let round = f16::from_f64;
    let scalar = |x: f16, y: f16| -> [f16; 16] {
        let (u, v) = (x.to_f64(), y.to_f64());
        [
            round(u + v),
            round(u - v),
            round(u * v),
            round(u / v),
            round(u * v + u),
            round(u.max(v)),
            round(u.min(v)),
            round(u.abs()),
            round(-u),
            round(u.abs().sqrt()),
            truncated(x.to_f32() * 1.001),
            round(if u < v { 1.0 } else { 0.0 }),
            round(u.round_ties_even()),
            round((u + v).clamp(0.0, 1.0)),
            round(u.round_ties_even()),
            round(v.floor()),
        ]
    };
    let bits =
        |values: &[f16]| -> Vec<u16> { values.iter().map(|x| if *x == f16::ZERO { 0 } else { x.to_bits() }).collect() };
    on_every_build(SOURCE, |program| {
        let output = program.room::<[f16; 16]>(64);
        program.launch("halves", line(1, 64), &[&program.upload(&a), &program.upload(&b), &output]);
        for ((&x, &y), found) in a.iter().zip(&b).zip(output.read()) {
            assert_eq!(bits(&found), bits(&scalar(x, y)), "of {x} and {y}");
        }
        let output = program.room::<[[f16; 2]; 6]>(32);
        program.launch("half_pairs", line(1, 32), &[&program.upload(&a), &program.upload(&b), &output]);
        for (i, found) in output.read().iter().enumerate() {
            let (x, y) = ([a[2 * i].to_f64(), a[2 * i + 1].to_f64()], [b[2 * i].to_f64(), b[2 * i + 1].to_f64()]);
            let expected = [
                [0, 1].map(|j| round(x[j] * y[j] + y[j])),
                [0, 1].map(|j| round(x[j] + y[j])),
                [0, 1].map(|j| round(x[j] * y[0])),
                [1, 0].map(|j| round(x[j])),
                [0, 1].map(|j| round(x[j].max(y[j]))),
                [0, 1].map(|j| round(f64::from(u8::from(x[j] > y[j])))),
            ];
            assert_eq!(bits(found.as_flattened()), bits(expected.as_flattened()), "pair {i}");
        }
    });
}

#[test]
fn brain_floats() {
    let mut random = Random::new(5);
    let (a, b): (Vec<f32>, Vec<f32>) = (0..64).map(|_| (random.normal(), random.normal())).unzip();
    on_every_build(SOURCE.since(80), |program| {
        let output = program.room::<[bf16; 6]>(64);
        program.launch("brains", line(1, 64), &[&program.upload(&a), &program.upload(&b), &output]);
        for ((&x, &y), found) in a.iter().zip(&b).zip(output.read()) {
            let (u, v) = (bf16::from_f32(x).to_f64(), bf16::from_f32(y).to_f64());
            let expected = [u, u + v, u * v, u * v + v, u.max(v), v].map(bf16::from_f64);
            assert_eq!(found, expected, "of {x} and {y}");
        }
    });
}

#[test]
fn special_values() {
    let values = [0.0, -0.0, 1.0, -2.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-40];
    let expected = |x: f32, y: f32| -> [u32; 4] {
        let flags = [x < y, x <= y, x == y, x != y, x > y, x >= y, x.is_nan(), x.is_infinite()];
        let flags = flags.into_iter().chain([
            x.is_sign_negative(),
            x.is_finite(),
            !matches!(x.partial_cmp(&y), Some(std::cmp::Ordering::Less)),
        ]);
        let flags = flags.enumerate().fold(0, |bits, (i, flag)| bits | u32::from(flag) << i);
        // IEEE 754-2019: the number where the other is none; -0 below +0.
        let least = if x == y { if x.is_sign_negative() { x } else { y } } else { x.min(y) };
        let greatest = if x == y { if x.is_sign_negative() { y } else { x } } else { x.max(y) };
        [flags, least.to_bits(), greatest.to_bits(), x.copysign(y).to_bits()]
    };
    on_every_build(SOURCE, |program| {
        let output = program.room::<[u32; 4]>(64);
        program.launch("special_values", line(1, 64), &[&program.upload(&values), &output, &8]);
        for (i, found) in output.read().into_iter().enumerate() {
            let (x, y) = (values[i / 8], values[i % 8]);
            let mut expected = expected(x, y);
            if x.is_nan() && y.is_nan() {
                // The canonical NaN of PTX.
                (expected[1], expected[2]) = (0x7fff_ffff, 0x7fff_ffff);
            }
            assert_eq!(found, expected, "of {x} and {y}");
        }
    });
}

#[test]
fn option_prices() {
    let mut random = Random::new(6);
    let mut uniform = |low: f64, high: f64| low + (high - low) * (random.next() >> 11) as f64 / (1u64 << 53) as f64;
    let options: Vec<[f64; 3]> =
        (0..200).map(|_| [uniform(5.0, 30.0), uniform(1.0, 100.0), uniform(0.25, 10.0)]).collect();
    let (rate, volatility) = (0.02, 0.3);
    let normal = |d: f64| {
        let k = 1.0 / (1.0 + 0.2316419 * d.abs());
        let poly = 0.31938153 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429)));
        let value = 0.398_942_280_401_432_7 * (-0.5 * d * d).exp() * k * poly;
        if d > 0.0 { 1.0 - value } else { value }
    };
    let price = |[s, x, years]: [f64; 3]| {
        let d1 = ((s / x).ln() + (rate + 0.5 * volatility * volatility) * years) / (volatility * years.sqrt());
        let d2 = d1 - volatility * years.sqrt();
        let x = x * (-rate * years).exp();
        (s * normal(d1) - x * normal(d2), x * (1.0 - normal(d2)) - s * (1.0 - normal(d1)))
    };
    let narrow = |i: usize| -> Vec<f32> { options.iter().map(|option| option[i] as f32).collect() };
    let wide = |i: usize| -> Vec<f64> { options.iter().map(|option| option[i]).collect() };
    on_every_build(SOURCE, |program| {
        let inputs = [0, 1, 2].map(|i| program.upload(&narrow(i)));
        let (call, put) = (program.room::<f32>(200), program.room::<f32>(200));
        let launch = line(2, 64);
        program.launch("black_scholes_f32", launch, &[&inputs[0], &inputs[1], &inputs[2], &call, &put, &200]);
        for ((option, call), put) in options.iter().zip(call.read()).zip(put.read()) {
            let expected = price(option.map(|x| f64::from(x as f32)));
            // Differences of prices of up to 100 that are good to a few units.
            let close = |found: f32, expected: f64| {
                (f64::from(found) - expected).abs() <= 100.0 * 10.0 * f64::from(f32::EPSILON)
            };
            assert!(close(call, expected.0) && close(put, expected.1), "{option:?}: {call}, {put}, not {expected:?}");
        }
        let inputs = [0, 1, 2].map(|i| program.upload(&wide(i)));
        let (call, put) = (program.room::<f64>(200), program.room::<f64>(200));
        program.launch("black_scholes_f64", launch, &[&inputs[0], &inputs[1], &inputs[2], &call, &put, &200]);
        for ((&option, call), put) in options.iter().zip(call.read()).zip(put.read()) {
            let expected = price(option);
            let close = |found: f64, expected: f64| (found - expected).abs() <= 100.0 * 10.0 * f64::EPSILON;
            assert!(close(call, expected.0) && close(put, expected.1), "{option:?}: {call}, {put}, not {expected:?}");
        }
    });
}
