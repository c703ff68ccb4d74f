//! A corpus of wrong kernels, each with what must be said of it, and its right twin, of which nothing may be said.
//!
//! Every `bugs/NAME.cu` has the kernels `wrong` and `right`; `bugs/make.py` compiles it to `bugs/NAME.ptx`. Comments at
//! its head say how they are launched and what is expected of `wrong`, under all checks:
//!
//! ```text
//! // launch: grid 2,1,1 block 64 shared 1024          (default: grid 1 block 32 shared 0)
//! // arguments: in 256, fresh 256, u32 64             (one a parameter, in order; sizes in bytes)
//! // checks: races                                 (the checks that are on; default: all)
//! // expect: races line 17 block 0 thread 1 other 19 says shared memory
//! ```
//!
//! Arguments: `in` is memory that the host filled with the words 0, 1, 2, ...; `zero` memory that it cleared; `fresh`
//! memory that nobody wrote; `freed` memory that was released before the launch; `u32` a number.
//!
//! An expectation names the check, the line of the `.cu` file, and whatever of the rest is certain: block and thread,
//! the line of the other access, and, last, words of the report. There is one for every report; where several lines
//! expect something, the reports may come in any order.

use std::fs;
use std::path::PathBuf;

use cuda_emulator::check::{Check, Checks};
use cuda_emulator::device::Description;
use cuda_emulator::exec::{Launch, Module, Options};
use cuda_emulator::memory::Memory;
use cuda_emulator::report::{Place, Report};
use cuda_emulator::{Config, clear_findings, configure, findings};

/// What one file of the corpus says in its head.
#[derive(Debug, Default)]
struct Case {
    name: String,
    ptx: String,
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    /// Kind and number of each parameter.
    arguments: Vec<(String, u64)>,
    checks: Checks,
    expected: Vec<Expectation>,
}

/// What one report must say.
#[derive(Debug, Default)]
struct Expectation {
    check: String,
    line: u32,
    block: Option<[u32; 3]>,
    thread: Option<[u32; 3]>,
    other: Option<u32>,
    says: Option<String>,
}

/// `2,3` as `[2, 3, rest]`.
fn triple(text: &str, rest: u32) -> [u32; 3] {
    let mut numbers = text.split(',').map(|number| number.parse().expect("a number"));
    std::array::from_fn(|_| numbers.next().unwrap_or(rest))
}

impl Case {
    fn read(path: &PathBuf) -> Case {
        let source = fs::read_to_string(path).expect("a kernel of the corpus");
        let ptx = fs::read_to_string(path.with_extension("ptx")).expect("its PTX: run make.py");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let mut case = Case { name, ptx, grid: [1; 3], block: [32, 1, 1], checks: Checks::ALL, ..Case::default() };
        for line in source.lines().filter_map(|line| line.strip_prefix("// ")) {
            if let Some(rest) = line.strip_prefix("launch: ") {
                case.launch(rest);
            } else if let Some(rest) = line.strip_prefix("arguments: ") {
                let pair = |text: &str| {
                    let (kind, number) = text.trim().split_once(' ').expect("a kind and a number");
                    (kind.to_owned(), number.parse().expect("a number"))
                };
                case.arguments = rest.split(',').map(pair).collect();
            } else if let Some(rest) = line.strip_prefix("checks: ") {
                case.checks = rest.parse().expect("checks");
            } else if let Some(rest) = line.strip_prefix("expect: ") {
                case.expected.push(Expectation::of(rest));
            }
        }
        assert!(!case.expected.is_empty(), "{} expects nothing", case.name);
        case
    }

    fn launch(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        for pair in words.chunks_exact(2) {
            match pair[0] {
                "grid" => self.grid = triple(pair[1], 1),
                "block" => self.block = triple(pair[1], 1),
                "shared" => self.shared_bytes = pair[1].parse().expect("a number"),
                other => panic!("{}: {other} is no part of a launch", self.name),
            }
        }
    }

