//! What devices there are, before one is opened.

use cudarc::driver::sys::CUdevice_attribute_enum as Attribute;
use cudarc::driver::{DriverError, result, sys};

use super::driver;
use super::locate::Target;
use super::{Capabilities, DeviceChoice};
use crate::error::{Error, Result};

/// The device that `choice` means on this machine: `Auto` becomes the first GPU, or the emulator where no NVIDIA
/// driver is installed.
pub fn resolve(choice: &DeviceChoice) -> DeviceChoice {
    match choice {
        DeviceChoice::Auto if driver::nvidia_installed() => DeviceChoice::Cuda(0),
        DeviceChoice::Auto => DeviceChoice::Emulator(None),
        chosen => chosen.clone(),
    }
}

/// What kernels for `choice` must be compiled for. Settles the process's driver, as opening the device would.
pub fn target(choice: &DeviceChoice) -> Result<Target> {
    let (_, ordinal) = driver::open(choice)?;
    ask(ordinal).map_err(Error::driver(format!("asking device {choice} what it is")))
}

fn ask(ordinal: usize) -> Result<Target, DriverError> {
    result::init()?;
    let device = result::device::get(ordinal as i32)?;
    let mut driver_version = 0;
    // SAFETY: the driver is started and the out-pointer is valid; the device comes from the driver.
    let (major, minor) = unsafe {
        sys::cuDriverGetVersion(&mut driver_version).result()?;
        let attribute = |attribute| result::device::get_attribute(device, attribute);
        (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        )
    };
    Ok(Target { driver_version: driver_version as u32, compute_capability: (major as u32, minor as u32) })
}

/// What the device is for which kernels would be chosen, without opening it: an emulated one need not even be started.
pub fn capabilities(choice: &DeviceChoice) -> Result<Capabilities> {
    match resolve(choice) {
        DeviceChoice::Emulator(name) => driver::emulated(name.as_deref()),
        chosen => {
            let (_, ordinal) = driver::open(&chosen)?;
            let described = result::init()
                .and_then(|()| result::device::get(ordinal as i32))
                .and_then(describe)
                .map_err(Error::driver(format!("asking device {chosen} what it is")))?;
            described.check()?;
            Ok(described)
        }
    }
}

/// The GPUs of the NVIDIA driver in the order of their ordinals; none where no driver is installed.
///
/// # Errors
/// A driver that is installed but fails.
pub fn gpus() -> Result<Vec<Capabilities>> {
    if !driver::nvidia_installed() {
        return Ok(Vec::new());
    }
    list().map_err(Error::driver("asking the NVIDIA driver for its devices"))
}

fn list() -> Result<Vec<Capabilities>, DriverError> {
    result::init()?;
    (0..result::device::get_count()?).map(|ordinal| describe(result::device::get(ordinal)?)).collect()
}

/// What the driver says of a device.
pub(super) fn describe(device: sys::CUdevice) -> Result<Capabilities, DriverError> {
    // SAFETY: the device comes from the driver.
    let attribute = |attribute| unsafe { result::device::get_attribute(device, attribute) }.map(|value| value as u32);
    Ok(Capabilities {
        name: result::device::get_name(device)?,
        compute_capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        shared_bytes_per_block: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        // SAFETY: the device comes from the driver.
        memory_bytes: unsafe { result::device::total_mem(device) }? as u64,
    })
}
