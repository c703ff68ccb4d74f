//! Places variables: `.global` and `.const` in device memory, `.shared` in the block's, parameters in their block.

use super::functions::Functions;
use super::{Problem, Result};
use crate::isa::SharedVariable;
use crate::memory::Memory;
use crate::ptx::ast::{self, Immediate, Init, Linking, Operand, Statement, Type, Variable};
use std::collections::{HashMap, HashSet};

/// Address and bytes of variables by name.
pub type Placed = HashMap<String, (u64, u64)>;

/// Device addresses of the module's `.global` and `.const` variables.
#[derive(Clone, Debug, Default)]
pub struct ModuleVariables {
    pub placed: Placed,
    /// Names of those that the host reaches, too, and that lie here.
    pub managed: HashSet<String>,
    /// Bytes of the `.const` variables.
    pub constant_bytes: u64,
    pub functions: Functions,
}

/// Bytes of a variable; `None` for an unsized one (`[]`).
pub(super) fn bytes(variable: &Variable) -> Option<u64> {
    match variable.count {
        Some(0) => None,
        count => Some(count.unwrap_or(1) * u64::from(variable.vector.max(1)) * variable.ty.bytes() as u64),
    }
}

pub(super) fn align(variable: &Variable) -> u64 {
    let natural = (variable.vector.max(1) as usize * variable.ty.bytes()) as u64;
    u64::from(variable.align.unwrap_or(0)).max(natural).max(1)
}

impl ModuleVariables {
    /// Allocates and initialises every `.global` and `.const` variable of `module` but those that lie `elsewhere`.
    pub(crate) fn place(module: &ast::Module, memory: &mut Memory, elsewhere: &Placed) -> Result<Self> {
        let here: Vec<&Variable> =
            module.variables.iter().filter(|variable| !elsewhere.contains_key(&variable.name)).collect();
        Self::place_some(module, &here, memory, elsewhere)
    }

    /// Allocates and initialises the variables of `module` that the host reaches, too.
    pub(crate) fn place_managed(module: &ast::Module, memory: &mut Memory) -> Result<Placed> {
        let managed: Vec<&Variable> = module.variables.iter().filter(|variable| variable.managed).collect();
        Self::place_some(module, &managed, memory, &Placed::new()).map(|variables| variables.placed)
    }

    fn place_some(module: &ast::Module, here: &[&Variable], memory: &mut Memory, elsewhere: &Placed) -> Result<Self> {
        let functions = Functions::of(module);
        let mut variables = ModuleVariables { functions, placed: elsewhere.clone(), ..ModuleVariables::default() };
        let here = defined(here);
        for variable in &here {
            if matches!(variable.space, ast::Space::Global | ast::Space::Const) {
                let at_line = |p: Problem| Problem { line: Some(variable.line), ..p };
                variables.allocate(variable, memory).map_err(at_line)?;
            }
        }
        for variable in &here {
            if let Some(&(address, bytes)) = variables.placed.get(&variable.name) {
                let image = variables.image(variable, bytes)?;
                // SAFETY: `Memory` gave `bytes` host-addressable bytes at `address` to this module.
                unsafe { std::ptr::copy_nonoverlapping(image.as_ptr(), address as *mut u8, image.len()) };
                memory.mark_written(address, bytes);
            }
        }
        Ok(variables)
    }

    fn allocate(&mut self, variable: &Variable, memory: &mut Memory) -> Result<()> {
        let Some(bytes) = bytes(variable) else {
            return match variable.linking {
                Linking::Extern => Ok(()),
                _ => Err(format!("variable {} has no size", variable.name).into()),
            };
        };
        let address = memory.allocate(bytes.max(1)).ok_or_else(|| Problem::new("no device memory for a variable"))?;
        self.placed.insert(variable.name.clone(), (address, bytes));
        if variable.managed {
            self.managed.insert(variable.name.clone());
        }
        if variable.space == ast::Space::Const {
            self.constant_bytes += bytes;
        }
        Ok(())
    }

    /// The initial bytes: the initialiser, then zeros.
    fn image(&self, variable: &Variable, bytes: u64) -> Result<Vec<u8>> {
        let mut image = Vec::with_capacity(bytes as usize);
        for init in &variable.init {
            let value = match init {
                Init::Number(number) => immediate_bits(*number, variable.ty),
                Init::Address { symbol, offset, mask, .. } => {
                    let placed = self.placed.get(symbol).map(|(address, _)| *address);
                    let address = placed.or_else(|| self.functions.address(symbol)).ok_or_else(|| {
                        Problem::new(format!("initialiser of {} names unknown {symbol}", variable.name))
                    })?;
                    let address = address.wrapping_add_signed(*offset);
                    mask.map_or(address, |mask| (address & mask) >> mask.trailing_zeros())
                }
            };
            image.extend_from_slice(&value.to_le_bytes()[..variable.ty.bytes().min(8)]);
        }
        image.resize(bytes as usize, 0);
        Ok(image)
    }
}

/// The definitions among variables, one a name: of linked texts several may define a weak or common one, and most only
/// declare what another defines.
fn defined<'m>(variables: &[&'m Variable]) -> Vec<&'m Variable> {
    let mut names = HashSet::new();
    let (strong, weak): (Vec<&Variable>, Vec<&Variable>) = variables
        .iter()
        .filter(|variable| variable.linking != Linking::Extern)
        .partition(|variable| !matches!(variable.linking, Linking::Weak | Linking::Common));
    strong.into_iter().chain(weak).filter(|variable| names.insert(variable.name.as_str())).collect()
}

