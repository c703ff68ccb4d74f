//! The ways in which the programs are compiled, and the PTX that comes of it, kept on disk between runs.

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::{fmt, fs, ptr};

use diffedit::cli::{NVRTC_12, NVRTC_13, cache_folder, fetch};
use diffedit::device::{Failure, Nvrtc};
use sha2::{Digest, Sha256};

/// A file of kernels and the builds that it is meant for.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub file: &'static str,
    /// The oldest compute capability that has what it uses: 80.
    oldest: u32,
    /// Whether two builds are enough, one of each NVRTC: for sources whose headers take seconds.
    slow: bool,
}

impl Source {
    pub const fn new(file: &'static str) -> Source {
        Source { file, oldest: 75, slow: false }
    }

    /// Only for compute capabilities from `oldest` on.
    pub const fn since(self, oldest: u32) -> Source {
        Source { oldest, ..self }
    }

    /// Only in the two builds that are [`Build::REPRESENTATIVE`].
    pub const fn slow(self) -> Source {
        Source { slow: true, ..self }
    }

    pub fn fits(&self, build: &Build) -> bool {
        build.architecture >= self.oldest && (!self.slow || Build::REPRESENTATIVE.contains(build))
    }
}

/// One way of compiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Build {
    /// NVRTC's major version.
    nvrtc: u32,
    pub architecture: u32,
    options: &'static [&'static str],
}

/// No optimisation: every variable lives in local memory, every function is called.
const DEBUG: &[&str] = &["--device-debug"];
/// Optimised, with what a debugger needs.
const OPTIMISED_DEBUG: &[&str] = &["--device-debug", "--dopt=on"];

impl Build {
    const ALL: [Build; 9] = [
        Build::optimised(12, 75),
        Build::optimised(12, 80),
        Build::optimised(12, 86),
        Build::optimised(12, 89),
        Build::optimised(12, 90),
        Build { nvrtc: 12, architecture: 80, options: DEBUG },
        Build { nvrtc: 12, architecture: 90, options: OPTIMISED_DEBUG },
        Build::optimised(13, 80),
        Build { nvrtc: 13, architecture: 90, options: DEBUG },
    ];

    /// The two that stand for the others where compiling takes long.
    pub const REPRESENTATIVE: [Build; 2] = [Build::optimised(12, 80), Build::optimised(13, 80)];

    /// What people ship: optimised for `architecture`.
    pub const fn optimised(nvrtc: u32, architecture: u32) -> Build {
        Build { nvrtc, architecture, options: &[] }
    }

    pub fn all() -> impl Iterator<Item = Build> {
        Build::ALL.into_iter()
    }

    /// Whether functions are inlined and loops transformed.
    pub fn is_optimised(&self) -> bool {
        self.options != DEBUG
    }

    /// The PTX of a file in `cuda/`, terminated by a NUL.
    pub fn ptx(&self, file: &'static str) -> Arc<Vec<u8>> {
        type Once = Arc<OnceLock<Arc<Vec<u8>>>>;
        static KNOWN: LazyLock<Mutex<HashMap<(&'static str, Build), Once>>> = LazyLock::new(Mutex::default);
        let entry = KNOWN.lock().expect("no panics under it").entry((file, *self)).or_default().clone();
        entry.get_or_init(|| Arc::new(self.kept_or_compiled(file))).clone()
    }

    fn kept_or_compiled(&self, file: &str) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/cuda").join(file);
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let nvrtc = nvrtc(self.nvrtc);
        let mut options = vec![format!("--gpu-architecture=compute_{}", self.architecture)];
        options.push("--device-int128".into());
        options.extend(self.options.iter().map(|option| option.to_string()));
        let hash = Sha256::digest(format!("{:?}{options:?}{source}", nvrtc.version()));
        let name: String = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        let kept = folder().join(format!("{name}.ptx"));
        if let Ok(ptx) = fs::read(&kept) {
            return ptx;
        }
        options.extend(["", "/cccl"].map(|part| format!("--include-path={}{part}", headers().display())));
        let compiled = nvrtc.compile(&source, file, &options).unwrap_or_else(|failure| match failure {
            Failure::Source(log) => panic!("{file} in {self}: {log}"),
            Failure::Nvrtc(error) => panic!("{file} in {self}: {error}"),
        });
        // Another process may write the same: it appears whole or not at all.
        let fresh = folder().join(format!("{name}.{}", std::process::id()));
        fs::write(&fresh, &compiled.ptx).expect("the target folder is writable");
        fs::rename(&fresh, &kept).expect("the target folder is writable");
        compiled.ptx
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NVRTC {} compute_{} {}", self.nvrtc, self.architecture, self.options.join(" "))
    }
}

/// What this binary makes and keeps.
fn folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("programs");
        fs::create_dir_all(&folder).expect("the target folder is writable");
        folder
    });
    &FOLDER
}

fn nvrtc(major: u32) -> &'static Nvrtc {
    static LOADED: [LazyLock<Nvrtc>; 2] = [LazyLock::new(|| load(12)), LazyLock::new(|| load(13))];
    &LOADED[major as usize - 12]
}

fn load(major: u32) -> Nvrtc {
    let wheel = if major == 12 { &NVRTC_12 } else { &NVRTC_13 };
    let library = fetch(wheel, &cache_folder().expect("a cache")).expect("NVRTC");
    Nvrtc::load(&library).expect("NVRTC loads")
}

/// The folder of CUDA's headers (`cuda_fp16.h`, `mma.h`, `cooperative_groups.h`), which NVRTC 13 brings along and
/// which compile with NVRTC 12 too.
fn headers() -> &'static Path {
    static HEADERS: LazyLock<PathBuf> = LazyLock::new(|| {
        let headers = folder().join("headers");
        install_headers(nvrtc(13).path(), &headers);
        headers
    });
    &HEADERS
}

/// `nvrtcInstallBundledHeaders` of the NVRTC at `library`; does nothing where they are already.
fn install_headers(library: &Path, folder: &Path) {
    type Install = unsafe extern "C" fn(*const c_char, c_uint, *mut *const c_char) -> c_int;
    let path = CString::new(folder.as_os_str().as_bytes()).expect("no NUL in paths");
    // SAFETY: NVRTC is loaded already; the function has this type in its header; the path outlives the call, and the
    // third argument may be null.
    let status = unsafe {
        let library = libloading::Library::new(library).expect("NVRTC loads");
        let install = library.get::<Install>(b"nvrtcInstallBundledHeaders\0").expect("NVRTC 13.3 or later");
        install(path.as_ptr(), 0, ptr::null_mut())
    };
    assert_eq!(status, 0, "installing CUDA's headers into {}", folder.display());
}
