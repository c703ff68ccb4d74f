//! Floating-point arithmetic of 16, 32 and 64 bits.

use super::{Builder, Modifiers, Result, is_float, take, width};
use crate::isa::*;
use crate::ptx::ast::{Operand, Type};

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    match opcode {
        "testp" => test(b, m, operands)?,
        "fma" | "mad" => fma(b, m, operands)?,
        "copysign" => {
            let ty = if m.peek_type() == Some(Type::F64) { Type::F64 } else { Type::F32 };
            m.ty()?;
            binary_op(b, FloatBinary::Copysign, ty, m, operands)?;
        }
        _ if !m.peek_type().is_some_and(is_float) => return Ok(false),
        _ => {
            if matches!(opcode, "min" | "max") {
                extremum(b, opcode == "min", m, operands)?;
            } else if let Some(op) = unary_named(opcode) {
                unary(b, op, m, operands)?;
            } else if let Some(op) = binary_named(opcode) {
                let ty = m.ty()?;
                binary_op(b, op, ty, m, operands)?;
            } else {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn unary_named(opcode: &str) -> Option<FloatUnary> {
    Some(match opcode {
        "neg" => FloatUnary::Neg,
        "abs" => FloatUnary::Abs,
        "sqrt" => FloatUnary::Sqrt,
        "rcp" => FloatUnary::Rcp,
        "rsqrt" => FloatUnary::Rsqrt,
        "sin" => FloatUnary::Sin,
        "cos" => FloatUnary::Cos,
        "ex2" => FloatUnary::Ex2,
        "lg2" => FloatUnary::Lg2,
        "tanh" => FloatUnary::Tanh,
        _ => return None,
    })
}

fn binary_named(opcode: &str) -> Option<FloatBinary> {
    Some(match opcode {
        "add" => FloatBinary::Add,
        "sub" => FloatBinary::Sub,
        "mul" => FloatBinary::Mul,
        "div" => FloatBinary::Div,
        _ => return None,
    })
}

fn half_kind(ty: Type, relu: bool) -> Option<HalfKind> {
    let (format, packed) = match ty {
        Type::F16 => (HalfFormat::F16, false),
        Type::F16x2 => (HalfFormat::F16, true),
        Type::Bf16 => (HalfFormat::Bf16, false),
        Type::Bf16x2 => (HalfFormat::Bf16, true),
        _ => return None,
    };
    Some(HalfKind { format, packed, relu })
}

/// Approximate forms are computed as exactly as the precise ones, so the word only has to be known.
fn precision(m: &mut Modifiers) {
    m.ignore(&["approx", "full"]);
}

fn unary(b: &mut Builder, op: FloatUnary, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    precision(m);
    let mode = m.float_mode();
    let ty = m.ty()?;
    let w = width(ty)?;
    let [d, x] = take(operands)?;
    let a = b.source(x, ty, w)?;
    let d = b.destination(d, w)?;
    b.emit(unary_of(ty, op, mode, d, a)?);
    Ok(())
}

/// `d = op a` of type `ty`.
fn unary_of(ty: Type, op: FloatUnary, mode: FloatMode, d: Reg, a: Reg) -> Result<Op> {
    use FloatUnary::{Abs, Neg, Rcp, Rsqrt, Sqrt};
    match (ty, half_kind(ty, false)) {
        (_, Some(kind)) => Ok(Op::HalfUnary { op, kind, mode, d, a }),
        (Type::F32, _) => Ok(Op::F32Unary { op, mode, d, a }),
        (Type::F64, _) => {
            // The approximations of fp64 are computed exactly, and what `.ftz` flushes is below what they resolve.
            let flushes = mode.flush && !matches!(op, Rcp | Rsqrt);
            if !matches!(op, Neg | Abs | Sqrt | Rcp | Rsqrt) || flushes || mode.saturate {
                return Err("64-bit operation or modifier".into());
            }
            Ok(Op::F64Unary { op, rounding: mode.rounding, d, a })
        }
        _ => Err("type of operation".into()),
    }
}

fn binary_op(b: &mut Builder, op: FloatBinary, ty: Type, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    precision(m);
    let mode = m.float_mode();
    let w = width(ty)?;
    let [d, x, y] = take(operands)?;
    let (a, y) = (b.source(x, ty, w)?, b.source(y, ty, w)?);
    let d = b.destination(d, w)?;
    b.emit(binary_of(ty, op, mode, d, a, y)?);
    Ok(())
}

/// `d = a op b` of type `ty`.
fn binary_of(ty: Type, op: FloatBinary, mode: FloatMode, d: Reg, a: Reg, b: Reg) -> Result<Op> {
    match (ty, half_kind(ty, false)) {
        (_, Some(kind)) => Ok(Op::HalfBinary { op, kind, mode, d, a, b }),
        (Type::F32, _) => Ok(Op::F32Binary { op, mode, d, a, b }),
        (Type::F64, _) if !mode.flush && !mode.saturate => Ok(Op::F64Binary { op, rounding: mode.rounding, d, a, b }),
        _ => Err("type or modifier of operation".into()),
    }
}

/// `min` and `max` of two or three operands, of their magnitudes where `.abs`, with the sign of the product of the
/// first two where `.xorsign`.
fn extremum(b: &mut Builder, least: bool, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let op = match (least, m.flag("NaN")) {
        (true, false) => FloatBinary::Min,
        (true, true) => FloatBinary::MinNan,
        (false, false) => FloatBinary::Max,
        (false, true) => FloatBinary::MaxNan,
    };
    let (xorsign, absolute) = (m.flag("xorsign"), m.flag("abs"));
    let mode = m.float_mode();
    let ty = m.ty()?;
    let w = width(ty)?;
    let [d, operands @ ..] = operands else {
        return Err("number of operands".into());
    };
    if !matches!(operands.len(), 2 | 3) || xorsign && (!absolute || operands.len() == 3 || w == Width::W64) {
        return Err("form of the extremum".into());
    }
    let sources = operands.iter().map(|operand| b.source(operand, ty, w)).collect::<Result<Vec<_>>>()?;
    let d = b.destination(d, w)?;
    let mut compared = sources.clone();
    if absolute {
        for source in &mut compared {
            let magnitude = b.new_register(w);
            b.emit(unary_of(ty, FloatUnary::Abs, mode, magnitude, *source)?);
            *source = magnitude;
        }
    }
    let last = compared.len() - 1;
    let mut found = compared[0];
    for (index, other) in compared.into_iter().enumerate().skip(1) {
        let target = if index == last && !xorsign { d } else { b.new_register(w) };
        b.emit(binary_of(ty, op, mode, target, found, other)?);
        found = target;
    }
    if xorsign {
        give_sign(b, ty, d, found, [sources[0], sources[1]])?;
    }
    Ok(())
}

/// `d` = the magnitude `a` with the signs in which two numbers differ.
fn give_sign(b: &mut Builder, ty: Type, d: Reg, a: Reg, numbers: [Reg; 2]) -> Result<()> {
    let width = width(ty)?;
    let signs = match ty {
        Type::F16x2 | Type::Bf16x2 => 0x8000_8000,
        _ if width == Width::W16 => 0x8000,
        _ => 0x8000_0000,
    };
    let (signs, differ, sign) = (b.constant(width, signs), b.new_register(width), b.new_register(width));
    b.emit(Op::IntBinary { op: IntBinary::Xor, width, d: differ, a: numbers[0], b: numbers[1] });
    b.emit(Op::IntBinary { op: IntBinary::And, width, d: sign, a: differ, b: signs });
    b.emit(Op::IntBinary { op: IntBinary::Or, width, d, a, b: sign });
    Ok(())
}

fn fma(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let (mode, relu) = (m.float_mode(), m.flag("relu"));
    let ty = m.ty()?;
    let w = width(ty)?;
    let [d, x, y, z] = take(operands)?;
    let (a, y, c) = (b.source(x, ty, w)?, b.source(y, ty, w)?, b.source(z, ty, w)?);
    let d = b.destination(d, w)?;
    let op = match (ty, half_kind(ty, relu)) {
        (_, Some(kind)) => Op::HalfFma { kind, mode, d, a, b: y, c },
        (Type::F32, _) if !relu => Op::F32Fma { mode, d, a, b: y, c },
        (Type::F64, _) if !relu && !mode.flush && !mode.saturate => {
            Op::F64Fma { rounding: mode.rounding, d, a, b: y, c }
        }
        _ => return Err("type or rounding of fma".into()),
    };
    b.emit(op);
    Ok(())
}

fn test(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let classes = [
        ("finite", FloatClass::Finite),
        ("infinite", FloatClass::Infinite),
        ("number", FloatClass::Number),
        ("notanumber", FloatClass::NotANumber),
        ("normal", FloatClass::Normal),
        ("subnormal", FloatClass::Subnormal),
    ];
    let class = m.require("class", &classes)?;
    let ty = m.ty()?;
    let w = width(ty)?;
    let [d, x] = take(operands)?;
    let a = b.source(x, ty, w)?;
    let Operand::Name(name) = d else {
        return Err("destination is not a predicate".into());
    };
    let d = b.destination_predicate(name)?;
    b.emit(Op::TestFloat { class, double: ty == Type::F64, d, a });
    Ok(())
}
