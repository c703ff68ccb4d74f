//! PTX text to syntax tree: a lexer and a recursive-descent parser.

pub mod ast;
mod lexer;
pub mod location;
mod parser;

use crate::report::{Class, Report};

/// The longest excerpt of the source that a report quotes, in characters.
const EXCERPT_CHARACTERS: usize = 160;

/// Parses one PTX module. The report of a failure carries the line.
pub fn parse(text: &str) -> Result<ast::Module, Report> {
    parser::module(text).map_err(|failure| {
        let mut report = Report::new(Class::UnsupportedPtx, failure.message);
        report.ptx_line = Some(failure.line);
        let line = text.lines().nth(failure.line as usize - 1).unwrap_or("").trim();
        report.instruction = Some(line.chars().take(EXCERPT_CHARACTERS).collect());
        report
    })
}
