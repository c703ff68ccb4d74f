//! Promises about the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` with this extension.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn stem(path: &Path) -> &str {
    path.file_stem().expect("a file").to_str().expect("ASCII names")
}

#[test]
fn every_kernel_has_an_operator_and_a_test_of_its_name() {
    let kernels = files("kernels", "cu");
    assert!(kernels.len() > 10, "the kernels are there");
    for kernel in kernels {
        for folder in ["src/ops", "tests"] {
            let twin = root().join(folder).join(format!("{}.rs", stem(&kernel)));
            assert!(twin.exists(), "{} has no {}", kernel.display(), twin.display());
        }
    }
}

#[test]
fn every_kernel_opens_with_its_description() {
    for kernel in files("kernels", "cu") {
        let text = fs::read_to_string(&kernel).expect("readable");
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//")).collect();
        assert!(header.len() >= 4, "{} opens with {} lines of comment", kernel.display(), header.len());
    }
}

#[test]
fn the_readmes_program_is_the_one_in_the_documentation_which_is_compiled() {
    let text = |path: &str| fs::read_to_string(root().join(path)).expect("readable");
    let (readme, library) = (text("README.md"), text("src/lib.rs"));
    let (_, program) = readme.split_once("```rust\n").expect("README has a program");
    let (program, _) = program.split_once("```").expect("it ends");
    let documented: String = library
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    assert!(documented.contains(program), "README's program differs from that of src/lib.rs");
}

#[test]
fn files_have_one_subject() {
    const LINES: usize = 800;
    for (folder, extension) in [
        ("src", "rs"),
        ("emulator/src", "rs"),
        ("tests", "rs"),
        ("benches", "rs"),
        ("kernels", "cu"),
        ("kernels", "cuh"),
    ] {
        for file in files(folder, extension) {
            let lines = fs::read_to_string(&file).expect("readable").lines().count();
            assert!(lines <= LINES, "{} has {lines} lines", file.display());
        }
    }
}

/// Only the device layer, and the command line that lets people choose, may know that there is an emulator.
#[test]
fn nothing_above_the_device_asks_whether_it_is_emulated() {
    for file in files("src", "rs") {
        let name = file.strip_prefix(root()).expect("below the root").to_str().expect("ASCII names").to_owned();
        if name.starts_with("src/device/") || name.starts_with("src/cli/") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("readable");
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().expect("split gives one");
            assert!(!code.to_lowercase().contains("emulat"), "{name}:{}: {line}", number + 1);
        }
    }
}

#[test]
fn the_emulator_knows_nothing_of_diffusion() {
    let words = ["diffusion", "diffedit", "unet", "latent", "group_norm", "attention", "conv2d"];
    for file in files("emulator/src", "rs") {
        let text = fs::read_to_string(&file).expect("readable").to_lowercase();
        // The crate's own description says that it knows nothing of it.
        for word in words {
            assert!(!text.contains(word), "{} says {word}", file.display());
        }
    }
}

#[test]
fn kernels_have_no_floating_point_atomics() {
    for extension in ["cu", "cuh"] {
        for file in files("kernels", extension) {
            let text = fs::read_to_string(&file).expect("readable");
            for needle in ["atomicAdd(", "red.global.add.f", "atom.global.add.f"] {
                assert!(!text.contains(needle), "{} has {needle}", file.display());
            }
        }
    }
}
