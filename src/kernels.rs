//! The CUDA sources, embedded by `build.rs` with their includes resolved.

include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// The flattened source of `kernels/{file}.cu`.
///
/// # Panics
/// If there is no such file: kernel names are constants of this crate.
pub fn source(file: &str) -> &'static str {
    SOURCES.iter().find(|(name, _)| *name == file).unwrap_or_else(|| panic!("no kernels/{file}.cu")).1
}

/// The stems of all kernel files.
pub fn files() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|(name, _)| *name)
}
