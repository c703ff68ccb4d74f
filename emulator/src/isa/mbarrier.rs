//! Operations on mbarrier objects: barriers of some threads that lie in shared memory.

use super::{Address, Pred, Reg, Space};

/// The bits of an object, and of a state, that count the arrivals it waits for.
pub const MBARRIER_COUNT_MASK: u64 = (1 << 20) - 1;

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MbarrierAction {
    /// Expects `a` arrivals.
    Init,
    Invalidate,
    /// `a` arrivals; with `drop` the next phases expect as many fewer. Without `completes` the phase must not end.
    Arrive {
        drop: bool,
        completes: bool,
    },
    /// Expects `a` bytes more, then one arrival.
    ArriveExpecting {
        drop: bool,
    },
    /// Expects `a` bytes more.
    Expect,
    /// `a` bytes have come.
    Complete,
    /// Whether the phase of the state `a` has ended.
    Test,
    /// Whether the phase of parity `a` has ended.
    TestParity,
}

/// An operation on an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mbarrier {
    pub action: MbarrierAction,
    pub space: Space,
    pub address: Address,
    /// 64 bits of a state, 32 of everything else.
    pub a: Reg,
    /// Receives the state that the object was in, of 64 bits.
    pub d: Option<Reg>,
    pub p: Option<Pred>,
}
