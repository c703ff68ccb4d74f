//! Instructions of the syntax tree to operations, one function a family.

mod arithmetic;
mod bulk;
mod control;
mod convert;
mod float;
mod matrix;
mod mbarrier;
mod memory;
mod packed;
mod stack;
mod warp;

use super::build::Builder;
use super::{Problem, Result};
use crate::isa::{FloatMode, Rounding};
use crate::ptx::ast::{Instruction, Operand, Type};

pub(super) use control::builtin_call;

/// Decodes one instruction other than `call`.
pub(super) fn instruction<'m>(b: &mut Builder<'m>, instruction: &'m Instruction) -> Result<()> {
    let mut m = Modifiers::of(instruction);
    let operands = instruction.operands.as_slice();
    let handled = packed::decode(b, &instruction.opcode, &mut m, operands)?
        || arithmetic::decode(b, &instruction.opcode, &mut m, operands)?
        || float::decode(b, &instruction.opcode, &mut m, operands)?
        || convert::decode(b, &instruction.opcode, &mut m, operands)?
        || memory::decode(b, &instruction.opcode, &mut m, operands)?
        || mbarrier::decode(b, &instruction.opcode, &mut m, operands)?
        || matrix::decode(b, &instruction.opcode, &mut m, operands)?
        || warp::decode(b, &instruction.opcode, &mut m, operands)?
        || stack::decode(b, &instruction.opcode, &mut m, operands)?
        || control::decode(b, &instruction.opcode, &mut m, operands)?;
    if !handled {
        return Err(format!("operation {}", instruction.opcode).into());
    }
    m.end()
}

/// Types of PTX for which there are no operations, but for the conversions that name them otherwise.
const UNSUPPORTED_TYPES: [&str; 3] = ["f32x2", "u16x2", "s16x2"];

/// The dotted words after an opcode, consumed as they are understood.
pub(super) struct Modifiers<'a> {
    rest: Vec<&'a str>,
}

impl<'a> Modifiers<'a> {
    fn of(instruction: &'a Instruction) -> Self {
        Modifiers { rest: instruction.modifiers.iter().map(String::as_str).collect() }
    }

    /// Consumes `word`; whether it was there.
    fn flag(&mut self, word: &str) -> bool {
        match self.rest.iter().position(|w| *w == word) {
            Some(index) => {
                self.rest.remove(index);
                true
            }
            None => false,
        }
    }

    /// Whether `word` is there, without consuming it.
    fn has(&self, word: &str) -> bool {
        self.rest.contains(&word)
    }

    /// Consumes all of `words` that are there.
    fn ignore(&mut self, words: &[&str]) {
        self.rest.retain(|w| !words.contains(w));
    }

    /// Consumes every word that `matches`.
    fn ignore_where(&mut self, matches: impl Fn(&str) -> bool) {
        self.rest.retain(|w| !matches(w));
    }

    /// Consumes the first word of the table that is there and gives its meaning.
    fn choose<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        table.iter().find(|(word, _)| self.flag(word)).map(|(_, meaning)| *meaning)
    }

    /// Consumes the first word that `meaning` understands.
    fn find<T>(&mut self, meaning: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (index, found) = self.rest.iter().enumerate().find_map(|(index, word)| Some((index, meaning(word)?)))?;
        self.rest.remove(index);
        Some(found)
    }

    fn require<T: Copy>(&mut self, what: &str, table: &[(&str, T)]) -> Result<T> {
        self.choose(table).ok_or_else(|| Problem::new(format!("{what} missing or unknown")))
    }

    /// Consumes the first word that names a type.
    fn ty(&mut self) -> Result<Type> {
        let index = self.rest.iter().position(|w| Type::named(w).is_some());
        let index = index.ok_or_else(|| match self.rest.iter().find(|word| UNSUPPORTED_TYPES.contains(word)) {
            Some(word) => Problem::new(format!("type .{word}")),
            None => Problem::new("type missing or unknown"),
        })?;
        Ok(Type::named(self.rest.remove(index)).expect("the position was found by it"))
    }

    /// The type that [`Self::ty`] would give.
    fn peek_type(&self) -> Option<Type> {
        self.rest.iter().find_map(|w| Type::named(w))
    }

    fn rounding(&mut self) -> Option<Rounding> {
        use Rounding::*;
        self.choose(&[("rn", Nearest), ("rna", Nearest), ("rz", Zero), ("rm", Down), ("rp", Up)])
    }

    fn float_mode(&mut self) -> FloatMode {
        FloatMode {
            rounding: self.rounding().unwrap_or(Rounding::Nearest),
            flush: self.flag("ftz"),
            saturate: self.flag("sat"),
        }
    }

    /// An error where a word was not understood.
    fn end(&self) -> Result<()> {
        match self.rest.as_slice() {
            [] => Ok(()),
            rest => Err(format!("modifier .{}", rest.join(".")).into()),
        }
    }
}

fn is_signed(ty: Type) -> bool {
    matches!(ty, Type::S8 | Type::S16 | Type::S32 | Type::S64)
}

fn is_float(ty: Type) -> bool {
    matches!(ty, Type::F16 | Type::F16x2 | Type::Bf16 | Type::Bf16x2 | Type::Tf32 | Type::F32 | Type::F64)
}

/// The width of registers that hold `ty`; an error for predicates.
fn width(ty: Type) -> Result<crate::isa::Width> {
    super::scope::register_width(ty)?.ok_or_else(|| Problem::new("predicate where a value is wanted"))
}

/// Exactly `N` operands.
fn take<const N: usize>(operands: &[Operand]) -> Result<&[Operand; N]> {
    operands.try_into().map_err(|_| Problem::new(format!("{} operands, {N} expected", operands.len())))
}
