//! A CUDA driver library on the CPU.
//!
//! The crate executes the PTX that NVRTC emits, behind the functions of the CUDA driver API, so that a program
//! written for an NVIDIA GPU runs unchanged on a machine without one. Data flows
//!
//! ```text
//! PTX text ─► ptx (lexer, parser, syntax tree) ─► lower (passes) ─► isa program ─► exec (grid, block, warp)
//!                                                                        ▲
//! cu* calls ─► api (contexts, streams, events, graphs) ──────────────────┘   memory, device
//! ```
//!
//! A program that links the crate calls [`install`] before it loads `libcuda.so`, and gets the emulator under that name;
//! [`configure`] chooses the device, [`last_report`] says what went wrong, [`statistics`] counts what was asked,
//! [`profile`] counts what each launch did and predicts how long a device would take for it. A program
//! that does not know of the crate is given the shared library, `libcuda_emulator.so`, whose SONAME is `libcuda.so.1`; the
//! environment then chooses the device (`CUDA_EMULATOR_DEVICE` and the other variables of [`Config`]). The program
//! `cuda-emulator` does that: `cuda-emulator run --check all -- PROGRAM`.
//!
//! [`check`] looks for bugs that hardware hides: undefined values, races, leaks; [`findings`] lists what it saw.
//!
//! It knows nothing of the program above it: nothing depends on a kernel's name, source or hash.

pub mod api;
pub mod check;
mod config;
pub mod device;
pub mod exec;
pub mod install;
pub mod isa;
pub mod lower;
pub mod memory;
pub mod occupancy;
pub mod profile;
pub mod ptx;
pub mod report;
mod statistics;

pub use check::Checks;
pub use config::{Config, configure};
pub use install::install;
pub use report::{clear_findings, findings, last_report};
pub use statistics::{Statistics, reset_statistics, statistics};
