//! Moves, integer and logic operations, comparisons and selections.

use super::{Builder, Modifiers, Result, is_float, is_signed, take, width};
use crate::isa::*;
use crate::ptx::ast::{Operand, Type};

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    if m.peek_type().is_some_and(is_float)
        && matches!(opcode, "add" | "sub" | "mul" | "mad" | "div" | "min" | "max" | "abs" | "neg")
    {
        return Ok(false);
    }
    match opcode {
        "mov" => mov(b, m, operands)?,
        "add" | "sub" | "addc" | "subc" => add(b, opcode, m, operands)?,
        "mul" | "mul24" => multiply(b, opcode, m, operands)?,
        "mad" | "mad24" | "madc" => multiply_add(b, opcode, m, operands)?,
        "div" | "rem" | "min" | "max" => divide(b, opcode, m, operands)?,
        "and" | "or" | "xor" => logic(b, opcode, m, operands)?,
        "not" if m.has("pred") => {
            m.flag("pred");
            let [d, a] = take(operands)?;
            let op = Op::MovPred { d: predicate(b, d)?, a: b.source_predicate(a)?.complement() };
            b.emit(op);
        }
        "not" | "cnot" | "neg" | "abs" | "popc" | "clz" | "brev" | "bfind" => unary(b, opcode, m, operands)?,
        "shl" | "shr" => shift(b, opcode, m, operands)?,
        "shf" | "sad" | "bfe" | "prmt" | "dp4a" => ternary(b, opcode, m, operands)?,
        "bfi" => bit_field_insert(b, m, operands)?,
        "bmsk" => {
            let clamp = m.require("mode", &[("clamp", true), ("wrap", false)])?;
            m.ty()?;
            let [d, x, y] = take(operands)?;
            let (a, c) = (b.source(x, Type::U32, Width::W32)?, b.source(y, Type::U32, Width::W32)?);
            let d = b.destination(d, Width::W32)?;
            b.emit(Op::Bmsk { d, a, b: c, clamp });
        }
        "lop3" => lop3(b, m, operands)?,
        "setp" | "set" => compare(b, opcode, m, operands)?,
        "selp" | "slct" => select(b, opcode, m, operands)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn predicate(b: &mut Builder, operand: &Operand) -> Result<Pred> {
    match operand {
        Operand::Name(name) => b.destination_predicate(name),
        _ => Err(format!("destination {operand:?} is not a predicate").into()),
    }
}

fn mov(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let ty = m.ty()?;
    let [d, a] = take(operands)?;
    if ty == Type::Pred {
        let op = Op::MovPred { d: predicate(b, d)?, a: b.source_predicate(a)? };
        b.emit(op);
        return Ok(());
    }
    if ty == Type::B128 {
        return mov_halves(b, d, a);
    }
    let w = width(ty)?;
    match (d, a) {
        (Operand::Vector(parts), _) => {
            let a = b.source(a, ty, w)?;
            unpack(b, w, parts, a)
        }
        (_, Operand::Vector(parts)) => {
            let d = b.destination(d, w)?;
            pack(b, w, d, parts)
        }
        _ => {
            let a = b.source(a, ty, w)?;
            let d = b.destination(d, w)?;
            b.emit(if w == Width::W64 { Op::Mov64 { d, a } } else { Op::Mov32 { d, a } });
            Ok(())
        }
    }
}

/// `mov.b128`: to, from or between 128-bit registers; vectors have two elements of 64 bits.
fn mov_halves(b: &mut Builder, d: &Operand, a: &Operand) -> Result<()> {
    if let (Operand::Vector(_), Operand::Vector(_)) = (d, a) {
        return Err("move between two vectors".into());
    }
    let a = match a {
        Operand::Vector(parts) => {
            let [low, high] = take(parts)?;
            [b.source(low, Type::B64, Width::W64)?, b.source(high, Type::B64, Width::W64)?]
        }
        _ => b.source_halves(a)?,
    };
    let d = match d {
        Operand::Vector(parts) => {
            let [low, high] = take(parts)?;
            [b.destination(low, Width::W64)?, b.destination(high, Width::W64)?]
        }
        _ => b.destination_halves(d)?,
    };
    for (d, a) in d.into_iter().zip(a) {
        b.emit(Op::Mov64 { d, a });
    }
    Ok(())
}

fn unpack(b: &mut Builder, w: Width, parts: &[Operand], a: Reg) -> Result<()> {
    let part = |b: &mut Builder, index: usize, w| b.destination(&parts[index], w);
    let op = match (w, parts.len()) {
        (Width::W32, 2) => Op::Unpack16x2 { d: [part(b, 0, Width::W16)?, part(b, 1, Width::W16)?], a },
        (Width::W64, 2) => Op::Unpack32x2 { d: [part(b, 0, Width::W32)?, part(b, 1, Width::W32)?], a },
        (Width::W64, 4) => {
            let mut d = [Reg(0); 4];
            for (index, d) in d.iter_mut().enumerate() {
                *d = part(b, index, Width::W16)?;
            }
            Op::Unpack16x4 { d, a }
        }
        (Width::W16, 2) | (Width::W32, 4) => return unpack_bytes(b, w, parts, a),
        _ => return Err("form of unpacking".into()),
    };
    b.emit(op);
    Ok(())
}

fn pack(b: &mut Builder, w: Width, d: Reg, parts: &[Operand]) -> Result<()> {
    let op = match (w, parts) {
        (Width::W32, [x, y]) => {
            Op::Pack16x2 { d, a: b.source(x, Type::B16, Width::W16)?, b: b.source(y, Type::B16, Width::W16)? }
        }
        (Width::W64, [x, y]) => {
            Op::Pack32x2 { d, a: b.source(x, Type::B32, Width::W32)?, b: b.source(y, Type::B32, Width::W32)? }
        }
        (Width::W64, [_, _, _, _]) => {
            let mut a = [Reg(0); 4];
            for (a, part) in a.iter_mut().zip(parts) {
                *a = b.source(part, Type::B16, Width::W16)?;
            }
            Op::Pack16x4 { d, a }
        }
        (Width::W16, [_, _]) | (Width::W32, [_, _, _, _]) => return pack_bytes(b, w, d, parts),
        _ => return Err("form of packing".into()),
    };
    b.emit(op);
    Ok(())
}

/// Registers of 8 bits from the bytes of a wider one.
fn unpack_bytes(b: &mut Builder, width: Width, parts: &[Operand], a: Reg) -> Result<()> {
    let low = b.constant(width, 0xff);
    // The source may be one of the destinations.
    let mut bytes = Vec::new();
    for index in 0..parts.len() {
        let (shifted, byte) = (b.new_register(width), b.new_register(width));
        let shift = b.constant(Width::W32, 8 * index as u64);
        b.emit(Op::IntBinary { op: IntBinary::ShrU, width, d: shifted, a, b: shift });
        b.emit(Op::IntBinary { op: IntBinary::And, width, d: byte, a: shifted, b: low });
        bytes.push(byte);
    }
    for (part, a) in parts.iter().zip(bytes) {
        let d = b.destination(part, Width::W16)?;
        b.emit(Op::Mov32 { d, a });
    }
    Ok(())
}

/// A register from registers of 8 bits, the first lowest.
fn pack_bytes(b: &mut Builder, width: Width, d: Reg, parts: &[Operand]) -> Result<()> {
    let low = b.constant(width, 0xff);
    let mut word = b.constant(width, 0);
    for (index, part) in parts.iter().enumerate() {
        let a = b.source(part, Type::B8, Width::W16)?;
        let [byte, raised, joined] = [(); 3].map(|()| b.new_register(width));
        let shift = b.constant(Width::W32, 8 * index as u64);
        b.emit(Op::IntBinary { op: IntBinary::And, width, d: byte, a, b: low });
        b.emit(Op::IntBinary { op: IntBinary::Shl, width, d: raised, a: byte, b: shift });
        b.emit(Op::IntBinary { op: IntBinary::Or, width, d: joined, a: raised, b: word });
        word = joined;
    }
    b.emit(Op::Mov32 { d, a: word });
    Ok(())
}

/// Two sources and a destination of the type's width.
fn binary(b: &mut Builder, ty: Type, operands: &[Operand]) -> Result<(Width, Reg, Reg, Reg)> {
    let w = width(ty)?;
    let [d, x, y] = take(operands)?;
    let (x, y) = (b.source(x, ty, w)?, b.source(y, ty, w)?);
    Ok((w, b.destination(d, w)?, x, y))
}

fn add(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let (carries, saturate, ty) = (m.flag("cc"), m.flag("sat"), m.ty()?);
    let (width, d, x, y) = binary(b, ty, operands)?;
    let subtract = opcode.starts_with("sub");
    if carries || opcode.ends_with('c') {
        let carry = b.carry();
        let carry_in = match (opcode.ends_with('c'), subtract) {
            (true, _) => PredSource::of(carry),
            (false, true) => PredSource::TRUE,
            (false, false) => PredSource::FALSE,
        };
        let carry_out = if carries { carry } else { b.new_predicate() };
        b.emit(Op::AddCarry { width, d, a: x, b: y, carry_in, carry_out, subtract });
        return Ok(());
    }
    let op = match (subtract, saturate) {
        (false, false) => IntBinary::Add,
        (true, false) => IntBinary::Sub,
        (false, true) => IntBinary::AddSatS,
        (true, true) => IntBinary::SubSatS,
    };
    if saturate && ty != Type::S32 {
        return Err("saturation of this type".into());
    }
    b.emit(Op::IntBinary { op, width, d, a: x, b: y });
    Ok(())
}

fn wider(w: Width) -> Result<Width> {
    match w {
        Width::W16 => Ok(Width::W32),
        Width::W32 => Ok(Width::W64),
        Width::W64 => Err("wide product of 64-bit factors".into()),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Low,
    High,
    Wide,
}

const PARTS: &[(&str, Part)] = &[("lo", Part::Low), ("hi", Part::High), ("wide", Part::Wide)];

fn multiply(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let part = m.require("part of the product", PARTS)?;
    let ty = m.ty()?;
    let [d, x, y] = take(operands)?;
    let w = width(ty)?;
    let (x, y) = (b.source(x, ty, w)?, b.source(y, ty, w)?);
    if opcode == "mul24" {
        let d = b.destination(d, Width::W32)?;
        let zero = b.constant(Width::W32, 0);
        return mad24(b, part, ty, d, x, y, zero);
    }
    let d = b.destination(d, if part == Part::Wide { wider(w)? } else { w })?;
    let op = match (part, is_signed(ty)) {
        (Part::Low, _) => IntBinary::MulLo,
        (Part::High, false) => IntBinary::MulHiU,
        (Part::High, true) => IntBinary::MulHiS,
        (Part::Wide, false) => IntBinary::MulWideU,
        (Part::Wide, true) => IntBinary::MulWideS,
    };
    b.emit(Op::IntBinary { op, width: w, d, a: x, b: y });
    Ok(())
}

fn mad24(b: &mut Builder, part: Part, ty: Type, d: Reg, x: Reg, y: Reg, z: Reg) -> Result<()> {
    let op = match (part, is_signed(ty)) {
        (Part::Low, false) => IntTernary::Mad24LoU,
        (Part::Low, true) => IntTernary::Mad24LoS,
        (Part::High, false) => IntTernary::Mad24HiU,
        (Part::High, true) => IntTernary::Mad24HiS,
        (Part::Wide, _) => return Err("part of a 24-bit product".into()),
    };
    b.emit(Op::IntTernary { op, width: Width::W32, d, a: x, b: y, c: z });
    Ok(())
}

/// The upper part of a product plus `z`, clamped (`mad.hi.sat.s32`, `mad24.hi.sat.s32`).
fn saturating_multiply_add(b: &mut Builder, opcode: &str, d: Reg, x: Reg, y: Reg, z: Reg) -> Result<()> {
    let product = b.new_register(Width::W32);
    if opcode == "mad24" {
        let zero = b.constant(Width::W32, 0);
        mad24(b, Part::High, Type::S32, product, x, y, zero)?;
    } else {
        b.emit(Op::IntBinary { op: IntBinary::MulHiS, width: Width::W32, d: product, a: x, b: y });
    }
    b.emit(Op::IntBinary { op: IntBinary::AddSatS, width: Width::W32, d, a: product, b: z });
    Ok(())
}

fn multiply_add(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let part = m.require("part of the product", PARTS)?;
    let (carries, saturate) = (m.flag("cc"), m.flag("sat"));
    let ty = m.ty()?;
    let w = width(ty)?;
    let wide = if part == Part::Wide { wider(w)? } else { w };
    let [d, x, y, z] = take(operands)?;
    let (x, y, z) = (b.source(x, ty, w)?, b.source(y, ty, w)?, b.source(z, ty, wide)?);
    let d = b.destination(d, wide)?;
    if saturate {
        if part != Part::High || ty != Type::S32 || carries || opcode == "madc" {
            return Err("saturation of this product".into());
        }
        return saturating_multiply_add(b, opcode, d, x, y, z);
    }
    if opcode == "mad24" {
        return mad24(b, part, ty, d, x, y, z);
    }
    if carries || opcode == "madc" {
        let op = match (part, is_signed(ty)) {
            (Part::Low, _) => IntBinary::MulLo,
            (Part::High, false) => IntBinary::MulHiU,
            (Part::High, true) => IntBinary::MulHiS,
            (Part::Wide, _) => return Err("wide product with carry".into()),
        };
        let product = b.new_register(w);
        b.emit(Op::IntBinary { op, width: w, d: product, a: x, b: y });
        let carry = b.carry();
        let carry_in = if opcode == "madc" { PredSource::of(carry) } else { PredSource::FALSE };
        let carry_out = if carries { carry } else { b.new_predicate() };
        b.emit(Op::AddCarry { width: w, d, a: product, b: z, carry_in, carry_out, subtract: false });
        return Ok(());
    }
    let op = match (part, is_signed(ty)) {
        (Part::Low, _) => IntTernary::MadLo,
        (Part::High, false) => IntTernary::MadHiU,
        (Part::High, true) => IntTernary::MadHiS,
        (Part::Wide, false) => IntTernary::MadWideU,
        (Part::Wide, true) => IntTernary::MadWideS,
    };
    b.emit(Op::IntTernary { op, width: w, d, a: x, b: y, c: z });
    Ok(())
}

fn divide(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let relu = m.flag("relu");
    let ty = m.ty()?;
    if relu && (ty != Type::S32 || !matches!(opcode, "min" | "max")) {
        return Err("modifier .relu".into());
    }
    let (width, d, x, y) = binary(b, ty, operands)?;
    let op = match (opcode, is_signed(ty)) {
        ("div", false) => IntBinary::DivU,
        ("div", true) => IntBinary::DivS,
        ("rem", false) => IntBinary::RemU,
        ("rem", true) => IntBinary::RemS,
        ("min", false) => IntBinary::MinU,
        ("min", true) => IntBinary::MinS,
        (_, false) => IntBinary::MaxU,
        (_, true) => IntBinary::MaxS,
    };
    if relu {
        let (extreme, zero) = (b.new_register(width), b.constant(width, 0));
        b.emit(Op::IntBinary { op, width, d: extreme, a: x, b: y });
        b.emit(Op::IntBinary { op: IntBinary::MaxS, width, d, a: extreme, b: zero });
        return Ok(());
    }
    b.emit(Op::IntBinary { op, width, d, a: x, b: y });
    Ok(())
}

fn logic(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let ty = m.ty()?;
    if ty == Type::Pred {
        let [d, x, y] = take(operands)?;
        let op = match opcode {
            "and" => BoolOp::And,
            "or" => BoolOp::Or,
            _ => BoolOp::Xor,
        };
        let op = Op::PredLogic { op, d: predicate(b, d)?, a: b.source_predicate(x)?, b: b.source_predicate(y)? };
        b.emit(op);
        return Ok(());
    }
    let op = match opcode {
        "and" => IntBinary::And,
        "or" => IntBinary::Or,
        _ => IntBinary::Xor,
    };
    let (width, d, x, y) = binary(b, ty, operands)?;
    b.emit(Op::IntBinary { op, width, d, a: x, b: y });
    Ok(())
}

fn unary(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let shift = m.flag("shiftamt");
    let ty = m.ty()?;
    let w = width(ty)?;
    let [d, x] = take(operands)?;
    let x = b.source(x, ty, w)?;
    let counts = matches!(opcode, "popc" | "clz" | "bfind");
    let d = b.destination(d, if counts { Width::W32 } else { w })?;
    let op = match (opcode, is_signed(ty), shift) {
        ("not", ..) => IntUnary::Not,
        ("cnot", ..) => IntUnary::Cnot,
        ("neg", ..) => IntUnary::Neg,
        ("abs", ..) => IntUnary::Abs,
        ("popc", ..) => IntUnary::Popc,
        ("clz", ..) => IntUnary::Clz,
        ("brev", ..) => IntUnary::Brev,
        (_, false, false) => IntUnary::BfindU,
        (_, true, false) => IntUnary::BfindS,
        (_, false, true) => IntUnary::BfindShiftU,
        (_, true, true) => IntUnary::BfindShiftS,
    };
    b.emit(Op::IntUnary { op, width: w, d, a: x });
    Ok(())
}

fn shift(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let ty = m.ty()?;
    let w = width(ty)?;
    let [d, x, y] = take(operands)?;
    let (x, y) = (b.source(x, ty, w)?, b.source(y, Type::U32, Width::W32)?);
    let d = b.destination(d, w)?;
    let op = match (opcode, is_signed(ty)) {
        ("shl", _) => IntBinary::Shl,
        (_, false) => IntBinary::ShrU,
        (_, true) => IntBinary::ShrS,
    };
    b.emit(Op::IntBinary { op, width: w, d, a: x, b: y });
    Ok(())
}

fn ternary(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let [d, x, y, z] = take(operands)?;
    let (op, ty) = match opcode {
        "shf" => {
            let left = m.require("direction", &[("l", true), ("r", false)])?;
            let wrap = m.require("mode", &[("wrap", true), ("clamp", false)])?;
            let op = match (left, wrap) {
                (true, true) => IntTernary::ShfLeftWrap,
                (true, false) => IntTernary::ShfLeftClamp,
                (false, true) => IntTernary::ShfRightWrap,
                (false, false) => IntTernary::ShfRightClamp,
            };
            (op, m.ty()?)
        }
        "sad" => {
            let ty = m.ty()?;
            (if is_signed(ty) { IntTernary::SadS } else { IntTernary::SadU }, ty)
        }
        "bfe" => {
            let ty = m.ty()?;
            (if is_signed(ty) { IntTernary::BfeS } else { IntTernary::BfeU }, ty)
        }
        "dp4a" => {
            let (first, second) = (m.ty()?, m.ty()?);
            let op = match (is_signed(first), is_signed(second)) {
                (false, false) => IntTernary::Dp4aUU,
                (false, true) => IntTernary::Dp4aUS,
                (true, false) => IntTernary::Dp4aSU,
                (true, true) => IntTernary::Dp4aSS,
            };
            (op, first)
        }
        _ => {
            let modes = [
                ("f4e", IntTernary::PrmtF4e),
                ("b4e", IntTernary::PrmtB4e),
                ("rc8", IntTernary::PrmtRc8),
                ("ecl", IntTernary::PrmtEcl),
                ("ecr", IntTernary::PrmtEcr),
                ("rc16", IntTernary::PrmtRc16),
            ];
            (m.choose(&modes).unwrap_or(IntTernary::Prmt), m.ty()?)
        }
    };
    let w = width(ty)?;
    let positions = opcode == "bfe";
    let x = b.source(x, ty, w)?;
    let y = if positions { b.source(y, Type::U32, Width::W32)? } else { b.source(y, ty, w)? };
    let z = b.source(z, Type::U32, if opcode == "sad" { w } else { Width::W32 })?;
    let d = b.destination(d, w)?;
    b.emit(Op::IntTernary { op, width: w, d, a: x, b: y, c: z });
    Ok(())
}

fn bit_field_insert(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let ty = m.ty()?;
    let w = width(ty)?;
    let [d, x, y, position, length] = take(operands)?;
    let (x, y) = (b.source(x, ty, w)?, b.source(y, ty, w)?);
    let c = b.source(position, Type::U32, Width::W32)?;
    let e = b.source(length, Type::U32, Width::W32)?;
    let d = b.destination(d, w)?;
    b.emit(Op::Bfi { width: w, d, a: x, b: y, c, e });
    Ok(())
}

fn lop3(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let combine = m.choose(&[("or", BoolOp::Or), ("and", BoolOp::And), ("xor", BoolOp::Xor)]);
    m.ty()?;
    let (operands, q) = match (operands, combine) {
        ([operands @ .., q], Some(_)) => (operands, Some(b.source_predicate(q)?)),
        (operands, _) => (operands, None),
    };
    let [d, x, y, z, table] = take(operands)?;
    let mut source = |operand| b.source(operand, Type::B32, Width::W32);
    let (a, y, c) = (source(x)?, source(y)?, source(z)?);
    let Operand::Immediate(crate::ptx::ast::Immediate::Integer(table)) = table else {
        return Err("table of lop3 is not a number".into());
    };
    let table = *table as u8;
    let (Some(combine), Some(q)) = (combine, q) else {
        let d = b.destination(d, Width::W32)?;
        b.emit(Op::Lop3 { d, a, b: y, c, table });
        return Ok(());
    };
    // The predicate says whether the result has any bit, combined with another.
    let Operand::Pair(d, p) = d else {
        return Err("destination of lop3 is not a register and a predicate".into());
    };
    let (d, p) = (b.destination(&Operand::Name(d.clone()), Width::W32)?, b.destination_predicate(p)?);
    let zero = b.constant(Width::W32, 0);
    b.emit(Op::Lop3 { d, a, b: y, c, table });
    let (ty, comparison) = (CompareType::U32, Comparison::Ne);
    b.emit(Op::Setp { ty, comparison, flush: false, d: p, complement: None, a: d, b: zero, combine, c: q });
    Ok(())
}

fn compare_type(ty: Type, signed_matters: bool) -> Result<CompareType> {
    use Type::*;
    Ok(match ty {
        B16 | U16 => CompareType::U16,
        S16 if signed_matters => CompareType::S16,
        S16 => CompareType::U16,
        B32 | U32 => CompareType::U32,
        S32 if signed_matters => CompareType::S32,
        S32 => CompareType::U32,
        B64 | U64 => CompareType::U64,
        S64 if signed_matters => CompareType::S64,
        S64 => CompareType::U64,
        F16 | F16x2 => CompareType::F16,
        Bf16 | Bf16x2 => CompareType::Bf16,
        F32 => CompareType::F32,
        F64 => CompareType::F64,
        B8 | U8 | S8 | B128 | Tf32 | Pred => return Err("comparison of this type".into()),
    })
}

pub(super) const COMPARISONS: &[(&str, Comparison)] = &[
    ("eq", Comparison::Eq),
    ("ne", Comparison::Ne),
    ("lt", Comparison::Lt),
    ("le", Comparison::Le),
    ("gt", Comparison::Gt),
    ("ge", Comparison::Ge),
    ("equ", Comparison::Equ),
    ("neu", Comparison::Neu),
    ("ltu", Comparison::Ltu),
    ("leu", Comparison::Leu),
    ("gtu", Comparison::Gtu),
    ("geu", Comparison::Geu),
    ("num", Comparison::Num),
    ("nan", Comparison::Nan),
    ("lo", Comparison::Lt),
    ("ls", Comparison::Le),
    ("hi", Comparison::Gt),
    ("hs", Comparison::Ge),
];

/// `setp`, and `set` as a `setp` followed by a selection.
fn compare(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let comparison = m.require("comparison", COMPARISONS)?;
    let combine = m.choose(&[("and", BoolOp::And), ("or", BoolOp::Or), ("xor", BoolOp::Xor)]);
    let flush = m.flag("ftz");
    let result = if opcode == "set" { Some(m.ty()?) } else { None };
    let ty = m.ty()?;
    let (sources, c) = match (operands, combine) {
        ([_, x, y], None) => ((x, y), PredSource::TRUE),
        ([_, x, y, p], Some(_)) => ((x, y), b.source_predicate(p)?),
        _ => return Err("number of operands".into()),
    };
    let w = width(ty)?;
    let (x, y) = (b.source(sources.0, ty, w)?, b.source(sources.1, ty, w)?);
    let combine = combine.unwrap_or(BoolOp::And);
    let first = &operands[0];
    if matches!(ty, Type::F16x2 | Type::Bf16x2) {
        let format = if ty == Type::F16x2 { HalfFormat::F16 } else { HalfFormat::Bf16 };
        return compare_halves(b, format, (comparison, combine, c, flush), result, first, x, y);
    }
    let compare_type = compare_type(ty, !matches!(comparison, Comparison::Eq | Comparison::Ne))?;
    let (d, complement) = match (first, result) {
        (_, Some(_)) => (b.new_predicate(), None),
        (Operand::Pair(p, q), None) => (b.destination_predicate(p)?, Some(b.destination_predicate(q)?)),
        (operand, None) => (predicate(b, operand)?, None),
    };
    b.emit(Op::Setp { ty: compare_type, comparison, flush, d, complement, a: x, b: y, combine, c });
    match result {
        Some(result) => set_value(b, result, first, d),
        None => Ok(()),
    }
}

/// The all-ones or 1.0 that `set` writes.
fn set_value(b: &mut Builder, result: Type, destination: &Operand, p: Pred) -> Result<()> {
    let w = width(result)?;
    let one = match result {
        Type::F32 => 1.0f32.to_bits().into(),
        Type::F16 => 0x3c00,
        Type::Bf16 => 0x3f80,
        _ => u64::MAX,
    };
    let (yes, no) = (b.constant(w, one), b.constant(w, 0));
    let d = b.destination(destination, w)?;
    b.emit(Op::Selp { width: w, d, a: yes, b: no, p: PredSource::of(p) });
    Ok(())
}

type HalfComparison = (Comparison, BoolOp, PredSource, bool);

fn compare_halves(
    b: &mut Builder,
    format: HalfFormat,
    (comparison, combine, c, flush): HalfComparison,
    result: Option<Type>,
    destination: &Operand,
    x: Reg,
    y: Reg,
) -> Result<()> {
    let d = match (destination, result) {
        (Operand::Pair(p, q), None) => [b.destination_predicate(p)?, b.destination_predicate(q)?],
        (_, Some(_)) => [b.new_predicate(), b.new_predicate()],
        _ => return Err("one destination for two comparisons".into()),
    };
    b.emit(Op::SetpHalf2 { format, comparison, flush, d, a: x, b: y, combine, c });
    let Some(result) = result else {
        return Ok(());
    };
    let one: u64 = match result {
        Type::F16x2 => 0x3c00,
        Type::Bf16x2 => 0x3f80,
        _ => 0xffff,
    };
    let mut halves = [Reg(0); 2];
    for (half, p) in halves.iter_mut().zip(d) {
        *half = b.new_register(Width::W16);
        let (yes, no) = (b.constant(Width::W16, one), b.constant(Width::W16, 0));
        b.emit(Op::Selp { width: Width::W16, d: *half, a: yes, b: no, p: PredSource::of(p) });
    }
    let d = b.destination(destination, Width::W32)?;
    b.emit(Op::Pack16x2 { d, a: halves[0], b: halves[1] });
    Ok(())
}

fn select(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let flush = m.flag("ftz");
    let ty = m.ty()?;
    let w = width(ty)?;
    let [d, x, y, p] = take(operands)?;
    let (x, y) = (b.source(x, ty, w)?, b.source(y, ty, w)?);
    let p = if opcode == "selp" {
        b.source_predicate(p)?
    } else {
        // slct: the first where the third operand is at least zero.
        let selector = m.ty()?;
        let zero = b.constant(Width::W32, 0);
        let c = b.source(p, selector, Width::W32)?;
        let ty = if selector == Type::F32 { CompareType::F32 } else { CompareType::S32 };
        let p = b.new_predicate();
        let (comparison, combine) = (Comparison::Ge, BoolOp::And);
        b.emit(Op::Setp { ty, comparison, flush, d: p, complement: None, a: c, b: zero, combine, c: PredSource::TRUE });
        PredSource::of(p)
    };
    let d = b.destination(d, w)?;
    b.emit(Op::Selp { width: w, d, a: x, b: y, p });
    Ok(())
}
