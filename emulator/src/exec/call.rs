//! Calls of functions that are not inlined.
//!
//! The lanes that call together become a fragment under a join of its own, which keeps the caller's registers. Lanes that
//! return arrive there; when all have, they go on behind the call with their registers restored. The return address is
//! the join's, so lanes may diverge within a function and still come back together.

use super::half::Lanes;
use super::interpret::Machine;
use super::lanes::{File, Lanes64, NAN_SLOT, lanes_of};
use super::memory::{Checked, Fault};
use super::warp::{Fragment, State, Warp};
use crate::isa::{CallTarget, Function, Pred, PredSource, Reg, RegisterSet};
use crate::report::Fault as Kind;

/// The registers of a caller, to be restored when its lanes return.
#[derive(Debug, Default)]
pub(super) struct Activation {
    singles: Vec<(Reg, Lanes)>,
    pairs: Vec<(Reg, Lanes64)>,
    predicates: Vec<(Pred, u32)>,
}

impl Activation {
    fn keep(&mut self, file: &File, saved: &RegisterSet) {
        self.singles.clear();
        self.singles.extend(saved.singles.iter().map(|reg| (*reg, *file.get(*reg))));
        self.pairs.clear();
        self.pairs.extend(saved.pairs.iter().map(|reg| (*reg, *file.get64(*reg))));
        self.predicates.clear();
        self.predicates.extend(saved.predicates.iter().map(|pred| (*pred, file.pred(PredSource::of(*pred)))));
    }

    pub(super) fn restore(&self, file: &mut File, mask: u32) {
        for (reg, value) in &self.singles {
            file.set(mask, *reg, *value);
        }
        for (reg, value) in &self.pairs {
            file.set64(mask, *reg, *value);
        }
        for (pred, bits) in &self.predicates {
            file.set_pred(mask, *pred, *bits);
        }
    }
}

/// Sends the lanes of `fragment`, which stands behind the call, into the functions that they call. The fragment to go
/// on with.
pub(super) fn enter(
    m: &mut Machine,
    warp: &mut Warp,
    fragment: Fragment,
    target: CallTarget,
    top: Reg,
    saved: &RegisterSet,
) -> Checked<Fragment> {
    let functions = &m.grid.program.functions;
    let groups = match target {
        CallTarget::Function(number) => vec![(fragment.mask, number as usize)],
        CallTarget::Pointer { pointer, area_bytes } => {
            pointed_groups(functions, m.file.get64(pointer), fragment.mask, area_bytes)?
        }
    };
    let outer = match groups.as_slice() {
        [_] => fragment.parent,
        _ => warp.join_for(&fragment, fragment.position),
    };
    let mut first = None;
    for (mask, number) in groups {
        let function = &functions[number];
        let caller = Fragment { mask, parent: outer, ..fragment };
        let join = warp.call_join(&caller, |activation| activation.keep(&m.file, saved));
        let side = Fragment { position: function.position, mask, parent: join, state: State::Runnable };
        begin(m, function, mask, top)?;
        match first {
            None => first = Some(side),
            Some(_) => warp.fragments.push_back(side),
        }
    }
    Ok(first.unwrap_or(fragment))
}

/// Groups of lanes with the same function.
fn pointed_groups(
    functions: &[Function],
    pointers: &[u64; 32],
    mask: u32,
    area_bytes: u32,
) -> Checked<Vec<(u32, usize)>> {
    let mut groups: Vec<(u32, usize)> = Vec::new();
    for lane in lanes_of(mask) {
        let address = pointers[lane];
        if let Some((lanes, _)) = groups.iter_mut().find(|(_, number)| functions[*number].address == address) {
            *lanes |= 1 << lane;
            continue;
        }
        let Some(number) = functions.iter().position(|function| function.address == address) else {
            let what = if address == 0 { "the null pointer".into() } else { format!("{address:#x}") };
            let message = format!("call through {what}, which points to no function with the call's parameters");
            return Err(Fault::new(Some(lane), message));
        };
        let function = &functions[number];
        if function.area_bytes != area_bytes {
            let message = format!("call of {} through a pointer to functions of other parameters", function.name);
            return Err(Fault::new(Some(lane), message));
        }
        groups.push((1 << lane, number));
    }
    Ok(groups)
}

/// Prepares the frame of a function and its registers: everything that it could read unwritten is a NaN pattern.
fn begin(m: &mut Machine, function: &Function, mask: u32, top: Reg) -> Checked<()> {
    let tops = *m.file.get64(top);
    let limit = u64::from(m.grid.stack_end());
    for lane in lanes_of(mask) {
        if tops[lane] + u64::from(function.frame_bytes) > limit {
            let message = format!(
                "stack overflow: the call of {} needs {} bytes on top of {} of the thread's {limit} bytes of local memory \
                 and stack (CU_LIMIT_STACK_SIZE)",
                function.name, function.frame_bytes, tops[lane]
            );
            return Err(Fault::new(Some(lane), message).of(Kind::StackOverflow));
        }
        let (area, frame) = (u64::from(function.area_bytes), u64::from(function.frame_bytes));
        m.view.spoil_local(lane, tops[lane] + area..tops[lane] + frame);
    }
    for reg in &function.uninitialised.singles {
        m.file.set(mask, *reg, NAN_SLOT.0);
    }
    for reg in &function.uninitialised.pairs {
        m.file.set64(mask, *reg, [u64::MAX; 32]);
    }
    if let Some(frame) = function.frame {
        m.file.set64(mask, frame, tops);
    }
    Ok(())
}
