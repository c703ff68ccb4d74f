//! Nested scopes: what a name means where it is written.

use crate::isa::{Pred, Reg, Width};
use crate::ptx::ast::{Statement, Type};
use std::collections::HashMap;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    Register(Reg, Width),
    /// A 128-bit register: its lower and its upper half.
    Halves([Reg; 2]),
    Predicate(Pred),
    /// A label's number.
    Label(u32),
    /// A device address.
    Global(u64),
    /// Bytes into the block's shared memory.
    Shared(u32),
    /// Bytes into the thread's local memory.
    Local(u32),
    /// Bytes into the kernel's parameter block.
    Parameter(u32),
}

/// What a register holds, and so in how many virtual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegisterClass {
    Predicate,
    Value(Width),
    /// 128 bits, in two consecutive virtual registers of 64.
    Halves,
}

impl RegisterClass {
    /// Of registers of type `ty`.
    pub(super) fn of(ty: Type) -> Self {
        match register_width(ty) {
            Ok(Some(width)) => RegisterClass::Value(width),
            Ok(None) => RegisterClass::Predicate,
            Err(_) => RegisterClass::Halves,
        }
    }

    /// What the register whose virtual ones begin at `first` is called.
    pub(super) fn symbol(self, first: u32) -> Symbol {
        match self {
            RegisterClass::Predicate => Symbol::Predicate(Pred(first)),
            RegisterClass::Value(width) => Symbol::Register(Reg(first), width),
            RegisterClass::Halves => Symbol::Halves([Reg(first), Reg(first + 1)]),
        }
    }

    /// Virtual registers of each.
    pub(super) fn virtual_registers(self) -> u32 {
        if self == RegisterClass::Halves { 2 } else { 1 }
    }
}

/// A run of registers `prefix0 .. prefix(count - 1)` with consecutive virtual numbers.
#[derive(Clone, Copy, Debug)]
struct Range {
    count: u32,
    first: u32,
    class: RegisterClass,
}

#[derive(Debug, Default)]
struct Scope<'m> {
    symbols: HashMap<&'m str, Symbol>,
    ranges: HashMap<&'m str, Range>,
    /// Branch targets, call targets and prototypes by their labels.
    tables: HashMap<&'m str, &'m Statement>,
    /// Name lookup does not continue outwards past the scope of a function.
    function: bool,
}

/// The chain of scopes, innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes<'m> {
    chain: Vec<Scope<'m>>,
}

/// The width of a register of type `ty`, `None` for a predicate; an error for types that registers cannot have.
pub(super) fn register_width(ty: Type) -> Result<Option<Width>, String> {
    use Type::*;
    Ok(match ty {
        Pred => None,
        B8 | U8 | S8 | B16 | U16 | S16 | F16 | Bf16 => Some(Width::W16),
        B32 | U32 | S32 | F16x2 | Bf16x2 | Tf32 | F32 => Some(Width::W32),
        B64 | U64 | S64 | F64 => Some(Width::W64),
        B128 => return Err("128 bits in one value".into()),
    })
}

impl<'m> Scopes<'m> {
    pub(super) fn enter(&mut self, function: bool) {
        self.chain.push(Scope { function, ..Scope::default() });
    }

    pub(super) fn leave(&mut self) {
        self.chain.pop();
    }

    fn innermost(&mut self) -> &mut Scope<'m> {
        self.chain.last_mut().expect("a name is declared inside a scope")
    }

    pub(super) fn declare(&mut self, name: &'m str, symbol: Symbol) {
        self.innermost().symbols.insert(name, symbol);
    }

    pub(super) fn declare_range(&mut self, prefix: &'m str, count: u32, first: u32, class: RegisterClass) {
        self.innermost().ranges.insert(prefix, Range { count, first, class });
    }

    pub(super) fn declare_table(&mut self, label: &'m str, table: &'m Statement) {
        self.innermost().tables.insert(label, table);
    }

    /// The branch targets, call targets or prototype under a label.
    pub(super) fn table(&self, label: &str) -> Option<&'m Statement> {
        for scope in self.chain.iter().rev() {
            if let Some(table) = scope.tables.get(label) {
                return Some(table);
            }
            if scope.function {
                return None;
            }
        }
        None
    }

    pub(super) fn find(&self, name: &str) -> Option<Symbol> {
        for scope in self.chain.iter().rev() {
            if let Some(symbol) = scope.symbols.get(name) {
                return Some(*symbol);
            }
            if let Some(symbol) = scope.find_in_ranges(name) {
                return Some(symbol);
            }
            if scope.function {
                return None;
            }
        }
        None
    }
}

impl Scope<'_> {
    fn find_in_ranges(&self, name: &str) -> Option<Symbol> {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        (stem..name.len()).find_map(|split| {
            let range = self.ranges.get(&name[..split])?;
            let index: u32 = name[split..].parse().ok()?;
            (index < range.count).then(|| range.class.symbol(range.first + index * range.class.virtual_registers()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_ranges_shadow_outer_ones() {
        let mut scopes = Scopes::default();
        scopes.enter(true);
        scopes.declare_range("%r", 10, 100, RegisterClass::Value(Width::W32));
        scopes.enter(false);
        scopes.declare_range("%r", 2, 200, RegisterClass::Value(Width::W64));
        assert_eq!(scopes.find("%r1"), Some(Symbol::Register(Reg(201), Width::W64)));
        assert_eq!(scopes.find("%r9"), Some(Symbol::Register(Reg(109), Width::W32)));
        scopes.leave();
        assert_eq!(scopes.find("%r1"), Some(Symbol::Register(Reg(101), Width::W32)));
        assert_eq!(scopes.find("%r10"), None);
    }
}
