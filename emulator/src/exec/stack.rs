//! The part of a thread's stack that its functions take at run time: `alloca`, `stackrestore`.

use super::interpret::Machine;
use super::lanes::lanes_of;
use super::memory::{Checked, Fault};
use crate::isa::{FRAME_ALIGNMENT, Reg};
use crate::report::Fault as Kind;

/// Where `bytes` of a stack begin that is free from `top` on, and what is free then. `None` beyond all addresses.
pub(super) fn extent(top: u64, bytes: u64, alignment: u32) -> Option<(u64, u64)> {
    let start = top.checked_next_multiple_of(alignment.into())?;
    let end = start.checked_add(bytes)?.checked_next_multiple_of(FRAME_ALIGNMENT.into())?;
    Some((start, end))
}

/// `alloca`: the memory is full of NaN, as all fresh memory is.
pub(super) fn allocate(
    m: &mut Machine,
    mask: u32,
    [d, top]: [Reg; 2],
    [a, bytes]: [Reg; 2],
    alignment: u32,
) -> Checked<()> {
    let (tops, sizes) = (*m.file.get64(a), *m.file.get64(bytes));
    let limit = u64::from(m.grid.stack_end());
    let (mut starts, mut ends) = ([0; 32], [0; 32]);
    for lane in lanes_of(mask) {
        let found = extent(tops[lane], sizes[lane], alignment).filter(|(_, end)| *end <= limit);
        let Some((start, end)) = found else {
            let message = format!(
                "stack overflow: alloca of {} bytes, aligned to {alignment}, on top of {} of the thread's {limit} bytes of \
                 local memory and stack (CU_LIMIT_STACK_SIZE)",
                sizes[lane], tops[lane]
            );
            return Err(Fault::new(Some(lane), message).of(Kind::StackOverflow));
        };
        m.view.spoil_local(lane, start..end);
        if m.grid.program.takes_stack_only {
            m.view.local_ends[lane] = end;
        }
        (starts[lane], ends[lane]) = (start, end);
    }
    m.file.set64(mask, d, starts);
    m.file.set64(mask, top, ends);
    Ok(())
}

/// `stackrestore`
pub(super) fn restore(m: &mut Machine, mask: u32, top: Reg, to: Reg) -> Checked<()> {
    let to = *m.file.get64(to);
    let limit = u64::from(m.grid.stack_end());
    let saved = |lane: usize| to[lane] <= limit && to[lane].is_multiple_of(FRAME_ALIGNMENT.into());
    if let Some(lane) = lanes_of(mask).find(|lane| !saved(*lane)) {
        let message = format!("stackrestore to {:#x}, which no stacksave gave", to[lane]);
        return Err(Fault::new(Some(lane), message));
    }
    if m.grid.program.takes_stack_only {
        lanes_of(mask).for_each(|lane| m.view.local_ends[lane] = to[lane]);
    }
    m.file.set64(mask, top, to);
    Ok(())
}
