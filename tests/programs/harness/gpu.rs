//! A context, a loaded module, buffers and launches.

use std::cell::RefCell;
use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::sync::Once;

use bytemuck::Pod;
use cudarc::driver::sys::{self, CUresult};
use cudarc::driver::{DriverError, result};

use super::Build;

/// PTX of NVRTC 13.5 is version 9.5: of drivers from CUDA 13.5 on.
const DRIVER_VERSION: i32 = 13_050;

/// Makes the emulator this process's driver: as a GPU that runs code for all the architectures compiled for.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let device = cuda_emulator::device::Description::by_name("h100").expect("a device of that name");
        let defaults = cuda_emulator::Config::from_environment().unwrap_or_else(|report| panic!("{report}"));
        let config =
            cuda_emulator::Config { device, threads: 2, driver_version: DRIVER_VERSION, quiet: true, ..defaults };
        cuda_emulator::configure(config).expect("no context lives yet");
        cuda_emulator::install().expect("the loader takes the symbol table");
        result::init().expect("the driver starts");
    });
}

/// A context, current on the thread that made it.
pub struct Context(sys::CUcontext);

impl Context {
    pub fn new() -> Context {
        install();
        let mut context = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the result.
        let status = unsafe { sys::cuCtxCreate_v2(&mut context, 0, 0) };
        assert_eq!(status, CUresult::CUDA_SUCCESS, "creating a context");
        Context(context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is destroyed once, with everything that lives in it.
        unsafe { sys::cuCtxDestroy_v2(self.0) };
    }
}

/// The kernels of one file in one build. Buffers made by it live as long as it.
pub struct Program<'c> {
    pub build: Build,
    module: sys::CUmodule,
    allocations: RefCell<Vec<sys::CUdeviceptr>>,
    context: PhantomData<&'c Context>,
}

/// How many blocks of how many threads, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    grid: (u32, u32, u32),
    block: (u32, u32, u32),
    shared_bytes: u32,
    cooperative: bool,
}

impl Launch {
    /// With dynamic shared memory.
    pub fn shared(self, shared_bytes: usize) -> Launch {
        Launch { shared_bytes: shared_bytes as u32, ..self }
    }

    /// With all blocks resident at once.
    pub fn cooperative(self) -> Launch {
        Launch { cooperative: true, ..self }
    }
}

/// `blocks` of `threads` in a row.
pub fn line(blocks: usize, threads: usize) -> Launch {
    space([blocks, 1, 1], [threads, 1, 1])
}

/// Blocks and threads in two dimensions.
pub fn plane([x, y]: [usize; 2], [threads_x, threads_y]: [usize; 2]) -> Launch {
    space([x, y, 1], [threads_x, threads_y, 1])
}

/// Blocks and threads in three dimensions.
pub fn space(grid: [usize; 3], block: [usize; 3]) -> Launch {
    let three = |[x, y, z]: [usize; 3]| (x as u32, y as u32, z as u32);
    Launch { grid: three(grid), block: three(block), shared_bytes: 0, cooperative: false }
}

/// What a kernel takes as a parameter.
pub trait Argument {
    /// The address of the parameter's bytes.
    fn pointer(&self) -> *mut c_void;
}

macro_rules! scalar_arguments {
    ($($scalar:ty)*) => {
        $(impl Argument for $scalar {
            fn pointer(&self) -> *mut c_void {
                std::ptr::from_ref(self).cast_mut().cast()
            }
        })*
    };
}

scalar_arguments!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);

/// A structure passed by value.
pub struct ByValue<T>(pub T);

impl<T: Pod> Argument for ByValue<T> {
    fn pointer(&self) -> *mut c_void {
        std::ptr::from_ref(&self.0).cast_mut().cast()
    }
}

/// Device memory of `count` values; the program frees it.
pub struct Buffer<'p, T> {
    address: sys::CUdeviceptr,
    count: usize,
    owner: PhantomData<(&'p (), T)>,
}

impl<T> Argument for Buffer<'_, T> {
    fn pointer(&self) -> *mut c_void {
        std::ptr::from_ref(&self.address).cast_mut().cast()
    }
}

impl<T: Pod> Buffer<'_, T> {
    /// The address on the device, for structures with pointers.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The values, after all launches.
    pub fn read(&self) -> Vec<T> {
        let mut values = vec![T::zeroed(); self.count];
        // SAFETY: the allocation holds that many values, and any bytes make one.
        unsafe { result::memcpy_dtoh_sync(&mut values, self.address) }.unwrap_or_else(|error| fail("a copy", error));
        values
    }

    pub fn write(&self, values: &[T]) {
        assert_eq!(values.len(), self.count);
        // SAFETY: the allocation holds that many values.
        unsafe { result::memcpy_htod_sync(self.address, values) }.unwrap_or_else(|error| fail("a copy", error));
    }
}

fn fail(what: &str, error: DriverError) -> ! {
    match cuda_emulator::last_report() {
        Some(report) => panic!("{what}: {error:?}: {report}"),
        None => panic!("{what}: {error:?}"),
    }
}

