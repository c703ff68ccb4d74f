//! The functions of the CUDA driver API.
use crate::install::Symbol;
#[unsafe(no_mangle)] pub unsafe extern "C" fn cuInit(_f:u32)->i32{42}
pub static SYMBOLS: &[Symbol] = &[Symbol{name:c"cuInit", address: cuInit as *const () as *const std::ffi::c_void}];
