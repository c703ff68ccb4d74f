//! The interpreter: runs a fragment of a warp, one instruction for all its lanes at a time.

use super::async_copy;
use super::atomics::{self, Atomic};
use super::call;
use super::convert;
use super::float;
use super::fragment;
use super::grid::Grid;
use super::halves;
use super::host;
use super::integer::{self, Carry};
use super::lanes::{FULL, File, lanes_of};
use super::matrix;
use super::mbarrier;
use super::memory::{self, Checked, Fault, View, lanes_in_window};
use super::observe::{Observer, Seen};
use super::packed;
use super::shuffle;
use super::special;
use super::spin::Watch;
use super::stack;
use super::warp::{Fragment, NONE, State, Warp};
use super::{LOCAL_WINDOW, PARAMETER_WINDOW, SHARED_WINDOW};
use crate::isa::*;
use crate::report::Fault as Kind;

/// Jumps backwards before a fragment lets others run.
const TURN: u32 = 4096;

/// What the instructions of one warp work on.
pub(super) struct Machine<'a> {
    pub grid: &'a Grid<'a>,
    pub file: File,
    pub view: View<'a>,
    pub block: [u32; 3],
    /// The warp's number in its block.
    pub number: usize,
    pub fragments: &'a mut matrix::Fragments,
    pub watch: &'a mut Watch,
}

/// Why a fragment stopped.
pub(super) enum Stop {
    /// Its lanes have left the kernel or wait at their join.
    Ended,
    /// Its turn is over.
    Paused(Fragment),
    /// It only waits for others to write.
    Spinning(Fragment),
    /// It waits, as its state says.
    Waiting(Fragment),
    /// It has reached barrier `id`, which expects `count` threads, with the lanes of `mask`. It waits or goes on as its
    /// state says.
    Arrived { id: u32, count: Option<u32>, mask: u32, fragment: Fragment },
}

/// A fault and the position of the instruction.
type Failure = (Box<Fault>, u32);

/// Runs `fragment` until it ends, waits or has had its turn.
pub(super) fn run(
    machine: &mut Machine,
    warp: &mut Warp,
    mut fragment: Fragment,
    observer: &mut impl Observer,
) -> Result<Stop, Failure> {
    let code = &machine.grid.program.code[..];
    let mut turn = warp.turn(TURN);
    machine.fragments.forget();
    machine.watch.restart();
    let mut meeting = warp.join_position(fragment.parent);
    loop {
        let position = fragment.position;
        if position == meeting {
            match warp.arrive(fragment.parent, fragment.mask, &mut machine.file) {
                Some(whole) => fragment = whole,
                None => return Ok(Stop::Ended),
            }
            meeting = warp.join_position(fragment.parent);
            continue;
        }
        let instruction = &code[position as usize];
        let mask = fragment.mask & machine.file.pred(instruction.guard);
        fragment.position += 1;
        if instruction.guard != PredSource::TRUE {
            observer.guarded(&Seen::of(machine, warp, position, mask, fragment.mask));
        }
        if mask == 0 {
            continue;
        }
        let lanes = match instruction.flow {
            Flow::Plain => {
                observer.instruction(&Seen::of(machine, warp, position, mask, fragment.mask));
                mask
            }
            Flow::Meeting => {
                if let Op::Mma(mma) = &instruction.op
                    && mma.run > 1
                    && mask == FULL
                    && machine.grid.model.is_none()
                    && !observer_sees(observer)
                {
                    fragment.position = position + u32::from(mma.run);
                    let run = &code[position as usize..fragment.position as usize];
                    matrix::multiply_run(machine.grid.level, machine.fragments, &mut machine.file, run);
                    continue;
                }
                if let Some(sides) = member_groups(&machine.file, &instruction.op, &fragment, mask) {
                    match split(warp, &mut machine.file, fragment, &sides, position + 1) {
                        Some(side) => fragment = side,
                        None => return Ok(Stop::Ended),
                    }
                    meeting = warp.join_position(fragment.parent);
                    continue;
                }
                match meet(machine, warp, &mut fragment, mask).map_err(|fault| (fault, position))? {
                    Some(lanes) => {
                        observer.instruction(&Seen::of(machine, warp, position, lanes, fragment.mask));
                        lanes
                    }
                    None => return Ok(Stop::Waiting(fragment)),
                }
            }
            Flow::Control => {
                let next = control(machine, warp, fragment, mask, &mut turn, observer);
                match next.map_err(|fault| (fault, position))? {
                    Next::Run(next) => fragment = next,
                    Next::Stop(stop) => return Ok(stop),
                }
                if turn == 0 {
                    return Ok(Stop::Paused(fragment));
                }
                meeting = warp.join_position(fragment.parent);
                continue;
            }
        };
        machine.view.position = position as usize;
        execute(machine, warp, &instruction.op, lanes).map_err(|fault| (fault, position))?;
    }
}

