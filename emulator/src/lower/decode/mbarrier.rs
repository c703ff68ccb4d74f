//! Barriers in shared memory: `mbarrier`, and `cp.async` that arrives at one.

use super::memory::resolve_space;
use super::{Builder, Modifiers, Result, take};
use crate::isa::*;
use crate::ptx::ast::{Operand, Type};

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    match opcode {
        "mbarrier" => mbarrier(b, m, operands)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn mbarrier(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    m.ignore(&["b64", "relaxed", "acquire", "release", "cta", "cluster"]);
    if m.flag("pending_count") {
        return pending_count(b, operands);
    }
    let space = space(m);
    if m.flag("init") {
        let [address, count] = take(operands)?;
        return object(b, MbarrierAction::Init, space, address, Some(count), None);
    }
    if m.flag("inval") {
        let [address] = take(operands)?;
        return object(b, MbarrierAction::Invalidate, space, address, None, None);
    }
    if let Some(drop) = m.choose(&[("arrive", false), ("arrive_drop", true)]) {
        return arrive(b, m, drop, space, operands);
    }
    if m.choose(&[("test_wait", ()), ("try_wait", ())]).is_some() {
        return test(b, m, space, operands);
    }
    let action = [("expect_tx", MbarrierAction::Expect), ("complete_tx", MbarrierAction::Complete)];
    let action = m.require("form of mbarrier", &action)?;
    let [address, bytes] = take(operands)?;
    object(b, action, space, address, Some(bytes), None)
}

fn space(m: &mut Modifiers) -> Space {
    let names = ["shared", "shared::cta", "shared::cluster"].map(|name| (name, Space::Shared));
    m.choose(&names).unwrap_or(Space::Generic)
}

/// Emits an operation whose second operand has 32 bits, and is 1 where there is none.
fn object(
    b: &mut Builder,
    action: MbarrierAction,
    space: Space,
    address: &Operand,
    operand: Option<&Operand>,
    d: Option<Reg>,
) -> Result<()> {
    let (address, symbol) = b.address(address)?;
    let space = resolve_space(space, symbol)?;
    let a = match operand {
        Some(operand) => b.source(operand, Type::U32, Width::W32)?,
        None => b.constant(Width::W32, 1),
    };
    b.emit(Op::Mbarrier(Box::new(Mbarrier { action, space, address, a, d, p: None })));
    Ok(())
}

fn arrive(b: &mut Builder, m: &mut Modifiers, drop: bool, space: Space, operands: &[Operand]) -> Result<()> {
    let completes = !m.flag("noComplete");
    let expecting = m.flag("expect_tx");
    let (state, address, operand) = match operands {
        [state, address] if !expecting && completes => (state, address, None),
        [state, address, operand] => (state, address, Some(operand)),
        _ => return Err("operands of mbarrier".into()),
    };
    let action = match expecting {
        true => MbarrierAction::ArriveExpecting { drop },
        false => MbarrierAction::Arrive { drop, completes },
    };
    let d = b.destination(state, Width::W64)?;
    // Who arrives releases what it did.
    b.emit(Op::Fence { device: false });
    object(b, action, space, address, operand, Some(d))
}

/// `try_wait` may end early, so that it is a test too.
fn test(b: &mut Builder, m: &mut Modifiers, space: Space, operands: &[Operand]) -> Result<()> {
    let ([Operand::Name(p), address, phase] | [Operand::Name(p), address, phase, _]) = operands else {
        return Err("operands of mbarrier".into());
    };
    let (address, symbol) = b.address(address)?;
    let space = resolve_space(space, symbol)?;
    let (action, a) = match m.flag("parity") {
        true => (MbarrierAction::TestParity, b.source(phase, Type::U32, Width::W32)?),
        false => (MbarrierAction::Test, b.source(phase, Type::U64, Width::W64)?),
    };
    let p = Some(b.destination_predicate(p)?);
    b.emit(Op::Mbarrier(Box::new(Mbarrier { action, space, address, a, d: None, p })));
    Ok(())
}

/// The arrivals that a state still waits for, in its lowest bits.
fn pending_count(b: &mut Builder, operands: &[Operand]) -> Result<()> {
    let [count, state] = take(operands)?;
    let (state, d) = (b.source(state, Type::U64, Width::W64)?, b.destination(count, Width::W32)?);
    let halves = [b.new_register(Width::W32), b.new_register(Width::W32)];
    b.emit(Op::Unpack32x2 { d: halves, a: state });
    let mask = b.constant(Width::W32, MBARRIER_COUNT_MASK);
    b.emit(Op::IntBinary { op: IntBinary::And, width: Width::W32, d, a: halves[0], b: mask });
    Ok(())
}

/// The bytes of a bulk copy have come to the object at `address`, with what they brought.
pub(super) fn complete(b: &mut Builder, address: &Operand, bytes: Reg) -> Result<()> {
    let (address, symbol) = b.address(address)?;
    let space = resolve_space(Space::Shared, symbol)?;
    b.emit(Op::Fence { device: false });
    let action = MbarrierAction::Complete;
    b.emit(Op::Mbarrier(Box::new(Mbarrier { action, space, address, a: bytes, d: None, p: None })));
    Ok(())
}

/// `cp.async.mbarrier.arrive`: an arrival once the thread's copies are done. They are done here, which is as early as a
/// copy may be; one that `noinc` does not ask for was expected by nobody and changes nothing.
pub(super) fn arrive_after_copies(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    m.ignore(&["arrive", "b64"]);
    let space = space(m);
    let [address] = take(operands)?;
    b.emit(Op::CopyWait { pending: 0, all: true });
    if !m.flag("noinc") {
        return Ok(());
    }
    b.emit(Op::Fence { device: false });
    object(b, MbarrierAction::Arrive { drop: false, completes: true }, space, address, None, None)
}
