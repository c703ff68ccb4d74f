//! Branches, barriers, exits and calls of host functions.

use super::super::build::branch;
use super::warp::members_operand;
use super::{Builder, Modifiers, Result, take};
use crate::isa::*;
use crate::ptx::ast::{Operand, Type};

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    match opcode {
        "bra" => {
            m.flag("uni");
            let [Operand::Name(label)] = operands else {
                return Err("target of the branch".into());
            };
            let label = b.label_named(label)?;
            b.emit(branch(label));
        }
        "brx" => {
            m.ignore(&["idx", "uni"]);
            let [index, Operand::Name(table)] = operands else {
                return Err("operands of the indexed branch".into());
            };
            let index = b.source(index, Type::U32, Width::W32)?;
            let targets = b.branch_table(table)?.into_boxed_slice();
            b.emit(Op::BranchIndexed { index, targets, reconverge: u32::MAX });
        }
        "ret" => {
            m.flag("uni");
            b.emit_return();
        }
        "exit" => b.emit(Op::Exit),
        "trap" | "brkpt" => b.emit(Op::Trap),
        "nanosleep" => {
            m.ty()?;
            b.emit(Op::Yield);
        }
        "bar" => barrier(b, m, operands, true)?,
        "barrier" => {
            let aligned = m.flag("aligned");
            barrier(b, m, operands, aligned)?;
        }
        "griddepcontrol" => m.ignore(&["launch_dependents", "wait"]),
        "setmaxnreg" => m.ignore(&["inc", "dec", "sync", "aligned", "u32"]),
        // Events of the performance monitor.
        "pmevent" => m.ignore(&["mask"]),
        "pragma" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

fn barrier(b: &mut Builder, m: &mut Modifiers, operands: &[Operand], aligned: bool) -> Result<()> {
    m.ignore(&["cta"]);
    if m.flag("warp") {
        m.flag("sync");
        let [members] = take(operands)?;
        let members = members_operand(b, members)?;
        b.emit(Op::WarpBarrier { members });
        return Ok(());
    }
    let (kind, rest) = if m.flag("sync") {
        (BarrierKind::Sync, operands)
    } else if m.flag("arrive") {
        (BarrierKind::Arrive, operands)
    } else if m.flag("red") {
        reduction(b, m, operands)?
    } else {
        return Err("form of barrier".into());
    };
    let mut source = |operand| b.source(operand, Type::U32, Width::W32);
    let (id, count) = match rest {
        [id] => (source(id)?, None),
        [id, count] => (source(id)?, Some(source(count)?)),
        _ => return Err("operands of the barrier".into()),
    };
    b.emit(Op::Barrier { aligned, kind, id, count });
    Ok(())
}

/// The destination and predicate around the barrier's own operands.
fn reduction<'o>(b: &mut Builder, m: &mut Modifiers, operands: &'o [Operand]) -> Result<(BarrierKind, &'o [Operand])> {
    let [d, rest @ .., p] = operands else {
        return Err("operands of bar.red".into());
    };
    let p = b.source_predicate(p)?;
    if m.flag("popc") {
        m.ty()?;
        return Ok((BarrierKind::Popc { d: b.destination(d, Width::W32)?, p }, rest));
    }
    let and = m.require("operation", &[("and", true), ("or", false)])?;
    m.ty()?;
    let Operand::Name(name) = d else {
        return Err("destination of bar.red".into());
    };
    let d = b.destination_predicate(name)?;
    Ok((if and { BarrierKind::And { d, p } } else { BarrierKind::Or { d, p } }, rest))
}

/// Calls of the functions that the host provides; `None` for any other name.
pub(in crate::lower) fn builtin_call(
    b: &mut Builder,
    name: &str,
    returns: &[Operand],
    arguments: &[Operand],
) -> Option<Result<()>> {
    match name {
        "vprintf" => Some(printf(b, returns, arguments)),
        "__assertfail" => Some(assert_fail(b, arguments)),
        "malloc" => Some(malloc(b, returns, arguments)),
        "free" => Some(free(b, arguments)),
        _ => None,
    }
}

/// Loads the argument that the caller stored in its `.param` variable.
fn argument(b: &mut Builder, operand: &Operand, width: Width) -> Result<Reg> {
    let Operand::Name(name) = operand else {
        return Err("argument is not a variable".into());
    };
    let (address, _) = b.address(&Operand::Address { base: name.clone(), offset: 0 })?;
    let d = b.new_register(width);
    let kind = MemoryKind { bytes: width.bytes() as u8, signed: false, width };
    b.emit(Op::Load { strong: false, space: Space::Local, kind, count: 1, d: [d; 4], address });
    Ok(d)
}

fn printf(b: &mut Builder, returns: &[Operand], arguments: &[Operand]) -> Result<()> {
    let [format, list] = take(arguments)?;
    let format = argument(b, format, Width::W64)?;
    let arguments = argument(b, list, Width::W64)?;
    let d = b.new_register(Width::W32);
    b.emit(Op::Call(Builtin::Printf { d, format, arguments }));
    result(b, returns, d, Width::W32)
}

/// Stores what a function of the host returns where the caller wants it, if it does.
fn result(b: &mut Builder, returns: &[Operand], value: Reg, width: Width) -> Result<()> {
    if let [Operand::Name(name)] = returns {
        let (address, _) = b.address(&Operand::Address { base: name.clone(), offset: 0 })?;
        let kind = MemoryKind { bytes: width.bytes() as u8, signed: false, width };
        b.emit(Op::Store { strong: false, space: Space::Local, kind, count: 1, a: [value; 4], address });
    }
    Ok(())
}

fn malloc(b: &mut Builder, returns: &[Operand], arguments: &[Operand]) -> Result<()> {
    let [bytes] = take(arguments)?;
    let bytes = argument(b, bytes, Width::W64)?;
    let d = b.new_register(Width::W64);
    b.emit(Op::Call(Builtin::Malloc { d, bytes }));
    result(b, returns, d, Width::W64)
}

fn free(b: &mut Builder, arguments: &[Operand]) -> Result<()> {
    let [pointer] = take(arguments)?;
    let pointer = argument(b, pointer, Width::W64)?;
    b.emit(Op::Call(Builtin::Free { pointer }));
    Ok(())
}

fn assert_fail(b: &mut Builder, arguments: &[Operand]) -> Result<()> {
    let [message, file, line, function, _] = take(arguments)?;
    let message = argument(b, message, Width::W64)?;
    let file = argument(b, file, Width::W64)?;
    let line = argument(b, line, Width::W32)?;
    let function = argument(b, function, Width::W64)?;
    b.emit(Op::Call(Builtin::AssertFail { message, file, line, function }));
    Ok(())
}