/// What control flow makes of a fragment.
enum Next {
    /// Lanes go on.
    Run(Fragment),
    Stop(Stop),
}

impl From<Option<Fragment>> for Next {
    fn from(fragment: Option<Fragment>) -> Self {
        fragment.map_or(Next::Stop(Stop::Ended), Next::Run)
    }
}

/// Executes an operation that decides what is executed next, for the lanes of `mask`.
#[inline(always)]
fn control(
    machine: &mut Machine,
    warp: &mut Warp,
    mut fragment: Fragment,
    mask: u32,
    turn: &mut u32,
    observer: &mut impl Observer,
) -> Checked<Next> {
    let position = fragment.position - 1;
    let op = &machine.grid.program.code[position as usize].op;
    if !matches!(op, Op::Barrier { aligned: true, .. }) {
        observer.instruction(&Seen::of(machine, warp, position, mask, fragment.mask));
    }
    Ok(match op {
        Op::Branch { target, reconverge } => {
            let mut spins = false;
            if *target <= position {
                *turn -= 1;
                spins = machine.watch.jumps_back(&machine.file, machine.grid.program, *target, mask);
            }
            let next = if mask == fragment.mask {
                Some(Fragment { position: *target, ..fragment })
            } else {
                let sides = [(mask, *target), (fragment.mask & !mask, position + 1)];
                split(warp, &mut machine.file, fragment, &sides, *reconverge)
            };
            match next {
                Some(waiting) if spins => Next::Stop(Stop::Spinning(waiting)),
                next => next.into(),
            }
        }
        Op::BranchIndexed { index, targets, reconverge } => {
            *turn -= 1;
            let sides = indexed_sides(machine, fragment, mask, *index, targets)?;
            split(warp, &mut machine.file, fragment, &sides, *reconverge).into()
        }
        Op::CallFunction { target, top, saved } => {
            *turn -= 1;
            let inside = call::enter(machine, warp, fragment, *target, *top, saved)?;
            machine.fragments.forget();
            Next::Run(inside)
        }
        Op::Return => {
            let whole = warp.return_from(fragment.parent, mask, &mut machine.file);
            machine.fragments.forget();
            fragment.mask &= !mask;
            if fragment.mask == 0 {
                return Ok(whole.into());
            }
            warp.fragments.extend(whole);
            Next::Run(fragment)
        }
        Op::Exit => {
            warp.leave(fragment.parent, mask, &mut machine.file);
            fragment.mask &= !mask;
            if fragment.mask == 0 { Next::Stop(Stop::Ended) } else { Next::Run(fragment) }
        }
        Op::Yield => Next::Stop(Stop::Paused(fragment)),
        Op::Barrier { aligned: true, .. } if warp.live & !(mask | warp.waiting_at(position)) != 0 => {
            whole_group(mask, &fragment)?;
            fragment.position = position;
            fragment.state = State::AtMeeting;
            Next::Stop(Stop::Waiting(fragment))
        }
        Op::Barrier { aligned, kind, id, count } => {
            if *aligned {
                whole_group(mask, &fragment)?;
                observer.instruction(&Seen::of(machine, warp, position, warp.live, fragment.mask));
            }
            let arrival = Arrival { position, mask, kind: *kind, aligned: *aligned };
            Next::Stop(barrier(machine, warp, fragment, arrival, *id, *count)?)
        }
        other => unreachable!("{other:?} is no control flow"),
    })
}

