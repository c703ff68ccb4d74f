//! What the emulator says when something is wrong: one report, in one of four classes.

use std::fmt;
use std::sync::Mutex;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The kernel did what hardware refuses or leaves undefined.
    KernelBug,
    /// PTX that the emulator does not implement.
    UnsupportedPtx,
    /// A driver call with arguments that the driver refuses.
    BadApiCall,
    /// The emulator contradicts itself.
    EmulatorBug,
}

/// How the driver tells the host of a kernel bug: the error that the context keeps from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An access outside every allocation, or to a state space that the address does not belong to.
    IllegalAddress,
    /// An access at an address that is no multiple of its size.
    MisalignedAddress,
    /// `trap`, or an instruction with operands that it does not allow.
    IllegalInstruction,
    /// A failed `assert`.
    Assert,
    /// Longer than the launch was given.
    LaunchTimeout,
    /// A call for whose frame the thread's stack has no room.
    StackOverflow,
    /// Any other.
    LaunchFailed,
}

/// One finding, with as much of its place as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub class: Class,
    pub message: String,
    /// Of a kernel bug: the error that the host sees, [`Fault::LaunchFailed`] when absent.
    pub fault: Option<Fault>,
    pub kernel: Option<String>,
    pub block: Option<[u32; 3]>,
    pub thread: Option<[u32; 3]>,
    /// Line of the PTX text, counted from 1.
    pub ptx_line: Option<u32>,
    /// The instruction's text.
    pub instruction: Option<String>,
}

impl Report {
    /// A report of `class` that says `message`; the place is filled in by whoever knows it.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Report {
            class,
            message: message.into(),
            fault: None,
            kernel: None,
            block: None,
            thread: None,
            ptx_line: None,
            instruction: None,
        }
    }
}

impl Report {
    /// The same report of a kernel bug that reaches the host as `fault`.
    pub fn with_fault(self, fault: Fault) -> Self {
        Report { fault: Some(fault), ..self }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::KernelBug => "kernel bug",
            Class::UnsupportedPtx => "unsupported PTX",
            Class::BadApiCall => "bad API call",
            Class::EmulatorBug => "emulator bug",
        };
        write!(f, "{class}: {}", self.message)?;
        if let Some(kernel) = &self.kernel {
            write!(f, "\n  kernel {kernel}")?;
        }
        if let Some([x, y, z]) = self.block {
            write!(f, ", block ({x}, {y}, {z})")?;
        }
        if let Some([x, y, z]) = self.thread {
            write!(f, ", thread ({x}, {y}, {z})")?;
        }
        if let Some(line) = self.ptx_line {
            write!(f, "\n  PTX line {line}")?;
        }
        if let Some(text) = &self.instruction {
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

static LAST: Mutex<Option<Report>> = Mutex::new(None);

/// The newest report: of a kernel that failed, of a module that did not load, of a call that was refused.
pub fn last_report() -> Option<Report> {
    LAST.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
}

/// Makes `report` the newest.
pub(crate) fn remember(report: Report) {
    *LAST.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(report);
}
