//! The environment chooses the device; the program may choose another while no context lives. One test: both are the
//! process's.

#[macro_use]
mod common;

use std::ffi::{CStr, c_char};

use cuda_emulator::exec::Numerics;
use cuda_emulator::{Config, configure};
use cudarc::driver::sys::{CUdevice_attribute, CUresult};

fn name() -> String {
    let mut text = [0 as c_char; 64];
    succeed!(cuDeviceGetName(text.as_mut_ptr(), text.len() as i32, 0));
    // SAFETY: the driver terminates the string.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().unwrap().to_owned()
}

fn attribute(attribute: CUdevice_attribute) -> i32 {
    let mut value = 0;
    succeed!(cuDeviceGetAttribute(&mut value, attribute, 0));
    value
}

#[test]
fn the_device_is_configurable() {
    // SAFETY: no other thread of this process reads the environment.
    unsafe {
        std::env::set_var("CUDA_EMULATOR_DEVICE", "gtx480");
        std::env::set_var("CUDA_EMULATOR_DRIVER_VERSION", "13000");
        std::env::set_var("CUDA_EMULATOR_THREADS", "2");
        std::env::set_var("CUDA_EMULATOR_NUMERICS", "exact");
    }
    assert!(Config::from_environment().unwrap_err().message.contains("CUDA_EMULATOR_DEVICE"));
    cuda_emulator::install().unwrap();
    cuda_emulator::install().unwrap();
    let mut version = 0;
    assert_eq!(result!(cuDeviceGetCount(&mut version)), CUresult::CUDA_ERROR_NOT_INITIALIZED);
    assert_eq!(result!(cuInit(0)), CUresult::CUDA_ERROR_INVALID_VALUE, "no such device");
    assert!(cuda_emulator::last_report().unwrap().message.contains("a100, rtx3090"));
    // SAFETY: as above.
    unsafe { std::env::set_var("CUDA_EMULATOR_DEVICE", "RTX4090") };
    assert!(Config::from_environment().unwrap_err().message.contains("neither fast nor hardware"));
    // SAFETY: as above.
    unsafe { std::env::set_var("CUDA_EMULATOR_NUMERICS", "hardware") };
    assert_eq!(Config::from_environment().unwrap().numerics, Numerics::Hardware);
    succeed!(cuInit(0); cuDriverGetVersion(&mut version));
    assert_eq!(version, 13000);
    assert_eq!(name(), "NVIDIA GeForce RTX 4090 (emulated)");
    assert_eq!(attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR), 9);

    let h100 = cuda_emulator::device::Description::by_name("h100").unwrap();
    let config = Config { device: h100, quiet: true, ..Config::default() };
    configure(config.clone()).unwrap();
    assert_eq!(name(), "NVIDIA H100 80GB HBM3 (emulated)");
    assert_eq!(attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN), 227 * 1024);

    let mut context = std::ptr::null_mut();
    succeed!(cuDevicePrimaryCtxRetain(&mut context, 0));
    configure(Config { seed: 7, threads: 1, ..config.clone() }).unwrap();
    assert!(configure(Config { device: Default::default(), ..config.clone() }).is_err(), "a context lives");
    assert!(configure(Config { threads: 0, ..config.clone() }).is_err());
    succeed!(cuDevicePrimaryCtxRelease_v2(0));
    configure(Config { device: Default::default(), ..config }).unwrap();
    assert_eq!(name(), "NVIDIA A100-SXM4-80GB (emulated)");
    let released = result!(cuDevicePrimaryCtxRelease_v2(0));
    assert_eq!(released, CUresult::CUDA_ERROR_INVALID_CONTEXT, "released once too often");
}
