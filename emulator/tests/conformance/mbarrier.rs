//! `mbarrier`: phases, states, counts of arrivals and of bytes.

use cuda_emulator::report::Report;

use crate::harness::{Argument, Shape, fill, launch, module};

/// What every kernel here begins with: an object `%o`, states `%s`, and `%out`, the buffer.
const BEGIN: &str = "\t.reg .b64 %out, %s<8>, %g, %place;
	.reg .b32 %o, %t, %r<8>, %count;
	.reg .pred %p, %q;
	.shared .align 8 .b64 object;
	.shared .align 16 .b32 values[64];
	ld.param.u64 %out, [out];
	mov.u32 %t, %tid.x;
	mov.u32 %o, object;
	cvt.u64.u32 %g, %o;
	cvta.shared.u64 %g, %g;
";

fn run(body: &str, threads: u32) -> Result<Vec<u32>, Report> {
    let mut out = vec![0xdead_beef; 64];
    let ptx = module(&["out"], &format!("{BEGIN}{body}"));
    launch(&ptx, Shape::line(1, threads), &mut [Argument::Buffer(&mut out)]).map(|()| out)
}

/// `selp` and a store of `%p` at word `place`.
fn keep(place: usize) -> String {
    format!("\tselp.b32 %r7, 1, 0, %p;\n\tst.global.b32 [%out+{}], %r7;\n", 4 * place)
}

/// One thread plays all of them: the phases of an object for three arrivals.
#[test]
fn phases_end_when_all_have_arrived() {
    let test =
        |state: usize, place: usize| format!("\tmbarrier.test_wait.shared.b64 %p, [%o], %s{state};\n{}", keep(place));
    let parity =
        |parity: u32, place: usize| format!("\tmbarrier.try_wait.parity.b64 %p, [%g], {parity}, 100;\n{}", keep(place));
    let pending = |state: usize, place: usize| {
        format!("\tmbarrier.pending_count.b64 %r6, %s{state};\n\tst.global.b32 [%out+{}], %r6;\n", 4 * place)
    };
    let body = [
        "	mbarrier.init.shared.b64 [%o], 3;\n".into(),
        "	mbarrier.arrive.shared::cta.b64 %s0, [%o];\n".into(),
        test(0, 0),
        parity(0, 1),
        parity(1, 2),
        "	mbarrier.arrive.noComplete.release.cta.shared.b64 %s1, [%o], 1;\n".into(),
        pending(0, 3),
        pending(1, 4),
        "	mbarrier.arrive.b64 %s2, [%g];\n".into(),
        test(0, 5),
        test(2, 6),
        parity(0, 7),
        parity(1, 8),
        // The second phase: two at once, then one that does not come again.
        "	mbarrier.arrive.release.cta.shared::cta.b64 %s3, [%o], 2;\n".into(),
        test(3, 9),
        "	mbarrier.arrive_drop.shared.b64 _, [%o];\n".into(),
        test(3, 10),
        parity(1, 11),
        // The third expects two.
        "	mbarrier.arrive.shared.b64 %s4, [%o];\n	mbarrier.arrive.shared.b64 %s5, [%o];\n".into(),
        pending(4, 12),
        test(5, 13),
        "	mbarrier.inval.shared.b64 [%o];\n".into(),
    ];
    let found = run(&body.concat(), 1).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(found[..14], [0, 0, 1, 3, 2, 1, 1, 1, 0, 0, 1, 1, 2, 1]);
}

/// A phase waits for bytes too.
#[test]
fn phases_wait_for_bytes() {
    let body = [
        "	mbarrier.init.shared.b64 [%o], 2;\n",
        "	mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 %s0, [%o], 48;\n",
        "	mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%o], 16;\n",
        "	mbarrier.arrive.shared.b64 _, [%o];\n",
        "	mbarrier.test_wait.acquire.cta.shared::cta.b64 %p, [%o], %s0;\n",
        &keep(0),
        "	mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%o], 60;\n",
        "	mbarrier.test_wait.shared.b64 %p, [%o], %s0;\n",
        &keep(1),
        "	mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%o], 4;\n",
        "	mbarrier.test_wait.shared.b64 %p, [%o], %s0;\n",
        &keep(2),
    ];
    let found = run(&body.concat(), 1).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(found[..3], [0, 0, 1]);
}

