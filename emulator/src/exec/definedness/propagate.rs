//! How undefined bits pass through operations on registers.
//!
//! Moves, logic and shifts are followed bit by bit, and do not count as a use. Of arithmetic a result is undefined
//! where an operand is, and the origin remembers the instruction: if the result is thrown away, as the unused arm of an
//! `if` that the compiler turned into a selection, nothing happened.

use super::plan::{Operand, Plan};
use super::shadow::{Bits, NONE, Origin, Shadow};
use crate::exec::lanes::{FULL, File, lanes_of};
use crate::exec::observe::Seen;
use crate::exec::{half, integer, shuffle};
use crate::isa::*;
use std::cmp::Ordering;

/// One instruction whose operands have undefined bits.
struct Step<'a> {
    shadow: &'a mut Shadow,
    seen: &'a Seen<'a>,
    plan: &'a Plan,
    /// Of the undefined operands; the one that came from memory where there are several.
    origin: Origin,
}

/// Follows the undefined bits through an instruction that does not access memory.
pub(super) fn propagate(shadow: &mut Shadow, seen: &Seen, plan: &Plan) {
    let origin = origin_of(shadow, plan);
    let mut step = Step { shadow, seen, plan, origin };
    if !(step.moves() || step.arithmetic() || step.predicates() || step.exchanges()) {
        step.strictly();
    }
}

fn origin_of(shadow: &Shadow, plan: &Plan) -> Origin {
    let origins =
        plan.operands.iter().filter(|operand| shadow.touches(**operand)).filter_map(|operand| match *operand {
            Operand::Source { reg, wide } => Some(shadow.origin(reg, wide)),
            Operand::SourcePred(pred) => Some(shadow.predicate_origin(pred)),
            Operand::Destination { .. } | Operand::DestinationPred(_) => None,
        });
    origins.min_by_key(|origin| origin.load).unwrap_or(Origin::REGISTER)
}

/// All bits of a register.
fn all(width: Width) -> u64 {
    u64::MAX >> (64 - 8 * width.bytes())
}

fn is_wide(width: Width) -> bool {
    width == Width::W64
}

/// The values of a register.
pub(super) fn values(file: &File, reg: Reg, wide: bool) -> Bits {
    if wide { *file.get64(reg) } else { file.get(reg).map(u64::from) }
}

/// Undefined bits of `a & b`: a defined zero on either side decides.
fn and([ua, a]: [u64; 2], [ub, b]: [u64; 2]) -> u64 {
    (ua | ub) & (ua | a) & (ub | b)
}

/// The lowest undefined bit and all above it, which carries reach.
fn upwards(bits: u64) -> u64 {
    bits | bits.wrapping_neg()
}

/// Undefined bits of `lop3`: those that both values of the result are possible for.
fn lop3(table: u8, operands: [[u64; 2]; 3]) -> u64 {
    let may_be = |operand: usize, bit: u32| {
        let [undefined, value] = operands[operand];
        undefined | if bit == 1 { value } else { !value }
    };
    let (mut zero, mut one) = (0, 0);
    for row in 0..8u32 {
        let possible = may_be(0, row >> 2) & may_be(1, row >> 1 & 1) & may_be(2, row & 1);
        if table >> row & 1 != 0 { one |= possible } else { zero |= possible }
    }
    zero & one & all(Width::W32)
}

fn shift(op: IntBinary, width: Width, bits: u64, count: u64) -> u64 {
    let size = 8 * u64::from(width.bytes());
    let unused = 64 - size;
    match op {
        IntBinary::Shl if count < size => bits << count & all(width),
        IntBinary::ShrU if count < size => bits >> count,
        IntBinary::ShrS => ((bits << unused) as i64 >> unused >> count.min(size - 1)) as u64 & all(width),
        _ => 0,
    }
}

