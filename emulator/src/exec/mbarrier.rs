//! mbarrier objects: 64 bits of shared memory that threads arrive at and wait for, phase by phase.
//!
//! An object keeps, from its lowest bit on, 20 bits of arrivals that its phase waits for, 20 of arrivals that each phase
//! expects, 22 of bytes still to come, with a sign, a bit that is 0 and the parity of the phase. A phase ends when it waits
//! for neither arrivals nor bytes (PTX ISA, "Contents of the mbarrier object"; the layout is nobody's business there). A
//! state is what the object was before an arrival.

use super::lanes::{File, Lanes64, lanes_of};
use super::memory::{Checked, Fault, View, addresses, read, write};
use super::observe::AccessKind;
use crate::isa::{MBARRIER_COUNT_MASK, Mbarrier, MbarrierAction};

/// Never an object: the bit between bytes and parity is set.
const INVALID: u64 = u64::MAX;
const NO_OBJECT: &str = "which was not initialised or is no longer valid";

/// The contents of an object.
#[derive(Clone, Copy)]
struct Object {
    pending: u64,
    expected: u64,
    bytes: i64,
    parity: u64,
}

impl Object {
    /// Memory that was never written does not look like one.
    fn of(word: u64) -> Option<Object> {
        (word >> 62 & 1 == 0).then_some(Object {
            pending: word & MBARRIER_COUNT_MASK,
            expected: word >> 20 & MBARRIER_COUNT_MASK,
            bytes: (word << 2) as i64 >> 42,
            parity: word >> 63,
        })
    }

    fn word(self) -> u64 {
        self.pending | self.expected << 20 | (self.bytes as u64 & 0x3f_ffff) << 40 | self.parity << 63
    }

    fn arrive(&mut self, count: u64, drop: bool) -> Result<(), String> {
        if count == 0 || count > self.pending {
            return Err(format!("{count} arrivals, but the phase waits for {}", self.pending));
        }
        self.pending -= count;
        self.expected -= if drop { count.min(self.expected) } else { 0 };
        Ok(())
    }

    fn expect(&mut self, bytes: i64) -> Result<(), String> {
        self.bytes += bytes;
        match self.bytes.abs() < 1 << 20 {
            true => Ok(()),
            false => Err(format!("a count of {} bytes to come", self.bytes)),
        }
    }

    /// Ends the phase if it waits for nothing.
    fn advance(&mut self) {
        if (self.pending, self.bytes) == (0, 0) {
            (self.pending, self.parity) = (self.expected, self.parity ^ 1);
        }
    }
}

/// What an action makes of an object.
fn next(action: MbarrierAction, word: u64, a: u64) -> Result<u64, String> {
    use MbarrierAction::*;
    if action == Init {
        return match a {
            1..=MBARRIER_COUNT_MASK => Ok(Object { pending: a, expected: a, bytes: 0, parity: 0 }.word()),
            _ => Err(format!("initialised for {a} arrivals")),
        };
    }
    let mut object = Object::of(word).ok_or(NO_OBJECT)?;
    match action {
        Invalidate => return Ok(INVALID),
        Arrive { drop, .. } => object.arrive(a, drop)?,
        ArriveExpecting { drop } => {
            object.expect(a as i64)?;
            object.arrive(1, drop)?;
        }
        Expect => object.expect(a as i64)?,
        Complete => object.expect(-(a as i64))?,
        Init | Test | TestParity => {}
    }
    let phase = object.parity;
    object.advance();
    if phase != object.parity && action == (Arrive { drop: false, completes: false }) {
        return Err("an arrival that must not end the phase, but does".into());
    }
    Ok(object.word())
}

/// Whether the phase that a test asks for has ended.
fn has_ended(action: MbarrierAction, word: u64, a: u64) -> bool {
    let asked = if action == MbarrierAction::Test { a >> 63 } else { a & 1 };
    word >> 63 != asked
}

fn is_test(action: MbarrierAction) -> bool {
    matches!(action, MbarrierAction::Test | MbarrierAction::TestParity)
}

fn operands(file: &File, object: &Mbarrier) -> Lanes64 {
    match object.action {
        MbarrierAction::Test => *file.get64(object.a),
        _ => file.get(object.a).map(u64::from),
    }
}

/// Executes an operation lane by lane.
pub(super) fn execute(view: &mut View, file: &mut File, mask: u32, object: &Mbarrier) -> Checked<()> {
    let places = addresses(file, object.address);
    let (mut pointers, a) = (places, operands(file, object));
    view.resolve(object.space, &mut pointers, mask, 8)?;
    let (mut states, mut ended) = ([0; 32], 0);
    for lane in lanes_of(mask) {
        let word = u64::from_le_bytes(read(pointers[lane]));
        let changed = next(object.action, word, a[lane])
            .map_err(|message| Fault::new(Some(lane), format!("mbarrier object at {:#x}: {message}", places[lane])))?;
        states[lane] = word;
        if is_test(object.action) {
            ended |= u32::from(has_ended(object.action, word, a[lane])) << lane;
        } else {
            write(pointers[lane], changed.to_le_bytes());
        }
    }
    if let Some(d) = object.d {
        file.set64(mask, d, states);
    }
    if let Some(p) = object.p {
        file.set_pred(mask, p, ended);
    }
    Ok(())
}

/// What an operation orders, of objects at `places` of the block's memory `shared`: whether the lanes tell what they did
/// before or learn it, which lanes do, and, for each, its object with the parity of the phase in the lowest bit.
pub(super) fn meeting(
    object: &Mbarrier,
    file: &File,
    shared: &[u8],
    places: &Lanes64,
    mask: u32,
) -> (AccessKind, u32, Lanes64) {
    let (a, test) = (operands(file, object), is_test(object.action));
    let (mut lanes, mut keys) = (0, [0; 32]);
    for lane in lanes_of(mask) {
        let bytes = shared.get(places[lane] as usize..).and_then(|rest| rest.first_chunk());
        let Some(word) = bytes.map(|bytes| u64::from_le_bytes(*bytes)) else { continue };
        let orders = match object.action {
            MbarrierAction::Init | MbarrierAction::Invalidate => false,
            _ => !test || has_ended(object.action, word, a[lane]),
        };
        lanes |= u32::from(orders) << lane;
        // The phase that has ended is the one before.
        keys[lane] = places[lane] & !1 | (word >> 63 ^ u64::from(test));
    }
    (if test { AccessKind::Read } else { AccessKind::Write }, lanes, keys)
}
