//! Loads, stores, atomics, asynchronous copies and matrix loads.

use super::bulk;
use super::convert::space;
use super::mbarrier::arrive_after_copies;
use super::{Builder, Modifiers, Result, is_signed, take, width};
use crate::isa::*;
use crate::lower::scope::Symbol;
use crate::ptx::ast::{Operand, Type};

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    match opcode {
        "ld" | "ldu" => load(b, m, operands)?,
        "st" => store(b, m, operands)?,
        "atom" => atomic(b, m, operands, true)?,
        "red" if !m.has("async") => atomic(b, m, operands, false)?,
        "ldmatrix" | "stmatrix" => matrix(b, opcode, m, operands)?,
        "cp" => copy(b, m, operands)?,
        // Asynchronous copies see memory as their thread does.
        "fence" if m.has("proxy") && m.has("async") => m.ignore_where(|_| true),
        "membar" | "fence" => {
            let device = !m.has("cta");
            m.ignore_where(|word| !word.starts_with("proxy"));
            b.emit(Op::Fence { device });
        }
        "prefetch" | "prefetchu" | "applypriority" | "discard" => m.ignore_where(|word| !word.starts_with("tensormap")),
        "createpolicy" => {
            m.ignore_where(|_| true);
            let [d, ..] = operands else {
                return Err("no destination".into());
            };
            let (d, a) = (b.destination(d, Width::W64)?, b.constant(Width::W64, 0));
            b.emit(Op::Mov64 { d, a });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether a load or store may meet those of other threads.
fn is_strong(m: &Modifiers) -> bool {
    ["volatile", "relaxed", "acquire", "release", "mmio"].iter().any(|word| m.has(word))
}

/// A write or atomic that releases is a fence and then a relaxed one (PTX ISA, release patterns).
fn fence_before_release(b: &mut Builder, m: &Modifiers) {
    if m.has("release") || m.has("acq_rel") {
        b.emit(Op::Fence { device: !m.has("cta") });
    }
}

/// Words about caches, ordering and scope: every access is performed at once and in order.
fn ignore_cache_words(m: &mut Modifiers) {
    m.ignore(&[
        "volatile",
        "weak",
        "relaxed",
        "acquire",
        "release",
        "acq_rel",
        "sc",
        "mmio",
        "cta",
        "gpu",
        "sys",
        "cluster",
        "ca",
        "cg",
        "cs",
        "lu",
        "cv",
        "wb",
        "wt",
        "nc",
        "evict_last",
        "evict_first",
        "no_allocate",
        "unified",
    ]);
    m.ignore_where(|word| word.starts_with("L1::") || word.starts_with("L2::"));
}

fn space_or_generic(m: &mut Modifiers) -> Space {
    m.ignore(&["entry", "func"]);
    let word = ["param::entry", "param::func"].into_iter().any(|word| m.flag(word));
    if word { Space::Param } else { space(m).unwrap_or(Space::Generic) }
}

/// The space that an access really goes to: a variable's own, where one is named.
pub(super) fn resolve_space(space: Space, symbol: Option<Symbol>) -> Result<Space> {
    Ok(match (space, symbol) {
        (Space::Param, Some(Symbol::Parameter(_)) | None) => Space::Param,
        // Parameters of inlined calls lie in local memory.
        (Space::Param, Some(Symbol::Local(_))) => Space::Local,
        (Space::Generic, Some(Symbol::Shared(_))) => Space::Shared,
        (Space::Generic, Some(Symbol::Local(_))) => Space::Local,
        (Space::Generic, Some(Symbol::Parameter(_))) => Space::Param,
        (Space::Shared, Some(Symbol::Global(_) | Symbol::Local(_) | Symbol::Parameter(_)))
        | (Space::Global, Some(Symbol::Shared(_) | Symbol::Local(_) | Symbol::Parameter(_)))
        | (Space::Local, Some(Symbol::Global(_) | Symbol::Shared(_) | Symbol::Parameter(_))) => {
            return Err("variable of another state space".into());
        }
        (space, _) => space,
    })
}

fn vector_count(m: &mut Modifiers) -> u8 {
    m.choose(&[("v2", 2), ("v4", 4), ("v8", 8)]).unwrap_or(1)
}

fn elements(operand: &Operand, count: u8) -> Result<&[Operand]> {
    let elements = match operand {
        Operand::Vector(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    };
    if elements.len() != count as usize {
        return Err("number of vector elements".into());
    }
    Ok(elements)
}

fn memory_kind(ty: Type, register: Width) -> Result<MemoryKind> {
    let bytes = ty.bytes();
    if bytes > register.bytes() as usize || bytes > 8 {
        return Err("register narrower than the type".into());
    }
    Ok(MemoryKind { bytes: bytes as u8, signed: is_signed(ty), width: register })
}

fn load(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let space = space_or_generic(m);
    let strong = is_strong(m);
    ignore_cache_words(m);
    let count = vector_count(m);
    let ty = m.ty()?;
    let (destination, source) = match operands {
        // The last operand may be a cache policy.
        [d, a] | [d, a, _] => (d, a),
        _ => return Err("number of operands".into()),
    };
    let (address, symbol) = b.address(source)?;
    let space = resolve_space(space, symbol)?;
    if ty == Type::B128 {
        single(count)?;
        let d = repeated(b.destination_halves(destination)?);
        b.emit(Op::Load { strong, space, kind: HALF, count: 2, d, address });
        return Ok(());
    }
    let elements = elements(destination, count)?;
    if let Some((lower, upper)) = halves(elements, ty)? {
        let half = Half { strong, space, ty, address };
        return load_half(b, &half, 0, lower).and_then(|()| load_half(b, &half, 16, upper));
    }
    let mut d = [Reg(0); 4];
    let mut register = width(ty)?;
    for (d, element) in d.iter_mut().zip(elements) {
        (*d, register) = b.destination_any(element, width(ty)?)?;
    }
    let kind = memory_kind(ty, register)?;
    if let (Space::Param, Some(Symbol::Parameter(_)), Operand::Address { base, offset }) = (space, symbol, source) {
        return load_parameter(b, base, *offset, kind, &d[..count as usize]);
    }
    b.emit(Op::Load { strong, space, kind, count, d, address });
    Ok(())
}

/// A half of a 128-bit register.
const HALF: MemoryKind = MemoryKind { bytes: 8, signed: false, width: Width::W64 };

/// 128-bit registers come one by one.
fn single(count: u8) -> Result<()> {
    if count == 1 { Ok(()) } else { Err("vector of type .b128".into()) }
}

fn repeated([low, high]: [Reg; 2]) -> [Reg; 4] {
    [low, high, low, high]
}

/// An access of eight 32-bit elements goes in two steps.
struct Half {
    strong: bool,
    space: Space,
    ty: Type,
    address: Address,
}

impl Half {
    fn at(&self, offset: i32) -> Result<Address> {
        let offset = self.address.offset.checked_add(offset).ok_or("address offset beyond 32 bits")?;
        Ok(Address { offset, ..self.address })
    }
}

/// The halves of a vector of eight; `None` for the shorter ones.
fn halves(elements: &[Operand], ty: Type) -> Result<Option<(&[Operand], &[Operand])>> {
    match (elements.len(), ty.bytes()) {
        (..=4, _) => Ok(None),
        (8, 4) => Ok(Some(elements.split_at(4))),
        _ => Err("number of vector elements".into()),
    }
}

fn load_half(b: &mut Builder, half: &Half, offset: i32, elements: &[Operand]) -> Result<()> {
    let address = half.at(offset)?;
    let mut d = [Reg(0); 4];
    for (d, element) in d.iter_mut().zip(elements) {
        *d = b.destination(element, Width::W32)?;
    }
    // A 32-bit address may lie in one of the first four destinations.
    if d.contains(&address.base) && offset == 0 {
        return Err("vector of eight over its own address".into());
    }
    let kind = memory_kind(half.ty, Width::W32)?;
    b.emit(Op::Load { strong: half.strong, space: half.space, kind, count: 4, d, address });
    Ok(())
}

fn store_half(b: &mut Builder, half: &Half, offset: i32, elements: &[Operand]) -> Result<()> {
    let address = half.at(offset)?;
    let mut a = [Reg(0); 4];
    for (a, element) in a.iter_mut().zip(elements) {
        *a = b.source(element, half.ty, Width::W32)?;
    }
    let kind = memory_kind(half.ty, Width::W32)?;
    b.emit(Op::Store { strong: half.strong, space: half.space, kind, count: 4, a, address });
    Ok(())
}

/// A parameter at a fixed place becomes a copy from the bank.
fn load_parameter(b: &mut Builder, name: &str, offset: i64, kind: MemoryKind, d: &[Reg]) -> Result<()> {
    let Some(Symbol::Parameter(start)) = b.find(name) else {
        return Err(format!("{name} is not a parameter").into());
    };
    for (index, d) in d.iter().enumerate() {
        let offset = i64::from(start) + offset + index as i64 * i64::from(kind.bytes);
        let offset = u32::try_from(offset).map_err(|_| "parameter offset below zero")?;
        let a = b.parameter(offset, kind);
        b.emit(if kind.width == Width::W64 { Op::Mov64 { d: *d, a } } else { Op::Mov32 { d: *d, a } });
    }
    Ok(())
}

fn store(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let space = space_or_generic(m);
    let strong = is_strong(m);
    fence_before_release(b, m);
    ignore_cache_words(m);
    if m.has("async") || m.has("bulk") {
        return Err("asynchronous store".into());
    }
    let count = vector_count(m);
    let ty = m.ty()?;
    let (target, source) = match operands {
        [a, d] | [a, d, _] => (a, d),
        _ => return Err("number of operands".into()),
    };
    let (address, symbol) = b.address(target)?;
    let space = resolve_space(space, symbol)?;
    if space == Space::Param {
        return Err("store to a kernel parameter".into());
    }
    if ty == Type::B128 {
        single(count)?;
        let a = repeated(b.source_halves(source)?);
        b.emit(Op::Store { strong, space, kind: HALF, count: 2, a, address });
        return Ok(());
    }
    let elements = elements(source, count)?;
    if let Some((lower, upper)) = halves(elements, ty)? {
        let half = Half { strong, space, ty, address };
        return store_half(b, &half, 0, lower).and_then(|()| store_half(b, &half, 16, upper));
    }
    let mut a = [Reg(0); 4];
    let mut register = width(ty)?;
    for (a, element) in a.iter_mut().zip(elements) {
        let (reg, found) = b.source_any(element, ty, width(ty)?)?;
        // Vectors may mix immediates, which are as wide as the type, with wider registers.
        if count > 1 && found != width(ty)? {
            return Err("vector of registers wider than the type".into());
        }
        (*a, register) = (reg, found);
    }
    let kind = memory_kind(ty, register)?;
    b.emit(Op::Store { strong, space, kind, count, a, address });
    Ok(())
}

fn atomic_type(ty: Type) -> Result<AtomicType> {
    use Type::*;
    Ok(match ty {
        B32 | U32 => AtomicType::U32,
        S32 => AtomicType::S32,
        B64 | U64 => AtomicType::U64,
        S64 => AtomicType::S64,
        B16 => AtomicType::B16,
        F32 => AtomicType::F32,
        F64 => AtomicType::F64,
        F16 => AtomicType::F16,
        F16x2 => AtomicType::F16x2,
        Bf16 => AtomicType::Bf16,
        Bf16x2 => AtomicType::Bf16x2,
        B128 => AtomicType::B128,
        _ => return Err("atomic of this type".into()),
    })
}

fn atomic(b: &mut Builder, m: &mut Modifiers, operands: &[Operand], returns: bool) -> Result<()> {
    let space = space_or_generic(m);
    let op = m.require(
        "atomic operation",
        &[
            ("add", AtomicOp::Add),
            ("min", AtomicOp::Min),
            ("max", AtomicOp::Max),
            ("and", AtomicOp::And),
            ("or", AtomicOp::Or),
            ("xor", AtomicOp::Xor),
            ("exch", AtomicOp::Exchange),
            ("cas", AtomicOp::CompareExchange),
            ("inc", AtomicOp::Inc),
            ("dec", AtomicOp::Dec),
        ],
    )?;
    fence_before_release(b, m);
    ignore_cache_words(m);
    m.flag("noftz");
    let count = vector_count(m);
    let ty = m.ty()?;
    let kind = atomic_type(ty)?;
    check_atomic(op, kind, count)?;
    let (destinations, rest) = match (operands, returns) {
        ([d, rest @ ..], true) => (Some(d), rest),
        (rest, _) => (None, rest),
    };
    // The last operand may be a cache policy.
    let (target, x, y) = match (rest, op) {
        ([a, x, y] | [a, x, y, _], AtomicOp::CompareExchange) => (a, x, y),
        ([a, x] | [a, x, _], _) if op != AtomicOp::CompareExchange => (a, x, x),
        _ => return Err("number of operands".into()),
    };
    let (address, symbol) = b.address(target)?;
    let space = resolve_space(space, symbol)?;
    if ty == Type::B128 {
        let d = destinations.map(|d| b.destination_halves(d)).transpose()?;
        let (x, y) = (b.source_halves(x)?, b.source_halves(y)?);
        b.emit(Op::Atomic { space, op, ty: kind, d, address, b: x, c: y });
        return Ok(());
    }
    let destinations = destinations.map(|d| elements(d, count)).transpose()?;
    let w = width(ty)?;
    let mut old = Vec::new();
    for (index, (x, y)) in elements(x, count)?.iter().zip(elements(y, count)?).enumerate() {
        let (x, y) = (b.source(x, ty, w)?, b.source(y, ty, w)?);
        let offset = address.offset.checked_add((index * ty.bytes()) as i32).ok_or("address offset beyond 32 bits")?;
        let d = match destinations.map(|d| &d[index]) {
            // Later elements may be read from the destinations of earlier ones.
            Some(d) if count > 1 => {
                let value = b.new_register(w);
                old.push((b.destination(d, w)?, value));
                Some(value)
            }
            Some(d) => Some(b.destination(d, w)?),
            None => None,
        };
        let (d, address) = (d.map(|d| [d; 2]), Address { offset, ..address });
        b.emit(Op::Atomic { space, op, ty: kind, d, address, b: [x; 2], c: [y; 2] });
    }
    for (d, a) in old {
        b.emit(Op::Mov32 { d, a });
    }
    Ok(())
}

/// Whether the operation exists for the type, and for vectors of it.
fn check_atomic(op: AtomicOp, ty: AtomicType, count: u8) -> Result<()> {
    use AtomicType::{Bf16, Bf16x2, F16, F16x2, F32};
    let known = match (op, count) {
        (_, 1) if ty == AtomicType::B128 => matches!(op, AtomicOp::Exchange | AtomicOp::CompareExchange),
        (_, 1) => !is_float_atomic(ty) || matches!(op, AtomicOp::Add | AtomicOp::Exchange),
        (AtomicOp::Add, _) => matches!(ty, F32 | F16 | F16x2 | Bf16 | Bf16x2),
        (AtomicOp::Min | AtomicOp::Max, _) => matches!(ty, F16 | F16x2 | Bf16 | Bf16x2),
        _ => false,
    };
    if known { Ok(()) } else { Err("atomic operation of this type".into()) }
}

fn is_float_atomic(ty: AtomicType) -> bool {
    use AtomicType::*;
    matches!(ty, F16 | F16x2 | Bf16 | Bf16x2 | F32 | F64)
}

fn matrix(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    m.ignore(&["sync", "aligned"]);
    m.require("shape", &[("m8n8", ())])?;
    let count = m.require("count", &[("x1", 1), ("x2", 2), ("x4", 4)])?;
    let transpose = m.flag("trans");
    let space = space_or_generic(m);
    m.require("type", &[("b16", ())])?;
    let [first, second] = take(operands)?;
    let (registers, target) = if opcode == "ldmatrix" { (first, second) } else { (second, first) };
    let (mut address, symbol) = b.address(target)?;
    match resolve_space(space, symbol)? {
        Space::Shared => {}
        Space::Generic => address = generic_to_shared(b, address)?,
        _ => return Err("matrix outside shared memory".into()),
    }
    let mut regs = [Reg(0); 4];
    for (reg, element) in regs.iter_mut().zip(elements(registers, count)?) {
        *reg = match opcode {
            "ldmatrix" => b.destination(element, Width::W32)?,
            _ => b.source(element, Type::B32, Width::W32)?,
        };
    }
    b.emit(match opcode {
        "ldmatrix" => Op::LoadMatrix { count, transpose, d: regs, address },
        _ => Op::StoreMatrix { count, transpose, a: regs, address },
    });
    Ok(())
}

fn generic_to_shared(b: &mut Builder, address: Address) -> Result<Address> {
    if !address.wide {
        return Err("32-bit generic addresses".into());
    }
    let start = b.constant(Width::W64, crate::exec::SHARED_WINDOW);
    let base = b.new_register(Width::W64);
    b.emit(Op::IntBinary { op: IntBinary::Sub, width: Width::W64, d: base, a: address.base, b: start });
    Ok(Address { base, ..address })
}

/// `cp.async` and its groups.
fn copy(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    if !m.flag("async") {
        return Err("form of cp".into());
    }
    if m.flag("bulk") {
        return bulk::copy(b, m, operands);
    }
    if m.flag("mbarrier") {
        return arrive_after_copies(b, m, operands);
    }
    if m.flag("commit_group") {
        b.emit(Op::CopyCommit);
        return Ok(());
    }
    if m.flag("wait_all") {
        b.emit(Op::CopyWait { pending: 0, all: true });
        return Ok(());
    }
    if m.flag("wait_group") {
        let [Operand::Immediate(crate::ptx::ast::Immediate::Integer(pending))] = operands else {
            return Err("wait_group without a number".into());
        };
        b.emit(Op::CopyWait { pending: *pending as u32, all: false });
        return Ok(());
    }
    ignore_cache_words(m);
    m.ignore(&["shared", "shared::cta", "global"]);
    let (to, from, bytes, rest) = match operands {
        [to, from, Operand::Immediate(crate::ptx::ast::Immediate::Integer(bytes)), rest @ ..] => {
            (to, from, *bytes as u8, rest)
        }
        _ => return Err("operands of cp.async".into()),
    };
    if !matches!(bytes, 4 | 8 | 16) {
        return Err("size of cp.async".into());
    }
    let ((to, _), (from, _)) = (b.address(to)?, b.address(from)?);
    let source_bytes = match rest {
        [] => None,
        // Either the bytes to read, or a predicate that makes them none.
        [operand] => Some(match b.source(operand, Type::U32, Width::W32) {
            Ok(reg) => reg,
            Err(_) => {
                let p = b.source_predicate(operand)?;
                let (zero, all) = (b.constant(Width::W32, 0), b.constant(Width::W32, u64::from(bytes)));
                let d = b.new_register(Width::W32);
                b.emit(Op::Selp { width: Width::W32, d, a: zero, b: all, p });
                d
            }
        }),
        _ => return Err("cache policy of cp.async".into()),
    };
    b.emit(Op::CopyAsync { bytes, to, from, source_bytes });
    Ok(())
}
