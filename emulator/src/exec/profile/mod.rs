//! The observer that counts what a launch does.
//!
//! Every block that is under way has a [`BlockProfile`], which counts for one block after the other and adds up when the
//! launch is over; only the traces of global memory go to the [`Profiler`] block by block, which runs them through the
//! caches a wave at a time.

mod chain;
mod global;
mod merge;
mod plan;
mod shared;

use super::grid::Grid;
use super::lanes::lanes_of;
use super::observe::{Access, AccessKind, Observer, Seen};
use crate::device::Description;
use crate::isa::{Op, Program, Space};
use crate::profile::cache::SECTOR_BYTES;
use crate::profile::cost::{self, Class, Pipe};
use crate::profile::counters::{CacheTraffic, Counters, Traffic};
use chain::{Execution, Follower};
use global::{SecondLevel, Touch};
use merge::Merged;
use plan::Plan;
pub(super) use plan::{Wave, waves};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of so many blocks one is followed for its chain of dependent instructions.
const FOLLOWED: u64 = 8;

/// Counts one launch.
pub(super) struct Profiler<'a> {
    device: &'a Description,
    program: &'a Program,
    plan: Plan,
    waves: &'a [Wave],
    /// Of a block's share of L1.
    l1_bytes: u64,
    totals: Mutex<Counters>,
    pending: Mutex<Pending>,
}

/// Traces of blocks whose wave is not complete yet, or not the next one.
struct Pending {
    waves: BTreeMap<usize, Vec<Vec<Touch>>>,
    next: usize,
    l2: SecondLevel,
    /// Sectors by the weight of their waves.
    traffic: Vec<(CacheTraffic, f64)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Profiler<'a> {
    /// A profiler for a launch of `program` whose blocks have `l1_bytes` of L1 each.
    pub(super) fn new(program: &'a Program, device: &'a Description, waves: &'a [Wave], l1_bytes: u64) -> Self {
        let pending = Pending {
            waves: BTreeMap::new(),
            next: 0,
            l2: SecondLevel::new(device.rates.l2_effective_bytes),
            traffic: Vec::new(),
        };
        Profiler {
            device,
            program,
            plan: Plan::of(program, &device.rates),
            waves,
            l1_bytes,
            totals: Mutex::default(),
            pending: Mutex::new(pending),
        }
    }

    pub(super) fn observer(&self) -> BlockProfile<'_> {
        BlockProfile {
            profiler: self,
            executed: vec![Executed::default(); self.plan.costs.len()],
            counters: Counters::default(),
            wave: 0,
            warps: Vec::new(),
            merging: false,
            absorbed: 0,
            follower: None,
        }
    }

    /// The counts of the launch, once all observers are gone: those of the blocks that ran, but cache traffic of the
    /// whole grid.
    pub(super) fn counters(self) -> Counters {
        let mut counters = self.totals.into_inner().unwrap_or_else(PoisonError::into_inner);
        let pending = self.pending.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ran: f64 = self.waves.iter().map(Wave::size).sum();
        let whole: f64 = self.waves.iter().map(|wave| wave.size() * wave.weight).sum();
        counters.cache = counters.cache.scaled(whole / ran);
        for (traffic, weight) in &pending.traffic {
            counters.cache.add(&traffic.scaled(*weight));
        }
        // What was written last is still in L2 when the kernel ends.
        let held = self.device.rates.l2_effective_bytes / SECTOR_BYTES;
        counters.cache.dram_written_sectors = counters.cache.dram_written_sectors.saturating_sub(held);
        counters.footprint = pending.l2.footprint();
        counters
    }

    /// A block of wave `index` is done.
    fn add_trace(&self, index: usize, trace: Vec<Touch>) {
        let mut pending = lock(&self.pending);
        pending.waves.entry(index).or_default().push(trace);
        loop {
            let next = pending.next;
            let Some(wave) = self.waves.get(next) else { return };
            let whole = (wave.blocks.end - wave.blocks.start) as usize;
            if pending.waves.get(&next).is_none_or(|traces| traces.len() < whole) {
                return;
            }
            let traces = pending.waves.remove(&next).unwrap_or_default();
            let traffic = pending.l2.run(traces);
            pending.traffic.push((traffic, wave.weight));
            pending.next += 1;
        }
    }
}

/// Executions of one instruction.
#[derive(Clone, Copy, Default)]
struct Executed {
    warps: u64,
    threads: u64,
}

#[derive(Default)]
struct WarpTrace {
    /// Instructions executed.
    time: u32,
    touches: Vec<Touch>,
}

/// Counts the blocks of one room.
pub(super) struct BlockProfile<'a> {
    profiler: &'a Profiler<'a>,
    executed: Vec<Executed>,
    counters: Counters,
    /// Of the block.
    wave: usize,
    warps: Vec<WarpTrace>,
    /// Whether the wider load was aligned whose first part was executed last; its other parts follow at once.
    merging: bool,
    /// Loads that were parts of wider ones.
    absorbed: u64,
    follower: Option<Box<Follower>>,
}

