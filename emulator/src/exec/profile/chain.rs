//! How long a block takes alone: the chain of dependent instructions.
//!
//! Within straight-line code the assembler is taken to order instructions as well as their operands allow; at branches,
//! barriers and waits for copies everything before has to be issued. Between two barriers a block takes as long as its
//! longest chain, or as its busiest unit, whichever is more.

use super::plan::Plan;
use crate::device::Rates;
use crate::isa::{Op, Space};
use crate::profile::cost::{PIPES, Pipe};
use crate::profile::counters::Chain;
use std::collections::VecDeque;

/// Schedulers of a multiprocessor; each issues an instruction a clock.
pub(super) const SCHEDULERS: f64 = 4.0;

/// A time in clocks since the block began, and the loads from global memory on the way there.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    clocks: f64,
    loads: f64,
}

impl Moment {
    fn later(self, other: Moment) -> Moment {
        if other.clocks > self.clocks { other } else { self }
    }

    fn after(self, clocks: f64) -> Moment {
        Moment { clocks: self.clocks + clocks, ..self }
    }
}

#[derive(Default)]
struct Warp {
    /// When each register and predicate has its value.
    ready: Vec<Moment>,
    /// When the straight line that is being executed began, and its last instruction so far is issued.
    start: Moment,
    latest: Moment,
    issued: f64,
    /// Ends of the groups of asynchronous copies, and of the copies in no group yet.
    groups: VecDeque<Moment>,
    copying: Moment,
}

impl Warp {
    /// Ends a straight line.
    fn close(&mut self) {
        self.start = self.latest.later(self.start.after(self.issued));
        self.latest = self.start;
        self.issued = 0.0;
    }
}

/// One execution of an instruction by a warp.
pub(super) struct Execution {
    pub warp: usize,
    pub position: usize,
    /// Where its addresses lead, if it has any.
    pub space: Space,
    /// Machine instructions that it becomes.
    pub slots: f64,
    /// Clocks for which it keeps the memory unit.
    pub memory_clocks: f64,
}

/// Follows one block.
pub(super) struct Follower {
    warps: Vec<Warp>,
    /// When all warps last met.
    met: Moment,
    /// Clocks of each unit since then.
    units: [f64; PIPES],
    pub chain: Chain,
}

impl Follower {
    pub(super) fn new(warps: usize, plan: &Plan) -> Follower {
        let warp = || Warp { ready: vec![Moment::default(); plan.operands.count], ..Warp::default() };
        Follower {
            warps: (0..warps).map(|_| warp()).collect(),
            met: Moment::default(),
            units: [0.0; PIPES],
            chain: Chain { blocks: 1, ..Chain::default() },
        }
    }

    /// A warp executes `op`.
    pub(super) fn instruction(&mut self, (plan, rates): (&Plan, &Rates), execution: &Execution, op: &Op) {
        let Execution { warp, position, space, slots, memory_clocks } = *execution;
        let cost = &plan.costs[position];
        self.units[Pipe::Issue as usize] += slots / SCHEDULERS;
        self.units[cost.pipe as usize] += plan.clocks[position] + memory_clocks;
        let warp = &mut self.warps[warp];
        let (reads, writes) = plan.operands.at(position);
        let mut issue = reads.iter().fold(warp.start, |time, &read| time.later(warp.ready[read as usize]));
        match op {
            Op::CopyAsync { .. } => {
                let copied = Moment { clocks: issue.clocks + rates.l2_latency, loads: issue.loads + 1.0 };
                warp.copying = warp.copying.later(copied);
            }
            Op::CopyCommit => {
                let group = std::mem::take(&mut warp.copying);
                warp.groups.push_back(group);
            }
            Op::CopyWait { pending, all } => {
                if *all {
                    warp.groups.push_back(std::mem::take(&mut warp.copying));
                }
                let keep = if *all { 0 } else { *pending as usize };
                while warp.groups.len() > keep {
                    issue = issue.later(warp.groups.pop_front().unwrap_or_default());
                }
            }
            _ => {}
        }
        let result = latency(op, space, rates).map_or(issue.after(f64::from(cost.latency)), |(latency, loads)| {
            Moment { clocks: issue.clocks + latency + memory_clocks, loads: issue.loads + loads }
        });
        writes.iter().for_each(|&write| warp.ready[write as usize] = result);
        warp.latest = warp.latest.later(issue);
        warp.issued += slots;
        if ends_line(op) {
            warp.latest = warp.latest.later(issue.after(f64::from(cost.latency)));
            warp.close();
        }
    }

    /// The warps of `lanes` that are not zero have met at a barrier.
    pub(super) fn met(&mut self, lanes: &[u32]) {
        let waiting = || (0..lanes.len()).filter(|&warp| lanes[warp] != 0);
        let end = waiting().fold(self.met, |time, warp| {
            self.warps[warp].close();
            time.later(self.warps[warp].start)
        });
        let chain = end.clocks - self.met.clocks;
        let busiest = self.units.iter().copied().fold(0.0, f64::max);
        if chain >= busiest {
            self.chain.loads += end.loads - self.met.loads;
        }
        self.chain.clocks += chain.max(busiest);
        self.chain.busy += busiest;
        // While the busiest unit works, what was started before comes nearer.
        self.met = end.after((busiest - chain).max(0.0));
        self.units = [0.0; PIPES];
        for warp in waiting() {
            self.warps[warp].start = self.met;
            self.warps[warp].latest = self.met;
        }
    }

    /// The block ends.
    pub(super) fn finished(&mut self) {
        let all = vec![u32::MAX; self.warps.len()];
        self.met(&all);
    }
}

/// Clocks until the result of a memory access, beyond those of its wavefronts, and the loads from global memory in it.
fn latency(op: &Op, space: Space, rates: &Rates) -> Option<(f64, f64)> {
    match (op, space) {
        (Op::LoadMatrix { .. }, _) | (Op::Load { .. }, Space::Shared) => Some((rates.shared_latency, 0.0)),
        (Op::Load { .. }, Space::Local) => Some((rates.l1_latency, 0.0)),
        (Op::Load { .. }, Space::Global | Space::Generic) => Some((rates.l2_latency, 1.0)),
        (Op::Atomic { .. }, Space::Shared) => Some((2.0 * rates.shared_latency, 0.0)),
        (Op::Atomic { .. }, _) => Some((rates.l2_latency, 0.0)),
        _ => None,
    }
}

fn ends_line(op: &Op) -> bool {
    matches!(
        op,
        Op::Branch { .. }
            | Op::BranchIndexed { .. }
            | Op::Barrier { .. }
            | Op::WarpBarrier { .. }
            | Op::CopyWait { .. }
            | Op::Fence { .. }
            | Op::Call(_)
            | Op::CallFunction { .. }
            | Op::Return
            | Op::Exit
    )
}
