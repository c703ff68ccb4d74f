//! Finds matrix fragments that several products share, so that each is widened to fp32 once.
//!
//! A product's fragment gets a room; a later product of the same straight line that reads the same registers, unchanged
//! in between, finds it filled.

use super::flow::Graph;
use crate::isa::{A_ROOMS, B_ROOMS, HalfFormat, Instruction, Mma, Op, Pred, PredSource, Reg, Room, Visitor};

/// The longest run of products; a turn's length is counted in jumps, so that a run may be as long as code is.
const MAX_RUN: u8 = 64;

/// The fragments in the rooms of one kind: registers and format.
struct Rooms {
    contents: Vec<Option<(Vec<Reg>, HalfFormat)>>,
    next: usize,
}

impl Rooms {
    fn new(count: usize) -> Self {
        Rooms { contents: vec![None; count], next: 0 }
    }

    fn clear(&mut self) {
        self.contents.fill(None);
    }

    /// Forgets fragments that hold `reg`.
    fn overwrite(&mut self, reg: Reg) {
        for room in &mut self.contents {
            if room.as_ref().is_some_and(|(regs, _)| regs.contains(&reg)) {
                *room = None;
            }
        }
    }

    fn room_for(&mut self, regs: &[Reg], format: HalfFormat) -> Room {
        let holds =
            |room: &Option<(Vec<Reg>, HalfFormat)>| room.as_ref().is_some_and(|(r, f)| r == regs && *f == format);
        if let Some(index) = self.contents.iter().position(holds) {
            return Room { index: index as u8, filled: true };
        }
        // An empty room was used before and is likely to be in the cache; otherwise the oldest makes place.
        let index = self.contents.iter().position(Option::is_none).unwrap_or(self.next);
        self.next = (index + 1) % self.contents.len();
        self.contents[index] = Some((regs.to_vec(), format));
        Room { index: index as u8, filled: false }
    }
}

/// Collects the slots that an operation writes.
struct Writes(Vec<Reg>);

impl Visitor for Writes {
    fn source(&mut self, _: &mut Reg) {}
    fn destination(&mut self, reg: &mut Reg) {
        // The second slot too, in case the register has 64 bits.
        self.0.extend([*reg, Reg(reg.0 + 1)]);
    }
    fn source_pred(&mut self, _: &mut Pred) {}
    fn destination_pred(&mut self, _: &mut Pred) {}
}

/// Assigns rooms to every product of an allocated program.
pub(super) fn assign(code: &mut [Instruction], graph: &Graph) {
    let (mut a_rooms, mut b_rooms) = (Rooms::new(A_ROOMS), Rooms::new(B_ROOMS));
    for range in graph.starts.windows(2) {
        a_rooms.clear();
        b_rooms.clear();
        for instruction in &mut code[range[0] as usize..range[1] as usize] {
            if let (Op::Mma(mma), PredSource::TRUE) = (&mut instruction.op, instruction.guard) {
                let (a, b, _) = mma.shape.registers();
                mma.a_room = a_rooms.room_for(&mma.a[..a], mma.shape.format());
                mma.b_room = b_rooms.room_for(&mma.b[..b], mma.shape.format());
                mma.in_place = in_place(mma);
            }
            let mut writes = Writes(Vec::new());
            instruction.op.visit(&mut writes);
            for reg in writes.0 {
                a_rooms.overwrite(reg);
                b_rooms.overwrite(reg);
            }
        }
        join_runs(&mut code[range[0] as usize..range[1] as usize]);
    }
}

/// Marks the products that follow one another: they are executed at once, two and two where they share A.
fn join_runs(block: &mut [Instruction]) {
    let mut next: Option<Mma> = None;
    for instruction in block.iter_mut().rev() {
        let (Op::Mma(mma), PredSource::TRUE) = (&mut instruction.op, instruction.guard) else {
            next = None;
            continue;
        };
        if let Some(next) = &next {
            mma.run = next.run.saturating_add(1).min(MAX_RUN);
            mma.paired = independent(mma, next);
        }
        next = Some(Mma::clone(mma));
    }
}

/// Whether the product `next` may be interleaved with the one before it: it shares A and uses nothing that comes of it.
fn independent(mma: &Mma, next: &Mma) -> bool {
    let (_, b, d) = mma.shape.registers();
    let results = &mma.d[..d];
    d == 4
        && mma.shape == next.shape
        && mma.in_place
        && next.in_place
        && next.a_room.index == mma.a_room.index
        && next.a_room.filled
        && next.b_room.index != mma.b_room.index
        && !next.b[..b].iter().chain(&next.c[..d]).chain(&next.d[..d]).any(|reg| results.contains(reg))
        && !next.d[..d].iter().any(|reg| mma.c[..d].contains(reg))
}

/// The upper rows are stored before the addends of the lower rows are read.
fn in_place(mma: &Mma) -> bool {
    let (_, _, count) = mma.shape.registers();
    let (upper, lower) = (&mma.d[..count / 2], &mma.c[count / 2..count]);
    !upper.iter().any(|d| lower.contains(d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::MmaShape;

    fn product(d: u32, a: u32, b: u32) -> Instruction {
        let regs = |first: u32| std::array::from_fn(|i| Reg(first + i as u32));
        let mma = Mma {
            a_room: Room::default(),
            b_room: Room::default(),
            in_place: false,
            run: 1,
            paired: false,
            shape: MmaShape::M16N8K16F16F32,
            d: regs(d),
            a: regs(a),
            b: [Reg(b), Reg(b + 1)],
            c: regs(d),
        };
        Instruction::new(Op::Mma(Box::new(mma)), PredSource::TRUE, 0)
    }

    #[test]
    fn shared_fragments_are_filled_once_and_changed_ones_again() {
        let change = Instruction::new(Op::Mov32 { d: Reg(41), a: Reg(0) }, PredSource::TRUE, 0);
        let mut code = vec![product(0, 40, 60), product(8, 40, 62), change, product(16, 40, 60)];
        let graph = Graph::of(&code);
        assign(&mut code, &graph);
        let filled: Vec<_> = code
            .iter()
            .filter_map(|i| if let Op::Mma(m) = &i.op { Some((m.a_room.filled, m.b_room.filled)) } else { None })
            .collect();
        assert_eq!(filled, [(false, false), (true, false), (false, true)]);
    }

    fn runs(products: &[(u32, u32, u32)]) -> Vec<(u8, bool)> {
        let mut code: Vec<_> = products.iter().map(|(d, a, b)| product(*d, *a, *b)).collect();
        let graph = Graph::of(&code);
        assign(&mut code, &graph);
        let of = |i: &Instruction| if let Op::Mma(m) = &i.op { (m.run, m.paired) } else { (0, false) };
        code.iter().map(of).collect()
    }

    #[test]
    fn products_that_follow_one_another_are_a_run_and_those_with_one_a_are_paired() {
        assert_eq!(runs(&[(0, 40, 60), (8, 40, 62), (16, 44, 60)]), [(3, true), (2, false), (1, false)]);
    }

    #[test]
    fn a_product_that_uses_the_one_before_is_not_paired_with_it() {
        // B of the second is the result of the first; so is the addend.
        assert_eq!(runs(&[(0, 40, 60), (8, 40, 0)]), [(2, false), (1, false)]);
        assert_eq!(runs(&[(0, 40, 60), (0, 40, 62)]), [(2, false), (1, false)]);
    }
}
