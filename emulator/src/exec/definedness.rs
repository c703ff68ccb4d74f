//! Which bits were ever written, and what is done with those that were not.
//!
//! Every register, predicate and byte of memory has a shadow. Undefined bits may be moved about freely: structures have
//! padding, and vectors are loaded past the end of what counts. A value that came from memory which nobody wrote is
//! reported at its first use in arithmetic once its effect leaves the thread (a store, an atomic operation), chooses a
//! way or an address; a register that nobody wrote is reported when it chooses one: compilers compute with undefined
//! registers whose results they throw away. What a shuffle takes from a lane that is not active counts as such memory.

mod memory;
mod plan;
mod propagate;
mod shadow;
#[cfg(test)]
mod tests;

pub(super) use plan::Plans;

use super::grid::Grid;
use super::lanes::{FULL, lanes_of};
use super::mma::sparse::metadata_lanes;
use super::observe::{Observer, Seen};
use crate::check::Check;
use crate::check::written::Written;
use crate::isa::{BarrierKind, CallTarget, MbarrierAction, Op, PredSource, Reg, Space};
use crate::memory::Hint;
use crate::report::{self, Key, Nearby};
use plan::Touch;
use propagate::lanes;
use shadow::{NONE, Origin, Shadow};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// What the blocks of a launch share.
pub(super) struct Watch<'a> {
    plans: &'a Plans,
    /// Loads of undefined memory that were reported, with the PTX lines that the report names.
    reported: Mutex<HashMap<u32, (u32, u32)>>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(plans: &'a Plans) -> Self {
        Watch { plans, reported: Mutex::default() }
    }
}

/// Watches the blocks that share one storage, one after the other.
pub(super) struct Definedness<'a> {
    watch: &'a Watch<'a>,
    warps: Vec<Shadow>,
    shared: Written,
    local: Written,
    /// For each instruction the place of the allocation that it accessed last.
    hints: Vec<Hint>,
}

impl<'a> Definedness<'a> {
    pub(super) fn new(watch: &'a Watch<'a>) -> Self {
        let (shared, local) = (Written::new(0), Written::new(0));
        Definedness { watch, warps: Vec::new(), shared, local, hints: Vec::new() }
    }

    /// Makes the account of local memory as large as the threads' memory is.
    fn fit_local(&mut self, seen: &Seen) {
        let bytes = (self.warps.len() * 32 * seen.local_bytes) as u64;
        if self.local.len() != bytes {
            self.local = Written::new(bytes);
        }
    }
}

impl Observer for Definedness<'_> {
    fn block_started(&mut self, grid: &Grid, _block: [u32; 3]) {
        self.warps.resize_with(grid.warps(), Shadow::default);
        for (number, shadow) in self.warps.iter_mut().enumerate() {
            shadow.start(grid.program, grid.warp_mask(number));
        }
        self.hints.resize(grid.program.code.len(), Hint::default());
        self.local.clear();
        if self.shared.len() == grid.shared_storage() as u64 {
            self.shared.clear();
        } else {
            self.shared = Written::new(grid.shared_storage() as u64);
        }
        let Range { start, end } = grid.reserved_shared;
        if start < end {
            self.shared.fill(start as u64, (end - start) as u64);
        }
    }

    #[inline(always)]
    fn guarded(&mut self, seen: &Seen) {
        if self.warps[seen.number].predicate_count > 0 {
            self.check_guard(seen);
        }
    }

    #[inline(always)]
    fn instruction(&mut self, seen: &Seen) {
        let plan = self.watch.plans.at(seen.position);
        let shadow = &self.warps[seen.number];
        if plan.touch == Touch::Nothing && shadow.count == 0 {
            return;
        }
        self.follow(seen);
    }
}

