//! Entry points by name, and the profiler's switches.

use std::ffi::{CString, c_char, c_void};

use super::driver::{Driver, call, call_uninitialised};
use super::error::{CUresult, Result, refused};
use super::types::{In, Out};

/// Functions whose newest version is not simply called `_v2` since CUDA 4: the plain name, and from which CUDA version
/// on it means which function (`cudaTypedefs.h`).
const VERSIONS: &[(&str, &[(i32, &str)])] = &[
    ("cuCtxCreate", &[(3020, "cuCtxCreate_v2"), (11040, "cuCtxCreate_v3"), (12050, "cuCtxCreate_v4")]),
    ("cuCtxGetDevice", &[(2000, "cuCtxGetDevice"), (13000, "cuCtxGetDevice_v2")]),
    ("cuCtxSynchronize", &[(2000, "cuCtxSynchronize"), (13000, "cuCtxSynchronize_v2")]),
    ("cuDeviceGetUuid", &[(9020, "cuDeviceGetUuid"), (11040, "cuDeviceGetUuid_v2")]),
    ("cuDevicePrimaryCtxRelease", &[(7000, "cuDevicePrimaryCtxRelease"), (11000, "cuDevicePrimaryCtxRelease_v2")]),
    ("cuDevicePrimaryCtxReset", &[(7000, "cuDevicePrimaryCtxReset"), (11000, "cuDevicePrimaryCtxReset_v2")]),
    ("cuDevicePrimaryCtxSetFlags", &[(7000, "cuDevicePrimaryCtxSetFlags"), (11000, "cuDevicePrimaryCtxSetFlags_v2")]),
    ("cuEventElapsedTime", &[(2000, "cuEventElapsedTime"), (12080, "cuEventElapsedTime_v2")]),
    ("cuGetProcAddress", &[(11030, "cuGetProcAddress"), (12000, "cuGetProcAddress_v2")]),
    ("cuGraphAddDependencies", &[(10000, "cuGraphAddDependencies"), (12030, "cuGraphAddDependencies_v2")]),
    ("cuGraphAddKernelNode", &[(10000, "cuGraphAddKernelNode"), (12000, "cuGraphAddKernelNode_v2")]),
    ("cuGraphAddNode", &[(12020, "cuGraphAddNode"), (12030, "cuGraphAddNode_v2")]),
    (
        "cuGraphExecKernelNodeSetParams",
        &[(10010, "cuGraphExecKernelNodeSetParams"), (12000, "cuGraphExecKernelNodeSetParams_v2")],
    ),
    ("cuGraphExecUpdate", &[(10020, "cuGraphExecUpdate"), (12000, "cuGraphExecUpdate_v2")]),
    ("cuGraphGetEdges", &[(10000, "cuGraphGetEdges"), (12030, "cuGraphGetEdges_v2")]),
    (
        "cuGraphInstantiate",
        &[(10000, "cuGraphInstantiate"), (11000, "cuGraphInstantiate_v2"), (12000, "cuGraphInstantiateWithFlags")],
    ),
    ("cuGraphKernelNodeGetParams", &[(10000, "cuGraphKernelNodeGetParams"), (12000, "cuGraphKernelNodeGetParams_v2")]),
    ("cuGraphKernelNodeSetParams", &[(10000, "cuGraphKernelNodeSetParams"), (12000, "cuGraphKernelNodeSetParams_v2")]),
    ("cuGraphNodeGetDependencies", &[(10000, "cuGraphNodeGetDependencies"), (12030, "cuGraphNodeGetDependencies_v2")]),
    (
        "cuGraphNodeGetDependentNodes",
        &[(10000, "cuGraphNodeGetDependentNodes"), (12030, "cuGraphNodeGetDependentNodes_v2")],
    ),
    ("cuGraphRemoveDependencies", &[(10000, "cuGraphRemoveDependencies"), (12030, "cuGraphRemoveDependencies_v2")]),
    ("cuLaunchHostFunc", &[(10000, "cuLaunchHostFunc"), (13010, "cuLaunchHostFunc_v2")]),
    ("cuMemAdvise", &[(8000, "cuMemAdvise"), (12020, "cuMemAdvise_v2")]),
    ("cuMemPrefetchAsync", &[(8000, "cuMemPrefetchAsync"), (12020, "cuMemPrefetchAsync_v2")]),
    ("cuMemcpy3DBatchAsync", &[(12080, "cuMemcpy3DBatchAsync"), (13000, "cuMemcpy3DBatchAsync_v2")]),
    ("cuMemcpyBatchAsync", &[(12080, "cuMemcpyBatchAsync"), (13000, "cuMemcpyBatchAsync_v2")]),
    ("cuMulticastBindAddr", &[(12010, "cuMulticastBindAddr"), (13010, "cuMulticastBindAddr_v2")]),
    ("cuMulticastBindMem", &[(12010, "cuMulticastBindMem"), (13010, "cuMulticastBindMem_v2")]),
    ("cuStreamBatchMemOp", &[(8000, "cuStreamBatchMemOp"), (11070, "cuStreamBatchMemOp_v2")]),
    ("cuStreamBeginCapture", &[(10000, "cuStreamBeginCapture"), (10010, "cuStreamBeginCapture_v2")]),
    (
        "cuStreamGetCaptureInfo",
        &[
            (10010, "cuStreamGetCaptureInfo"),
            (11030, "cuStreamGetCaptureInfo_v2"),
            (12030, "cuStreamGetCaptureInfo_v3"),
        ],
    ),
    ("cuStreamGetCtx", &[(9020, "cuStreamGetCtx"), (12050, "cuStreamGetCtx_v2")]),
    (
        "cuStreamUpdateCaptureDependencies",
        &[(11030, "cuStreamUpdateCaptureDependencies"), (12030, "cuStreamUpdateCaptureDependencies_v2")],
    ),
    ("cuStreamWaitValue32", &[(8000, "cuStreamWaitValue32"), (11070, "cuStreamWaitValue32_v2")]),
    ("cuStreamWaitValue64", &[(9000, "cuStreamWaitValue64"), (11070, "cuStreamWaitValue64_v2")]),
    ("cuStreamWriteValue32", &[(8000, "cuStreamWriteValue32"), (11070, "cuStreamWriteValue32_v2")]),
    ("cuStreamWriteValue64", &[(9000, "cuStreamWriteValue64"), (11070, "cuStreamWriteValue64_v2")]),
    ("cuTexRefSetAddress2D", &[(2020, "cuTexRefSetAddress2D"), (4010, "cuTexRefSetAddress2D_v3")]),
];

