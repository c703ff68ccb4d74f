//! Memory pools of stream-ordered allocation. All draw on the one device memory.

use super::context::check_device;
use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::memory::Origin;
use super::types::{CUdevice, CUdeviceptr, CUmemoryPool, CUstream, In, Out};

/// A pool and its settings.
#[derive(Debug)]
pub struct Pool {
    /// Whether the three ways of reuse are allowed; the emulator never reuses early.
    reuse: [i32; 3],
    release_threshold: u64,
}

/// What a program says of a pool that it makes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PoolProperties {
    allocation_type: u32,
    handle_types: u32,
    location_type: u32,
    location: i32,
    security: usize,
    /// The most that the pool holds; 0 for as much as there is.
    max_bytes: usize,
    usage: u16,
    reserved: [u8; 54],
}

/// Attributes that say how a pool was made.
const ALLOCATION_TYPE: u32 = 9;
const HANDLE_TYPES: u32 = 10;
const LOCATION_NUMBER: u32 = 11;
const LOCATION_TYPE: u32 = 12;
const MOST_BYTES: u32 = 13;

impl PoolProperties {
    /// What the device's default pool is.
    pub fn of_device() -> Self {
        PoolProperties {
            allocation_type: ALLOCATION_PINNED,
            handle_types: 0,
            location_type: LOCATION_DEVICE,
            location: 0,
            security: 0,
            max_bytes: 0,
            usage: 0,
            reserved: [0; 54],
        }
    }

    /// Refuses pools that are not of the device's memory, or that other processes share.
    pub fn check(&self) -> Result {
        if self.allocation_type != ALLOCATION_PINNED || self.location_type != LOCATION_DEVICE {
            return refused(CUresult::INVALID_VALUE, "a pool of other than device memory");
        }
        check_device(self.location)?;
        if self.handle_types != 0 || self.security != 0 {
            return refused(CUresult::NOT_SUPPORTED, "pools that other processes share");
        }
        if self.reserved != [0; 54] {
            return refused(CUresult::INVALID_VALUE, "reserved bytes that are not zero");
        }
        Ok(())
    }
}

const ALLOCATION_PINNED: u32 = 1;
const LOCATION_DEVICE: u32 = 1;

impl Driver {
    fn new_pool(&mut self) -> CUmemoryPool {
        let handle = CUmemoryPool(self.new_handle());
        self.pools.insert(handle, Pool { reuse: [1; 3], release_threshold: 0 });
        handle
    }

    fn default_pool(&mut self) -> CUmemoryPool {
        match self.default_pool {
            Some(pool) => pool,
            None => {
                let pool = self.new_pool();
                self.default_pool = Some(pool);
                pool
            }
        }
    }

    /// The pool that allocations without one take.
    pub fn current_pool(&mut self) -> CUmemoryPool {
        self.current_pool.unwrap_or_else(|| self.default_pool())
    }

    fn pool(&mut self, handle: CUmemoryPool) -> Result<&mut Pool> {
        match self.pools.get_mut(&handle) {
            Some(pool) => Ok(pool),
            None => refused(CUresult::INVALID_HANDLE, "no such memory pool, or it was destroyed"),
        }
    }

    /// Bytes that live allocations of a pool hold.
    fn pool_bytes(&self, pool: CUmemoryPool) -> u64 {
        let starts =
            self.blocks.iter().filter(|(_, block)| block.origin == Origin::Stream(pool)).map(|(&start, _)| start);
        starts.filter_map(|start| self.memory.find_device(start)).map(|allocation| allocation.bytes).sum()
    }
}

/// The pool that a device has from the start.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetDefaultMemPool(pool: Out<CUmemoryPool>, device: CUdevice) -> CUresult {
    call("cuDeviceGetDefaultMemPool", |driver| {
        check_device(device)?;
        pool.set(driver.default_pool())
    })
}

/// The pool that allocations without one take.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetMemPool(pool: Out<CUmemoryPool>, device: CUdevice) -> CUresult {
    call("cuDeviceGetMemPool", |driver| {
        check_device(device)?;
        pool.set(driver.current_pool())
    })
}

/// Sets the pool that allocations without one take.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceSetMemPool(device: CUdevice, pool: CUmemoryPool) -> CUresult {
    call("cuDeviceSetMemPool", |driver| {
        check_device(device)?;
        driver.pool(pool)?;
        driver.current_pool = Some(pool);
        Ok(())
    })
}

/// Makes a pool of device memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolCreate(pool: Out<CUmemoryPool>, properties: In<PoolProperties>) -> CUresult {
    call("cuMemPoolCreate", |driver| {
        properties.get()?.check()?;
        pool.set(driver.new_pool())
    })
}

