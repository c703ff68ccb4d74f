//! Which driver library serves the process, and which device of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use cudarc::driver::CudaContext;

use super::{Capabilities, Image};
use crate::error::{Error, Result};

/// The device to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU; the emulator where no NVIDIA driver is installed.
    #[default]
    Auto,
    /// The GPU of this ordinal.
    Cuda(usize),
    /// The emulator, as the named device or its default one.
    Emulator(Option<String>),
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<DeviceChoice> {
        let wrong = || Error::Request(format!("device {text:?}: say auto, cuda:0, emulator or emulator:NAME"));
        match text.split_once(':') {
            None if text == "auto" => Ok(DeviceChoice::Auto),
            None if text == "cuda" => Ok(DeviceChoice::Cuda(0)),
            None if text == "emulator" => Ok(DeviceChoice::Emulator(None)),
            Some(("cuda", ordinal)) => ordinal.parse().map(DeviceChoice::Cuda).map_err(|_| wrong()),
            Some(("emulator", name)) if !name.is_empty() => Ok(DeviceChoice::Emulator(Some(name.into()))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => write!(f, "auto"),
            DeviceChoice::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            DeviceChoice::Emulator(None) => write!(f, "emulator"),
            DeviceChoice::Emulator(Some(name)) => write!(f, "emulator:{name}"),
        }
    }
}

/// Whose driver library the process uses. The first device opened decides: the loader keeps one `libcuda.so`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    Nvidia,
    Emulator(Option<String>),
}

static CHOSEN: Mutex<Option<Driver>> = Mutex::new(None);

impl Driver {
    /// The form of an image that this driver loads: NVIDIA's takes machine code, the emulator PTX, with ptxas's
    /// figures as a comment, since PTX has no physical registers.
    pub fn image(&self, image: &Image) -> Vec<u8> {
        match self {
            Driver::Nvidia => image.cubin.clone(),
            Driver::Emulator(_) => {
                let mut text = String::from_utf8_lossy(&image.ptx).trim_end_matches('\0').to_string();
                for line in image.log.lines() {
                    text.push_str("\n// ");
                    text.push_str(line);
                }
                text.push('\0');
                text.into_bytes()
            }
        }
    }

    /// What was being done, with what this driver can tell of the failure.
    pub fn explain(&self, doing: String) -> String {
        match self {
            Driver::Nvidia => doing,
            #[cfg(feature = "emulator")]
            Driver::Emulator(_) => match cuda_emulator::last_report() {
                Some(report) => format!("{doing}: {report}"),
                None => doing,
            },
            #[cfg(not(feature = "emulator"))]
            Driver::Emulator(_) => doing,
        }
    }
}

/// Whether an NVIDIA driver is installed, working or not.
pub(super) fn nvidia_installed() -> bool {
    ["libcuda.so.1", "libcuda.so"].into_iter().any(|name| {
        // SAFETY: loading the driver library runs its initialisers, as cudarc would.
        unsafe { libloading::Library::new(name) }.is_ok()
    })
}

/// Settles the process's driver and gives the ordinal to open on it.
pub(super) fn open(choice: &DeviceChoice) -> Result<(Driver, usize)> {
    let mut chosen = CHOSEN.lock().expect("no panics under it");
    let (wanted, ordinal) = match choice {
        DeviceChoice::Cuda(ordinal) => (Driver::Nvidia, *ordinal),
        DeviceChoice::Emulator(name) => (Driver::Emulator(name.clone()), 0),
        DeviceChoice::Auto => match &*chosen {
            Some(driver) => (driver.clone(), 0),
            None if nvidia_installed() => (Driver::Nvidia, 0),
            None => (Driver::Emulator(None), 0),
        },
    };
    match &*chosen {
        Some(driver) if *driver == wanted => {}
        Some(_) => return Err(Error::Device(format!("device {choice}: this process already uses another driver"))),
        None => {
            match &wanted {
                Driver::Nvidia => check_nvidia(ordinal)?,
                Driver::Emulator(name) => install_emulator(name.as_deref())?,
            }
            *chosen = Some(wanted.clone());
        }
    }
    Ok((wanted, ordinal))
}

fn check_nvidia(ordinal: usize) -> Result<()> {
    if !nvidia_installed() {
        return Err(Error::Device(format!(
            "device cuda:{ordinal}: no NVIDIA driver is installed (libcuda.so.1 is not found); \
             install one, or run with --device emulator"
        )));
    }
    let count = CudaContext::device_count().map_err(Error::driver("starting the NVIDIA driver"))?;
    if ordinal >= count as usize {
        return Err(Error::Device(format!("device cuda:{ordinal}: the driver has {count} device(s), counted from 0")));
    }
    Ok(())
}

/// The description of an emulated device: by its name, or as the environment says.
#[cfg(feature = "emulator")]
fn described(name: Option<&str>) -> Result<cuda_emulator::Config> {
    use cuda_emulator::{Config, device};

    let mut config = Config::from_environment().map_err(|error| not_started(&error))?;
    if let Some(name) = name {
        config.device = device::Description::by_name(name).ok_or_else(|| {
            let known: Vec<&str> = device::DEVICES.iter().map(|device| device.key).collect();
            Error::Device(format!("device emulator:{name}: the emulator has {}", known.join(", ")))
        })?;
    }
    Ok(config)
}

#[cfg(feature = "emulator")]
fn not_started(error: &dyn fmt::Display) -> Error {
    Error::Device(format!("starting the CUDA emulator: {error}"))
}

/// What an emulated device would say of itself.
#[cfg(feature = "emulator")]
pub(super) fn emulated(name: Option<&str>) -> Result<Capabilities> {
    let device = described(name)?.device;
    Ok(Capabilities {
        name: device.name.into(),
        compute_capability: device.compute_capability,
        multiprocessors: device.multiprocessors,
        shared_bytes_per_block: device.shared_bytes_per_block_optin,
        memory_bytes: device.memory_bytes,
    })
}

#[cfg(feature = "emulator")]
fn install_emulator(name: Option<&str>) -> Result<()> {
    let mut config = described(name)?;
    // What goes wrong is told by the error of the call that failed.
    config.quiet = true;
    cuda_emulator::configure(config).map_err(|error| not_started(&error))?;
    cuda_emulator::install().map_err(|error| not_started(&error))
}

#[cfg(not(feature = "emulator"))]
fn install_emulator(_: Option<&str>) -> Result<()> {
    Err(no_emulator())
}

#[cfg(not(feature = "emulator"))]
pub(super) fn emulated(_: Option<&str>) -> Result<Capabilities> {
    Err(no_emulator())
}

#[cfg(not(feature = "emulator"))]
fn no_emulator() -> Error {
    Error::Device("no NVIDIA driver is installed, and this build has no emulator (cargo feature `emulator`)".into())
}
