//! Integer and logic operations.

use super::lanes::{File, Lanewise, per_level};
use crate::isa::{BoolOp, IntBinary, IntTernary, IntUnary, PredSource, Reg, Width};

#[inline(always)]
fn sign16(x: u32) -> i32 {
    i32::from(x as i16)
}

per_level! {
    /// `d = op a`.
    pub(super) fn unary(file: &mut File, mask: u32, op: IntUnary, width: Width, d: Reg, a: Reg) {
        match width {
            Width::W16 => unary_16(&mut file, mask, op, d, a),
            Width::W32 => unary_32(&mut file, mask, op, d, a),
            Width::W64 => unary_64(&mut file, mask, op, d, a),
        }
    }
}

#[inline(always)]
fn unary_16(file: &mut impl Lanewise, mask: u32, op: IntUnary, d: Reg, a: Reg) {
    match op {
        IntUnary::Not => file.each1(mask, d, [a], &|a| !a & 0xffff),
        IntUnary::Neg => file.each1(mask, d, [a], &|a| a.wrapping_neg() & 0xffff),
        IntUnary::Abs => file.each1(mask, d, [a], &|a| sign16(a).wrapping_abs() as u32 & 0xffff),
        IntUnary::Cnot => file.each1(mask, d, [a], &|a| u32::from(a == 0)),
        // The bit counts and reversals have no 16-bit forms.
        _ => unary_32(file, mask, op, d, a),
    }
}

#[inline(always)]
fn highest_bit_s(a: u32) -> u32 {
    highest_bit(if (a as i32) < 0 { !a } else { a })
}

#[inline(always)]
fn highest_bit(a: u32) -> u32 {
    31u32.wrapping_sub(a.leading_zeros())
}

/// Turns a position into the shift that brings that bit to the top; none stays none.
#[inline(always)]
fn shift_amount(position: u32, top: u32) -> u32 {
    if position == u32::MAX { u32::MAX } else { top - position }
}

#[inline(always)]
fn unary_32(file: &mut impl Lanewise, mask: u32, op: IntUnary, d: Reg, a: Reg) {
    match op {
        IntUnary::Not => file.map1(mask, d, [a], |a| !a),
        IntUnary::Neg => file.map1(mask, d, [a], u32::wrapping_neg),
        IntUnary::Abs => file.each1(mask, d, [a], &|a| (a as i32).wrapping_abs() as u32),
        IntUnary::Cnot => file.each1(mask, d, [a], &|a| u32::from(a == 0)),
        IntUnary::Clz => file.each1(mask, d, [a], &u32::leading_zeros),
        IntUnary::Popc => file.each1(mask, d, [a], &u32::count_ones),
        IntUnary::Brev => file.each1(mask, d, [a], &u32::reverse_bits),
        IntUnary::BfindU => file.each1(mask, d, [a], &highest_bit),
        IntUnary::BfindS => file.each1(mask, d, [a], &highest_bit_s),
        IntUnary::BfindShiftU => file.each1(mask, d, [a], &|a| shift_amount(highest_bit(a), 31)),
        IntUnary::BfindShiftS => file.each1(mask, d, [a], &|a| shift_amount(highest_bit_s(a), 31)),
    }
}

#[inline(always)]
fn highest_bit_64(a: u64) -> u32 {
    63u32.wrapping_sub(a.leading_zeros())
}

#[inline(always)]
fn highest_bit_s64(a: u64) -> u32 {
    highest_bit_64(if (a as i64) < 0 { !a } else { a })
}

#[inline(always)]
fn unary_64(file: &mut impl Lanewise, mask: u32, op: IntUnary, d: Reg, a: Reg) {
    match op {
        IntUnary::Not => file.map1_64(mask, d, [a], |a| !a),
        IntUnary::Neg => file.map1_64(mask, d, [a], u64::wrapping_neg),
        IntUnary::Abs => file.each1_64(mask, d, [a], &|a| (a as i64).wrapping_abs() as u64),
        IntUnary::Cnot => file.each1_64(mask, d, [a], &|a| u64::from(a == 0)),
        IntUnary::Brev => file.each1_64(mask, d, [a], &u64::reverse_bits),
        IntUnary::Clz => file.each_narrow1(mask, d, [a], &u64::leading_zeros),
        IntUnary::Popc => file.each_narrow1(mask, d, [a], &u64::count_ones),
        IntUnary::BfindU => file.each_narrow1(mask, d, [a], &highest_bit_64),
        IntUnary::BfindS => file.each_narrow1(mask, d, [a], &highest_bit_s64),
        IntUnary::BfindShiftU => file.each_narrow1(mask, d, [a], &|a| shift_amount(highest_bit_64(a), 63)),
        IntUnary::BfindShiftS => file.each_narrow1(mask, d, [a], &|a| shift_amount(highest_bit_s64(a), 63)),
    }
}

