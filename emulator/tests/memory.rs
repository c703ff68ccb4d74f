//! Memory: boxes, managed memory, virtual memory management, pools.

#[macro_use]
mod common;

use common::{
    AddParameters, PTX, TestContext, box_copy, device_memory, function, load, pinned_memory, read, read_integers,
};
use cudarc::driver::sys::{self, CUresult};

const INVALID_VALUE: CUresult = CUresult::CUDA_ERROR_INVALID_VALUE;

#[test]
fn boxes_are_copied_slice_by_slice() {
    let _context = TestContext::new();
    // 3 slices of 4 rows of 5 bytes, of which 2 x 2 x 3 go from (1, 1, 1) to (2, 0, 1) of rows of 8 and slices of 3.
    let source: Vec<u8> = (0..60).collect();
    let device = device_memory(100);
    let mut copy = box_copy();
    copy.srcMemoryType = sys::CUmemorytype::CU_MEMORYTYPE_HOST;
    copy.srcHost = source.as_ptr().cast();
    (copy.srcXInBytes, copy.srcY, copy.srcZ, copy.srcPitch, copy.srcHeight) = (1, 1, 1, 5, 4);
    copy.dstDevice = device;
    (copy.dstXInBytes, copy.dstY, copy.dstZ, copy.dstPitch, copy.dstHeight) = (2, 0, 1, 8, 3);
    (copy.WidthInBytes, copy.Height, copy.Depth) = (3, 2, 2);
    succeed!(cuMemsetD8_v2(device, 0, 100); cuMemcpy3D_v2(&copy));
    let mut expected = [0u8; 100];
    for (slice, row, column) in (0..2).flat_map(|z| (0..2).flat_map(move |y| (0..3).map(move |x| (z, y, x)))) {
        expected[(slice + 1) * 24 + row * 8 + column + 2] = source[(slice + 1) * 20 + (row + 1) * 5 + column + 1];
    }
    assert_eq!(read(device, 100), expected);
    copy.srcHeight = 1;
    assert_eq!(result!(cuMemcpy3D_v2(&copy)), INVALID_VALUE, "slices overlap");
    (copy.srcHeight, copy.Depth, copy.dstZ) = (4, 2, 3);
    assert_eq!(result!(cuMemcpy3D_v2(&copy)), INVALID_VALUE, "past the end");
}

#[test]
fn what_was_said_of_managed_memory_is_told() {
    let _context = TestContext::new();
    let mut address = 0;
    let attribute = |attribute, address| {
        let mut value = 0i32;
        succeed!(cuMemRangeGetAttribute((&raw mut value).cast(), 4, attribute, address, 16));
        value
    };
    use sys::CUmem_range_attribute as Attribute;
    succeed!(cuMemAllocManaged(&mut address, 16, 1));
    assert_eq!(attribute(Attribute::CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, address), -2);
    succeed!(
        cuMemAdvise(address, 16, sys::CUmem_advise::CU_MEM_ADVISE_SET_READ_MOSTLY, 0);
        cuMemAdvise(address, 16, sys::CUmem_advise::CU_MEM_ADVISE_SET_PREFERRED_LOCATION, -1);
        cuMemPrefetchAsync(address, 16, 0, std::ptr::null_mut())
    );
    assert_eq!(attribute(Attribute::CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY, address), 1);
    assert_eq!(attribute(Attribute::CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, address), -1);
    assert_eq!(attribute(Attribute::CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION, address), 0);
    let code = result!(cuMemAdvise(address, 16, sys::CUmem_advise::CU_MEM_ADVISE_SET_ACCESSED_BY, 5));
    assert_eq!(code, CUresult::CUDA_ERROR_INVALID_DEVICE);
    let device = device_memory(16);
    assert_eq!(result!(cuMemPrefetchAsync(device, 16, 0, std::ptr::null_mut())), INVALID_VALUE, "not managed");
}

fn properties() -> sys::CUmemAllocationProp {
    // SAFETY: plain data; zeros mean nothing.
    let mut properties: sys::CUmemAllocationProp = unsafe { std::mem::zeroed() };
    properties.type_ = sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    properties
}

