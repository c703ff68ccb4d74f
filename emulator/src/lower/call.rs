//! Calls: direct ones are inlined; recursive ones and those through pointers become calls of functions that the program
//! holds once.
//!
//! Such a function finds its parameters and leaves its results at the beginning of its *frame*, a piece of the thread's
//! local memory: returns, parameters, its own variables. A caller fills in the parameters above the top of its own
//! frame. Registers are the callee's to overwrite: the executor saves and restores the caller's.

use super::build::{Builder, Frame, branch};
use super::layout;
use super::scope::{Symbol, register_width};
use super::{Problem, Result, decode};
use crate::isa::{
    Address, CallTarget, FRAME_ALIGNMENT, Instruction, IntBinary, MemoryKind, Op, PredSource, Reg, RegisterSet, Space,
    Width,
};
use crate::ptx::ast::{self, Operand, Statement, Variable};

/// A program that has grown to so many operations calls where it could inline.
const INLINE_LIMIT: usize = 100_000;

/// A function that the program holds once.
#[derive(Debug)]
pub(super) struct Callee {
    pub name: String,
    pub address: u64,
    /// Position of its first operation.
    pub start: u32,
    /// Receives the address of the frame.
    pub frame: Reg,
    pub frame_bytes: u32,
    /// Bytes of returns and parameters.
    pub area_bytes: u32,
}

/// The memory of the function that is being built.
pub(super) struct Stack {
    /// Where the frame begins: a register, or at byte 0 in the kernel itself.
    pub frame: Option<Reg>,
    /// The first byte behind the frame.
    pub top: Reg,
    /// Position of the operation that computes `top`.
    top_position: usize,
}

/// The parts of a call as it is written.
struct Call<'m> {
    returns: &'m [Operand],
    target: &'m str,
    arguments: &'m [Operand],
    /// Prototype or list of targets of a call through a pointer.
    table: Option<&'m str>,
}

impl<'m> Call<'m> {
    fn of(instruction: &'m ast::Instruction) -> Result<Self> {
        let (returns, rest): (&[Operand], _) = match instruction.operands.as_slice() {
            [Operand::List(list), rest @ ..] => (list, rest),
            rest => (&[], rest),
        };
        let (target, arguments, table): (_, &[Operand], _) = match rest {
            [Operand::Name(target)] => (target, &[], None),
            [Operand::Name(target), Operand::Name(table)] => (target, &[], Some(table.as_str())),
            [Operand::Name(target), Operand::List(list)] => (target, list, None),
            [Operand::Name(target), Operand::List(list), Operand::Name(table)] => (target, list, Some(table.as_str())),
            _ => return Err("form of call".into()),
        };
        Ok(Call { returns, target, arguments, table })
    }
}

/// Offsets of returns and of parameters in a frame, and the bytes of both.
struct Area {
    returns: Vec<u32>,
    params: Vec<u32>,
    bytes: u32,
}

impl Area {
    fn of(returns: &[Variable], params: &[Variable]) -> Self {
        let mut end = 0;
        let mut place = |variable: &Variable| {
            let offset = u64::from(end).next_multiple_of(layout::align(variable)) as u32;
            end = offset + layout::bytes(variable).unwrap_or(0) as u32;
            offset
        };
        let (returns, params) = (returns.iter().map(&mut place).collect(), params.iter().map(&mut place).collect());
        Area { returns, params, bytes: end }
    }
}

impl<'m> Builder<'m> {
    /// Inlines a call, or calls.
    pub(super) fn call(&mut self, instruction: &'m ast::Instruction) -> Result<()> {
        let call = Call::of(instruction)?;
        if let Some(Symbol::Register(target, Width::W64)) = self.find(call.target) {
            return self.unguarded(|builder| builder.call_pointer(target, &call));
        }
        if let Some(result) = decode::builtin_call(self, call.target, call.returns, call.arguments) {
            return result;
        }
        let callee = self.function_named(call.target)?;
        if call.returns.len() != callee.returns.len() || call.arguments.len() != callee.params.len() {
            return Err(format!("call of {} with other parameters than it has", call.target).into());
        }
        let inlined = !self.variables.functions.is_recursive(&callee.name) && self.code.len() < INLINE_LIMIT;
        self.unguarded(|builder| match inlined {
            true => builder.inline(callee, call.returns, call.arguments),
            false => {
                let target = CallTarget::Function(builder.callee(callee));
                builder.call_function(target, &callee.returns, &callee.params, &call)
            }
        })
    }

