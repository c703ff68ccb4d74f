//! Libraries: code that belongs to no context and is loaded into each in which one of its kernels is used.

use std::collections::HashMap;
use std::ffi::{CString, c_char};

use super::driver::{Driver, call, failed_with};
use super::error::{CUresult, Result, refused};
use super::image::text_of;
use super::memory::{Block, Origin};
use super::module::LoadOptions;
use super::types::{CUcontext, CUdevice, CUdeviceptr, CUfunction, CUkernel, CUlibrary, CUmodule, In, Out};
use crate::exec::{Placed, place_managed_variables};
use crate::ptx;

/// A library and where it is loaded.
#[derive(Debug)]
pub struct Library {
    text: String,
    /// The kernels, in the order of the text.
    kernels: Vec<CUkernel>,
    /// The variables that the host reaches, too: they are the library's, not its modules'.
    managed: Placed,
    modules: HashMap<CUcontext, CUmodule>,
}

impl Library {
    /// Whether a module is the library in one of the contexts.
    pub fn has_module(&self, module: CUmodule) -> bool {
        self.modules.values().any(|&other| other == module)
    }
}

/// A kernel of a library.
#[derive(Debug)]
pub struct Kernel {
    library: CUlibrary,
    name: CString,
    /// Attributes that were set, for the contexts in which the kernel is used later.
    attributes: Vec<(u32, i32)>,
}

impl Driver {
    fn load_library(&mut self, text: String) -> Result<CUlibrary> {
        self.check_header(&text)?;
        let parsed = ptx::parse(&text).map_err(failed_with(CUresult::INVALID_PTX))?;
        let managed = self.place_managed(&parsed)?;
        let library = CUlibrary(self.new_handle());
        let mut kernels = Vec::new();
        for function in parsed.functions.iter().filter(|function| function.entry && function.body.is_some()) {
            let handle = CUkernel(self.new_handle());
            let name = CString::new(function.name.as_str()).unwrap_or_default();
            self.kernels.insert(handle, Kernel { library, name, attributes: Vec::new() });
            kernels.push(handle);
        }
        self.libraries.insert(library, Library { text, kernels, managed, modules: HashMap::new() });
        Ok(library)
    }

    /// Places the variables of a library that the host reaches, too. No context is needed.
    fn place_managed(&mut self, parsed: &ptx::ast::Module) -> Result<Placed> {
        let before = self.memory.serial();
        let placed = place_managed_variables(parsed, &mut self.memory);
        if placed.is_err() {
            self.memory.allocated_since(before).into_iter().for_each(|start| {
                self.memory.free(start);
            });
        }
        let placed = placed.map_err(failed_with(CUresult::INVALID_PTX))?;
        for &(start, _) in placed.values() {
            self.blocks.insert(start, Block::new(CUcontext(0), Origin::ManagedVariable));
        }
        Ok(placed)
    }

    fn unload_library(&mut self, handle: CUlibrary) -> Result {
        let modules: Vec<CUmodule> = self.library(handle)?.modules.values().copied().collect();
        for module in modules {
            self.unload_module(module)?;
        }
        if let Some(library) = self.libraries.remove(&handle) {
            library.kernels.iter().for_each(|kernel| {
                self.kernels.remove(kernel);
            });
            library.managed.values().for_each(|(start, _)| {
                self.blocks.remove(start);
                self.memory.free(*start);
            });
        }
        Ok(())
    }

    fn library(&self, handle: CUlibrary) -> Result<&Library> {
        match self.libraries.get(&handle) {
            Some(library) => Ok(library),
            None => refused(CUresult::INVALID_HANDLE, "no such library, or it was unloaded"),
        }
    }

    fn kernel(&self, handle: CUkernel) -> Result<&Kernel> {
        match self.kernels.get(&handle) {
            Some(kernel) => Ok(kernel),
            None => refused(CUresult::INVALID_HANDLE, "no such kernel, or its library was unloaded"),
        }
    }

    fn kernel_of_library(&self, library: CUlibrary, name: &str) -> Result<CUkernel> {
        let mut kernels = self.library(library)?.kernels.iter().copied();
        let has_name = |kernel: &CUkernel| self.kernels[kernel].name.to_bytes() == name.as_bytes();
        match kernels.find(has_name) {
            Some(kernel) => Ok(kernel),
            None => refused(CUresult::NOT_FOUND, format!("the library has no kernel {name}")),
        }
    }

