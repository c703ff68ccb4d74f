//! Finds matrix fragments that several products share, so that each is widened to fp32 once.
//!
//! A product's fragment gets a room; a later product of the same straight line that reads the same registers, unchanged
//! in between, finds it filled.

use super::flow::Graph;
use crate::isa::{A_ROOMS, B_ROOMS, HalfFormat, Instruction, Mma, Op, Pred, PredSource, Reg, Room, Visitor};

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
        let index = self.next;
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
    }
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
            shape: MmaShape::M16N8K16F16F32,
            d: regs(d),
            a: regs(a),
            b: [Reg(b), Reg(b + 1)],
            c: regs(d),
        };
        Instruction { op: Op::Mma(Box::new(mma)), guard: PredSource::TRUE, line: 0 }
    }

    #[test]
    fn shared_fragments_are_filled_once_and_changed_ones_again() {
        let change = Instruction { op: Op::Mov32 { d: Reg(41), a: Reg(0) }, guard: PredSource::TRUE, line: 0 };
        let mut code = vec![product(0, 40, 60), product(8, 40, 62), change, product(16, 40, 60)];
        let graph = Graph::of(&code);
        assign(&mut code, &graph);
        let filled: Vec<_> = code
            .iter()
            .filter_map(|i| if let Op::Mma(m) = &i.op { Some((m.a_room.filled, m.b_room.filled)) } else { None })
            .collect();
        assert_eq!(filled, [(false, false), (true, false), (false, true)]);
    }
}
