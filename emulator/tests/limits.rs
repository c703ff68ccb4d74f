//! Limits of a context that kernels feel, and kernels that cannot run at all.

#[macro_use]
mod common;

use std::ffi::c_void;

use common::{SUCCESS, TestContext, device_memory, function, load, read_integers};
use cudarc::driver::sys::{self, CUlimit, CUresult};

/// `dive(out, depth)`: calls itself so often, with 64 bytes on the stack, and stores how often. `allocate(out, bytes)`:
/// stores whether `malloc` gave them. `matrices(out, n)`: uses an instruction of Hopper.
const PTX: &str = "
.version 8.0
.target sm_80
.address_size 64
.extern .func (.param .b64 d) malloc (.param .b64 bytes);
.func (.param .b32 d) below(.param .b32 depth)
{
    .local .align 16 .b8 room[64];
    .reg .pred %p;
    .reg .b32 %r<4>;
    ld.param.u32 %r1, [depth];
    mov.u32 %r2, 0;
    setp.eq.u32 %p, %r1, 0;
    @%p bra DONE;
    st.local.u32 [room+60], %r1;
    sub.u32 %r1, %r1, 1;
    { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call (b), below, (a); ld.param.b32 %r2, [b]; }
    ld.local.u32 %r3, [room+60];
    sub.u32 %r3, %r3, %r1;
    add.u32 %r2, %r2, %r3;
DONE:
    st.param.b32 [d], %r2;
    ret;
}
.visible .entry dive(.param .u64 out, .param .u32 depth)
{
    .reg .b32 %r<3>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [depth];
    { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call (b), below, (a); ld.param.b32 %r2, [b]; }
    st.global.u32 [%rd1], %r2;
    ret;
}
.visible .entry allocate(.param .u64 out, .param .u32 bytes)
{
    .reg .pred %p;
    .reg .b32 %r<3>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [bytes];
    cvt.u64.u32 %rd2, %r1;
    { .param .b64 a; .param .b64 b; st.param.b64 [a], %rd2; call (b), malloc, (a); ld.param.b64 %rd3, [b]; }
    setp.ne.u64 %p, %rd3, 0;
    selp.u32 %r2, 1, 0, %p;
    st.global.u32 [%rd1], %r2;
    ret;
}
.visible .entry matrices(.param .u64 out, .param .u32 n)
{
    .reg .b32 %r<2>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [n];
    wgmma.fence.sync.aligned;
    st.global.u32 [%rd1], %r1;
    ret;
}
";

/// Launches one thread of a kernel of [`PTX`] and waits for it.
fn run(kernel: sys::CUfunction, out: u64, number: u32) -> CUresult {
    let (mut out, mut number) = (out, number);
    let mut parameters: [*mut c_void; 2] = [(&raw mut out).cast(), (&raw mut number).cast()];
    let (stream, extra) = (std::ptr::null_mut(), std::ptr::null_mut());
    match result!(cuLaunchKernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream, parameters.as_mut_ptr(), extra)) {
        SUCCESS => result!(cuCtxSynchronize()),
        refusal => refusal,
    }
}

fn limit(limit: CUlimit) -> usize {
    let mut value = 0;
    succeed!(cuCtxGetLimit(&mut value, limit));
    value
}

#[test]
fn recursion_has_the_stack_that_was_asked_for() {
    let context = TestContext::new();
    assert_eq!(limit(CUlimit::CU_LIMIT_STACK_SIZE), 1024);
    let (dive, out) = (function(load(PTX), "dive"), device_memory(4));
    assert_eq!((run(dive, out, 8), read_integers(out, 1)), (SUCCESS, vec![8]));
    assert_eq!(run(dive, out, 400), CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR);
    drop(context);
    let _context = TestContext::new();
    succeed!(cuCtxSetLimit(CUlimit::CU_LIMIT_STACK_SIZE, 64 << 10));
    let (dive, out) = (function(load(PTX), "dive"), device_memory(4));
    assert_eq!((run(dive, out, 400), read_integers(out, 1)), (SUCCESS, vec![400]));
    assert_eq!(result!(cuCtxSetLimit(CUlimit::CU_LIMIT_STACK_SIZE, 1 << 20)), CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(limit(CUlimit::CU_LIMIT_STACK_SIZE), 64 << 10);
}

#[test]
fn the_heap_has_the_size_that_was_asked_for() {
    let _context = TestContext::new();
    const MIB: u32 = 1 << 20;
    let heap = CUlimit::CU_LIMIT_MALLOC_HEAP_SIZE;
    let module = load(PTX);
    let (allocate, out) = (function(module, "allocate"), device_memory(4));
    succeed!(cuCtxSetLimit(heap, 32 << 20));
    assert_eq!((run(allocate, out, 20 * MIB), read_integers(out, 1)), (SUCCESS, vec![1]));
    assert_eq!((run(allocate, out, 20 * MIB), read_integers(out, 1)), (SUCCESS, vec![0]), "what is left");
    assert_eq!(result!(cuCtxSetLimit(heap, 64 << 20)), CUresult::CUDA_ERROR_INVALID_VALUE, "it is in use");
    assert_eq!(limit(heap), 32 << 20);
    // A module that is loaded later gets as much.
    let allocate = function(load(PTX), "allocate");
    assert_eq!((run(allocate, out, 20 * MIB), read_integers(out, 1)), (SUCCESS, vec![1]));
    succeed!(cuModuleUnload(module));
}

#[test]
fn a_kernel_that_cannot_run_leaves_its_context_as_it_is() {
    let _context = TestContext::new();
    let (module, out) = (load(PTX), device_memory(4));
    assert_eq!(run(function(module, "matrices"), out, 1), CUresult::CUDA_ERROR_NOT_SUPPORTED);
    let report = cuda_emulator::last_report().unwrap();
    assert!(report.kernel.as_deref() == Some("matrices") && report.ptx_line.is_some(), "{report}");
    assert_eq!((run(function(module, "dive"), out, 3), read_integers(out, 1)), (SUCCESS, vec![3]));
}
