//! What is said of objects that a program never released: when their context ends, and when the process does.

use std::process::Command;

use cuda_emulator::check::{Check, Checks};
use cuda_emulator::{Config, clear_findings, configure, findings};
#[macro_use]
mod common;

use common::{device_memory, event, pinned_memory, stream};

const PTX: &str =
    ".version 7.8\n.target sm_80\n.address_size 64\n.global .u32 cell;\n.visible .entry k()\n{\n\tret;\n}\n\0";

/// Set in the process that leaks on purpose.
const CHILD: &str = "LEAK_IN_THIS_PROCESS";

fn check_leaks() {
    common::install();
    let config = Config { checks: Checks { leaks: true, ..Checks::NONE }, quiet: true, ..Config::default() };
    configure(config).expect("only checks change");
}

/// One object of every kind.
fn make_everything() {
    device_memory(1000);
    pinned_memory(300);
    let stream = stream(0);
    event();
    let mut pooled = 0;
    let (mut module, mut graph, mut executable) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    succeed! {
        cuMemAllocAsync(&mut pooled, 77, stream);
        cuModuleLoadData(&mut module, PTX.as_ptr().cast());
        cuGraphCreate(&mut graph, 0);
        cuGraphInstantiateWithFlags(&mut executable, graph, 0);
    }
}

#[test]
fn a_context_takes_what_was_not_released_and_says_so() {
    check_leaks();
    clear_findings();
    let context = common::TestContext::new();
    make_everything();
    // What is released is no leak.
    let (memory, released) = (device_memory(5), event());
    succeed! { cuMemFree_v2(memory); cuEventDestroy_v2(released) };
    drop(context);
    let found: Vec<String> = findings().into_iter().map(|finding| finding.report.to_string()).collect();
    let expected = [
        ("device memory of 1000 bytes", "cuMemAlloc_v2"),
        ("stream-ordered memory of 77 bytes", "cuMemAllocAsync"),
        ("page-locked memory of 300 bytes", "cuMemHostAlloc"),
        ("stream", "cuStreamCreate"),
        ("event", "cuEventCreate"),
        ("module", "cuModuleLoadData"),
        (" graph", "cuGraphCreate"),
        ("executable graph", "cuGraphInstantiateWithFlags"),
    ];
    for (what, maker) in expected {
        let says = |report: &&String| report.contains(what) && report.contains(&format!("made by {maker},"));
        assert_eq!(found.iter().filter(says).count(), 1, "{what} of {maker}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(findings().iter().all(|finding| finding.report.check == Some(Check::Leaks)));
}

#[test]
fn the_end_of_the_process_shows_what_is_left() {
    if std::env::var_os(CHILD).is_some() {
        let config = Config { checks: Checks::ALL, ..Config::default() };
        configure(config).expect("no context lives yet");
        cuda_emulator::install().expect("the loader takes the symbol table");
        let mut context = std::ptr::null_mut();
        succeed! { cuInit(0); cuCtxCreate_v2(&mut context, 0, 0) };
        make_everything();
        return;
    }
    let test = std::env::current_exe().expect("the test itself");
    let arguments = ["--exact", "the_end_of_the_process_shows_what_is_left", "--nocapture"];
    let output = Command::new(test).args(arguments).env(CHILD, "1").output().expect("the test as a process");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for what in ["device memory of 1000 bytes", "page-locked memory of 300 bytes", "stream at", "context at"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert!(!said.contains("variable"), "variables go with their module: {said}");
}
