use super::*;

const FORMATS: [HalfFormat; 2] = [HalfFormat::F16, HalfFormat::Bf16];
const ROUNDINGS: [Rounding; 4] = [Rounding::Nearest, Rounding::Zero, Rounding::Down, Rounding::Up];
const CLAMPS: [Clamp; 3] = [Clamp::None, Clamp::Unit, Clamp::Relu];

/// A stream of numbers that reaches every exponent, with special values strewn in.
fn floats(count: usize) -> Vec<u32> {
    const SPECIAL: [u32; 16] = [
        0,
        0x8000_0000,
        0x7f80_0000,
        0xff80_0000,
        0x7fc0_0000,
        0xff80_0001,
        0x7f80_0001,
        0xffff_ffff,
        1,
        0x8000_0001,
        0x7f7f_ffff,
        0xff7f_ffff,
        0x477f_efff,
        0x477f_f000,
        0x3300_0000,
        0x3300_0001,
    ];
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 32) as u32
    };
    let number = |index: usize, bits: u32| match index % 4 {
        0 => SPECIAL[index / 4 % SPECIAL.len()],
        // Around the range of fp16, with few bits so that ties come up.
        1 => (bits & 0x8000_f000) | ((0x3280_0000 + (bits >> 8) % 0x1600_0000) & 0x7fff_f000),
        2 => (bits & 0x8fff_ffff) | 0x3000_0000,
        _ => bits,
    };
    (0..count).map(|index| number(index, next())).collect()
}

fn warps(count: usize) -> Vec<Lanes> {
    floats(count * 32).as_chunks().0.to_vec()
}

#[test]
fn widening_agrees_with_the_half_crate_for_every_number() {
    for bits in 0..=u16::MAX {
        let f16 = half::f16::from_bits(bits);
        let expected = if f16.is_nan() { CANONICAL_NAN_F32 } else { f16.to_f32().to_bits() };
        assert_eq!(f16_to_f32(bits), expected, "fp16 {bits:#06x}");
        let bf16 = half::bf16::from_bits(bits);
        let expected = if bf16.is_nan() { CANONICAL_NAN_F32 } else { bf16.to_f32().to_bits() };
        assert_eq!(bf16_to_f32(bits), expected, "bf16 {bits:#06x}");
    }
}

#[test]
fn widening_is_the_same_on_both_paths() {
    for base in (0..=0xffffu32).step_by(32) {
        let a: Lanes = std::array::from_fn(|lane| ((base + lane as u32) * 0x0001_0001) ^ 0x5a5a_0000);
        for format in FORMATS {
            let run = |level| {
                let (mut single, mut low, mut high) = ([1; 32], [2; 32], [3; 32]);
                half_to_f32(level, format, &mut single, &a);
                half2_to_f32(level, format, &mut low, &mut high, &a);
                (single, low, high)
            };
            let portable = run(SimdLevel::PORTABLE);
            assert_eq!(portable.0, portable.1);
            assert_eq!(run(SimdLevel::detect()), portable, "{format:?} {base:#x}");
        }
    }
}

#[test]
fn narrowing_to_nearest_agrees_with_the_half_crate() {
    for bits in floats(100_000) {
        let x = f32::from_bits(bits);
        let expected = [half::f16::from_f32(x).to_bits(), half::bf16::from_f32(x).to_bits()];
        for (format, expected) in FORMATS.into_iter().zip(expected) {
            let expected = if x.is_nan() { CANONICAL_NAN_HALF } else { expected };
            assert_eq!(round_to_half(format, Rounding::Nearest, x.into()), expected, "{x:e} {format:?}");
        }
    }
}

