//! Loads from shared memory that the assembler makes one of.
//!
//! PTX loads four neighbouring floats with four instructions, because its compiler does not know how they are aligned;
//! the assembler, which places shared memory, does, and loads 8 or 16 bytes at once.

use super::plan::Operands;
use crate::isa::{Op, PredSource, Program, Reg, Space};
use std::collections::{BTreeMap, HashSet};

/// The wider load that an instruction is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merged {
    /// The first instruction of those that become one.
    pub leader: u32,
    /// Bytes from the wider load's address to this instruction's.
    pub offset: u32,
    /// Of the wider load: 8 or 16.
    pub bytes: u32,
}

/// For each instruction the wider load that it is part of, if its address is aligned for that.
pub(super) fn loads(program: &Program, operands: &Operands) -> Vec<Option<Merged>> {
    let targets = targets(program);
    let mut merged = vec![None; program.code.len()];
    // Offsets of the loads in a straight line, by base.
    let mut open: BTreeMap<Reg, BTreeMap<i32, u32>> = BTreeMap::new();
    for (position, instruction) in program.code.iter().enumerate() {
        if targets.contains(&(position as u32)) || ends_line(&instruction.op) {
            std::mem::take(&mut open).into_values().for_each(|loads| join(&loads, &mut merged));
        }
        if let Op::Load { space: Space::Shared, kind, count: 1, address, .. } = &instruction.op
            && kind.bytes == 4
            && instruction.guard == PredSource::TRUE
        {
            open.entry(address.base).or_default().entry(address.offset).or_insert(position as u32);
        }
        for &written in operands.at(position).1 {
            if let Some(loads) = open.remove(&Reg(written)) {
                join(&loads, &mut merged);
            }
        }
    }
    open.into_values().for_each(|loads| join(&loads, &mut merged));
    merged
}

/// Joins loads whose offsets follow each other: fours, then pairs.
fn join(loads: &BTreeMap<i32, u32>, merged: &mut [Option<Merged>]) {
    for bytes in [16, 8] {
        for &first in loads.keys().filter(|&&offset| offset.rem_euclid(bytes) == 0) {
            let parts: Vec<u32> = (first..first + bytes).step_by(4).map_while(|o| loads.get(&o).copied()).collect();
            let free = parts.iter().all(|&part| merged[part as usize].is_none());
            let Some(&leader) = parts.iter().min().filter(|_| free && parts.len() as i32 == bytes / 4) else {
                continue;
            };
            for (index, &part) in parts.iter().enumerate() {
                merged[part as usize] = Some(Merged { leader, offset: 4 * index as u32, bytes: bytes as u32 });
            }
        }
    }
}

fn targets(program: &Program) -> HashSet<u32> {
    let mut found = HashSet::new();
    for instruction in &program.code {
        match &instruction.op {
            Op::Branch { target, reconverge } => found.extend([*target, *reconverge]),
            Op::BranchIndexed { targets, reconverge, .. } => {
                found.extend(targets.iter().copied());
                found.insert(*reconverge);
            }
            _ => {}
        }
    }
    found
}

/// Whether no load moves over the operation.
fn ends_line(op: &Op) -> bool {
    match op {
        Op::Store { space, .. } | Op::Atomic { space, .. } => matches!(space, Space::Shared | Space::Generic),
        Op::StoreMatrix { .. }
        | Op::StoreFragment(_)
        | Op::CopyAsync { .. }
        | Op::CopyWait { .. }
        | Op::Barrier { .. }
        | Op::WarpBarrier { .. }
        | Op::Fence { .. }
        | Op::Call(_)
        | Op::CallFunction { .. }
        | Op::Return
        | Op::Branch { .. }
        | Op::BranchIndexed { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(offsets: &[i32]) -> Vec<Option<(u32, u32, u32)>> {
        let loads = offsets.iter().enumerate().map(|(position, &offset)| (offset, position as u32)).collect();
        let mut merged = vec![None; offsets.len()];
        join(&loads, &mut merged);
        merged.into_iter().map(|part| part.map(|part: Merged| (part.leader, part.offset, part.bytes))).collect()
    }

    #[test]
    fn fours_come_before_pairs_and_the_first_leads() {
        let expected = [Some((0, 4, 16)), Some((0, 0, 16)), Some((0, 8, 16)), Some((0, 12, 16)), None];
        assert_eq!(joined(&[4, 0, 8, 12, 16]), expected);
        assert_eq!(joined(&[8, 12, 16]), [Some((0, 0, 8)), Some((0, 4, 8)), None]);
        assert_eq!(joined(&[4, 8]), [None, None], "not aligned");
        assert_eq!(joined(&[-16, -12]), [Some((0, 0, 8)), Some((0, 4, 8))]);
    }
}
