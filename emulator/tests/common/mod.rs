//! What the tests of the driver API share: a context of their own, and the driver's functions through cudarc, which
//! finds them in the `libcuda.so` that `install` provides.

#![allow(dead_code, unused_macros)]

use std::ffi::{CString, c_void};
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

/// `add(out, count, addend)`: adds to `count` integers. `fault`: reads address 0.
pub const PTX: &str = "
.version 8.0
.target sm_80
.address_size 64
.visible .global .align 4 .u32 answer = 42;
.visible .entry add(.param .u64 out, .param .u32 count, .param .u32 addend)
{
    .reg .pred %p<2>;
    .reg .b32 %r<9>;
    .reg .b64 %rd<5>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [count];
    ld.param.u32 %r2, [addend];
    mov.u32 %r3, %ctaid.x;
    mov.u32 %r4, %ntid.x;
    mov.u32 %r5, %tid.x;
    mad.lo.s32 %r6, %r3, %r4, %r5;
    setp.ge.u32 %p1, %r6, %r1;
    @%p1 bra DONE;
    cvta.to.global.u64 %rd2, %rd1;
    mul.wide.u32 %rd3, %r6, 4;
    add.s64 %rd4, %rd2, %rd3;
    ld.global.u32 %r7, [%rd4];
    add.u32 %r8, %r7, %r2;
    st.global.u32 [%rd4], %r8;
DONE:
    ret;
}
.visible .entry fault()
{
    .reg .b32 %r<2>;
    .reg .b64 %rd<2>;
    mov.u64 %rd1, 0;
    ld.global.u32 %r1, [%rd1];
    st.global.u32 [%rd1], %r1;
    ret;
}
";

/// Loads PTX into the current context.
pub fn load(ptx: &str) -> sys::CUmodule {
    let text = CString::new(ptx).unwrap();
    let mut module = std::ptr::null_mut();
    // SAFETY: the text is terminated.
    assert_eq!(unsafe { sys::cuModuleLoadData(&mut module, text.as_ptr().cast()) }, SUCCESS);
    module
}

/// A kernel of a module.
pub fn function(module: sys::CUmodule, name: &str) -> sys::CUfunction {
    let name = CString::new(name).unwrap();
    let mut function = std::ptr::null_mut();
    // SAFETY: the name is terminated.
    assert_eq!(unsafe { sys::cuModuleGetFunction(&mut function, module, name.as_ptr()) }, SUCCESS);
    function
}

/// The parameters of `add` from [`PTX`], for the functions of the driver that take pointers to them.
pub struct AddParameters {
    values: Box<(u64, u32, u32)>,
    pub pointers: [*mut c_void; 3],
}

impl AddParameters {
    pub fn new(address: u64, count: u32, addend: u32) -> Self {
        let mut values = Box::new((address, count, addend));
        let pointers = [(&raw mut values.0).cast(), (&raw mut values.1).cast(), (&raw mut values.2).cast()];
        AddParameters { values, pointers }
    }
}

/// A copy of a box of nothing, from device memory to device memory.
pub fn box_copy() -> sys::CUDA_MEMCPY3D {
    let mut copy = std::mem::MaybeUninit::<sys::CUDA_MEMCPY3D>::zeroed();
    let place = copy.as_mut_ptr();
    // SAFETY: zeros are values of all fields but the types of memory.
    unsafe {
        (&raw mut (*place).srcMemoryType).write(sys::CUmemorytype::CU_MEMORYTYPE_DEVICE);
        (&raw mut (*place).dstMemoryType).write(sys::CUmemorytype::CU_MEMORYTYPE_DEVICE);
        copy.assume_init()
    }
}

/// The integers at a device address, after everything in the legacy default stream.
pub fn read_integers(address: sys::CUdeviceptr, count: usize) -> Vec<u32> {
    let bytes = read(address, 4 * count);
    bytes.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect()
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