impl Observer for BlockProfile<'_> {
    fn block_started(&mut self, grid: &Grid, block: [u32; 3]) {
        let [x, y, z] = block.map(u64::from);
        let [columns, rows, _] = grid.launch.grid.map(u64::from);
        let number = x + columns * (y + rows * z);
        let waves = self.profiler.waves;
        self.wave = waves.partition_point(|wave| wave.blocks.end <= number).min(waves.len() - 1);
        self.warps.clear();
        self.warps.resize_with(grid.warps(), WarpTrace::default);
        let follows = (number - waves[self.wave].blocks.start).is_multiple_of(FOLLOWED);
        self.follower = follows.then(|| Box::new(Follower::new(grid.warps(), &self.profiler.plan)));
    }

    fn instruction(&mut self, seen: &Seen) {
        let position = seen.position as usize;
        let executed = &mut self.executed[position];
        executed.warps += 1;
        executed.threads += u64::from(seen.mask.count_ones());
        self.warps[seen.number].time += 1;
        let (mut clocks, mut space, absorbed) = (0.0, Space::Generic, self.absorbed);
        match self.profiler.plan.costs[position].class {
            Class::Global | Class::Shared | Class::Local | Class::Atomic => {
                seen.accesses(|access| {
                    let own_clocks = self.access(seen, access);
                    clocks += own_clocks;
                    space = access.space;
                });
            }
            Class::Warp if matches!(seen.instruction.op, Op::Shuffle { .. }) => {
                clocks = 1.0;
                self.counters.unit_clocks[Pipe::Memory as usize] += 1.0;
            }
            Class::Control if matches!(seen.instruction.op, Op::Branch { .. } | Op::BranchIndexed { .. }) => {
                self.counters.control.divergent_branches += u64::from(seen.mask != seen.together);
            }
            _ => {}
        }
        if let Some(follower) = &mut self.follower {
            let known = (&self.profiler.plan, &self.profiler.device.rates);
            let slots =
                if self.absorbed > absorbed { 0.0 } else { f64::from(self.profiler.plan.costs[position].slots) };
            let execution = Execution { warp: seen.number, position, space, slots, memory_clocks: clocks };
            follower.instruction(known, &execution, &seen.instruction.op);
        }
    }

    /// Counts instructions that every lane's guard holds back; the others are seen when they are executed.
    fn guarded(&mut self, seen: &Seen) {
        if seen.mask != 0 {
            return;
        }
        let position = seen.position as usize;
        self.executed[position].warps += 1;
        self.warps[seen.number].time += 1;
        if let Some(follower) = &mut self.follower {
            let known = (&self.profiler.plan, &self.profiler.device.rates);
            let slots = f64::from(self.profiler.plan.costs[position].slots);
            let execution = Execution { warp: seen.number, position, space: Space::Param, slots, memory_clocks: 0.0 };
            follower.instruction(known, &execution, &seen.instruction.op);
        }
    }

    fn barrier_released(&mut self, _grid: &Grid, _id: u32, lanes: &[u32]) {
        if let Some(follower) = &mut self.follower {
            follower.met(lanes);
        }
    }

    fn block_finished(&mut self, _grid: &Grid) {
        let traces = self.warps.iter_mut().map(|warp| std::mem::take(&mut warp.touches));
        let trace = global::behind_l1(traces, self.profiler.l1_bytes, &mut self.counters.cache);
        self.profiler.add_trace(self.wave, trace);
        if let Some(mut follower) = self.follower.take() {
            follower.finished();
            self.counters.chain.blocks += follower.chain.blocks;
            self.counters.chain.clocks += follower.chain.clocks;
            self.counters.chain.busy += follower.chain.busy;
            self.counters.chain.loads += follower.chain.loads;
        }
    }
}