/// The lanes that execute an operation at which lanes wait for each other, once all that it names have come; until then
/// `None`, and the fragment waits.
#[inline(always)]
fn meet(machine: &Machine, warp: &mut Warp, fragment: &mut Fragment, mask: u32) -> Checked<Option<u32>> {
    let position = fragment.position - 1;
    let instruction = &machine.grid.program.code[position as usize];
    let named = match members(&instruction.op) {
        Members::Register(reg) => machine.file.get(reg)[mask.trailing_zeros() as usize & 31],
        Members::Warp => FULL,
    };
    if mask & !named != 0 {
        let lane = (mask & !named).trailing_zeros() as usize;
        return Err(Fault::new(Some(lane), "a lane takes part that the member mask leaves out"));
    }
    let mut lanes = mask;
    if named & warp.live & !mask != 0 {
        lanes |= warp.waiting_at(position) & named & machine.file.pred(instruction.guard);
        if named & warp.live & !lanes != 0 {
            fragment.position = position;
            fragment.state = State::AtMeeting;
            return Ok(None);
        }
        fragment.mask |= warp.release_meeting(position, named, fragment.parent);
    }
    Ok(Some(lanes))
}

/// Whether the observer looks at instructions, as a constant of its type.
fn observer_sees<O: Observer>(_: &O) -> bool {
    O::ACTIVE
}

/// Sends each group of lanes its way; the fragment to go on with, if one is left.
fn split(
    warp: &mut Warp,
    file: &mut File,
    fragment: Fragment,
    sides: &[(u32, u32)],
    reconverge: u32,
) -> Option<Fragment> {
    let parent = warp.join_for(&fragment, reconverge);
    let mut next = None;
    for &(mask, position) in sides.iter().filter(|(mask, _)| *mask != 0) {
        let side = Fragment { position, mask, parent, state: State::Runnable };
        if parent != NONE && position == warp.join_position(parent) {
            // The last side to arrive carries the others on.
            if let Some(whole) = warp.arrive(parent, mask, file) {
                next = Some(whole);
            }
        } else if let Some(other) = next.replace(side) {
            warp.fragments.push_back(other);
        }
    }
    if warp.random.varies() && next.is_some_and(|side| side.parent == parent) && warp.random.below(2) == 0 {
        warp.fragments.extend(next);
        next = warp.next();
    }
    next
}

/// Groups of lanes with the same target.
fn indexed_sides(
    machine: &Machine,
    fragment: Fragment,
    mask: u32,
    index: Reg,
    targets: &[u32],
) -> Checked<Vec<(u32, u32)>> {
    let index = machine.file.get(index);
    let mut sides = vec![(fragment.mask & !mask, fragment.position)];
    for lane in lanes_of(mask) {
        let Some(&target) = targets.get(index[lane] as usize) else {
            return Err(Fault::new(Some(lane), format!("branch index {} of {} targets", index[lane], targets.len())));
        };
        match sides[1..].iter_mut().find(|(_, t)| *t == target) {
            Some((mask, _)) => *mask |= 1 << lane,
            None => sides.push((1 << lane, target)),
        }
    }
    Ok(sides)
}

/// An aligned barrier is executed by all lanes of a group or by none.
fn whole_group(mask: u32, fragment: &Fragment) -> Checked<()> {
    if mask == fragment.mask {
        return Ok(());
    }
    let lane = (fragment.mask & !mask).trailing_zeros() as usize;
    Err(Fault::new(Some(lane), "divergent barrier: some lanes of the group are predicated off"))
}

/// Lanes that reach a barrier.
struct Arrival {
    position: u32,
    mask: u32,
    kind: BarrierKind,
    aligned: bool,
}

fn barrier(
    machine: &Machine,
    warp: &mut Warp,
    mut fragment: Fragment,
    arrival: Arrival,
    id: Reg,
    count: Option<Reg>,
) -> Checked<Stop> {
    let Arrival { position, mut mask, kind, aligned } = arrival;
    let lane = mask.trailing_zeros() as usize & 31;
    let id = machine.file.get(id)[lane];
    if id > 15 {
        return Err(Fault::new(Some(lane), format!("barrier {id} of 16")));
    }
    let count = count.map(|count| machine.file.get(count)[lane]);
    if let Some(count) = count.filter(|count| count % 32 != 0 || *count == 0) {
        return Err(Fault::new(Some(lane), format!("barrier of {count} threads, not whole warps")));
    }
    if kind == BarrierKind::Arrive {
        if aligned {
            mask |= warp.waiting_at(position);
            fragment.mask |= warp.release_meeting(position, FULL, fragment.parent);
        }
        return Ok(Stop::Arrived { id, count, mask, fragment });
    }
    let state = State::AtBarrier { id, count };
    if aligned {
        warp.enter_barrier(position, state);
    } else if fragment.mask != mask {
        warp.fragments.push_back(Fragment { mask: fragment.mask & !mask, ..fragment });
        fragment.mask = mask;
    }
    (fragment.position, fragment.state) = (position, state);
    Ok(Stop::Arrived { id, count, mask, fragment })
}

