//! A launch: what its blocks share, and the threads of the host that run them.

use super::block::{Block, Progress, Scratch};
use super::control::Control;
use super::half::Lanes;
use super::heap::Heap;
use super::lanes::Slot;
use super::memory::{Hit, local_storage};
use super::mma::Model;
use super::observe::Observer;
use super::printf::Output;
use super::random::Random;
use super::simd::SimdLevel;
use super::{Launch, Limits, Options, SHARED_WINDOW};
use crate::device::{Description, SHARED_BYTES_RESERVED_PER_BLOCK};
use crate::isa::{BankEntry, FRAME_ALIGNMENT, LaunchSpecial, MemoryKind, Program, SharedVariable, Space, Width};
use crate::memory::Memory;
use crate::occupancy::SHARED_ALLOCATION_UNIT;
use crate::report::{Nearby, Place, Report};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Launches since the start of the process.
static LAUNCHES: AtomicU64 = AtomicU64::new(1);

/// What every block of a launch sees.
pub(super) struct Grid<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub program: &'a Program,
    pub launch: &'a Launch,
    pub memory: &'a Memory,
    pub bank: Vec<Slot>,
    /// Thread indices of each warp's lanes: x, y, z.
    pub thread_ids: Vec<[Lanes; 3]>,
    /// Shared memory of the kernel's own in a block, from offset 0 on.
    pub shared_bytes: usize,
    /// Where the shared memory lies that the system reserves in a block. Nothing of it, where the kernel does not ask.
    pub reserved_shared: Range<usize>,
    pub level: SimdLevel,
    pub started: std::time::Instant,
    /// The arithmetic of matrix products, where it is to be the hardware's.
    pub model: Option<Model>,
    /// Blocks that may be started and unfinished at the same time: what the device holds.
    pub resident_blocks: u64,
    /// The device's multiprocessors, and the warps that one of them holds.
    pub multiprocessors: u32,
    pub warps_per_multiprocessor: u32,
    /// Device memory that the driver gives the blocks of a cooperative launch to meet in; 0 for none.
    pub workspace: u64,
    pub heap: Option<&'a Heap>,
    /// Stack of a thread, where the program has functions that are called.
    pub stack_bytes: u32,
    pub output: Output,
    /// A barrier of a warp must be reached by every lane that it names, also where hardware goes on without.
    pub strict_barriers: bool,
    pub timeout: Option<std::time::Duration>,
    /// Where others can end the launch and see whether it only waits.
    pub control: Option<&'a Control>,
    /// Counts launches.
    pub number: u64,
    /// Numbers of the blocks that run; all, unless samples are asked for.
    pub selection: Vec<Range<u64>>,
    seed: u64,
}

impl<'a> Grid<'a> {
    pub(super) fn new(
        (name, text): (&'a str, &'a str),
        program: &'a Program,
        launch: &'a Launch,
        memory: &'a Memory,
        seed: u64,
    ) -> Self {
        let threads: u32 = launch.block.iter().product();
        let warps = threads.div_ceil(32);
        let shared_bytes = (program.dynamic_shared_offset + launch.dynamic_shared_bytes) as usize;
        let mut grid = Grid {
            name,
            text,
            program,
            launch,
            memory,
            bank: Vec::new(),
            thread_ids: (0..warps).map(|warp| thread_ids(launch.block, warp)).collect(),
            shared_bytes,
            reserved_shared: reserved_shared(program, shared_bytes),
            level: SimdLevel::detect(),
            started: std::time::Instant::now(),
            model: None,
            resident_blocks: u64::MAX,
            multiprocessors: 1,
            warps_per_multiprocessor: warps,
            workspace: 0,
            heap: None,
            stack_bytes: Limits::default().stack_bytes,
            output: Output::new(Limits::default().printf_bytes),
            strict_barriers: false,
            timeout: None,
            control: None,
            number: LAUNCHES.fetch_add(1, Ordering::Relaxed),
            selection: std::iter::once(0..launch.grid.iter().map(|side| u64::from(*side)).product()).collect(),
            seed,
        };
        grid.bank = grid.fill_bank();
        grid
    }

