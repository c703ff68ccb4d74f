//! Libraries, links, and what functions tell of themselves.

#[macro_use]
mod common;

use std::ffi::{CStr, CString, c_char};

use common::{AddParameters, PTX, TestContext, device_memory, function, load, read_integers};
use cudarc::driver::sys::{self, CUresult};

fn library(ptx: &str) -> sys::CUlibrary {
    let text = CString::new(ptx).unwrap();
    let (mut library, null) = (std::ptr::null_mut(), std::ptr::null_mut());
    let (options, values) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(cuLibraryLoadData(&mut library, text.as_ptr().cast(), options, values, 0, std::ptr::null_mut(), null, 0));
    library
}

fn kernel(library: sys::CUlibrary, name: &CStr) -> sys::CUkernel {
    let mut kernel = std::ptr::null_mut();
    succeed!(cuLibraryGetKernel(&mut kernel, library, name.as_ptr()));
    kernel
}

/// Adds `addend` to a new integer 1 and gives the sum.
fn add_once(function: sys::CUfunction, addend: u32) -> u32 {
    let address = device_memory(4);
    let mut parameters = AddParameters::new(address, 1, addend);
    let null = std::ptr::null_mut::<*mut std::ffi::c_void>();
    succeed!(
        cuMemsetD32_v2(address, 1, 1);
        cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, null.cast(), parameters.pointers.as_mut_ptr(), null)
    );
    read_integers(address, 1)[0]
}

#[test]
fn a_library_is_loaded_into_each_context_that_uses_it() {
    let first = TestContext::new();
    let library = library(PTX);
    let add = kernel(library, c"add");
    assert_eq!(add_once(add.cast(), 2), 3);
    let (mut one, mut two, mut bytes) = (0, 0, 0);
    succeed!(cuLibraryGetGlobal(&mut one, &mut bytes, library, c"answer".as_ptr()));
    assert_eq!((read_integers(one, 1), bytes), (vec![42], 4));
    let second = TestContext::another();
    assert_eq!(add_once(add.cast(), 3), 4);
    succeed!(cuLibraryGetGlobal(&mut two, &mut bytes, library, c"answer".as_ptr()));
    assert_ne!(one, two);
    let mut function = std::ptr::null_mut();
    succeed!(cuKernelGetFunction(&mut function, add));
    assert_eq!(add_once(function, 5), 6);
    drop(second);
    succeed!(cuCtxSetCurrent(first.handle));
    assert_eq!(add_once(add.cast(), 7), 8);
    let mut missing = std::ptr::null_mut();
    let name = c"subtract".as_ptr();
    assert_eq!(result!(cuLibraryGetKernel(&mut missing, library, name)), CUresult::CUDA_ERROR_NOT_FOUND);
    succeed!(cuLibraryUnload(library));
    assert_eq!(result!(cuLibraryUnload(library)), CUresult::CUDA_ERROR_INVALID_HANDLE);
    let null = std::ptr::null_mut::<*mut std::ffi::c_void>();
    let code = result!(cuLaunchKernel(add.cast(), 1, 1, 1, 1, 1, 1, 0, null.cast(), null, null));
    assert_eq!(code, CUresult::CUDA_ERROR_INVALID_HANDLE);
}

#[test]
fn attributes_of_a_kernel_follow_it_into_its_contexts() {
    let _first = TestContext::new();
    let library = library(PTX);
    let add = kernel(library, c"add");
    use sys::CUfunction_attribute as Attribute;
    let limit = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    succeed!(cuKernelSetAttribute(limit, 60_000, add, 0));
    let _second = TestContext::another();
    let mut value = 0;
    succeed!(cuKernelGetAttribute(&mut value, limit, add, 0));
    assert_eq!(value, 60_000);
    succeed!(cuLibraryUnload(library));
}

#[test]
fn functions_tell_their_names_and_parameters() {
    let _context = TestContext::new();
    let module = load(PTX);
    let add = function(module, "add");
    let mut name: *const c_char = std::ptr::null();
    // SAFETY: the function's own type.
    let get_name: unsafe extern "C" fn(*mut *const c_char, sys::CUfunction) -> CUresult =
        unsafe { std::mem::transmute(cuda_emulator::api::symbol(c"cuFuncGetName").unwrap().address) };
    // SAFETY: the pointer is valid for the result, and the name lives as long as the module.
    unsafe {
        assert_eq!(get_name(&mut name, add), CUresult::CUDA_SUCCESS);
        assert_eq!(CStr::from_ptr(name), c"add");
    }
    // SAFETY: the function's own type.
    let get_parameter: unsafe extern "C" fn(sys::CUfunction, usize, *mut usize, *mut usize) -> CUresult =
        unsafe { std::mem::transmute(cuda_emulator::api::symbol(c"cuFuncGetParamInfo").unwrap().address) };
    let mut places = Vec::new();
    for index in 0..4 {
        let (mut offset, mut bytes) = (0, 0);
        // SAFETY: the pointers are valid for the results.
        if unsafe { get_parameter(add, index, &mut offset, &mut bytes) } == CUresult::CUDA_SUCCESS {
            places.push((offset, bytes));
        }
    }
    assert_eq!(places, [(0, 8), (8, 4), (12, 4)]);
    let mut owner = std::ptr::null_mut();
    succeed!(cuFuncGetModule(&mut owner, add));
    assert_eq!(owner, module);
}

