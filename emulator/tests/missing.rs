//! What the emulator lacks is there all the same: it is refused and named when it is called.

#[macro_use]
mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use common::TestContext;
use cudarc::driver::sys::CUresult;

/// Names of the functions that cudarc declares for any version of CUDA.
fn declared_functions() -> BTreeSet<String> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let arguments =
        ["metadata", "--format-version", "1", "--offline", "--filter-platform", &platform, "--manifest-path"];
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let output = Command::new(env!("CARGO")).args(arguments).arg(manifest).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata = String::from_utf8(output.stdout).unwrap();
    let manifests = metadata.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let cudarc = manifests.map(Path::new).find(|path| path.components().any(|part| is_cudarc(part.as_os_str())));
    let source = cudarc.unwrap().parent().unwrap().join("src/driver/sys/mod.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let names = source.split("fn cu").skip(1).filter_map(|rest| rest.split('(').next());
    names
        .filter(|name| name.starts_with(|letter: char| letter.is_ascii_uppercase()))
        .map(|name| format!("cu{name}"))
        .collect()
}

fn is_cudarc(part: &std::ffi::OsStr) -> bool {
    part.to_str().is_some_and(|part| part.strip_prefix("cudarc-").is_some_and(|version| version.starts_with('0')))
}

#[test]
fn every_declared_function_is_exported() {
    let declared = declared_functions();
    assert!(declared.len() > 450, "only {} functions found", declared.len());
    let exported: BTreeSet<String> =
        cuda_emulator::api::symbols().map(|symbol| symbol.name.to_str().unwrap().to_owned()).collect();
    let missing: Vec<&String> = declared.difference(&exported).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Programs look for all of them before they use any.
#[test]
fn functions_of_graphics_libraries_are_there_to_be_refused() {
    let exported: BTreeSet<&str> = cuda_emulator::api::symbols().map(|symbol| symbol.name.to_str().unwrap()).collect();
    for name in ["cuGLGetDevices_v2", "cuGraphicsGLRegisterBuffer", "cuEGLStreamConsumerConnect", "cuVDPAUGetDevice"] {
        assert!(exported.contains(name), "{name}");
    }
}

#[test]
fn a_call_is_refused_and_named() {
    let _context = TestContext::new();
    let mut texture = std::ptr::null_mut();
    assert_eq!(result!(cuTexRefCreate(&mut texture)), CUresult::CUDA_ERROR_NOT_SUPPORTED);
    assert_eq!(cuda_emulator::last_report().unwrap().message, "the emulator has no cuTexRefCreate");
    assert_eq!(result!(cuArrayDestroy(std::ptr::null_mut())), CUresult::CUDA_ERROR_NOT_SUPPORTED);
    assert_eq!(cuda_emulator::last_report().unwrap().message, "the emulator has no cuArrayDestroy");
}
