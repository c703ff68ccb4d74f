//! Operations of a whole warp: shuffles, votes, reductions.

use super::{Builder, Modifiers, Result, take, width};
use crate::isa::*;
use crate::ptx::ast::{Operand, Type};

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    match opcode {
        "shfl" => shuffle(b, m, operands)?,
        "vote" => vote(b, m, operands)?,
        "match" => match_lanes(b, m, operands)?,
        "redux" => redux(b, m, operands)?,
        "activemask" => {
            m.ty()?;
            let [d] = take(operands)?;
            let d = b.destination(d, Width::W32)?;
            b.emit(Op::ActiveMask { d });
        }
        "elect" => {
            m.flag("sync");
            let [d, members] = take(operands)?;
            let Operand::Pair(lane, p) = d else {
                return Err("destination of elect".into());
            };
            let members = members_operand(b, members)?;
            let d = b.destination(&Operand::Name(lane.clone()), Width::W32)?;
            let p = b.destination_predicate(p)?;
            b.emit(Op::Elect { d, p, members });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn members_operand(b: &mut Builder, operand: &Operand) -> Result<Reg> {
    b.source(operand, Type::B32, Width::W32)
}

/// `%r|%p`, or `%r` alone.
fn register_and_predicate(b: &mut Builder, operand: &Operand, width: Width) -> Result<(Reg, Option<Pred>)> {
    match operand {
        Operand::Pair(reg, p) => {
            let d = b.destination(&Operand::Name(reg.clone()), width)?;
            Ok((d, Some(b.destination_predicate(p)?)))
        }
        other => Ok((b.destination(other, width)?, None)),
    }
}

fn shuffle(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    if !m.flag("sync") {
        return Err("shfl without .sync".into());
    }
    let mode = m.require(
        "mode",
        &[
            ("up", ShuffleMode::Up),
            ("down", ShuffleMode::Down),
            ("bfly", ShuffleMode::Butterfly),
            ("idx", ShuffleMode::Index),
        ],
    )?;
    m.ty()?;
    let [destination, x, lane, clamp, members] = take(operands)?;
    let mut source = |operand| b.source(operand, Type::B32, Width::W32);
    let (a, lane, c, members) = (source(x)?, source(lane)?, source(clamp)?, source(members)?);
    let (d, p) = register_and_predicate(b, destination, Width::W32)?;
    b.emit(Op::Shuffle { mode, d, p, a, b: lane, c, members });
    Ok(())
}

fn vote(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    if !m.flag("sync") {
        return Err("vote without .sync".into());
    }
    let ballot = m.flag("ballot");
    let mode = m.choose(&[("all", VoteMode::All), ("any", VoteMode::Any), ("uni", VoteMode::Uniform)]);
    m.ty()?;
    let [destination, p, members] = take(operands)?;
    let p = b.source_predicate(p)?;
    let members = members_operand(b, members)?;
    let op = match (ballot, mode, destination) {
        (true, ..) => Op::Ballot { d: b.destination(destination, Width::W32)?, p, members },
        (false, Some(mode), Operand::Name(name)) => Op::Vote { mode, d: b.destination_predicate(name)?, p, members },
        _ => return Err("form of vote".into()),
    };
    b.emit(op);
    Ok(())
}

fn match_lanes(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    m.flag("sync");
    let all = m.require("mode", &[("all", true), ("any", false)])?;
    let ty = m.ty()?;
    let w = width(ty)?;
    let [destination, a, members] = take(operands)?;
    let a = b.source(a, ty, w)?;
    let members = members_operand(b, members)?;
    let (d, p) = register_and_predicate(b, destination, Width::W32)?;
    b.emit(if all { Op::MatchAll { width: w, d, p, a, members } } else { Op::MatchAny { width: w, d, a, members } });
    Ok(())
}

fn redux(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    m.flag("sync");
    #[derive(Clone, Copy)]
    enum Name {
        Add,
        Min,
        Max,
        And,
        Or,
        Xor,
    }
    let name = m.require(
        "operation",
        &[
            ("add", Name::Add),
            ("min", Name::Min),
            ("max", Name::Max),
            ("and", Name::And),
            ("or", Name::Or),
            ("xor", Name::Xor),
        ],
    )?;
    let op = match (name, m.ty()?) {
        (Name::Add, Type::U32 | Type::S32) => ReduxOp::Add,
        (Name::Min, Type::U32) => ReduxOp::MinU,
        (Name::Min, Type::S32) => ReduxOp::MinS,
        (Name::Max, Type::U32) => ReduxOp::MaxU,
        (Name::Max, Type::S32) => ReduxOp::MaxS,
        (Name::And, Type::B32) => ReduxOp::And,
        (Name::Or, Type::B32) => ReduxOp::Or,
        (Name::Xor, Type::B32) => ReduxOp::Xor,
        _ => return Err("redux of this type".into()),
    };
    let [d, a, members] = take(operands)?;
    let a = b.source(a, Type::B32, Width::W32)?;
    let members = members_operand(b, members)?;
    let d = b.destination(d, Width::W32)?;
    b.emit(Op::Redux { op, d, a, members });
    Ok(())
}
