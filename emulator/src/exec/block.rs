//! A thread block: its storage, its barriers, and the turns of its warps.

use super::grid::Grid;
use super::interpret::{self, Machine, Stop};
use super::lanes::{FULL, File, NAN_SLOT, Slot};
use super::memory::{Fault, Hit, View};
use super::observe::Observer;
use super::warp::{Fragment, State, Warp};
use crate::check::Check;
use crate::isa::{BarrierKind, Op};
use crate::report::{Class, Fault as Kind, Report};

/// Number of a block's barriers.
const BARRIERS: usize = 16;
/// Shared memory starts as this: NaN in fp16 and fp32.
const SHARED_PATTERN: u32 = 0x7fff_7fff;

/// Arrivals at a barrier that did not wait (`bar.arrive`).
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    threads: u32,
    count: u32,
}

/// Room that a thread of the host uses for one block after the other.
#[derive(Default)]
pub(super) struct Scratch {
    /// For each instruction its last access to global memory.
    pub hits: Vec<Hit>,
    pub fragments: super::matrix::Fragments,
}

/// How far a block came in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Finished,
    /// Its turn is over.
    Paused,
}

/// The state of one block, kept between its turns and used again for other blocks.
pub(super) struct Block<O> {
    pub index: [u32; 3],
    observer: O,
    registers: Vec<Slot>,
    predicates: Vec<u32>,
    shared: Vec<Slot>,
    local: Vec<u8>,
    warps: Vec<Warp>,
    arrivals: [Arrivals; BARRIERS],
}

impl<O: Observer> Block<O> {
    /// A block without a place yet, watched by `observer`.
    pub(super) fn new(observer: O) -> Self {
        Block {
            index: [0; 3],
            observer,
            registers: Vec::new(),
            predicates: Vec::new(),
            shared: Vec::new(),
            local: Vec::new(),
            warps: Vec::new(),
            arrivals: Default::default(),
        }
    }

    /// Prepares the storage for block `index`: everything that a program could read unwritten is a NaN pattern.
    pub(super) fn start(&mut self, grid: &Grid, index: [u32; 3]) {
        let (program, warps) = (grid.program, grid.warps());
        self.index = index;
        self.registers.resize(warps * program.slots as usize, NAN_SLOT);
        self.predicates.clear();
        self.predicates.resize(warps * program.predicates as usize, 0);
        self.shared.clear();
        self.shared.resize(grid.shared_bytes.div_ceil(size_of::<Slot>()), Slot([SHARED_PATTERN; 32]));
        self.local.clear();
        self.local.resize(warps * 32 * program.local_bytes as usize, 0xff);
        self.arrivals = Default::default();
        self.warps.resize_with(warps, Warp::default);
        for (number, warp) in self.warps.iter_mut().enumerate() {
            warp.start(grid.warp_mask(number));
            self.predicates[number * program.predicates as usize] = FULL;
            let file = &mut self.registers[number * program.slots as usize..];
            program.uninitialised.iter().for_each(|slot| file[*slot as usize] = NAN_SLOT);
        }
        self.observer.block_started(grid, index);
    }

    /// Runs until every warp has left the kernel or `turns` rounds of all warps are over.
    pub(super) fn run(&mut self, grid: &Grid, scratch: &mut Scratch, turns: u32) -> Result<Progress, Box<Report>> {
        for _ in 0..turns {
            let mut ran = false;
            for &number in &grid.warp_order {
                if self.warps[number as usize].has_runnable() {
                    self.run_warp(grid, scratch, number as usize)?;
                    ran = true;
                }
            }
            if self.warps.iter().all(|warp| warp.live == 0) {
                self.observer.block_finished(grid);
                return Ok(Progress::Finished);
            }
            if !self.release_barriers(grid)? && !ran {
                return Err(self.deadlock(grid));
            }
        }
        Ok(Progress::Paused)
    }

    /// Runs the fragments of one warp until none can run or one has used up its turn.
    fn run_warp(&mut self, grid: &Grid, scratch: &mut Scratch, number: usize) -> Result<(), Box<Report>> {
        let program = grid.program;
        let (slots, predicates) = (program.slots as usize, program.predicates as usize);
        let local_bytes = program.local_bytes as usize;
        // SAFETY: the storage is this warp's own and was sized for the program.
        let file = unsafe {
            File::new(
                program,
                &mut self.registers[number * slots..][..slots],
                &grid.bank,
                &mut self.predicates[number * predicates..][..predicates],
            )
        };
        let mut machine = Machine {
            grid,
            file,
            view: View {
                global: grid.memory,
                shared: &mut self.shared.as_flattened_bytes()[..grid.shared_bytes],
                local: &mut self.local[number * 32 * local_bytes..][..32 * local_bytes],
                local_bytes,
                parameters: &grid.launch.parameters,
                hits: &mut scratch.hits,
                position: 0,
            },
            block: self.index,
            number,
            fragments: &mut scratch.fragments,
        };
        while let Some(fragment) = self.warps[number].next() {
            match interpret::run(&mut machine, &mut self.warps[number], fragment, &mut self.observer) {
                Ok(Stop::Ended) => {}
                Ok(Stop::Paused(fragment)) => {
                    self.warps[number].release_waiting(fragment.parent);
                    self.warps[number].fragments.push_back(fragment);
                    return Ok(());
                }
                Ok(Stop::Waiting(fragment)) => self.warps[number].fragments.push_back(fragment),
                Ok(Stop::Arrived { id, count, fragment }) => {
                    let arrivals = &mut self.arrivals[id as usize];
                    arrivals.threads += counted_threads(&self.warps[number], &fragment);
                    arrivals.count = count;
                    self.warps[number].fragments.push_back(fragment);
                }
                Err((fault, position)) => return Err(self.report(grid, *fault, position, number)),
            }
        }
        Ok(())
    }

