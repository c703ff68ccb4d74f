//! Modules: PTX that is loaded and the functions and variables in it.

use std::collections::HashMap;
use std::sync::Arc;

use super::driver::{Driver, State, call, failed_with};
use super::error::{CUresult, Failure, Result, refused};
use super::function::Function;
use super::image::text_of;
use super::memory::{Block, Origin};
use super::types::{CUcontext, CUdeviceptr, CUfunction, CUmodule, In, Out, write_text};
use crate::config::Config;
use crate::device::{Description, SHARED_BYTES_PER_BLOCK};
use crate::exec::{DEFAULT_HEAP_BYTES, Module, Placed};
use crate::report::{Class, Report};
use crate::statistics::count;

/// A module in a context.
#[derive(Debug)]
pub struct LoadedModule {
    pub context: CUcontext,
    code: Arc<Module>,
    /// The architecture that the PTX was made for, as 80.
    pub target: u32,
    /// Where the module's variables lie.
    variables: Vec<CUdeviceptr>,
    functions: HashMap<String, CUfunction>,
}

impl LoadedModule {
    /// Address and size of a variable.
    pub fn variable(&self, name: &str) -> Result<(u64, u64)> {
        match self.code.variable(name) {
            Some(found) => Ok(found),
            None => refused(CUresult::NOT_FOUND, format!("the module has no variable {name}")),
        }
    }

    /// Whether a kernel was asked for already.
    pub fn has_function(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }
}

/// What the first directives of a PTX text say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Header {
    /// `.version 8.8` as 88.
    version: Option<u32>,
    /// `.target sm_90a` as 90 and `a`.
    target: Option<(u32, Option<char>)>,
}

impl Header {
    fn of(ptx: &str) -> Header {
        let mut header = Header::default();
        let mut words = ptx.lines().flat_map(|line| line.split("//").next().unwrap_or("").split_whitespace());
        while let Some(word) = words.next() {
            match word {
                ".version" => header.version = words.next().and_then(parse_version),
                ".target" => {
                    header.target = words.next().and_then(parse_target);
                    break;
                }
                _ => {}
            }
        }
        header
    }

    /// Refuses what a driver of this version cannot compile for this device.
    fn check(&self, config: &Config) -> Result {
        let known = newest_ptx(config.driver_version);
        if let Some(version) = self.version.filter(|&version| version > known) {
            let message = format!(
                "PTX ISA {}.{} is newer than driver {}.{} knows (up to {}.{}); set CUDA_EMULATOR_DRIVER_VERSION",
                version / 10,
                version % 10,
                config.driver_version / 1000,
                config.driver_version % 1000 / 10,
                known / 10,
                known % 10,
            );
            return refused(CUresult::UNSUPPORTED_PTX_VERSION, message);
        }
        match self.target {
            Some(target @ (number, suffix)) if !runs(target, &config.device) => {
                let suffix = suffix.map_or(String::new(), String::from);
                let (name, own) = (config.device.name, config.device.architecture());
                let message = format!("PTX for .target sm_{number}{suffix} does not run on {name}, which is sm_{own}");
                refused(CUresult::INVALID_PTX, message)
            }
            _ => Ok(()),
        }
    }
}

fn parse_version(word: &str) -> Option<u32> {
    let (major, minor) = word.split_once('.')?;
    Some(major.parse::<u32>().ok()? * 10 + minor.parse::<u32>().ok()?)
}

fn parse_target(word: &str) -> Option<(u32, Option<char>)> {
    let name = word.trim_end_matches(',').strip_prefix("sm_")?;
    let number = name.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    Some((number.parse().ok()?, name[number.len()..].chars().next()))
}

/// Whether code for `target` runs on `device`: later devices run it, unless it is for one architecture (`a`) or for
/// one family (`f`) alone.
fn runs((number, suffix): (u32, Option<char>), device: &Description) -> bool {
    let own = device.architecture();
    match suffix {
        Some('a') => own == number,
        Some('f') => own >= number && own / 10 == number / 10,
        _ => own >= number,
    }
}

/// How well a PTX text fits `device`: not at all, or by its architecture, and better if it is for that one alone.
pub fn fit(ptx: &str, device: &Description) -> Option<(u32, bool)> {
    match Header::of(ptx).target {
        Some(target) => runs(target, device).then_some((target.0, target.1.is_some())),
        None => Some((0, false)),
    }
}

/// The newest PTX ISA that a driver of CUDA `version` compiles, as 88 for 8.8 (PTX ISA manual, release notes).
fn newest_ptx(version: i32) -> u32 {
    let (major, minor) = (version as u32 / 1000, version as u32 % 1000 / 10);
    match (major, minor) {
        (..=10, _) => 65,
        (11, _) => 70 + minor,
        (12, ..=5) => 80 + minor,
        (12, _) => 79 + minor,
        _ => 90 + minor,
    }
}

