//! Matrix products of a warp: `mma.sync`, `wmma`, `movmatrix`.

use super::memory::resolve_space;
use super::{Builder, Modifiers, Result, take};
use crate::isa::*;
use crate::ptx::ast::{Immediate, Operand, Type};

pub(super) fn decode(b: &mut Builder, opcode: &str, m: &mut Modifiers, operands: &[Operand]) -> Result<bool> {
    match opcode {
        "mma" if m.has("sp") || m.has("sp::ordered_metadata") => sparse_product(b, m, operands)?,
        "mma" => mma(b, m, operands)?,
        "wmma" if m.flag("mma") => wmma_product(b, m, operands)?,
        "wmma" if m.flag("load") => load(b, m, operands)?,
        "wmma" if m.flag("store") => store(b, m, operands)?,
        "movmatrix" => {
            m.ignore(&["sync", "aligned", "m8n8", "trans", "b16"]);
            let [d, a] = take(operands)?;
            let (a, d) = (b.source(a, Type::B32, Width::W32)?, b.destination(d, Width::W32)?);
            b.emit(Op::TransposeMatrix { d, a });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Rows of A, columns of B, columns of A.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    m: u32,
    n: u32,
    k: u32,
}

impl Shape {
    /// `m16n8k16`
    fn named(word: &str) -> Option<Shape> {
        let (m, rest) = word.strip_prefix('m')?.split_once('n')?;
        let (n, k) = rest.split_once('k')?;
        Some(Shape { m: m.parse().ok()?, n: n.parse().ok()?, k: k.parse().ok()? })
    }

    fn fragment(self, role: Role, element: Element) -> Fragment {
        let (rows, columns) = match role {
            Role::A => (self.m, self.k),
            Role::B => (self.n, self.k),
            Role::Accumulator => (self.m, self.n),
        };
        Fragment { role, element, rows, columns }
    }
}

/// Kinds of products that have shapes of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Mma,
    Sparse,
    Wmma,
}

/// Shapes that each kind has for elements of A and B (PTX ISA, "Matrix shape").
fn shapes(kind: Kind, a: Element, b: Element) -> &'static [(u32, u32, u32)] {
    use Element::*;
    use Kind::*;
    match (kind, a, b) {
        (Wmma, F16, F16) | (Wmma, Bf16, Bf16) | (Wmma, S8 | U8, S8 | U8) => &[(16, 16, 16), (32, 8, 16), (8, 32, 16)],
        (Wmma, Tf32, Tf32) => &[(16, 16, 8)],
        (Wmma, F64, F64) => &[(8, 8, 4)],
        (Wmma, S4 | U4, S4 | U4) => &[(8, 8, 32)],
        (Wmma, B1, B1) => &[(8, 8, 128)],
        (Mma, F16, F16) | (Mma, Bf16, Bf16) => &[(16, 8, 8), (16, 8, 16)],
        (Mma, Tf32, Tf32) => &[(16, 8, 4), (16, 8, 8)],
        (Mma, F64, F64) => &[(8, 8, 4), (16, 8, 4), (16, 8, 8), (16, 8, 16)],
        (Mma, E4m3 | E5m2, E4m3 | E5m2) => &[(16, 8, 16), (16, 8, 32)],
        (Mma, S8 | U8, S8 | U8) => &[(8, 8, 16), (16, 8, 16), (16, 8, 32)],
        (Mma, S4 | U4, S4 | U4) => &[(8, 8, 32), (16, 8, 32), (16, 8, 64)],
        (Mma, B1, B1) => &[(8, 8, 128), (16, 8, 128), (16, 8, 256)],
        (Sparse, F16, F16) | (Sparse, Bf16, Bf16) => &[(16, 8, 16), (16, 8, 32)],
        (Sparse, Tf32, Tf32) => &[(16, 8, 8), (16, 8, 16)],
        (Sparse, E4m3 | E5m2, E4m3 | E5m2) => &[(16, 8, 64)],
        (Sparse, S8 | U8, S8 | U8) => &[(16, 8, 32), (16, 8, 64)],
        (Sparse, S4 | U4, S4 | U4) => &[(16, 8, 64), (16, 8, 128)],
        _ => &[],
    }
}

