//! What the driver writes counts as written, and what it copies stays as undefined as it was.

use std::ffi::{CString, c_void};

use cuda_emulator::check::Checks;
use cuda_emulator::{Config, clear_findings, configure, findings};

#[macro_use]
mod common;

use common::{TestContext, device_memory};

/// `right` multiplies its first argument and stores that in its second.
const PTX: &str = include_str!("bugs/unset_accumulator.ptx");
const BYTES: usize = 512;

/// Reports on the kernel when its input is at `input`.
fn reports(input: u64) -> usize {
    let (ptx, name) = (CString::new(PTX).expect("PTX"), c"right");
    let (mut module, mut function) = (std::ptr::null_mut(), std::ptr::null_mut());
    let (mut input, mut output) = (input, device_memory(BYTES));
    clear_findings();
    succeed! {
        cuModuleLoadData(&mut module, ptx.as_ptr().cast());
        cuModuleGetFunction(&mut function, module, name.as_ptr());
    }
    let mut arguments: [*mut c_void; 2] = [(&raw mut input).cast(), (&raw mut output).cast()];
    succeed! {
        cuLaunchKernel(function, 2, 1, 1, 64, 1, 1, 0, std::ptr::null_mut(), arguments.as_mut_ptr(), std::ptr::null_mut());
        cuCtxSynchronize();
    }
    findings().len()
}

#[test]
fn copies_and_memsets_define_what_they_write() {
    common::install();
    let checks = Checks { initialised: true, ..Checks::NONE };
    configure(Config { checks, quiet: true, ..Config::default() }).expect("no context lives yet");
    let _context = TestContext::new();
    let [fresh, cleared, copied, from_copied, from_fresh, part] = [0; 6].map(|_| device_memory(BYTES));
    let host = [7u8; BYTES];
    succeed! {
        cuMemsetD32_v2(cleared, 0, BYTES / 4);
        cuMemcpyHtoD_v2(copied, host.as_ptr().cast(), BYTES);
        cuMemcpyDtoD_v2(from_copied, copied, BYTES);
        cuMemcpyDtoD_v2(from_fresh, fresh, BYTES);
        cuMemsetD8_v2(part, 1, BYTES - 1);
    }
    assert_eq!([cleared, copied, from_copied].map(reports), [0; 3]);
    assert_eq!([fresh, from_fresh, part].map(reports), [1; 3]);
    // Its last byte is the undefined one.
    let report = findings().remove(0).report;
    assert!(report.to_string().contains("byte 511 of the allocation of 512 bytes"), "{report}");
    assert_eq!((report.block, report.thread), (Some([1, 0, 0]), Some([63, 0, 0])));
}
