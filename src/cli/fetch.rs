//! NVRTC for machines that have none: NVIDIA's wheel from the Python package index, pinned by its hash.
//!
//! Nothing is installed: pip downloads and checks the wheel, and two libraries are unpacked into the user's cache.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use zip::ZipArchive;

use crate::device::{self, DeviceChoice, Nvrtc, Target, find_nvrtc};

/// Setting this to anything but nothing or 0 forbids fetching.
const OFFLINE: &str = "DIFFEDIT_OFFLINE";

/// The wheel: NVRTC 12.9 runs on every driver from CUDA 12.0 on and compiles for everything from sm_50 to sm_121.
const VERSION: &str = "12.9.86";
const REQUIREMENT: &str = "nvidia-cuda-nvrtc-cu12==12.9.86 \
    --hash=sha256:210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4";
const WHEEL_MEGABYTES: u32 = 90;

/// What is taken out of the wheel: the compiler, and its built-in functions, which it loads from its own folder.
const LIBRARY: &str = "libnvrtc.so.12";
const LIBRARIES: [&str; 2] = [LIBRARY, "libnvrtc-builtins.so.12.9"];
const FOLDER_IN_WHEEL: &str = "nvidia/cuda_nvrtc/lib";

/// The folder for what can be made again: `$XDG_CACHE_HOME/diffedit` or `~/.cache/diffedit`.
pub fn cache_folder() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let base = base.context("neither XDG_CACHE_HOME nor HOME names a folder for the cache")?;
    Ok(base.join("diffedit"))
}

/// NVRTC for a device: found on this machine (the environment's `DIFFEDIT_NVRTC` and `explicit` say where), or else
/// fetched, with a line on stderr saying so. `offline`, or the environment's `DIFFEDIT_OFFLINE`, forbids fetching.
pub fn nvrtc(choice: &DeviceChoice, explicit: Option<&Path>, offline: bool) -> Result<Nvrtc> {
    nvrtc_for(device::target(choice)?, explicit, offline)
}

/// As [`nvrtc`], for a device that need not be here.
pub fn nvrtc_for(target: Target, explicit: Option<&Path>, offline: bool) -> Result<Nvrtc> {
    let cache = cache_folder()?;
    let not_found = match find_nvrtc(explicit, target, &cache) {
        Ok(nvrtc) => return Ok(nvrtc),
        Err(not_found) => not_found,
    };
    if explicit.is_some() || env::var_os("DIFFEDIT_NVRTC").is_some_and(|value| !value.is_empty()) {
        return Err(not_found.into());
    }
    let forbidden = env::var(OFFLINE).is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    if offline || forbidden {
        bail!("{not_found}\nFetching it is forbidden by {}", if offline { "--offline" } else { OFFLINE });
    }
    let library = fetch(&cache).map_err(|error| anyhow!("{not_found}\nFetching it failed: {error:#}"))?;
    find_nvrtc(Some(&library), target, &cache).map_err(Into::into)
}

/// Fetches the wheel and unpacks it into the cache; gives the library's path. Two processes may do so at once: the
/// second waits for the first.
fn fetch(cache: &Path) -> Result<PathBuf> {
    let write = || format!("writing to {}", cache.display());
    fs::create_dir_all(cache).with_context(write)?;
    let lock = File::create(cache.join("nvrtc.lock")).with_context(write)?;
    lock.lock().with_context(write)?;
    let folder = cache.join(format!("nvrtc-{VERSION}"));
    if folder.join(LIBRARY).is_file() {
        return Ok(folder.join(LIBRARY));
    }
    eprintln!(
        "fetching NVRTC {VERSION}, NVIDIA's compiler for kernels ({WHEEL_MEGABYTES} MB), from the Python package index \
         into {} ({OFFLINE}=1 forbids it)",
        cache.display()
    );
    let download = tempfile::tempdir_in(cache).with_context(write)?;
    let wheel = download_wheel(download.path())?;
    let unpacked = tempfile::tempdir_in(cache).with_context(write)?;
    unpack(&wheel, unpacked.path()).with_context(|| format!("unpacking {}", wheel.display()))?;
    // Whatever half of an older one lies there has no library in it.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(write)?;
    }
    fs::rename(unpacked.keep(), &folder).with_context(write)?;
    Ok(folder.join(LIBRARY))
}

/// Has pip download the wheel into `folder`, and finds it there.
fn download_wheel(folder: &Path) -> Result<PathBuf> {
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT).with_context(|| requirements.display().to_string())?;
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"])
        .args(["--only-binary=:all:", "--require-hashes", "--requirement"])
        .arg(&requirements)
        .arg("--dest")
        .arg(folder)
        .output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("python3 is not installed (on Debian: apt install python3-pip)")
        }
        other => other.context("running python3")?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!said.contains("No module named pip"), "python3 has no pip (on Debian: apt install python3-pip)");
        let last = said.lines().rev().find(|line| line.starts_with("ERROR")).or(said.lines().last());
        bail!("pip download: {}", last.unwrap_or("failed without a word").trim());
    }
    let wheels = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    wheels.into_iter().find(is_wheel).context("pip download left no wheel")
}

/// Unpacks the libraries of the wheel into `folder`.
fn unpack(wheel: &Path, folder: &Path) -> Result<()> {
    let mut archive = ZipArchive::new(File::open(wheel)?)?;
    for name in LIBRARIES {
        let mut packed = archive.by_name(&format!("{FOLDER_IN_WHEEL}/{name}"))?;
        io::copy(&mut packed, &mut File::create(folder.join(name))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use zip::write::SimpleFileOptions;

    #[test]
    fn a_wheel_gives_its_two_libraries() {
        let folder = tempfile::tempdir().expect("a folder");
        let wheel = folder.path().join("x.whl");
        let mut writer = zip::ZipWriter::new(File::create(&wheel).expect("a file"));
        for name in ["libnvrtc.alt.so.12", LIBRARIES[0], LIBRARIES[1]] {
            writer.start_file(format!("{FOLDER_IN_WHEEL}/{name}"), SimpleFileOptions::default()).expect("a member");
            writer.write_all(name.as_bytes()).expect("written");
        }
        writer.finish().expect("an archive");
        let unpacked = tempfile::tempdir().expect("a folder");
        unpack(&wheel, unpacked.path()).expect("it unpacks");
        for name in LIBRARIES {
            assert_eq!(fs::read_to_string(unpacked.path().join(name)).expect("unpacked"), name);
        }
        assert!(!unpacked.path().join("libnvrtc.alt.so.12").exists());
        fs::write(&wheel, "not an archive").expect("a file");
        unpack(&wheel, unpacked.path()).expect_err("it is not a wheel");
    }
}
