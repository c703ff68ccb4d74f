//! Integer arithmetic on the parts of 32-bit registers, and other integer operations that few kernels use.

use super::arithmetic::COMPARISONS;
use super::{Builder, Modifiers, Result, is_signed, take};
use crate::isa::*;
use crate::ptx::ast::{Operand, Type};

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    match opcode {
        "add" | "min" | "max" if m.has("u16x2") || m.has("s16x2") => halves(b, opcode, m, operands)?,
        "fns" => {
            m.flag("b32");
            let [d, x, base, offset] = take(operands)?;
            let mut source = |operand, ty| b.source(operand, ty, Width::W32);
            let (a, base, c) = (source(x, Type::B32)?, source(base, Type::U32)?, source(offset, Type::S32)?);
            let d = b.destination(d, Width::W32)?;
            b.emit(Op::IntTernary { op: IntTernary::Fns, width: Width::W32, d, a, b: base, c });
        }
        "dp2a" => dot_of_halves(b, m, operands)?,
        "szext" => extend(b, m, operands)?,
        _ => match video(opcode) {
            Some((op, bits)) => simd(b, op, bits, m, operands)?,
            None => return Ok(false),
        },
    }
    Ok(true)
}

/// `add`, `min` and `max` on pairs of 16 bits.
fn halves(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let relu = m.flag("relu");
    let signed = m.require("type", &[("s16x2", true), ("u16x2", false)])?;
    let op = match opcode {
        "add" => PackedOp::Add,
        "min" => PackedOp::Min,
        _ => PackedOp::Max,
    };
    if relu && (!signed || op == PackedOp::Add) {
        return Err("modifier .relu".into());
    }
    let [d, x, y] = take(operands)?;
    let (a, y) = (b.source(x, Type::B32, Width::W32)?, b.source(y, Type::B32, Width::W32)?);
    let d = b.destination(d, Width::W32)?;
    let packed =
        Packed { op, bits: 16, signed: [signed; 2], signed_result: signed, saturate: false, accumulate: false, relu };
    b.emit(Op::Packed { packed, d, a, b: y, c: a });
    Ok(())
}

/// The operation and the bits of a part of a video instruction for two halves or four bytes.
fn video(opcode: &str) -> Option<(PackedOp, u8)> {
    let (name, bits) = match opcode.strip_suffix('2') {
        Some(name) => (name, 16),
        None => (opcode.strip_suffix('4')?, 8),
    };
    let op = match name {
        "vadd" => PackedOp::Add,
        "vsub" => PackedOp::Sub,
        "vavrg" => PackedOp::Average,
        "vabsdiff" => PackedOp::Difference,
        "vmin" => PackedOp::Min,
        "vmax" => PackedOp::Max,
        // The comparison follows.
        "vset" => PackedOp::Compare(Comparison::Eq),
        _ => return None,
    };
    Some((op, bits))
}

/// A video instruction whose operands are whole registers: no selectors, no masks.
fn simd(b: &mut Builder, op: PackedOp, bits: u8, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let compares = matches!(op, PackedOp::Compare(_));
    let signed_result = if compares { false } else { is_signed(word_type(m)?) };
    let signed = [is_signed(word_type(m)?), is_signed(word_type(m)?)];
    let op = if compares { PackedOp::Compare(m.require("comparison", COMPARISONS)?) } else { op };
    let (saturate, accumulate) = (m.flag("sat"), m.flag("add"));
    if saturate && (accumulate || compares) {
        return Err("modifier .sat".into());
    }
    let [d, x, y, z] = take(operands)?;
    let mut source = |operand| b.source(operand, Type::U32, Width::W32);
    let (a, y, c) = (source(x)?, source(y)?, source(z)?);
    let d = b.destination(d, Width::W32)?;
    let packed = Packed { op, bits, signed, signed_result, saturate, accumulate, relu: false };
    b.emit(Op::Packed { packed, d, a, b: y, c });
    Ok(())
}

fn word_type(m: &mut Modifiers) -> Result<Type> {
    match m.ty()? {
        ty @ (Type::U32 | Type::S32) => Ok(ty),
        _ => Err("type of a video instruction".into()),
    }
}

/// `dp2a`: the upper half of the bytes is brought down first.
fn dot_of_halves(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let high = m.require("half", &[("lo", false), ("hi", true)])?;
    let op = match (is_signed(word_type(m)?), is_signed(word_type(m)?)) {
        (false, false) => IntTernary::Dp2aUU,
        (false, true) => IntTernary::Dp2aUS,
        (true, false) => IntTernary::Dp2aSU,
        (true, true) => IntTernary::Dp2aSS,
    };
    let [d, x, y, z] = take(operands)?;
    let mut source = |operand| b.source(operand, Type::U32, Width::W32);
    let (a, mut y, c) = (source(x)?, source(y)?, source(z)?);
    if high {
        let (bytes, shift) = (b.new_register(Width::W32), b.constant(Width::W32, 16));
        b.emit(Op::IntBinary { op: IntBinary::ShrU, width: Width::W32, d: bytes, a: y, b: shift });
        y = bytes;
    }
    let d = b.destination(d, Width::W32)?;
    b.emit(Op::IntTernary { op, width: Width::W32, d, a, b: y, c });
    Ok(())
}

/// `szext`: the low bits, extended; as the field of that length at position 0.
fn extend(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let clamp = m.require("mode", &[("clamp", true), ("wrap", false)])?;
    let op = if is_signed(word_type(m)?) { IntTernary::BfeS } else { IntTernary::BfeU };
    let [d, x, count] = take(operands)?;
    let (a, count) = (b.source(x, Type::U32, Width::W32)?, b.source(count, Type::U32, Width::W32)?);
    let (length, zero) = (b.new_register(Width::W32), b.constant(Width::W32, 0));
    let (limit, bound) = if clamp { (IntBinary::MinU, 32) } else { (IntBinary::And, 31) };
    let bound = b.constant(Width::W32, bound);
    b.emit(Op::IntBinary { op: limit, width: Width::W32, d: length, a: count, b: bound });
    let d = b.destination(d, Width::W32)?;
    b.emit(Op::IntTernary { op, width: Width::W32, d, a, b: zero, c: length });
    Ok(())
}
