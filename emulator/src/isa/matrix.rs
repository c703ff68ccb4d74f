//! Operands of warp-wide matrix operations: element types and how the lanes of a warp hold a matrix.

use super::{Address, Reg, Space};

/// What the elements of a matrix are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    F16,
    Bf16,
    /// fp32 of which the 13 lowest bits do not count.
    Tf32,
    F32,
    F64,
    /// 8-bit floats: 4 exponent and 3 fraction bits without infinities, 5 and 2 with them.
    E4m3,
    E5m2,
    S32,
    S8,
    U8,
    S4,
    U4,
    B1,
}

impl Element {
    /// The element that a modifier names, without its dot.
    pub fn named(word: &str) -> Option<Element> {
        use Element::*;
        Some(match word {
            "f16" => F16,
            "bf16" => Bf16,
            "tf32" => Tf32,
            "f32" => F32,
            "f64" => F64,
            "e4m3" => E4m3,
            "e5m2" => E5m2,
            "s32" => S32,
            "s8" => S8,
            "u8" => U8,
            "s4" => S4,
            "u4" => U4,
            "b1" => B1,
            _ => return None,
        })
    }

    pub fn bits(self) -> u32 {
        use Element::*;
        match self {
            F64 => 64,
            Tf32 | F32 | S32 => 32,
            F16 | Bf16 => 16,
            E4m3 | E5m2 | S8 | U8 => 8,
            S4 | U4 => 4,
            B1 => 1,
        }
    }
}

/// Which matrix of `d = a * b + c` a fragment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// m rows of k columns.
    A,
    /// The transpose of B: n rows of k columns, so that a lane's elements are neighbours along k as for A.
    B,
    /// `c` and `d`: m rows of n columns.
    Accumulator,
}

/// How a warp holds a matrix (PTX ISA, "Matrix fragments for mma").
///
/// The matrix is cut into tiles of 8 rows. Lane `4 i + j` holds of row `i` of every tile the [`Fragment::run`] elements
/// from column `run * j` on. The tiles of 16 rows follow each other along the columns, upper one first; those of B row
/// after row. The manual leaves the fragments of `wmma` open: they are the same here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    pub role: Role,
    pub element: Element,
    pub rows: u32,
    pub columns: u32,
}

impl Fragment {
    /// Neighbouring elements of a row in one lane.
    pub fn run(self) -> u32 {
        match self.role {
            Role::Accumulator => 2,
            Role::A | Role::B => self.per_register(),
        }
    }

    /// Elements in one register.
    pub fn per_register(self) -> u32 {
        (32 / self.element.bits()).max(1)
    }

    /// Registers of a lane, of 64 bits for fp64 and of 32 for everything else.
    pub fn registers(self) -> usize {
        (self.rows * self.columns / 32 / self.per_register()) as usize
    }

    /// Chunks of a row of a sparse A, each with four bits of metadata (PTX ISA, "Sparse matrix storage").
    pub fn chunks(self) -> usize {
        let stored = match self.element {
            Element::Tf32 => 1,
            Element::S4 | Element::U4 => 4,
            _ => 2,
        };
        self.columns as usize / stored
    }

    /// Row and column of element `part` of `register` in lane 0; those of the other lanes follow from the layout.
    pub fn origin(self, register: usize, part: u32) -> (usize, usize) {
        let index = register as u32 * self.per_register() + part;
        let (tile, within) = (index / self.run(), index % self.run());
        let across = self.columns / (4 * self.run());
        let (tile_row, tile_column) = if self.role != Role::B && self.rows > 8 {
            (tile / (2 * across) * 2 + tile % 2, tile / 2 % across)
        } else {
            (tile / across, tile % across)
        };
        ((8 * tile_row) as usize, (4 * self.run() * tile_column + within) as usize)
    }

    /// Row and column of element `part` of `register` in `lane`.
    pub fn position(self, register: usize, part: u32, lane: usize) -> (usize, usize) {
        let (row, column) = self.origin(register, part);
        (row + lane / 4, column + self.run() as usize * (lane % 4))
    }
}

/// A matrix in registers.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixOperand {
    pub fragment: Fragment,
    pub registers: Vec<Reg>,
}

/// How an element of A meets one of B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    Multiply,
    /// The bits that differ are counted.
    XorPopc,
    /// The bits that both have are counted.
    AndPopc,
}

/// A warp-wide product `d = a * b + c` of any element types.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixProduct {
    pub a: MatrixOperand,
    pub b: MatrixOperand,
    pub c: MatrixOperand,
    pub d: MatrixOperand,
    pub pairing: Pairing,
    /// Integer results beyond 32 bits are clamped instead of wrapped.
    pub saturate: bool,
    /// A holds half of its columns, so that its fragment has half as many as B's.
    pub sparsity: Option<Sparsity>,
}

/// Which elements of A are there (`mma.sp`); the others are zeros that are not multiplied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sparsity {
    pub metadata: Reg,
    /// Which lanes of four hold the metadata.
    pub selector: u8,
    /// The elements of a chunk are stored in the order of their columns.
    pub ordered: bool,
}

/// Four products of 8 x 4 by 4 x 8 fp16 numbers, each by the lanes `4 q .. 4 q + 4` and `16 + 4 q .. 16 + 4 q + 4`
/// (`mma.m8n8k4`, made for compute capability 7.0).
#[derive(Clone, Debug, PartialEq)]
pub struct QuadPairProduct {
    pub a: [Reg; 2],
    pub b: [Reg; 2],
    /// 4 registers of fp16 pairs, or 8 of fp32.
    pub c: Vec<Reg>,
    pub d: Vec<Reg>,
    /// A lane holds a column of A, a row of B.
    pub a_columns: bool,
    pub b_rows: bool,
}

/// A matrix in memory and in registers (`wmma.load`, `wmma.store`).
#[derive(Clone, Debug, PartialEq)]
pub struct FragmentAccess {
    pub operand: MatrixOperand,
    pub space: Space,
    pub address: Address,
    /// Elements from one row of the fragment to the next, or from one column to the next.
    pub stride: Reg,
    /// The elements of a row of the fragment are neighbours in memory.
    pub rows_contiguous: bool,
}
