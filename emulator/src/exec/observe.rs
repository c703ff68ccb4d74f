//! What checkers and profilers see of a running kernel.
//!
//! The interpreter is compiled once for each [`Observer`]: with `()` there is nothing left of it. An observer looks and
//! keeps its own books; it never changes what a kernel computes.

use super::fragment;
use super::grid::Grid;
use super::interpret::Machine;
use super::lanes::{File, Lanes64, lanes_of};
use super::memory::{addresses, lanes_in_window};
use super::warp::Warp;
use super::{LOCAL_WINDOW, PARAMETER_WINDOW, SHARED_WINDOW};
use crate::check::Check;
use crate::isa::{Address, FragmentAccess, Instruction, MbarrierAction, Op, Space};
use crate::report::{Place, Report};

/// Looks at the instructions of one block. All methods do nothing unless an observer has a use for them.
pub(super) trait Observer {
    /// Whether it looks at instructions at all.
    const ACTIVE: bool = true;

    /// The block begins; observers are used for one block after the other.
    #[inline(always)]
    fn block_started(&mut self, _grid: &Grid, _block: [u32; 3]) {}

    /// The guard of an instruction is about to be read for the lanes of `seen.together`; those of `seen.mask`, perhaps
    /// none, pass it.
    #[inline(always)]
    fn guarded(&mut self, _seen: &Seen) {}

    /// An instruction is about to be executed for the lanes of `seen.mask`, at least one. Where lanes wait for each
    /// other (`shfl`, `bar.warp.sync`, `mma`), it is seen once, when all have come. Its addresses may still be wrong.
    #[inline(always)]
    fn instruction(&mut self, _seen: &Seen) {}

    /// Barrier `id` lets threads go on: for each warp the lanes that waited at it.
    #[inline(always)]
    fn barrier_released(&mut self, _grid: &Grid, _id: u32, _lanes: &[u32]) {}

    /// Every thread of the block has left the kernel.
    #[inline(always)]
    fn block_finished(&mut self, _grid: &Grid) {}
}

/// Sees nothing and costs nothing.
impl Observer for () {
    const ACTIVE: bool = false;
}

/// Several observers at once; one that is `None` is off.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn block_started(&mut self, grid: &Grid, block: [u32; 3]) {
        self.0.block_started(grid, block);
        self.1.block_started(grid, block);
    }

    fn guarded(&mut self, seen: &Seen) {
        self.0.guarded(seen);
        self.1.guarded(seen);
    }

    fn instruction(&mut self, seen: &Seen) {
        self.0.instruction(seen);
        self.1.instruction(seen);
    }

    fn barrier_released(&mut self, grid: &Grid, id: u32, lanes: &[u32]) {
        self.0.barrier_released(grid, id, lanes);
        self.1.barrier_released(grid, id, lanes);
    }

    fn block_finished(&mut self, grid: &Grid) {
        self.0.block_finished(grid);
        self.1.block_finished(grid);
    }
}

impl<O: Observer> Observer for Option<O> {
    fn block_started(&mut self, grid: &Grid, block: [u32; 3]) {
        if let Some(observer) = self {
            observer.block_started(grid, block);
        }
    }

    fn guarded(&mut self, seen: &Seen) {
        if let Some(observer) = self {
            observer.guarded(seen);
        }
    }

    fn instruction(&mut self, seen: &Seen) {
        if let Some(observer) = self {
            observer.instruction(seen);
        }
    }

    fn barrier_released(&mut self, grid: &Grid, id: u32, lanes: &[u32]) {
        if let Some(observer) = self {
            observer.barrier_released(grid, id, lanes);
        }
    }

    fn block_finished(&mut self, grid: &Grid) {
        if let Some(observer) = self {
            observer.block_finished(grid);
        }
    }
}

/// An instruction in its place.
pub(super) struct Seen<'a> {
    pub grid: &'a Grid<'a>,
    pub block: [u32; 3],
    /// The warp's number in its block.
    pub number: usize,
    pub warp: &'a Warp,
    pub file: &'a File,
    /// The block's shared memory as the instruction finds it.
    pub shared: &'a [u8],
    /// What of it the system reserves, and where.
    pub reserved: &'a [u8],
    pub reserved_start: u64,
    /// Bytes of a thread's local memory.
    pub local_bytes: usize,
    /// Index of the instruction in the program.
    pub position: u32,
    pub instruction: &'a Instruction,
    /// Lanes that execute it.
    pub mask: u32,
    /// Lanes that run together, those that the guard holds back included.
    pub together: u32,
}

/// What an access does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessKind {
    Read,
    Write,
    Atomic,
}

/// One access to memory by some lanes of a warp.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// Never generic: an instruction with generic addresses has an access for each space that they lead to.
    pub space: Space,
    pub kind: AccessKind,
    /// May meet those of other threads: atomic, volatile, relaxed, acquire or release.
    pub strong: bool,
    pub mask: u32,
    /// Device addresses, or bytes into the block's shared memory, the thread's local memory, the parameters. Only the
    /// lanes of `mask` count.
    pub addresses: Lanes64,
    /// Bytes of each lane.
    pub bytes: u32,
}

