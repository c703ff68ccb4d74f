//! Syntax tree to executable program, one pass a file.
//!
//! [`kernel`] reads as the table of contents: `layout` places variables, `functions` finds what cannot be inlined, `build`
//! resolves scopes and decodes instructions to [`crate::isa`] on virtual registers, `call` inlines or calls, `simplify` forwards copies, `flow` finds where diverged
//! lanes meet, `allocate` maps virtual registers to the slots of a warp's file, `rooms` finds fragments that several
//! matrix products share.

mod allocate;
mod build;
mod call;
mod decode;
mod flow;
pub mod functions;
pub mod layout;
pub mod operations;
mod rooms;
mod scope;
mod simplify;

use crate::isa::Program;
use crate::ptx::ast;
use crate::report::{Class, Report};
use layout::ModuleVariables;
use std::cell::RefCell;

/// A finding of a pass: what is wrong and the PTX line, where one is known.
#[derive(Debug)]
pub(crate) struct Problem {
    pub message: String,
    pub line: Option<u32>,
    /// Whether no assembler takes it either.
    pub invalid: bool,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Problem { message: message.into(), line: None, invalid: false }
    }

    /// `name` is declared nowhere.
    pub(crate) fn undeclared(name: &str) -> Self {
        Problem { invalid: true, ..Problem::new(format!("unknown symbol {name}")) }
    }

    /// What is said of the kernel `function` of the PTX `text`.
    fn report(self, function: &ast::Function, text: &str) -> Report {
        Report {
            kernel: Some(function.name.clone()),
            ptx_line: self.line,
            instruction: self.line.and_then(|line| source_line(text, line)),
            source: self.line.and_then(|line| crate::ptx::location::source(text, line)),
            ..Report::new(if self.invalid { Class::InvalidPtx } else { Class::UnsupportedPtx }, self.message)
        }
    }
}

impl From<String> for Problem {
    fn from(message: String) -> Self {
        Problem::new(message)
    }
}

impl From<&str> for Problem {
    fn from(message: &str) -> Self {
        Problem::new(message)
    }
}

type Result<T> = std::result::Result<T, Problem>;

/// Lowers the kernel `function` of `module`; `text` is the PTX, for reports.
pub fn kernel(
    module: &ast::Module,
    function: &ast::Function,
    variables: &ModuleVariables,
    text: &str,
) -> std::result::Result<Program, Report> {
    passes(module, function, variables).map_err(|problem| problem.report(function, text))
}

/// Everything in the kernel `function` that the emulator does not execute, not only the first of it.
pub fn problems(
    module: &ast::Module,
    function: &ast::Function,
    variables: &ModuleVariables,
    text: &str,
) -> Vec<Report> {
    let problems = RefCell::default();
    let outcome = build::draft(module, function, variables, Some(&problems));
    let mut problems = problems.into_inner();
    if problems.is_empty() {
        problems.extend(outcome.err());
    }
    problems.into_iter().map(|problem| problem.report(function, text)).collect()
}

fn passes(module: &ast::Module, function: &ast::Function, variables: &ModuleVariables) -> Result<Program> {
    let mut draft = build::draft(module, function, variables, None)?;
    simplify::forward_copies(&mut draft);
    let graph = flow::Graph::of(&draft.code);
    graph.set_reconvergence(&mut draft.code);
    let mut program = allocate::program(draft, &graph);
    rooms::assign(&mut program.code, &graph);
    Ok(program)
}

/// The trimmed text of line `line`, counted from 1.
pub fn source_line(text: &str, line: u32) -> Option<String> {
    text.lines().nth((line as usize).checked_sub(1)?).map(|l| l.trim().to_owned())
}