per_level! {
    /// `d = a op b`.
    pub(super) fn binary(file: &mut File, mask: u32, op: IntBinary, width: Width, d: Reg, a: Reg, b: Reg) {
        match width {
            Width::W16 => binary_16(&mut file, mask, op, d, a, b),
            Width::W32 => binary_32(&mut file, mask, op, d, a, b),
            Width::W64 => binary_64(&mut file, mask, op, d, a, b),
        }
    }
}

#[inline(always)]
fn binary_16(file: &mut impl Lanewise, mask: u32, op: IntBinary, d: Reg, a: Reg, b: Reg) {
    use IntBinary::*;
    let mut low = |f: fn(u32, u32) -> u32| file.each2(mask, d, [a, b], &|a, b| f(a, b) & 0xffff);
    match op {
        Add | AddSatS => low(u32::wrapping_add),
        Sub | SubSatS => low(u32::wrapping_sub),
        MulLo => low(u32::wrapping_mul),
        MulHiU => low(|a, b| (a * b) >> 16),
        MulHiS => low(|a, b| ((sign16(a) * sign16(b)) >> 16) as u32),
        MulWideU => file.each2(mask, d, [a, b], &|a, b| a * b),
        MulWideS => file.each2(mask, d, [a, b], &|a, b| (sign16(a) * sign16(b)) as u32),
        DivU => low(|a, b| a.checked_div(b).unwrap_or(u32::MAX)),
        DivS => low(|a, b| sign16(a).checked_div(sign16(b)).unwrap_or(-1) as u32),
        RemU => low(|a, b| a.checked_rem(b).unwrap_or(a)),
        RemS => low(|a, b| sign16(a).checked_rem(sign16(b)).unwrap_or(sign16(a)) as u32),
        MinU => low(u32::min),
        MaxU => low(u32::max),
        MinS => low(|a, b| sign16(a).min(sign16(b)) as u32),
        MaxS => low(|a, b| sign16(a).max(sign16(b)) as u32),
        And => low(|a, b| a & b),
        Or => low(|a, b| a | b),
        Xor => low(|a, b| a ^ b),
        Shl => low(|a, b| if b < 16 { a << b } else { 0 }),
        ShrU => low(|a, b| if b < 16 { a >> b } else { 0 }),
        ShrS => low(|a, b| (sign16(a) >> b.min(15)) as u32),
    }
}

#[inline(always)]
fn wide_u(a: u32, b: u32) -> u64 {
    u64::from(a) * u64::from(b)
}

#[inline(always)]
fn wide_s(a: u32, b: u32) -> i64 {
    i64::from(a as i32) * i64::from(b as i32)
}

#[inline(always)]
fn binary_32(file: &mut impl Lanewise, mask: u32, op: IntBinary, d: Reg, a: Reg, b: Reg) {
    use IntBinary::*;
    match op {
        Add => file.map2(mask, d, [a, b], u32::wrapping_add),
        Sub => file.map2(mask, d, [a, b], u32::wrapping_sub),
        AddSatS => file.each2(mask, d, [a, b], &|a, b| (a as i32).saturating_add(b as i32) as u32),
        SubSatS => file.each2(mask, d, [a, b], &|a, b| (a as i32).saturating_sub(b as i32) as u32),
        MulLo => file.map2(mask, d, [a, b], u32::wrapping_mul),
        MulHiU => file.map2(mask, d, [a, b], |a, b| (wide_u(a, b) >> 32) as u32),
        MulHiS => file.each2(mask, d, [a, b], &|a, b| (wide_s(a, b) >> 32) as u32),
        MulWideU => file.widen2(mask, d, [a, b], wide_u),
        MulWideS => file.widen2(mask, d, [a, b], |a, b| wide_s(a, b) as u64),
        DivU => file.map2(mask, d, [a, b], divide_u),
        DivS => file.map2(mask, d, [a, b], divide_s),
        RemU => file.map2(mask, d, [a, b], remainder_u),
        RemS => file.map2(mask, d, [a, b], remainder_s),
        MinU => file.map2(mask, d, [a, b], u32::min),
        MaxU => file.map2(mask, d, [a, b], u32::max),
        MinS => file.map2(mask, d, [a, b], |a, b| (a as i32).min(b as i32) as u32),
        MaxS => file.map2(mask, d, [a, b], |a, b| (a as i32).max(b as i32) as u32),
        And => file.map2(mask, d, [a, b], |a, b| a & b),
        Or => file.map2(mask, d, [a, b], |a, b| a | b),
        Xor => file.map2(mask, d, [a, b], |a, b| a ^ b),
        Shl => file.map2(mask, d, [a, b], |a, b| if b < 32 { a << (b & 31) } else { 0 }),
        ShrU => file.map2(mask, d, [a, b], |a, b| if b < 32 { a >> (b & 31) } else { 0 }),
        ShrS => file.map2(mask, d, [a, b], |a, b| ((a as i32) >> b.min(31)) as u32),
    }
}

