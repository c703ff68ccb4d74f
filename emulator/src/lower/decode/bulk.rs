//! Bulk copies, `cp.async.bulk`: loops of 16 bytes a turn by the threads that ask for them. They are done where they stand,
//! which is as early as a copy may be: who waits for them waits for nothing.

use super::{Builder, Modifiers, Result, mbarrier};
use crate::isa::*;
use crate::lower::build::branch;
use crate::ptx::ast::{Operand, Type};

/// Bytes that addresses and sizes are multiples of.
const PIECE: u64 = 16;

/// What follows `cp.async.bulk`.
pub(super) fn copy(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    if m.flag("commit_group") || m.flag("wait_group") {
        m.flag("read");
        return Ok(());
    }
    let policy = m.flag("L2::cache_hint");
    if m.flag("prefetch") {
        m.ignore(&["L2", "global"]);
        return Ok(());
    }
    let space = |word: &str| match word {
        "global" => Some(Space::Global),
        "shared::cta" | "shared::cluster" => Some(Space::Shared),
        _ => None,
    };
    let (to, from) = (m.find(space), m.find(space));
    let operands = &operands[..operands.len() - usize::from(policy && !operands.is_empty())];
    match (to, from, operands) {
        (Some(Space::Shared), Some(Space::Global), [to, from, bytes, object])
            if m.flag("mbarrier::complete_tx::bytes") =>
        {
            let bytes = b.source(bytes, Type::U32, Width::W32)?;
            b.unguarded(|b| {
                pieces(b, (to, Space::Shared), (from, Space::Global), bytes)?;
                mbarrier::complete(b, object, bytes)
            })
        }
        (Some(Space::Global), Some(Space::Shared), [to, from, bytes]) if m.flag("bulk_group") => {
            let bytes = b.source(bytes, Type::U32, Width::W32)?;
            b.unguarded(|b| pieces(b, (to, Space::Global), (from, Space::Shared), bytes))
        }
        _ => Err("form of cp.async.bulk".into()),
    }
}

/// Copies `bytes`.
fn pieces(
    b: &mut Builder,
    (to, to_space): (&Operand, Space),
    (from, from_space): (&Operand, Space),
    bytes: Reg,
) -> Result<()> {
    let (to, from) = (b.address(to)?.0, b.address(from)?.0);
    let rest = b.constant(Width::W32, PIECE - 1);
    let (odd, left) = (b.new_register(Width::W32), b.new_register(Width::W32));
    b.emit(Op::IntBinary { op: IntBinary::And, width: Width::W32, d: odd, a: bytes, b: rest });
    let wrong = is_zero(b, odd).complement();
    guarded(b, wrong, Op::Trap);
    b.emit(Op::Mov32 { d: left, a: bytes });
    let (to, from) = (running(b, to), running(b, from));
    let (start, end) = (b.new_label(), b.new_label());
    b.place_label(start);
    let done = is_zero(b, left);
    guarded(b, done, branch(end));
    let kind = MemoryKind { bytes: 8, signed: false, width: Width::W64 };
    let [low, high] = [b.new_register(Width::W64), b.new_register(Width::W64)];
    let values = [low, high, low, low];
    b.emit(Op::Load { strong: false, space: from_space, kind, count: 2, d: values, address: from });
    b.emit(Op::Store { strong: false, space: to_space, kind, count: 2, a: values, address: to });
    advance(b, IntBinary::Add, to.base, to.wide);
    advance(b, IntBinary::Add, from.base, from.wide);
    advance(b, IntBinary::Sub, left, false);
    b.emit(branch(start));
    b.place_label(end);
    Ok(())
}

fn guarded(b: &mut Builder, guard: PredSource, op: Op) {
    let outer = std::mem::replace(&mut b.guard, guard);
    b.emit(op);
    b.guard = outer;
}

fn is_zero(b: &mut Builder, a: Reg) -> PredSource {
    let (d, zero) = (b.new_predicate(), b.constant(Width::W32, 0));
    let (ty, comparison, combine) = (CompareType::U32, Comparison::Eq, BoolOp::And);
    let (flush, complement, c) = (false, None, PredSource::TRUE);
    b.emit(Op::Setp { ty, comparison, flush, d, complement, a, b: zero, combine, c });
    PredSource::of(d)
}

/// A copy of an address that may be changed.
fn running(b: &mut Builder, address: Address) -> Address {
    let width = if address.wide { Width::W64 } else { Width::W32 };
    let base = b.new_register(width);
    b.emit(match address.wide {
        true => Op::Mov64 { d: base, a: address.base },
        false => Op::Mov32 { d: base, a: address.base },
    });
    Address { base, ..address }
}

/// One piece further.
fn advance(b: &mut Builder, op: IntBinary, d: Reg, wide: bool) {
    let width = if wide { Width::W64 } else { Width::W32 };
    let step = b.constant(width, PIECE);
    b.emit(Op::IntBinary { op, width, d, a: d, b: step });
}