/// Ends a pool; its allocations stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolDestroy(pool: CUmemoryPool) -> CUresult {
    call("cuMemPoolDestroy", |driver| {
        driver.pool(pool)?;
        if driver.default_pool == Some(pool) {
            return refused(CUresult::INVALID_VALUE, "the default pool cannot be destroyed");
        }
        driver.pools.remove(&pool);
        driver.current_pool = driver.current_pool.filter(|&current| current != pool);
        Ok(())
    })
}

/// A setting of a pool, or how much it holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolGetAttribute(pool: CUmemoryPool, attribute: u32, value: Out<u64>) -> CUresult {
    call("cuMemPoolGetAttribute", |driver| {
        let used = driver.pool_bytes(pool);
        let pool = driver.pool(pool)?;
        match attribute {
            1..=3 => value.cast().set(pool.reuse[attribute as usize - 1]),
            4 => value.set(pool.release_threshold),
            5..=8 => value.set(used),
            ALLOCATION_TYPE => value.cast().set(ALLOCATION_PINNED),
            LOCATION_TYPE => value.cast().set(LOCATION_DEVICE),
            HANDLE_TYPES | LOCATION_NUMBER => value.cast().set(0u32),
            // Without a bound.
            MOST_BYTES => value.set(0),
            _ => refused(CUresult::INVALID_VALUE, format!("{attribute} is no attribute of a pool")),
        }
    })
}

/// Changes a setting of a pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolSetAttribute(pool: CUmemoryPool, attribute: u32, value: In<u64>) -> CUresult {
    call("cuMemPoolSetAttribute", |driver| {
        let pool = driver.pool(pool)?;
        match attribute {
            1..=3 => pool.reuse[attribute as usize - 1] = value.cast().get()?,
            4 => pool.release_threshold = value.get()?,
            6 | 8 if value.get()? == 0 => {}
            _ => return refused(CUresult::INVALID_VALUE, format!("attribute {attribute} of a pool cannot be set so")),
        }
        Ok(())
    })
}

/// Gives unused memory of a pool back; the emulator's pools keep none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolTrimTo(pool: CUmemoryPool, _bytes_to_keep: usize) -> CUresult {
    call("cuMemPoolTrimTo", |driver| driver.pool(pool).map(|_| ()))
}

/// Who may do what with memory, as the driver's header lays it out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUmemAccessDesc {
    pub location_type: u32,
    pub location: i32,
    pub flags: u32,
}

/// Reads and writes.
pub const ACCESS_ALL: u32 = 3;

/// Lets devices use a pool's memory. The only device does already, and it cannot be forbidden.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolSetAccess(pool: CUmemoryPool, access: In<CUmemAccessDesc>, count: usize) -> CUresult {
    call("cuMemPoolSetAccess", |driver| {
        driver.pool(pool)?;
        for access in access.to_vec(count)? {
            if access.location_type != LOCATION_DEVICE {
                return refused(CUresult::INVALID_VALUE, "access to a pool for other than a device");
            }
            check_device(access.location)?;
            if access.flags != ACCESS_ALL {
                return refused(CUresult::INVALID_VALUE, "a pool's own device needs all access");
            }
        }
        Ok(())
    })
}

/// What a device may do with a pool's memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolGetAccess(flags: Out<u32>, pool: CUmemoryPool, location: In<[i32; 2]>) -> CUresult {
    call("cuMemPoolGetAccess", |driver| {
        driver.pool(pool)?;
        let [kind, number] = location.get()?;
        if kind as u32 != LOCATION_DEVICE {
            return refused(CUresult::INVALID_VALUE, "access to a pool for other than a device");
        }
        check_device(number)?;
        flags.set(ACCESS_ALL)
    })
}

/// Allocates from a pool in the order of a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocFromPoolAsync(
    address: Out<CUdeviceptr>,
    bytes: usize,
    pool: CUmemoryPool,
    stream: CUstream,
) -> CUresult {
    call("cuMemAllocFromPoolAsync", |driver| {
        driver.pool(pool)?;
        address.set(driver.allocate_in_stream(bytes, pool, stream)?)
    })
}

super::exports![
    cuDeviceGetDefaultMemPool,
    cuDeviceGetMemPool,
    cuDeviceSetMemPool,
    cuMemPoolCreate,
    cuMemPoolDestroy,
    cuMemPoolGetAttribute,
    cuMemPoolSetAttribute,
    cuMemPoolTrimTo,
    cuMemPoolSetAccess,
    cuMemPoolGetAccess,
    cuMemAllocFromPoolAsync,
];
