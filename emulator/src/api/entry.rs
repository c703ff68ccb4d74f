//! Entry points by name, and the profiler's switches.

use std::ffi::{CString, c_char, c_void};

use super::driver::{call, call_uninitialised};
use super::error::{CUresult, Result, refused};
use super::types::{In, Out};

/// Functions of which there are several versions: the plain name, and from which CUDA version on it means which one.
const VERSIONS: &[(&str, &[(i32, &str)])] = &[
    ("cuCtxCreate", &[(3020, "cuCtxCreate_v2"), (11040, "cuCtxCreate_v3"), (12050, "cuCtxCreate_v4")]),
    ("cuDeviceGetUuid", &[(9020, "cuDeviceGetUuid"), (11040, "cuDeviceGetUuid_v2")]),
    ("cuEventElapsedTime", &[(2000, "cuEventElapsedTime"), (12080, "cuEventElapsedTime_v2")]),
    ("cuGetProcAddress", &[(11030, "cuGetProcAddress"), (12000, "cuGetProcAddress_v2")]),
];

/// The exported name that a program of CUDA `version` means by `name`.
fn exported_name(name: &str, version: i32) -> Option<String> {
    if let Some((_, versions)) = VERSIONS.iter().find(|entry| entry.0 == name) {
        return versions.iter().rev().find(|entry| entry.0 <= version).map(|entry| entry.1.to_owned());
    }
    let candidates = [name.to_owned(), format!("{name}_v2")];
    candidates.into_iter().find(|candidate| address(candidate).is_some())
}

fn address(name: &str) -> Option<*const c_void> {
    let name = CString::new(name).ok()?;
    super::symbol(&name).map(|symbol| symbol.address)
}

/// Whether the search found something, in the driver's numbers.
const FOUND: u32 = 0;
const NOT_FOUND: u32 = 1;
/// The flag that asks for functions of the legacy default stream, as 0 does.
const LEGACY_STREAM: u64 = 1;

fn find(name: In<c_char>, function: Out<*const c_void>, version: i32, flags: u64, status: Out<u32>) -> Result {
    let name = name.text()?;
    if flags > 2 {
        return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of a search"));
    }
    // There are no functions for the default stream of the thread.
    let exported = exported_name(&name, version).filter(|_| flags <= LEGACY_STREAM);
    let found = exported.and_then(|name| address(&name));
    function.set(found.unwrap_or(std::ptr::null()))?;
    status.set_if_wanted(if found.is_some() { FOUND } else { NOT_FOUND });
    match found {
        Some(_) => Ok(()),
        None => refused(CUresult::NOT_FOUND, format!("the emulator has no {name}")),
    }
}

/// The address of a function of the driver API.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetProcAddress(
    name: In<c_char>,
    function: Out<*const c_void>,
    version: i32,
    flags: u64,
) -> CUresult {
    call_uninitialised("cuGetProcAddress", |_| find(name, function, version, flags, Out::at(0)))
}

/// The address of a function of the driver API, and whether it was found.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetProcAddress_v2(
    name: In<c_char>,
    function: Out<*const c_void>,
    version: i32,
    flags: u64,
    status: Out<u32>,
) -> CUresult {
    call_uninitialised("cuGetProcAddress_v2", |_| find(name, function, version, flags, status))
}

/// Begins a profile, which is nobody's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuProfilerStart() -> CUresult {
    call("cuProfilerStart", |driver| driver.current().map(|_| ()))
}

/// Ends a profile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuProfilerStop() -> CUresult {
    call("cuProfilerStop", |driver| driver.current().map(|_| ()))
}

super::exports![cuGetProcAddress, cuGetProcAddress_v2, cuProfilerStart, cuProfilerStop];
