//! Initialisation and the device.

use std::ffi::c_char;

use super::context::check_device;
use super::driver::{call, call_uninitialised};
use super::error::{CUresult, Result, refused};
use super::types::{CUdevice, In, Out, write_text};
use crate::config::Config;
use crate::device::{
    BLOCK_DIMENSIONS, CONSTANT_BYTES, Description, GRID_DIMENSIONS, REGISTERS_PER_BLOCK, SHARED_BYTES_PER_BLOCK,
    SHARED_BYTES_RESERVED_PER_BLOCK, THREADS_PER_BLOCK, WARP_THREADS,
};

/// Where the only device claims to sit.
const PCI_BUS_ID: &str = "0000:01:00.0";
const PCI_BUS: u32 = 1;

/// Starts the driver; reads the configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuInit(flags: u32) -> CUresult {
    call_uninitialised("cuInit", |driver| {
        if flags != 0 {
            return refused(CUresult::INVALID_VALUE, "cuInit has no flags");
        }
        if let Err(failure) = driver.config() {
            // Programs print only the code, which does not say which variable is wrong.
            if let Some(report) = &failure.report {
                eprintln!("{report}");
            }
            return Err(failure);
        }
        driver.initialised = true;
        Ok(())
    })
}

/// The version of CUDA that the driver speaks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: Out<i32>) -> CUresult {
    call_uninitialised("cuDriverGetVersion", |driver| version.set(driver.config()?.driver_version))
}

/// The device of a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: Out<CUdevice>, ordinal: i32) -> CUresult {
    call("cuDeviceGet", |_| {
        check_device(ordinal)?;
        device.set(ordinal)
    })
}

/// One.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(device_count: Out<i32>) -> CUresult {
    call("cuDeviceGetCount", |_| device_count.set(1))
}

/// The device's name, which says that it is emulated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: Out<c_char>, bytes: i32, device: CUdevice) -> CUresult {
    call("cuDeviceGetName", |driver| {
        check_device(device)?;
        let text = format!("{} (emulated)", driver.config()?.device.name);
        write_text(name, bytes.max(0) as usize, &text)
    })
}

fn uuid(config: &Config) -> [u8; 16] {
    let mut bytes = *b"cuda-emulator\0\0\0";
    let architecture = config.device.architecture() as u8;
    bytes[15] = architecture;
    bytes
}

/// A number that no other device has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid(out: Out<[u8; 16]>, device: CUdevice) -> CUresult {
    call("cuDeviceGetUuid", |driver| {
        check_device(device)?;
        out.set(uuid(&driver.config()?))
    })
}

/// A number that no other device has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(out: Out<[u8; 16]>, device: CUdevice) -> CUresult {
    call("cuDeviceGetUuid_v2", |driver| {
        check_device(device)?;
        out.set(uuid(&driver.config()?))
    })
}

/// Bytes of device memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: CUdevice) -> CUresult {
    call("cuDeviceTotalMem_v2", |driver| {
        check_device(device)?;
        bytes.set(driver.config()?.device.memory_bytes as usize)
    })
}

/// The compute capability.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceComputeCapability(major: Out<i32>, minor: Out<i32>, device: CUdevice) -> CUresult {
    call("cuDeviceComputeCapability", |driver| {
        check_device(device)?;
        let capability = driver.config()?.device.compute_capability;
        major.set(capability.0 as i32)?;
        minor.set(capability.1 as i32)
    })
}

/// The device's place in the machine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetPCIBusId(text: Out<c_char>, bytes: i32, device: CUdevice) -> CUresult {
    call("cuDeviceGetPCIBusId", |_| {
        check_device(device)?;
        write_text(text, bytes.max(0) as usize, PCI_BUS_ID)
    })
}

/// The device at a place in the machine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetByPCIBusId(device: Out<CUdevice>, text: In<c_char>) -> CUresult {
    call("cuDeviceGetByPCIBusId", |_| {
        let place = text.text()?;
        if !PCI_BUS_ID.ends_with(place.as_str()) || place.len() < "01:00.0".len() {
            return refused(CUresult::INVALID_DEVICE, format!("there is no device at {place}"));
        }
        device.set(0)
    })
}

/// Whether the device reaches another one's memory; there is no other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceCanAccessPeer(can: Out<i32>, device: CUdevice, peer: CUdevice) -> CUresult {
    call("cuDeviceCanAccessPeer", |_| {
        check_device(device)?;
        check_device(peer)?;
        can.set(0)
    })
}

/// A property of the device as a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: Out<i32>, attribute: u32, device: CUdevice) -> CUresult {
    call("cuDeviceGetAttribute", |driver| {
        check_device(device)?;
        value.set(device_attribute(&driver.config()?.device, attribute)?)
    })
}

/// Attributes as numbered by the driver's `CUdevice_attribute`.
fn device_attribute(device: &Description, attribute: u32) -> Result<i32> {
    let value = match attribute {
        1 => THREADS_PER_BLOCK,
        2..=4 => BLOCK_DIMENSIONS[attribute as usize - 2],
        5..=7 => GRID_DIMENSIONS[attribute as usize - 5],
        8 => SHARED_BYTES_PER_BLOCK,
        9 => CONSTANT_BYTES,
        10 => WARP_THREADS,
        // The most that a pitch can be.
        11 => i32::MAX as u32,
        12 => REGISTERS_PER_BLOCK,
        13 => device.clock_khz,
        // Alignment of textures and of surfaces, and of the pitch of textures.
        14 | 30 => 512,
        51 => 32,
        16 => device.multiprocessors,
        33 => PCI_BUS,
        36 => device.memory_clock_khz,
        37 => device.memory_bus_bits,
        38 => device.l2_bytes,
        39 => device.threads_per_multiprocessor,
        // Copy engines.
        40 => 2,
        75 => device.compute_capability.0,
        76 => device.compute_capability.1,
        81 => device.shared_bytes_per_multiprocessor,
        82 => device.registers_per_multiprocessor,
        // How many times slower double precision is than single.
        87 => (device.rates.fp32_lanes / device.rates.fp64_lanes) as u32,
        97 => device.shared_bytes_per_block_optin,
        106 => device.blocks_per_multiprocessor,
        111 => SHARED_BYTES_RESERVED_PER_BLOCK,
        other => u32::from(has_feature(other)?),
    };
    Ok(value as i32)
}

/// Attributes that say whether there is something. Everything that the emulator lacks it does not claim, textures,
/// virtual memory management, sharing between processes and clusters among them.
fn has_feature(attribute: u32) -> Result<bool> {
    match attribute {
        // Copies beside kernels, mapped host memory, concurrent kernels, unified addressing, stream priorities, caching
        // in L1 (global, local), managed memory, preemption, registered memory under its own address, cooperative
        // launches, registration of host memory, memory pools.
        15 | 19 | 31 | 41 | 78 | 79 | 80 | 83 | 90 | 91 | 95 | 99 | 115 => Ok(true),
        1..=142 => Ok(false),
        _ => refused(CUresult::INVALID_VALUE, format!("there is no attribute {attribute} of a device")),
    }
}

super::exports![
    cuInit,
    cuDriverGetVersion,
    cuDeviceGet,
    cuDeviceGetCount,
    cuDeviceGetName,
    cuDeviceGetUuid,
    cuDeviceGetUuid_v2,
    cuDeviceTotalMem_v2,
    cuDeviceComputeCapability,
    cuDeviceGetPCIBusId,
    cuDeviceGetByPCIBusId,
    cuDeviceCanAccessPeer,
    cuDeviceGetAttribute,
];