#[test]
fn launches_as_before_cuda_4() {
    let _context = TestContext::new();
    let address = device_memory(40 * 4);
    let add = function(load(PTX), "add");
    let mut place = address;
    succeed!(
        cuMemsetD32_v2(address, 1, 40);
        cuFuncSetBlockShape(add, 32, 1, 1);
        cuParamSetv(add, 0, (&raw mut place).cast(), 8);
        cuParamSeti(add, 8, 40);
        cuParamSeti(add, 12, 6);
        cuParamSetSize(add, 16);
        cuLaunchGrid(add, 2, 1)
    );
    assert_eq!(read_integers(address, 40), [7; 40]);
    assert_eq!(result!(cuParamSeti(add, 13, 0)), CUresult::CUDA_ERROR_INVALID_VALUE, "past the parameters");
}

/// `add` writes the double of its addend; `double` another text defines.
const CALLER: &str = "
.version 8.0
.target sm_80
.address_size 64
.extern .func (.param .b32 result) double(.param .b32 number);
.visible .entry add(.param .u64 out, .param .u32 count, .param .u32 addend)
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<3>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [addend];
    cvta.to.global.u64 %rd2, %rd1;
    {
    .param .b32 number;
    .param .b32 result;
    st.param.b32 [number], %r1;
    call.uni (result), double, (number);
    ld.param.b32 %r2, [result];
    }
    st.global.u32 [%rd2], %r2;
    ret;
}
";
const CALLEE: &str = "
.version 8.1
.target sm_75
.address_size 64
.visible .func (.param .b32 result) double(.param .b32 number)
{
    .reg .b32 %r<3>;
    ld.param.b32 %r1, [number];
    add.u32 %r2, %r1, %r1;
    st.param.b32 [result], %r2;
    ret;
}
";

#[test]
fn texts_are_linked() {
    let _context = TestContext::new();
    let (mut link, mut image, mut bytes) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    let (options, values) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(cuLinkCreate_v2(0, options, values, &mut link));
    let ptx = sys::CUjitInputType::CU_JIT_INPUT_PTX;
    for text in [CALLER, CALLEE] {
        let data = text.as_ptr().cast_mut().cast();
        succeed!(cuLinkAddData_v2(link, ptx, data, text.len(), c"name".as_ptr(), 0, options, values));
    }
    let mut module = std::ptr::null_mut();
    succeed!(cuLinkComplete(link, &mut image, &mut bytes); cuModuleLoadData(&mut module, image));
    assert_eq!(add_once(function(module, "add"), 21), 42);
    let object = sys::CUjitInputType::CU_JIT_INPUT_OBJECT;
    let code = result!(cuLinkAddData_v2(link, object, image, bytes, c"name".as_ptr(), 0, options, values));
    assert_eq!(code, CUresult::CUDA_ERROR_NOT_SUPPORTED);
    let data = CALLEE.as_ptr().cast_mut().cast();
    succeed!(cuLinkAddData_v2(link, ptx, data, CALLEE.len(), c"name".as_ptr(), 0, options, values));
    let code = result!(cuLinkComplete(link, &mut image, &mut bytes));
    assert_eq!(code, CUresult::CUDA_ERROR_INVALID_PTX, "defined twice");
    succeed!(cuLinkDestroy(link));
    assert_eq!(result!(cuLinkDestroy(link)), CUresult::CUDA_ERROR_INVALID_HANDLE);
}

