//! What PTX operations do, one tiny module per family, against values computed here.
//!
//! Element-wise operations come from tables of (instruction, definition); everything that needs more than one
//! instruction is a file of `tests/ptx/`.

mod arithmetic;
mod atomics;
mod calls;
mod control;
mod convert;
mod errors;
mod floats;
mod halves;
mod harness;
mod mbarrier;
mod memory;
mod numerics;
mod products;
mod progress;
mod spellings;
mod stack;
mod tensor;
mod warp;