impl<'c> Program<'c> {
    pub(super) fn load(_context: &'c Context, build: Build, ptx: &[u8]) -> Program<'c> {
        assert_eq!(ptx.last(), Some(&0), "PTX ends with a NUL");
        // SAFETY: the image is a terminated text.
        let module = unsafe { result::module::load_data(ptx.as_ptr().cast()) };
        let module = module.unwrap_or_else(|error| fail("loading", error));
        Program { build, module, allocations: RefCell::default(), context: PhantomData }
    }

    /// Room for `count` values, filled with bits that are NaN or -1.
    pub fn room<T: Pod>(&self, count: usize) -> Buffer<'_, T> {
        self.filled(count, 0xff)
    }

    pub fn zeros<T: Pod>(&self, count: usize) -> Buffer<'_, T> {
        self.filled(count, 0)
    }

    fn filled<T: Pod>(&self, count: usize, byte: u8) -> Buffer<'_, T> {
        let bytes = (count * size_of::<T>()).max(1);
        // SAFETY: the memory is filled before anyone reads it, and freed once, with the program.
        let address = unsafe {
            let address = result::malloc_sync(bytes).unwrap_or_else(|error| fail("an allocation", error));
            result::memset_d8_sync(address, byte, bytes).unwrap_or_else(|error| fail("a fill", error));
            address
        };
        self.allocations.borrow_mut().push(address);
        Buffer { address, count, owner: PhantomData }
    }

    pub fn upload<T: Pod>(&self, values: &[T]) -> Buffer<'_, T> {
        let buffer = self.room(values.len());
        if !values.is_empty() {
            buffer.write(values);
        }
        buffer
    }

    /// A variable of the module.
    pub fn global<T: Pod>(&self, name: &str) -> Buffer<'_, T> {
        let terminated = CString::new(name).expect("no NUL in names");
        // SAFETY: the module is loaded.
        let (address, bytes) = unsafe { result::module::get_global(self.module, terminated) }
            .unwrap_or_else(|error| fail(&format!("the variable {name}"), error));
        assert_eq!(bytes % size_of::<T>(), 0, "{name} has {bytes} bytes");
        Buffer { address, count: bytes / size_of::<T>(), owner: PhantomData }
    }

    /// What the driver says of a kernel: threads a block, static shared, constant and local bytes, registers, versions.
    pub fn attributes(&self, kernel: &str) -> Vec<i32> {
        use sys::CUfunction_attribute::*;
        let all = [
            CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
            CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
            CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES,
            CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES,
            CU_FUNC_ATTRIBUTE_NUM_REGS,
            CU_FUNC_ATTRIBUTE_PTX_VERSION,
            CU_FUNC_ATTRIBUTE_BINARY_VERSION,
        ];
        let name = CString::new(kernel).expect("no NUL in names");
        // SAFETY: the module is loaded.
        unsafe {
            let function = result::module::get_function(self.module, name).unwrap_or_else(|error| fail(kernel, error));
            let value = |attribute| result::function::get_function_attribute(function, attribute);
            all.map(|attribute| value(attribute).unwrap_or_else(|error| fail(kernel, error))).to_vec()
        }
    }

    /// Launches a kernel and waits for it.
    pub fn launch(&self, kernel: &str, launch: Launch, arguments: &[&dyn Argument]) {
        self.try_launch(kernel, launch, arguments)
            .unwrap_or_else(|error| fail(&format!("{kernel} in {}", self.build), error));
        // With `CUDA_EMULATOR_CHECK=all` every program has to be clean.
        let of_kernel = |finding: &cuda_emulator::report::Finding| finding.report.kernel.as_deref() == Some(kernel);
        if let Some(finding) = cuda_emulator::findings().into_iter().find(of_kernel) {
            panic!("{} in {}", finding.report, self.build);
        }
    }

    /// As [`Program::launch`], for kernels that are to fail.
    pub fn try_launch(&self, kernel: &str, launch: Launch, arguments: &[&dyn Argument]) -> Result<(), DriverError> {
        let name = CString::new(kernel).expect("no NUL in names");
        let Launch { grid, block, shared_bytes, cooperative } = launch;
        let mut pointers: Vec<*mut c_void> = arguments.iter().map(|argument| argument.pointer()).collect();
        let stream = result::stream::null();
        // SAFETY: the arguments are those of the kernel, which every test here keeps to, and outlive the launch.
        unsafe {
            let function = result::module::get_function(self.module, name)?;
            if shared_bytes > 48 << 10 {
                let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                result::function::set_function_attribute(function, attribute, shared_bytes as i32)?;
            }
            let launch = if cooperative { result::launch_cooperative_kernel } else { result::launch_kernel };
            launch(function, grid, block, shared_bytes, stream, &mut pointers)?;
        }
        result::ctx::synchronize()
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        for address in self.allocations.take() {
            // SAFETY: nothing uses it any more. After a fault the context refuses, and takes it along when it goes.
            let _ = unsafe { result::free_sync(address) };
        }
        // SAFETY: as above.
        let _ = unsafe { result::module::unload(self.module) };
    }
}
