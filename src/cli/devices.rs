//! `diffedit devices`.

use anyhow::Result;

use crate::device::{self, Capabilities, DeviceChoice};

pub fn run() -> Result<()> {
    let auto = device::resolve(&DeviceChoice::Auto);
    let gpus = device::gpus()?;
    for (ordinal, gpu) in gpus.iter().enumerate() {
        println!("{}", line(&DeviceChoice::Cuda(ordinal), gpu, auto == DeviceChoice::Cuda(ordinal)));
    }
    if gpus.is_empty() {
        println!(
            "no NVIDIA GPU: {}",
            if auto == DeviceChoice::Cuda(0) { "the driver has none" } else { "no driver is installed" }
        );
    }
    emulated(&auto)
}

/// The devices that the emulator can be.
#[cfg(feature = "emulator")]
fn emulated(auto: &DeviceChoice) -> Result<()> {
    for (index, known) in cuda_emulator::device::DEVICES.iter().enumerate() {
        let choice = DeviceChoice::Emulator(Some(known.key.into()));
        // The first is what `emulator` means without a name.
        let auto = index == 0 && *auto == DeviceChoice::Emulator(None);
        println!("{}", line(&choice, &device::capabilities(&choice)?, auto));
    }
    Ok(())
}

#[cfg(not(feature = "emulator"))]
fn emulated(_: &DeviceChoice) -> Result<()> {
    println!("no emulator: it is not part of this build (cargo feature `emulator`)");
    Ok(())
}

fn line(choice: &DeviceChoice, device: &Capabilities, auto: bool) -> String {
    let (major, minor) = device.compute_capability;
    let refused = if device.compute_capability < (8, 0) { "; too old, 8.0 is needed" } else { "" };
    format!(
        "{:<24} {}: compute capability {major}.{minor}, {} multiprocessors, {:.0} GB{refused}{}",
        choice.to_string(),
        device.name,
        device.multiprocessors,
        device.memory_bytes as f64 / 1e9,
        if auto { "  <- auto" } else { "" }
    )
}