impl BlockProfile<'_> {
    /// Counts an access; clocks that it keeps the memory unit.
    fn access(&mut self, seen: &Seen, access: &Access) -> f64 {
        let bytes = u64::from(access.mask.count_ones() * access.bytes);
        let clocks = match access.space {
            Space::Shared => self.shared_access(seen, access, bytes),
            Space::Global | Space::Generic => self.global_access(seen, access, bytes),
            Space::Local => {
                let sectors = global::local_sectors(access);
                add_request(&mut self.counters.local, access.kind, bytes, sectors, sectors.div_ceil(4));
                sectors.div_ceil(4) as f64
            }
            Space::Param => 0.0,
        };
        self.counters.unit_clocks[Pipe::Memory as usize] += clocks;
        clocks
    }

    fn shared_access(&mut self, seen: &Seen, access: &Access, bytes: u64) -> f64 {
        let (mut wavefronts, best) = shared::wavefronts(access);
        let shared = &mut self.counters.shared;
        if let Op::Atomic { ty, .. } = &seen.instruction.op {
            wavefronts *= cost::atomic_passes(*ty);
        }
        match access.kind {
            AccessKind::Read => {
                shared.read_requests += 1;
                shared.read_bytes += bytes;
            }
            AccessKind::Write => {
                shared.write_requests += 1;
                shared.written_bytes += bytes;
            }
            AccessKind::Atomic => shared.atomic_requests += 1,
        }
        shared.wavefronts += wavefronts;
        shared.conflict_free_wavefronts += best;
        shared.conflicts += u64::from(wavefronts > best);
        match self.profiler.plan.merged[seen.position as usize] {
            Some(merged) => self.merged_load(seen.position, access, &merged).unwrap_or(wavefronts as f64),
            None => wavefronts as f64,
        }
    }

    /// Clocks of a load that may be part of a wider one, if it is.
    fn merged_load(&mut self, position: u32, access: &Access, merged: &Merged) -> Option<f64> {
        if position == merged.leader {
            let wide = Access {
                addresses: access.addresses.map(|address| address.wrapping_sub(u64::from(merged.offset))),
                bytes: merged.bytes,
                ..access.clone()
            };
            let aligned = |lane: usize| wide.addresses[lane].is_multiple_of(wide.bytes.into());
            self.merging = lanes_of(access.mask).all(aligned);
            return self.merging.then(|| shared::wavefronts(&wide).0 as f64);
        }
        self.absorbed += u64::from(self.merging);
        self.merging.then_some(0.0)
    }

    fn global_access(&mut self, seen: &Seen, access: &Access, bytes: u64) -> f64 {
        let (mut lines, mut sectors) = (0, 0);
        // Copies of 16 bytes are made past L1 (`cp.async.cg`), strong accesses have to be.
        let copy = matches!(seen.instruction.op, Op::CopyAsync { bytes: 16, .. });
        let bypass = copy || access.strong;
        let warp = &mut self.warps[seen.number];
        global::lines(access, |touched| {
            lines += 1;
            sectors += u64::from(touched.sectors.count_ones());
            let (line, time) = (touched.line, warp.time);
            warp.touches.push(Touch { line, time, sectors: touched.sectors, kind: access.kind, bypass });
        });
        add_request(&mut self.counters.global, access.kind, bytes, sectors, lines);
        (lines as f64).max(1.0 / self.profiler.device.rates.l1_requests_per_clock)
    }
}

fn add_request(traffic: &mut Traffic, kind: AccessKind, bytes: u64, sectors: u64, lines: u64) {
    let (requests, all_bytes, all_sectors) = match kind {
        AccessKind::Read => (&mut traffic.read_requests, &mut traffic.read_bytes, &mut traffic.read_sectors),
        AccessKind::Write => (&mut traffic.write_requests, &mut traffic.written_bytes, &mut traffic.written_sectors),
        AccessKind::Atomic => (&mut traffic.atomic_requests, &mut traffic.atomic_bytes, &mut traffic.atomic_sectors),
    };
    *requests += 1;
    *all_bytes += bytes;
    *all_sectors += sectors;
    traffic.lines += lines;
}

/// Adds what was counted to the launch, when the room is torn down.
impl Drop for BlockProfile<'_> {
    fn drop(&mut self) {
        let counters = &mut self.counters;
        let plan = &self.profiler.plan;
        for ((executed, cost), clocks) in self.executed.iter().zip(&plan.costs).zip(&plan.clocks) {
            let warps = executed.warps as f64;
            counters.warp_instructions[cost.class as usize] += executed.warps;
            counters.thread_instructions[cost.class as usize] += executed.threads;
            counters.machine_instructions += f64::from(cost.slots) * warps;
            counters.unit_clocks[cost.pipe as usize] += clocks * warps;
        }
        for (executed, instruction) in self.executed.iter().zip(&self.profiler.program.code) {
            match &instruction.op {
                Op::Mma(mma) => {
                    let products = counters.matrix.entry(cost::shape_name(mma.shape).to_owned()).or_default();
                    products.operations += executed.warps;
                    products.macs += executed.warps * u64::from(cost::macs(mma.shape));
                }
                Op::MatrixProduct(product) => {
                    let products = counters.matrix.entry(cost::product_name(product)).or_default();
                    products.operations += executed.warps;
                    products.macs += executed.warps * u64::from(cost::of(&instruction.op).macs);
                }
                Op::Branch { .. } | Op::BranchIndexed { .. } => counters.control.branches += executed.warps,
                Op::Barrier { .. } => counters.control.barriers += executed.warps,
                _ => {}
            }
        }
        counters.machine_instructions -= self.absorbed as f64;
        counters.unit_clocks[Pipe::Issue as usize] = counters.machine_instructions / chain::SCHEDULERS;
        lock(&self.profiler.totals).add(counters);
    }
}
