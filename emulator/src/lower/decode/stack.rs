//! Memory that a function takes from the thread's stack while it runs: `alloca`, `stacksave`, `stackrestore`.

use super::{Builder, Modifiers, Result, take, width};
use crate::isa::*;
use crate::ptx::ast::{Immediate, Operand, Type};

/// The largest alignment that `alloca` takes, and the one that it has where none is named, in bytes (PTX ISA, `alloca`).
const LARGEST_ALIGNMENT: u32 = 1 << 23;
const DEFAULT_ALIGNMENT: u32 = 8;

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    match opcode {
        "alloca" => allocate(b, m, operands)?,
        "stacksave" => {
            let ty = address_type(m)?;
            let [d] = take(operands)?;
            let top = b.stack.top;
            store_address(b, d, ty, top)?;
        }
        "stackrestore" => {
            let ty = address_type(m)?;
            let [a] = take(operands)?;
            let to = wide(b, a, ty)?;
            b.restore_stack(to);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn allocate(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let ty = address_type(m)?;
    let (pointer, bytes, alignment) = match operands {
        [pointer, bytes] => (pointer, bytes, DEFAULT_ALIGNMENT),
        [pointer, bytes, Operand::Immediate(Immediate::Integer(alignment))] => {
            let alignment = u32::try_from(*alignment).ok();
            let alignment = alignment.filter(|a| a.is_power_of_two() && *a <= LARGEST_ALIGNMENT);
            (pointer, bytes, alignment.ok_or("alignment of alloca")?.max(DEFAULT_ALIGNMENT))
        }
        _ => return Err("operands of alloca".into()),
    };
    let bytes = wide(b, bytes, ty)?;
    let (d, top) = (b.new_register(Width::W64), b.stack.top);
    b.uses_stack = true;
    b.emit(Op::StackAllocate { d, top, a: top, bytes, alignment });
    store_address(b, pointer, ty, d)
}

fn address_type(m: &mut Modifiers) -> Result<Type> {
    m.require("type", &[("u32", Type::U32), ("u64", Type::U64)])
}

/// A source operand of either width as 64 bits.
fn wide(b: &mut Builder, operand: &Operand, ty: Type) -> Result<Reg> {
    let a = b.source(operand, ty, width(ty)?)?;
    if ty == Type::U64 {
        return Ok(a);
    }
    let (d, zero) = (b.new_register(Width::W64), b.constant(Width::W32, 0));
    b.emit(Op::Pack32x2 { d, a, b: zero });
    Ok(d)
}

/// Lets the destination be the local address in `a`, which has no more than 32 bits.
fn store_address(b: &mut Builder, destination: &Operand, ty: Type, a: Reg) -> Result<()> {
    let d = b.destination(destination, width(ty)?)?;
    if ty == Type::U64 {
        b.emit(Op::Mov64 { d, a });
    } else {
        let upper = b.new_register(Width::W32);
        b.emit(Op::Unpack32x2 { d: [d, upper], a });
    }
    Ok(())
}