    /// The same launch on `device`, which holds `resident_blocks` of its blocks, with what the driver provides.
    pub(super) fn on(
        mut self,
        device: &Description,
        resident_blocks: u64,
        workspace: u64,
        heap: Option<&'a Heap>,
    ) -> Self {
        self.resident_blocks = if self.launch.cooperative { u64::MAX } else { resident_blocks.max(1) };
        self.multiprocessors = device.multiprocessors;
        self.warps_per_multiprocessor = device.threads_per_multiprocessor / 32;
        (self.workspace, self.heap) = (workspace, heap);
        self.bank = self.fill_bank();
        self
    }

    /// The same launch under a control.
    pub(super) fn under(mut self, control: &'a Control) -> Self {
        self.control = Some(control);
        self
    }

    /// Whether nobody needs the launch any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.control.is_some_and(Control::is_stopped)
    }

    /// The choices of the seed for warp `number` of a block; the block's own with the number of its warps.
    pub(super) fn random(&self, block: [u32; 3], number: usize) -> Random {
        Random::new(self.seed, self.block_number(block) * 64 + number as u64)
    }

    /// The number of a block, x fastest.
    pub(super) fn block_number(&self, block: [u32; 3]) -> u64 {
        let [x, y, z] = block.map(u64::from);
        let [width, height, _] = self.launch.grid.map(u64::from);
        (z * height + y) * width + x
    }

    pub(super) fn warps(&self) -> usize {
        self.thread_ids.len()
    }

    /// Local memory of a thread: its variables, its stack, and the parameters of a call that may overflow it.
    pub(super) fn local_bytes(&self) -> usize {
        let areas = self.program.functions.iter().map(|function| function.area_bytes);
        (self.stack_end() + areas.max().unwrap_or(0)) as usize
    }

    /// Where a thread's local memory ends before it takes anything of its stack. Frames of functions are not told apart.
    pub(super) fn local_end(&self) -> usize {
        if self.program.takes_stack_only { self.variables_end() as usize } else { self.local_bytes() }
    }

    /// Where in a thread's local memory its stack begins.
    fn variables_end(&self) -> u32 {
        self.program.local_bytes.next_multiple_of(FRAME_ALIGNMENT).max(FRAME_ALIGNMENT)
    }

    /// Where in a thread's local memory its stack ends. As a driver does, it gives the functions of a kernel what they
    /// need, and where they recurse the limit of the context: several times, because a frame of PTX also has what an
    /// assembler keeps in registers. What `alloca` takes has no such thing.
    pub(super) fn stack_end(&self) -> u32 {
        const FRAME_RATIO: u32 = 4;
        let frames: u32 = self.program.functions.iter().map(|function| function.frame_bytes).sum();
        let ratio = if self.program.takes_stack_only { 1 } else { FRAME_RATIO };
        match self.program.uses_stack {
            true => self.variables_end() + (ratio * self.stack_bytes).max(frames),
            false => self.program.local_bytes.next_multiple_of(FRAME_ALIGNMENT),
        }
    }

    /// Bytes that the local memory of a warp takes.
    pub(super) fn local_storage(&self) -> usize {
        local_storage(self.local_bytes())
    }

    /// The lanes of warp `number` that exist.
    pub(super) fn warp_mask(&self, number: usize) -> u32 {
        let threads: u32 = self.launch.block.iter().product();
        let lanes = (threads - 32 * number as u32).min(32);
        u32::MAX >> (32 - lanes)
    }

    pub(super) fn thread_index(&self, number: usize, lane: usize) -> [u32; 3] {
        self.thread_ids[number].map(|axis| axis[lane & 31])
    }

    /// Where `lane` of warp `number` stands in `block`.
    pub(super) fn place(&self, block: [u32; 3], number: usize, lane: Option<usize>, position: u32) -> Place {
        let line = self.program.code[position as usize].line;
        Place {
            block,
            thread: lane.map(|lane| self.thread_index(number, lane)),
            ptx_line: line,
            instruction: crate::lower::source_line(self.text, line),
            source: crate::ptx::location::source(self.text, line),
        }
    }

    /// The piece of memory nearest to an address.
    pub(super) fn nearby(&self, space: Space, address: u64) -> Option<Nearby> {
        let piece = |what: &str, start: u64, bytes: u64| {
            Some(Nearby { what: what.to_owned(), start, bytes, freed: false, address })
        };
        let program = self.program;
        match space {
            Space::Global => self.memory.nearby(address),
            Space::Shared if self.reserved_shared.contains(&(address as usize)) => {
                let (what, start, bytes) = self.shared_piece(address);
                piece(what, start, bytes)
            }
            Space::Shared if address < SHARED_WINDOW => {
                let dynamic = u64::from(program.dynamic_shared_offset);
                let is_dynamic = self.launch.dynamic_shared_bytes > 0 && address >= dynamic;
                let before = |variable: &&SharedVariable| u64::from(variable.offset) <= address;
                let variable = program.shared_variables.iter().filter(before).max_by_key(|variable| variable.offset);
                match variable {
                    _ if is_dynamic => piece("dynamic shared memory", dynamic, self.launch.dynamic_shared_bytes.into()),
                    Some(SharedVariable { name, offset, bytes }) => {
                        piece(&format!("shared variable {name}"), (*offset).into(), (*bytes).into())
                    }
                    None => piece("shared memory of the block", 0, self.shared_bytes as u64),
                }
            }
            Space::Local => piece("local memory of the thread", 0, program.local_bytes.into()),
            Space::Generic if address < SHARED_WINDOW => self.memory.nearby(address),
            Space::Shared | Space::Param | Space::Generic => None,
        }
    }

    /// Bytes of a block's shared memory, with those that the system reserves.
    pub(super) fn shared_storage(&self) -> usize {
        self.reserved_shared.end
    }

    /// What, with its first byte and its size, a block's shared memory is at `address`.
    pub(super) fn shared_piece(&self, address: u64) -> (&'static str, u64, u64) {
        let Range { start, end } = self.reserved_shared;
        if address < start as u64 || start == end {
            return ("shared memory of the block", 0, self.shared_bytes as u64);
        }
        ("shared memory that the system reserves", start as u64, (end - start) as u64)
    }

    /// Blocks that run.
    fn blocks(&self) -> u64 {
        self.selection.iter().map(|range| range.end - range.start).sum()
    }

    /// The block that is started as number `ticket`.
    fn block_index(&self, ticket: u64) -> [u32; 3] {
        let blocks = self.blocks();
        // Blocks that wait for those before them rely on being started in order, as far as they do not fit together.
        let window = self.resident_blocks.min(blocks);
        let first = ticket / window * window;
        let count = window.min(blocks - first);
        let mut number = if self.seed == 0 { ticket } else { first + permuted(ticket - first, count, self.seed) };
        for range in &self.selection {
            let size = range.end - range.start;
            if number < size {
                number += range.start;
                break;
            }
            number -= size;
        }
        let [x, y, _] = self.launch.grid.map(u64::from);
        [(number % x) as u32, (number / x % y) as u32, (number / (x * y)) as u32]
    }

    fn fill_bank(&self) -> Vec<Slot> {
        let mut bank = vec![Slot([0; 32]); self.program.bank_slots as usize];
        for (first, entry) in &self.program.bank {
            let first = *first as usize;
            match *entry {
                BankEntry::Const32(value) => bank[first] = Slot([value; 32]),
                BankEntry::Const64(value) => broadcast64(&mut bank[first..first + 2], value),
                BankEntry::Param { offset, kind } => {
                    let value = self.parameter(offset as usize, kind);
                    match kind.width {
                        Width::W64 => broadcast64(&mut bank[first..first + 2], value),
                        Width::W32 => bank[first] = Slot([value as u32; 32]),
                        Width::W16 => bank[first] = Slot([value as u32 & 0xffff; 32]),
                    }
                }
                BankEntry::GridNumber => broadcast64(&mut bank[first..first + 2], self.number),
                BankEntry::Launch(special) => bank[first] = Slot([self.special(special); 32]),
            }
        }
        bank
    }

    fn parameter(&self, offset: usize, kind: MemoryKind) -> u64 {
        let mut bytes = [0; 8];
        let size = kind.bytes as usize;
        if let Some(found) = self.launch.parameters.get(offset..offset + size) {
            bytes[..size].copy_from_slice(found);
        }
        let value = u64::from_le_bytes(bytes);
        let unused = 64 - 8 * size as u32;
        if kind.signed { ((value << unused) as i64 >> unused) as u64 } else { value }
    }

    fn special(&self, special: LaunchSpecial) -> u32 {
        match special {
            LaunchSpecial::BlockSize(axis) => self.launch.block[axis as usize],
            LaunchSpecial::GridSize(axis) => self.launch.grid[axis as usize],
            LaunchSpecial::WarpsPerMultiprocessor => self.warps_per_multiprocessor,
            LaunchSpecial::Multiprocessors => self.multiprocessors,
            // Cooperative groups look for the workspace of the grid in two of these (`details/driver_abi.h`).
            LaunchSpecial::Environment(1) => (self.workspace >> 32) as u32,
            LaunchSpecial::Environment(2) => self.workspace as u32,
            LaunchSpecial::Environment(_) => 0,
            LaunchSpecial::GridNumber => self.number as u32,
            LaunchSpecial::DynamicSharedBytes => self.launch.dynamic_shared_bytes,
            LaunchSpecial::TotalSharedBytes => allocated(self.shared_bytes) as u32,
            LaunchSpecial::AggregateSharedBytes => {
                allocated(self.shared_bytes) as u32 + SHARED_BYTES_RESERVED_PER_BLOCK
            }
            LaunchSpecial::ReservedShared(offset) => self.reserved_shared.start as u32 + offset,
        }
    }
}

