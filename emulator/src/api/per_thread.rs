//! The functions for which a null stream is the calling thread's own default stream instead of the legacy one:
//! `_ptsz` where a stream is an argument, `_ptds` where the default stream is meant without saying so. Programs that are
//! compiled with `CUDA_API_PER_THREAD_DEFAULT_STREAM` call them.

use super::copy::{self, CUDA_MEMCPY2D, CUDA_MEMCPY3D};
use super::driver::with_own_default_stream;
use super::error::CUresult;
use super::graph::CUgraphEdgeData;
use super::graph_exec::{self, CUDA_GRAPH_INSTANTIATE_PARAMS};
use super::launch::{self, CUlaunchConfig};
use super::managed::{self, Location};
use super::stream_memory::{self, CUstreamBatchMemOpParams};
use super::types::{
    CUcontext, CUdevice, CUdeviceptr, CUevent, CUfunction, CUgraph, CUgraphExec, CUgraphNode, CUmemoryPool, CUstream,
    In, Out,
};
use super::work::{Callback, HostFunction};
use super::{event, memory, memset, pool, stream, stream_capture};

macro_rules! per_thread {
    ($($file:ident: $name:ident = $base:ident($($argument:ident: $kind:ty),* $(,)?);)*) => {
        $(
            #[doc = concat!("As `", stringify!($base), "`, with the thread's default stream.")]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $kind),*) -> CUresult {
                // SAFETY: the arguments are the caller's.
                with_own_default_stream(|| unsafe { $file::$base($($argument),*) })
            }
        )*

        super::exports![$($name),*];
    };
}