/// The bits of an immediate where a value of `ty` is wanted.
pub(crate) fn immediate_bits(immediate: Immediate, ty: Type) -> u64 {
    match (immediate, ty) {
        (Immediate::Integer(value), Type::F32) => u64::from((value as f32).to_bits()),
        (Immediate::Integer(value), Type::F64) => (value as f64).to_bits(),
        (Immediate::Integer(value), _) => value as u64,
        (Immediate::F32(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
        (Immediate::F32(bits), _) => u64::from(bits),
        (Immediate::F64(bits), Type::F32) => u64::from((f64::from_bits(bits) as f32).to_bits()),
        (Immediate::F64(bits), _) => bits,
    }
}

/// Offsets of a kernel's parameters and the bytes of the whole block.
pub fn parameters(function: &ast::Function) -> (Vec<crate::exec::Parameter>, usize) {
    let mut end = 0;
    let parameters = function
        .params
        .iter()
        .map(|variable| {
            let bytes = bytes(variable).unwrap_or(0) as usize;
            let offset = (end as u64).next_multiple_of(align(variable)) as usize;
            end = offset + bytes;
            crate::exec::Parameter { offset, bytes }
        })
        .collect();
    (parameters, end)
}

/// Where a kernel's `.shared` variables lie, its own and those of the functions it calls.
#[derive(Debug, Default)]
pub(crate) struct SharedLayout<'m> {
    /// Keyed by the declaration itself: names repeat across functions.
    offsets: HashMap<*const Variable, u32>,
    /// Those of a fixed size.
    pub variables: Vec<SharedVariable>,
    pub static_bytes: u32,
    /// First byte of the dynamic memory, where unsized externs begin.
    pub dynamic_offset: u32,
    externs: Vec<&'m Variable>,
}

impl<'m> SharedLayout<'m> {
    pub(crate) fn of(module: &'m ast::Module, function: &'m ast::Function) -> Self {
        let (mut names, mut local) = (HashSet::new(), Vec::new());
        let mut pending = vec![function];
        let mut seen = HashSet::new();
        while let Some(function) = pending.pop() {
            if !seen.insert(&function.name) {
                continue;
            }
            let mut found = HashSet::new();
            collect(function.body.as_deref().unwrap_or_default(), &mut found, &mut local);
            pending.extend(module.functions.iter().filter(|f| f.body.is_some() && found.contains(f.name.as_str())));
            names.extend(found);
        }
        let used = module.variables.iter().filter(|v| v.space == ast::Space::Shared && names.contains(v.name.as_str()));
        let mut layout = SharedLayout::default();
        for variable in used.chain(local) {
            layout.add(variable);
        }
        layout.finish();
        layout
    }

    fn add(&mut self, variable: &'m Variable) {
        let Some(bytes) = bytes(variable) else {
            self.externs.push(variable);
            return;
        };
        let offset = u64::from(self.static_bytes).next_multiple_of(align(variable));
        self.offsets.insert(variable, offset as u32);
        let name = variable.name.clone();
        self.variables.push(SharedVariable { name, offset: offset as u32, bytes: bytes as u32 });
        self.static_bytes = (offset + bytes) as u32;
    }

    fn finish(&mut self) {
        let alignment = self.externs.iter().map(|v| align(v)).max().unwrap_or(1);
        self.dynamic_offset = u64::from(self.static_bytes).next_multiple_of(alignment) as u32;
        for variable in std::mem::take(&mut self.externs) {
            self.offsets.insert(variable, self.dynamic_offset);
        }
    }

    pub(crate) fn offset(&self, variable: &Variable) -> Option<u32> {
        self.offsets.get(&std::ptr::from_ref(variable)).copied()
    }
}

/// Bytes of per-thread memory, growing as variables are placed.
#[derive(Debug, Default)]
pub(crate) struct LocalLayout {
    pub bytes: u32,
}

impl LocalLayout {
    pub(crate) fn add(&mut self, variable: &Variable) -> Result<u32> {
        let bytes = bytes(variable).ok_or_else(|| Problem::new(format!("variable {} has no size", variable.name)))?;
        let offset = u64::from(self.bytes).next_multiple_of(align(variable));
        self.bytes = (offset + bytes) as u32;
        Ok(offset as u32)
    }
}

/// Collects the names that `statements` mention and the `.shared` variables that they declare.
fn collect<'m>(statements: &'m [Statement], names: &mut HashSet<&'m str>, shared: &mut Vec<&'m Variable>) {
    for statement in statements {
        match statement {
            Statement::Instruction(instruction) => instruction.operands.iter().for_each(|o| mention(o, names)),
            Statement::Scope(inner) => collect(inner, names, shared),
            Statement::Variable(variable) if variable.space == ast::Space::Shared => shared.push(variable),
            _ => {}
        }
    }
}

fn mention<'m>(operand: &'m Operand, names: &mut HashSet<&'m str>) {
    match operand {
        Operand::Name(name)
        | Operand::Address { base: name, .. }
        | Operand::Tensor { base: name, .. }
        | Operand::NameOffset(name, _) => {
            names.insert(name);
        }
        Operand::Vector(list) | Operand::List(list) => list.iter().for_each(|o| mention(o, names)),
        Operand::Not(_) | Operand::Pair(..) | Operand::Immediate(_) => {}
    }
}