    /// Everything that is said of `kernel`: findings, then the fault that ended it.
    fn run(&self, kernel: &str) -> Vec<Report> {
        clear_findings();
        let mut memory = Memory::default();
        memory.track_writes();
        let module = Module::load(&self.ptx, &Description::default(), &mut memory)
            .unwrap_or_else(|report| panic!("{}: {report}", self.name));
        let index = module.kernels().iter().position(|info| info.name == kernel).expect("wrong and right");
        let info = &module.kernels()[index];
        assert_eq!(info.parameters.len(), self.arguments.len(), "{}: arguments", self.name);
        let mut parameters = vec![0; info.parameter_bytes];
        for (parameter, (kind, number)) in info.parameters.iter().zip(&self.arguments) {
            let value = argument(&mut memory, kind, *number).to_le_bytes();
            parameters[parameter.offset..][..parameter.bytes].copy_from_slice(&value[..parameter.bytes]);
        }
        let launch = Launch {
            kernel: index,
            grid: self.grid,
            block: self.block,
            dynamic_shared_bytes: self.shared_bytes,
            cooperative: false,
            parameters,
        };
        let fault = module.run(&launch, &memory, Options { checks: self.checks, ..Options::default() }).err();
        findings().into_iter().map(|finding| finding.report).chain(fault).collect()
    }
}

/// The value of a parameter.
fn argument(memory: &mut Memory, kind: &str, number: u64) -> u64 {
    if kind == "u32" {
        return number;
    }
    let start = memory.allocate(number).expect("room on the device");
    let word = |index: u64| if kind == "in" { index as u32 } else { 0 };
    match kind {
        "in" | "zero" => {
            for index in 0..number / 4 {
                // SAFETY: device addresses are host addresses, and the allocation holds that many words.
                unsafe { (start as *mut u32).add(index as usize).write(word(index)) };
            }
            memory.mark_written(start, number);
        }
        "fresh" => {}
        "freed" => assert!(memory.free(start)),
        other => panic!("{other} is no kind of argument"),
    }
    start
}

impl Expectation {
    fn of(text: &str) -> Expectation {
        let (text, says) = match text.split_once(" says ") {
            Some((text, says)) => (text, Some(says.trim().to_owned())),
            None => (text, None),
        };
        let mut words = text.split_whitespace();
        let check = words.next().expect("a check").to_owned();
        assert!(Check::ALL.iter().any(|known| known.name() == check), "{check} is no check");
        let mut expectation = Expectation { check, says, ..Expectation::default() };
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            match key {
                "line" => expectation.line = value.parse().expect("a line"),
                "other" => expectation.other = Some(value.parse().expect("a line")),
                "block" => expectation.block = Some(triple(value, 0)),
                "thread" => expectation.thread = Some(triple(value, 0)),
                other => panic!("{other} is no part of an expectation"),
            }
        }
        expectation
    }

    fn fits(&self, report: &Report) -> bool {
        let line = |source: &Option<(String, u32)>| source.as_ref().map(|(_, line)| *line);
        let other = |place: &Place| line(&place.source);
        report.check.is_some_and(|check| check.name() == self.check)
            && line(&report.source) == Some(self.line)
            && self.block.is_none_or(|block| report.block == Some(block))
            && self.thread.is_none_or(|thread| report.thread == Some(thread))
            && self.other.is_none_or(|line| report.other.as_ref().and_then(other) == Some(line))
            && self.says.as_ref().is_none_or(|words| report.to_string().contains(words))
    }
}

/// What is wrong with the reports on one case, if anything.
fn judge(case: &Case) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut reports = case.run("wrong");
    for expected in &case.expected {
        match reports.iter().position(|report| expected.fits(report)) {
            Some(index) => {
                reports.remove(index);
            }
            None => complaints.push(format!("{}: no report is as expected: {expected:?}", case.name)),
        }
    }
    complaints.extend(reports.iter().map(|report| format!("{}: not expected of wrong: {report}", case.name)));
    let right = case.run("right");
    complaints.extend(right.iter().map(|report| format!("{}: not expected of right: {report}", case.name)));
    complaints
}

#[test]
fn every_planted_bug_is_reported_and_no_twin_is() {
    configure(Config { quiet: true, ..Config::default() }).expect("no context lives");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/bugs");
    let entries = fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("a file").path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "cu")).collect();
    paths.sort();
    assert!(paths.len() >= 30, "only {} files in the corpus", paths.len());
    let complaints: Vec<String> = paths.iter().flat_map(|path| judge(&Case::read(path))).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
