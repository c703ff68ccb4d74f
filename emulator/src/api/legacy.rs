//! Names of earlier versions of functions, for programs that look functions up by plain name.
//!
//! Only versions whose arguments mean the same are here: the 32-bit addresses and sizes of CUDA before 3.2 fit no
//! device of today.

use std::ffi::c_char;

use super::error::CUresult;
use super::types::{CUcontext, CUdevice, CUevent, CUlinkState, CUstream, In, Out};
use super::{context, event, host, link, stream};

macro_rules! earlier {
    ($($file:ident: $name:ident = $newest:ident($($argument:ident: $kind:ty),*);)*) => {
        $(
            #[doc = concat!("As `", stringify!($newest), "`.")]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $kind),*) -> CUresult {
                // SAFETY: the arguments are the caller's.
                unsafe { $file::$newest($($argument),*) }
            }
        )*

        super::exports![$($name),*];
    };
}

earlier! {
    context: cuCtxCreate = cuCtxCreate_v2(context: Out<CUcontext>, flags: u32, device: CUdevice);
    context: cuCtxDestroy = cuCtxDestroy_v2(context: CUcontext);
    context: cuCtxPopCurrent = cuCtxPopCurrent_v2(context: Out<CUcontext>);
    context: cuCtxPushCurrent = cuCtxPushCurrent_v2(context: CUcontext);
    context: cuDevicePrimaryCtxRelease = cuDevicePrimaryCtxRelease_v2(device: CUdevice);
    context: cuDevicePrimaryCtxReset = cuDevicePrimaryCtxReset_v2(device: CUdevice);
    context: cuDevicePrimaryCtxSetFlags = cuDevicePrimaryCtxSetFlags_v2(device: CUdevice, flags: u32);
    stream: cuStreamDestroy = cuStreamDestroy_v2(stream: CUstream);
    event: cuEventDestroy = cuEventDestroy_v2(event: CUevent);
    host: cuMemHostRegister = cuMemHostRegister_v2(pointer: u64, bytes: usize, flags: u32);
    link: cuLinkCreate = cuLinkCreate_v2(
        option_count: u32, options: In<u32>, values: Out<usize>, state: Out<CUlinkState>
    );
    link: cuLinkAddData = cuLinkAddData_v2(
        state: CUlinkState, kind: u32, data: In<u8>, bytes: usize, name: In<c_char>, option_count: u32,
        options: In<u32>, values: Out<usize>
    );
    link: cuLinkAddFile = cuLinkAddFile_v2(
        state: CUlinkState, kind: u32, path: In<c_char>, option_count: u32, options: In<u32>, values: Out<usize>
    );
}
