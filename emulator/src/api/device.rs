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
const PCI_DOMAIN: u32 = 0;
const PCI_BUS: u32 = 1;
const PCI_DEVICE: u32 = 0;

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
        match *driver.process.get_or_insert(std::process::id()) {
            process if process == std::process::id() => Ok(()),
            _ => refused(CUresult::NOT_INITIALIZED, "cuInit was called before the process was forked"),
        }
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

/// The device's number among all devices of all machines.
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
        21..=29 | 42..=49 | 52..=74 | 77 => largest_texture(attribute),
        16 => device.multiprocessors,
        33 => PCI_BUS,
        34 => PCI_DEVICE,
        50 => PCI_DOMAIN,
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
        // Number of the node of the device's memory, and of the host's beside it, if there were several.
        131 | 134 => u32::MAX,
        // Domains of memory order.
        126 => 1,
        97 => device.shared_bytes_per_block_optin,
        106 => device.blocks_per_multiprocessor,
        111 => SHARED_BYTES_RESERVED_PER_BLOCK,
        other => u32::from(has_feature(other)?),
    };
    Ok(value as i32)
}

/// The most elements that textures and surfaces have in one direction, and the most layers: the same for all supported
/// compute capabilities (CUDA C++ programming guide, "technical specifications per compute capability"). There are no
/// functions for them yet.
fn largest_texture(attribute: u32) -> u32 {
    match attribute {
        // One and two dimensions, of surfaces and of textures in linear memory, too.
        21 | 22 | 56 | 70 => 131_072,
        23 | 57 => 65_536,
        71 => 65_000,
        // Pitch in bytes, and one dimension in linear memory.
        72 => 2_097_120,
        69 => 1 << 28,
        // Three dimensions.
        24..=26 | 58..=60 => 16_384,
        47 | 48 => 8_192,
        // Layers, and layers of cubes.
        29 | 43 | 62 | 65 => 2_048,
        54 | 68 => 2_046,
        // Whether four neighbours can be gathered.
        44 => 1,
        // Layered, gathered, in cubes, with mipmaps.
        _ => 32_768,
    }
}

/// Attributes that say whether there is something. Everything that the emulator lacks it does not claim: sharing
/// between processes and clusters among them.
fn has_feature(attribute: u32) -> Result<bool> {
    match attribute {
        // Copies beside kernels, mapped host memory, concurrent kernels, unified addressing, stream priorities, caching
        // in L1 (global, local), managed memory, also while kernels run, preemption, registered memory under its own
        // address, cooperative launches, registration of host memory, also read-only, memory pools, waits of streams
        // for 64-bit values and for bits that are clear.
        15 | 19 | 31 | 41 | 78 | 79 | 80 | 83 | 89 | 90 | 91 | 95 | 99 | 102 | 113 | 115 | 122 | 123 => Ok(true),
        1..=161 => Ok(false),
        _ => refused(CUresult::INVALID_VALUE, format!("there is no attribute {attribute} of a device")),
    }
}

/// How the device reaches another one; there is no other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetP2PAttribute(
    value: Out<i32>,
    attribute: u32,
    source: CUdevice,
    target: CUdevice,
) -> CUresult {
    call("cuDeviceGetP2PAttribute", |_| {
        check_device(source)?;
        check_device(target)?;
        if !(1..=5).contains(&attribute) || value.is_null() {
            return refused(CUresult::INVALID_VALUE, format!("there is no attribute {attribute} of two devices"));
        }
        refused(CUresult::INVALID_DEVICE, "a device is no peer of itself")
    })
}

/// Properties of a device as the driver's header lays them out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CUdevprop {
    threads_per_block: i32,
    block: [u32; 3],
    grid: [u32; 3],
    shared_bytes_per_block: i32,
    constant_bytes: i32,
    warp_threads: i32,
    pitch_bytes: i32,
    registers_per_block: i32,
    clock_khz: i32,
    texture_alignment: i32,
}

/// The properties of a device that its first programs asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetProperties(properties: Out<CUdevprop>, device: CUdevice) -> CUresult {
    call("cuDeviceGetProperties", |driver| {
        check_device(device)?;
        let device = driver.config()?.device;
        let attribute = |number| device_attribute(&device, number);
        properties.set(CUdevprop {
            threads_per_block: attribute(1)?,
            block: BLOCK_DIMENSIONS,
            grid: GRID_DIMENSIONS,
            shared_bytes_per_block: attribute(8)?,
            constant_bytes: attribute(9)?,
            warp_threads: attribute(10)?,
            pitch_bytes: attribute(11)?,
            registers_per_block: attribute(12)?,
            clock_khz: attribute(13)?,
            texture_alignment: attribute(14)?,
        })
    })
}

/// Whether contexts can have a share of the multiprocessors: they cannot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetExecAffinitySupport(can: Out<i32>, _kind: u32, device: CUdevice) -> CUresult {
    call("cuDeviceGetExecAffinitySupport", |_| {
        check_device(device)?;
        can.set(0)
    })
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
    cuDeviceGetP2PAttribute,
    cuDeviceGetProperties,
    cuDeviceGetExecAffinitySupport,
];
