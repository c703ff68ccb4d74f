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
pub const OFFLINE: &str = "DIFFEDIT_OFFLINE";

/// A release of NVRTC in the Python package index.
pub struct Wheel {
    version: &'static str,
    /// What pip is asked for: the release and its hash.
    requirement: &'static str,
    megabytes: u32,
    /// Inside the wheel.
    folder: &'static str,
    /// The compiler, and its built-in functions, which it loads from its own folder.
    libraries: [&'static str; 2],
}

/// NVRTC 12.9 runs on every driver from CUDA 12.0 on and compiles for everything from sm_50 to sm_121: what is fetched.
pub const NVRTC_12: Wheel = Wheel {
    version: "12.9.86",
    requirement: "nvidia-cuda-nvrtc-cu12==12.9.86 \
        --hash=sha256:210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4",
    megabytes: 90,
    folder: "nvidia/cuda_nvrtc/lib",
    libraries: ["libnvrtc.so.12", "libnvrtc-builtins.so.12.9"],
};

/// NVRTC 13.5, which needs a driver as new: for the tests, which compile with both.
pub const NVRTC_13: Wheel = Wheel {
    version: "13.5.37",
    requirement: "nvidia-cuda-nvrtc==13.5.37 \
        --hash=sha256:86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc",
    megabytes: 58,
    folder: "nvidia/cu13/lib",
    libraries: ["libnvrtc.so.13", "libnvrtc-builtins.so.13.5"],
};

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
    if let Some(switch) = forbidden_by(offline, &[OFFLINE]) {
        bail!("{not_found}\nFetching it is forbidden by {switch}");
    }
    let library = fetch(&NVRTC_12, &cache).map_err(|error| anyhow!("{not_found}\nFetching it failed: {error:#}"))?;
    find_nvrtc(Some(&library), target, &cache).map_err(Into::into)
}

/// What forbids fetching, if anything does: the command line's `--offline`, or one of these variables.
pub fn forbidden_by(offline: bool, variables: &[&'static str]) -> Option<&'static str> {
    let set = |name: &&&str| env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0"));
    if offline { Some("--offline") } else { variables.iter().find(set).copied() }
}

/// Fetches a wheel and unpacks it into the cache, unless it is there; gives the library's path. Two processes may do so
/// at once: the second waits for the first.
pub fn fetch(wheel: &Wheel, cache: &Path) -> Result<PathBuf> {
    let Wheel { version, megabytes, libraries: [library, _], .. } = wheel;
    let write = || format!("writing to {}", cache.display());
    fs::create_dir_all(cache).with_context(write)?;
    let lock = File::create(cache.join("nvrtc.lock")).with_context(write)?;
    lock.lock().with_context(write)?;
    let folder = cache.join(format!("nvrtc-{version}"));
    if folder.join(library).is_file() {
        return Ok(folder.join(library));
    }
    eprintln!(
        "fetching NVRTC {version}, NVIDIA's compiler for kernels ({megabytes} MB), from the Python package index \
         into {} ({OFFLINE}=1 forbids it)",
        cache.display()
    );
    let download = tempfile::tempdir_in(cache).with_context(write)?;
    let file = download_wheel(wheel, download.path())?;
    let unpacked = tempfile::tempdir_in(cache).with_context(write)?;
    unpack(wheel, &file, unpacked.path()).with_context(|| format!("unpacking {}", file.display()))?;
    // Whatever half of an older one lies there has no library in it.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(write)?;
    }
    fs::rename(unpacked.keep(), &folder).with_context(write)?;
    Ok(folder.join(library))
}

/// Has pip download the wheel into `folder`, and finds it there.
fn download_wheel(wheel: &Wheel, folder: &Path) -> Result<PathBuf> {
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, wheel.requirement).with_context(|| requirements.display().to_string())?;
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
fn unpack(wheel: &Wheel, file: &Path, folder: &Path) -> Result<()> {
    let mut archive = ZipArchive::new(File::open(file)?)?;
    for name in wheel.libraries {
        let mut packed = archive.by_name(&format!("{}/{name}", wheel.folder))?;
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
        let libraries = NVRTC_12.libraries;
        let file = folder.path().join("x.whl");
        let mut writer = zip::ZipWriter::new(File::create(&file).expect("a file"));
        for name in ["libnvrtc.alt.so.12", libraries[0], libraries[1]] {
            writer.start_file(format!("{}/{name}", NVRTC_12.folder), SimpleFileOptions::default()).expect("a member");
            writer.write_all(name.as_bytes()).expect("written");
        }
        writer.finish().expect("an archive");
        let unpacked = tempfile::tempdir().expect("a folder");
        unpack(&NVRTC_12, &file, unpacked.path()).expect("it unpacks");
        for name in libraries {
            assert_eq!(fs::read_to_string(unpacked.path().join(name)).expect("unpacked"), name);
        }
        assert!(!unpacked.path().join("libnvrtc.alt.so.12").exists());
        fs::write(&file, "not an archive").expect("a file");
        unpack(&NVRTC_12, &file, unpacked.path()).expect_err("it is not a wheel");
    }
}