/// Bits of an integer type, and whether it is signed.
fn integer_type(ty: CvtType) -> Option<(u32, bool)> {
    use CvtType::*;
    Some(match ty {
        U8 => (8, false),
        S8 => (8, true),
        U16 => (16, false),
        S16 => (16, true),
        U32 => (32, false),
        S32 => (32, true),
        U64 => (64, false),
        S64 => (64, true),
        F16 | Bf16 | Tf32 | F32 | F64 => return None,
    })
}

/// The low bits, extended as their type says.
fn extend(bits: u64, (size, signed): (u32, bool)) -> u64 {
    let unused = 64 - size;
    if signed { ((bits << unused) as i64 >> unused) as u64 } else { bits << unused >> unused }
}

/// Each half of a register, wholly undefined if a bit of it is.
fn halves(bits: u64) -> u64 {
    let half = |mask: u64| if bits & mask != 0 { mask } else { 0 };
    half(0xffff) | half(0xffff_0000)
}

/// Whether a comparison holds; subnormal numbers are told from zero whatever the instruction says.
fn holds(ty: CompareType, comparison: Comparison, a: u64, b: u64) -> bool {
    use Comparison::*;
    let unused = match ty {
        CompareType::U16 | CompareType::S16 => 48,
        CompareType::U32 | CompareType::S32 => 32,
        _ => 0,
    };
    let float = |bits: u64| match ty {
        CompareType::F64 => f64::from_bits(bits),
        CompareType::F16 => f32::from_bits(half::f16_to_f32(bits as u16)).into(),
        CompareType::Bf16 => f32::from_bits(half::bf16_to_f32(bits as u16)).into(),
        _ => f32::from_bits(bits as u32).into(),
    };
    let order = match ty {
        CompareType::U16 | CompareType::U32 | CompareType::U64 => Some((a << unused).cmp(&(b << unused))),
        CompareType::S16 | CompareType::S32 | CompareType::S64 => {
            Some(((a << unused) as i64).cmp(&((b << unused) as i64)))
        }
        _ => float(a).partial_cmp(&float(b)),
    };
    let is = |orders: &[Ordering]| order.is_some_and(|order| orders.contains(&order));
    let (less, equal, greater) = (Ordering::Less, Ordering::Equal, Ordering::Greater);
    match comparison {
        Eq => is(&[equal]),
        Ne => is(&[less, greater]),
        Lt => is(&[less]),
        Le => is(&[less, equal]),
        Gt => is(&[greater]),
        Ge => is(&[equal, greater]),
        Equ => order.is_none() || is(&[equal]),
        Neu => order.is_none() || is(&[less, greater]),
        Ltu => order.is_none() || is(&[less]),
        Leu => order.is_none() || is(&[less, equal]),
        Gtu => order.is_none() || is(&[greater]),
        Geu => order.is_none() || is(&[equal, greater]),
        Num => order.is_some(),
        Nan => order.is_none(),
    }
}

