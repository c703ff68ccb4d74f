//! CUDA C++ to PTX, with the assembler's report as comments, as programs that carry it do.

use cudarc::nvrtc::{result, sys};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::path::Path;

/// Keeps what it compiled.
#[derive(Default)]
pub struct Compiler {
    compiled: HashMap<(String, u32), String>,
}

impl Compiler {
    /// The PTX of a file in `benches/kernels` for an architecture (86 for 8.6).
    pub fn ptx(&mut self, file: &str, architecture: u32) -> String {
        let compile = || compile(file, architecture);
        self.compiled.entry((file.into(), architecture)).or_insert_with(compile).clone()
    }
}

fn compile(file: &str, architecture: u32) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/kernels").join(file);
    let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let source = CString::new(source).expect("text");
    let name = CString::new(file).expect("text");
    let program = result::create_program(&source, Some(&name)).expect("NVRTC takes the source");
    let options = [format!("--gpu-architecture=sm_{architecture}"), "--ptxas-options=-v".into()];
    // SAFETY: the program is the one just created.
    let outcome = unsafe { result::compile_program(program, &options) };
    let log = log(program);
    outcome.unwrap_or_else(|error| panic!("{file}: {error:?}\n{log}"));
    // SAFETY: the program was compiled; NVRTC ends the text with a zero.
    let ptx = unsafe { result::get_ptx(program) }.expect("there is PTX");
    let bytes: Vec<u8> = ptx.iter().map(|&c| c as u8).take_while(|&byte| byte != 0).collect();
    let comments: String = log.lines().map(|line| format!("// {line}\n")).collect();
    // SAFETY: nothing uses the program any more.
    unsafe { result::destroy_program(program) }.expect("the program exists");
    comments + &String::from_utf8(bytes).expect("PTX is text")
}

fn log(program: sys::nvrtcProgram) -> String {
    // SAFETY: the program exists; NVRTC ends the text with a zero.
    let log = unsafe { result::get_program_log(program) }.unwrap_or_default();
    if log.is_empty() {
        return String::new();
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(log.as_ptr()) }.to_string_lossy().into_owned()
}
