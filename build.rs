//! Embeds `kernels/*.cu`, each with its includes resolved, as one Rust table. Needs no CUDA.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let kernels = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("kernels");
    println!("cargo:rerun-if-changed=kernels");
    let mut files: Vec<PathBuf> = fs::read_dir(&kernels)
        .expect("kernels/ is part of the package")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cu"))
        .collect();
    files.sort();

    let mut table = String::from("pub(crate) static SOURCES: &[(&str, &str)] = &[\n");
    for file in &files {
        let name = file.file_stem().expect("a file name").to_str().expect("ASCII names");
        let source = flatten(file, &mut HashSet::new());
        writeln!(table, "    ({name:?}, {source:?}),").expect("a String takes all");
    }
    table.push_str("];\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("kernels.rs");
    fs::write(out, table).expect("OUT_DIR is writable");
}

/// The file's text with every `#include "x"` replaced by that file's text, once.
fn flatten(file: &Path, seen: &mut HashSet<PathBuf>) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let name = file.file_name().expect("a file name").to_string_lossy();
    let mut flat = format!("#line 1 \"{name}\"\n");
    for (number, line) in text.lines().enumerate() {
        let Some(rest) = line.trim_start().strip_prefix("#include \"") else {
            flat.push_str(line);
            flat.push('\n');
            continue;
        };
        let included = file.with_file_name(rest.trim_end().trim_end_matches('"'));
        if seen.insert(included.clone()) {
            flat.push_str(&flatten(&included, seen));
            writeln!(flat, "#line {} \"{name}\"", number + 2).expect("a String takes all");
        }
    }
    flat
}