impl Step<'_> {
    fn get(&self, reg: Reg, wide: bool) -> Bits {
        self.shadow.get(reg, wide)
    }

    fn values(&self, reg: Reg, wide: bool) -> Bits {
        values(self.seen.file, reg, wide)
    }

    /// Writes the result of a move.
    fn put(&mut self, d: Reg, wide: bool, bits: impl Fn(usize) -> u64) {
        let bits = std::array::from_fn(bits);
        self.shadow.put(self.seen.mask, d, wide, &bits, self.origin);
    }

    /// Writes the result of arithmetic.
    fn put_used(&mut self, d: Reg, wide: bool, bits: impl Fn(usize) -> u64) {
        self.origin = self.origin.used_at(self.seen.position);
        self.put(d, wide, bits);
    }

    fn put_predicate(&mut self, d: Pred, undefined: u32) {
        let origin = self.origin.used_at(self.seen.position);
        self.shadow.put_predicate(self.seen.mask, d, undefined, origin);
    }

    /// Packing, unpacking and whole registers; whether it was one of these.
    fn moves(&mut self) -> bool {
        match self.seen.instruction.op {
            Op::Mov32 { d, a } | Op::Mov64 { d, a } => {
                let wide = matches!(self.seen.instruction.op, Op::Mov64 { .. });
                let a = self.get(a, wide);
                self.put(d, wide, |lane| a[lane]);
            }
            Op::Pack16x2 { d, a, b } => {
                let (a, b) = (self.get(a, false), self.get(b, false));
                self.put(d, false, |lane| a[lane] & 0xffff | b[lane] << 16 & 0xffff_0000);
            }
            Op::Pack32x2 { d, a, b } => {
                let (a, b) = (self.get(a, false), self.get(b, false));
                self.put(d, true, |lane| a[lane] | b[lane] << 32);
            }
            Op::Pack16x4 { d, a } => {
                let a = a.map(|a| self.get(a, false));
                self.put(d, true, |lane| (0..4).fold(0, |word, i| word | (a[i][lane] & 0xffff) << (16 * i)));
            }
            Op::Unpack16x2 { d, a } => {
                let a = self.get(a, false);
                (0..2).for_each(|i| self.put(d[i], false, |lane| a[lane] >> (16 * i) & 0xffff));
            }
            Op::Unpack32x2 { d, a } => {
                let a = self.get(a, true);
                (0..2).for_each(|i| self.put(d[i], false, |lane| a[lane] >> (32 * i) & 0xffff_ffff));
            }
            Op::Unpack16x4 { d, a } => {
                let a = self.get(a, true);
                (0..4).for_each(|i| self.put(d[i], false, |lane| a[lane] >> (16 * i) & 0xffff));
            }
            Op::Selp { width, d, a, b, p } => self.select(is_wide(width), d, [a, b], p),
            Op::Cvt { cvt, d, a } => return self.convert_integers(cvt, d, a),
            _ => return self.bitwise(),
        }
        true
    }

    fn select(&mut self, wide: bool, d: Reg, [a, b]: [Reg; 2], p: PredSource) {
        let (ua, ub) = (self.get(a, wide), self.get(b, wide));
        let (a, b) = (self.values(a, wide), self.values(b, wide));
        let (unknown, chosen) = (self.shadow.predicate(p.pred), self.seen.file.pred(p));
        self.put(d, wide, |lane| match (unknown >> lane & 1, chosen >> lane & 1) {
            (1, _) => ua[lane] | ub[lane] | a[lane] ^ b[lane],
            (_, 1) => ua[lane],
            _ => ub[lane],
        });
    }

    /// Conversions that only extend or cut off; whether it was one.
    fn convert_integers(&mut self, cvt: Cvt, d: Reg, a: Reg) -> bool {
        let (Some(from), Some(to)) = (integer_type(cvt.from), integer_type(cvt.to)) else { return false };
        if cvt.saturate {
            return false;
        }
        let a = self.get(a, is_wide(cvt.source));
        let keep = all(cvt.destination);
        self.put(d, is_wide(cvt.destination), |lane| extend(extend(a[lane], from), to) & keep);
        true
    }

    /// Logic, shifts and fields; whether it was one of these.
    fn bitwise(&mut self) -> bool {
        match self.seen.instruction.op {
            Op::IntUnary { op: IntUnary::Not, width, d, a } => {
                let a = self.get(a, is_wide(width));
                self.put(d, is_wide(width), |lane| a[lane]);
            }
            Op::IntUnary { op: IntUnary::Brev, width, d, a } => {
                let a = self.get(a, is_wide(width));
                let unused = 64 - 8 * width.bytes();
                self.put(d, is_wide(width), |lane| a[lane].reverse_bits() >> unused);
            }
            Op::IntBinary { op: op @ (IntBinary::And | IntBinary::Or | IntBinary::Xor), width, d, a, b } => {
                let wide = is_wide(width);
                let (ua, ub, a, b) = (self.get(a, wide), self.get(b, wide), self.values(a, wide), self.values(b, wide));
                self.put(d, wide, |lane| match op {
                    IntBinary::And => and([ua[lane], a[lane]], [ub[lane], b[lane]]),
                    IntBinary::Or => and([ua[lane], !a[lane]], [ub[lane], !b[lane]]),
                    _ => ua[lane] | ub[lane],
                });
            }
            Op::IntBinary { op: op @ (IntBinary::Shl | IntBinary::ShrU | IntBinary::ShrS), width, d, a, b } => {
                let (a, unknown, count) = (self.get(a, is_wide(width)), self.get(b, false), self.values(b, false));
                self.put(d, is_wide(width), |lane| match unknown[lane] {
                    0 => shift(op, width, a[lane], count[lane]),
                    _ => all(width),
                });
            }
            Op::Lop3 { d, a, b, c, table } => {
                let operands = [a, b, c].map(|reg| (self.get(reg, false), self.values(reg, false)));
                self.put(d, false, |lane| lop3(table, operands.map(|(bits, value)| [bits[lane], value[lane]])));
            }
            Op::Bfi { width, d, a, b, c, e } => self.insert(width, d, [a, b], [c, e]),
            Op::IntTernary { op, width, d, a, b, c } => return self.fields(op, width, d, [a, b, c]),
            _ => return false,
        }
        true
    }

    fn insert(&mut self, width: Width, d: Reg, [a, b]: [Reg; 2], place: [Reg; 2]) {
        let wide = is_wide(width);
        let (a, b) = (self.get(a, wide), self.get(b, wide));
        let unknown = place.map(|reg| self.get(reg, false));
        let place = place.map(|reg| self.values(reg, false));
        let size = 8 * u64::from(width.bytes());
        self.put(d, wide, |lane| {
            let (position, length) = (place[0][lane] & 0xff, place[1][lane] & 0xff);
            if unknown[0][lane] | unknown[1][lane] != 0 {
                return all(width);
            }
            let ones = if length < 64 { (1u64 << length) - 1 } else { u64::MAX };
            let keep = if position < size { ones << position & all(width) } else { 0 };
            b[lane] & !keep | a[lane].wrapping_shl(position as u32) & keep
        });
    }

    /// Fields, funnel shifts and byte permutations; whether it was one.
    fn fields(&mut self, op: IntTernary, width: Width, d: Reg, [a, b, c]: [Reg; 3]) -> bool {
        use IntTernary::*;
        let size = 8 * width.bytes();
        match op {
            BfeU | BfeS => {
                let (ua, ub, uc) = (self.get(a, is_wide(width)), self.get(b, false), self.get(c, false));
                let (b, c) = (self.values(b, false), self.values(c, false));
                self.put(d, is_wide(width), |lane| match ub[lane] | uc[lane] {
                    0 => integer::extract(ua[lane], b[lane] as u32, c[lane] as u32, size, op == BfeS) & all(width),
                    _ => all(width),
                });
            }
            ShfLeftWrap | ShfLeftClamp | ShfRightWrap | ShfRightClamp | Prmt => {
                let (ua, ub, uc) = (self.get(a, false), self.get(b, false), self.get(c, false));
                let c = self.values(c, false);
                self.put(d, false, |lane| {
                    let (pair, count) = (ua[lane] | ub[lane] << 32, c[lane] as u32);
                    let moved = match op {
                        ShfLeftWrap => (pair << (count & 31)) >> 32,
                        ShfLeftClamp => (pair << count.min(32)) >> 32,
                        ShfRightWrap => pair >> (count & 31),
                        ShfRightClamp => pair >> count.min(32),
                        _ => integer::permute(ua[lane] as u32, ub[lane] as u32, |byte| count >> (4 * byte)).into(),
                    };
                    if uc[lane] == 0 { moved & all(Width::W32) } else { all(Width::W32) }
                });
            }
            _ => return false,
        }
        true
    }

    /// Arithmetic of which parts of the result stay defined; whether it was such.
    fn arithmetic(&mut self) -> bool {
        match self.seen.instruction.op {
            Op::IntBinary { op: IntBinary::Add | IntBinary::Sub | IntBinary::MulLo, width, d, a, b } => {
                let (a, b) = (self.get(a, is_wide(width)), self.get(b, is_wide(width)));
                self.put_used(d, is_wide(width), |lane| upwards(a[lane] | b[lane]) & all(width));
            }
            Op::IntTernary { op: IntTernary::MadLo, width, d, a, b, c } => {
                let [a, b, c] = [a, b, c].map(|reg| self.get(reg, is_wide(width)));
                self.put_used(d, is_wide(width), |lane| upwards(a[lane] | b[lane] | c[lane]) & all(width));
            }
            Op::CvtPack { d, a, b, .. } => {
                let (a, b) = (self.get(a, false), self.get(b, false));
                let half = |bits: u64, mask: u64| if bits != 0 { mask } else { 0 };
                self.put_used(d, false, |lane| half(b[lane], 0xffff) | half(a[lane], 0xffff_0000));
            }
            Op::HalfUnary { d, a, .. } => {
                let a = self.get(a, false);
                self.put_used(d, false, |lane| halves(a[lane]));
            }
            Op::HalfBinary { d, a, b, .. } => {
                let (a, b) = (self.get(a, false), self.get(b, false));
                self.put_used(d, false, |lane| halves(a[lane] | b[lane]));
            }
            Op::HalfFma { d, a, b, c, .. } => {
                let [a, b, c] = [a, b, c].map(|reg| self.get(reg, false));
                self.put_used(d, false, |lane| halves(a[lane] | b[lane] | c[lane]));
            }
            Op::Mma(ref mma) => self.product(mma),
            Op::MatrixProduct(ref product) => self.general_product(product),
            _ => return false,
        }
        true
    }

    /// A matrix product: rows of A and columns of B that hold something undefined make those of the result undefined.
    /// A lane's registers of A alternate between rows `lane / 4` and 8 below; those of B lie in column `lane / 4`; the
    /// result's two halves lie in the same two rows, columns `2 (lane % 4)` and the next (PTX ISA, matrix fragments).
    fn product(&mut self, mma: &Mma) {
        let (a_count, b_count, d_count) = mma.shape.registers();
        let (mut rows, mut columns) = (0u32, 0u32);
        for (index, reg) in mma.a[..a_count].iter().enumerate() {
            let bits = self.get(*reg, false);
            (0..32).filter(|lane| bits[*lane] != 0).for_each(|lane| rows |= 1 << (lane / 4 + 8 * (index % 2)));
        }
        for reg in &mma.b[..b_count] {
            let bits = self.get(*reg, false);
            (0..32).filter(|lane| bits[*lane] != 0).for_each(|lane| columns |= 1 << (lane / 4));
        }
        let addends: Vec<Bits> = mma.c[..d_count].iter().map(|reg| self.get(*reg, false)).collect();
        for (index, d) in mma.d[..d_count].iter().enumerate() {
            // Two registers hold pairs of fp16, four hold one fp32 each.
            let (below, pair) = if d_count == 2 { (index, 0b11) } else { (index / 2, 1 << (index % 2)) };
            self.put_used(*d, false, |lane| {
                let row = rows >> (lane / 4 + 8 * below) & 1;
                let column = columns >> (2 * (lane % 4)) & pair;
                if row | column != 0 || addends[index][lane] != 0 { all(Width::W32) } else { 0 }
            });
        }
    }

    /// As [`Step::product`], for a product of any shape.
    fn general_product(&mut self, product: &MatrixProduct) {
        let elements = |step: &Self, operand: &MatrixOperand| {
            let (fragment, mut found) = (operand.fragment, Vec::new());
            let wide = fragment.element == Element::F64;
            for (index, reg) in operand.registers.iter().enumerate() {
                let bits = step.get(*reg, wide);
                for (lane, part) in (0..32).flat_map(|lane| (0..fragment.per_register()).map(move |part| (lane, part)))
                {
                    let size = fragment.element.bits();
                    if bits[lane] >> (size * part) & (u64::MAX >> (64 - size)) != 0 {
                        found.push(fragment.position(index % fragment.registers(), part, lane));
                    }
                }
            }
            found
        };
        let set = |elements: Vec<(usize, usize)>| elements.iter().fold(0u64, |set, (row, _)| set | 1 << row);
        let (rows, columns) = (set(elements(self, &product.a)), set(elements(self, &product.b)));
        let addends = elements(self, &product.c);
        let (fragment, wide) = (product.d.fragment, product.d.fragment.element == Element::F64);
        let size = fragment.element.bits();
        for (index, d) in product.d.registers.iter().enumerate() {
            self.put_used(*d, wide, |lane| {
                (0..fragment.per_register()).fold(0, |bits, part| {
                    let (row, column) = fragment.position(index % fragment.registers(), part, lane);
                    let undefined = (rows >> row | columns >> column) & 1 != 0 || addends.contains(&(row, column));
                    bits | if undefined { u64::MAX >> (64 - size) << (size * part) } else { 0 }
                })
            });
        }
    }

    /// Comparisons and logic on predicates; whether it was one.
    fn predicates(&mut self) -> bool {
        let file = self.seen.file;
        match self.seen.instruction.op {
            Op::MovPred { d, a } => self.put_predicate(d, self.shadow.predicate(a.pred)),
            Op::PredLogic { op, d, a, b } => {
                let undefined = self.combined(op, [self.shadow.predicate(a.pred), file.pred(a)], b);
                self.put_predicate(d, undefined);
            }
            Op::Setp { ty, comparison, d, complement, a, b, combine, c, .. } => {
                let wide = matches!(ty, CompareType::U64 | CompareType::S64 | CompareType::F64);
                let (ua, ub) = (self.get(a, wide), self.get(b, wide));
                let (va, vb) = (self.values(a, wide), self.values(b, wide));
                let is_float = matches!(ty, CompareType::F16 | CompareType::Bf16 | CompareType::F32 | CompareType::F64);
                let equality = !is_float && matches!(comparison, Comparison::Eq | Comparison::Ne);
                let unknown = lanes(|lane| {
                    let undefined = ua[lane] | ub[lane];
                    // Integers that differ in a defined bit differ.
                    undefined != 0 && !(equality && (va[lane] ^ vb[lane]) & !undefined != 0)
                });
                let holds = lanes(|lane| holds(ty, comparison, va[lane], vb[lane]));
                let results =
                    [self.combined(combine, [unknown, holds], c), self.combined(combine, [unknown, !holds], c)];
                self.put_predicate(d, results[0]);
                complement.iter().for_each(|q| self.put_predicate(*q, results[1]));
            }
            Op::SetpHalf2 { d, a, b, c, .. } => {
                let (a, b) = (self.get(a, false), self.get(b, false));
                let other = self.shadow.predicate(c.pred);
                for (half, d) in d.into_iter().enumerate() {
                    let unknown = lanes(|lane| (a[lane] | b[lane]) >> (16 * half) & 0xffff != 0);
                    self.put_predicate(d, unknown | other);
                }
            }
            _ => return false,
        }
        true
    }

    /// Lanes in which `first`, undefined and value, combined with `second` is undefined.
    fn combined(&self, op: BoolOp, [ua, a]: [u32; 2], second: PredSource) -> u32 {
        let (ub, b) = (self.shadow.predicate(second.pred), self.seen.file.pred(second));
        let [ua, a, ub, b] = [ua, a, ub, b].map(u64::from);
        let undefined = match op {
            BoolOp::And => and([ua, a], [ub, b]),
            BoolOp::Or => and([ua, !a], [ub, !b]),
            BoolOp::Xor => ua | ub,
        };
        undefined as u32
    }

    /// Exchanges between lanes; whether it was one.
    fn exchanges(&mut self) -> bool {
        let mask = self.seen.mask;
        match self.seen.instruction.op {
            Op::Shuffle { mode, d, p, a, b, c, .. } => {
                let (mut from, mut inside) = ([0; 32], [0; 32]);
                shuffle::sources(mode, self.seen.file.get(b), self.seen.file.get(c), &mut from, &mut inside);
                let (a, b, c) = (self.get(a, false), self.get(b, false), self.get(c, false));
                let unknown = lanes(|lane| b[lane] | c[lane] != 0);
                // The lanes that take part name each other as members, so that those left out are not active here.
                let inactive = lanes(|lane| mask >> (from[lane] & 31) & 1 == 0) & mask & !unknown;
                if let Some(lane) = lanes_of(inactive).next()
                    && self.origin.load == NONE
                {
                    self.origin = Origin::of_lane(self.seen.position, lane as u8, from[lane] as u8);
                }
                let bits = |lane: usize| {
                    let whole = (unknown | inactive) >> lane & 1 != 0;
                    if whole { all(Width::W32) } else { a[from[lane] as usize & 31] }
                };
                self.put(d, false, bits);
                p.iter().for_each(|p| self.put_predicate(*p, unknown));
            }
            Op::Ballot { d, p, .. } => {
                let undefined = self.shadow.predicate(p.pred) & mask;
                self.put_used(d, false, |_| undefined.into());
            }
            Op::Vote { mode, d, p, .. } => {
                let undefined = self.shadow.predicate(p.pred) & mask;
                let votes = self.seen.file.pred(p);
                let (yes, no) = (votes & mask & !undefined, !votes & mask & !undefined);
                let decided = match mode {
                    VoteMode::All => no != 0,
                    VoteMode::Any => yes != 0,
                    VoteMode::Uniform => yes != 0 && no != 0,
                };
                self.put_predicate(d, if undefined != 0 && !decided { FULL } else { 0 });
            }
            Op::TransposeMatrix { d, a } => {
                let a = self.get(a, false);
                self.put(d, false, |lane| {
                    (0..2).fold(0, |bits, half| {
                        let (row, column) = (2 * (lane % 4) + half, lane / 4);
                        bits | (a[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff) << (16 * half)
                    })
                });
            }
            Op::MatchAny { .. } | Op::MatchAll { .. } | Op::Redux { .. } | Op::QuadPairProduct(_) => {
                let undefined = self.undefined_lanes() & mask;
                self.write_all(if undefined != 0 { FULL } else { 0 });
            }
            // What a barrier delivers is defined: an undefined vote was reported.
            Op::Barrier { .. } => self.write_all(0),
            _ => return false,
        }
        true
    }

    /// Lanes with an undefined bit in any source.
    fn undefined_lanes(&self) -> u32 {
        self.plan.operands.iter().filter(|operand| self.shadow.touches(**operand)).fold(0, |undefined, operand| {
            undefined
                | match *operand {
                    Operand::Source { reg, wide } => {
                        let bits = self.get(reg, wide);
                        lanes(|lane| bits[lane] != 0)
                    }
                    Operand::SourcePred(pred) => self.shadow.predicate(pred),
                    Operand::Destination { .. } | Operand::DestinationPred(_) => 0,
                }
        })
    }

    /// Makes all destinations wholly undefined in the lanes of `undefined`, and defined in the others.
    fn write_all(&mut self, undefined: u32) {
        let plan = self.plan;
        for operand in &plan.operands {
            match *operand {
                Operand::Destination { reg, wide } => {
                    let ones = all(if wide { Width::W64 } else { Width::W32 });
                    self.put_used(reg, wide, |lane| if undefined >> lane & 1 != 0 { ones } else { 0 });
                }
                Operand::DestinationPred(pred) => self.put_predicate(pred, undefined),
                Operand::Source { .. } | Operand::SourcePred(_) => {}
            }
        }
    }

    /// An operation without a rule of its own: a lane's results are undefined if any of its operands is.
    fn strictly(&mut self) {
        self.write_all(self.undefined_lanes());
    }
}

/// The lanes for which `f` holds.
pub(super) fn lanes(f: impl Fn(usize) -> bool) -> u32 {
    lanes_of(FULL).filter(|lane| f(*lane)).fold(0, |mask, lane| mask | 1 << lane)
}