/// Whether accumulators may be of type `c` where A has elements `a`.
fn accumulates(a: Element, c: Element) -> bool {
    use Element::*;
    match a {
        F16 | E4m3 | E5m2 => matches!(c, F16 | F32),
        Bf16 | Tf32 => c == F32,
        F64 => c == F64,
        _ => c == S32,
    }
}

/// The element types of d, a, b and c.
struct Types {
    d: Element,
    a: Element,
    b: Element,
    c: Element,
}

impl Types {
    /// Checks the combination with a shape.
    fn check(&self, kind: Kind, shape: Shape) -> Result<()> {
        if !shapes(kind, self.a, self.b).contains(&(shape.m, shape.n, shape.k)) {
            return Err("shape of the matrix product for these types".into());
        }
        if !accumulates(self.a, self.c) || !accumulates(self.a, self.d) {
            return Err("accumulators of the matrix product for these types".into());
        }
        Ok(())
    }
}

fn pairing(m: &mut Modifiers, a: Element) -> Result<Pairing> {
    if a != Element::B1 {
        return Ok(Pairing::Multiply);
    }
    m.flag("popc");
    m.require("bit operation", &[("xor", Pairing::XorPopc), ("and", Pairing::AndPopc)])
}

fn saturates(m: &mut Modifiers, a: Element) -> Result<bool> {
    let saturate = m.flag("satfinite");
    if saturate && !matches!(a, Element::S8 | Element::U8 | Element::S4 | Element::U4) {
        return Err("saturation of this matrix product".into());
    }
    Ok(saturate)
}

fn element(m: &mut Modifiers) -> Result<Element> {
    m.find(Element::named).ok_or_else(|| "element type missing or unknown".into())
}

fn mma(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    m.ignore(&["sync", "aligned"]);
    let shape = m.find(Shape::named).ok_or("shape missing or unknown")?;
    let layouts = [layout(m)?, layout(m)?];
    let types = Types { d: element(m)?, a: element(m)?, b: element(m)?, c: element(m)? };
    if shape == (Shape { m: 8, n: 8, k: 4 }) && types.a == Element::F16 {
        return quad_pairs(b, &types, layouts, operands);
    }
    if layouts != [Layout::Row, Layout::Column] {
        return Err("layout of mma".into());
    }
    types.check(Kind::Mma, shape)?;
    if types.a == Element::F64 {
        m.flag("rn");
    }
    let (pairing, saturate) = (pairing(m, types.a)?, saturates(m, types.a)?);
    let [d, x, y, c] = take(operands)?;
    let a = sources(b, x, shape.fragment(Role::A, types.a))?;
    let y = sources(b, y, shape.fragment(Role::B, types.b))?;
    let c = sources(b, c, shape.fragment(Role::Accumulator, types.c))?;
    let d = destinations(b, d, shape.fragment(Role::Accumulator, types.d))?;
    let product = MatrixProduct { a, b: y, c, d, pairing, saturate, sparsity: None };
    let op = match fast_shape(shape, &types) {
        Some(fast) => fast_product(fast, &product),
        None => Op::MatrixProduct(Box::new(product)),
    };
    b.emit(op);
    Ok(())
}

/// `mma.sp`: half of A's columns are there, and which ones says the metadata of the lanes that the selector names.
fn sparse_product(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    m.ignore(&["sync", "aligned"]);
    let ordered = m.require("kind", &[("sp", false), ("sp::ordered_metadata", true)])?;
    let shape = m.find(Shape::named).ok_or("shape missing or unknown")?;
    if [layout(m)?, layout(m)?] != [Layout::Row, Layout::Column] {
        return Err("layout of mma".into());
    }
    let types = Types { d: element(m)?, a: element(m)?, b: element(m)?, c: element(m)? };
    types.check(Kind::Sparse, shape)?;
    let saturate = saturates(m, types.a)?;
    let [d, x, y, c, metadata, selector] = take(operands)?;
    let stored = Shape { k: shape.k / 2, ..shape }.fragment(Role::A, types.a);
    let selector = match selector {
        // A lane has the metadata of 4 chunks of two rows, so that several selections of four lanes may be possible.
        Operand::Immediate(Immediate::Integer(value)) if (0..16 / stored.chunks() as i128).contains(value) => *value,
        _ => return Err("sparsity selector".into()),
    };
    let a = sources(b, x, stored)?;
    let y = sources(b, y, shape.fragment(Role::B, types.b))?;
    let c = sources(b, c, shape.fragment(Role::Accumulator, types.c))?;
    let metadata = b.source(metadata, Type::B32, Width::W32)?;
    let d = destinations(b, d, shape.fragment(Role::Accumulator, types.d))?;
    let sparsity = Some(Sparsity { metadata, selector: selector as u8, ordered });
    let pairing = Pairing::Multiply;
    b.emit(Op::MatrixProduct(Box::new(MatrixProduct { a, b: y, c, d, pairing, saturate, sparsity })));
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Row,
    Column,
}

