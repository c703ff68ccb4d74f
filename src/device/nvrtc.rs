//! NVRTC, the CUDA C++ compiler, loaded from a given file.
//!
//! cudarc opens whichever NVRTC the loader finds first, and only one a process. We choose the file (its major must not
//! exceed the driver's) and test with two, so the dozen functions are bound here.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use libloading::Library;

use crate::error::{Error, Result};

type Handle = *mut std::ffi::c_void;
type GetSize = unsafe extern "C" fn(Handle, *mut usize) -> c_int;
type GetBytes = unsafe extern "C" fn(Handle, *mut c_char) -> c_int;

/// `NVRTC_ERROR_COMPILATION`: the log says what is wrong.
const ERROR_COMPILATION: c_int = 6;

/// A loaded NVRTC.
pub struct Nvrtc {
    library: Library,
    path: PathBuf,
    version: (u32, u32),
}

/// What one compilation gives.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub ptx: Vec<u8>,
    /// Empty where the options name a virtual architecture (`compute_80`).
    pub cubin: Vec<u8>,
    /// Warnings, and ptxas's figures where they were asked for.
    pub log: String,
}

/// Why a compilation failed.
#[derive(Debug)]
pub enum Failure {
    /// The source is wrong: the compiler's log.
    Source(String),
    /// NVRTC itself failed.
    Nvrtc(Error),
}

impl Nvrtc {
    /// Loads the NVRTC at `path` (a file, or a name for the system's loader).
    pub fn load(path: &Path) -> Result<Nvrtc> {
        // SAFETY: NVRTC's initialisers have no preconditions; that the file is NVRTC is checked by its symbols below.
        let library =
            unsafe { Library::new(path) }.map_err(|error| Error::Nvrtc(format!("{}: {error}", path.display())))?;
        let mut nvrtc = Nvrtc { library, path: path.to_path_buf(), version: (0, 0) };
        let (mut major, mut minor) = (0, 0);
        // SAFETY: nvrtcVersion takes two out-pointers.
        unsafe {
            let version = nvrtc.symbol::<unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int>(c"nvrtcVersion")?;
            nvrtc.check("nvrtcVersion", version(&mut major, &mut minor))?;
        }
        nvrtc.version = (major as u32, minor as u32);
        Ok(nvrtc)
    }

    /// Major and minor: (12, 9).
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// The file or name it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Compiles `source`, called `name` in messages, with NVRTC's own options.
    ///
    /// # Errors
    /// What is wrong with the source, or with NVRTC or the options.
    pub fn compile(&self, source: &str, name: &str, options: &[String]) -> Result<Compiled, Failure> {
        self.compile_checked(source, name, options).map_err(Failure::Nvrtc)?
    }

    /// The outer result is NVRTC's own, the inner the source's.
    fn compile_checked(&self, source: &str, name: &str, options: &[String]) -> Result<Result<Compiled, Failure>> {
        type Create = unsafe extern "C" fn(
            *mut Handle,
            *const c_char,
            *const c_char,
            c_int,
            *const *const c_char,
            *const *const c_char,
        ) -> c_int;
        type Compile = unsafe extern "C" fn(Handle, c_int, *const *const c_char) -> c_int;

        let text = |text: &str| CString::new(text).map_err(|_| Error::Nvrtc(format!("{name}: a NUL in the source")));
        let (source, name) = (text(source)?, text(name)?);
        let options = options.iter().map(|option| text(option)).collect::<Result<Vec<_>>>()?;
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();

        let mut program = Program { nvrtc: self, handle: null_mut() };
        // SAFETY: all strings outlive the calls; the program is created before it is compiled and read, and destroyed
        // once, by its guard.
        unsafe {
            let create = self.symbol::<Create>(c"nvrtcCreateProgram")?;
            let status =
                create(&mut program.handle, source.as_ptr(), name.as_ptr(), 0, std::ptr::null(), std::ptr::null());
            self.check("nvrtcCreateProgram", status)?;
            let compile = self.symbol::<Compile>(c"nvrtcCompileProgram")?;
            let status = compile(program.handle, pointers.len() as c_int, pointers.as_ptr());
            let log = program.bytes(c"nvrtcGetProgramLogSize", c"nvrtcGetProgramLog")?;
            let log = String::from_utf8_lossy(&log).trim_end_matches('\0').trim().to_string();
            if status == ERROR_COMPILATION {
                return Ok(Err(Failure::Source(log)));
            }
            self.check("nvrtcCompileProgram", status).map_err(|error| Error::Nvrtc(format!("{error}\n{log}")))?;
            let ptx = program.bytes(c"nvrtcGetPTXSize", c"nvrtcGetPTX")?;
            let cubin = program.bytes(c"nvrtcGetCUBINSize", c"nvrtcGetCUBIN")?;
            Ok(Ok(Compiled { ptx, cubin, log }))
        }
    }

    /// # Safety
    /// `T` must be the function's type.
    unsafe fn symbol<T: Copy>(&self, name: &CStr) -> Result<T> {
        // SAFETY: the caller gives the type.
        let symbol = unsafe { self.library.get::<T>(name.to_bytes_with_nul()) };
        symbol.map(|symbol| *symbol).map_err(|_| {
            Error::Nvrtc(format!("{} is not a usable NVRTC: it lacks {}", self.path.display(), name.to_string_lossy()))
        })
    }

    fn check(&self, call: &str, status: c_int) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: nvrtcGetErrorString returns a static string for any number.
        let text = unsafe {
            let get = self.symbol::<unsafe extern "C" fn(c_int) -> *const c_char>(c"nvrtcGetErrorString")?;
            CStr::from_ptr(get(status)).to_string_lossy()
        };
        Err(Error::Nvrtc(format!("{call} of {}: {text}", self.path.display())))
    }
}

/// An NVRTC program, destroyed when dropped.
struct Program<'a> {
    nvrtc: &'a Nvrtc,
    handle: Handle,
}

impl Program<'_> {
    /// Reads one of the program's results by its pair of functions.
    ///
    /// # Safety
    /// The names must be such a pair, and the program compiled.
    unsafe fn bytes(&self, size: &CStr, get: &CStr) -> Result<Vec<u8>> {
        let mut bytes = 0;
        // SAFETY: the buffer has the size that NVRTC asks for.
        unsafe {
            self.nvrtc.check("reading a result", self.nvrtc.symbol::<GetSize>(size)?(self.handle, &mut bytes))?;
            let mut buffer = vec![0u8; bytes];
            let get = self.nvrtc.symbol::<GetBytes>(get)?;
            self.nvrtc.check("reading a result", get(self.handle, buffer.as_mut_ptr().cast()))?;
            Ok(buffer)
        }
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        type Destroy = unsafe extern "C" fn(*mut Handle) -> c_int;
        if self.handle.is_null() {
            return;
        }
        // SAFETY: the handle came from nvrtcCreateProgram and is destroyed once.
        unsafe {
            if let Ok(destroy) = self.nvrtc.symbol::<Destroy>(c"nvrtcDestroyProgram") {
                destroy(&mut self.handle);
            }
        }
    }
}