/// Lanes of a group that name different members execute an operation apart: the groups, if there are several, and the
/// lanes of `fragment` that do not execute it, behind it.
#[inline(always)]
fn member_groups(file: &File, op: &Op, fragment: &Fragment, mask: u32) -> Option<Vec<(u32, u32)>> {
    let Members::Register(reg) = members(op) else {
        return None;
    };
    let named = file.get(reg);
    let first = named[mask.trailing_zeros() as usize & 31];
    let mut different = 0;
    for lane in 0..32 {
        different |= u32::from(named[lane] != first) << lane;
    }
    (different & mask != 0).then(|| groups_of(named, fragment, mask))
}

#[cold]
fn groups_of(named: &[u32; 32], fragment: &Fragment, mask: u32) -> Vec<(u32, u32)> {
    let mut groups = vec![(fragment.mask & !mask, fragment.position)];
    let mut left = mask;
    while left != 0 {
        let members = named[left.trailing_zeros() as usize];
        let group = lanes_of(left).filter(|lane| named[*lane] == members).fold(0, |group, lane| group | 1 << lane);
        groups.push((group, fragment.position - 1));
        left &= !group;
    }
    groups
}

/// The lanes which must execute an operation together.
enum Members {
    /// Named by a register.
    Register(Reg),
    /// The whole warp.
    Warp,
}

#[inline(always)]
fn members(op: &Op) -> Members {
    match op {
        Op::Shuffle { members, .. }
        | Op::Vote { members, .. }
        | Op::Ballot { members, .. }
        | Op::MatchAny { members, .. }
        | Op::MatchAll { members, .. }
        | Op::Redux { members, .. }
        | Op::Elect { members, .. }
        | Op::WarpBarrier { members } => Members::Register(*members),
        _ => Members::Warp,
    }
}

