//! fp64 arithmetic rounded towards zero or an infinity: exact results in wide integers, rounded once.

use crate::isa::Rounding;

/// `(-1)^negative * significand * 2^exponent`, the last bit of the significand standing for everything below it too.
#[derive(Clone, Copy)]
struct Exact {
    negative: bool,
    significand: u128,
    exponent: i32,
}

/// Bits of a significand that is shifted to the top, with room for a carry and the sign of a sum.
const TOP: u32 = 126;

impl Exact {
    /// A finite number.
    fn of(x: f64) -> Exact {
        let bits = x.to_bits();
        let field = (bits >> 52 & 0x7ff) as i32;
        let fraction = u128::from(bits & ((1 << 52) - 1));
        let significand = fraction | u128::from(field != 0) << 52;
        Exact { negative: x.is_sign_negative(), significand, exponent: field.max(1) - 1075 }
    }

    /// The same with its highest bit in place `TOP - 1`; zero stays zero.
    fn raised(self) -> Exact {
        let shift = self.significand.leading_zeros() as i32 - (128 - TOP as i32);
        match self.significand {
            0 => Exact { exponent: i32::MIN / 2, ..self },
            _ if shift < 0 => self.lowered(-shift),
            _ => Exact { significand: self.significand << shift, exponent: self.exponent - shift, ..self },
        }
    }

    /// Shifted down, the bits that fall out kept in the last one.
    fn lowered(self, shift: i32) -> Exact {
        let exponent = self.exponent + shift;
        let significand = match shift {
            0 => self.significand,
            1..=127 => {
                let lost = self.significand & ((1 << shift) - 1) != 0;
                self.significand >> shift | u128::from(lost)
            }
            _ => u128::from(self.significand != 0),
        };
        Exact { significand, exponent, ..self }
    }

    /// `self + other`; a sum of nothing has the sign that `rounding` gives it.
    fn plus(self, other: Exact, rounding: Rounding) -> Exact {
        let (a, b) = (self.raised(), other.raised());
        let exponent = a.exponent.max(b.exponent);
        let lower = |x: Exact| x.lowered(exponent.saturating_sub(x.exponent).min(200));
        let (a, b) = (lower(a), lower(b));
        let signed = |x: Exact| if x.negative { -(x.significand as i128) } else { x.significand as i128 };
        let sum = signed(a) + signed(b);
        let negative = match sum {
            0 if self.negative == other.negative => self.negative,
            0 => rounding == Rounding::Down,
            _ => sum < 0,
        };
        Exact { negative, significand: sum.unsigned_abs(), exponent }
    }

    fn round(self, rounding: Rounding) -> f64 {
        let top = self.raised();
        let sign = u64::from(self.negative) << 63;
        if top.significand == 0 {
            return f64::from_bits(sign);
        }
        // 53 bits stay, fewer where the number is subnormal.
        let last = (top.exponent + TOP as i32 - 53).max(-1074);
        let kept = top.lowered(last - top.exponent - 2);
        let (units, rest) = ((kept.significand >> 2) as u64, kept.significand & 3);
        let up = match rounding {
            Rounding::Nearest => rest > 2 || rest == 2 && units & 1 == 1,
            Rounding::Zero => false,
            Rounding::Down => self.negative && rest > 0,
            Rounding::Up => !self.negative && rest > 0,
        };
        let units = units + u64::from(up);
        // The leading bit of a normal number carries into the exponent field.
        let field = (last + 1074) as u64;
        let magnitude = (field << 52) + units;
        const INFINITY: u64 = 0x7ff << 52;
        let to_infinity = match rounding {
            Rounding::Nearest => true,
            Rounding::Zero => false,
            Rounding::Down => self.negative,
            Rounding::Up => !self.negative,
        };
        let limit = if to_infinity { INFINITY } else { INFINITY - 1 };
        f64::from_bits(sign | magnitude.min(limit))
    }
}

/// `a + b`
pub(super) fn add(a: f64, b: f64, rounding: Rounding) -> f64 {
    if !a.is_finite() || !b.is_finite() {
        return a + b;
    }
    Exact::of(a).plus(Exact::of(b), rounding).round(rounding)
}

/// `a * b`
pub(super) fn multiply(a: f64, b: f64, rounding: Rounding) -> f64 {
    if !a.is_finite() || !b.is_finite() {
        return a * b;
    }
    product(a, b).round(rounding)
}

fn product(a: f64, b: f64) -> Exact {
    let (a, b) = (Exact::of(a), Exact::of(b));
    Exact {
        negative: a.negative != b.negative,
        significand: a.significand * b.significand,
        exponent: a.exponent + b.exponent,
    }
}