    /// Completes the barriers that all their threads have reached; whether there were any.
    fn release_barriers(&mut self, grid: &Grid) -> Result<bool, Box<Report>> {
        let mut released = false;
        for id in 0..BARRIERS as u32 {
            let mut waiting = 0;
            let mut wanted = None;
            let mut whole = true;
            for warp in &self.warps {
                let mut here = 0;
                for fragment in &warp.fragments {
                    if let State::AtBarrier { id: other, count } = fragment.state
                        && other == id
                    {
                        here |= fragment.mask;
                        waiting += counted_threads(warp, fragment);
                        wanted = wanted.max(count);
                    }
                }
                whole &= here == warp.live;
            }
            let arrivals = self.arrivals[id as usize];
            let complete = match wanted {
                Some(count) => waiting + arrivals.threads >= count,
                None => whole && waiting > 0,
            };
            if waiting > 0 && complete {
                self.release(grid, id);
                released = true;
            }
        }
        Ok(released)
    }

    /// Lets the threads at barrier `id` go on, with the result of its reduction.
    fn release(&mut self, grid: &Grid, id: u32) {
        self.arrivals[id as usize] = Arrivals::default();
        let program = grid.program;
        let (slots, predicates) = (program.slots as usize, program.predicates as usize);
        let lanes: Vec<u32> = self.warps.iter().map(|warp| warp.waiting_at_barrier(id)).collect();
        self.observer.barrier_released(grid, id, &lanes);
        let (mut votes, mut threads) = (0, 0);
        for deliver in [false, true] {
            for (number, warp) in self.warps.iter_mut().enumerate() {
                // SAFETY: the storage is this warp's own and was sized for the program.
                let mut file = unsafe {
                    File::new(
                        program,
                        &mut self.registers[number * slots..][..slots],
                        &grid.bank,
                        &mut self.predicates[number * predicates..][..predicates],
                    )
                };
                for fragment in &mut warp.fragments {
                    if !matches!(fragment.state, State::AtBarrier { id: other, .. } if other == id) {
                        continue;
                    }
                    let Op::Barrier { kind, .. } = &program.code[fragment.position as usize].op else {
                        continue;
                    };
                    let mask = fragment.mask;
                    match (*kind, deliver) {
                        (
                            BarrierKind::Popc { p, .. } | BarrierKind::And { p, .. } | BarrierKind::Or { p, .. },
                            false,
                        ) => {
                            votes += (file.pred(p) & mask).count_ones();
                            threads += mask.count_ones();
                        }
                        (BarrierKind::Popc { d, .. }, true) => file.set(mask, d, [votes; 32]),
                        (BarrierKind::And { d, .. }, true) => {
                            file.set_pred(mask, d, if votes == threads { FULL } else { 0 });
                        }
                        (BarrierKind::Or { d, .. }, true) => file.set_pred(mask, d, if votes > 0 { FULL } else { 0 }),
                        (BarrierKind::Sync | BarrierKind::Arrive, _) => {}
                    }
                    if deliver {
                        fragment.state = State::Runnable;
                        fragment.position += 1;
                    }
                }
                if deliver && warp.fragments.len() > 1 {
                    warp.merge();
                }
            }
        }
    }

    fn deadlock(&self, grid: &Grid) -> Box<Report> {
        let waits = |warp: &Warp| warp.fragments.front().copied();
        let (number, fragment) = self
            .warps
            .iter()
            .enumerate()
            .find_map(|(number, warp)| waits(warp).map(|fragment| (number, fragment)))
            .unwrap_or((0, Fragment { position: 0, mask: 1, parent: super::warp::NONE, state: State::Runnable }));
        let at_barrier = matches!(fragment.state, State::AtBarrier { .. });
        let what = if at_barrier {
            "a barrier that not all of its threads reach"
        } else {
            "a meeting of lanes that not all of them reach"
        };
        let fault = Fault {
            message: format!("deadlock: threads wait at {what}"),
            lane: Some(fragment.mask.trailing_zeros() as usize),
            kind: Kind::LaunchFailed,
            access: None,
        };
        self.report(grid, fault, fragment.position, number)
    }

    /// Adds the place to a fault.
    fn report(&self, grid: &Grid, fault: Fault, position: u32, number: usize) -> Box<Report> {
        let place = grid.place(self.index, number, fault.lane, position);
        let check = match fault.kind {
            Kind::IllegalAddress | Kind::MisalignedAddress => Some(Check::Memory),
            _ => None,
        };
        let nearby = fault.access.and_then(|(space, address)| grid.nearby(space, address));
        let report = Report::new(Class::KernelBug, fault.message).at(grid.name, place);
        Box::new(Report { fault: Some(fault.kind), check, nearby, ..report })
    }
}

/// Threads that a fragment counts for at a barrier: a whole warp counts in full, exited lanes included.
fn counted_threads(warp: &Warp, fragment: &Fragment) -> u32 {
    if fragment.mask == warp.live { 32 } else { fragment.mask.count_ones() }
}

/// Slots as plain bytes.
trait AsBytes {
    fn as_flattened_bytes(&mut self) -> &mut [u8];
}

impl AsBytes for [Slot] {
    fn as_flattened_bytes(&mut self) -> &mut [u8] {
        // SAFETY: a slot is 128 bytes without padding, and every bit pattern of it is valid.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), size_of_val(self)) }
    }
}
