//! Statements to a linear draft: declarations are resolved, calls inlined, instructions decoded on virtual registers.

use super::call::{Callee, Stack};
use super::layout::{LocalLayout, ModuleVariables, SharedLayout, immediate_bits};
use super::scope::{RegisterClass, Scopes, Symbol, register_width};
use super::{Problem, Result, decode};
use crate::device::{RESERVED_SHARED_BYTES_IN_USE, SHARED_BYTES_RESERVED_PER_BLOCK};
use crate::isa::{
    Address, BankEntry, Instruction, LaunchSpecial, MemoryKind, Op, Pred, PredSource, Reg, SharedVariable, Special,
    Width,
};
use crate::ptx::ast::{self, Operand, Statement, Type};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// The most virtual registers of a kernel: far more than compilers make, and little memory. The parser bounds a single
/// declaration, so that the sum cannot overflow.
const MAX_REGISTERS: usize = 1 << 22;

/// A kernel on virtual registers, branch targets already positions in `code`.
#[derive(Debug)]
pub(super) struct Draft {
    pub code: Vec<Instruction>,
    /// Widths of the virtual registers.
    pub widths: Vec<Width>,
    /// Number of virtual predicates.
    pub predicates: u32,
    /// Entries with their first slot.
    pub bank: Vec<(u32, BankEntry)>,
    pub bank_slots: u32,
    pub shared_bytes: u32,
    pub shared_variables: Vec<SharedVariable>,
    pub dynamic_shared_offset: u32,
    pub local_bytes: u32,
    pub uses_stack: bool,
    pub callees: Vec<Callee>,
    pub parameter_bytes: u32,
}

/// A function that is being decoded: the kernel, one inlined, or one that is called.
pub(super) struct Frame {
    /// Where `ret` goes in an inlined function.
    pub return_label: Option<u32>,
    /// Results of a called function that are registers, with their places in the frame.
    pub register_returns: Vec<(Reg, Width, u32)>,
}

pub(super) struct Builder<'m> {
    pub(super) module: &'m ast::Module,
    pub(super) variables: &'m ModuleVariables,
    shared: SharedLayout<'m>,
    /// Variables of the kernel or of the called function that is being decoded.
    pub(super) local: LocalLayout,
    pub(super) stack: Stack,
    pub(super) scopes: Scopes<'m>,
    pub(super) frames: Vec<Frame>,
    /// Whether a called function is being decoded, not the kernel.
    pub(super) in_function: bool,
    /// Functions that the program holds once, in the order of their numbers; the first of them are decoded.
    pub(super) pending: Vec<&'m ast::Function>,
    pub(super) callees: Vec<Callee>,
    /// Bytes of returns and parameters of the calls through pointers.
    pub(super) pointer_areas: BTreeSet<u32>,
    /// Whether the thread needs a stack above its variables.
    pub(super) uses_stack: bool,
    pub(super) code: Vec<Instruction>,
    /// Position of each label, once passed.
    labels: Vec<Option<u32>>,
    widths: Vec<Width>,
    predicates: u32,
    bank: Vec<(u32, BankEntry)>,
    bank_index: HashMap<BankEntry, Reg>,
    bank_slots: u32,
    /// The carry flag of extended-precision arithmetic, once used.
    pub(super) carry: Option<Pred>,
    /// Guard and line of the instruction being decoded.
    pub(super) guard: PredSource,
    pub(super) line: u32,
    problems: Option<&'m RefCell<Vec<Problem>>>,
}

