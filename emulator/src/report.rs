//! What the emulator says when something is wrong: one report, in one of four classes.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::check::Check;
use crate::config;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The kernel did what hardware refuses or leaves undefined.
    KernelBug,
    /// PTX that the emulator does not implement.
    UnsupportedPtx,
    /// PTX that no assembler takes.
    InvalidPtx,
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

/// A place in a running kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub block: [u32; 3],
    pub thread: Option<[u32; 3]>,
    /// Line of the PTX text, counted from 1.
    pub ptx_line: u32,
    /// The instruction's text.
    pub instruction: Option<String>,
    /// File and line of the CUDA source, where the PTX names them (`-lineinfo`).
    pub source: Option<(String, u32)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.block;
        write!(f, "block ({x}, {y}, {z})")?;
        if let Some([x, y, z]) = self.thread {
            write!(f, ", thread ({x}, {y}, {z})")?;
        }
        if let Some((file, line)) = &self.source {
            write!(f, "\n    {file}:{line}")?;
        }
        write!(f, "\n    PTX line {}", self.ptx_line)?;
        if let Some(text) = &self.instruction {
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

/// The piece of memory that an access hit, or the one that it missed least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearby {
    /// What it is: `allocation`, `shared memory of the block`.
    pub what: String,
    /// Address of its first byte, in its own space.
    pub start: u64,
    pub bytes: u64,
    /// Whether it had been freed.
    pub freed: bool,
    /// The address of the access.
    pub address: u64,
}

impl fmt::Display for Nearby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Nearby { what, start, bytes, freed, address } = self;
        let freed = if *freed { "freed " } else { "" };
        let end = start.saturating_add(*bytes);
        if address < start {
            write!(f, "{} bytes before the ", start - address)?;
        } else if *address >= end {
            write!(f, "{} bytes past the end of the ", address - end)?;
        } else {
            write!(f, "byte {} of the ", address - start)?;
        }
        write!(f, "{freed}{what} of {bytes} bytes at {start:#x}")
    }
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
    /// File and line of the CUDA source, where the PTX names them (`-lineinfo`).
    pub source: Option<(String, u32)>,
    /// The family of bugs that it belongs to, where a checker looks for it.
    pub check: Option<Check>,
    /// The other end: of a race the other access, of an undefined value the load that brought it in.
    pub other: Option<Place>,
    /// The memory concerned.
    pub nearby: Option<Nearby>,
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
            source: None,
            check: None,
            other: None,
            nearby: None,
        }
    }

    /// What `check` sees in a kernel.
    pub(crate) fn of_check(check: Check, message: impl Into<String>) -> Self {
        Report { check: Some(check), ..Report::new(Class::KernelBug, message) }
    }

    /// The same report with its place in `kernel`.
    pub(crate) fn at(self, kernel: &str, place: Place) -> Self {
        Report {
            kernel: Some(kernel.to_owned()),
            block: Some(place.block),
            thread: place.thread,
            ptx_line: Some(place.ptx_line),
            instruction: place.instruction,
            source: place.source,
            ..self
        }
    }

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
            Class::InvalidPtx => "invalid PTX",
            Class::BadApiCall => "bad API call",
            Class::EmulatorBug => "emulator bug",
        };
        match self.check {
            Some(check) => write!(f, "{class} ({check}): {}", self.message)?,
            None => write!(f, "{class}: {}", self.message)?,
        }
        if let Some(nearby) = &self.nearby {
            write!(f, "\n  {nearby}")?;
        }
        if let Some(kernel) = &self.kernel {
            write!(f, "\n  kernel {kernel}")?;
        }
        if let Some([x, y, z]) = self.block {
            write!(f, ", block ({x}, {y}, {z})")?;
        }
        if let Some([x, y, z]) = self.thread {
            write!(f, ", thread ({x}, {y}, {z})")?;
        }
        if let Some((file, line)) = &self.source {
            write!(f, "\n  {file}:{line}")?;
        }
        if let Some(line) = self.ptx_line {
            write!(f, "\n  PTX line {line}")?;
        }
        if let Some(text) = &self.instruction {
            write!(f, ": {text}")?;
        }
        if let Some(other) = &self.other {
            write!(f, "\n  against {other}")?;
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

/// Something that a check found, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The first time.
    pub report: Report,
    /// How often the check saw it: the same check at the same instruction of the same kernel.
    pub count: u64,
}

impl Finding {
    fn is(&self, key: &Key) -> bool {
        let report = &self.report;
        report.check == Some(key.check)
            && report.ptx_line == Some(key.ptx_line)
            && report.other.as_ref().map(|other| other.ptx_line) == key.other
            && report.kernel.as_deref() == Some(key.kernel)
    }
}

/// What makes two findings the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub check: Check,
    pub kernel: &'a str,
    pub ptx_line: u32,
    /// PTX line of the other access.
    pub other: Option<u32>,
}

static FINDINGS: Mutex<Vec<Finding>> = Mutex::new(Vec::new());

fn all_findings() -> MutexGuard<'static, Vec<Finding>> {
    FINDINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the checks found since the process began, or since [`clear_findings`].
pub fn findings() -> Vec<Finding> {
    all_findings().clone()
}

/// Forgets all findings.
pub fn clear_findings() {
    all_findings().clear();
}

/// Adds a finding and prints it, unless the configuration is quiet. One that is known already is only counted.
pub(crate) fn finding(report: Report) {
    let known = match (report.check, report.ptx_line, &report.kernel) {
        (Some(check), Some(ptx_line), Some(kernel)) => {
            found_again(&Key { check, kernel, ptx_line, other: report.other.as_ref().map(|other| other.ptx_line) })
        }
        _ => false,
    };
    if known {
        return;
    }
    announce(&report);
    all_findings().push(Finding { report, count: 1 });
}

/// Prints a report, unless the configuration is quiet, and adds it to the file that `CUDA_EMULATOR_REPORT` names.
pub(crate) fn announce(report: &Report) {
    if !config::current().is_ok_and(|config| config.quiet) {
        eprintln!("{report}");
    }
    if let Some(path) = std::env::var_os("CUDA_EMULATOR_REPORT") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{report}")) {
            eprintln!("CUDA_EMULATOR_REPORT: {}: {error}", path.display());
        }
    }
}

/// Counts a finding that is known already; false if it is not. Spares the checker the making of a report.
pub(crate) fn found_again(key: &Key) -> bool {
    let mut findings = all_findings();
    let found = findings.iter_mut().find(|finding| finding.is(key));
    found.map(|finding| finding.count += 1).is_some()
}
