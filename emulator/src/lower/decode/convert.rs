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
            let space = space(m)?;
            let [d, x] = take(operands)?;
            let a = b.source(x, Type::U64, Width::W64)?;
            let Operand::Name(name) = d else {
                return Err("destination is not a predicate".into());
            };
            let d = b.destination_predicate(name)?;
            b.emit(Op::IsSpace { space, d, a });
        }
        _ => return Ok(false),
    }
    Ok(true)
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

fn cvt(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    use Rounding::*;
    let integral = m.choose(&[("rni", Nearest), ("rzi", Zero), ("rmi", Down), ("rpi", Up)]);
    let away = m.has("rna");
    let rounding = m.rounding();
    let (flush, saturate) = (m.flag("ftz"), m.flag("sat") | m.flag("satfinite"));
    let relu = m.flag("relu");
    let (to, from) = (m.ty()?, m.ty()?);
    if matches!(to, Type::F16x2 | Type::Bf16x2) {
        return cvt_pack(b, to, from, rounding.unwrap_or(Nearest), relu, saturate, operands);
    }
    if away && to != Type::Tf32 {
        return Err("rounding .rna of this type".into());
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
        flush,
        saturate,
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
    saturate: bool,
    operands: &[Operand],
) -> Result<()> {
    if from != Type::F32 {
        return Err("packed conversion from this type".into());
    }
    let [d, x, y] = take(operands)?;
    let (a, y) = (b.source(x, Type::F32, Width::W32)?, b.source(y, Type::F32, Width::W32)?);
    let d = b.destination(d, Width::W32)?;
    let format = if to == Type::F16x2 { HalfFormat::F16 } else { HalfFormat::Bf16 };
    b.emit(Op::CvtPack { format, rounding, relu, saturate, d, a, b: y });
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
            ("local", Space::Local),
            ("param", Space::Param),
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