#[test]
fn memory_is_mapped_into_reserved_addresses_and_grows() {
    let _context = TestContext::new();
    let add = function(load(PTX), "add");
    let (mut unit, mut base, mut handles) = (0, 0, [0; 2]);
    let granularity = sys::CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM;
    succeed!(cuMemGetAllocationGranularity(&mut unit, &properties(), granularity));
    let step = unit as u64;
    let access = sys::CUmemAccessDesc {
        location: properties().location,
        flags: sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
    let (mut free, mut total) = ([0; 2], 0);
    succeed!(
        cuMemGetInfo_v2(&mut free[0], &mut total);
        cuMemAddressReserve(&mut base, 4 * unit, 0, 0, 0);
        cuMemCreate(&mut handles[0], unit, &properties(), 0);
        cuMemMap(base, unit, 0, handles[0], 0)
    );
    assert_eq!(base % step, 0);
    assert_eq!(result!(cuMemsetD8_v2(base, 1, 1)), INVALID_VALUE, "no access yet");
    succeed!(cuMemSetAccess(base, unit, &access, 1); cuMemsetD32_v2(base, 1, unit / 4));
    succeed!(
        cuMemCreate(&mut handles[1], unit, &properties(), 0);
        cuMemMap(base + step, unit, 0, handles[1], 0);
        cuMemSetAccess(base + step, unit, &access, 1)
    );
    // A fill and a kernel across the border of the two.
    succeed!(cuMemsetD32_v2(base + step - 8, 5, 4));
    let mut parameters = AddParameters::new(base + step - 8, 4, 2);
    let null = std::ptr::null_mut::<*mut std::ffi::c_void>();
    succeed!(cuLaunchKernel(add, 1, 1, 1, 32, 1, 1, 0, null.cast(), parameters.pointers.as_mut_ptr(), null));
    assert_eq!(read_integers(base + step - 12, 6)[..5], [1, 7, 7, 7, 7]);
    assert_eq!(result!(cuMemMap(base + step, unit, 0, handles[0], 0)), INVALID_VALUE, "mapped already");
    assert_eq!(result!(cuMemAddressFree(base, 4 * unit)), INVALID_VALUE, "in use");
    let mut again = 0;
    succeed!(cuMemRetainAllocationHandle(&mut again, (base + 100) as *mut std::ffi::c_void));
    assert_eq!(again, handles[0]);
    // The same memory at another address.
    succeed!(
        cuMemRelease(again);
        cuMemMap(base + 2 * step, unit, 0, handles[0], 0);
        cuMemSetAccess(base + 2 * step, unit, &access, 1);
        cuMemsetD32_v2(base + 2 * step, 9, 1)
    );
    assert_eq!(read_integers(base, 2), [9, 1]);
    succeed!(
        cuMemUnmap(base, unit);
        cuMemRelease(handles[0]);
        cuMemRelease(handles[1])
    );
    assert_eq!(result!(cuMemsetD8_v2(base, 1, 1)), INVALID_VALUE, "unmapped");
    assert_eq!(read_integers(base + step, 1), [7], "released, but mapped");
    succeed!(cuMemUnmap(base + step, 2 * unit); cuMemAddressFree(base, 4 * unit); cuMemGetInfo_v2(&mut free[1], &mut total));
    assert_eq!(free[0], free[1]);
    assert_eq!(result!(cuMemMap(base, unit, 0, handles[0], 0)), INVALID_VALUE);
}

#[test]
fn mappings_end_when_all_work_is_done() {
    let _context = TestContext::new();
    let unit = 2 << 20;
    let (mut base, mut handle) = (0, 0);
    let access = sys::CUmemAccessDesc {
        location: properties().location,
        flags: sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
    succeed!(
        cuMemAddressReserve(&mut base, unit, 0, 0, 0);
        cuMemCreate(&mut handle, unit, &properties(), 0);
        cuMemMap(base, unit, 0, handle, 0);
        cuMemSetAccess(base, unit, &access, 1);
        cuMemsetD8_v2(base, 3, unit);
        cuMemUnmap(base, unit);
        cuCtxSynchronize();
        cuMemMap(base, unit, 0, handle, 0);
        cuMemSetAccess(base, unit, &access, 1)
    );
    assert_eq!(read(base, 2), [3, 3], "the memory keeps what was written");
    succeed!(cuMemUnmap(base, unit); cuMemRelease(handle); cuMemAddressFree(base, unit));
}

#[test]
fn pools_have_attributes_and_access() {
    let _context = TestContext::new();
    let (mut pool, mut address) = (std::ptr::null_mut(), 0);
    // SAFETY: plain data; zeros mean nothing.
    let mut asked: sys::CUmemPoolProps = unsafe { std::mem::zeroed() };
    asked.allocType = sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
    asked.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    let null = std::ptr::null_mut();
    succeed!(
        cuMemPoolCreate(&mut pool, &asked);
        cuMemAllocFromPoolAsync(&mut address, 1000, pool, null)
    );
    let (mut used, mut threshold) = (0u64, 77u64);
    use sys::CUmemPool_attribute as Attribute;
    let mut flags = sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_NONE;
    succeed!(
        cuMemPoolGetAttribute(pool, Attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT, (&raw mut used).cast());
        cuMemPoolSetAttribute(pool, Attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, (&raw mut threshold).cast());
        cuMemPoolGetAccess(&mut flags, pool, &mut asked.location);
        cuMemFreeAsync(address, null);
        cuMemPoolTrimTo(pool, 0);
        cuMemPoolDestroy(pool)
    );
    assert_eq!(used, 1000);
    assert_eq!(flags, sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    assert_eq!(result!(cuMemPoolTrimTo(pool, 0)), CUresult::CUDA_ERROR_INVALID_HANDLE);
    asked.handleTypes = sys::CUmemAllocationHandleType::CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    assert_eq!(result!(cuMemPoolCreate(&mut pool, &asked)), CUresult::CUDA_ERROR_NOT_SUPPORTED);
}

#[test]
fn pointers_tell_what_they_point_to() {
    let context = TestContext::new();
    let device = device_memory(100);
    let (mut owner, mut kind, mut start, mut bytes) = (std::ptr::null_mut::<std::ffi::c_void>(), 0u32, 0u64, 0usize);
    use sys::CUpointer_attribute as Attribute;
    let inside = device + 10;
    let mut waits = 1u32;
    succeed!(
        cuPointerGetAttribute((&raw mut owner).cast(), Attribute::CU_POINTER_ATTRIBUTE_CONTEXT, inside);
        cuPointerGetAttribute((&raw mut kind).cast(), Attribute::CU_POINTER_ATTRIBUTE_MEMORY_TYPE, inside);
        cuPointerGetAttribute((&raw mut start).cast(), Attribute::CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, inside);
        cuPointerGetAttribute((&raw mut bytes).cast(), Attribute::CU_POINTER_ATTRIBUTE_RANGE_SIZE, inside);
        cuPointerSetAttribute((&raw const waits).cast(), Attribute::CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, device)
    );
    assert_eq!((owner, kind, start, bytes), (context.handle.cast(), 2, device, 100));
    waits = 0;
    succeed!(cuPointerGetAttribute((&raw mut waits).cast(), Attribute::CU_POINTER_ATTRIBUTE_SYNC_MEMOPS, inside));
    assert_eq!(waits, 1);
    let pinned = pinned_memory(60).as_ptr() as u64;
    succeed!(cuMemGetAddressRange_v2(&mut start, &mut bytes, inside));
    assert_eq!((start, bytes), (device, 100));
    succeed!(cuMemGetAddressRange_v2(&mut start, &mut bytes, pinned + 59));
    assert_eq!((start, bytes), (pinned, 60), "mapped host memory has device addresses");
    let outside = (&raw const waits) as u64;
    let code = result!(cuMemGetAddressRange_v2(&mut start, &mut bytes, outside));
    assert_eq!(code, CUresult::CUDA_ERROR_NOT_FOUND);
    let attribute = Attribute::CU_POINTER_ATTRIBUTE_MEMORY_TYPE;
    assert_eq!(result!(cuPointerGetAttribute((&raw mut kind).cast(), attribute, outside)), INVALID_VALUE);
}