per_thread! {
    copy: cuMemcpy_ptds = cuMemcpy(target: CUdeviceptr, source: CUdeviceptr, bytes: usize);
    copy: cuMemcpyAsync_ptsz = cuMemcpyAsync(
        target: CUdeviceptr, source: CUdeviceptr, bytes: usize, stream: CUstream,
    );
    copy: cuMemcpyHtoD_v2_ptds = cuMemcpyHtoD_v2(target: CUdeviceptr, source: In<u8>, bytes: usize);
    copy: cuMemcpyHtoDAsync_v2_ptsz = cuMemcpyHtoDAsync_v2(
        target: CUdeviceptr, source: In<u8>, bytes: usize, stream: CUstream,
    );
    copy: cuMemcpyDtoH_v2_ptds = cuMemcpyDtoH_v2(target: Out<u8>, source: CUdeviceptr, bytes: usize);
    copy: cuMemcpyDtoHAsync_v2_ptsz = cuMemcpyDtoHAsync_v2(
        target: Out<u8>, source: CUdeviceptr, bytes: usize, stream: CUstream,
    );
    copy: cuMemcpyDtoD_v2_ptds = cuMemcpyDtoD_v2(target: CUdeviceptr, source: CUdeviceptr, bytes: usize);
    copy: cuMemcpyDtoDAsync_v2_ptsz = cuMemcpyDtoDAsync_v2(
        target: CUdeviceptr, source: CUdeviceptr, bytes: usize, stream: CUstream,
    );
    copy: cuMemcpyPeer_ptds = cuMemcpyPeer(
        target: CUdeviceptr, target_context: CUcontext, source: CUdeviceptr, source_context: CUcontext, bytes: usize,
    );
    copy: cuMemcpyPeerAsync_ptsz = cuMemcpyPeerAsync(
        target: CUdeviceptr, target_context: CUcontext, source: CUdeviceptr, source_context: CUcontext, bytes: usize,
        stream: CUstream,
    );
    copy: cuMemcpy2D_v2_ptds = cuMemcpy2D_v2(copy: In<CUDA_MEMCPY2D>);
    copy: cuMemcpy2DUnaligned_v2_ptds = cuMemcpy2DUnaligned_v2(copy: In<CUDA_MEMCPY2D>);
    copy: cuMemcpy2DAsync_v2_ptsz = cuMemcpy2DAsync_v2(copy: In<CUDA_MEMCPY2D>, stream: CUstream);
    memset: cuMemsetD8_v2_ptds = cuMemsetD8_v2(target: CUdeviceptr, value: u8, count: usize);
    memset: cuMemsetD16_v2_ptds = cuMemsetD16_v2(target: CUdeviceptr, value: u16, count: usize);
    memset: cuMemsetD32_v2_ptds = cuMemsetD32_v2(target: CUdeviceptr, value: u32, count: usize);
    memset: cuMemsetD8Async_ptsz = cuMemsetD8Async(target: CUdeviceptr, value: u8, count: usize, stream: CUstream);
    memset: cuMemsetD16Async_ptsz = cuMemsetD16Async(target: CUdeviceptr, value: u16, count: usize, stream: CUstream);
    memset: cuMemsetD32Async_ptsz = cuMemsetD32Async(target: CUdeviceptr, value: u32, count: usize, stream: CUstream);
    memset: cuMemsetD2D8_v2_ptds = cuMemsetD2D8_v2(
        target: CUdeviceptr, pitch: usize, value: u8, width: usize, height: usize,
    );
    memset: cuMemsetD2D16_v2_ptds = cuMemsetD2D16_v2(
        target: CUdeviceptr, pitch: usize, value: u16, width: usize, height: usize,
    );
    memset: cuMemsetD2D32_v2_ptds = cuMemsetD2D32_v2(
        target: CUdeviceptr, pitch: usize, value: u32, width: usize, height: usize,
    );
    memset: cuMemsetD2D8Async_ptsz = cuMemsetD2D8Async(
        target: CUdeviceptr, pitch: usize, value: u8, width: usize, height: usize, stream: CUstream,
    );
    memset: cuMemsetD2D16Async_ptsz = cuMemsetD2D16Async(
        target: CUdeviceptr, pitch: usize, value: u16, width: usize, height: usize, stream: CUstream,
    );
    memset: cuMemsetD2D32Async_ptsz = cuMemsetD2D32Async(
        target: CUdeviceptr, pitch: usize, value: u32, width: usize, height: usize, stream: CUstream,
    );
    memory: cuMemAllocAsync_ptsz = cuMemAllocAsync(address: Out<CUdeviceptr>, bytes: usize, stream: CUstream);
    memory: cuMemFreeAsync_ptsz = cuMemFreeAsync(address: CUdeviceptr, stream: CUstream);
    managed: cuMemPrefetchAsync_v2_ptsz = cuMemPrefetchAsync_v2(
        address: CUdeviceptr, bytes: usize, place: Location, flags: u32, stream: CUstream,
    );
    managed: cuMemPrefetchAsync_ptsz = cuMemPrefetchAsync(
        address: CUdeviceptr, bytes: usize, device: CUdevice, stream: CUstream,
    );
    managed: cuStreamAttachMemAsync_ptsz = cuStreamAttachMemAsync(
        stream: CUstream, address: CUdeviceptr, bytes: usize, flags: u32,
    );
    pool: cuMemAllocFromPoolAsync_ptsz = cuMemAllocFromPoolAsync(
        address: Out<CUdeviceptr>, bytes: usize, pool: CUmemoryPool, stream: CUstream,
    );
    launch: cuLaunchKernel_ptsz = cuLaunchKernel(
        function: CUfunction, grid_x: u32, grid_y: u32, grid_z: u32, block_x: u32, block_y: u32, block_z: u32,
        dynamic_shared_bytes: u32, stream: CUstream, parameters: In<In<u8>>, extra: In<usize>,
    );
    launch: cuLaunchKernelEx_ptsz = cuLaunchKernelEx(
        config: In<CUlaunchConfig>, function: CUfunction, parameters: In<In<u8>>, extra: In<usize>,
    );
    launch: cuLaunchCooperativeKernel_ptsz = cuLaunchCooperativeKernel(
        function: CUfunction, grid_x: u32, grid_y: u32, grid_z: u32, block_x: u32, block_y: u32, block_z: u32,
        dynamic_shared_bytes: u32, stream: CUstream, parameters: In<In<u8>>,
    );
    stream: cuLaunchHostFunc_ptsz = cuLaunchHostFunc(
        stream: CUstream, function: Option<HostFunction>, data: Out<u8>,
    );
    stream: cuStreamSynchronize_ptsz = cuStreamSynchronize(stream: CUstream);
    stream: cuStreamQuery_ptsz = cuStreamQuery(stream: CUstream);
    stream: cuStreamWaitEvent_ptsz = cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: u32);
    stream: cuStreamGetCtx_ptsz = cuStreamGetCtx(stream: CUstream, context: Out<CUcontext>);
    stream: cuStreamGetFlags_ptsz = cuStreamGetFlags(stream: CUstream, flags: Out<u32>);
    stream: cuStreamGetPriority_ptsz = cuStreamGetPriority(stream: CUstream, priority: Out<i32>);
    stream_capture: cuStreamBeginCapture_v2_ptsz = cuStreamBeginCapture_v2(stream: CUstream, mode: u32);
    stream_capture: cuStreamEndCapture_ptsz = cuStreamEndCapture(stream: CUstream, graph: Out<CUgraph>);
    stream_capture: cuStreamIsCapturing_ptsz = cuStreamIsCapturing(stream: CUstream, status: Out<u32>);
    stream: cuLaunchHostFunc_v2_ptsz = cuLaunchHostFunc_v2(
        stream: CUstream, function: Option<HostFunction>, data: Out<u8>, mode: u32,
    );
    stream: cuStreamAddCallback_ptsz = cuStreamAddCallback(
        stream: CUstream, function: Option<Callback>, data: Out<u8>, flags: u32,
    );
    stream: cuStreamGetCtx_v2_ptsz = cuStreamGetCtx_v2(stream: CUstream, context: Out<CUcontext>, part: Out<usize>);
    stream: cuStreamGetDevice_ptsz = cuStreamGetDevice(stream: CUstream, device: Out<CUdevice>);
    stream: cuStreamGetId_ptsz = cuStreamGetId(stream: CUstream, id: Out<u64>);
    stream: cuStreamGetAttribute_ptsz = cuStreamGetAttribute(stream: CUstream, attribute: u32, value: Out<[i32; 16]>);
    stream: cuStreamSetAttribute_ptsz = cuStreamSetAttribute(stream: CUstream, attribute: u32, value: In<[i32; 16]>);
    stream: cuStreamCopyAttributes_ptsz = cuStreamCopyAttributes(target: CUstream, source: CUstream);
    stream_capture: cuStreamBeginCapture_ptsz = cuStreamBeginCapture(stream: CUstream);
    stream_capture: cuStreamBeginCaptureToGraph_ptsz = cuStreamBeginCaptureToGraph(
        stream: CUstream, graph: CUgraph, dependencies: In<CUgraphNode>, data: In<CUgraphEdgeData>,
        dependency_count: usize, mode: u32,
    );
    stream_capture: cuStreamGetCaptureInfo_ptsz = cuStreamGetCaptureInfo(
        stream: CUstream, status: Out<u32>, id: Out<u64>,
    );
    stream_capture: cuStreamGetCaptureInfo_v2_ptsz = cuStreamGetCaptureInfo_v2(
        stream: CUstream, status: Out<u32>, id: Out<u64>, graph: Out<CUgraph>,
        dependencies: Out<*const CUgraphNode>, dependency_count: Out<usize>,
    );
    stream_capture: cuStreamGetCaptureInfo_v3_ptsz = cuStreamGetCaptureInfo_v3(
        stream: CUstream, status: Out<u32>, id: Out<u64>, graph: Out<CUgraph>,
        dependencies: Out<*const CUgraphNode>, data: Out<*const CUgraphEdgeData>, dependency_count: Out<usize>,
    );
    stream_capture: cuStreamUpdateCaptureDependencies_ptsz = cuStreamUpdateCaptureDependencies(
        stream: CUstream, dependencies: In<CUgraphNode>, dependency_count: usize, flags: u32,
    );
    stream_capture: cuStreamUpdateCaptureDependencies_v2_ptsz = cuStreamUpdateCaptureDependencies_v2(
        stream: CUstream, dependencies: In<CUgraphNode>, data: In<CUgraphEdgeData>, dependency_count: usize,
        flags: u32,
    );
    stream_memory: cuStreamWaitValue32_v2_ptsz = cuStreamWaitValue32_v2(
        stream: CUstream, address: CUdeviceptr, value: u32, flags: u32,
    );
    stream_memory: cuStreamWaitValue64_v2_ptsz = cuStreamWaitValue64_v2(
        stream: CUstream, address: CUdeviceptr, value: u64, flags: u32,
    );
    stream_memory: cuStreamWriteValue32_v2_ptsz = cuStreamWriteValue32_v2(
        stream: CUstream, address: CUdeviceptr, value: u32, flags: u32,
    );
    stream_memory: cuStreamWriteValue64_v2_ptsz = cuStreamWriteValue64_v2(
        stream: CUstream, address: CUdeviceptr, value: u64, flags: u32,
    );
    stream_memory: cuStreamWaitValue32_ptsz = cuStreamWaitValue32(
        stream: CUstream, address: CUdeviceptr, value: u32, flags: u32,
    );
    stream_memory: cuStreamWaitValue64_ptsz = cuStreamWaitValue64(
        stream: CUstream, address: CUdeviceptr, value: u64, flags: u32,
    );
    stream_memory: cuStreamWriteValue32_ptsz = cuStreamWriteValue32(
        stream: CUstream, address: CUdeviceptr, value: u32, flags: u32,
    );
    stream_memory: cuStreamWriteValue64_ptsz = cuStreamWriteValue64(
        stream: CUstream, address: CUdeviceptr, value: u64, flags: u32,
    );
    stream_memory: cuStreamBatchMemOp_v2_ptsz = cuStreamBatchMemOp_v2(
        stream: CUstream, operation_count: u32, operations: In<CUstreamBatchMemOpParams>, flags: u32,
    );
    stream_memory: cuStreamBatchMemOp_ptsz = cuStreamBatchMemOp(
        stream: CUstream, operation_count: u32, operations: In<CUstreamBatchMemOpParams>, flags: u32,
    );
    graph_exec: cuGraphInstantiateWithParams_ptsz = cuGraphInstantiateWithParams(
        executable: Out<CUgraphExec>, graph: CUgraph, parameters: Out<CUDA_GRAPH_INSTANTIATE_PARAMS>,
    );
    copy: cuMemcpy3D_v2_ptds = cuMemcpy3D_v2(copy: In<CUDA_MEMCPY3D>);
    copy: cuMemcpy3DAsync_v2_ptsz = cuMemcpy3DAsync_v2(copy: In<CUDA_MEMCPY3D>, stream: CUstream);
    copy: cuMemcpy3DPeer_ptds = cuMemcpy3DPeer(copy: In<CUDA_MEMCPY3D>);
    copy: cuMemcpy3DPeerAsync_ptsz = cuMemcpy3DPeerAsync(copy: In<CUDA_MEMCPY3D>, stream: CUstream);
    event: cuEventRecord_ptsz = cuEventRecord(event: CUevent, stream: CUstream);
    event: cuEventRecordWithFlags_ptsz = cuEventRecordWithFlags(event: CUevent, stream: CUstream, flags: u32);
    graph_exec: cuGraphLaunch_ptsz = cuGraphLaunch(executable: CUgraphExec, stream: CUstream);
    graph_exec: cuGraphUpload_ptsz = cuGraphUpload(executable: CUgraphExec, stream: CUstream);
}
