//! What the tests of the driver API share: a context of their own, and the driver's functions through cudarc, which
//! finds them in the `libcuda.so` that `install` provides.

#![allow(dead_code, unused_macros)]

use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use cudarc::driver::sys::{self, CUresult};

pub const SUCCESS: CUresult = CUresult::CUDA_SUCCESS;

/// Makes the emulator this process's driver.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let config = cuda_emulator::Config { quiet: true, threads: 2, ..cuda_emulator::Config::default() };
        cuda_emulator::configure(config).expect("no context lives yet");
        cuda_emulator::install().expect("the loader takes the symbol table");
    });
    // SAFETY: a call without pointers.
    assert_eq!(unsafe { sys::cuInit(0) }, SUCCESS);
}

/// A context of its own for a test, current on the thread: faults of other tests do not reach it. Tests with a context
/// run one after another, because captures and reports are the process's.
pub struct TestContext {
    pub handle: sys::CUcontext,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl TestContext {
    pub fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        TestContext { handle: new_context(), _turn: Some(turn) }
    }

    /// A further context for a test that has one.
    pub fn another() -> Self {
        TestContext { handle: new_context(), _turn: None }
    }
}

fn new_context() -> sys::CUcontext {
    install();
    let mut context = std::ptr::null_mut();
    // SAFETY: the pointer is valid for the result.
    assert_eq!(unsafe { sys::cuCtxCreate_v2(&mut context, 0, 0) }, SUCCESS);
    context
}

impl Drop for TestContext {
    fn drop(&mut self) {
        // SAFETY: a handle that is no longer good is refused.
        unsafe { sys::cuCtxDestroy_v2(self.handle) };
    }
}

pub fn stream(flags: u32) -> sys::CUstream {
    let mut stream = std::ptr::null_mut();
    // SAFETY: the pointer is valid for the result.
    assert_eq!(unsafe { sys::cuStreamCreate(&mut stream, flags) }, SUCCESS);
    stream
}

pub fn event() -> sys::CUevent {
    let mut event = std::ptr::null_mut();
    // SAFETY: the pointer is valid for the result.
    assert_eq!(unsafe { sys::cuEventCreate(&mut event, 0) }, SUCCESS);
    event
}

/// Device memory of `bytes` bytes.
pub fn device_memory(bytes: usize) -> sys::CUdeviceptr {
    let mut address = 0;
    // SAFETY: the pointer is valid for the result.
    assert_eq!(unsafe { sys::cuMemAlloc_v2(&mut address, bytes) }, SUCCESS);
    address
}

/// Page-locked memory of `bytes` bytes, which the context frees.
pub fn pinned_memory(bytes: usize) -> &'static mut [u8] {
    let mut pointer: *mut c_void = std::ptr::null_mut();
    // SAFETY: the pointer is valid for the result; the memory lives longer than the test's use of it.
    unsafe {
        assert_eq!(sys::cuMemHostAlloc(&mut pointer, bytes, 0), SUCCESS);
        std::slice::from_raw_parts_mut(pointer.cast(), bytes)
    }
}

/// The bytes at a device address, after everything in the legacy default stream.
pub fn read(address: sys::CUdeviceptr, bytes: usize) -> Vec<u8> {
    let mut host = vec![0; bytes];
    // SAFETY: the vector is as long as the copy.
    assert_eq!(unsafe { sys::cuMemcpyDtoH_v2(host.as_mut_ptr().cast(), address, bytes) }, SUCCESS);
    host
}

/// Calls functions of the driver and expects success of each.
macro_rules! succeed {
    ($($function:ident($($argument:expr),* $(,)?));* $(;)?) => {
        $(
            // SAFETY: the arguments point to locals of the test, or to nothing.
            assert_eq!(unsafe { cudarc::driver::sys::$function($($argument),*) }, common::SUCCESS);
        )*
    };
}

/// The result of a function of the driver.
macro_rules! result {
    ($function:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: the arguments point to locals of the test, or to nothing.
        unsafe { cudarc::driver::sys::$function($($argument),*) }
    };
}