impl<'a> Seen<'a> {
    #[inline(always)]
    pub(super) fn of(machine: &'a Machine, warp: &'a Warp, position: u32, mask: u32, together: u32) -> Self {
        Seen {
            grid: machine.grid,
            block: machine.block,
            number: machine.number,
            warp,
            file: &machine.file,
            shared: machine.view.shared,
            reserved: machine.view.reserved,
            reserved_start: machine.view.reserved_start,
            local_bytes: machine.view.local_bytes,
            position,
            instruction: &machine.grid.program.code[position as usize],
            mask,
            together,
        }
    }

    /// What `check` says of `lane` at this instruction.
    pub(super) fn report(&self, check: Check, lane: usize, message: impl Into<String>) -> Report {
        Report::of_check(check, message).at(self.grid.name, self.place(lane))
    }

    /// Where `lane` stands.
    pub(super) fn place(&self, lane: usize) -> Place {
        self.grid.place(self.block, self.number, Some(lane), self.position)
    }

    /// Shows every access that the instruction makes to memory; constants and directly named parameters are none. The
    /// asynchronous copies are shown as if they happened at once: the reads of their sources, then the writes.
    pub(super) fn accesses(&self, mut see: impl FnMut(&Access)) {
        use AccessKind::*;
        let row = |count: u8| self.mask & (u32::MAX >> (32 - 8 * u32::from(count)));
        match &self.instruction.op {
            Op::Load { strong, space, kind, count, address, .. } => {
                let bytes = u32::from(kind.bytes) * u32::from(*count);
                self.access(*space, Read, *strong, self.mask, *address, bytes, &mut see);
            }
            Op::Store { strong, space, kind, count, address, .. } => {
                let bytes = u32::from(kind.bytes) * u32::from(*count);
                self.access(*space, Write, *strong, self.mask, *address, bytes, &mut see);
            }
            Op::Atomic { space, ty, address, .. } => {
                self.access(*space, Atomic, true, self.mask, *address, ty.bytes(), &mut see);
            }
            Op::LoadMatrix { count, address, .. } => {
                self.access(Space::Shared, Read, false, row(*count), *address, 16, &mut see);
            }
            Op::StoreMatrix { count, address, .. } => {
                self.access(Space::Shared, Write, false, row(*count), *address, 16, &mut see);
            }
            Op::LoadFragment(matrix) => self.fragment(matrix, Read, &mut see),
            Op::StoreFragment(matrix) => self.fragment(matrix, Write, &mut see),
            Op::CopyAsync { bytes, to, from, source_bytes } => {
                let read = source_bytes.map(|reg| *self.file.get(reg));
                let whole = lanes_of(self.mask).filter(|lane| read.is_none_or(|read| read[*lane] > 0));
                let whole = whole.fold(0, |mask, lane| mask | 1 << lane);
                if whole != 0 {
                    self.access(Space::Global, Read, false, whole, *from, u32::from(*bytes), &mut see);
                }
                self.access(Space::Shared, Write, false, self.mask, *to, u32::from(*bytes), &mut see);
            }
            Op::Mbarrier(object) => {
                let (kind, strong) = match object.action {
                    MbarrierAction::Init | MbarrierAction::Invalidate => (Write, false),
                    _ => (Atomic, true),
                };
                self.access(object.space, kind, strong, self.mask, object.address, 8, &mut see);
            }
            _ => {}
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn access(
        &self,
        space: Space,
        kind: AccessKind,
        strong: bool,
        mask: u32,
        address: Address,
        bytes: u32,
        see: &mut impl FnMut(&Access),
    ) {
        let access = Access { space, kind, strong, mask, addresses: addresses(self.file, address), bytes };
        self.by_space(access, see);
    }

    /// The accesses of a matrix in registers, element by element or in runs of neighbours.
    fn fragment(&self, matrix: &FragmentAccess, kind: AccessKind, see: &mut impl FnMut(&Access)) {
        fragment::each_access(self.file, matrix, |addresses, bytes| {
            let access = Access { space: matrix.space, kind, strong: false, mask: self.mask, addresses, bytes };
            self.by_space(access, see);
        });
    }

    /// Shows an access, a generic one for each space that its addresses lead to.
    pub(super) fn by_space(&self, access: Access, see: &mut impl FnMut(&Access)) {
        let (space, mask) = (access.space, access.mask);
        if space != Space::Generic {
            return see(&access);
        }
        let mut left = mask;
        for (space, window) in
            [(Space::Shared, SHARED_WINDOW), (Space::Local, LOCAL_WINDOW), (Space::Param, PARAMETER_WINDOW)]
        {
            let inside = lanes_in_window(&access.addresses, window) & mask;
            if inside != 0 {
                let addresses = access.addresses.map(|address| address.wrapping_sub(window));
                see(&Access { space, mask: inside, addresses, ..access.clone() });
                left &= !inside;
            }
        }
        if left != 0 {
            see(&Access { space: Space::Global, mask: left, ..access });
        }
    }
}
