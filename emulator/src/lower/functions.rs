//! The functions of a module: their addresses, and which of them cannot be inlined.

use crate::ptx::ast::{Function, Init, Instruction, Module, Operand, Statement};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the addresses of functions begin. They are no addresses of the host and lead to no memory.
const CODE_WINDOW: u64 = 4 << 60;
/// Addresses between the functions of two modules.
const MODULE_BYTES: u64 = 1 << 28;
/// Addresses between two functions.
const FUNCTION_BYTES: u64 = 16;

/// What the module as a whole says of its functions.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    addresses: HashMap<String, u64>,
    /// What each `.alias` stands for.
    aliases: HashMap<String, String>,
    /// Functions that can reach themselves by direct calls.
    recursive: HashSet<String>,
    /// Functions whose address is taken, in the order of the text.
    taken: Vec<String>,
}

impl Functions {
    pub(crate) fn of(module: &Module) -> Self {
        static MODULES: AtomicU64 = AtomicU64::new(0);
        if module.functions.iter().all(|function| function.entry) {
            return Functions::default();
        }
        let first = CODE_WINDOW + MODULES.fetch_add(1, Ordering::Relaxed) % (1 << 30) * MODULE_BYTES;
        let mut functions = Functions {
            aliases: module.aliases.iter().cloned().collect(),
            recursive: recursive(module),
            ..Functions::default()
        };
        for function in module.functions.iter().filter(|function| !function.entry) {
            let next = first + FUNCTION_BYTES * (functions.addresses.len() as u64 + 1);
            functions.addresses.entry(function.name.clone()).or_insert(next);
        }
        functions.taken = functions.address_taken(module);
        functions
    }

    /// The name of the function that `name` calls: the one behind an alias.
    pub(super) fn resolve<'n>(&'n self, name: &'n str) -> &'n str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// The address of a function, if there is one of that name.
    pub(super) fn address(&self, name: &str) -> Option<u64> {
        self.addresses.get(self.resolve(name)).copied()
    }

    pub(super) fn is_recursive(&self, name: &str) -> bool {
        self.recursive.contains(name)
    }

    /// The names of all functions that a call through a pointer may reach.
    pub(super) fn taken(&self) -> &[String] {
        &self.taken
    }

    fn address_taken(&self, module: &Module) -> Vec<String> {
        let mut names = HashSet::new();
        for init in module.variables.iter().flat_map(|variable| &variable.init) {
            if let Init::Address { symbol, .. } = init {
                names.insert(self.resolve(symbol));
            }
        }
        for function in &module.functions {
            each_instruction(function, &mut |instruction| match (instruction.opcode.as_str(), callee(instruction)) {
                ("call", Some(_)) => {}
                _ => instruction.operands.iter().for_each(|operand| {
                    if let Operand::Name(name) | Operand::NameOffset(name, _) = operand {
                        names.insert(self.resolve(name));
                    }
                }),
            });
        }
        let bodies = module.functions.iter().filter(|function| !function.entry && function.body.is_some());
        bodies.map(|function| &function.name).filter(|name| names.contains(name.as_str())).cloned().collect()
    }
}

/// The functions of `module` that can reach themselves by direct calls.
fn recursive(module: &Module) -> HashSet<String> {
    let aliases: HashMap<&str, &str> = module.aliases.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let mut calls: HashMap<&str, HashSet<&str>> = HashMap::new();
    for function in module.functions.iter().filter(|function| function.body.is_some()) {
        let callees = calls.entry(&function.name).or_default();
        each_instruction(function, &mut |instruction| {
            callees.extend(callee(instruction).map(|name| aliases.get(name).copied().unwrap_or(name)));
        });
    }
    let reaches_itself = |start: &&str| {
        let mut seen = HashSet::new();
        let mut pending = vec![*start];
        while let Some(name) = pending.pop() {
            for callee in calls.get(name).into_iter().flatten() {
                if callee == start {
                    return true;
                }
                if seen.insert(*callee) {
                    pending.push(callee);
                }
            }
        }
        false
    };
    calls.keys().copied().filter(reaches_itself).map(str::to_owned).collect()
}

/// What a `call` names as its target: a function, or a register.
fn callee(instruction: &Instruction) -> Option<&str> {
    if instruction.opcode != "call" {
        return None;
    }
    match instruction.operands.as_slice() {
        [Operand::List(_), Operand::Name(name), ..] | [Operand::Name(name), ..] => Some(name),
        _ => None,
    }
}

fn each_instruction<'m>(function: &'m Function, see: &mut impl FnMut(&'m Instruction)) {
    fn walk<'m>(statements: &'m [Statement], see: &mut impl FnMut(&'m Instruction)) {
        for statement in statements {
            match statement {
                Statement::Instruction(instruction) => see(instruction),
                Statement::Scope(inner) => walk(inner, see),
                _ => {}
            }
        }
    }
    walk(function.body.as_deref().unwrap_or_default(), see);
}