impl Driver {
    /// Refuses PTX that a driver of this version cannot compile for this device.
    pub fn check_header(&self, ptx: &str) -> Result {
        Header::of(ptx).check(&self.config()?)
    }

    /// Loads PTX into the current context.
    pub fn load_module(&mut self, ptx: &str) -> Result<CUmodule> {
        self.load_module_beside(ptx, &Placed::new())
    }

    /// As [`Driver::load_module`], where some variables lie `elsewhere` already.
    pub fn load_module_beside(&mut self, ptx: &str, elsewhere: &Placed) -> Result<CUmodule> {
        let context = self.current()?;
        self.forbid_in_capture("loading a module")?;
        let config = self.config()?;
        let header = Header::of(ptx);
        header.check(&config)?;
        let before = self.memory.serial();
        let loaded = Module::load_beside(ptx, &config.device, &mut self.memory, elsewhere).map_err(refusal);
        let loaded = loaded.and_then(|code| check_kernels(&code).map(|()| code));
        let variables = self.memory.allocated_since(before);
        if loaded.is_err() {
            variables.iter().for_each(|&start| {
                self.memory.free(start);
            });
        }
        let code = Arc::new(loaded?);
        for &start in &variables {
            self.blocks.insert(start, Block::new(context, Origin::Module));
        }
        for (start, bytes) in code.managed_variables() {
            self.blocks.insert(start, Block::new(context, Origin::ManagedVariable));
            // What the host writes to it is not seen.
            self.memory.mark_written(start, bytes);
        }
        count(|statistics| statistics.module_loads += 1);
        let target = header.target.map_or(0, |target| target.0);
        let handle = CUmodule(self.new_handle());
        let functions = HashMap::new();
        self.modules.insert(handle, LoadedModule { context, code, target, variables, functions });
        let heap_bytes = self.heap_bytes(context);
        if heap_bytes as u64 != DEFAULT_HEAP_BYTES {
            self.resize_heap(handle, heap_bytes)?;
        }
        Ok(handle)
    }

    /// Gives the modules of a context heaps of `bytes`, unless one was used already.
    pub fn resize_heaps(&mut self, context: CUcontext, bytes: usize) -> Result {
        let own = self.modules.iter().filter(|(_, module)| module.context == context);
        let (used, handles): (Vec<bool>, Vec<CUmodule>) =
            own.map(|(&handle, module)| (module.code.uses_heap(), handle)).unzip();
        if used.contains(&true) {
            return refused(CUresult::INVALID_VALUE, "the heap was used by a launch and keeps its size");
        }
        handles.into_iter().try_for_each(|handle| self.resize_heap(handle, bytes))
    }

    /// Moves the heap of a module, if it has one, to `bytes` of memory.
    fn resize_heap(&mut self, handle: CUmodule, bytes: usize) -> Result {
        let Some(old) = self.modules.get(&handle).and_then(|module| module.code.movable_heap()) else { return Ok(()) };
        let context = self.modules[&handle].context;
        // The driver, too, gives an allocator something to work in.
        let start = self.reserve(context, bytes.max(1), Origin::Module)?;
        self.memory.activate(start);
        self.blocks.remove(&old);
        self.memory.free(old);
        if let Some(module) = self.modules.get_mut(&handle) {
            module.variables.retain(|&variable| variable != old);
            module.variables.push(start);
            module.code.move_heap(start, bytes as u64);
        }
        Ok(())
    }

    /// Ends a module, of whatever context, once the work that may use it is done.
    pub fn unload_module(&mut self, handle: CUmodule) -> Result {
        let Some(context) = self.modules.get(&handle).map(|module| module.context) else { return Ok(()) };
        self.forbid_in_capture("unloading a module")?;
        self.wait_for_context(context)?;
        let Some(module) = self.modules.remove(&handle) else { return Ok(()) };
        for start in module.variables {
            self.blocks.remove(&start);
            self.memory.free(start);
        }
        self.functions.retain(|_, function| function.module != handle);
        let State { functions, next_launches, .. } = &mut **self;
        next_launches.retain(|function, _| functions.contains_key(function));
        Ok(())
    }

    /// A module of the current context.
    pub fn module(&self, handle: CUmodule) -> Result<&LoadedModule> {
        let context = self.current()?;
        match self.modules.get(&handle) {
            Some(module) if module.context == context => Ok(module),
            Some(_) => refused(CUresult::INVALID_HANDLE, "the module belongs to another context"),
            None => refused(CUresult::INVALID_HANDLE, "no such module, or it was unloaded"),
        }
    }

