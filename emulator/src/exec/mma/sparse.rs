//! Products whose A holds half of each row: where its elements lie, by the metadata (`mma.sp`).
//!
//! # Metadata
//! A chunk of A's row holds two of four units (one of two for tf32, which metadata counts as two of four halves): a unit
//! is an element, of 4-bit integers a pair of them. Four bits a chunk say which, the unit that is stored first in the lower
//! two (PTX ISA, "Sparse matrix storage").
//!
//! The lanes `4 q .. 4 q + 4` hold the metadata of the rows `q` and `q + 8`; the selector says which of them, where not all
//! do. Of 16 bits and more a lane has 4 chunks of row `q` in its lower half and the same chunks of row `q + 8` in its upper
//! half; of fewer, 8 chunks of row `q` if its number among those that count is even, and of row `q + 8` if it is odd. The
//! next chunks are the next lane's, or those of the next lane but one (PTX ISA, "Matrix fragments for
//! multiply-accumulate operation with sparse matrix A", and the order in which CUTLASS stores metadata).

use crate::exec::lanes::File;
use crate::isa::{Element, Fragment, MatrixProduct, Sparsity};

/// Columns of the elements that A holds, row after row.
pub(super) struct Columns {
    columns: Vec<u16>,
    stored: usize,
}

/// Metadata that means nothing.
pub(in crate::exec) struct Invalid {
    pub lane: usize,
    pub row: usize,
    pub chunk: usize,
    pub bits: u32,
}

impl Columns {
    /// Where the elements of A lie.
    pub(super) fn of(file: &File, product: &MatrixProduct, sparsity: &Sparsity) -> Result<Self, Invalid> {
        let fragment = product.a.fragment;
        let (unit, stored) = (Unit::of(fragment.element), fragment.columns as usize);
        let (chunks, selector) = (fragment.chunks(), usize::from(sparsity.selector));
        let mut columns = Vec::with_capacity(fragment.rows as usize * stored);
        for (row, chunk) in (0..fragment.rows as usize).flat_map(|row| (0..chunks).map(move |chunk| (row, chunk))) {
            let (lane, shift) = place(fragment.element, row, chunk);
            let lane = lane + selector * (chunks / 4);
            let bits = file.get(sparsity.metadata)[lane] >> shift & 0xf;
            let places = unit.places(bits, sparsity.ordered).ok_or(Invalid { lane, row, chunk, bits })?;
            for place in &places[..unit.stored] {
                let first = (chunk * unit.units + place) * unit.elements;
                columns.extend((first..first + unit.elements).map(|column| column as u16));
            }
        }
        Ok(Columns { columns, stored })
    }

    /// Those of one row, in the order in which they are stored.
    pub(super) fn row(&self, row: usize) -> &[u16] {
        &self.columns[row * self.stored..][..self.stored]
    }
}

/// The lanes whose metadata count.
pub(in crate::exec) fn metadata_lanes(a: Fragment, selector: u8) -> u32 {
    let each = a.chunks() / 4;
    let quad = ((1 << each) - 1) << (usize::from(selector) * each);
    0x1111_1111 * quad
}

/// What metadata counts.
struct Unit {
    /// Elements of one.
    elements: usize,
    /// Units of a chunk, and those of them that are stored.
    units: usize,
    stored: usize,
}

impl Unit {
    fn of(element: Element) -> Self {
        match element {
            Element::Tf32 => Unit { elements: 1, units: 2, stored: 1 },
            Element::S4 | Element::U4 => Unit { elements: 2, units: 4, stored: 2 },
            _ => Unit { elements: 1, units: 4, stored: 2 },
        }
    }

    /// The places in a chunk of the units that are stored; `None` for bits without a meaning.
    fn places(&self, bits: u32, ordered: bool) -> Option<[usize; 2]> {
        let [first, second] = [(bits & 3) as usize, (bits >> 2) as usize];
        let known = match self.units {
            2 => matches!(bits, 0b0100 | 0b1110),
            _ if ordered => first < second,
            _ => first != second,
        };
        known.then_some(if self.units == 2 { [first / 2; 2] } else { [first, second] })
    }
}

/// The lane, for selector 0, with the bits of a chunk of a row, and where in its register they begin.
fn place(element: Element, row: usize, chunk: usize) -> (usize, usize) {
    let (quad, below) = (4 * (row % 8), row / 8);
    match element.bits() {
        16.. => (quad + chunk / 4, 16 * below + 4 * (chunk % 4)),
        _ => (quad + 2 * (chunk / 8) + below, 4 * (chunk % 8)),
    }
}
