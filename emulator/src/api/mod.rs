//! The functions of the CUDA driver API, one file an object.
//!
//! Every `cu*` function is exported under the driver's own name and is `unsafe` for one and the same reason: it trusts
//! its caller that pointers are null or valid for what the driver's documentation says it reads and writes through
//! them. Handles and device addresses are not trusted: wrong ones are refused with the driver's error code.
//!
//! Streams are queues, and work runs as late as their rules allow (`queue`): a pinned buffer is read when its copy
//! runs, not when it is called for. A thread that waits runs the work itself; what a program counts on without a wait,
//! such as a flag in page-locked memory that a kernel sets, threads of the device run (`background`).
//!
//! One lock guards all state. It is not held while a kernel or a function of the program runs (`execution`), so that
//! calls of other threads go on. Functions that are `missing` are exported, too, and refused by name; `per_thread` and
//! `legacy` hold the other names of functions that are here.
#![allow(non_snake_case, clippy::missing_safety_doc)]

mod background;
mod capture;
mod context;
mod copy;
mod device;
pub(crate) mod driver;
mod entry;
mod error;
mod event;
mod execution;
mod fat_binary;
mod function;
mod graph;
mod graph_exec;
mod graph_node;
mod host;
mod image;
mod join;
mod launch;
mod launch_legacy;
pub(crate) mod leaks;
mod legacy;
mod library;
mod link;
mod managed;
pub(crate) mod memory;
mod memset;
mod missing;
mod module;
pub(crate) mod occupancy;
mod per_thread;
mod pool;
mod queue;
mod stream;
mod stream_capture;
mod stream_memory;
pub(crate) mod types;
mod user_object;
mod virtual_memory;
mod work;

use std::ffi::CStr;

use crate::install::Symbol;

/// Lists the exported functions of a file as its `SYMBOLS`.
macro_rules! exports {
    ($($name:ident),* $(,)?) => {
        /// The exported functions of this file.
        pub(super) const SYMBOLS: &[crate::install::Symbol] = &[$(crate::install::Symbol {
            name: match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a function's name holds no zero byte"),
            },
            address: $name as *const () as *const std::ffi::c_void,
        }),*];
    };
}
use exports;

const TABLES: &[&[Symbol]] = &[
    context::SYMBOLS,
    copy::SYMBOLS,
    device::SYMBOLS,
    entry::SYMBOLS,
    error::SYMBOLS,
    event::SYMBOLS,
    function::SYMBOLS,
    graph::SYMBOLS,
    graph_exec::SYMBOLS,
    graph_node::SYMBOLS,
    host::SYMBOLS,
    launch::SYMBOLS,
    launch_legacy::SYMBOLS,
    legacy::SYMBOLS,
    library::SYMBOLS,
    link::SYMBOLS,
    managed::SYMBOLS,
    memory::SYMBOLS,
    memset::SYMBOLS,
    missing::SYMBOLS,
    module::SYMBOLS,
    occupancy::SYMBOLS,
    per_thread::SYMBOLS,
    pool::SYMBOLS,
    stream::SYMBOLS,
    stream_capture::SYMBOLS,
    stream_memory::SYMBOLS,
    user_object::SYMBOLS,
    virtual_memory::SYMBOLS,
];

/// Every function that the emulator exports, those included that only say that they are missing.
pub fn symbols() -> impl Iterator<Item = &'static Symbol> {
    TABLES.iter().copied().flatten()
}

/// The function that the driver exports as `name`.
pub fn symbol(name: &CStr) -> Option<&'static Symbol> {
    symbols().find(|symbol| symbol.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// Names of the functions that the files of this folder export.
    fn names_in_sources() -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let source = fs::read_to_string(entry.unwrap().path()).unwrap();
            for (before, _) in source.match_indices("extern \"C\" fn cu") {
                let rest = &source[before + "extern \"C\" fn ".len()..];
                let name: String =
                    rest.chars().take_while(|&letter| letter.is_alphanumeric() || letter == '_').collect();
                names.insert(name);
            }
        }
        names
    }

    #[test]
    fn every_exported_function_is_in_the_table_once() {
        let table: Vec<String> = symbols().map(|symbol| symbol.name.to_str().unwrap().to_owned()).collect();
        let distinct: BTreeSet<String> = table.iter().cloned().collect();
        assert_eq!(table.len(), distinct.len());
        let sources = names_in_sources();
        assert!(sources.len() > 100, "only {} functions found", sources.len());
        let missing: Vec<&String> = sources.difference(&distinct).collect();
        assert!(missing.is_empty(), "not in the table: {missing:?}");
    }
}