    /// A kernel of a module as a function.
    pub fn function_of_module(&mut self, handle: CUmodule, name: &str) -> Result<CUfunction> {
        let module = self.module(handle)?;
        if let Some(&known) = module.functions.get(name) {
            return Ok(known);
        }
        let (context, code, target) = (module.context, module.code.clone(), module.target);
        let Some(kernel) = code.kernels().iter().position(|kernel| kernel.name == name) else {
            return refused(CUresult::NOT_FOUND, format!("the module has no kernel {name}"));
        };
        let function = CUfunction(self.new_handle());
        self.functions.insert(function, Function::new(context, handle, code, kernel, target));
        if let Some(module) = self.modules.get_mut(&handle) {
            module.functions.insert(name.to_owned(), function);
        }
        Ok(function)
    }
}

/// How the driver refuses an image for `report`.
fn refusal(report: Report) -> Failure {
    let code = match report.class {
        Class::EmulatorBug => CUresult::UNKNOWN,
        Class::KernelBug | Class::BadApiCall | Class::UnsupportedPtx | Class::InvalidPtx => CUresult::INVALID_PTX,
    };
    failed_with(code)(report)
}

/// Refuses kernels that the assembler refuses.
fn check_kernels(code: &Module) -> Result {
    for kernel in code.kernels() {
        if kernel.static_shared_bytes > SHARED_BYTES_PER_BLOCK {
            let (name, bytes) = (&kernel.name, kernel.static_shared_bytes);
            let message =
                format!("kernel {name} uses too much shared data ({bytes:#x} bytes, {SHARED_BYTES_PER_BLOCK:#x} max)");
            return refused(CUresult::INVALID_PTX, message);
        }
    }
    Ok(())
}

/// The options of a load that the emulator follows: the buffers for messages. All others tune the compiler.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    info: Log,
    error: Log,
}

/// A buffer for messages: addresses that the caller gave.
#[derive(Clone, Copy, Debug, Default)]
struct Log {
    buffer: u64,
    bytes: usize,
    /// Where the length of the text goes; 0 for nowhere.
    length: u64,
}

impl Log {
    fn write(&self, text: &str) -> Result {
        let has_buffer = self.buffer != 0 && self.bytes > 0;
        if has_buffer {
            write_text(Out::at(self.buffer), self.bytes, text)?;
        }
        Out::<usize>::at(self.length).set_if_wanted(if has_buffer { text.len().min(self.bytes - 1) } else { 0 });
        Ok(())
    }
}

const JIT_INFO_LOG_BUFFER: u32 = 3;
const JIT_INFO_LOG_BUFFER_SIZE: u32 = 4;
const JIT_ERROR_LOG_BUFFER: u32 = 5;
const JIT_ERROR_LOG_BUFFER_SIZE: u32 = 6;
const JIT_OPTIONS: u32 = 37;

impl LoadOptions {
    /// Reads the options of a load.
    pub fn read(option_count: u32, options: In<u32>, values: Out<usize>) -> Result<Self> {
        let mut found = LoadOptions::default();
        for index in 0..option_count as usize {
            let place = values.element(index);
            let option = options.element(index)?;
            let log = if option <= JIT_INFO_LOG_BUFFER_SIZE { &mut found.info } else { &mut found.error };
            match option {
                JIT_INFO_LOG_BUFFER | JIT_ERROR_LOG_BUFFER => log.buffer = place.get()? as u64,
                JIT_INFO_LOG_BUFFER_SIZE | JIT_ERROR_LOG_BUFFER_SIZE => {
                    log.bytes = place.get()? as u32 as usize;
                    log.length = place.address() as u64;
                }
                option if option >= JIT_OPTIONS => {
                    return refused(CUresult::INVALID_VALUE, format!("there is no option {option}"));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Writes what went wrong, or nothing, as the driver's compiler does.
    pub fn write(&self, report: Option<&Report>) -> Result {
        let text = report.map_or(String::new(), |report| match report.ptx_line {
            Some(line) => format!("ptxas application ptx input, line {line}; error   : {}\n", report.message),
            None => format!("ptxas fatal   : {}\n", report.message),
        });
        self.error.write(&text)?;
        self.info.write("")
    }
}

/// Loads a module from PTX text in memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: Out<CUmodule>, image: In<u8>) -> CUresult {
    call("cuModuleLoadData", |driver| {
        let text = text_of(image, &driver.config()?.device)?;
        module.set(driver.load_module(&text)?)
    })
}

/// As [`cuModuleLoadData`], with options for the compiler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    module: Out<CUmodule>,
    image: In<u8>,
    option_count: u32,
    options: In<u32>,
    values: Out<usize>,
) -> CUresult {
    call("cuModuleLoadDataEx", |driver| {
        let options = LoadOptions::read(option_count, options, values)?;
        let device = driver.config()?.device;
        let loaded = text_of(image, &device).and_then(|text| driver.load_module(&text));
        options.write(loaded.as_ref().err().and_then(|failure| failure.report.as_deref()))?;
        module.set(loaded?)
    })
}

/// The bytes of a file, terminated as a text in memory is.
pub fn read_image(path: &str) -> Result<Vec<u8>> {
    let Ok(mut image) = std::fs::read(path) else {
        return refused(CUresult::FILE_NOT_FOUND, format!("{path} cannot be read"));
    };
    image.push(0);
    Ok(image)
}

/// Loads a module from PTX in a container of nvcc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadFatBinary(module: Out<CUmodule>, image: In<u8>) -> CUresult {
    call("cuModuleLoadFatBinary", |driver| {
        let text = text_of(image, &driver.config()?.device)?;
        module.set(driver.load_module(&text)?)
    })
}

/// Loads a module from a file of PTX text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoad(module: Out<CUmodule>, path: In<std::ffi::c_char>) -> CUresult {
    call("cuModuleLoad", |driver| {
        let image = read_image(&path.text()?)?;
        let text = text_of(In::at(image.as_ptr() as u64), &driver.config()?.device)?;
        module.set(driver.load_module(&text)?)
    })
}

