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
            if let Some(op) = unary_named(opcode) {
                unary(b, op, m, operands)?;
            } else if let Some(op) = binary_named(opcode, m) {
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

fn binary_named(opcode: &str, m: &mut Modifiers) -> Option<FloatBinary> {
    Some(match opcode {
        "add" => FloatBinary::Add,
        "sub" => FloatBinary::Sub,
        "mul" => FloatBinary::Mul,
        "div" => FloatBinary::Div,
        "min" if m.flag("NaN") => FloatBinary::MinNan,
        "min" => FloatBinary::Min,
        "max" if m.flag("NaN") => FloatBinary::MaxNan,
        "max" => FloatBinary::Max,
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
    let op = match (ty, half_kind(ty, false)) {
        (_, Some(kind)) => Op::HalfUnary { op, kind, mode, d, a },
        (Type::F32, _) => Op::F32Unary { op, mode, d, a },
        (Type::F64, _) => {
            let known = matches!(
                op,
                FloatUnary::Neg | FloatUnary::Abs | FloatUnary::Sqrt | FloatUnary::Rcp | FloatUnary::Rsqrt
            );
            if !known || mode.rounding != Rounding::Nearest {
                return Err("64-bit operation or rounding".into());
            }
            Op::F64Unary { op, d, a }
        }
        _ => return Err("type of operation".into()),
    };
    b.emit(op);
    Ok(())
}

fn binary_op(b: &mut Builder, op: FloatBinary, ty: Type, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    precision(m);
    let mode = m.float_mode();
    let w = width(ty)?;
    let [d, x, y] = take(operands)?;
    let (a, y) = (b.source(x, ty, w)?, b.source(y, ty, w)?);
    let d = b.destination(d, w)?;
    let op = match (ty, half_kind(ty, false)) {
        (_, Some(kind)) => Op::HalfBinary { op, kind, mode, d, a, b: y },
        (Type::F32, _) => Op::F32Binary { op, mode, d, a, b: y },
        (Type::F64, _) if mode.rounding == Rounding::Nearest => Op::F64Binary { op, d, a, b: y },
        _ => return Err("type or rounding of operation".into()),
    };
    b.emit(op);
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
        (Type::F64, _) if !relu && mode.rounding == Rounding::Nearest => Op::F64Fma { d, a, b: y, c },
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