/// Shared memory as it is given to blocks.
fn allocated(shared_bytes: usize) -> usize {
    shared_bytes.next_multiple_of(SHARED_ALLOCATION_UNIT as usize)
}

/// Where the system's part of a block's shared memory lies: behind the kernel's own, as compute capability 8.6 has been
/// seen to do.
fn reserved_shared(program: &Program, shared_bytes: usize) -> Range<usize> {
    if !program.uses_reserved_shared() {
        return shared_bytes..shared_bytes;
    }
    let start = allocated(shared_bytes);
    start..start + SHARED_BYTES_RESERVED_PER_BLOCK as usize
}

fn thread_ids(block: [u32; 3], warp: u32) -> [Lanes; 3] {
    let mut ids = [[0; 32]; 3];
    for lane in 0..32 {
        let thread = 32 * warp + lane as u32;
        ids[0][lane] = thread % block[0];
        ids[1][lane] = thread / block[0] % block[1];
        ids[2][lane] = thread / (block[0] * block[1]);
    }
    ids
}

fn broadcast64(slots: &mut [Slot], value: u64) {
    let halves = [value as u32, (value >> 32) as u32];
    for (index, word) in slots.iter_mut().flat_map(|slot| &mut slot.0).enumerate() {
        *word = halves[index % 2];
    }
}