    /// The library as a module of the current context.
    fn module_of_library(&mut self, handle: CUlibrary) -> Result<CUmodule> {
        let context = self.current()?;
        let library = self.library(handle)?;
        if let Some(&module) = library.modules.get(&context) {
            return Ok(module);
        }
        let (text, managed) = (library.text.clone(), library.managed.clone());
        let module = self.load_module_beside(&text, &managed)?;
        if let Some(library) = self.libraries.get_mut(&handle) {
            library.modules.insert(context, module);
        }
        Ok(module)
    }

    /// A kernel of a library as a function of the current context.
    fn function_of_kernel(&mut self, handle: CUkernel) -> Result<CUfunction> {
        let kernel = self.kernel(handle)?;
        let (library, attributes) = (kernel.library, kernel.attributes.clone());
        let name = kernel.name.to_string_lossy().into_owned();
        let module = self.module_of_library(library)?;
        let is_new = !self.module(module)?.has_function(&name);
        let function = self.function_of_module(module, &name)?;
        for (attribute, value) in attributes.into_iter().filter(|_| is_new) {
            self.set_function_attribute(function, attribute, value)?;
        }
        Ok(function)
    }

    /// The function that a handle stands for, which may also be that of a kernel of a library.
    pub fn function_of_handle(&mut self, handle: CUfunction) -> Result<CUfunction> {
        let kernel = CUkernel(handle.0);
        if self.kernels.contains_key(&kernel) { self.function_of_kernel(kernel) } else { Ok(handle) }
    }

    /// Forgets the modules of libraries in a context that ends.
    pub fn forget_modules_of_libraries(&mut self, context: CUcontext) {
        for library in self.libraries.values_mut() {
            library.modules.remove(&context);
        }
    }
}

fn load(
    driver: &mut Driver,
    library: Out<CUlibrary>,
    image: In<u8>,
    options: LoadOptions,
    library_option_count: u32,
) -> Result {
    if library_option_count > 2 {
        return refused(CUresult::INVALID_VALUE, format!("{library_option_count} options of a library"));
    }
    let device = driver.config()?.device;
    let loaded = text_of(image, &device).and_then(|text| driver.load_library(text));
    options.write(loaded.as_ref().err().and_then(|failure| failure.report.as_deref()))?;
    library.set(loaded?)
}

/// Loads a library from PTX text in memory. Its options, which say when code is loaded, change nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLibraryLoadData(
    library: Out<CUlibrary>,
    image: In<u8>,
    options: In<u32>,
    values: Out<usize>,
    option_count: u32,
    _library_options: In<u32>,
    _library_values: In<usize>,
    library_option_count: u32,
) -> CUresult {
    call("cuLibraryLoadData", |driver| {
        let options = LoadOptions::read(option_count, options, values)?;
        load(driver, library, image, options, library_option_count)
    })
}

/// Loads a library from a file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLibraryLoadFromFile(
    library: Out<CUlibrary>,
    path: In<c_char>,
    options: In<u32>,
    values: Out<usize>,
    option_count: u32,
    _library_options: In<u32>,
    _library_values: In<usize>,
    library_option_count: u32,
) -> CUresult {
    call("cuLibraryLoadFromFile", |driver| {
        let options = LoadOptions::read(option_count, options, values)?;
        let image = super::module::read_image(&path.text()?)?;
        load(driver, library, In::at(image.as_ptr() as u64), options, library_option_count)
    })
}

/// Ends a library in all contexts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLibraryUnload(library: CUlibrary) -> CUresult {
    call("cuLibraryUnload", |driver| driver.unload_library(library))
}

/// A kernel of a library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLibraryGetKernel(kernel: Out<CUkernel>, library: CUlibrary, name: In<c_char>) -> CUresult {
    call("cuLibraryGetKernel", |driver| kernel.set(driver.kernel_of_library(library, &name.text()?)?))
}

/// How many kernels a library has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLibraryGetKernelCount(kernel_count: Out<u32>, library: CUlibrary) -> CUresult {
    call("cuLibraryGetKernelCount", |driver| kernel_count.set(driver.library(library)?.kernels.len() as u32))
}

/// The first `capacity` kernels of a library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLibraryEnumerateKernels(
    kernels: Out<CUkernel>,
    capacity: u32,
    library: CUlibrary,
) -> CUresult {
    call("cuLibraryEnumerateKernels", |driver| {
        let all = driver.library(library)?.kernels.iter().take(capacity as usize);
        all.enumerate().try_for_each(|(index, &kernel)| kernels.element(index).set(kernel))
    })
}

/// The library as a module of the current context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLibraryGetModule(module: Out<CUmodule>, library: CUlibrary) -> CUresult {
    call("cuLibraryGetModule", |driver| module.set(driver.module_of_library(library)?))
}