/// Kernels of two texts that share a variable and a function, and have a variable of the same name each to themselves.
const SHARING: [&str; 2] = [
    "
.version 8.0
.target sm_80
.address_size 64
.visible .global .align 4 .u32 shared_variable = 100;
.weak .global .align 4 .u32 weak_variable = 1000;
.global .align 4 .u32 own = 1;
.weak .func (.param .b32 result) own_value(.param .b32 number)
{
    .reg .b32 %r<2>;
    ld.param.b32 %r1, [number];
    st.param.b32 [result], %r1;
    ret;
}
.visible .entry add(.param .u64 out, .param .u32 count, .param .u32 addend)
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [out];
    ld.global.u32 %r1, [own];
    {
    .param .b32 number;
    .param .b32 result;
    st.param.b32 [number], %r1;
    call.uni (result), own_value, (number);
    ld.param.b32 %r2, [result];
    }
    ld.global.u32 %r3, [shared_variable];
    add.u32 %r2, %r2, %r3;
    ld.global.u32 %r3, [weak_variable];
    add.u32 %r2, %r2, %r3;
    st.global.u32 [%rd1], %r2;
    ret;
}
",
    "
.version 8.0
.target sm_80
.address_size 64
.extern .global .align 4 .u32 shared_variable;
.weak .global .align 4 .u32 weak_variable = 1000;
.global .align 4 .u32 own = 2;
.weak .func (.param .b32 result) own_value(.param .b32 number)
{
    .reg .b32 %r<2>;
    ld.param.b32 %r1, [number];
    st.param.b32 [result], %r1;
    ret;
}
.visible .entry second(.param .u64 out, .param .u32 count, .param .u32 addend)
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [out];
    ld.global.u32 %r1, [own];
    {
    .param .b32 number;
    .param .b32 result;
    st.param.b32 [number], %r1;
    call.uni (result), own_value, (number);
    ld.param.b32 %r2, [result];
    }
    ld.global.u32 %r3, [shared_variable];
    add.u32 %r2, %r2, %r3;
    atom.global.add.u32 %r3, [weak_variable], 1;
    add.u32 %r2, %r2, %r3;
    st.global.u32 [%rd1], %r2;
    ret;
}
",
];

#[test]
fn linked_texts_share_what_is_visible_and_nothing_else() {
    let _context = TestContext::new();
    let (mut link, mut image, mut bytes) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    let (options, values) = (std::ptr::null_mut(), std::ptr::null_mut());
    succeed!(cuLinkCreate_v2(0, options, values, &mut link));
    for text in SHARING {
        let (ptx, data) = (sys::CUjitInputType::CU_JIT_INPUT_PTX, text.as_ptr().cast_mut().cast());
        succeed!(cuLinkAddData_v2(link, ptx, data, text.len(), c"name".as_ptr(), 0, options, values));
    }
    let mut module = std::ptr::null_mut();
    succeed!(cuLinkComplete(link, &mut image, &mut bytes); cuModuleLoadData(&mut module, image));
    let [first, second] = ["add", "second"].map(|name| function(module, name));
    assert_eq!([add_once(first, 0), add_once(second, 0), add_once(first, 0)], [1101, 1102, 1102]);
    succeed!(cuLinkDestroy(link));
}

#[test]
fn managed_variables_are_the_librarys() {
    common::install();
    let library = library(&PTX.replace(".visible .global", ".visible .global .attribute(.managed)"));
    let (mut address, mut bytes) = (0, 0);
    // No context is needed.
    succeed!(cuLibraryGetManaged(&mut address, &mut bytes, library, c"answer".as_ptr()));
    let answer = address as *mut u32;
    // SAFETY: the driver says that 4 bytes of memory are there.
    assert_eq!((unsafe { answer.read_volatile() }, bytes), (42, 4));
    let add = kernel(library, c"add");
    for sum in [45, 48] {
        let _context = TestContext::new();
        let mut parameters = AddParameters::new(address, 1, 3);
        let null = std::ptr::null_mut::<*mut std::ffi::c_void>();
        let (mut of_context, mut is_managed) = (0, 0u32);
        succeed!(
            cuLaunchKernel(add.cast(), 1, 1, 1, 1, 1, 1, 0, null.cast(), parameters.pointers.as_mut_ptr(), null);
            cuCtxSynchronize();
            cuLibraryGetGlobal(&mut of_context, &mut bytes, library, c"answer".as_ptr());
            cuPointerGetAttribute(
                (&raw mut is_managed).cast(), sys::CUpointer_attribute::CU_POINTER_ATTRIBUTE_IS_MANAGED, address
            )
        );
        assert_eq!((of_context, is_managed), (address, 1));
        // SAFETY: see above.
        assert_eq!(unsafe { answer.read_volatile() }, sum);
    }
    let name = c"nothing".as_ptr();
    assert_eq!(result!(cuLibraryGetManaged(&mut address, &mut bytes, library, name)), CUresult::CUDA_ERROR_NOT_FOUND);
    succeed!(cuLibraryUnload(library));
}
