//! CUDA programs of the kinds people write, compiled by NVRTC at test time and run on the emulator.
//!
//! Each family is a file of kernels in `cuda/` and a module of tests here, which compare them with plain Rust:
//! integers exactly, floats within a bound that is derived where it is used. Every program runs in all [`harness`]'s
//! builds: optimised and not, for each compute capability, by both NVRTCs.

#[path = "../support/mod.rs"]
mod support;

mod harness;

mod atomics;
mod barriers;
mod beyond;
mod calls;
mod faults;
mod fourier;
mod graphs;
mod groups;
mod histograms;
mod integers;
mod language;
mod layers;
mod mathematics;
mod matrix_types;
mod names;
mod products;
mod reductions;
mod scans;
mod simulations;
mod sorting;
mod stencils;
mod tensor_cores;
mod tiles;
mod transposes;
mod waiting;
mod warps;