/// Directed rounding gives the neighbour on the right side, and the number itself where there is one.
#[test]
fn directed_roundings_bracket_the_number() {
    let value = |format, bits| {
        f64::from(f32::from_bits(match format {
            HalfFormat::F16 => f16_to_f32(bits),
            HalfFormat::Bf16 => bf16_to_f32(bits),
        }))
    };
    for x in floats(20_000).into_iter().map(f32::from_bits).filter(|x| !x.is_nan()).map(f64::from) {
        for format in FORMATS {
            let [nearest, zero, down, up] = ROUNDINGS.map(|rounding| value(format, round_to_half(format, rounding, x)));
            assert!(down <= x && x <= up, "{x:e} {format:?}: {down:e} {up:e}");
            assert!(zero == if x < 0.0 { up } else { down }, "{x:e} {format:?}: {zero:e}");
            assert!(nearest == down || nearest == up, "{x:e} {format:?}: {nearest:e}");
            let exact = [nearest, zero, down, up].iter().filter(|&&rounded| rounded == x).count();
            assert!(exact == 0 || exact == 4, "{x:e} {format:?}");
        }
    }
}

#[test]
fn overflow_and_subnormal_results() {
    let narrow = |rounding, x| round_to_half(HalfFormat::F16, rounding, x);
    assert_eq!(narrow(Rounding::Nearest, 65519.99), 0x7bff);
    assert_eq!(narrow(Rounding::Nearest, 65520.0), 0x7c00);
    assert_eq!(narrow(Rounding::Zero, 1e300), 0x7bff);
    assert_eq!(narrow(Rounding::Down, -65505.0), 0xfc00);
    assert_eq!(narrow(Rounding::Up, -1e9), 0xfbff);
    assert_eq!(narrow(Rounding::Nearest, 2f64.powi(-25)), 0);
    assert_eq!(narrow(Rounding::Nearest, 2f64.powi(-25) * 1.0001), 1);
    assert_eq!(narrow(Rounding::Up, f64::from_bits(1)), 1);
    assert_eq!(narrow(Rounding::Down, -f64::from_bits(1)), 0x8001);
    assert_eq!(narrow(Rounding::Nearest, -0.0), 0x8000);
}

#[test]
fn narrowing_is_the_same_on_both_paths() {
    let warps = warps(400);
    for pair in warps.windows(2) {
        for (format, rounding) in FORMATS.into_iter().flat_map(|f| ROUNDINGS.map(|r| (f, r))) {
            for clamp in CLAMPS {
                let run = |level| {
                    let (mut single, mut packed) = ([1; 32], [2; 32]);
                    f32_to_half(level, format, rounding, clamp, &mut single, &pair[0]);
                    f32_to_half2(level, format, rounding, clamp, &mut packed, &pair[0], &pair[1]);
                    (single, packed)
                };
                assert_eq!(run(SimdLevel::detect()), run(SimdLevel::PORTABLE), "{format:?} {rounding:?} {clamp:?}");
            }
        }
    }
}

#[test]
fn lanes_agree_with_the_scalar_definition() {
    for warp in warps(200) {
        for (format, rounding) in FORMATS.into_iter().flat_map(|f| ROUNDINGS.map(|r| (f, r))) {
            let mut d = [0; 32];
            f32_to_half(SimdLevel::PORTABLE, format, rounding, Clamp::None, &mut d, &warp);
            let expected = warp.map(|bits| u32::from(round_to_half(format, rounding, f32::from_bits(bits).into())));
            assert_eq!(d, expected, "{format:?} {rounding:?}");
        }
    }
}

#[test]
fn clamps_follow_the_manual() {
    let number = |x: f32| x.to_bits();
    let mut a = [0; 32];
    let input = [-1.0, -0.0, 0.5, 2.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(number);
    a[..7].copy_from_slice(&input);
    let run = |clamp| {
        let mut d = [0; 32];
        f32_to_half(SimdLevel::detect(), HalfFormat::F16, Rounding::Nearest, clamp, &mut d, &a);
        <[u32; 7]>::try_from(&d[..7]).expect("seven lanes")
    };
    assert_eq!(run(Clamp::Unit), [0, 0, 0x3800, 0x3c00, 0, 0x3c00, 0]);
    assert_eq!(run(Clamp::Relu), [0, 0, 0x3800, 0x4000, 0x7fff, 0x7c00, 0]);
}
