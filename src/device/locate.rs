//! Where NVRTC lies on this machine, and which of those found fits the driver.
//!
//! A driver runs what an NVRTC of its own major version or an older one makes, never a newer one's: the code that
//! NVRTC 13 emits asks for a driver of CUDA 13. And an NVRTC knows only the architectures of its day.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Nvrtc;

/// The oldest NVRTC that is tried: earlier ones lack what the kernels use.
const OLDEST_MAJOR: u32 = 12;

/// What NVRTC is to make code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The driver's version as `cuDriverGetVersion` gives it: 12090 for CUDA 12.9.
    pub driver_version: u32,
    /// Major and minor compute capability.
    pub compute_capability: (u32, u32),
}

impl Target {
    /// The newest major version of NVRTC that the driver understands.
    pub fn newest_major(self) -> u32 {
        self.driver_version / 1000
    }

    /// The first NVRTC that knows the architecture (release notes of CUDA 12.0, 12.8, 12.9 and 13.0).
    fn oldest_nvrtc(self) -> (u32, u32) {
        match self.compute_capability {
            (8 | 9, _) => (12, 0),
            (10, 0) | (12, 0) => (12, 8),
            (10, 3) | (12, 1) => (12, 9),
            _ => (13, 0),
        }
    }
}

/// NVRTC is nowhere, or nowhere in a version that fits.
#[derive(Clone, Debug)]
pub struct NotFound {
    /// Each place that was looked at, and why nothing there would do.
    pub tried: Vec<String>,
    target: Target,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let major = self.target.newest_major();
        writeln!(f, "no usable NVRTC (CUDA's run-time compiler) of version {} was found. Tried:", majors(major))?;
        for place in &self.tried {
            writeln!(f, "  {place}")?;
        }
        let wheel = if major >= 13 { "nvidia-cuda-nvrtc" } else { "nvidia-cuda-nvrtc-cu12" };
        write!(
            f,
            "Install a CUDA toolkit, or `python3 -m pip install {wheel}`, or name the file of libnvrtc in DIFFEDIT_NVRTC"
        )
    }
}

impl std::error::Error for NotFound {}

/// "12" or "12 to 13".
fn majors(newest: u32) -> String {
    if newest > OLDEST_MAJOR { format!("{OLDEST_MAJOR} to {newest}") } else { OLDEST_MAJOR.to_string() }
}

/// Loads the first NVRTC that fits `target`. `explicit`, else the environment's `DIFFEDIT_NVRTC`, names a file or
/// folder and is then the only place tried. Otherwise, in this order: CUDA toolkits, the system's loader, the
/// site-packages of Pythons, and `cache` (a folder that may hold `libnvrtc` in subfolders). Nothing is fetched.
///
/// # Errors
/// [`NotFound`], which lists what was tried.
pub fn find_nvrtc(explicit: Option<&Path>, target: Target, cache: &Path) -> Result<Nvrtc, NotFound> {
    let named = explicit.map(Path::to_path_buf).or_else(|| variable("DIFFEDIT_NVRTC").map(PathBuf::from));
    find(named.as_deref(), target, &Places::of_this_machine(cache))
}

fn find(named: Option<&Path>, target: Target, places: &Places) -> Result<Nvrtc, NotFound> {
    let mut search = Search { target, tried: Vec::new() };
    let found = match named {
        Some(path) if path.is_dir() => search.folders("the folder named", &[path.to_path_buf()]),
        Some(path) => search.file(path),
        None => search
            .folders("CUDA toolkits", &places.toolkits)
            .or_else(|| if places.loader { search.loader() } else { None })
            .or_else(|| search.folders("Python's site-packages", &places.site_packages))
            .or_else(|| search.folders("our cache", &places.cache)),
    };
    found.ok_or(NotFound { tried: search.tried, target })
}

/// The folders in which libnvrtc may lie, by the kind of place.
struct Places {
    toolkits: Vec<PathBuf>,
    /// Whether the system's loader is asked.
    loader: bool,
    site_packages: Vec<PathBuf>,
    cache: Vec<PathBuf>,
}

impl Places {
    fn of_this_machine(cache: &Path) -> Places {
        let roots = ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"].into_iter().filter_map(variable).map(PathBuf::from);
        let toolkits = roots.chain(newest_first(matches(Path::new("/usr/local"), "cuda*")));
        let pythons = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable).map(PathBuf::from);
        let user = variable("HOME").map(|home| Path::new(&home).join(".local"));
        let system = ["/usr/local", "/usr"].map(PathBuf::from);
        Places {
            toolkits: toolkits.flat_map(|root| toolkit_folders(&root)).collect(),
            loader: true,
            site_packages: pythons
                .chain(python_prefix())
                .chain(user)
                .chain(system)
                .flat_map(|p| python_folders(&p))
                .collect(),
            cache: newest_first(matches(cache, "nvrtc-*")),
        }
    }
}