/// The next layout among the modifiers.
fn layout(m: &mut Modifiers) -> Result<Layout> {
    let named = |word: &str| match word {
        "row" => Some(Layout::Row),
        "col" => Some(Layout::Column),
        _ => None,
    };
    m.find(named).ok_or_else(|| "layout missing".into())
}

/// The shape of a product that has a path of its own.
fn fast_shape(shape: Shape, types: &Types) -> Option<MmaShape> {
    use Element::{Bf16, F16, F32};
    Some(match ((shape.m, shape.n, shape.k), types.a, (types.c, types.d)) {
        ((16, 8, 16), F16, (F32, F32)) => MmaShape::M16N8K16F16F32,
        ((16, 8, 8), F16, (F32, F32)) => MmaShape::M16N8K8F16F32,
        ((16, 8, 16), F16, (F16, F16)) => MmaShape::M16N8K16F16F16,
        ((16, 8, 8), F16, (F16, F16)) => MmaShape::M16N8K8F16F16,
        ((16, 8, 16), Bf16, (F32, F32)) => MmaShape::M16N8K16Bf16F32,
        ((16, 8, 8), Bf16, (F32, F32)) => MmaShape::M16N8K8Bf16F32,
        _ => return None,
    })
}

/// The product of `shape` on the registers of `product`, which has that shape.
fn fast_product(shape: MmaShape, product: &MatrixProduct) -> Op {
    let first = |operand: &MatrixOperand| operand.registers[0];
    Op::Mma(Box::new(Mma {
        shape,
        d: filled(&product.d.registers, first(&product.d)),
        a: filled(&product.a.registers, first(&product.a)),
        b: filled(&product.b.registers, first(&product.b)),
        c: filled(&product.c.registers, first(&product.c)),
        a_room: Room::default(),
        b_room: Room::default(),
        in_place: false,
        run: 1,
        paired: false,
    }))
}

/// An array that begins with `registers` and goes on with `rest`.
fn filled<const N: usize>(registers: &[Reg], rest: Reg) -> [Reg; N] {
    std::array::from_fn(|index| registers.get(index).copied().unwrap_or(rest))
}

fn parts(operand: &Operand) -> &[Operand] {
    match operand {
        Operand::Vector(parts) => parts,
        single => std::slice::from_ref(single),
    }
}

/// Width of a fragment's registers, and the type that immediates in it have.
fn register(fragment: Fragment) -> (Width, Type) {
    match fragment.element {
        Element::F64 => (Width::W64, Type::F64),
        Element::S32 => (Width::W32, Type::S32),
        _ => (Width::W32, Type::F32),
    }
}

/// The registers of a fragment that is read.
fn sources(b: &mut Builder, operand: &Operand, fragment: Fragment) -> Result<MatrixOperand> {
    let (width, ty) = register(fragment);
    let parts = parts(operand);
    if parts.len() != fragment.registers() {
        return Err("number of fragment registers".into());
    }
    let registers = parts.iter().map(|part| b.source(part, ty, width)).collect::<Result<_>>()?;
    Ok(MatrixOperand { fragment, registers })
}

/// The registers of a fragment that is written.
fn destinations(b: &mut Builder, operand: &Operand, fragment: Fragment) -> Result<MatrixOperand> {
    let (width, _) = register(fragment);
    let parts = parts(operand);
    if parts.len() != fragment.registers() {
        return Err("number of destination registers".into());
    }
    let registers = parts.iter().map(|part| b.destination(part, width)).collect::<Result<_>>()?;
    Ok(MatrixOperand { fragment, registers })
}

