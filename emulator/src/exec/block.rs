//! A thread block: its storage, its barriers, and the turns of its warps.

use super::barrier::{Barriers, waits_at};
use super::grid::Grid;
use super::idleness::Idleness;
use super::interpret::{self, Machine, Stop};
use super::lanes::{FULL, File, Lanes64, NAN_SLOT, Slot, lanes_of};
use super::memory::{Fault, Hit, View, local_storage};
use super::observe::Observer;
use super::random::Random;
use super::warp::{Fragment, State, Warp};
use crate::check::Check;
use crate::isa::{BarrierKind, Op};
use crate::report::{Class, Fault as Kind, Report};

/// Shared memory starts as this: NaN in fp16 and fp32.
const SHARED_PATTERN: u32 = 0x7fff_7fff;

/// Rounds in which a warp uses up its turn before a block lets another have its thread.
const TURNS: u32 = 4;
/// Rounds of all warps before a block lets another have its thread, even if its warps only wait for each other.
const ROUNDS: u32 = 4096;

/// Room that a thread of the host uses for one block after the other.
#[derive(Default)]
pub(super) struct Scratch {
    /// For each instruction its last access to global memory.
    pub hits: Vec<Hit>,
    pub fragments: super::matrix::Fragments,
    pub watch: super::spin::Watch,
}

/// How the turn of a warp ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing of it can run now.
    Done,
    UsedUp,
    /// It only waits for others to write.
    Waits,
}

/// How far a block came in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Finished,
    /// Its turn is over.
    Paused,
    /// Its turn is over, and it did nothing but wait for others to write.
    Waiting,
}

/// The state of one block, kept between its turns and used again for other blocks.
pub(super) struct Block<O> {
    pub index: [u32; 3],
    pub idleness: Idleness,
    observer: O,
    registers: Vec<Slot>,
    predicates: Vec<u32>,
    shared: Vec<Slot>,
    local: Vec<u8>,
    /// Where the local memory of each warp's lanes ends.
    local_ends: Vec<Lanes64>,
    warps: Vec<Warp>,
    barriers: Barriers,
    /// The order of the warps' turns.
    order: Vec<u32>,
    random: Random,
}

impl<O: Observer> Block<O> {
    /// A block without a place yet, watched by `observer`.
    pub(super) fn new(observer: O) -> Self {
        Block {
            index: [0; 3],
            idleness: Idleness::default(),
            observer,
            registers: Vec::new(),
            predicates: Vec::new(),
            shared: Vec::new(),
            local: Vec::new(),
            local_ends: Vec::new(),
            warps: Vec::new(),
            barriers: Barriers::default(),
            order: Vec::new(),
            random: Random::default(),
        }
    }

    /// Prepares the storage for block `index`: everything that a program could read unwritten is a NaN pattern.
    pub(super) fn start(&mut self, grid: &Grid, index: [u32; 3]) {
        let (program, warps) = (grid.program, grid.warps());
        self.index = index;
        self.idleness = Idleness::default();
        self.registers.resize(warps * program.slots as usize, NAN_SLOT);
        self.predicates.clear();
        self.predicates.resize(warps * program.predicates as usize, 0);
        self.shared.clear();
        self.shared.resize(grid.shared_storage().div_ceil(size_of::<Slot>()), Slot([SHARED_PATTERN; 32]));
        // From compute capability 8.0 on cooperative groups find their barriers cleared (`cooperative_groups.h`).
        self.shared.as_flattened_bytes()[grid.reserved_shared.clone()].fill(0);
        self.start_local(grid);
        self.barriers.clear();
        self.random = grid.random(index, warps);
        self.order.clear();
        self.order.extend(0..warps as u32);
        self.warps.resize_with(warps, Warp::default);
        for (number, warp) in self.warps.iter_mut().enumerate() {
            warp.start(grid.warp_mask(number), grid.random(index, number));
            self.predicates[number * program.predicates as usize] = FULL;
            let file = &mut self.registers[number * program.slots as usize..];
            program.uninitialised.iter().for_each(|slot| file[*slot as usize] = NAN_SLOT);
        }
        self.observer.block_started(grid, index);
    }

    /// Fills the variables of the kernel; frames of functions are filled when they are called.
    fn start_local(&mut self, grid: &Grid) {
        let (variables, warp_bytes) = (local_storage(grid.program.local_bytes as usize), grid.local_storage());
        let bytes = grid.warps() * warp_bytes;
        if self.local.len() != bytes {
            // Zeroed memory costs nothing before it is touched, and few threads use their whole stack.
            self.local = vec![0; bytes];
        }
        for storage in self.local.chunks_exact_mut(warp_bytes.max(1)) {
            storage[..variables].fill(0xff);
        }
        self.local_ends.clear();
        self.local_ends.resize(grid.warps(), [grid.local_end() as u64; 32]);
    }

