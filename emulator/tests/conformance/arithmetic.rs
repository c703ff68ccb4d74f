//! Integer arithmetic, bits, comparisons, selection.

use crate::harness::{Case, Comparison, Ternary, check, check32, elementwise, integers32, integers64, triples};

fn check_all(cases: &[Case<Ternary<u32>>]) {
    let operands = triples(&integers32());
    for (text, definition) in cases {
        check32(text, &operands, definition);
    }
}

fn s(x: u32) -> i32 {
    x as i32
}

#[test]
fn sums_products_and_extrema() {
    check_all(&[
        ("add.s32 %d, %a, %b;", |a, b, _| a.wrapping_add(b)),
        ("add.u32 %d, %a, -5;", |a, _, _| a.wrapping_sub(5)),
        ("add.sat.s32 %d, %a, %b;", |a, b, _| s(a).saturating_add(s(b)) as u32),
        ("sub.s32 %d, %a, %b;", |a, b, _| a.wrapping_sub(b)),
        ("sub.sat.s32 %d, %a, %b;", |a, b, _| s(a).saturating_sub(s(b)) as u32),
        ("mul.lo.s32 %d, %a, %b;", |a, b, _| a.wrapping_mul(b)),
        ("mul.hi.s32 %d, %a, %b;", |a, b, _| ((i64::from(s(a)) * i64::from(s(b))) >> 32) as u32),
        ("mul.hi.u32 %d, %a, %b;", |a, b, _| ((u64::from(a) * u64::from(b)) >> 32) as u32),
        ("mad.lo.s32 %d, %a, %b, %c;", |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        ("mad.hi.u32 %d, %a, %b, %c;", |a, b, c| (((u64::from(a) * u64::from(b)) >> 32) as u32).wrapping_add(c)),
        ("mul24.lo.u32 %d, %a, %b;", |a, b, _| (a & 0xff_ffff).wrapping_mul(b & 0xff_ffff)),
        ("min.s32 %d, %a, %b;", |a, b, _| s(a).min(s(b)) as u32),
        ("max.s32 %d, %a, %b;", |a, b, _| s(a).max(s(b)) as u32),
        ("min.u32 %d, %a, %b;", |a, b, _| a.min(b)),
        ("max.u32 %d, %a, %b;", |a, b, _| a.max(b)),
        ("abs.s32 %d, %a;", |a, _, _| s(a).wrapping_abs() as u32),
        ("neg.s32 %d, %a;", |a, _, _| a.wrapping_neg()),
        ("sad.s32 %d, %a, %b, %c;", |a, b, c| s(a).abs_diff(s(b)).wrapping_add(c)),
        ("sad.u32 %d, %a, %b, %c;", |a, b, c| a.abs_diff(b).wrapping_add(c)),
        ("mov.u32 %d, WARP_SZ;", |_, _, _| 32),
    ]);
}

#[test]
fn bits_and_shifts() {
    check_all(&[
        ("and.b32 %d, %a, %b;", |a, b, _| a & b),
        ("or.b32 %d, %a, 0xF0U;", |a, _, _| a | 0xf0),
        ("xor.b32 %d, %a, %b;", |a, b, _| a ^ b),
        ("not.b32 %d, %a;", |a, _, _| !a),
        ("cnot.b32 %d, %a;", |a, _, _| u32::from(a == 0)),
        ("lop3.b32 %d, %a, %b, %c, 0x96;", |a, b, c| a ^ b ^ c),
        ("lop3.b32 %d, %a, %b, %c, 0xCA;", |a, b, c| (a & b) | (!a & c)),
        ("shl.b32 %d, %a, %b;", |a, b, _| a.checked_shl(b).unwrap_or(0)),
        ("shr.u32 %d, %a, %b;", |a, b, _| a.checked_shr(b).unwrap_or(0)),
        ("shr.s32 %d, %a, %b;", |a, b, _| (s(a) >> b.min(31)) as u32),
        ("shf.l.wrap.b32 %d, %a, %b, %c;", |a, b, c| (pair(a, b) << (c & 31) >> 32) as u32),
        ("shf.l.clamp.b32 %d, %a, %b, %c;", |a, b, c| (pair(a, b) << c.min(32) >> 32) as u32),
        ("shf.r.wrap.b32 %d, %a, %b, %c;", |a, b, c| (pair(a, b) >> (c & 31)) as u32),
        ("shf.r.clamp.b32 %d, %a, %b, %c;", |a, b, c| (pair(a, b) >> c.min(32)) as u32),
        ("clz.b32 %d, %a;", |a, _, _| a.leading_zeros()),
        ("popc.b32 %d, %a;", |a, _, _| a.count_ones()),
        ("brev.b32 %d, %a;", |a, _, _| a.reverse_bits()),
        ("bfind.u32 %d, %a;", |a, _, _| a.checked_ilog2().unwrap_or(u32::MAX)),
        ("bfind.s32 %d, %a;", |a, _, _| (if s(a) < 0 { !a } else { a }).checked_ilog2().unwrap_or(u32::MAX)),
        ("bfind.shiftamt.u32 %d, %a;", |a, _, _| if a == 0 { u32::MAX } else { a.leading_zeros() }),
        ("bfe.u32 %d, %a, %b, %c;", |a, b, c| bit_field(a, b, c, false)),
        ("bfe.s32 %d, %a, %b, %c;", |a, b, c| bit_field(a, b, c, true)),
        ("bfi.b32 %d, %a, %b, %c, 7;", |a, b, c| bit_insert(a, b, c, 7)),
        ("prmt.b32 %d, %a, %b, %c;", permute),
        ("prmt.b32 %d, %a, %b, 0x5410;", |a, b, _| (a & 0xffff) | b << 16),
    ]);
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// `bfe` after the pseudocode of the PTX manual.
fn bit_field(a: u32, position: u32, length: u32, signed: bool) -> u32 {
    let (position, length) = (position & 255, length & 255);
    let sign_position = (position + length).saturating_sub(1).min(31);
    let sign = signed && length > 0 && a >> sign_position & 1 == 1;
    (0..32).fold(0, |d, i| {
        let bit = if i < length && position + i <= 31 { a >> (position + i) & 1 == 1 } else { sign };
        d | u32::from(bit) << i
    })
}

/// `bfi` after the pseudocode of the PTX manual.
fn bit_insert(a: u32, b: u32, position: u32, length: u32) -> u32 {
    let position = position & 255;
    (0..length).filter(|i| position + i <= 31).fold(b, |d, i| {
        let at = position + i;
        d & !(1 << at) | (a >> i & 1) << at
    })
}

fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let bytes = pair(a, b).to_le_bytes();
    u32::from_le_bytes(std::array::from_fn(|i| {
        let select = selector >> (4 * i) & 15;
        let byte = bytes[select as usize & 7];
        if select & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 }
    }))
}

