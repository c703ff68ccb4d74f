//! Bad modules and bad kernels: each is refused with its class and its line.

use cuda_emulator::report::{Class, Fault, Report};

use crate::harness::{Argument, Shape, launch, line_of, module};

/// The report of a kernel with the body `text`, whose only parameter is the address of 32 words.
///
/// The line that is at fault is marked `// here`.
fn report(text: &str, shape: Shape) -> Report {
    let body = format!(
        "\t.reg .b64 %base, %rd<6>;\n\t.reg .b32 %r<6>;\n\t.reg .pred %p<3>;\n\t.reg .f32 %f<3>;
	ld.param.u64 %base, [out];\n\tmov.u32 %r1, %tid.x;\n{text}"
    );
    let ptx = module(&["out"], &body);
    let mut out = [0; 32];
    let report = match launch(&ptx, shape, &mut [Argument::Buffer(&mut out)]) {
        Err(report) => report,
        Ok(()) => panic!("accepted: {text}"),
    };
    if let Some(line) = line_of(&ptx, "// here") {
        assert_eq!(report.ptx_line, Some(line), "{report}");
    }
    report
}

fn unsupported(text: &str) -> Report {
    let report = report(text, Shape::line(1, 32));
    assert_eq!(report.class, Class::UnsupportedPtx, "{report}");
    report
}

fn invalid(text: &str) -> Report {
    let report = report(text, Shape::line(1, 32));
    assert_eq!(report.class, Class::InvalidPtx, "{report}");
    report
}

fn kernel_bug(text: &str, shape: Shape) -> Report {
    let report = report(text, shape);
    assert_eq!(report.class, Class::KernelBug, "{report}");
    assert_eq!(report.kernel.as_deref(), Some("k"), "{report}");
    report
}

#[test]
fn unknown_instructions_are_named() {
    for (text, name) in [
        ("frobnicate.u32 %r2, %r1; // here", "frobnicate"),
        ("add.q32 %r2, %r1, 1; // here", "q32"),
        ("mma.sync.aligned.m7n7k7.row.col.f32.f16.f16.f32 {%f1}, {%r1}, {%r1}, {%f1}; // here", "m7n7k7"),
        ("shfl.sync.sideways.b32 %r2, %r1, 1, 31, -1; // here", "sideways"),
        ("ld.global.u32 %r2, %base; // here", "ld.global.u32"),
        ("add.u32 %r2, %r1; // here", "add.u32"),
    ] {
        let report = unsupported(text);
        assert!(report.to_string().contains(name), "{report}");
    }
}

#[test]
fn names_must_be_declared() {
    for (text, name) in [
        ("mov.b32 %nobody, %r1; // here", "%nobody"),
        ("add.s32 %r2, %r1, %r9; // here", "%r9"),
        ("@%q bra END; END: // here", "%q"),
        ("bra NOWHERE; // here", "NOWHERE"),
        ("ld.param.u64 %base, [nothing]; // here", "nothing"),
    ] {
        let report = invalid(text);
        assert!(report.to_string().contains(name), "{report}");
    }
    // What links, and what the system's registers are called, is not for the text alone to say.
    for (text, name) in [("call.uni missing; // here", "missing"), ("mov.u32 %r2, %tid.w; // here", "%tid.w")] {
        let report = unsupported(text);
        assert!(report.to_string().contains(name), "{report}");
    }
}

#[test]
fn text_that_is_no_ptx_is_refused() {
    for ptx in ["", "hello", ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k() {"] {
        let result = std::panic::catch_unwind(|| launch(ptx, Shape::line(1, 32), &mut []));
        // An empty module parses and has no kernel to launch.
        let refused = if ptx.is_empty() { result.is_err() } else { matches!(result, Ok(Err(_))) };
        assert!(refused, "{ptx:?}");
    }
}

#[test]
fn accesses_stay_inside_their_allocation() {
    let line = Shape::line(1, 32);
    let beyond = "mul.wide.u32 %rd1, %r1, 8; add.s64 %rd1, %base, %rd1;\n";
    let report = kernel_bug(&format!("{beyond}st.global.u32 [%rd1], 1; // here"), line);
    // Thread 16 is the first past 32 words.
    assert_eq!(report.thread, Some([16, 0, 0]), "{report}");
    for text in [
        "ld.global.u32 %r2, [%base+128]; // here",
        "ld.global.u8 %r2, [%base+-1]; // here",
        "mov.u64 %rd1, 0; ld.global.u32 %r2, [%rd1]; // here",
        "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%base+128]; // here",
        "red.global.add.u32 [%base+128], 1; // here",
        ".shared .b32 s[4]; mov.u32 %r2, s; st.shared.u32 [%r2+4096], 1; // here",
        ".local .b8 l[16]; mov.u64 %rd1, l; st.local.u32 [%rd1+4096], 1; // here",
    ] {
        let report = kernel_bug(text, line);
        assert_eq!(report.fault, Some(Fault::IllegalAddress), "{report}");
    }
}

#[test]
fn vectors_and_words_are_aligned() {
    for text in [
        "ld.global.u32 %r2, [%base+2]; // here",
        "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%base+8]; // here",
        "st.global.v2.u32 [%base+4], {%r1, %r1}; // here",
        "atom.global.add.u32 %r2, [%base+1], 1; // here",
        ".shared .align 16 .b8 s[64]; mov.u32 %r2, s; ld.shared.u64 %rd1, [%r2+4]; // here",
        ".shared .align 16 .b8 s[64]; mov.u32 %r2, s; cp.async.cg.shared.global [%r2+8], [%base], 16; // here",
        ".shared .align 16 .b8 s[64]; mov.u32 %r2, s;
        ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r3}, [%r2+8]; // here",
    ] {
        let report = kernel_bug(text, Shape::line(1, 32));
        assert!(report.message.contains("align"), "{report}");
        assert_eq!(report.fault, Some(Fault::MisalignedAddress), "{report}");
    }
}

#[test]
fn barriers_that_never_fill_are_reported() {
    // One warp waits at a barrier that the other has passed by, waiting at another.
    let text = "setp.lt.u32 %p1, %r1, 32; @%p1 bra FIRST; bar.sync 1; bra.uni END; FIRST: bar.sync 2; END:";
    let report = kernel_bug(text, Shape::line(1, 64));
    assert!(report.message.contains("barrier"), "{report}");
    // Half of a warp at an aligned barrier.
    let text = "setp.lt.u32 %p1, %r1, 16; @%p1 bra SKIP;\nbar.sync 0; // here\nSKIP: st.global.u32 [%base], 1;";
    let report = kernel_bug(text, Shape::line(1, 32));
    assert!(report.message.contains("barrier"), "{report}");
}

#[test]
fn traps_end_the_launch() {
    let text = "setp.eq.u32 %p1, %r1, 5;\n@%p1 trap; // here";
    let report = kernel_bug(text, Shape::line(1, 32));
    assert_eq!((report.thread, report.fault), (Some([5, 0, 0]), Some(Fault::IllegalInstruction)));
}
