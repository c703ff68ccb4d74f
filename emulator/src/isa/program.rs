//! A kernel as the executor gets it: operations in order, and what they need around them.

use super::{BankEntry, Flow, LaunchSpecial, Op, PredSource, Reg, RegisterSet};

/// An operation with its guard and its place in the PTX text.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub flow: Flow,
    pub op: Op,
    pub guard: PredSource,
    /// Line of the PTX text, counted from 1.
    pub line: u32,
}

impl Instruction {
    pub fn new(op: Op, guard: PredSource, line: u32) -> Self {
        Instruction { flow: op.flow(), op, guard, line }
    }
}

/// A kernel, lowered: slots and predicates are allocated, branch targets are indices into `code`.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub code: Vec<Instruction>,
    /// Slots of a warp's register file.
    pub slots: u32,
    /// Predicates, including the constant one.
    pub predicates: u32,
    /// Bank entries with their first slot.
    pub bank: Vec<(u32, BankEntry)>,
    pub bank_slots: u32,
    /// Slots that may be read before they are written; they start as NaN patterns.
    pub uninitialised: Vec<u32>,
    /// Predicates that may be read before they are written.
    pub uninitialised_predicates: Vec<u32>,
    pub shared_bytes: u32,
    /// The variables of a fixed size in shared memory, for reports.
    pub shared_variables: Vec<SharedVariable>,
    /// First byte of the dynamic shared memory.
    pub dynamic_shared_offset: u32,
    /// Local memory of the kernel's own variables, per thread.
    pub local_bytes: u32,
    /// Whether it needs a stack above them, for the frames of called functions or for `alloca`.
    pub uses_stack: bool,
    /// Whether nothing is called, so that what `alloca` did not take of the stack may not be accessed.
    pub takes_stack_only: bool,
    pub functions: Vec<Function>,
    pub parameter_bytes: u32,
}

impl Program {
    /// Whether it asks where the shared memory lies that the system reserves.
    pub fn uses_reserved_shared(&self) -> bool {
        self.bank.iter().any(|(_, entry)| matches!(entry, BankEntry::Launch(LaunchSpecial::ReservedShared(_))))
    }
}

/// Alignment of every frame on the stack of a thread, in bytes.
pub const FRAME_ALIGNMENT: u32 = 16;

/// A function that [`Op::CallFunction`] calls.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    /// What a pointer to it holds.
    pub address: u64,
    /// Its first operation.
    pub position: u32,
    /// Receives the address of its frame, if anything reads it.
    pub frame: Option<Reg>,
    pub frame_bytes: u32,
    /// The beginning of the frame: returns and parameters, which are the caller's.
    pub area_bytes: u32,
    /// Registers that may be read before they are written.
    pub uninitialised: RegisterSet,
}

/// A variable in the shared memory of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedVariable {
    pub name: String,
    pub offset: u32,
    pub bytes: u32,
}
