//! Memory of the stack: `alloca`, `stacksave`, `stackrestore`.

use cuda_emulator::exec::Limits;
use cuda_emulator::report::{Fault, Report};

use crate::harness::{Argument, HEADER, Shape, fill, launch, module};

/// Bytes of stack that a thread has where nothing else is said.
const STACK_BYTES: u32 = 1024;

/// What every kernel here begins with: `%out` is the thread's place, of `bytes`, in its buffer.
fn begin(bytes: u32) -> String {
    format!(
        "\t.reg .b64 %out, %offset, %p<8>, %bytes;\n\t.reg .b32 %thread, %r<8>, %w<4>;\n\t.reg .pred %q;
	ld.param.u64 %out, [out];\n\tmov.u32 %thread, %tid.x;\n\tmul.wide.u32 %offset, %thread, {bytes};
	add.u64 %out, %out, %offset;\n"
    )
}

/// Every thread takes a different number of words, fills them, and adds them up after all others have done so too.
#[test]
fn threads_take_what_they_ask_for() {
    let body = begin(4)
        + "	.local .b32 kept;
	st.local.b32 [kept], 1000;
	add.u32 %r0, %thread, 1;
	mul.wide.u32 %bytes, %r0, 4;
	alloca.u64 %p0, %bytes;
	mov.u32 %r1, 0;
	mov.u64 %p1, %p0;
FILL:
	mul.lo.u32 %r2, %r1, %r0;
	st.local.b32 [%p1], %r2;
	add.u64 %p1, %p1, 4;
	add.u32 %r1, %r1, 1;
	setp.lt.u32 %q, %r1, %r0;
	@%q bra FILL;
	bar.sync 0;
	cvta.local.u64 %p2, %p0;
	ld.local.b32 %r4, [kept];
SUM:
	ld.b32 %r2, [%p2];
	add.u32 %r4, %r4, %r2;
	add.u64 %p2, %p2, 4;
	sub.u32 %r1, %r1, 1;
	setp.ne.u32 %q, %r1, 0;
	@%q bra SUM;
	st.global.b32 [%out], %r4;";
    for seed in 0..3 {
        let found = fill(&module(&["out"], &body), Shape::line(1, 64).order(1, seed), 64);
        for (thread, sum) in found.into_iter().enumerate() {
            let n = thread as u32 + 1;
            assert_eq!(sum, 1000 + n * n * (n - 1) / 2, "thread {thread}");
        }
    }
}

/// The addresses that one thread gets: aligned, apart from each other, and again after they were given back.
#[test]
fn memory_is_aligned_and_given_back() {
    let body = begin(32)
        + "	alloca.u64 %p0, 5;
	stacksave.u32 %w0;
	alloca.u64 %p1, 3, 64;
	alloca.u32 %w1, 100;
	stackrestore.u32 %w0;
	stacksave.u64 %p2;
	alloca.u64 %p3, 1, 2;
	stackrestore.u64 %p2;
	alloca.u64 %p4, 3, 64;
	st.global.b32 [%out+16], %w1;
	cvt.u32.u64 %r0, %p0;
	cvt.u32.u64 %r1, %p1;
	cvt.u32.u64 %r3, %p3;
	cvt.u32.u64 %r4, %p4;
	st.global.b32 [%out], %r0;
	st.global.b32 [%out+4], %r1;
	st.global.b32 [%out+8], %r3;
	st.global.b32 [%out+12], %r4;
	st.global.b32 [%out+20], 0;
	st.global.v2.b32 [%out+24], {%w0, %w0};";
    for words in fill(&module(&["out"], &body), Shape::line(1, 32), 256).as_chunks::<8>().0 {
        let [first, aligned, small, again, narrow, _, saved, _] = *words;
        assert!(first % 8 == 0 && aligned % 64 == 0 && small % 8 == 0 && narrow % 8 == 0, "{words:?}");
        assert!(first + 5 <= saved && saved <= aligned && aligned + 3 <= narrow, "{words:?}");
        assert_eq!((small, again), (saved, aligned), "{words:?}");
    }
}