/// Executes one operation that is no jump for the lanes of `mask`.
#[inline(always)]
fn execute(m: &mut Machine, warp: &mut Warp, op: &Op, mask: u32) -> Checked<()> {
    let level = m.grid.level;
    let file = &mut m.file;
    match op {
        Op::Mov32 { d, a } => {
            let value = *file.get(*a);
            file.set(mask, *d, value);
        }
        Op::Mov64 { d, a } => {
            let value = *file.get64(*a);
            file.set64(mask, *d, value);
        }
        Op::MovPred { d, a } => {
            let bits = file.pred(*a);
            file.set_pred(mask, *d, bits);
        }
        Op::Pack16x2 { d, a, b } => special::pack_16x2(level, file, mask, *d, *a, *b),
        Op::Pack32x2 { d, a, b } => special::pack_32x2(level, file, mask, *d, *a, *b),
        Op::Pack16x4 { d, a } => integer::pack_16x4(file, mask, *d, a),
        Op::Unpack16x2 { d, a } => special::unpack_16x2(level, file, mask, *d, *a),
        Op::Unpack32x2 { d, a } => special::unpack_32x2(level, file, mask, *d, *a),
        Op::Unpack16x4 { d, a } => integer::unpack_16x4(file, mask, d, *a),
        Op::Special { d, special } => special::read(m, mask, *special, *d),

        Op::IntUnary { op, width, d, a } => integer::unary(level, file, mask, *op, *width, *d, *a),
        Op::IntBinary { op, width, d, a, b } => integer::binary(level, file, mask, *op, *width, *d, *a, *b),
        Op::IntTernary { op, width, d, a, b, c } => {
            integer::ternary(level, file, mask, *op, *width, *d, [*a, *b, *c]);
        }
        Op::Packed { packed, d, a, b, c } => packed::packed(file, mask, *packed, *d, [*a, *b, *c]),
        Op::Lop3 { d, a, b, c, table } => integer::lop3(level, file, mask, *table, *d, [*a, *b, *c]),
        Op::Bfi { width, d, a, b, c, e } => integer::insert(level, file, mask, *width, *d, [*a, *b], [*c, *e]),
        Op::Bmsk { d, a, b, clamp } => integer::bit_mask(file, mask, *d, *a, *b, *clamp),
        Op::AddCarry { width, d, a, b, carry_in, carry_out, subtract } => {
            let carry = Carry { into: *carry_in, out: *carry_out, subtract: *subtract };
            integer::add_carry(file, mask, *width, *d, *a, *b, &carry);
        }
        Op::PredLogic { op, d, a, b } => {
            let bits = integer::combine(*op, file.pred(*a), file.pred(*b));
            file.set_pred(mask, *d, bits);
        }

        Op::F32Unary { op, mode, d, a } => float::unary(level, file, mask, *op, *mode, *d, *a),
        Op::F32Binary { op, mode, d, a, b } => float::binary(level, file, mask, *op, *mode, *d, *a, *b),
        Op::F32Fma { mode, d, a, b, c } => float::fma(level, file, mask, *mode, *d, [*a, *b, *c]),
        Op::F64Unary { op, rounding, d, a } => float::unary_f64(level, file, mask, *op, *rounding, *d, *a),
        Op::F64Binary { op, rounding, d, a, b } => {
            float::binary_f64(level, file, mask, *op, *rounding, *d, *a, *b);
        }
        Op::F64Fma { rounding, d, a, b, c } => float::fma_f64(level, file, mask, *rounding, *d, [*a, *b, *c]),
        Op::HalfUnary { op, kind, mode, d, a } => halves::unary(level, file, mask, *op, (*kind, *mode), *d, *a),
        Op::HalfBinary { op, kind, mode, d, a, b } => {
            halves::binary(level, file, mask, *op, (*kind, *mode), *d, *a, *b);
        }
        Op::HalfFma { kind, mode, d, a, b, c } => halves::fma(level, file, mask, (*kind, *mode), *d, [*a, *b, *c]),
        Op::TestFloat { class, double, d, a } => {
            let bits = float::classify(file, *class, *double, *a);
            file.set_pred(mask, *d, bits);
        }

        Op::Cvt { cvt, d, a } => convert::convert(level, file, mask, *cvt, *d, *a),
        Op::CvtPack { format, rounding, relu, finite, d, a, b } => {
            convert::pack(level, file, mask, *format, *rounding, (*relu, *finite), *d, [*a, *b]);
        }
        Op::CvtBytes { format, relu, d, a, b } => convert::to_bytes(file, mask, *format, *relu, *d, [*a, *b]),
        Op::ExpandBytes { format, relu, d, a } => convert::expand_bytes(file, mask, *format, *relu, *d, *a),
        Op::PackIntegers { bits, signed, d, a, b, c } => {
            convert::pack_integers(file, mask, (*bits).into(), *signed, *d, [*a, *b, *c]);
        }

        Op::Setp { ty, comparison, flush, d, complement, a, b, combine, c } => {
            let holds = float::test(level, file, *ty, *comparison, *flush, *a, *b);
            let other = file.pred(*c);
            file.set_pred(mask, *d, integer::combine(*combine, holds, other));
            if let Some(q) = complement {
                file.set_pred(mask, *q, integer::combine(*combine, !holds, other));
            }
        }
        Op::SetpHalf2 { format, comparison, flush, d, a, b, combine, c } => {
            let holds = halves::test_pairs(level, file, *format, *comparison, *flush, *a, *b);
            let other = file.pred(*c);
            for (d, holds) in d.iter().zip(holds) {
                file.set_pred(mask, *d, integer::combine(*combine, holds, other));
            }
        }
        Op::Selp { width, d, a, b, p } => {
            let chosen = file.pred(*p);
            special::select(level, file, mask, *width, *d, *a, *b, chosen);
        }

        Op::Load { strong, space, kind, count, d, address } => {
            let _whole = atomics::whole(*strong, *kind, *count);
            memory::load(level, file, &mut m.view, mask, *space, *kind, &d[..*count as usize], *address)?;
        }
        Op::Store { strong, space, kind, count, a, address } => {
            m.watch.acts += 1;
            let _whole = atomics::whole(*strong, *kind, *count);
            memory::store(level, file, &mut m.view, mask, *space, *kind, &a[..*count as usize], *address)?;
        }
        Op::Atomic { space, op, ty, d, address, b, c } => {
            // One that returns what it found shows it in a register.
            m.watch.acts += u64::from(d.is_none());
            let atomic = Atomic { space: *space, op: *op, ty: *ty, d: *d, address: *address, b: *b, c: *c };
            atomics::atomic(&mut m.view, file, mask, &atomic)?;
        }
        Op::IsSpace { space, d, a } => {
            let inside = |window| lanes_in_window(file.get64(*a), window);
            let bits = match space {
                Space::Shared => inside(SHARED_WINDOW),
                Space::Local => inside(LOCAL_WINDOW),
                Space::Param => inside(PARAMETER_WINDOW),
                Space::Global | Space::Generic => {
                    !(inside(SHARED_WINDOW) | inside(LOCAL_WINDOW) | inside(PARAMETER_WINDOW))
                }
            };
            file.set_pred(mask, *d, bits);
        }

        Op::Shuffle { mode, d, p, a, b, c, .. } => {
            shuffle::shuffle(level, file, mask, *mode, *d, *p, [*a, *b, *c]);
        }
        Op::Vote { mode, d, p, .. } => {
            let votes = file.pred(*p) & mask;
            let holds = match mode {
                VoteMode::All => votes == mask,
                VoteMode::Any => votes != 0,
                VoteMode::Uniform => votes == 0 || votes == mask,
            };
            file.set_pred(mask, *d, if holds { FULL } else { 0 });
        }
        Op::Ballot { d, p, .. } => {
            let votes = file.pred(*p) & mask;
            file.set(mask, *d, [votes; 32]);
        }
        Op::MatchAny { width, d, a, .. } => shuffle::match_any(file, mask, *width, *d, *a),
        Op::MatchAll { width, d, p, a, .. } => shuffle::match_all(file, mask, *width, *d, *p, *a),
        Op::Redux { op, d, a, .. } => shuffle::redux(file, mask, *op, *d, *a),
        Op::ActiveMask { d } => file.set(mask, *d, [mask; 32]),
        Op::Elect { d, p, .. } => {
            file.set(mask, *d, [mask.trailing_zeros(); 32]);
            file.set_pred(mask, *p, mask & mask.wrapping_neg());
        }
        Op::WarpBarrier { .. } | Op::Fence { .. } => {}
        Op::Mbarrier(object) => {
            m.watch.acts += u64::from(object.p.is_none());
            mbarrier::execute(&mut m.view, file, mask, object)?;
        }

        Op::LoadMatrix { count, transpose, d, address } => {
            matrix::load(level, &mut m.view, file, mask, &d[..*count as usize], *transpose, *address)?;
        }
        Op::StoreMatrix { count, transpose, a, address } => {
            m.watch.acts += 1;
            matrix::store(level, &mut m.view, file, mask, &a[..*count as usize], *transpose, *address)?;
        }
        Op::CopyAsync { bytes, to, from, source_bytes } => {
            m.watch.acts += 1;
            async_copy::begin(level, file, &mut m.view, &mut warp.copies, mask, *bytes, [*to, *from], *source_bytes)?;
            // A copy may be done at once as well as at its wait.
            if warp.random.varies() && warp.random.below(2) == 0 {
                warp.copies.finish_newest();
            }
        }
        Op::CopyCommit => warp.copies.commit(mask),
        Op::CopyWait { all: true, .. } => warp.copies.wait_all(mask),
        Op::CopyWait { pending, .. } => warp.copies.wait(mask, *pending),
        Op::Mma(mma) => matrix::multiply(level, m.grid.model.as_ref(), m.fragments, file, mask, mma)?,
        Op::MatrixProduct(product) => matrix::product(level, m.grid.model.as_ref(), file, mask, product)?,
        Op::QuadPairProduct(product) => matrix::quad_pairs(level, m.grid.model.as_ref(), file, mask, product)?,
        Op::LoadFragment(access) => fragment::load(&mut m.view, file, mask, access)?,
        Op::StoreFragment(access) => {
            m.watch.acts += 1;
            fragment::store(&mut m.view, file, mask, access)?;
        }
        Op::TransposeMatrix { d, a } => matrix::transpose(level, file, mask, *d, *a)?,

        Op::StackAllocate { d, top, a, bytes, alignment } => {
            m.watch.acts += 1;
            stack::allocate(m, mask, [*d, *top], [*a, *bytes], *alignment)?;
        }
        Op::StackRestore { top, b, .. } => stack::restore(m, mask, *top, *b)?,

        Op::Trap => return Err(Fault::new(Some(mask.trailing_zeros() as usize), "trap").of(Kind::IllegalInstruction)),
        Op::Call(builtin) => {
            m.watch.acts += 1;
            host::call(m, mask, *builtin)?;
        }
        Op::Branch { .. }
        | Op::BranchIndexed { .. }
        | Op::CallFunction { .. }
        | Op::Return
        | Op::Exit
        | Op::Yield
        | Op::Barrier { .. } => {
            unreachable!("control flow is handled by the caller")
        }
    }
    Ok(())
}
