//! A program in C that knows nothing of the emulator is linked against its shared library and runs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The emulator's shared library, which cargo builds with the tests.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let library = test.parent().unwrap().join("libcuda_emulator.so");
    assert!(library.exists(), "{} is not there", library.display());
    library
}

/// A folder with the library under the names that programs are linked with and load.
fn library_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for link in ["libcuda.so", "libcuda.so.1"] {
        let link = folder.join(link);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(library(), link).unwrap();
    }
    folder
}

#[test]
fn a_program_in_c() {
    let folder = library_folder("program");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/driver.c");
    let program = folder.join("driver");
    let mut compiler = Command::new("cc");
    compiler.args(["-std=c11", "-Wall", "-Werror", "-o"]).args([&program, &source]);
    let compiled = compiler.arg("-L").arg(&folder).args(["-lcuda", "-lpthread"]).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    for seed in ["0", "7"] {
        let mut run = Command::new(&program);
        run.env("LD_LIBRARY_PATH", &folder).env("CUDA_EMULATOR_THREADS", "2").env("CUDA_EMULATOR_SEED", seed);
        let output = run.output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(output.status.success() && text[0] == "passed\n", "seed {seed}: {text:?}");
        assert_eq!(text[1], "the emulator has no cuTexRefCreate\n");
    }
}
