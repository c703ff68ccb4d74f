//! The single list of operations.