/// What a search finds.
enum Found {
    Function(*const c_void),
    /// The function is known, but not in so early a version.
    Later,
    Nothing,
}

/// The function that a program of CUDA `version` means by `name`; of those with default streams of threads if
/// `per_thread` says so and there is one.
fn function_of(name: &str, version: i32, per_thread: bool) -> Found {
    let exported = match VERSIONS.iter().find(|entry| entry.0 == name) {
        Some((_, versions)) => match versions.iter().rev().find(|entry| entry.0 <= version) {
            Some(entry) => entry.1.to_owned(),
            None => return Found::Later,
        },
        None => {
            let second = format!("{name}_v2");
            if address(&second).is_some() { second } else { name.to_owned() }
        }
    };
    let variants = ["_ptsz", "_ptds"].map(|suffix| format!("{exported}{suffix}"));
    let variant = variants.iter().filter(|_| per_thread).find_map(|name| address(name));
    variant.or_else(|| address(&exported)).map_or(Found::Nothing, Found::Function)
}

fn address(name: &str) -> Option<*const c_void> {
    let name = CString::new(name).ok()?;
    super::symbol(&name).map(|symbol| symbol.address)
}

/// Whether the search found something, in the driver's numbers.
const FOUND: u32 = 0;
const NOT_FOUND: u32 = 1;
const VERSION_NOT_SUFFICIENT: u32 = 2;
/// The flag that asks for functions of the default streams of threads; 1, as 0, asks for those of the legacy one.
const PER_THREAD_STREAM: u64 = 2;

fn find(
    name: In<c_char>,
    function: Out<*const c_void>,
    version: i32,
    flags: u64,
    status: Out<u32>,
) -> Result<CUresult> {
    let name = name.text()?;
    if flags > PER_THREAD_STREAM {
        return refused(CUresult::INVALID_VALUE, format!("{flags:#x} are no flags of a search"));
    }
    let (found, code) = match function_of(&name, version, flags == PER_THREAD_STREAM) {
        Found::Function(found) => (found, FOUND),
        Found::Later => (std::ptr::null(), VERSION_NOT_SUFFICIENT),
        Found::Nothing => (std::ptr::null(), NOT_FOUND),
    };
    function.set(found)?;
    // Who asks for the status learns from it, and the call succeeds where only the version is too early.
    status.set_if_wanted(code);
    let succeeds = code == FOUND || code == VERSION_NOT_SUFFICIENT && !status.is_null();
    Ok(if succeeds { CUresult::SUCCESS } else { CUresult::NOT_FOUND })
}

/// As [`call_uninitialised`], for what is asked to learn whether there is something. That there is not is an answer, given
/// by its code, and no failed call to explain.
fn ask(name: &'static str, body: impl FnOnce(&mut Driver) -> Result<CUresult>) -> CUresult {
    let mut answer = CUresult::SUCCESS;
    let code = call_uninitialised(name, |driver| {
        answer = body(driver)?;
        Ok(())
    });
    if code == CUresult::SUCCESS { answer } else { code }
}

/// The address of a function of the driver API.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetProcAddress(
    name: In<c_char>,
    function: Out<*const c_void>,
    version: i32,
    flags: u64,
) -> CUresult {
    ask("cuGetProcAddress", |_| find(name, function, version, flags, Out::at(0)))
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
    ask("cuGetProcAddress_v2", |_| find(name, function, version, flags, status))
}

/// Tables of functions that are not published, for NVIDIA's own libraries: there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetExportTable(table: Out<usize>, _id: In<[u8; 16]>) -> CUresult {
    ask("cuGetExportTable", |_| table.set(0).map(|()| CUresult::NOT_FOUND))
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

super::exports![cuGetProcAddress, cuGetExportTable, cuGetProcAddress_v2, cuProfilerStart, cuProfilerStop];