/// An integer in fp64, exactly, by operations that have vector forms.
#[inline(always)]
fn double(a: u32) -> f64 {
    const EXPONENT: u64 = 0x4330_0000_0000_0000;
    f64::from_bits(EXPONENT | u64::from(a)) - f64::from_bits(EXPONENT)
}

/// Division by zero gives all ones, as the hardware's sequence does.
///
/// The quotient in fp64 is rounded by less than it can lie below an integer, so that its floor is right.
#[inline(always)]
fn divide_u(a: u32, b: u32) -> u32 {
    const EXPONENT: f64 = f64::from_bits(0x4330_0000_0000_0000);
    let quotient = ((double(a) / double(b)).floor() + EXPONENT).to_bits() as u32;
    if b == 0 { u32::MAX } else { quotient }
}

#[inline(always)]
fn remainder_u(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { a.wrapping_sub(divide_u(a, b).wrapping_mul(b)) }
}

#[inline(always)]
fn divide_s(a: u32, b: u32) -> u32 {
    let quotient = divide_u((a as i32).unsigned_abs(), (b as i32).unsigned_abs());
    let signed = if ((a ^ b) as i32) < 0 { quotient.wrapping_neg() } else { quotient };
    if b == 0 { u32::MAX } else { signed }
}

#[inline(always)]
fn remainder_s(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { a.wrapping_sub(divide_s(a, b).wrapping_mul(b)) }
}