fn quad_pairs(b: &mut Builder, types: &Types, [a_layout, b_layout]: [Layout; 2], operands: &[Operand]) -> Result<()> {
    use Element::{F16, F32};
    if types.b != F16 || !matches!((types.c, types.d), (F16, F16) | (F32, F32) | (F16, F32)) {
        return Err("types of mma".into());
    }
    let [d, x, y, c] = take(operands)?;
    let count = |element| if element == F16 { 4 } else { 8 };
    let read = |b: &mut Builder, operand, count| -> Result<Vec<Reg>> {
        let parts = parts(operand);
        if parts.len() != count {
            return Err("number of fragment registers".into());
        }
        parts.iter().map(|part| b.source(part, Type::F32, Width::W32)).collect()
    };
    let (a, y, c) = (read(b, x, 2)?, read(b, y, 2)?, read(b, c, count(types.c))?);
    let destination = parts(d);
    if destination.len() != count(types.d) {
        return Err("number of destination registers".into());
    }
    let d = destination.iter().map(|part| b.destination(part, Width::W32)).collect::<Result<_>>()?;
    b.emit(Op::QuadPairProduct(Box::new(QuadPairProduct {
        a: [a[0], a[1]],
        b: [y[0], y[1]],
        c,
        d,
        a_columns: a_layout == Layout::Column,
        b_rows: b_layout == Layout::Row,
    })));
    Ok(())
}

/// Registers that the manual gives a `wmma` fragment: fp16 operands have 8 in every shape, and those beyond what the
/// elements need hold them again.
fn wmma_registers(fragment: Fragment) -> usize {
    match (fragment.role, fragment.element) {
        (Role::A | Role::B, Element::F16) => 8,
        _ => fragment.registers(),
    }
}

/// The registers that count of a `wmma` fragment which is read.
fn wmma_sources(b: &mut Builder, operand: &Operand, fragment: Fragment) -> Result<MatrixOperand> {
    let parts = parts(operand);
    if parts.len() != wmma_registers(fragment) {
        return Err("number of fragment registers".into());
    }
    sources(b, &Operand::Vector(parts[..fragment.registers()].to_vec()), fragment)
}

fn wmma_product(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    m.ignore(&["sync", "aligned"]);
    let shape = m.find(Shape::named).ok_or("shape missing or unknown")?;
    // The layouts say how A and B were loaded; fragments are the same either way.
    let _ = (layout(m)?, layout(m)?);
    let (first, second) = (element(m)?, element(m)?);
    // The types of fp16 operands are not written.
    let types = match m.find(Element::named) {
        Some(third) => Types { d: first, a: second, b: third, c: element(m)? },
        None => Types { d: first, a: Element::F16, b: Element::F16, c: second },
    };
    types.check(Kind::Wmma, shape)?;
    if types.a == Element::F64 {
        m.flag("rn");
    }
    let (pairing, saturate) = (pairing(m, types.a)?, saturates(m, types.a)?);
    let [d, x, y, c] = take(operands)?;
    let a = wmma_sources(b, x, shape.fragment(Role::A, types.a))?;
    let y = wmma_sources(b, y, shape.fragment(Role::B, types.b))?;
    let c = wmma_sources(b, c, shape.fragment(Role::Accumulator, types.c))?;
    let d = destinations(b, d, shape.fragment(Role::Accumulator, types.d))?;
    let product = MatrixProduct { a, b: y, c, d, pairing, saturate, sparsity: None };
    match halves(shape, &types, &product) {
        Some(halves) => halves.into_iter().for_each(|op| b.emit(op)),
        None => b.emit(Op::MatrixProduct(Box::new(product))),
    }
    Ok(())
}

/// A product as two of a shape that has a path of its own: the halves of its rows or of its columns. `None` where there
/// is no such shape, or where the first half would write what the second reads.
fn halves(shape: Shape, types: &Types, product: &MatrixProduct) -> Option<[Op; 2]> {
    let fast = fast_shape(Shape { m: 16, n: 8, k: shape.k }, types)?;
    let half = |operand: &MatrixOperand, index: usize| {
        let middle = operand.registers.len() / 2;
        let registers = operand.registers[index * middle..][..middle].to_vec();
        MatrixOperand { registers, ..operand.clone() }
    };
    let side = |index: usize| {
        let (a, b) = match (shape.m, shape.n) {
            (16, 16) => (product.a.clone(), half(&product.b, index)),
            (32, 8) => (half(&product.a, index), product.b.clone()),
            _ => return None,
        };
        Some(MatrixProduct { a, b, c: half(&product.c, index), d: half(&product.d, index), ..product.clone() })
    };
    let (first, second) = (side(0)?, side(1)?);
    let read: Vec<Reg> = [&second.a, &second.b, &second.c].iter().flat_map(|o| o.registers.clone()).collect();
    if first.d.registers.iter().any(|d| read.contains(d)) {
        return None;
    }
    Some([fast_product(fast, &first), fast_product(fast, &second)])
}