/// Sixty-four threads pass values around, twenty rounds of two phases.
#[test]
fn threads_wait_for_each_other() {
    let body = format!(
        "{BEGIN}	setp.ne.u32 %q, %t, 0;
	@%q bra READY;
	mov.u32 %r0, %ntid.x;
	mbarrier.init.shared.b64 [%o], %r0;
READY:
	bar.sync 0;
	mov.u32 %r1, 0;
	mov.u32 %count, 0;
	mov.u32 %r2, values;
	mad.lo.u32 %r3, %t, 4, %r2;
	add.u32 %r4, %t, 1;
	and.b32 %r4, %r4, 63;
	mad.lo.u32 %r4, %r4, 4, %r2;
ROUND:
	mad.lo.u32 %r5, %r1, 100, %t;
	st.shared.b32 [%r3], %r5;
	mbarrier.arrive.shared.b64 %s0, [%o];
WRITTEN:
	mbarrier.test_wait.shared.b64 %p, [%o], %s0;
	@!%p bra WRITTEN;
	ld.shared.b32 %r5, [%r4];
	add.u32 %count, %count, %r5;
	mbarrier.arrive.shared.b64 _, [%o];
READ:
	mbarrier.try_wait.parity.shared.b64 %p, [%o], 1;
	@!%p bra READ;
	add.u32 %r1, %r1, 1;
	setp.lt.u32 %q, %r1, 20;
	@%q bra ROUND;
	mul.wide.u32 %place, %t, 4;
	add.u64 %out, %out, %place;
	st.global.b32 [%out], %count;"
    );
    for seed in 0..4 {
        let found = fill(&module(&["out"], &body), Shape::line(1, 64).order(1, seed), 64);
        for (thread, sum) in found.into_iter().enumerate() {
            assert_eq!(sum, 100 * 190 + 20 * (thread as u32 + 1) % (20 * 64), "thread {thread}, seed {seed}");
        }
    }
}

/// One thread copies for all: in with a phase that waits for the bytes, out as a group.
#[test]
fn bulk_copies_come_and_go() {
    let body = format!(
        "{BEGIN}	.reg .b64 %in;
	ld.param.u64 %in, [in];
	setp.ne.u32 %q, %t, 0;
	mov.u32 %r2, values;
	@!%q mbarrier.init.shared.b64 [%o], 1;
	bar.sync 0;
	@!%q mbarrier.arrive.expect_tx.shared.b64 _, [%o], 256;
	@!%q cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [%in], 192, [%o];
	mov.u32 %r0, 64;
	@!%q cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%r2+192], [%in+192], %r0, [%o];
COME:
	mbarrier.try_wait.parity.shared.b64 %p, [%o], 0;
	@!%p bra COME;
	sub.u32 %r3, 63, %t;
	mad.lo.u32 %r3, %r3, 4, %r2;
	ld.shared.b32 %r4, [%r3];
	mad.lo.u32 %r4, %r4, 3, %t;
	bar.sync 0;
	st.shared.b32 [%r3], %r4;
	fence.proxy.async.shared::cta;
	bar.sync 0;
	@!%q cp.async.bulk.global.shared::cta.bulk_group [%out+16], [%r2], 240;
	cp.async.bulk.commit_group;
	cp.async.bulk.wait_group.read 0;"
    );
    let (mut out, mut input) = (vec![7; 64], (0..64).map(|i| i * i).collect::<Vec<u32>>());
    let arguments = &mut [Argument::Buffer(&mut out), Argument::Buffer(&mut input)];
    launch(&module(&["out", "in"], &body), Shape::line(1, 64), arguments).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(out[..4], [7; 4]);
    assert!(out[4..].iter().zip(0..).all(|(found, i)| *found == 3 * i * i + 63 - i), "{out:?}");
}

#[test]
fn wrong_uses_are_faults() {
    for (body, message) in [
        ("mbarrier.init.shared.b64 [%o], 0;", "initialised for 0 arrivals"),
        ("mbarrier.init.shared.b64 [%o], 1048576;", "initialised for 1048576 arrivals"),
        ("mbarrier.arrive.shared.b64 _, [%o];", "not initialised"),
        (
            "mbarrier.init.shared.b64 [%o], 2; mbarrier.inval.shared.b64 [%o]; mbarrier.arrive.b64 _, [%g];",
            "no longer valid",
        ),
        (
            "mbarrier.init.shared.b64 [%o], 2; mbarrier.arrive.shared.b64 _, [%o], 3;",
            "3 arrivals, but the phase waits for 2",
        ),
        (
            "mbarrier.init.shared.b64 [%o], 1; mbarrier.arrive.noComplete.shared.b64 %s0, [%o], 1;",
            "must not end the phase",
        ),
        ("cp.async.bulk.global.shared::cta.bulk_group [%out], [%o], 24;", "trap"),
        ("cp.async.bulk.global.shared::cta.bulk_group [%out+8], [%o], 16;", "misaligned access of 16 bytes"),
        ("cp.async.bulk.global.shared::cta.bulk_group [%out], [%o+224], 64;", "but the block has"),
        ("add.u32 %o, %o, 4; mbarrier.init.shared.b64 [%o], 1;", "misaligned access of 8 bytes"),
    ] {
        let ptx = module(&["out"], &format!("{BEGIN}\t{body}"));
        let report = launch(&ptx, Shape::line(1, 1).unchecked(), &mut [Argument::Buffer(&mut [0; 64])]);
        let report = report.expect_err("it is wrong");
        assert!(report.message.contains(message), "{report}");
    }
}