#[test]
fn quotients_and_remainders() {
    let operands: Vec<_> = triples(&integers32())
        .into_iter()
        .filter(|&[a, b, _]| b != 0 && (a, b) != (0x8000_0000, 0xffff_ffff))
        .collect();
    check32("div.s32 %d, %a, %b;", &operands, |a, b, _| (s(a) / s(b)) as u32);
    check32("div.u32 %d, %a, %b;", &operands, |a, b, _| a / b);
    check32("rem.s32 %d, %a, %b;", &operands, |a, b, _| (s(a) % s(b)) as u32);
    check32("rem.u32 %d, %a, %b;", &operands, |a, b, _| a % b);
    let operands: Vec<_> =
        triples(&integers64()).into_iter().filter(|&[a, b, _]| b != 0 && (a, b) != (1 << 63, u64::MAX)).collect();
    check("div.s64 %d, %a, %b;", 64, 64, &operands, |a, b, _| (a as i64 / b as i64) as u64);
    check("rem.u64 %d, %a, %b;", 64, 64, &operands, |a, b, _| a % b);
}

#[test]
fn wide_and_64_bit_integers() {
    let narrow = triples(&integers32());
    check("mul.wide.s32 %d, %a, %b;", 64, 32, &narrow, |a, b, _| {
        (i64::from(s(a as u32)) * i64::from(s(b as u32))) as u64
    });
    check("mul.wide.u32 %d, %a, %b;", 64, 32, &narrow, |a, b, _| a * b);
    let wide = triples(&integers64());
    let cases: [Case<Ternary<u64>>; 15] = [
        ("add.s64 %d, %a, %b;", |a, b, _| a.wrapping_add(b)),
        ("sub.s64 %d, %a, %b;", |a, b, _| a.wrapping_sub(b)),
        ("mul.lo.s64 %d, %a, %b;", |a, b, _| a.wrapping_mul(b)),
        ("mul.hi.u64 %d, %a, %b;", |a, b, _| ((u128::from(a) * u128::from(b)) >> 64) as u64),
        ("mul.hi.s64 %d, %a, %b;", |a, b, _| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64),
        ("mad.lo.s64 %d, %a, %b, %c;", |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        ("min.s64 %d, %a, %b;", |a, b, _| (a as i64).min(b as i64) as u64),
        ("max.u64 %d, %a, %b;", |a, b, _| a.max(b)),
        ("abs.s64 %d, %a;", |a, _, _| (a as i64).wrapping_abs() as u64),
        ("xor.b64 %d, %a, %b;", |a, b, _| a ^ b),
        ("brev.b64 %d, %a;", |a, _, _| a.reverse_bits()),
        ("shl.b64 %d, %a, 33;", |a, _, _| a << 33),
        ("shr.s64 %d, %a, 63;", |a, _, _| (a as i64 >> 63) as u64),
        ("bfe.u64 %d, %a, 28, 12;", |a, _, _| a >> 28 & 0xfff),
        ("{ .reg .b32 x, y; mov.b64 {x, y}, %a; mov.b64 %d, {y, x}; }", |a, _, _| a.rotate_left(32)),
    ];
    for (text, definition) in cases {
        check(text, 64, 64, &wide, definition);
    }
    check("clz.b64 %d, %a;", 32, 64, &wide, |a, _, _| a.leading_zeros().into());
    check("popc.b64 %d, %a;", 32, 64, &wide, |a, _, _| a.count_ones().into());
}

#[test]
fn integers_of_16_bits() {
    let operands = triples(&[0, 1, 2, 15, 16, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff, 0x1234]);
    let cases: [Case<Ternary<u64>>; 8] = [
        ("add.s16 %d, %a, %b;", |a, b, _| a + b),
        ("sub.s16 %d, %a, %b;", |a, b, _| a.wrapping_sub(b)),
        ("mul.lo.s16 %d, %a, %b;", |a, b, _| a * b),
        ("mad.lo.u16 %d, %a, %b, %c;", |a, b, c| a * b + c),
        ("max.s16 %d, %a, %b;", |a, b, _| (a as i16).max(b as i16) as u64),
        ("shr.s16 %d, %a, 3;", |a, _, _| (a as i16 >> 3) as u64),
        ("shl.b16 %d, %a, 4;", |a, _, _| a << 4),
        ("not.b16 %d, %a;", |a, _, _| !a),
    ];
    for (text, definition) in cases {
        check(text, 16, 16, &operands, definition);
    }
    check("mul.wide.s16 %d, %a, %b;", 32, 16, &operands, |a, b, _| {
        (i32::from(a as i16) * i32::from(b as i16)) as u32 as u64
    });
    check("mov.b32 %d, {%a, %b};", 32, 16, &operands, |a, b, _| a | b << 16);
}

#[test]
fn carries_run_through_chains() {
    let operands = triples(&integers32());
    let text = "{ .reg .b32 low; add.cc.u32 low, %a, %b; addc.u32 %d, %b, %c; }";
    check32(text, &operands, |a, b, c| b.wrapping_add(c).wrapping_add(u32::from(a.checked_add(b).is_none())));
    // Behind a subtraction the flag says that nothing was borrowed, which additions find.
    let text = "{ .reg .b32 low; sub.cc.u32 low, %a, %b; addc.u32 %d, 0, 0; }";
    check32(text, &operands, |a, b, _| u32::from(a >= b));
    let text = "{ .reg .b32 low; sub.cc.u32 low, %a, %b; subc.u32 %d, %b, %c; }";
    check32(text, &operands, |a, b, c| b.wrapping_sub(c).wrapping_sub(u32::from(a < b)));
    let text = "{ .reg .b32 low; mad.lo.cc.u32 low, %a, %b, %c; madc.hi.u32 %d, %a, %b, 0; }";
    check32(text, &operands, |a, b, c| ((u64::from(a) * u64::from(b) + u64::from(c)) >> 32) as u32);
}

#[test]
fn dot_products_of_bytes() {
    let operands = triples(&integers32());
    check32("dp4a.s32.s32 %d, %a, %b, %c;", &operands, |a, b, c| {
        let products = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
        products.fold(c, |sum, (a, b)| sum.wrapping_add((i32::from(a as i8) * i32::from(b as i8)) as u32))
    });
    check32("dp4a.u32.u32 %d, %a, %b, %c;", &operands, |a, b, c| {
        let products = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
        products.fold(c, |sum, (a, b)| sum.wrapping_add(u32::from(a) * u32::from(b)))
    });
}

#[test]
fn comparisons_of_integers() {
    let cases: [Case<Comparison<u32>>; 10] = [
        ("eq.s32", |a, b| a == b),
        ("ne.b32", |a, b| a != b),
        ("lt.s32", |a, b| s(a) < s(b)),
        ("le.s32", |a, b| s(a) <= s(b)),
        ("gt.s32", |a, b| s(a) > s(b)),
        ("ge.s32", |a, b| s(a) >= s(b)),
        ("lt.u32", |a, b| a < b),
        ("lo.u32", |a, b| a < b),
        ("hs.u32", |a, b| a >= b),
        ("gt.u32", |a, b| a > b),
    ];
    let operands = triples(&integers32());
    for (comparison, definition) in cases {
        let text = format!("setp.{comparison} %p, %a, %b; selp.b32 %d, 1, 0, %p;");
        check32(&text, &operands, |a, b, _| definition(a, b).into());
        let text = format!("set.{}.u32.{} %d, %a, %b;", &comparison[..2], &comparison[3..]);
        check32(&text, &operands, |a, b, _| if definition(a, b) { u32::MAX } else { 0 });
    }
    let wide = triples(&integers64());
    let found = elementwise("setp.lt.s64 %p, %a, %b; selp.b64 %d, %a, %b, %p;", 64, 64, &wide);
    assert!(found.iter().zip(&wide).all(|(&d, &[a, b, _])| d as i64 == (a as i64).min(b as i64)));
}

#[test]
fn predicates_combine() {
    let operands = triples(&integers32());
    let text = "setp.ne.s32 %q, %c, 0; setp.lt.and.s32 %p|%q, %a, %b, %q;
        { .reg .b32 x, y; selp.b32 x, 1, 0, %p; selp.b32 y, 2, 0, %q; or.b32 %d, x, y; }";
    check32(text, &operands, |a, b, c| {
        let (less, other) = (s(a) < s(b), c != 0);
        u32::from(less && other) | u32::from(!less && other) << 1
    });
    let text = "setp.eq.s32 %p, %a, %b; setp.lt.or.s32 %q, %b, %c, !%p; not.pred %q, %q;
        xor.pred %p, %p, %q; selp.b32 %d, %a, %c, %p;";
    check32(text, &operands, |a, b, c| {
        let (equal, mixed) = (a == b, s(b) < s(c) || a != b);
        if equal == mixed { a } else { c }
    });
    check32(
        "setp.gt.u32 %p, %a, %b; mov.b32 %d, 7; @%p mov.b32 %d, 8; @!%p add.u32 %d, %d, 2;",
        &operands,
        |a, b, _| {
            if a > b { 8 } else { 9 }
        },
    );
    check32("slct.b32.s32 %d, %a, %b, %c;", &operands, |a, b, c| if s(c) >= 0 { a } else { b });
}