/// Decodes `function` and everything it calls. Instructions that cannot be decoded end the work, or are left out and
/// collected in `problems`.
pub(super) fn draft<'m>(
    module: &'m ast::Module,
    function: &'m ast::Function,
    variables: &'m ModuleVariables,
    problems: Option<&'m RefCell<Vec<Problem>>>,
) -> Result<Draft> {
    let mut builder = Builder {
        module,
        variables,
        shared: SharedLayout::of(module, function),
        local: LocalLayout::default(),
        scopes: Scopes::default(),
        stack: Stack::none(),
        frames: vec![Frame { return_label: None, register_returns: Vec::new() }],
        in_function: false,
        pending: Vec::new(),
        callees: Vec::new(),
        pointer_areas: BTreeSet::new(),
        uses_stack: false,
        code: Vec::new(),
        labels: Vec::new(),
        widths: Vec::new(),
        predicates: 1,
        bank: Vec::new(),
        bank_index: HashMap::new(),
        bank_slots: 0,
        carry: None,
        guard: PredSource::TRUE,
        line: function.line,
        problems,
    };
    let (parameters, parameter_bytes) = super::layout::parameters(function);
    builder.begin_stack(None);
    builder.scopes.enter(true);
    for (variable, parameter) in function.params.iter().zip(&parameters) {
        builder.scopes.declare(&variable.name, Symbol::Parameter(parameter.offset as u32));
    }
    let body = function.body.as_deref().ok_or_else(|| Problem::new("the kernel has no body"))?;
    builder.statements(body)?;
    builder.guard = PredSource::TRUE;
    builder.emit(Op::Exit);
    builder.scopes.leave();
    let local_bytes = builder.local.bytes;
    builder.end_stack();
    builder.callees()?;
    builder.finish(parameter_bytes as u32, local_bytes)
}