/// Ends a module, once the work that may use it is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleUnload(module: CUmodule) -> CUresult {
    call("cuModuleUnload", |driver| {
        let Some(context) = driver.modules.get(&module).map(|module| module.context) else {
            return refused(CUresult::INVALID_HANDLE, "no such module, or it was unloaded");
        };
        driver.health(context)?;
        driver.unload_module(module)
    })
}

/// A kernel of a module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: Out<CUfunction>,
    module: CUmodule,
    name: In<std::ffi::c_char>,
) -> CUresult {
    call("cuModuleGetFunction", |driver| function.set(driver.function_of_module(module, &name.text()?)?))
}

/// Address and size of a variable of a module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetGlobal_v2(
    address: Out<CUdeviceptr>,
    bytes: Out<usize>,
    module: CUmodule,
    name: In<std::ffi::c_char>,
) -> CUresult {
    call("cuModuleGetGlobal_v2", |driver| {
        let name = name.text()?;
        let (start, length) = driver.module(module)?.variable(&name)?;
        address.set_if_wanted(start);
        bytes.set_if_wanted(length as usize);
        Ok(())
    })
}

/// How many kernels a module has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunctionCount(function_count: Out<u32>, module: CUmodule) -> CUresult {
    call("cuModuleGetFunctionCount", |driver| function_count.set(driver.module(module)?.code.kernels().len() as u32))
}

/// The first `capacity` kernels of a module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleEnumerateFunctions(
    functions: Out<CUfunction>,
    capacity: u32,
    module: CUmodule,
) -> CUresult {
    call("cuModuleEnumerateFunctions", |driver| {
        let code = Arc::clone(&driver.module(module)?.code);
        for (index, kernel) in code.kernels().iter().take(capacity as usize).enumerate() {
            functions.element(index).set(driver.function_of_module(module, &kernel.name)?)?;
        }
        Ok(())
    })
}

/// Whether functions are loaded when they are asked for (2) or with their module (1): as drivers since CUDA 12.2 have
/// it, the modules of libraries are loaded when something of them is asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetLoadingMode(mode: Out<u32>) -> CUresult {
    call("cuModuleGetLoadingMode", |_| mode.set(2))
}

super::exports![
    cuModuleLoadData,
    cuModuleLoadDataEx,
    cuModuleLoad,
    cuModuleUnload,
    cuModuleLoadFatBinary,
    cuModuleGetFunctionCount,
    cuModuleEnumerateFunctions,
    cuModuleGetFunction,
    cuModuleGetGlobal_v2,
    cuModuleGetLoadingMode,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_past_comments() {
        let text = "// .version 1.0\n\n.version 8.8\n.target sm_90a, debug\n.address_size 64\n";
        assert_eq!(Header::of(text), Header { version: Some(88), target: Some((90, Some('a'))) });
        assert_eq!(Header::of("hello"), Header::default());
    }

    #[test]
    fn targets_run_on_later_devices_unless_they_are_specific() {
        let [a100, h100] = ["a100", "h100"].map(|key| Description::by_name(key).unwrap());
        assert!(runs((80, None), &a100) && runs((80, None), &h100) && runs((75, None), &a100));
        assert!(!runs((86, None), &a100) && !runs((90, None), &a100));
        assert!(runs((90, Some('a')), &h100) && !runs((80, Some('a')), &h100));
        assert!(runs((90, Some('f')), &h100) && !runs((80, Some('f')), &h100));
    }

    #[test]
    fn driver_versions_know_their_ptx() {
        let known =
            [(11080, 78), (12000, 80), (12050, 85), (12060, 85), (12080, 87), (12090, 88), (13000, 90), (13050, 95)];
        for (version, ptx) in known {
            assert_eq!(newest_ptx(version), ptx, "driver {version}");
        }
    }
}
