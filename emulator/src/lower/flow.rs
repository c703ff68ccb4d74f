//! Control flow: basic blocks, and where diverged lanes meet again.

use crate::isa::{Instruction, Op, PredSource};

/// Basic blocks of a program with their successors.
#[derive(Debug)]
pub(super) struct Graph {
    /// First position of each block, and the end of the last one.
    pub starts: Vec<u32>,
    pub successors: Vec<Vec<u32>>,
}

/// Whether lanes can go anywhere but to the next instruction and live, if only to come back.
fn ends_block(instruction: &Instruction) -> bool {
    match instruction.op {
        Op::Branch { .. } | Op::BranchIndexed { .. } | Op::CallFunction { .. } => true,
        Op::Exit | Op::Return | Op::Trap => instruction.guard == PredSource::TRUE,
        _ => false,
    }
}

fn targets(op: &Op) -> &[u32] {
    match op {
        Op::Branch { target, .. } => std::slice::from_ref(target),
        Op::BranchIndexed { targets, .. } => targets,
        _ => &[],
    }
}

impl Graph {
    pub(super) fn of(code: &[Instruction]) -> Graph {
        let mut leader = vec![false; code.len() + 1];
        leader[0] = true;
        leader[code.len()] = true;
        for (position, instruction) in code.iter().enumerate() {
            targets(&instruction.op).iter().for_each(|t| leader[*t as usize] = true);
            leader[position + 1] |= ends_block(instruction);
        }
        let starts: Vec<u32> = (0..=code.len() as u32).filter(|p| leader[*p as usize]).collect();
        let block_at = |position: u32| starts.binary_search(&position).expect("targets are leaders") as u32;
        let successors = starts[1..]
            .iter()
            .map(|end| {
                let last = &code[*end as usize - 1];
                let mut next: Vec<u32> = targets(&last.op).iter().map(|t| block_at(*t)).collect();
                let falls_through = !ends_block(last)
                    || matches!(last.op, Op::CallFunction { .. })
                    || (last.guard != PredSource::TRUE
                        && matches!(last.op, Op::Branch { .. } | Op::BranchIndexed { .. }));
                if falls_through && (*end as usize) < code.len() {
                    next.push(block_at(*end));
                }
                next.sort_unstable();
                next.dedup();
                next
            })
            .collect();
        Graph { starts, successors }
    }

    /// The block that begins at `position`.
    pub(super) fn block_at(&self, position: u32) -> usize {
        self.starts.binary_search(&position).expect("functions begin blocks")
    }

    fn len(&self) -> usize {
        self.successors.len()
    }

    /// Writes into every branch the position where its lanes meet again.
    pub(super) fn set_reconvergence(&self, code: &mut [Instruction]) {
        let meeting = self.meeting_blocks(code);
        for (block, meeting) in meeting.into_iter().enumerate() {
            let last = self.starts[block + 1] as usize - 1;
            if let Op::Branch { reconverge, .. } | Op::BranchIndexed { reconverge, .. } = &mut code[last].op {
                *reconverge = meeting.map_or(u32::MAX, |b| self.starts[b as usize]);
            }
        }
    }

    /// The immediate post-dominator of each block among the paths that do not leave the kernel early.
    fn meeting_blocks(&self, code: &[Instruction]) -> Vec<Option<u32>> {
        let successors = self.without_early_exits(code);
        let exit = self.len();
        let mut predecessors = vec![Vec::new(); exit + 1];
        for (block, next) in successors.iter().enumerate() {
            next.iter().for_each(|n| predecessors[*n as usize].push(block));
            if next.is_empty() {
                predecessors[exit].push(block);
            }
        }
        let order = post_order(exit, &predecessors);
        let mut rank = vec![usize::MAX; exit + 1];
        order.iter().enumerate().for_each(|(index, block)| rank[*block] = index);
        let mut meeting = vec![usize::MAX; exit + 1];
        meeting[exit] = exit;
        let mut changed = true;
        while changed {
            changed = false;
            for &block in order.iter().rev().filter(|b| **b != exit) {
                let next = &successors[block];
                let exits = [exit as u32];
                let next = if next.is_empty() { &exits[..] } else { next };
                let mut reachable = next.iter().map(|n| *n as usize).filter(|n| meeting[*n] != usize::MAX);
                let Some(first) = reachable.next() else {
                    continue;
                };
                let new = reachable.fold(first, |a, b| intersect(a, b, &meeting, &rank));
                changed |= std::mem::replace(&mut meeting[block], new) != new;
            }
        }
        meeting.truncate(exit);
        meeting.into_iter().map(|m| (m < exit).then_some(m as u32)).collect()
    }

