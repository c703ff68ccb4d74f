//! The library's one error type.

use std::path::PathBuf;

/// What can go wrong, each with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The driver refused or failed.
    #[error("{doing}: {source}")]
    Driver { doing: String, source: cudarc::driver::DriverError },

    /// No usable device.
    #[error("{0}")]
    Device(String),

    /// NVRTC is missing or unusable.
    #[error("{0}")]
    Nvrtc(String),

    /// A kernel does not compile: the compiler's own words.
    #[error("kernel {kernel} does not compile for {arch}:\n{log}")]
    Compile { kernel: String, arch: String, log: String },

    /// Shapes, dtypes or values that an operator does not take: a mistake of the caller.
    #[error("{op}: {message}")]
    Shape { op: &'static str, message: String },

    /// The model folder is not what was expected.
    #[error("{}: {message}", path.display())]
    Model { path: PathBuf, message: String },

    /// A request out of range.
    #[error("{0}")]
    Request(String),

    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },

    /// A picture that cannot be used.
    #[error("{}: {message}", path.display())]
    Picture { path: PathBuf, message: String },

    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps a driver error with what was being done.
    pub(crate) fn driver(doing: impl Into<String>) -> impl FnOnce(cudarc::driver::DriverError) -> Error {
        let doing = doing.into();
        move |source| Error::Driver { doing, source }
    }
}