/// The place of `ticket` in an order of `0..count` that `seed` chooses.
fn permuted(ticket: u64, count: u64, seed: u64) -> u64 {
    let mix = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut stride = ((mix >> 32) % count) | 1;
    while gcd(stride, count) != 1 {
        stride += 2;
    }
    ((u128::from(ticket) * u128::from(stride) + u128::from(mix % count)) % u128::from(count)) as u64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A launch that is expected to take longer than this gets more threads: starting one costs a good part of it.
const WORTH_A_THREAD: std::time::Duration = std::time::Duration::from_micros(150);

/// How long a launch sleeps whose blocks all wait for the host or for another launch: short against what a host needs
/// to notice anything, long enough to leave it the processor.
const WAITING_PAUSE: std::time::Duration = std::time::Duration::from_micros(20);

/// Blocks that have had a turn. They get the next one after all others have had theirs, in the order of their numbers
/// upwards and downwards in turn: a chain of blocks that wait for their neighbours is then undone in two rounds.
struct Paused<O> {
    /// To get a turn in this round, last first.
    waiting: Vec<(u64, Box<Block<O>>)>,
    /// Had a turn in this round.
    done: Vec<(u64, Box<Block<O>>)>,
    upwards: bool,
}

impl<O> Paused<O> {
    fn pop(&mut self) -> Option<Box<Block<O>>> {
        if self.waiting.is_empty() {
            std::mem::swap(&mut self.waiting, &mut self.done);
            self.upwards = !self.upwards;
            let upwards = self.upwards;
            self.waiting.sort_by_key(|(number, _)| if upwards { u64::MAX - number } else { *number });
        }
        self.waiting.pop().map(|(_, block)| block)
    }
}

/// Blocks still to run, shared by the host's threads.
struct Queue<'g, O> {
    /// Makes the observer of a block's room.
    observer: &'g (dyn Fn() -> O + Sync),
    grid: &'g Grid<'g>,
    next: AtomicU64,
    finished: AtomicU64,
    /// Blocks under way that did nothing but wait in their last turn.
    idle: AtomicU64,
    paused: Mutex<Paused<O>>,
    failed: AtomicBool,
    failure: Mutex<Option<Box<Report>>>,
}