/// A variable of the environment that is set to something.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The prefix of the `python3` that a shell would start.
fn python_prefix() -> Option<PathBuf> {
    let path = variable("PATH")?;
    let bin = env::split_paths(&path).find(|folder| folder.join("python3").is_file())?;
    Some(bin.parent()?.to_path_buf())
}

/// Where a CUDA toolkit keeps its libraries.
fn toolkit_folders(root: &Path) -> Vec<PathBuf> {
    ["lib64", "targets/x86_64-linux/lib", "lib"].map(|folder| root.join(folder)).to_vec()
}

/// Where NVIDIA's wheels keep NVRTC under a Python prefix: the `cu12` wheel and the unified one of CUDA 13.
fn python_folders(prefix: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for python in newest_first(matches(&prefix.join("lib"), "python3*")) {
        for packages in ["site-packages", "dist-packages"] {
            let nvidia = python.join(packages).join("nvidia");
            folders.extend([nvidia.join("cu13/lib"), nvidia.join("cuda_nvrtc/lib")]);
        }
    }
    folders
}

/// The entries of `folder` whose name matches `pattern`, a name or a beginning followed by `*`.
fn matches(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let beginning = pattern.trim_end_matches('*');
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let fits = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning));
    entries.filter(fits).collect()
}

/// Sorts by the numbers in the names, the greatest first: `cuda-12.10` before `cuda-12.9`.
fn newest_first(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort_by_cached_key(|path| std::cmp::Reverse((numbers(path), path.clone())));
    paths
}

