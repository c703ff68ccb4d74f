//! The launcher runs programs that know nothing of the emulator, and says what came of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[macro_use]
mod common;

/// What a process does that the launcher started: set, by the test, to the name of a kernel.
const KERNEL: &str = "KERNEL_OF_THIS_PROCESS";

/// Reads memory that nobody wrote, and adds to it.
const WRONG: &str = include_str!("bugs/unset_accumulator.ptx");

fn launcher() -> Command {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_cuda-emulator"));
    // Where the library lies that was built with the program under test.
    let library = program.parent().map(|folder| folder.join("deps/libcuda_emulator.so"));
    let mut command = Command::new(program);
    command.env("CUDA_EMULATOR_LIBRARY", library.unwrap_or_default());
    command
}

/// Runs this test's own child with `kernel` under the launcher.
fn run(options: &[&str], kernel: &str) -> Output {
    let test = std::env::current_exe().expect("the test itself");
    let mut command = launcher();
    command.arg("run").args(options).arg("--").arg(test).args(["--exact", "child", "--nocapture"]);
    command.env(KERNEL, kernel).output().expect("the launcher as a process")
}

/// In a process of the launcher: a program of the driver API that finds its driver as any program does.
#[test]
fn child() {
    let Ok(kernel) = std::env::var(KERNEL) else { return };
    let name = std::ffi::CString::new(kernel.clone()).expect("a name");
    let ptx = std::ffi::CString::new(WRONG).expect("PTX");
    let (mut context, mut module, mut function) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    let (mut input, mut output) = (0u64, 0u64);
    let mut device_name = [0; 64];
    succeed! {
        cuInit(0);
        cuDeviceGetName(device_name.as_mut_ptr(), 64, 0);
        cuCtxCreate_v2(&mut context, 0, 0);
        cuModuleLoadData(&mut module, ptx.as_ptr().cast());
        cuModuleGetFunction(&mut function, module, name.as_ptr());
        cuMemAlloc_v2(&mut input, 512);
        cuMemAlloc_v2(&mut output, 512);
        cuMemsetD32_v2(input, 5, 128);
    }
    let mut arguments = [(&raw mut input).cast(), (&raw mut output).cast()];
    succeed! {
        cuLaunchKernel(function, 2, 1, 1, 64, 1, 1, 0, std::ptr::null_mut(), arguments.as_mut_ptr(), std::ptr::null_mut());
        cuCtxSynchronize();
        cuMemFree_v2(input);
        cuMemFree_v2(output);
        cuModuleUnload(module);
        cuCtxDestroy_v2(context);
    }
    // SAFETY: the driver ended the name.
    println!("ran on {}", unsafe { std::ffi::CStr::from_ptr(device_name.as_ptr()) }.to_string_lossy());
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_program_without_bugs_ends_as_it_does_on_a_gpu() {
    let output = run(&["--device", "rtx4090", "--check", "all"], "right");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(out.contains("ran on NVIDIA GeForce RTX 4090"), "{out}{err}");
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(!err.contains("kernel bug"), "{err}");
}

#[test]
fn findings_are_shown_and_change_the_exit_status() {
    let folder = std::env::temp_dir().join(format!("cuda-emulator-test-{}", std::process::id()));
    let file = folder.to_string_lossy().into_owned();
    let output = run(&["--check", "initialised", "--report", &file], "wrong");
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(86), "{err}");
    assert!(err.contains("unset_accumulator.cu:7"), "{err}");
    let report = std::fs::read_to_string(&folder).expect("the report");
    std::fs::remove_file(&folder).expect("the report goes");
    assert!(report.contains("unset_accumulator.cu:7"), "{report}");
    // Without checks the same program has nothing to say.
    assert_eq!(run(&[], "wrong").status.code(), Some(0));
}

#[test]
fn refused_calls_are_explained_where_it_is_asked_for() {
    let reason = "CUDA_ERROR_NOT_FOUND: bad API call: cuModuleGetFunction: the module has no kernel absent";
    let explained = run(&["--explain"], "absent");
    assert!(text(&explained.stderr).contains(reason), "{}", text(&explained.stderr));
    assert_eq!(explained.status.code(), run(&[], "absent").status.code());
    assert!(!text(&run(&[], "absent").stderr).contains(reason));
}

/// The emulator's functions must not take the place of a program's variables.
#[test]
fn a_library_may_have_variables_of_the_same_names() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("loader");
    std::fs::create_dir_all(&folder).expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/loader.c");
    let compile = |output: &Path, arguments: &[&std::ffi::OsStr]| {
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c11", "-Wall", "-Werror"]).arg(&source).args(arguments).arg("-o").arg(output);
        let output = compiler.output().expect("a C compiler");
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    let (library, program) = (folder.join("libloader.so"), folder.join("program"));
    compile(&library, &["-shared".as_ref(), "-fPIC".as_ref(), "-ldl".as_ref()]);
    let mut path = std::ffi::OsString::from("-Wl,-rpath,");
    path.push(&folder);
    compile(&program, &["-DPROGRAM".as_ref(), library.as_ref(), path.as_ref()]);
    let output = launcher().args(["run", "--"]).arg(&program).output().expect("the launcher");
    assert_eq!(text(&output.stdout), "1 device\n", "{:?} {}", output.status, text(&output.stderr));
}

#[test]
fn the_status_is_that_of_the_program() {
    let status = |arguments: &[&str]| launcher().args(arguments).output().expect("the launcher").status.code();
    assert_eq!(status(&["run", "--", "sh", "-c", "exit 3"]), Some(3));
    assert_eq!(status(&["run", "--", "sh", "-c", "kill -9 $$"]), Some(128 + 9));
    assert_eq!(status(&["run", "--", "/no/such/program"]), Some(127));
    assert_eq!(status(&["run", "--device", "gtx480", "--", "true"]), Some(127));
    assert_eq!(status(&["run", "--check", "everything", "--", "true"]), Some(127));
}

#[test]
fn a_file_is_described_with_everything_that_is_not_supported() {
    let ptx = |path: &Path| launcher().arg("ptx").arg(path).output().expect("the launcher");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ptx");
    let good = ptx(&folder.join("gemm.ptx"));
    assert!(good.status.success() && text(&good.stdout).contains("kernel gemm"), "{}", text(&good.stdout));
    let bad = std::env::temp_dir().join(format!("cuda-emulator-test-{}.ptx", std::process::id()));
    let body = ".reg .b32 %r<3>;\n\tfrobnicate.b32 %r1, %r2;\n\tmov.u32 %r1, 0;\n\tadd.s77 %r1, %r1, %r2;\n\tret;";
    let module = format!(".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k()\n{{\n\t{body}\n}}\n");
    std::fs::write(&bad, module).expect("a temporary file");
    let output = ptx(&bad);
    std::fs::remove_file(&bad).expect("it goes");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("line 7") && said.contains("frobnicate"), "{said}");
    assert!(said.contains("line 9") && said.contains("add.s77"), "{said}");
    let devices = launcher().arg("devices").output().expect("the launcher");
    assert!(text(&devices.stdout).contains("a100"));
}