impl<O: Observer> Queue<'_, O> {
    /// A fresh block, or one that paused: fresh ones first, so that blocks that wait for others see them run.
    fn take(&self, spare: &mut Option<Box<Block<O>>>) -> Option<Box<Block<O>>> {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        let started = self.next.load(Ordering::Relaxed);
        if started - self.finished.load(Ordering::Relaxed) < self.grid.resident_blocks {
            let ticket = self.next.fetch_add(1, Ordering::Relaxed);
            if ticket < self.grid.blocks() {
                drop(paused);
                let mut block = spare.take().unwrap_or_else(|| Box::new(Block::new((self.observer)())));
                block.start(self.grid, self.grid.block_index(ticket));
                return Some(block);
            }
            self.next.fetch_sub(1, Ordering::Relaxed);
        }
        paused.pop()
    }

    /// Counts `block` among those that do nothing but wait, or no longer, and leaves the processor to others where all
    /// blocks under way are such.
    fn note(&self, block: &mut Block<O>, idle: bool) {
        if idle != std::mem::replace(&mut block.idleness.counted, idle) {
            match idle {
                true => self.idle.fetch_add(1, Ordering::Relaxed),
                false => self.idle.fetch_sub(1, Ordering::Relaxed),
            };
        }
        let Some(control) = self.grid.control else { return };
        let started = self.next.load(Ordering::Relaxed).min(self.grid.blocks());
        let under_way = started - self.finished.load(Ordering::Relaxed);
        let all = idle && self.idle.load(Ordering::Relaxed) == under_way;
        control.set_waits(all);
        if all {
            std::thread::sleep(WAITING_PAUSE);
        }
    }

    fn pause(&self, block: Box<Block<O>>) {
        let number = self.grid.block_number(block.index);
        self.paused.lock().unwrap_or_else(PoisonError::into_inner).done.push((number, block));
    }

    fn fail(&self, report: Box<Report>) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(report);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Runs blocks until none is left, or for `limit` blocks.
    fn work(&self, limit: u64) {
        let hits = vec![Hit::NONE; self.grid.program.code.len()];
        let mut scratch = Scratch { hits, ..Scratch::default() };
        let mut spare = None;
        for _ in 0..limit {
            let Some(mut block) = self.take(&mut spare) else {
                return;
            };
            if self.failed.load(Ordering::Relaxed) {
                return;
            }
            match block.run(self.grid, &mut scratch) {
                Ok(Progress::Finished) => {
                    self.note(&mut block, false);
                    self.finished.fetch_add(1, Ordering::Relaxed);
                    spare = Some(block);
                }
                Ok(progress) => {
                    self.note(&mut block, progress == Progress::Waiting);
                    self.pause(block);
                }
                Err(report) => return self.fail(report),
            }
        }
    }
}

/// Runs a whole grid; `observer` makes one for every block that is under way at the same time.
pub(super) fn run<O: Observer + Send>(
    grid: &Grid,
    options: Options,
    observer: &(dyn Fn() -> O + Sync),
) -> Result<(), Box<Report>> {
    let queue = Queue {
        observer,
        grid,
        next: AtomicU64::new(0),
        finished: AtomicU64::new(0),
        idle: AtomicU64::new(0),
        paused: Mutex::new(Paused { waiting: Vec::new(), done: Vec::new(), upwards: false }),
        failed: AtomicBool::new(false),
        failure: Mutex::default(),
    };
    let blocks = grid.blocks();
    let helpers = (options.threads.max(1) as u64 - 1).min(blocks - 1);
    if helpers == 0 {
        queue.work(u64::MAX);
    } else {
        queue.work(1);
        let worth = grid.started.elapsed() * u32::try_from(blocks - 1).unwrap_or(u32::MAX) > WORTH_A_THREAD;
        std::thread::scope(|scope| {
            for _ in 0..if worth { helpers } else { 0 } {
                scope.spawn(|| queue.work(u64::MAX));
            }
            queue.work(u64::MAX);
        });
    }
    match queue.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(report) => Err(report),
        None => Ok(()),
    }
}