    /// Successors, less the branches into tails that only leave the kernel.
    ///
    /// Lanes that return early would otherwise make "the end of the kernel" the place where the others meet, and split
    /// a warp before a barrier that all its living lanes reach.
    fn without_early_exits(&self, code: &[Instruction]) -> Vec<Vec<u32>> {
        let trivial: Vec<bool> = (0..self.len())
            .map(|b| {
                let (start, end) = (self.starts[b] as usize, self.starts[b + 1] as usize);
                end - start == 1 && matches!(code[start].op, Op::Exit | Op::Return | Op::Trap)
            })
            .collect();
        let tail: Vec<Option<Vec<u32>>> = (0..self.len()).map(|b| self.exit_tail(b as u32, code)).collect();
        let mut reduced = self.successors.clone();
        for (block, next) in self.successors.iter().enumerate() {
            let [x, y] = next[..] else {
                continue;
            };
            let drops = |gone: u32, kept: u32| {
                let Some(tail) = &tail[gone as usize] else {
                    return false;
                };
                let apart = || {
                    let reached = self.reachable(kept);
                    tail.iter().all(|t| trivial[*t as usize] || !reached[*t as usize])
                };
                trivial[gone as usize] || apart()
            };
            if drops(x, y) {
                reduced[block] = vec![y];
            } else if drops(y, x) {
                reduced[block] = vec![x];
            }
        }
        self.restore_exits(&mut reduced);
        reduced
    }

    /// Gives back their exits to the blocks that could not end without them: loops that end by leaving the kernel.
    fn restore_exits(&self, reduced: &mut [Vec<u32>]) {
        let mut ends = vec![false; self.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for block in (0..self.len()).rev() {
                let next = &reduced[block];
                if !ends[block] && (next.is_empty() || next.iter().any(|n| ends[*n as usize])) {
                    ends[block] = true;
                    changed = true;
                }
            }
            if !changed && let Some(stuck) = (0..self.len()).find(|b| !ends[*b] && reduced[*b] != self.successors[*b]) {
                reduced[stuck].clone_from(&self.successors[stuck]);
                changed = true;
            }
        }
    }

    /// The blocks from `block` to the end, where that is a short way without choices or waiting.
    fn exit_tail(&self, block: u32, code: &[Instruction]) -> Option<Vec<u32>> {
        const LONGEST: usize = 16;
        let mut tail = Vec::new();
        let mut block = block;
        while tail.len() < LONGEST {
            tail.push(block);
            let range = self.starts[block as usize] as usize..self.starts[block as usize + 1] as usize;
            if code[range]
                .iter()
                .any(|i| matches!(i.op, Op::Barrier { .. } | Op::WarpBarrier { .. } | Op::CallFunction { .. }))
            {
                return None;
            }
            match self.successors[block as usize][..] {
                [] => return Some(tail),
                [next] => block = next,
                _ => return None,
            }
        }
        None
    }

    fn reachable(&self, from: u32) -> Vec<bool> {
        let mut seen = vec![false; self.len()];
        let mut pending = vec![from];
        while let Some(block) = pending.pop() {
            if !std::mem::replace(&mut seen[block as usize], true) {
                pending.extend(&self.successors[block as usize]);
            }
        }
        seen
    }
}

/// Nearest common ancestor in the tree of post-dominators.
fn intersect(mut a: usize, mut b: usize, meeting: &[usize], rank: &[usize]) -> usize {
    while a != b {
        if rank[a] < rank[b] {
            a = meeting[a];
        } else {
            b = meeting[b];
        }
    }
    a
}

/// Post-order of the graph from `root` along `next`.
fn post_order(root: usize, next: &[Vec<usize>]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut seen = vec![false; next.len()];
    let mut stack = vec![(root, 0)];
    seen[root] = true;
    while let Some((node, edge)) = stack.last_mut() {
        match next[*node].get(*edge) {
            Some(&child) => {
                *edge += 1;
                if !std::mem::replace(&mut seen[child], true) {
                    stack.push((child, 0));
                }
            }
            None => {
                order.push(*node);
                stack.pop();
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Pred;

    fn program(ops: Vec<(Op, bool)>) -> Vec<Instruction> {
        let guard = |guarded| if guarded { PredSource::of(Pred(1)) } else { PredSource::TRUE };
        ops.into_iter().map(|(op, guarded)| Instruction::new(op, guard(guarded), 0)).collect()
    }

    fn branch(target: u32) -> Op {
        Op::Branch { target, reconverge: u32::MAX }
    }

    fn reconvergence(code: &mut [Instruction]) -> Vec<u32> {
        Graph::of(code).set_reconvergence(code);
        let point = |i: &Instruction| if let Op::Branch { reconverge, .. } = i.op { Some(reconverge) } else { None };
        code.iter().filter_map(point).collect()
    }

    #[test]
    fn a_diamond_meets_at_its_end() {
        let mut code = program(vec![
            (branch(3), true),
            (Op::CopyCommit, false),
            (branch(4), false),
            (Op::CopyCommit, false),
            (Op::CopyCommit, false),
            (Op::Exit, false),
        ]);
        assert_eq!(reconvergence(&mut code), [4, 4]);
    }

    #[test]
    fn lanes_that_return_early_do_not_move_the_meeting_point() {
        // if (a) { if (b) return; } barrier; return
        let mut code = program(vec![
            (branch(3), true),
            (branch(5), true),
            (Op::CopyCommit, false),
            (Op::WarpBarrier { members: crate::isa::Reg(0) }, false),
            (Op::CopyCommit, false),
            (Op::Exit, false),
        ]);
        assert_eq!(reconvergence(&mut code), [3, 2]);
    }

    #[test]
    fn a_loop_meets_after_itself() {
        let mut code =
            program(vec![(Op::CopyCommit, false), (Op::CopyCommit, false), (branch(1), true), (Op::Exit, false)]);
        assert_eq!(reconvergence(&mut code), [3]);
    }
}