/// Address and size of a variable of a library in the current context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLibraryGetGlobal(
    address: Out<CUdeviceptr>,
    bytes: Out<usize>,
    library: CUlibrary,
    name: In<c_char>,
) -> CUresult {
    call("cuLibraryGetGlobal", |driver| {
        let module = driver.module_of_library(library)?;
        let (start, length) = driver.module(module)?.variable(&name.text()?)?;
        address.set_if_wanted(start);
        bytes.set_if_wanted(length as usize);
        Ok(())
    })
}

/// Address and size of a variable of a library that the host reaches, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLibraryGetManaged(
    address: Out<CUdeviceptr>,
    bytes: Out<usize>,
    library: CUlibrary,
    name: In<c_char>,
) -> CUresult {
    call("cuLibraryGetManaged", |driver| {
        let name = name.text()?;
        let Some(&(start, length)) = driver.library(library)?.managed.get(&name) else {
            return refused(CUresult::NOT_FOUND, format!("the library has no managed variable {name}"));
        };
        address.set_if_wanted(start);
        bytes.set_if_wanted(length as usize);
        Ok(())
    })
}

/// A kernel as a function of the current context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuKernelGetFunction(function: Out<CUfunction>, kernel: CUkernel) -> CUresult {
    call("cuKernelGetFunction", |driver| function.set(driver.function_of_kernel(kernel)?))
}

/// The library of a kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuKernelGetLibrary(library: Out<CUlibrary>, kernel: CUkernel) -> CUresult {
    call("cuKernelGetLibrary", |driver| library.set(driver.kernel(kernel)?.library))
}

/// The name of a kernel, good as long as its library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuKernelGetName(name: Out<*const c_char>, kernel: CUkernel) -> CUresult {
    call("cuKernelGetName", |driver| name.set(driver.kernel(kernel)?.name.as_ptr()))
}

/// An attribute of a kernel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuKernelGetAttribute(
    value: Out<i32>,
    attribute: u32,
    kernel: CUkernel,
    device: CUdevice,
) -> CUresult {
    call("cuKernelGetAttribute", |driver| {
        super::context::check_device(device)?;
        let function = driver.function_of_kernel(kernel)?;
        value.set(driver.function_attribute(function, attribute)?)
    })
}

/// Sets an attribute of a kernel, in whatever context it is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuKernelSetAttribute(
    attribute: u32,
    value: i32,
    kernel: CUkernel,
    device: CUdevice,
) -> CUresult {
    call("cuKernelSetAttribute", |driver| {
        super::context::check_device(device)?;
        let function = driver.function_of_kernel(kernel)?;
        driver.set_function_attribute(function, attribute, value)?;
        if let Some(kernel) = driver.kernels.get_mut(&kernel) {
            kernel.attributes.push((attribute, value));
        }
        Ok(())
    })
}

/// Sets a kernel's preference between L1 and shared memory, which changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuKernelSetCacheConfig(kernel: CUkernel, preference: u32, device: CUdevice) -> CUresult {
    call("cuKernelSetCacheConfig", |driver| {
        super::context::check_device(device)?;
        driver.kernel(kernel)?;
        super::function::check_cache_preference(preference)
    })
}

/// Where a parameter of a kernel lies among its parameters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuKernelGetParamInfo(
    kernel: CUkernel,
    index: usize,
    offset: Out<usize>,
    bytes: Out<usize>,
) -> CUresult {
    call("cuKernelGetParamInfo", |driver| {
        let function = driver.function_of_kernel(kernel)?;
        driver.parameter_info(function, index, offset, bytes)
    })
}

/// How many parameters a kernel has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuKernelGetParamCount(kernel: CUkernel, parameter_count: Out<usize>) -> CUresult {
    call("cuKernelGetParamCount", |driver| {
        let function = driver.function_of_kernel(kernel)?;
        parameter_count.set(driver.function(function)?.info.parameters.len())
    })
}

super::exports![
    cuLibraryLoadData,
    cuLibraryLoadFromFile,
    cuLibraryUnload,
    cuLibraryGetKernel,
    cuLibraryGetKernelCount,
    cuLibraryEnumerateKernels,
    cuLibraryGetModule,
    cuLibraryGetGlobal,
    cuLibraryGetManaged,
    cuKernelGetFunction,
    cuKernelGetLibrary,
    cuKernelGetName,
    cuKernelGetAttribute,
    cuKernelSetAttribute,
    cuKernelSetCacheConfig,
    cuKernelGetParamInfo,
    cuKernelGetParamCount,
];