impl<'m> Builder<'m> {
    pub(super) fn statements(&mut self, statements: &'m [Statement]) -> Result<()> {
        for statement in statements {
            match statement {
                Statement::Label { name, .. } => {
                    let label = self.new_label();
                    self.scopes.declare(name, Symbol::Label(label));
                }
                Statement::Targets { label, .. } | Statement::Prototype { label, .. } => {
                    self.scopes.declare_table(label, statement);
                }
                _ => {}
            }
        }
        for statement in statements {
            self.statement(statement)?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &'m Statement) -> Result<()> {
        match statement {
            Statement::Registers { line, ty, names } => {
                self.registers(*ty, names).map_err(|message| Problem { line: Some(*line), ..Problem::new(message) })
            }
            Statement::Variable(variable) => {
                self.variable(variable).map_err(|p| Problem { line: p.line.or(Some(variable.line)), ..p })
            }
            Statement::Label { name, .. } => {
                let Some(Symbol::Label(label)) = self.scopes.find(name) else {
                    return Err(format!("label {name} is hidden by another name").into());
                };
                self.place_label(label);
                Ok(())
            }
            Statement::Instruction(instruction) => {
                let outcome = self.instruction(instruction);
                let outcome = outcome.map_err(|p| Problem { line: p.line.or(Some(instruction.line)), ..p });
                match (outcome, self.problems) {
                    (Err(problem), Some(problems)) => {
                        problems.borrow_mut().push(problem);
                        Ok(())
                    }
                    (outcome, _) => outcome,
                }
            }
            Statement::Scope(inner) => {
                self.scopes.enter(false);
                let result = self.statements(inner);
                self.scopes.leave();
                result
            }
            Statement::Loc { .. } | Statement::Targets { .. } | Statement::Prototype { .. } => Ok(()),
        }
    }

    fn registers(&mut self, ty: Type, names: &'m [(String, Option<u32>)]) -> std::result::Result<(), String> {
        let class = RegisterClass::of(ty);
        for (name, count) in names {
            let number = count.unwrap_or(1) * class.virtual_registers();
            if self.widths.len() + (self.predicates + number) as usize > MAX_REGISTERS {
                return Err(format!("{number} registers {name}, more than a function can have"));
            }
            let mut declare_values = |width| {
                self.widths.extend(std::iter::repeat_n(width, number as usize));
                self.widths.len() as u32 - number
            };
            let first = match class {
                RegisterClass::Value(width) => declare_values(width),
                RegisterClass::Halves => declare_values(Width::W64),
                RegisterClass::Predicate => {
                    self.predicates += number;
                    self.predicates - number
                }
            };
            match count {
                Some(count) => self.scopes.declare_range(name, *count, first, class),
                None => self.scopes.declare(name, class.symbol(first)),
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: &'m ast::Variable) -> Result<()> {
        let symbol = match variable.space {
            ast::Space::Shared => Symbol::Shared(self.shared.offset(variable).unwrap_or(0)),
            // Parameters of calls live in the thread's own memory.
            ast::Space::Local | ast::Space::Param => Symbol::Local(self.local.add(variable)?),
            ast::Space::Reg => return Ok(self.registers_of_variable(variable)?),
            ast::Space::Global | ast::Space::Const | ast::Space::Generic => {
                return Err(format!("variable {} in this space inside a function", variable.name).into());
            }
        };
        self.scopes.declare(&variable.name, symbol);
        Ok(())
    }

    fn registers_of_variable(&mut self, variable: &'m ast::Variable) -> std::result::Result<(), String> {
        let symbol = match register_width(variable.ty)? {
            Some(width) => Symbol::Register(self.new_register(width), width),
            None => Symbol::Predicate(self.new_predicate()),
        };
        self.scopes.declare(&variable.name, symbol);
        Ok(())
    }

    fn instruction(&mut self, instruction: &'m ast::Instruction) -> Result<()> {
        self.line = instruction.line;
        self.guard = match &instruction.guard {
            None => PredSource::TRUE,
            Some((name, negate)) => PredSource { pred: self.predicate_named(name)?, negate: *negate },
        };
        match instruction.opcode.as_str() {
            "call" => self.call(instruction),
            _ => decode::instruction(self, instruction),
        }
    }

    /// Appends `op` under the guard of the current instruction.
    pub(super) fn emit(&mut self, op: Op) {
        self.code.push(Instruction::new(op, self.guard, self.line));
    }

    pub(super) fn new_label(&mut self) -> u32 {
        self.labels.push(None);
        self.labels.len() as u32 - 1
    }

    pub(super) fn place_label(&mut self, label: u32) {
        self.labels[label as usize] = Some(self.code.len() as u32);
    }

    pub(super) fn new_register(&mut self, width: Width) -> Reg {
        self.widths.push(width);
        Reg(self.widths.len() as u32 - 1)
    }

    pub(super) fn new_predicate(&mut self) -> Pred {
        self.predicates += 1;
        Pred(self.predicates - 1)
    }

    pub(super) fn carry(&mut self) -> Pred {
        if self.carry.is_none() {
            self.carry = Some(self.new_predicate());
        }
        self.carry.expect("it was just made")
    }

    pub(super) fn bank(&mut self, entry: BankEntry) -> Reg {
        if let Some(reg) = self.bank_index.get(&entry) {
            return *reg;
        }
        let slots = match entry {
            BankEntry::Const64(_) | BankEntry::GridNumber => 2,
            BankEntry::Param { kind, .. } if kind.width == Width::W64 => 2,
            _ => 1,
        };
        let reg = Reg::bank(self.bank_slots);
        self.bank.push((self.bank_slots, entry));
        self.bank_index.insert(entry, reg);
        self.bank_slots += slots;
        reg
    }

    /// A register that holds the constant `bits` in every lane.
    pub(super) fn constant(&mut self, width: Width, bits: u64) -> Reg {
        self.bank(match width {
            Width::W16 => BankEntry::Const32(bits as u16 as u32),
            Width::W32 => BankEntry::Const32(bits as u32),
            Width::W64 => BankEntry::Const64(bits),
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<Symbol> {
        self.scopes.find(name).or_else(|| self.module_symbol(name))
    }

    /// Addresses and bytes of the module's `.const` variables.
    pub(super) fn constant_variables(&self) -> Vec<(u64, u64)> {
        let constants = self.module.variables.iter().filter(|v| v.space == ast::Space::Const);
        constants.filter_map(|v| self.variables.placed.get(&v.name).copied()).collect()
    }

    fn module_symbol(&self, name: &str) -> Option<Symbol> {
        if let Some((address, _)) = self.variables.placed.get(name) {
            return Some(Symbol::Global(*address));
        }
        if let Some(address) = self.variables.functions.address(name) {
            return Some(Symbol::Global(address));
        }
        let variable = self.module.variables.iter().find(|v| v.name == name && v.space == ast::Space::Shared)?;
        self.shared.offset(variable).map(Symbol::Shared)
    }

    pub(super) fn predicate_named(&self, name: &str) -> Result<Pred> {
        match self.find(name) {
            Some(Symbol::Predicate(pred)) => Ok(pred),
            _ => Err(self.not(name, "a predicate")),
        }
    }

    /// The problem of `name`, which is not `wanted`: whether there is one of that name at all decides whose it is.
    fn not(&self, name: &str, wanted: &str) -> Problem {
        let module = self.module;
        let declared = name == "_"
            || self.find(name).is_some()
            || self.scopes.table(name).is_some()
            || special_register(name).is_some()
            || module.variables.iter().any(|variable| variable.name == name)
            || module.functions.iter().any(|function| function.name == name);
        if declared { Problem::new(format!("{name} is not {wanted}")) } else { Problem::undeclared(name) }
    }

    pub(super) fn label_named(&self, name: &str) -> Result<u32> {
        match self.find(name) {
            Some(Symbol::Label(label)) => Ok(label),
            _ => Err(self.not(name, "a label")),
        }
    }

    /// The labels of the branch table `name`.
    pub(super) fn branch_table(&self, name: &str) -> Result<Vec<u32>> {
        let Some(Statement::Targets { names, .. }) = self.scopes.table(name) else {
            return Err(format!("{name} is no branch table").into());
        };
        names.iter().map(|name| self.label_named(name)).collect()
    }

    /// A source operand of `width` whose immediates are read as `ty`.
    pub(super) fn source(&mut self, operand: &Operand, ty: Type, width: Width) -> Result<Reg> {
        let (reg, found) = self.source_any(operand, ty, width)?;
        if found == width {
            return Ok(reg);
        }
        Err(format!("operand {operand:?} has {} bits, not {}", found.bytes() * 8, width.bytes() * 8).into())
    }

    /// A source operand and its own width: that of the register, or `width` for anything else.
    pub(super) fn source_any(&mut self, operand: &Operand, ty: Type, width: Width) -> Result<(Reg, Width)> {
        let constant = |builder: &mut Self, bits| Ok((builder.constant(width, bits), width));
        match operand {
            Operand::Immediate(immediate) => constant(self, immediate_bits(*immediate, ty)),
            Operand::Name(name) => match self.find(name) {
                Some(Symbol::Register(reg, width)) => Ok((reg, width)),
                Some(Symbol::Local(offset)) => self.local_value(offset.into(), width),
                Some(symbol) => {
                    let address = address_bits(symbol).ok_or_else(|| format!("{name} is not a value"))?;
                    constant(self, address)
                }
                None if name == "WARP_SZ" => constant(self, 32),
                None => self.special(name, width),
            },
            Operand::NameOffset(name, offset) => {
                if let Some(Symbol::Local(start)) = self.find(name) {
                    return self.local_value(i64::from(start) + offset, width);
                }
                let symbol = self.find(name).and_then(address_bits).ok_or_else(|| self.not(name, "an address"))?;
                constant(self, symbol.wrapping_add_signed(*offset))
            }
            _ => Err(format!("operand {operand:?} is not a value").into()),
        }
    }

    fn special(&mut self, name: &str, width: Width) -> Result<(Reg, Width)> {
        let Some(kind) = special_register(name) else {
            // A name like `%r7` is a register's; the system's own registers may be more than are known here.
            let special = name.starts_with('%') && !name.ends_with(|last: char| last.is_ascii_digit());
            return Err(if special { format!("unknown name {name}").into() } else { self.not(name, "a value") });
        };
        let (reg, natural) = match kind {
            SpecialKind::Launch(LaunchSpecial::GridNumber) if width == Width::W64 => {
                (self.bank(BankEntry::GridNumber), Width::W64)
            }
            SpecialKind::Launch(special) => (self.bank(BankEntry::Launch(special)), Width::W32),
            SpecialKind::Constant(value) => (self.constant(width, value), width),
            SpecialKind::Varying(special) => {
                let wide = matches!(special, Special::Clock64 | Special::GlobalTimer);
                let natural = if wide { Width::W64 } else { Width::W32 };
                let d = self.new_register(natural);
                self.emit(Op::Special { d, special });
                (d, natural)
            }
        };
        if natural == Width::W32 && width == Width::W16 {
            let d = self.new_register(Width::W16);
            let mask = self.constant(Width::W32, 0xffff);
            self.emit(Op::IntBinary { op: crate::isa::IntBinary::And, width: Width::W32, d, a: reg, b: mask });
            return Ok((d, Width::W16));
        }
        Ok((reg, natural))
    }

    /// A destination register of `width`; `_` becomes a register that nothing reads.
    pub(super) fn destination(&mut self, operand: &Operand, width: Width) -> Result<Reg> {
        let (reg, found) = self.destination_any(operand, width)?;
        if found == width {
            return Ok(reg);
        }
        Err(format!("destination {operand:?} has {} bits, not {}", found.bytes() * 8, width.bytes() * 8).into())
    }

    /// A destination register and its own width; `width` is for `_`.
    pub(super) fn destination_any(&mut self, operand: &Operand, width: Width) -> Result<(Reg, Width)> {
        match operand {
            Operand::Name(name) if name == "_" => Ok((self.new_register(width), width)),
            Operand::Name(name) => match self.find(name) {
                Some(Symbol::Register(reg, width)) => Ok((reg, width)),
                _ => Err(self.not(name, "a register")),
            },
            _ => Err(format!("destination {operand:?} is not a register").into()),
        }
    }

    /// The halves of a 128-bit source operand, the lower one first.
    pub(super) fn source_halves(&mut self, operand: &Operand) -> Result<[Reg; 2]> {
        match operand {
            Operand::Immediate(ast::Immediate::Integer(bits)) => {
                Ok([*bits, *bits >> 64].map(|half| self.constant(Width::W64, half as u64)))
            }
            _ => self.halves_named(operand),
        }
    }

    /// The halves of a 128-bit destination; those of `_` become registers that nothing reads.
    pub(super) fn destination_halves(&mut self, operand: &Operand) -> Result<[Reg; 2]> {
        match operand {
            Operand::Name(name) if name == "_" => Ok([(); 2].map(|()| self.new_register(Width::W64))),
            _ => self.halves_named(operand),
        }
    }

    fn halves_named(&self, operand: &Operand) -> Result<[Reg; 2]> {
        match operand {
            Operand::Name(name) if let Some(Symbol::Halves(halves)) = self.find(name) => Ok(halves),
            _ => Err(format!("operand {operand:?} is not a 128-bit register").into()),
        }
    }

    /// A destination predicate; `_` becomes one that nothing reads.
    pub(super) fn destination_predicate(&mut self, name: &str) -> Result<Pred> {
        if name == "_" { Ok(self.new_predicate()) } else { self.predicate_named(name) }
    }

    /// A predicate as a source: `%p`, `!%p` or an immediate.
    pub(super) fn source_predicate(&mut self, operand: &Operand) -> Result<PredSource> {
        match operand {
            Operand::Name(name) if name == "%is_explicit_cluster" => Ok(PredSource::FALSE),
            Operand::Name(name) => Ok(PredSource::of(self.predicate_named(name)?)),
            Operand::Not(name) => Ok(PredSource::of(self.predicate_named(name)?).complement()),
            Operand::Immediate(ast::Immediate::Integer(0)) => Ok(PredSource::FALSE),
            Operand::Immediate(ast::Immediate::Integer(_)) => Ok(PredSource::TRUE),
            _ => Err(format!("operand {operand:?} is not a predicate").into()),
        }
    }

    /// Resolves `[base + offset]`: the address, and the space of a variable where the base is one.
    pub(super) fn address(&mut self, operand: &Operand) -> Result<(Address, Option<Symbol>)> {
        let Operand::Address { base, offset } = operand else {
            return Err(format!("operand {operand:?} is not an address").into());
        };
        let absolute = |builder: &mut Self, address: u64| {
            let base = builder.constant(Width::W64, address);
            Address { base, wide: true, offset: 0 }
        };
        if base.is_empty() {
            return Ok((absolute(self, *offset as u64), None));
        }
        match self.find(base) {
            Some(Symbol::Register(reg, width @ (Width::W32 | Width::W64))) => {
                let offset = i32::try_from(*offset).map_err(|_| "address offset beyond 32 bits")?;
                Ok((Address { base: reg, wide: width == Width::W64, offset }, None))
            }
            Some(symbol @ Symbol::Local(start)) => {
                let start = i32::try_from(i64::from(start) + offset).map_err(|_| "address offset beyond 32 bits")?;
                Ok((self.local_address(start as u32), Some(symbol)))
            }
            Some(symbol) => {
                let start = address_bits(symbol).ok_or_else(|| format!("{base} is not an address"))?;
                Ok((absolute(self, start.wrapping_add_signed(*offset)), Some(symbol)))
            }
            None => Err(self.not(base, "an address")),
        }
    }

    /// Where byte `offset` of the memory of the function being decoded lies.
    pub(super) fn local_address(&mut self, offset: u32) -> Address {
        match self.stack.frame {
            Some(base) => Address { base, wide: true, offset: offset as i32 },
            None => Address { base: self.constant(Width::W64, u64::from(offset)), wide: true, offset: 0 },
        }
    }

    /// The address of byte `offset` of the memory of the function being decoded, as a value.
    fn local_value(&mut self, offset: i64, width: Width) -> Result<(Reg, Width)> {
        let constant = self.constant(width, offset as u64);
        let Some(frame) = self.stack.frame else {
            return Ok((constant, width));
        };
        let mut frame = frame;
        if width == Width::W32 {
            let halves = [self.new_register(width), self.new_register(width)];
            self.emit(Op::Unpack32x2 { d: halves, a: frame });
            frame = halves[0];
        }
        let d = self.new_register(width);
        self.emit(Op::IntBinary { op: crate::isa::IntBinary::Add, width, d, a: frame, b: constant });
        Ok((d, width))
    }

    /// A register with the value of the kernel parameter at `offset`.
    pub(super) fn parameter(&mut self, offset: u32, kind: MemoryKind) -> Reg {
        self.bank(BankEntry::Param { offset, kind })
    }

    /// Replaces labels by positions.
    fn finish(mut self, parameter_bytes: u32, local_bytes: u32) -> Result<Draft> {
        let labels = &self.labels;
        let position =
            |label: u32| labels[label as usize].ok_or_else(|| Problem::new("branch to a label never placed"));
        for instruction in &mut self.code {
            match &mut instruction.op {
                Op::Branch { target, .. } => *target = position(*target)?,
                Op::BranchIndexed { targets, .. } => {
                    for target in targets.iter_mut() {
                        *target = position(*target)?;
                    }
                }
                _ => {}
            }
        }
        Ok(Draft {
            code: self.code,
            widths: self.widths,
            predicates: self.predicates,
            bank: self.bank,
            bank_slots: self.bank_slots,
            shared_bytes: self.shared.static_bytes,
            shared_variables: self.shared.variables,
            dynamic_shared_offset: self.shared.dynamic_offset,
            local_bytes,
            uses_stack: self.uses_stack,
            callees: self.callees,
            parameter_bytes,
        })
    }
}

/// A jump to `label`, to be guarded.
pub(super) fn branch(label: u32) -> Op {
    Op::Branch { target: label, reconverge: u32::MAX }
}

/// The address of a variable in its own space, where it is the same for all calls of a function.
fn address_bits(symbol: Symbol) -> Option<u64> {
    match symbol {
        Symbol::Global(address) => Some(address),
        Symbol::Shared(offset) | Symbol::Parameter(offset) => Some(u64::from(offset)),
        Symbol::Local(_) | Symbol::Register(..) | Symbol::Halves(_) | Symbol::Predicate(_) | Symbol::Label(_) => None,
    }
}

enum SpecialKind {
    Launch(LaunchSpecial),
    Varying(Special),
    /// The same for every launch: clusters of one block, no event counted.
    Constant(u64),
}

fn special_register(name: &str) -> Option<SpecialKind> {
    let (stem, axis) = match name.rsplit_once('.') {
        Some((stem, "x")) => (stem, 0),
        Some((stem, "y")) => (stem, 1),
        Some((stem, "z")) => (stem, 2),
        Some(_) => return None,
        None => (name, 0),
    };
    Some(match stem {
        "%tid" => SpecialKind::Varying(Special::Thread(axis)),
        "%ctaid" => SpecialKind::Varying(Special::Block(axis)),
        "%ntid" => SpecialKind::Launch(LaunchSpecial::BlockSize(axis)),
        "%nctaid" => SpecialKind::Launch(LaunchSpecial::GridSize(axis)),
        "%nwarpid" => SpecialKind::Launch(LaunchSpecial::WarpsPerMultiprocessor),
        "%nsmid" => SpecialKind::Launch(LaunchSpecial::Multiprocessors),
        "%gridid" => SpecialKind::Launch(LaunchSpecial::GridNumber),
        "%clusterid" => SpecialKind::Varying(Special::Block(axis)),
        "%nclusterid" => SpecialKind::Launch(LaunchSpecial::GridSize(axis)),
        "%cluster_nctaid" | "%cluster_nctarank" => SpecialKind::Constant(1),
        "%dynamic_smem_size" => SpecialKind::Launch(LaunchSpecial::DynamicSharedBytes),
        "%total_smem_size" => SpecialKind::Launch(LaunchSpecial::TotalSharedBytes),
        "%aggr_smem_size" => SpecialKind::Launch(LaunchSpecial::AggregateSharedBytes),
        "%reserved_smem_offset_begin" | "%reserved_smem_offset_0" | "%reserved_smem_offset_1" => {
            SpecialKind::Launch(LaunchSpecial::ReservedShared(0))
        }
        "%reserved_smem_offset_end" => SpecialKind::Launch(LaunchSpecial::ReservedShared(RESERVED_SHARED_BYTES_IN_USE)),
        "%reserved_smem_offset_cap" => {
            SpecialKind::Launch(LaunchSpecial::ReservedShared(SHARED_BYTES_RESERVED_PER_BLOCK))
        }
        "%laneid" => SpecialKind::Varying(Special::Lane),
        "%warpid" => SpecialKind::Varying(Special::Warp),
        "%smid" => SpecialKind::Varying(Special::Multiprocessor),
        "%lanemask_eq" => SpecialKind::Varying(Special::LaneMaskEq),
        "%lanemask_lt" => SpecialKind::Varying(Special::LaneMaskLt),
        "%lanemask_le" => SpecialKind::Varying(Special::LaneMaskLe),
        "%lanemask_gt" => SpecialKind::Varying(Special::LaneMaskGt),
        "%lanemask_ge" => SpecialKind::Varying(Special::LaneMaskGe),
        "%clock" => SpecialKind::Varying(Special::Clock),
        "%clock_hi" => SpecialKind::Varying(Special::ClockHigh),
        "%clock64" => SpecialKind::Varying(Special::Clock64),
        "%globaltimer" => SpecialKind::Varying(Special::GlobalTimer),
        "%globaltimer_lo" => SpecialKind::Varying(Special::Clock),
        "%globaltimer_hi" => SpecialKind::Varying(Special::ClockHigh),
        // No launch is a graph's that the device launched.
        "%current_graph_exec" => SpecialKind::Constant(0),
        _ if stem.starts_with("%pm") => SpecialKind::Constant(0),
        "%cluster_ctaid" | "%cluster_ctarank" => SpecialKind::Constant(0),
        _ => {
            let number = stem.strip_prefix("%envreg")?.parse().ok().filter(|number| *number < 32)?;
            SpecialKind::Launch(LaunchSpecial::Environment(number))
        }
    })
}