impl Definedness<'_> {
    #[inline(never)]
    fn follow(&mut self, seen: &Seen) {
        let plan = self.watch.plans.at(seen.position);
        let shadow = &mut self.warps[seen.number];
        let touched = shadow.count > 0 && plan.operands.iter().any(|operand| shadow.touches(*operand));
        if touched {
            self.check_operands(seen);
        }
        match plan.touch {
            Touch::Memory => self.access(seen),
            Touch::Call => self.call_or_return(seen),
            Touch::Nothing | Touch::Lanes if touched => propagate::propagate(&mut self.warps[seen.number], seen, plan),
            Touch::Lanes if seen.mask != FULL => propagate::propagate(&mut self.warps[seen.number], seen, plan),
            Touch::Nothing | Touch::Lanes => {}
        }
    }

    /// Of functions that are called through pointers the registers count as written.
    fn call_or_return(&mut self, seen: &Seen) {
        let shadow = &mut self.warps[seen.number];
        match &seen.instruction.op {
            Op::CallFunction { target, saved, .. } => {
                shadow.call(seen.mask, saved);
                if let CallTarget::Function(number) = target {
                    shadow.enter(seen.mask, &seen.grid.program.functions[*number as usize].uninitialised);
                }
            }
            _ => shadow.leave(seen.mask),
        }
    }

    #[inline(never)]
    fn check_guard(&mut self, seen: &Seen) {
        let guard = seen.instruction.guard.pred;
        let shadow = &self.warps[seen.number];
        let undefined = shadow.predicate(guard) & seen.together;
        if undefined != 0 {
            let what = match seen.instruction.op {
                Op::Branch { .. } | Op::BranchIndexed { .. } | Op::Exit => "decides a branch",
                _ => "decides whether an instruction is executed",
            };
            self.undefined_value(seen, undefined, shadow.predicate_origin(guard), what);
        }
    }

    /// Reports undefined operands that choose a way, an address or who takes part.
    fn check_operands(&mut self, seen: &Seen) {
        let address = "is part of an address";
        match &seen.instruction.op {
            Op::Load { address: at, .. }
            | Op::Store { address: at, .. }
            | Op::Atomic { address: at, .. }
            | Op::LoadMatrix { address: at, .. }
            | Op::StoreMatrix { address: at, .. } => self.check_register(seen, at.base, at.wide, address),
            Op::LoadFragment(access) | Op::StoreFragment(access) => {
                self.check_register(seen, access.address.base, access.address.wide, address);
                self.check_register(seen, access.stride, false, address);
            }
            Op::Mbarrier(object) => {
                self.check_register(seen, object.address.base, object.address.wide, address);
                let wide = object.action == MbarrierAction::Test;
                self.check_register(seen, object.a, wide, "says what to do with a barrier");
            }
            Op::CopyAsync { to, from, source_bytes, .. } => {
                self.check_register(seen, to.base, to.wide, address);
                self.check_register(seen, from.base, from.wide, address);
                if let Some(reg) = source_bytes {
                    self.check_register(seen, *reg, false, "is the size of a copy");
                }
            }
            Op::CallFunction { target: CallTarget::Pointer { pointer, .. }, .. } => {
                self.check_register(seen, *pointer, true, "says which function is called");
            }
            Op::MatrixProduct(product) => {
                if let Some(sparsity) = &product.sparsity {
                    let lanes = metadata_lanes(product.a.fragment, sparsity.selector);
                    self.check_lanes(seen, lanes, sparsity.metadata, "says where the elements of a matrix are");
                }
            }
            Op::StackAllocate { bytes, .. } => {
                self.check_register(seen, *bytes, true, "is the size of memory on the stack");
            }
            Op::StackRestore { b, .. } => self.check_register(seen, *b, true, address),
            Op::BranchIndexed { index, .. } => self.check_register(seen, *index, false, "decides a branch"),
            Op::Barrier { kind, id, count, .. } => {
                for reg in [Some(*id), *count].into_iter().flatten() {
                    self.check_register(seen, reg, false, "says which barrier to wait at");
                }
                match kind {
                    BarrierKind::Popc { p, .. } | BarrierKind::And { p, .. } | BarrierKind::Or { p, .. } => {
                        self.check_predicate(seen, *p, "is reduced by a barrier");
                    }
                    BarrierKind::Sync | BarrierKind::Arrive => {}
                }
            }
            Op::Shuffle { members, .. }
            | Op::Vote { members, .. }
            | Op::Ballot { members, .. }
            | Op::MatchAny { members, .. }
            | Op::MatchAll { members, .. }
            | Op::Redux { members, .. }
            | Op::Elect { members, .. }
            | Op::WarpBarrier { members } => self.check_register(seen, *members, false, "is a member mask"),
            _ => {}
        }
    }

    fn check_register(&mut self, seen: &Seen, reg: Reg, wide: bool, what: &str) {
        let shadow = &self.warps[seen.number];
        if shadow.is_undefined(reg, wide) {
            let bits = shadow.get(reg, wide);
            let undefined = lanes(|lane| bits[lane] != 0) & seen.mask;
            self.undefined_value(seen, undefined, shadow.origin(reg, wide), what);
        }
    }

    /// As [`Self::check_register`] of a 32-bit register, of which only some lanes count.
    fn check_lanes(&mut self, seen: &Seen, counting: u32, reg: Reg, what: &str) {
        let shadow = &self.warps[seen.number];
        let bits = shadow.get(reg, false);
        let undefined = lanes(|lane| bits[lane] != 0) & counting;
        if undefined != 0 {
            self.undefined_value(seen, undefined, shadow.origin(reg, false), what);
        }
    }

    fn check_predicate(&mut self, seen: &Seen, source: PredSource, what: &str) {
        let shadow = &self.warps[seen.number];
        let undefined = shadow.predicate(source.pred) & seen.mask;
        self.undefined_value(seen, undefined, shadow.predicate_origin(source.pred), what);
    }

    /// Reports that the undefined values of some lanes have an effect: `what` says which. A load is reported once.
    fn undefined_value(&self, seen: &Seen, lanes: u32, origin: Origin, what: &str) {
        let Some(lane) = lanes_of(lanes).next() else { return };
        let (check, kernel) = (Check::Initialised, seen.grid.name);
        let line = |position: u32| seen.grid.program.code[position as usize].line;
        let position = if origin.used == NONE { seen.position } else { origin.used };
        if origin.load == NONE {
            let ptx_line = line(seen.position);
            if !report::found_again(&Key { check, kernel, ptx_line, other: None }) {
                let message = format!("a value that was never written {what}");
                report::finding(seen.report(check, lane, message));
            }
            return;
        }
        let mut reported = self.watch.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let known = *reported.entry(origin.load).or_insert((line(position), line(origin.load)));
        if report::found_again(&Key { check, kernel, ptx_line: known.0, other: Some(known.1) }) {
            return;
        }
        let place = seen.grid.place(seen.block, seen.number, Some(lane), position);
        let used = if origin.used == NONE { "" } else { "is computed with, and the result " };
        let message = match origin.inactive {
            Some(lane) => format!("a value that a shuffle took from lane {lane}, which was not active, {used}{what}"),
            None => format!("a value from {} memory that was never written {used}{what}", space_name(origin.space)),
        };
        let mut found = report::Report::of_check(check, message).at(kernel, place);
        found.other = Some(seen.grid.place(seen.block, seen.number, Some(origin.lane.into()), origin.load));
        found.nearby = self.nearby(seen, origin);
        report::finding(found);
    }

    fn nearby(&self, seen: &Seen, origin: Origin) -> Option<Nearby> {
        let (what, start, bytes) = match origin.space {
            Space::Global => return seen.grid.memory.nearby(origin.address),
            Space::Shared => seen.grid.shared_piece(origin.address),
            Space::Local => ("local memory of the thread", 0, seen.local_bytes as u64),
            Space::Param | Space::Generic => return None,
        };
        Some(Nearby { what: what.to_owned(), start, bytes, freed: false, address: origin.address })
    }
}

fn space_name(space: Space) -> &'static str {
    match space {
        Space::Global => "global",
        Space::Shared => "shared",
        Space::Local => "local",
        Space::Param => "parameter",
        Space::Generic => "some",
    }
}
