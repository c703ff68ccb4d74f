//! Accesses that nothing orders.

use super::observe::Observer;

/// Watches the blocks that share one storage, one after the other.
#[derive(Debug, Default)]
pub(super) struct Races {}

impl Observer for Races {}
