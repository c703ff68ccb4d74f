//! Which bits were ever written.

use super::observe::Observer;

/// Watches the blocks that share one storage, one after the other.
#[derive(Debug, Default)]
pub(super) struct Definedness {}

impl Observer for Definedness {}