/// What `wmma.load` and `wmma.store` say of their matrix: fragment, whether rows are contiguous, and the space.
fn access(m: &mut Modifiers, role: Role) -> Result<(Fragment, bool, Space)> {
    m.ignore(&["sync", "aligned"]);
    let layout = layout(m)?;
    let shape = m.find(Shape::named).ok_or("shape missing or unknown")?;
    let space = m.choose(&[("global", Space::Global), ("shared", Space::Shared), ("shared::cta", Space::Shared)]);
    let fragment = shape.fragment(role, element(m)?);
    let known = match role {
        Role::Accumulator => {
            matches!(fragment.element, Element::F16 | Element::F32 | Element::S32 | Element::F64)
                && matches!((shape.m, shape.n), (16, 16) | (32, 8) | (8, 32) | (8, 8))
        }
        Role::A | Role::B => {
            shapes(Kind::Wmma, fragment.element, fragment.element).contains(&(shape.m, shape.n, shape.k))
        }
    };
    // The fragment of B is that of its transpose.
    let rows_contiguous = (layout == Layout::Row) == (role != Role::B);
    if !known || !rows_contiguous && fragment.element.bits() < 8 {
        return Err("shape, layout or type of the fragment".into());
    }
    Ok((fragment, rows_contiguous, space.unwrap_or(Space::Generic)))
}

/// Address and stride; without a stride rows or columns follow each other without gaps.
fn place(
    b: &mut Builder,
    (fragment, rows_contiguous, space): (Fragment, bool, Space),
    address: &Operand,
    stride: Option<&Operand>,
) -> Result<(Space, Address, Reg)> {
    let (address, symbol) = b.address(address)?;
    let space = resolve_space(space, symbol)?;
    let stride = match stride {
        Some(stride) => b.source(stride, Type::U32, Width::W32)?,
        None => {
            let length = if rows_contiguous { fragment.columns } else { fragment.rows };
            b.constant(Width::W32, length.into())
        }
    };
    Ok((space, address, stride))
}

fn load(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    let role = m.require("fragment", &[("a", Role::A), ("b", Role::B), ("c", Role::Accumulator)])?;
    let form = access(m, role)?;
    let (d, address, stride) = match operands {
        [d, address] => (d, address, None),
        [d, address, stride] => (d, address, Some(stride)),
        _ => return Err("number of operands".into()),
    };
    let (fragment, rows_contiguous, _) = form;
    let (space, address, stride) = place(b, form, address, stride)?;
    let (width, _) = register(fragment);
    let registers = parts(d).iter().map(|part| b.destination(part, width)).collect::<Result<Vec<_>>>()?;
    if registers.len() != wmma_registers(fragment) {
        return Err("number of destination registers".into());
    }
    let operand = MatrixOperand { fragment, registers };
    b.emit(Op::LoadFragment(Box::new(FragmentAccess { operand, space, address, stride, rows_contiguous })));
    Ok(())
}

fn store(b: &mut Builder, m: &mut Modifiers, operands: &[Operand]) -> Result<()> {
    m.require("fragment", &[("d", ())])?;
    let form = access(m, Role::Accumulator)?;
    let (address, source, stride) = match operands {
        [address, source] => (address, source, None),
        [address, source, stride] => (address, source, Some(stride)),
        _ => return Err("number of operands".into()),
    };
    let (fragment, rows_contiguous, _) = form;
    let (space, address, stride) = place(b, form, address, stride)?;
    let operand = sources(b, source, fragment)?;
    b.emit(Op::StoreFragment(Box::new(FragmentAccess { operand, space, address, stride, rows_contiguous })));
    Ok(())
}