/// The decimal numbers in the last part of a path.
fn numbers(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// A search under way.
struct Search {
    target: Target,
    tried: Vec<String>,
}

impl Search {
    /// The newest fitting NVRTC of the first folder that has one.
    fn folders(&mut self, kind: &str, folders: &[PathBuf]) -> Option<Nvrtc> {
        let before = self.tried.len();
        for folder in folders {
            let libraries = newest_first(matches(folder, "libnvrtc.so*"));
            // A toolkit has three names for one file; a wheel has but the one with the major version.
            let versioned = |path: &PathBuf| numbers(path).len() == 1;
            if let Some(nvrtc) = libraries.iter().filter(|path| versioned(path)).find_map(|path| self.file(path)) {
                return Some(nvrtc);
            }
        }
        if self.tried.len() == before {
            let names: Vec<String> = folders.iter().filter(|f| f.is_dir()).map(|f| f.display().to_string()).collect();
            let looked =
                if names.is_empty() { "none here".to_owned() } else { format!("none in {}", names.join(", ")) };
            self.tried.push(format!("{kind}: {looked}"));
        }
        None
    }

    /// Whatever the system's loader has under NVRTC's names.
    fn loader(&mut self) -> Option<Nvrtc> {
        let newest = self.target.newest_major().max(OLDEST_MAJOR);
        let names = (OLDEST_MAJOR..=newest).rev().map(|major| format!("libnvrtc.so.{major}"));
        for name in names {
            match Nvrtc::load(Path::new(&name)) {
                Ok(nvrtc) => {
                    if let Some(nvrtc) = self.fitting(nvrtc) {
                        return Some(nvrtc);
                    }
                }
                Err(error) => self.tried.push(format!("the system's loader: {error}")),
            }
        }
        None
    }

    /// The library at `path`, if it is there whole and fits.
    fn file(&mut self, path: &Path) -> Option<Nvrtc> {
        let major = numbers(path).first().copied().filter(|_| path.to_string_lossy().contains(".so."));
        if let Some(major) = major
            && !(OLDEST_MAJOR..=self.target.newest_major()).contains(&major)
        {
            self.tried.push(format!("{}: {}", path.display(), self.unfit((major, 0))));
            return None;
        }
        if path.is_file() && !has_builtins(path) {
            self.tried.push(format!("{}: libnvrtc-builtins is not beside it", path.display()));
            return None;
        }
        match Nvrtc::load(path) {
            Ok(nvrtc) => self.fitting(nvrtc),
            Err(error) => {
                self.tried.push(error.to_string());
                None
            }
        }
    }

    /// `nvrtc`, if its version fits.
    fn fitting(&mut self, nvrtc: Nvrtc) -> Option<Nvrtc> {
        let version = nvrtc.version();
        let majors = OLDEST_MAJOR..=self.target.newest_major();
        if majors.contains(&version.0) && version >= self.target.oldest_nvrtc() {
            return Some(nvrtc);
        }
        self.tried.push(format!("{}: {}", nvrtc.path().display(), self.unfit(version)));
        None
    }

    /// Why a version does not do.
    fn unfit(&self, (major, minor): (u32, u32)) -> String {
        let driver = self.target.driver_version;
        if major > self.target.newest_major() {
            let (driver_major, driver_minor) = (driver / 1000, driver % 1000 / 10);
            return format!("version {major} is newer than the driver's CUDA {driver_major}.{driver_minor}");
        }
        if major < OLDEST_MAJOR {
            return format!("version {major} is too old; {OLDEST_MAJOR} is needed");
        }
        let (oldest, (sm_major, sm_minor)) = (self.target.oldest_nvrtc(), self.target.compute_capability);
        format!("version {major}.{minor} does not know sm_{sm_major}{sm_minor}; that takes {}.{}", oldest.0, oldest.1)
    }
}

/// Whether the library of built-in functions, without which nothing compiles, lies beside NVRTC.
fn has_builtins(nvrtc: &Path) -> bool {
    let real = fs::canonicalize(nvrtc).unwrap_or_else(|_| nvrtc.to_path_buf());
    real.parent().is_some_and(|folder| !matches(folder, "libnvrtc-builtins.so*").is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMPERE: (u32, u32) = (8, 0);

    fn nowhere() -> Places {
        Places { toolkits: Vec::new(), loader: false, site_packages: Vec::new(), cache: Vec::new() }
    }

    fn tried(named: Option<&Path>, driver_version: u32, places: &Places) -> String {
        let target = Target { driver_version, compute_capability: AMPERE };
        find(named, target, places).err().expect("nothing usable is there").to_string()
    }

    #[test]
    fn names_all_places_and_what_to_install() {
        let text = tried(None, 12_090, &nowhere());
        for part in ["version 12 was", "CUDA toolkits: none", "site-packages: none", "our cache: none", "nvrtc-cu12"] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        assert!(tried(None, 13_000, &nowhere()).contains("version 12 to 13 was"));
    }

    #[test]
    fn a_newer_major_than_the_drivers_is_skipped_without_loading() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["libnvrtc.so.13", "libnvrtc.so.11", "libnvrtc.so.12", "libnvrtc.so", "libnvrtc.so.12.4.127"] {
            fs::write(folder.path().join(name), "not a library").expect("a file");
        }
        let places = Places { toolkits: vec![folder.path().to_path_buf()], ..nowhere() };
        let text = tried(None, 12_040, &places);
        assert!(text.contains("libnvrtc.so.13: version 13 is newer than the driver's CUDA 12.4"), "{text}");
        assert!(text.contains("libnvrtc.so.11: version 11 is too old"), "{text}");
        assert!(text.contains("libnvrtc.so.12: libnvrtc-builtins is not beside it"), "{text}");
        assert!(!text.contains("127"), "one file under one name only: {text}");
        fs::write(folder.path().join("libnvrtc-builtins.so.12.4"), "nor this").expect("a file");
        assert!(!tried(None, 12_040, &places).contains("not beside it"));
    }

    #[test]
    fn a_named_file_is_the_only_place() {
        let text = tried(Some(Path::new("/nonexistent/libnvrtc.so.12")), 12_090, &nowhere());
        assert!(text.contains("/nonexistent/libnvrtc.so.12"), "{text}");
        assert!(!text.contains("site-packages:"), "{text}");
    }

    #[test]
    fn newer_toolkits_come_first() {
        let names = ["cuda-12.9", "cuda", "cuda-12.10", "cuda-11.8"];
        let sorted = newest_first(names.map(PathBuf::from).to_vec());
        assert_eq!(sorted, ["cuda-12.10", "cuda-12.9", "cuda-11.8", "cuda"].map(PathBuf::from));
    }

    #[test]
    fn architectures_ask_for_the_nvrtc_that_first_knew_them() {
        let oldest = |compute_capability| Target { driver_version: 13_000, compute_capability }.oldest_nvrtc();
        assert_eq!(oldest((9, 0)), (12, 0));
        assert_eq!(oldest((12, 0)), (12, 8));
        assert_eq!(oldest((11, 0)), (13, 0));
    }
}
