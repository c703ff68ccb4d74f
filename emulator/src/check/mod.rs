//! What can be checked while kernels run, and what of it is on.
//!
//! A checker never changes what a kernel computes and never fails a launch: what it sees becomes a *finding*
//! ([`crate::report::findings`]). What hardware refuses (an access outside every allocation, a trap) is a fault of the
//! launch whether checks are on or not.

pub(crate) mod leaks;
pub(crate) mod written;

use std::fmt;
use std::str::FromStr;

/// A family of bugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// Accesses outside of allocations, to freed ones, or misaligned.
    Memory,
    /// Values that were never written.
    Initialised,
    /// Accesses that nothing orders.
    Races,
    /// Barriers that not all of their threads reach.
    Barriers,
    /// What a program never gives back.
    Leaks,
}

impl Check {
    /// Every check, in the order of reports.
    pub const ALL: [Check; 5] = [Check::Memory, Check::Initialised, Check::Races, Check::Barriers, Check::Leaks];

    /// The word that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Check::Memory => "memory",
            Check::Initialised => "initialised",
            Check::Races => "races",
            Check::Barriers => "barriers",
            Check::Leaks => "leaks",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The checks that are on. `CUDA_EMULATOR_CHECK` writes them as words: `all`, `none`, `initialised,races`.
///
/// Memory and barriers cost nothing: the executor refuses those bugs in any case, all but barriers of a warp that some of
/// the lanes they name never reach because they leave the kernel, on which hardware goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    pub memory: bool,
    pub initialised: bool,
    pub races: bool,
    pub barriers: bool,
    pub leaks: bool,
}

impl Checks {
    /// No check.
    pub const NONE: Checks = Checks { memory: false, initialised: false, races: false, barriers: false, leaks: false };
    /// Every check.
    pub const ALL: Checks = Checks { memory: true, initialised: true, races: true, barriers: true, leaks: true };

    fn switch(&mut self, check: Check) -> &mut bool {
        match check {
            Check::Memory => &mut self.memory,
            Check::Initialised => &mut self.initialised,
            Check::Races => &mut self.races,
            Check::Barriers => &mut self.barriers,
            Check::Leaks => &mut self.leaks,
        }
    }

    /// Whether a check is on that looks at every instruction.
    pub fn watch_instructions(&self) -> bool {
        self.initialised || self.races
    }
}

impl FromStr for Checks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut checks = Checks::NONE;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match (word, Check::ALL.into_iter().find(|check| check.name() == word)) {
                ("all", _) => checks = Checks::ALL,
                ("none", _) => checks = Checks::NONE,
                (_, Some(check)) => *checks.switch(check) = true,
                (_, None) => {
                    let known = Check::ALL.map(Check::name).join(", ");
                    return Err(format!("{word:?} is no check; there are {known}, all and none"));
                }
            }
        }
        Ok(checks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_written_as_words() {
        assert_eq!("all".parse(), Ok(Checks::ALL));
        assert_eq!("none".parse(), Ok(Checks::NONE));
        assert_eq!("".parse(), Ok(Checks::NONE));
        assert_eq!("races, leaks".parse(), Ok(Checks { races: true, leaks: true, ..Checks::NONE }));
        assert!("race".parse::<Checks>().is_err());
        for check in Check::ALL {
            let mut checks: Checks = check.name().parse().unwrap();
            assert!(std::mem::take(checks.switch(check)), "{check}");
            assert_eq!(checks, Checks::NONE, "{check} switches one check on");
        }
    }
}