/// `digits(n)`: n bytes of the stack, in a function that recurses or is inlined, hold 1 to n.
fn digits(recursive: bool) -> String {
    let inner = "sub.u32 %x, n, 1; call (%x), digits, (%x);";
    format!(
        ".func (.reg .b32 d) digits (.reg .b32 n)
{{ .reg .pred %p; .reg .b32 %x, %i, %a, %b; .reg .b64 %l;
	mov.b32 d, 0; setp.eq.u32 %p, n, 0; @%p ret;
	alloca.u32 %a, n; mov.u32 %i, 0;
L:	add.u32 %b, %a, %i; add.u32 %i, %i, 1; st.local.u8 [%b], %i; setp.lt.u32 %p, %i, n; @%p bra L;
	mov.u32 %x, 0; {}
M:	sub.u32 %i, %i, 1; add.u32 %b, %a, %i; ld.local.u8 %b, [%b]; add.u32 %x, %x, %b; setp.ne.u32 %p, %i, 0; @%p bra M;
	mov.u32 d, %x; ret; }}
",
        if recursive { inner } else { "" }
    )
}

/// A thousand calls take far more than there is, one after the other: what a function takes it gives back.
#[test]
fn functions_give_back_what_they_take() {
    for recursive in [false, true] {
        let body = begin(4)
            + "	mov.u32 %r0, 0;\n	mov.u32 %r3, 0;
AGAIN:
	add.u32 %r1, %thread, %r0;\n	and.b32 %r1, %r1, 15;
	call (%r2), digits, (%r1);
	add.u32 %r3, %r3, %r2;\n	add.u32 %r0, %r0, 1;
	setp.lt.u32 %q, %r0, 1000;\n	@%q bra AGAIN;
	st.global.b32 [%out], %r3;";
        let ptx = module(&["out"], &body).replacen(HEADER, &format!("{HEADER}{}", digits(recursive)), 1);
        for (thread, found) in fill(&ptx, Shape::line(1, 32), 32).into_iter().enumerate() {
            let sum = |n: u32| n * (n + 1) / 2;
            let one = |n: u32| if recursive { (0..=n).map(sum).sum() } else { sum(n) };
            assert_eq!(found, (0..1000).map(|i| one((thread as u32 + i) & 15)).sum(), "thread {thread}");
        }
    }
}

/// Runs a kernel in which every thread takes `bytes`, at a limit of `stack_bytes`, and stores at `offset` in them.
fn take(bytes: u64, stack_bytes: u32, offset: i64) -> Result<(), Report> {
    let body =
        begin(4) + &format!("\tmov.u64 %bytes, {bytes};\n\talloca.u64 %p0, %bytes;\n\tst.local.u8 [%p0+{offset}], 7;");
    let limits = Limits { stack_bytes, ..Limits::default() };
    let shape = Shape { limits, ..Shape::line(1, 32) };
    launch(&module(&["out"], &body), shape, &mut [Argument::Buffer(&mut [0; 32])])
}

#[test]
fn the_stack_has_an_end() {
    take(u64::from(STACK_BYTES), STACK_BYTES, i64::from(STACK_BYTES) - 1).unwrap_or_else(|report| panic!("{report}"));
    take(100_000, 1 << 17, 99_999).unwrap_or_else(|report| panic!("{report}"));
    for (bytes, limit) in [(1025, STACK_BYTES), (100_000, 65_536), (u64::MAX, STACK_BYTES), (1 << 40, STACK_BYTES)] {
        let report = take(bytes, limit, 0).expect_err("it is too much");
        assert!(report.message.contains(&format!("stack overflow: alloca of {bytes} bytes")), "{report}");
        assert_eq!(report.fault, Some(Fault::StackOverflow));
    }
}

#[test]
fn what_is_free_is_nobodys() {
    take(48, STACK_BYTES, 47).unwrap_or_else(|report| panic!("{report}"));
    for (bytes, offset) in [(48, 48), (48, 1 << 20), (0, 0)] {
        let report = take(bytes, STACK_BYTES, offset).expect_err("it is outside");
        assert_eq!(report.fault, Some(Fault::IllegalAddress), "{report}");
    }
    let body = begin(4) + "	stacksave.u64 %p1;\n	alloca.u64 %p0, 16;\n	stackrestore.u64 %p1;\n	st.local.b32 [%p0], 1;";
    let report = launch(&module(&["out"], &body), Shape::line(1, 32), &mut [Argument::Buffer(&mut [0; 32])]);
    assert_eq!(report.expect_err("it was given back").fault, Some(Fault::IllegalAddress));
    let body = begin(4) + "	stackrestore.u64 1234567;";
    let report = launch(&module(&["out"], &body), Shape::line(1, 32), &mut [Argument::Buffer(&mut [0; 32])]);
    let report = report.expect_err("it was never saved");
    assert!(report.message.contains("which no stacksave gave"), "{report}");
}