    fn function_named(&self, name: &str) -> Result<&'m ast::Function> {
        let resolved = self.variables.functions.resolve(name);
        let found = self.module.functions.iter().find(|f| f.name == resolved && f.body.is_some());
        found.ok_or_else(|| Problem::new(format!("call of {name}, which has no body")))
    }

    /// Builds something for the lanes of the guard only, without guarding each operation.
    pub(super) fn unguarded(&mut self, build: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.guard == PredSource::TRUE {
            return build(self);
        }
        let end = self.new_label();
        let skip = std::mem::replace(&mut self.guard, PredSource::TRUE).complement();
        self.code.push(Instruction::new(branch(end), skip, self.line));
        let result = build(self);
        self.place_label(end);
        result
    }

    /// The callee's parameters become names for the caller's.
    fn inline(&mut self, callee: &'m ast::Function, returns: &[Operand], arguments: &[Operand]) -> Result<()> {
        let end = self.new_label();
        let mut bound = Vec::new();
        for (variable, operand) in callee.params.iter().zip(arguments) {
            bound.push((variable, self.bind_argument(variable, operand)?));
        }
        for (variable, operand) in callee.returns.iter().zip(returns) {
            bound.push((variable, self.result_symbol(operand)?));
        }
        self.scopes.enter(true);
        for (variable, symbol) in bound {
            self.scopes.declare(&variable.name, symbol);
        }
        self.frames.push(Frame { return_label: Some(end), register_returns: Vec::new() });
        let body = callee.body.as_deref().unwrap_or_default();
        let saved = allocates(body).then(|| self.save_stack());
        let result = self.statements(body);
        self.frames.pop();
        self.scopes.leave();
        self.place_label(end);
        if let Some(saved) = saved {
            self.guard = PredSource::TRUE;
            self.restore_stack(saved);
        }
        result
    }

    /// What of the stack is free now.
    fn save_stack(&mut self) -> Reg {
        let d = self.new_register(Width::W64);
        self.emit(Op::Mov64 { d, a: self.stack.top });
        d
    }

    /// Gives back what was taken of the stack since `to` was free.
    pub(super) fn restore_stack(&mut self, to: Reg) {
        let top = self.stack.top;
        self.emit(Op::StackRestore { top, a: top, b: to });
    }

    fn result_symbol(&self, operand: &Operand) -> Result<Symbol> {
        let symbol = if let Operand::Name(name) = operand { self.find(name) } else { None };
        symbol.ok_or_else(|| Problem::new(format!("return operand {operand:?} is not a variable")))
    }

    /// What a callee's parameter stands for: the caller's variable, or a fresh one holding the value.
    fn bind_argument(&mut self, variable: &'m Variable, operand: &Operand) -> Result<Symbol> {
        if let Operand::Name(name) = operand
            && let Some(symbol @ Symbol::Local(_)) = self.find(name)
        {
            return Ok(symbol);
        }
        let width = register_width(variable.ty)?.ok_or("predicate argument")?;
        let value = self.source(operand, variable.ty, width)?;
        if variable.space == ast::Space::Reg {
            return Ok(Symbol::Register(value, width));
        }
        let offset = self.local.add(variable)?;
        let address = self.local_address(offset);
        self.store_local(address, value, width);
        Ok(Symbol::Local(offset))
    }

    fn store_local(&mut self, address: Address, value: Reg, width: Width) {
        let kind = MemoryKind { bytes: width.bytes() as u8, signed: false, width };
        self.emit(Op::Store { strong: false, space: Space::Local, kind, count: 1, a: [value; 4], address });
    }

    fn load_local(&mut self, d: Reg, address: Address, width: Width) {
        let kind = MemoryKind { bytes: width.bytes() as u8, signed: false, width };
        self.emit(Op::Load { strong: false, space: Space::Local, kind, count: 1, d: [d; 4], address });
    }

    /// Copies `bytes` of local memory in the largest pieces that the alignment of both ends allows.
    fn copy_local(&mut self, to: Address, from: Address, alignment: u32, bytes: u32) {
        let mut done = 0;
        while done < bytes {
            let fits = |size: &u32| alignment.is_multiple_of(*size) && done + size <= bytes;
            let size = [8, 4, 2, 1].into_iter().find(fits);
            let size = size.unwrap_or(1);
            let width = if size == 8 { Width::W64 } else { Width::W32 };
            let kind = MemoryKind { bytes: size as u8, signed: false, width };
            let behind = |address: Address| Address { offset: address.offset + done as i32, ..address };
            let value = self.new_register(width);
            let (space, strong, count) = (Space::Local, false, 1);
            self.emit(Op::Load { strong, space, kind, count, d: [value; 4], address: behind(from) });
            self.emit(Op::Store { strong, space, kind, count, a: [value; 4], address: behind(to) });
            done += size;
        }
    }

    fn call_pointer(&mut self, pointer: Reg, call: &Call<'m>) -> Result<()> {
        let table = call.table.ok_or("call through a pointer without a prototype")?;
        let table = self.scopes.table(table).ok_or_else(|| format!("{table} is neither prototype nor call targets"))?;
        let (returns, params): (&[Variable], &[Variable]) = match table {
            Statement::Prototype { returns, params, .. } => (returns, params),
            Statement::Targets { names, .. } => {
                let mut callees = names.iter().map(|name| self.function_named(name)).collect::<Result<Vec<_>>>()?;
                callees.iter().for_each(|callee| {
                    self.callee(callee);
                });
                let first = callees.pop().ok_or("no call targets")?;
                (&first.returns, &first.params)
            }
            _ => return Err("neither prototype nor call targets".into()),
        };
        if call.returns.len() != returns.len() || call.arguments.len() != params.len() {
            return Err("call with other parameters than its prototype has".into());
        }
        let area_bytes = Area::of(returns, params).bytes;
        if matches!(table, Statement::Prototype { .. }) {
            self.pointer_areas.insert(area_bytes);
        }
        self.call_function(CallTarget::Pointer { pointer, area_bytes }, returns, params, call)
    }

    /// Fills in the parameters, calls, and fetches the results.
    fn call_function(
        &mut self,
        target: CallTarget,
        returns: &[Variable],
        params: &[Variable],
        call: &Call<'m>,
    ) -> Result<()> {
        self.uses_stack = true;
        let area = Area::of(returns, params);
        let top = self.stack.top;
        let above = |offset: u32| Address { base: top, wide: true, offset: offset as i32 };
        for ((variable, offset), operand) in params.iter().zip(&area.params).zip(call.arguments) {
            let bytes = layout::bytes(variable).ok_or("parameter without a size")? as u32;
            let symbol = if let Operand::Name(name) = operand { self.find(name) } else { None };
            match symbol {
                Some(Symbol::Local(from)) => {
                    let alignment = common_alignment(from, *offset);
                    let from = self.local_address(from);
                    self.copy_local(above(*offset), from, alignment, bytes);
                }
                _ => {
                    let width = register_width(variable.ty)?.ok_or("predicate argument")?;
                    let value = self.source(operand, variable.ty, width)?;
                    self.store_local(above(*offset), value, width);
                }
            }
        }
        self.emit(Op::CallFunction { target, top, saved: Box::<RegisterSet>::default() });
        for ((variable, offset), operand) in returns.iter().zip(&area.returns).zip(call.returns) {
            let bytes = layout::bytes(variable).ok_or("result without a size")? as u32;
            match self.result_symbol(operand)? {
                Symbol::Local(to) => {
                    let alignment = common_alignment(to, *offset);
                    let to = self.local_address(to);
                    self.copy_local(to, above(*offset), alignment, bytes);
                }
                Symbol::Register(d, width) => self.load_local(d, above(*offset), width),
                _ => return Err("form of a call's result".into()),
            }
        }
        Ok(())
    }

    /// The number of a function that the program holds once; it is built later.
    fn callee(&mut self, function: &'m ast::Function) -> u32 {
        let known = self.pending.iter().position(|other| std::ptr::eq(*other, function));
        known.unwrap_or_else(|| {
            self.pending.push(function);
            self.pending.len() - 1
        }) as u32
    }

    /// Builds the functions that are called, and those that calls through pointers may reach.
    pub(super) fn callees(&mut self) -> Result<()> {
        let mut known_areas = 0;
        loop {
            if let Some(function) = self.pending.get(self.callees.len()).copied() {
                let callee = self.function(function)?;
                self.callees.push(callee);
            } else if known_areas < self.pointer_areas.len() {
                known_areas = self.pointer_areas.len();
                for name in self.variables.functions.taken() {
                    let function = self.function_named(name)?;
                    if self.pointer_areas.contains(&Area::of(&function.returns, &function.params).bytes) {
                        self.callee(function);
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    /// Builds a function that the program holds once.
    fn function(&mut self, function: &'m ast::Function) -> Result<Callee> {
        let area = Area::of(&function.returns, &function.params);
        let start = self.code.len() as u32;
        self.guard = PredSource::TRUE;
        self.line = function.line;
        self.carry = None;
        self.local = layout::LocalLayout { bytes: area.bytes };
        let frame = self.new_register(Width::W64);
        self.begin_stack(Some(frame));
        self.scopes.enter(true);
        let mut register_returns = Vec::new();
        for (variable, offset) in function.returns.iter().zip(&area.returns) {
            if let Some((reg, width)) = self.declare_parameter(variable, *offset)? {
                register_returns.push((reg, width, *offset));
            }
        }
        for (variable, offset) in function.params.iter().zip(&area.params) {
            if let Some((reg, width)) = self.declare_parameter(variable, *offset)? {
                let address = self.local_address(*offset);
                self.load_local(reg, address, width);
            }
        }
        self.frames = vec![Frame { return_label: None, register_returns }];
        self.in_function = true;
        self.statements(function.body.as_deref().unwrap_or_default())?;
        self.guard = PredSource::TRUE;
        self.emit_return();
        self.scopes.leave();
        let frame_bytes = self.end_stack();
        Ok(Callee {
            name: function.name.clone(),
            address: self.variables.functions.address(&function.name).unwrap_or(0),
            start,
            frame,
            frame_bytes,
            area_bytes: area.bytes,
        })
    }

    /// Names a parameter or result at `offset` of the frame; its register, where it has one.
    fn declare_parameter(&mut self, variable: &'m Variable, offset: u32) -> Result<Option<(Reg, Width)>> {
        if variable.space != ast::Space::Reg {
            self.scopes.declare(&variable.name, Symbol::Local(offset));
            return Ok(None);
        }
        let width = register_width(variable.ty)?.ok_or("predicate parameter")?;
        let reg = self.new_register(width);
        self.scopes.declare(&variable.name, Symbol::Register(reg, width));
        Ok(Some((reg, width)))
    }

    /// `ret`: leaves the kernel, an inlined function, or one that was called.
    pub(super) fn emit_return(&mut self) {
        let frame = self.frames.last().expect("instructions belong to a function");
        if let Some(label) = frame.return_label {
            return self.emit(branch(label));
        }
        if !self.in_function {
            return self.emit(Op::Exit);
        }
        for (reg, width, offset) in frame.register_returns.clone() {
            let address = self.local_address(offset);
            self.store_local(address, reg, width);
        }
        self.emit(Op::Return);
    }

    /// Begins a frame at the address in `frame`; its size is not known yet.
    pub(super) fn begin_stack(&mut self, frame: Option<Reg>) {
        let top = self.new_register(Width::W64);
        self.stack = Stack { frame, top, top_position: self.code.len() };
        self.emit(Op::Mov64 { d: top, a: frame.unwrap_or(top) });
    }

    /// Ends the frame, now that its size is known: its bytes.
    pub(super) fn end_stack(&mut self) -> u32 {
        let bytes = self.local.bytes.next_multiple_of(FRAME_ALIGNMENT).max(FRAME_ALIGNMENT);
        let size = self.constant(Width::W64, u64::from(bytes));
        let Stack { frame, top, top_position } = self.stack;
        self.code[top_position].op = match frame {
            Some(a) => Op::IntBinary { op: IntBinary::Add, width: Width::W64, d: top, a, b: size },
            None => Op::Mov64 { d: top, a: size },
        };
        bytes
    }
}

impl Stack {
    /// Of a builder that has not begun.
    pub(super) fn none() -> Self {
        Stack { frame: None, top: Reg(0), top_position: 0 }
    }
}

/// Whether a function takes memory of the stack itself.
fn allocates(body: &[Statement]) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Instruction(instruction) => instruction.opcode == "alloca",
        Statement::Scope(inner) => allocates(inner),
        _ => false,
    })
}

/// The largest power of two up to 16 that divides both offsets.
fn common_alignment(a: u32, b: u32) -> u32 {
    1 << (a | b | FRAME_ALIGNMENT).trailing_zeros()
}