/// `a * b + c`
pub(super) fn fma(a: f64, b: f64, c: f64, rounding: Rounding) -> f64 {
    if !a.is_finite() || !b.is_finite() || !c.is_finite() {
        return a.mul_add(b, c);
    }
    product(a, b).plus(Exact::of(c), rounding).round(rounding)
}

/// `a / b`
pub(super) fn divide(a: f64, b: f64, rounding: Rounding) -> f64 {
    if !a.is_finite() || !b.is_finite() || b == 0.0 {
        return a / b;
    }
    let (x, y) = (Exact::of(a).raised(), Exact::of(b));
    if x.significand == 0 {
        return a / b;
    }
    let (quotient, rest) = (x.significand / y.significand, x.significand % y.significand);
    // At least 73 bits, so that the last one may stand for the rest.
    let significand = quotient | u128::from(rest != 0);
    Exact { negative: x.negative != y.negative, significand, exponent: x.exponent - y.exponent }.round(rounding)
}

/// The square root of `a`.
pub(super) fn sqrt(a: f64, rounding: Rounding) -> f64 {
    if !(a > 0.0 && a.is_finite()) {
        return a.sqrt();
    }
    let x = Exact::of(a).raised();
    // An even exponent, so that it can be halved.
    let x = if x.exponent & 1 == 0 { x } else { x.lowered(1) };
    let root = x.significand.isqrt();
    let exact = root * root == x.significand;
    // 63 bits: the last one stands for the rest.
    Exact { negative: false, significand: root | u128::from(!exact), exponent: x.exponent / 2 }.round(rounding)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [f64; 16] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1.5,
        0.1,
        -3.7e-5,
        1.000_000_000_000_000_2,
        f64::MAX,
        -f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        -2.5e-310,
        1e200,
        -7e-200,
        9_007_199_254_740_993.0,
    ];

    fn same(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
    }

    /// Rounded to nearest, everything is what the host computes.
    #[test]
    fn nearest_is_the_hosts() {
        for a in NUMBERS {
            assert!(same(sqrt(a, Rounding::Nearest), a.sqrt()), "sqrt {a:e}");
            for b in NUMBERS {
                assert!(same(add(a, b, Rounding::Nearest), a + b), "{a:e} + {b:e}");
                assert!(same(multiply(a, b, Rounding::Nearest), a * b), "{a:e} * {b:e}");
                assert!(same(divide(a, b, Rounding::Nearest), a / b), "{a:e} / {b:e}");
                for c in NUMBERS {
                    let (found, expected) = (fma(a, b, c, Rounding::Nearest), a.mul_add(b, c));
                    assert!(same(found, expected), "{a:e} * {b:e} + {c:e}: {found:e}, {expected:e}");
                }
            }
        }
    }

    /// The directed results enclose the nearest one, and lie at most one step apart.
    #[test]
    fn directions_enclose_the_nearest() {
        let check = |what: &str, f: &dyn Fn(Rounding) -> f64| {
            let [nearest, zero, down, up] = [Rounding::Nearest, Rounding::Zero, Rounding::Down, Rounding::Up].map(f);
            if nearest.is_nan() {
                return;
            }
            assert!(down <= nearest && nearest <= up, "{what}: {down:e} {nearest:e} {up:e}");
            assert!(down == up || down.next_up() == up, "{what}: {down:e} and {up:e}");
            let expected = if nearest.is_sign_negative() && up <= 0.0 { up } else { down };
            assert!(zero == expected || down == up, "{what}: {zero:e}");
        };
        for a in NUMBERS {
            check("sqrt", &|r| sqrt(a, r));
            for b in NUMBERS {
                check("add", &|r| add(a, b, r));
                check("multiply", &|r| multiply(a, b, r));
                check("divide", &|r| divide(a, b, r));
                for c in NUMBERS {
                    check("fma", &|r| fma(a, b, c, r));
                }
            }
        }
        assert_eq!(add(1.0, 1e-300, Rounding::Up), 1f64.next_up());
        assert_eq!(add(-1.0, 1e-300, Rounding::Zero), (-1f64).next_up());
        assert_eq!(add(1.0, -1.0, Rounding::Down).to_bits(), (-0f64).to_bits());
        assert_eq!(divide(1.0, 3.0, Rounding::Up), (1f64 / 3.0).next_up());
        assert_eq!(multiply(f64::MAX, 2.0, Rounding::Zero), f64::MAX);
        assert_eq!(multiply(5e-324, 0.5, Rounding::Up), 5e-324);
    }
}