#[inline(always)]
fn high_u64(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

#[inline(always)]
fn high_s64(a: u64, b: u64) -> u64 {
    ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64
}

#[inline(always)]
fn binary_64(file: &mut impl Lanewise, mask: u32, op: IntBinary, d: Reg, a: Reg, b: Reg) {
    use IntBinary::*;
    match op {
        Add | AddSatS => file.map2_64(mask, d, [a, b], u64::wrapping_add),
        Sub | SubSatS => file.map2_64(mask, d, [a, b], u64::wrapping_sub),
        MulLo | MulWideU | MulWideS => file.map2_64(mask, d, [a, b], u64::wrapping_mul),
        MulHiU => file.each2_64(mask, d, [a, b], &high_u64),
        MulHiS => file.each2_64(mask, d, [a, b], &high_s64),
        DivU => file.each2_64(mask, d, [a, b], &|a, b| a.checked_div(b).unwrap_or(u64::MAX)),
        DivS => file.each2_64(mask, d, [a, b], &|a, b| {
            if b == 0 { u64::MAX } else { (a as i64).wrapping_div(b as i64) as u64 }
        }),
        RemU => file.each2_64(mask, d, [a, b], &|a, b| a.checked_rem(b).unwrap_or(a)),
        RemS => {
            file.each2_64(mask, d, [a, b], &|a, b| if b == 0 { a } else { (a as i64).wrapping_rem(b as i64) as u64 })
        }
        MinU => file.each2_64(mask, d, [a, b], &u64::min),
        MaxU => file.each2_64(mask, d, [a, b], &u64::max),
        MinS => file.each2_64(mask, d, [a, b], &|a, b| (a as i64).min(b as i64) as u64),
        MaxS => file.each2_64(mask, d, [a, b], &|a, b| (a as i64).max(b as i64) as u64),
        And => file.map2_64(mask, d, [a, b], |a, b| a & b),
        Or => file.map2_64(mask, d, [a, b], |a, b| a | b),
        Xor => file.map2_64(mask, d, [a, b], |a, b| a ^ b),
        Shl => file.map_64_32(mask, d, [a, b], |a, b| if b < 64 { a << (b & 63) } else { 0 }),
        ShrU => file.map_64_32(mask, d, [a, b], |a, b| if b < 64 { a >> (b & 63) } else { 0 }),
        ShrS => file.map_64_32(mask, d, [a, b], |a, b| ((a as i64) >> b.min(63)) as u64),
    }
}

per_level! {
    /// Operations of three sources.
    pub(super) fn ternary(file: &mut File, mask: u32, op: IntTernary, width: Width, d: Reg, sources: [Reg; 3]) {
        match width {
            Width::W16 => ternary_16(&mut file, mask, op, d, sources),
            Width::W32 => ternary_32(&mut file, mask, op, d, sources),
            Width::W64 => ternary_64(&mut file, mask, op, d, sources),
        }
    }
}

#[inline(always)]
fn ternary_16(file: &mut impl Lanewise, mask: u32, op: IntTernary, d: Reg, sources: [Reg; 3]) {
    use IntTernary::*;
    match op {
        MadLo => file.each3(mask, d, sources, &|a, b, c| a.wrapping_mul(b).wrapping_add(c) & 0xffff),
        MadHiU => file.each3(mask, d, sources, &|a, b, c| ((a * b) >> 16).wrapping_add(c) & 0xffff),
        MadHiS => {
            file.each3(mask, d, sources, &|a, b, c| (((sign16(a) * sign16(b)) >> 16) as u32).wrapping_add(c) & 0xffff)
        }
        MadWideU => file.each3(mask, d, sources, &|a, b, c| (a * b).wrapping_add(c)),
        MadWideS => file.each3(mask, d, sources, &|a, b, c| ((sign16(a) * sign16(b)) as u32).wrapping_add(c)),
        SadU => file.each3(mask, d, sources, &|a, b, c| c.wrapping_add(a.abs_diff(b)) & 0xffff),
        SadS => file.each3(mask, d, sources, &|a, b, c| c.wrapping_add(sign16(a).abs_diff(sign16(b))) & 0xffff),
        // The others have no 16-bit forms.
        _ => ternary_32(file, mask, op, d, sources),
    }
}

#[inline(always)]
fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[inline(always)]
fn ternary_32(file: &mut impl Lanewise, mask: u32, op: IntTernary, d: Reg, s: [Reg; 3]) {
    use IntTernary::*;
    match op {
        MadLo => file.map3(mask, d, s, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        MadHiU => file.each3(mask, d, s, &|a, b, c| ((wide_u(a, b) >> 32) as u32).wrapping_add(c)),
        MadHiS => file.each3(mask, d, s, &|a, b, c| ((wide_s(a, b) >> 32) as u32).wrapping_add(c)),
        MadWideU => file.widen3(mask, d, s, |a, b, c| wide_u(a, b).wrapping_add(c)),
        MadWideS => file.widen3(mask, d, s, |a, b, c| (wide_s(a, b) as u64).wrapping_add(c)),
        Mad24LoU => file.each3(mask, d, s, &|a, b, c| (a & 0xff_ffff).wrapping_mul(b & 0xff_ffff).wrapping_add(c)),
        Mad24LoS => file.each3(mask, d, s, &|a, b, c| sign24(a).wrapping_mul(sign24(b)).wrapping_add(c)),
        SadU => file.each3(mask, d, s, &|a, b, c| c.wrapping_add(a.abs_diff(b))),
        SadS => file.each3(mask, d, s, &|a, b, c| c.wrapping_add((a as i32).abs_diff(b as i32))),
        BfeU => file.each3(mask, d, s, &|a, position, length| extract(a.into(), position, length, 32, false) as u32),
        BfeS => file.each3(mask, d, s, &|a, position, length| extract(a.into(), position, length, 32, true) as u32),
        ShfLeftWrap => file.map3(mask, d, s, |a, b, c| ((pair(a, b) << (c & 31)) >> 32) as u32),
        ShfLeftClamp => file.each3(mask, d, s, &|a, b, c| ((pair(a, b) << c.min(32)) >> 32) as u32),
        ShfRightWrap => file.map3(mask, d, s, |a, b, c| (pair(a, b) >> (c & 31)) as u32),
        ShfRightClamp => file.each3(mask, d, s, &|a, b, c| (pair(a, b) >> c.min(32)) as u32),
        Prmt => {
            let selector = file.get(s[2])[0];
            if selector & 0x8888 == 0 && file.get(s[2]).iter().all(|c| *c == selector) {
                file.permute_bytes(mask, d, [s[0], s[1]], selector);
            } else {
                file.each3(mask, d, s, &|a, b, c| permute(a, b, |byte| c >> (4 * byte)));
            }
        }
        PrmtF4e => file.each3(mask, d, s, &|a, b, c| permute(a, b, |byte| (c & 3) + byte)),
        PrmtB4e => file.each3(mask, d, s, &|a, b, c| permute(a, b, |byte| (c & 3).wrapping_sub(byte) & 7)),
        PrmtRc8 => file.each3(mask, d, s, &|a, b, c| permute(a, b, |_| c & 3)),
        PrmtEcl => file.each3(mask, d, s, &|a, b, c| permute(a, b, |byte| byte.max(c & 3))),
        PrmtEcr => file.each3(mask, d, s, &|a, b, c| permute(a, b, |byte| byte.min(c & 3))),
        PrmtRc16 => file.each3(mask, d, s, &|a, b, c| permute(a, b, |byte| 2 * (c & 1) + (byte & 1))),
        Dp4aUU => file.each3(mask, d, s, &|a, b, c| dot4(a, b, c, u32::from, u32::from)),
        Dp4aUS => file.each3(mask, d, s, &|a, b, c| dot4(a, b, c, u32::from, |x| x as i8 as u32)),
        Dp4aSU => file.each3(mask, d, s, &|a, b, c| dot4(a, b, c, |x| x as i8 as u32, u32::from)),
        Dp4aSS => file.each3(mask, d, s, &|a, b, c| dot4(a, b, c, |x| x as i8 as u32, |x| x as i8 as u32)),
        Dp2aUU => file.each3(mask, d, s, &|a, b, c| dot2(a, b, c, u32::from, u32::from)),
        Dp2aUS => file.each3(mask, d, s, &|a, b, c| dot2(a, b, c, u32::from, |x| x as i8 as u32)),
        Dp2aSU => file.each3(mask, d, s, &|a, b, c| dot2(a, b, c, |x| x as i16 as u32, u32::from)),
        Dp2aSS => file.each3(mask, d, s, &|a, b, c| dot2(a, b, c, |x| x as i16 as u32, |x| x as i8 as u32)),
        Mad24HiU => {
            file.each3(mask, d, s, &|a, b, c| ((wide_u(a & 0xff_ffff, b & 0xff_ffff) >> 16) as u32).wrapping_add(c))
        }
        Mad24HiS => file.each3(mask, d, s, &|a, b, c| ((wide_s(sign24(a), sign24(b)) >> 16) as u32).wrapping_add(c)),
        Fns => file.each3(mask, d, s, &|a, b, c| find_nth(a, b, c as i32)),
    }
}

#[inline(always)]
fn sign24(x: u32) -> u32 {
    ((x << 8) as i32 >> 8) as u32
}

/// The bytes of (`b`:`a`) that the low three bits of each selector name; its fourth bit replicates the sign.
#[inline(always)]
pub(super) fn permute(a: u32, b: u32, selector: impl Fn(u32) -> u32) -> u32 {
    let bytes = pair(a, b);
    let mut result = 0;
    for byte in 0..4 {
        let selector = selector(byte);
        let mut chosen = (bytes >> (8 * (selector & 7))) as u32 & 0xff;
        if selector & 8 != 0 {
            chosen = if chosen & 0x80 != 0 { 0xff } else { 0 };
        }
        result |= chosen << (8 * byte);
    }
    result
}

#[inline(always)]
fn dot4(a: u32, b: u32, c: u32, widen_a: impl Fn(u8) -> u32, widen_b: impl Fn(u8) -> u32) -> u32 {
    let mut sum = c;
    for byte in 0..4 {
        let (a, b) = ((a >> (8 * byte)) as u8, (b >> (8 * byte)) as u8);
        sum = sum.wrapping_add(widen_a(a).wrapping_mul(widen_b(b)));
    }
    sum
}

/// The field at `position` of `length` bits of a value of `width` bits, extended by its sign where `signed`.
///
/// The sign is the field's top bit, or the value's own where the field reaches past it (PTX ISA, `bfe`).
#[inline(always)]
pub(super) fn extract(value: u64, position: u32, length: u32, width: u32, signed: bool) -> u64 {
    let (position, length) = (position & 0xff, length & 0xff);
    let last = (position + length).saturating_sub(1).min(width - 1);
    let sign = signed && length != 0 && value >> last & 1 != 0;
    let field = if position < width { value >> position } else { 0 };
    let kept = length.min(width.saturating_sub(position));
    let keep = if kept >= 64 { u64::MAX } else { (1 << kept) - 1 };
    if sign { field & keep | !keep } else { field & keep }
}

#[inline(always)]
fn ternary_64(file: &mut impl Lanewise, mask: u32, op: IntTernary, d: Reg, s: [Reg; 3]) {
    use IntTernary::*;
    match op {
        MadHiU => file.each3_64(mask, d, s, &|a, b, c| high_u64(a, b).wrapping_add(c)),
        MadHiS => file.each3_64(mask, d, s, &|a, b, c| high_s64(a, b).wrapping_add(c)),
        SadU => file.each3_64(mask, d, s, &|a, b, c| c.wrapping_add(a.abs_diff(b))),
        SadS => file.each3_64(mask, d, s, &|a, b, c| c.wrapping_add((a as i64).abs_diff(b as i64))),
        BfeU | BfeS => {
            let mut value = [0; 32];
            let (a, position, length) = (file.get64(s[0]), file.get(s[1]), file.get(s[2]));
            for lane in 0..32 {
                value[lane] = extract(a[lane], position[lane], length[lane], 64, op == BfeS);
            }
            file.set64(mask, d, value);
        }
        // Lowering gives 64 bits only to the forms above and to mad.lo.
        _ => file.map3_64(mask, d, s, |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
    }
}

per_level! {
    /// The function of three bits that `table` tabulates, on every bit.
    pub(super) fn lop3(file: &mut File, mask: u32, table: u8, d: Reg, sources: [Reg; 3]) {
        match table {
            0x80 => file.map3(mask, d, sources, |a, b, c| a & b & c),
            0xfe => file.map3(mask, d, sources, |a, b, c| a | b | c),
            0x96 => file.map3(mask, d, sources, |a, b, c| a ^ b ^ c),
            0xf8 => file.map3(mask, d, sources, |a, b, c| a | b & c),
            0xca => file.map3(mask, d, sources, |a, b, c| a & b | !a & c),
            0x78 => file.map3(mask, d, sources, |a, b, c| a ^ b & c),
            0xea => file.map3(mask, d, sources, |a, b, c| a & b | c),
            _ => {
                let term = |bit: u32| if table >> bit & 1 != 0 { u32::MAX } else { 0 };
                let terms: [u32; 8] = std::array::from_fn(|bit| term(bit as u32));
                file.map3(mask, d, sources, |a, b, c| {
                    (terms[0] & !a & !b & !c) | (terms[1] & !a & !b & c) | (terms[2] & !a & b & !c)
                        | (terms[3] & !a & b & c) | (terms[4] & a & !b & !c) | (terms[5] & a & !b & c)
                        | (terms[6] & a & b & !c) | (terms[7] & a & b & c)
                });
            }
        }
    }
}

per_level! {
    /// Inserts the low `length` bits of `a` into `b` at `position`.
    pub(super) fn insert(file: &mut File, mask: u32, width: Width, d: Reg, sources: [Reg; 2], place: [Reg; 2]) {
        let ([a, b], [position, length]) = (sources, place);
        if width == Width::W64 {
            let mut value = [0; 32];
            let (a, b, position, length) = (file.get64(a), file.get64(b), file.get(position), file.get(length));
            for lane in 0..32 {
                let (position, length) = (position[lane] & 0xff, length[lane] & 0xff);
                let ones = if length < 64 { (1u64 << (length & 63)) - 1 } else { u64::MAX };
                let keep = if position < 64 { ones << (position & 63) } else { 0 };
                value[lane] = b[lane] & !keep | a[lane].wrapping_shl(position) & keep;
            }
            file.set64(mask, d, value);
        } else {
            let mut value = [0; 32];
            let (a, b, position, length) = (file.get(a), file.get(b), file.get(position), file.get(length));
            for lane in 0..32 {
                let (position, length) = (position[lane] & 0xff, length[lane] & 0xff);
                let ones = if length < 32 { (1u32 << (length & 31)) - 1 } else { u32::MAX };
                let keep = if position < 32 { ones << (position & 31) } else { 0 };
                value[lane] = b[lane] & !keep | a[lane].wrapping_shl(position) & keep;
            }
            file.set(mask, d, value);
        }
    }
}

/// The products of the halves of `a` with the lower bytes of `b`, added to `c`.
#[inline(always)]
fn dot2(a: u32, b: u32, c: u32, half: fn(u16) -> u32, byte: fn(u8) -> u32) -> u32 {
    let product = |index: u32| half((a >> (16 * index)) as u16).wrapping_mul(byte((b >> (8 * index)) as u8));
    c.wrapping_add(product(0)).wrapping_add(product(1))
}

/// `fns`: the set bit of `bits` that is number `offset`, from `base` upwards or, where negative, downwards.
fn find_nth(bits: u32, base: u32, offset: i32) -> u32 {
    let is_set = |position: &u32| bits >> position & 1 == 1;
    let nth = offset.unsigned_abs().saturating_sub(1) as usize;
    let found = match offset {
        _ if base > 31 => None,
        0 => Some(base).filter(is_set),
        1.. => (base..32).filter(is_set).nth(nth),
        _ => (0..=base).rev().filter(is_set).nth(nth),
    };
    found.unwrap_or(u32::MAX)
}

/// A mask of `b` ones from position `a`.
pub(super) fn bit_mask(file: &mut File, mask: u32, d: Reg, a: Reg, b: Reg, clamp: bool) {
    let limit = |x: u32| if clamp { x.min(32) } else { x & 31 };
    file.each2(mask, d, [a, b], &|a, b| {
        let ones = (1u64 << limit(b)) - 1;
        (ones << limit(a)) as u32
    });
}

/// Operands of an addition or subtraction with carry.
pub(super) struct Carry {
    pub into: PredSource,
    pub out: crate::isa::Pred,
    pub subtract: bool,
}

/// `d = a + b + carry` or `d = a - b - borrow`; for subtractions the flag is the borrow.
pub(super) fn add_carry(file: &mut File, mask: u32, width: Width, d: Reg, a: Reg, b: Reg, carry: &Carry) {
    let into = file.pred(carry.into);
    let mut out = 0;
    let mut step = |lane: usize, a: u64, b: u64, bits: u32| {
        let (a, b) = (u128::from(a), u128::from(b));
        let one = u128::from(into >> lane & 1);
        let sum = if carry.subtract { a.wrapping_sub(b).wrapping_sub(one) } else { a + b + one };
        out |= ((sum >> bits & 1) as u32) << lane;
        sum as u64
    };
    if width == Width::W64 {
        let (a, b) = (file.get64(a), file.get64(b));
        let value = std::array::from_fn(|lane| step(lane, a[lane], b[lane], 64));
        file.set64(mask, d, value);
    } else {
        let (a, b) = (file.get(a), file.get(b));
        let value = std::array::from_fn(|lane| step(lane, a[lane].into(), b[lane].into(), 32) as u32);
        file.set(mask, d, value);
    }
    file.set_pred(mask, carry.out, out);
}

/// `a op b` on lane masks.
#[inline(always)]
pub(super) fn combine(op: BoolOp, a: u32, b: u32) -> u32 {
    match op {
        BoolOp::And => a & b,
        BoolOp::Or => a | b,
        BoolOp::Xor => a ^ b,
    }
}

/// `d` = the 16-bit parts of a 64-bit register, each in its own.
pub(super) fn unpack_16x4(file: &mut File, mask: u32, d: &[Reg; 4], a: Reg) {
    let a = *file.get64(a);
    for (index, d) in d.iter().enumerate() {
        file.set(mask, *d, a.map(|a| (a >> (16 * index)) as u32 & 0xffff));
    }
}

/// `d` = four 16-bit registers, the first lowest.
pub(super) fn pack_16x4(file: &mut File, mask: u32, d: Reg, a: &[Reg; 4]) {
    let mut value = [0u64; 32];
    for (index, a) in a.iter().enumerate() {
        for (value, a) in value.iter_mut().zip(file.get(*a)) {
            *value |= u64::from(a & 0xffff) << (16 * index);
        }
    }
    file.set64(mask, d, value);
}
