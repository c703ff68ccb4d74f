//! Names the shared library as the driver's, so that a loader takes it for `libcuda.so`, and turns the data file of
//! devices into constants.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/devices.toml");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcuda.so.1");
    let text = fs::read_to_string("src/devices.toml").expect("src/devices.toml is part of the source");
    let directory = env::var_os("OUT_DIR").expect("cargo names a folder for generated source");
    fs::write(Path::new(&directory).join("devices.rs"), constants(&text)).expect("the folder can be written");
}

/// The tables of a TOML file as an array of `Description`. A table `[key]` is a device, `[key.rates]` the rates of the
/// one before; values are numbers, strings and pairs of numbers, which Rust writes the same way but for the pairs. The
/// compiler says what is missing, misspelt or of the wrong type.
fn constants(text: &str) -> String {
    let mut source = String::from("&[");
    let mut open = "";
    for line in text.lines().map(without_comment).filter(|line| !line.is_empty()) {
        if let Some(table) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            match table.split_once('.') {
                Some((_, "rates")) => {
                    source.push_str("rates: Rates {");
                    open = "}},";
                }
                Some(_) => panic!("devices.toml: no table is called {table}"),
                None => {
                    write!(source, "{open}Description {{ key: {table:?},").expect("a string grows");
                    open = "},";
                }
            }
        } else if let Some((field, value)) = line.split_once('=') {
            let value = value.trim().replace('[', "(").replace(']', ")");
            write!(source, "{}: {value},", field.trim()).expect("a string grows");
        } else {
            panic!("devices.toml: {line:?} is neither a table nor a value");
        }
    }
    source + open + "]"
}

/// The line without its comment; no value has a `#` in it.
fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}