    /// Runs until every warp has left the kernel, or until the block may be waiting for another: its warps have used up
    /// their turns some times, or waited for each other very often.
    pub(super) fn run(&mut self, grid: &Grid, scratch: &mut Scratch) -> Result<Progress, Box<Report>> {
        let (mut turns, acts) = (TURNS, scratch.watch.acts);
        for _ in 0..ROUNDS {
            let (mut ran, mut used_up, mut all_wait) = (false, false, true);
            self.random.shuffle(&mut self.order);
            for place in 0..self.order.len() {
                let number = self.order[place] as usize;
                if self.warps[number].has_runnable() {
                    let turn = self.run_warp(grid, scratch, number)?;
                    used_up |= turn != Turn::Done;
                    all_wait &= turn == Turn::Waits;
                    ran = true;
                }
            }
            if self.warps.iter().all(|warp| warp.live == 0) {
                self.observer.block_finished(grid);
                return Ok(Progress::Finished);
            }
            let released = self.release_barriers(grid)?;
            if !released && !ran {
                return Err(self.deadlock(grid));
            }
            if used_up && grid.timeout.is_some_and(|timeout| grid.started.elapsed() > timeout) {
                let number = self.warps.iter().position(|warp| !warp.fragments.is_empty()).unwrap_or(0);
                let report = self.standstill(grid, number, "the launch timed out");
                return Err(Box::new(report.with_fault(Kind::LaunchTimeout)));
            }
            if used_up && grid.is_stopped() {
                return Err(Box::new(Report::new(Class::KernelBug, "the launch was stopped")));
            }
            turns -= u32::from(used_up);
            if turns == 0 || ran && all_wait && !released {
                break;
            }
        }
        let idle = self.idleness.after_turn(&self.registers, &self.warps, scratch.watch.acts == acts);
        Ok(if idle { Progress::Waiting } else { Progress::Paused })
    }

    /// Runs the fragments of one warp until none can run, a barrier is complete or one has used up its turn.
    fn run_warp(&mut self, grid: &Grid, scratch: &mut Scratch, number: usize) -> Result<Turn, Box<Report>> {
        let program = grid.program;
        let (slots, predicates) = (program.slots as usize, program.predicates as usize);
        let local_storage = grid.local_storage();
        // SAFETY: the storage is this warp's own and was sized for the program.
        let file = unsafe {
            File::new(
                program,
                &mut self.registers[number * slots..][..slots],
                &grid.bank,
                &mut self.predicates[number * predicates..][..predicates],
            )
        };
        let (shared, rest) = self.shared.as_flattened_bytes().split_at_mut(grid.shared_bytes);
        let system = grid.reserved_shared.clone();
        let mut machine = Machine {
            grid,
            file,
            view: View {
                global: grid.memory,
                shared,
                reserved: &mut rest[system.start - grid.shared_bytes..][..system.len()],
                reserved_start: system.start as u64,
                local: &mut self.local[number * local_storage..][..local_storage],
                local_bytes: grid.local_bytes(),
                local_ends: &mut self.local_ends[number],
                parameters: &grid.launch.parameters,
                hits: &mut scratch.hits,
                position: 0,
            },
            block: self.index,
            number,
            fragments: &mut scratch.fragments,
            watch: &mut scratch.watch,
        };
        while let Some(fragment) = self.warps[number].next() {
            match interpret::run(&mut machine, &mut self.warps[number], fragment, &mut self.observer) {
                Ok(Stop::Ended) => {}
                Ok(stop @ (Stop::Paused(fragment) | Stop::Spinning(fragment))) => {
                    self.warps[number].release_waiting(fragment.parent, &mut machine.file);
                    self.warps[number].fragments.push_back(fragment);
                    let waits = matches!(stop, Stop::Spinning(_)) && self.warps[number].runnable() == 1;
                    return Ok(if waits { Turn::Waits } else { Turn::UsedUp });
                }
                Ok(Stop::Waiting(fragment)) => self.warps[number].fragments.push_back(fragment),
                Ok(Stop::Arrived { id, count, mask, fragment }) => {
                    let waits = fragment.state != State::Runnable;
                    let position = if waits { fragment.position } else { fragment.position - 1 };
                    self.warps[number].fragments.push_back(fragment);
                    let lanes = (number, mask);
                    match arrive(&mut self.barriers, &self.warps, id, count, lanes, waits) {
                        Ok(true) => {
                            self.release(grid, id);
                            return Ok(Turn::Done);
                        }
                        Ok(false) => {}
                        Err(message) => {
                            let fault = *Fault::new(Some(mask.trailing_zeros() as usize), message);
                            return Err(self.report(grid, fault, position, number));
                        }
                    }
                }
                Err((fault, position)) => return Err(self.report(grid, *fault, position, number)),
            }
        }
        if !self.warps[number].is_stuck() {
            return Ok(Turn::Done);
        }
        // Lanes that wait for each other without being asked to need not: they may leave the kernel, and nobody waits for
        // lanes that have left. That is how hardware goes on, whether or not the program meant it to.
        let may_part = !grid.strict_barriers && !meets_for_the_block(grid, &self.warps[number]);
        if may_part && self.warps[number].release_joins(&mut machine.file) {
            return Ok(Turn::UsedUp);
        }
        Err(self.stuck_warp(grid, number))
    }

