//! `cvt`, `cvta`, `isspacep`.

use super::{Builder, Modifiers, Result, take, width};
use crate::exec::{LOCAL_WINDOW, PARAMETER_WINDOW, SHARED_WINDOW};
use crate::isa::*;
use crate::ptx::ast::{Operand, Type};

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    match opcode {
        "cvt" => cvt(b, m, operands)?,
        "cvta" => cvta(b, m, operands)?,
        "isspacep" => {
            is_space(b, m, operands)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// `isspacep`: constants lie among global addresses, but are not of the global space.
fn is_space(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let constant = m.has("const");
    let space = space(m)?;
    let [d, x] = take(operands)?;
    let a = b.source(x, Type::U64, Width::W64)?;
    let Operand::Name(name) = d else {
        return Err("destination is not a predicate".into());
    };
    let d = b.destination_predicate(name)?;
    if space != Space::Global {
        b.emit(Op::IsSpace { space, d, a });
        return Ok(());
    }
    let mut inside = PredSource::FALSE;
    for (start, bytes) in b.constant_variables() {
        let (start, bytes) = (b.constant(Width::W64, start), b.constant(Width::W64, bytes));
        let (offset, p) = (b.new_register(Width::W64), b.new_predicate());
        b.emit(Op::IntBinary { op: IntBinary::Sub, width: Width::W64, d: offset, a, b: start });
        b.emit(Op::Setp {
            ty: CompareType::U64,
            comparison: Comparison::Lt,
            flush: false,
            d: p,
            complement: None,
            a: offset,
            b: bytes,
            combine: BoolOp::Or,
            c: inside,
        });
        inside = PredSource::of(p);
    }
    if constant {
        b.emit(Op::MovPred { d, a: inside });
    } else {
        let global = b.new_predicate();
        b.emit(Op::IsSpace { space, d: global, a });
        b.emit(Op::PredLogic { op: BoolOp::And, d, a: PredSource::of(global), b: inside.complement() });
    }
    Ok(())
}

fn cvt_type(ty: Type) -> Result<CvtType> {
    use Type::*;
    Ok(match ty {
        U8 | B8 => CvtType::U8,
        S8 => CvtType::S8,
        U16 | B16 => CvtType::U16,
        S16 => CvtType::S16,
        U32 | B32 => CvtType::U32,
        S32 => CvtType::S32,
        U64 | B64 => CvtType::U64,
        S64 => CvtType::S64,
        F16 => CvtType::F16,
        Bf16 => CvtType::Bf16,
        Tf32 => CvtType::Tf32,
        F32 => CvtType::F32,
        F64 => CvtType::F64,
        F16x2 | Bf16x2 | B128 | Pred => return Err("conversion of this type".into()),
    })
}

/// A type that `cvt` names.
#[derive(Clone, Copy)]
enum Named {
    Scalar(Type),
    /// A pair of 8-bit floats.
    Bytes(ByteFormat),
}

impl Named {
    fn of(word: &str) -> Option<Named> {
        match word {
            "e4m3x2" => Some(Named::Bytes(ByteFormat::E4m3)),
            "e5m2x2" => Some(Named::Bytes(ByteFormat::E5m2)),
            _ => Type::named(word).map(Named::Scalar),
        }
    }
}

fn cvt(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    use Rounding::*;
    if m.flag("pack") {
        return pack_integers(b, m, operands);
    }
    let integral = m.choose(&[("rni", Nearest), ("rzi", Zero), ("rmi", Down), ("rpi", Up)]);
    let ties_away = m.has("rna");
    let rounding = m.rounding();
    let (flush, saturate, finite, relu) = (m.flag("ftz"), m.flag("sat"), m.flag("satfinite"), m.flag("relu"));
    let mut named = || m.find(Named::of).ok_or("type missing or unknown");
    let (to, from) = match (named()?, named()?) {
        (Named::Scalar(to), Named::Scalar(from)) => (to, from),
        (Named::Bytes(format), Named::Scalar(from)) if finite => {
            return to_bytes(b, format, relu, from, operands);
        }
        (Named::Scalar(Type::F16x2), Named::Bytes(format)) if !finite => {
            let [d, x] = take(operands)?;
            let (a, d) = (b.source(x, Type::B16, Width::W16)?, b.destination(d, Width::W32)?);
            b.emit(Op::ExpandBytes { format, relu, d, a });
            return Ok(());
        }
        _ => return Err("conversion between these types".into()),
    };
    if ties_away && to != Type::Tf32 {
        return Err("rounding .rna of this type".into());
    }
    if finite && !matches!(to, Type::F16 | Type::Bf16 | Type::F16x2 | Type::Bf16x2 | Type::Tf32) {
        return Err("saturation to finite numbers of this type".into());
    }
    if matches!(to, Type::F16x2 | Type::Bf16x2) && !saturate {
        return cvt_pack(b, to, from, rounding.unwrap_or(Nearest), relu, finite, operands);
    }
    let [d, x] = take(operands)?;
    let (a, source) = b.source_any(x, from, width(from)?)?;
    let (d, destination) = b.destination_any(d, width(to)?)?;
    if source.bytes() < from.bytes() as u32 || destination.bytes() < to.bytes() as u32 {
        return Err("register narrower than the type".into());
    }
    let cvt = Cvt {
        from: cvt_type(from)?,
        to: cvt_type(to)?,
        source,
        destination,
        rounding: integral.or(rounding).unwrap_or(Nearest),
        integral: integral.is_some(),
        ties_away,
        flush,
        saturate,
        finite,
        relu,
    };
    b.emit(Op::Cvt { cvt, d, a });
    Ok(())
}

fn cvt_pack(
    b: &mut Builder,
    to: Type,
    from: Type,
    rounding: Rounding,
    relu: bool,
    finite: bool,
    operands: &[Operand],
) -> Result<()> {
    if from != Type::F32 {
        return Err("packed conversion from this type".into());
    }
    let [d, x, y] = take(operands)?;
    let (a, y) = (b.source(x, Type::F32, Width::W32)?, b.source(y, Type::F32, Width::W32)?);
    let d = b.destination(d, Width::W32)?;
    let format = if to == Type::F16x2 { HalfFormat::F16 } else { HalfFormat::Bf16 };
    b.emit(Op::CvtPack { format, rounding, relu, finite, d, a, b: y });
    Ok(())
}

/// A pair of 8-bit floats from two fp32 numbers, or from a pair of fp16 ones.
fn to_bytes(b: &mut Builder, format: ByteFormat, relu: bool, from: Type, operands: &[Operand]) -> Result<()> {
    let (d, high, low) = match (from, operands) {
        (Type::F32, [d, x, y]) => (d, b.source(x, Type::F32, Width::W32)?, b.source(y, Type::F32, Width::W32)?),
        (Type::F16x2, [d, x]) => {
            let a = b.source(x, Type::B32, Width::W32)?;
            let halves = [b.new_register(Width::W16), b.new_register(Width::W16)];
            b.emit(Op::Unpack16x2 { d: halves, a });
            let [low, high] = halves.map(|half| widened(b, half));
            (d, high, low)
        }
        _ => return Err("conversion of this type to 8-bit floats".into()),
    };
    let d = b.destination(d, Width::W16)?;
    b.emit(Op::CvtBytes { format, relu, d, a: high, b: low });
    Ok(())
}

/// An fp16 register as fp32.
fn widened(b: &mut Builder, a: Reg) -> Reg {
    let d = b.new_register(Width::W32);
    let cvt = Cvt {
        from: CvtType::F16,
        to: CvtType::F32,
        source: Width::W16,
        destination: Width::W32,
        rounding: Rounding::Nearest,
        integral: false,
        ties_away: false,
        flush: false,
        saturate: false,
        finite: false,
        relu: false,
    };
    b.emit(Op::Cvt { cvt, d, a });
    d
}

/// `cvt.pack.sat`
fn pack_integers(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let types = [
        ("s16", (16, true)),
        ("u16", (16, false)),
        ("s8", (8, true)),
        ("u8", (8, false)),
        ("s4", (4, true)),
        ("u4", (4, false)),
        ("s2", (2, true)),
        ("u2", (2, false)),
    ];
    let (bits, signed) = m.require("type", &types)?;
    if !m.flag("sat") || m.ty()? != Type::S32 {
        return Err("form of cvt.pack".into());
    }
    let mut source = |operand| b.source(operand, Type::S32, Width::W32);
    let (d, a, y, c) = match operands {
        [d, x, y] if bits == 16 => (d, source(x)?, source(y)?, None),
        [d, x, y, z] if bits < 16 => (d, source(x)?, source(y)?, Some(source(z)?)),
        _ => return Err("number of operands".into()),
    };
    m.flag("b32");
    let c = c.unwrap_or_else(|| b.constant(Width::W32, 0));
    let d = b.destination(d, Width::W32)?;
    b.emit(Op::PackIntegers { bits, signed, d, a, b: y, c });
    Ok(())
}

/// The state space among the modifiers.
pub(super) fn space(m: &mut Modifiers) -> Result<Space> {
    m.require(
        "state space",
        &[
            ("global", Space::Global),
            ("const", Space::Global),
            ("shared", Space::Shared),
            ("shared::cta", Space::Shared),
            // Clusters are of one block.
            ("shared::cluster", Space::Shared),
            ("local", Space::Local),
            ("param", Space::Param),
            ("param::entry", Space::Param),
        ],
    )
}

/// Where a space's window begins among generic addresses.
fn window(space: Space) -> u64 {
    match space {
        Space::Global | Space::Generic => 0,
        Space::Shared => SHARED_WINDOW,
        Space::Local => LOCAL_WINDOW,
        Space::Param => PARAMETER_WINDOW,
    }
}

fn cvta(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let to = m.flag("to");
    let space = space(m)?;
    let ty = m.ty()?;
    if width(ty)? != Width::W64 {
        return Err("32-bit generic addresses".into());
    }
    let [d, x] = take(operands)?;
    let a = b.source(x, ty, Width::W64)?;
    let d = b.destination(d, Width::W64)?;
    if window(space) == 0 {
        b.emit(Op::Mov64 { d, a });
        return Ok(());
    }
    let start = b.constant(Width::W64, window(space));
    let op = if to { IntBinary::Sub } else { IntBinary::Add };
    b.emit(Op::IntBinary { op, width: Width::W64, d, a, b: start });
    Ok(())
}