    /// Completes the barriers that all their threads have reached; whether there were any.
    fn release_barriers(&mut self, grid: &Grid) -> Result<bool, Box<Report>> {
        let mut released = false;
        for id in lanes_of(self.barriers.in_use()).map(|id| id as u32) {
            let complete = self.barriers.is_complete(id, &self.warps);
            if complete.map_err(|message| Box::new(Report::new(Class::EmulatorBug, message)))? {
                self.release(grid, id);
                released = true;
            }
        }
        Ok(released)
    }

    /// Lets the threads at barrier `id` go on, with the result of its reduction.
    fn release(&mut self, grid: &Grid, id: u32) {
        self.barriers.reset(id);
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
                    if !waits_at(fragment.state, id) {
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

    /// All warps wait for something that none of them can bring about.
    fn deadlock(&self, grid: &Grid) -> Box<Report> {
        let message = "deadlock: no thread of the block can go on";
        let number = self.warps.iter().position(|warp| !warp.fragments.is_empty()).unwrap_or(0);
        self.standstill(grid, number, message)
    }

    /// All lanes of a warp wait for others of them.
    fn stuck_warp(&self, grid: &Grid, number: usize) -> Box<Report> {
        let message = match meets_for_the_block(grid, &self.warps[number]) {
            true => "divergent barrier: not all lanes of a warp reach the same barrier instruction",
            false => "deadlock: lanes wait for others of their warp that do not come",
        };
        self.standstill(grid, number, message)
    }

    /// A report at the first place where threads of warp `number` stand, with those of all others.
    fn standstill(&self, grid: &Grid, number: usize, message: &str) -> Box<Report> {
        let standings = super::deadlock::standings(grid, &self.warps, &self.barriers);
        let first = self.warps[number].fragments.front();
        let (position, lane) = first.map_or((0, 0), |f| (f.position, f.mask.trailing_zeros() as usize));
        self.report(grid, *Fault::new(Some(lane), format!("{message}{standings}")), position, number)
    }

    /// Adds the place to a fault.
    fn report(&self, grid: &Grid, fault: Fault, position: u32, number: usize) -> Box<Report> {
        let place = grid.place(self.index, number, fault.lane, position);
        let check = match (fault.kind, &grid.program.code[position as usize].op) {
            (Kind::IllegalAddress | Kind::MisalignedAddress, _) => Some(Check::Memory),
            (Kind::LaunchFailed, Op::Barrier { .. }) => Some(Check::Barriers),
            _ => None,
        };
        let nearby = fault.access.and_then(|(space, address)| grid.nearby(space, address));
        let report = Report::new(Class::KernelBug, fault.message).at(grid.name, place);
        Box::new(Report { fault: Some(fault.kind), check, nearby, ..report })
    }
}

/// Whether lanes of a warp wait for others of it to reach a barrier of the block together.
fn meets_for_the_block(grid: &Grid, warp: &Warp) -> bool {
    let at_barrier =
        |fragment: &Fragment| matches!(grid.program.code[fragment.position as usize].op, Op::Barrier { .. });
    warp.fragments.iter().any(at_barrier)
}

/// `lanes` of a warp, named by its number, reach barrier `id`. Whether it is complete, of those that say how many threads
/// they expect; the others are looked at when all warps have had their turn.
fn arrive(
    barriers: &mut Barriers,
    warps: &[Warp],
    id: u32,
    count: Option<u32>,
    lanes: (usize, u32),
    waits: bool,
) -> Result<bool, String> {
    barriers.note(id, count, warps)?;
    if !waits {
        barriers.pass(id, warps, lanes);
    }
    if count.is_some() { barriers.is_complete(id, warps) } else { Ok(false) }
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
