//! What waits for what: grids that meet, blocks and lanes that spin, barriers that not everybody reaches.

use crate::harness::{Argument, Shape, fill, launch, line_of, module};

const COOPERATIVE: &str = include_str!("../ptx/cooperative.ptx");

#[test]
fn a_cooperative_grid_meets() {
    for (blocks, threads, host_threads, seed) in [(1, 32, 1, 0), (7, 96, 1, 0), (200, 128, 2, 0), (108, 256, 1, 3)] {
        let total = (blocks * threads) as usize;
        let mut input: Vec<u32> = (0..5000).map(|i: u32| i * 7 % 1001).collect();
        let sum: u32 = input.iter().sum();
        let (mut partial, mut out) = (vec![0; blocks as usize], vec![0; total + 1]);
        let arguments = &mut [
            Argument::Buffer(&mut input),
            Argument::Buffer(&mut partial),
            Argument::Buffer(&mut out),
            Argument::U32(5000),
        ];
        let shape = Shape::line(blocks, threads).cooperative().order(host_threads, seed);
        launch(COOPERATIVE, shape, arguments).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(out[0], sum);
        assert!(out[1..].iter().zip(sum..).all(|(found, expected)| *found == expected), "{blocks} blocks");
    }
}

/// A launch that is not cooperative has no workspace, which cooperative groups notice.
#[test]
fn a_plain_grid_has_no_barrier() {
    let mut buffers = [[0; 64]; 3];
    let mut arguments: Vec<Argument> = buffers.iter_mut().map(|buffer| Argument::Buffer(buffer)).collect();
    arguments.push(Argument::U32(0));
    let report = launch(COOPERATIVE, Shape::line(1, 32), &mut arguments).unwrap_err();
    assert_eq!(report.message, "trap");
}

#[test]
fn groups_of_lanes() {
    let value = |t: u32| t * 37 % 101;
    let mut input: Vec<u32> = (0..128).map(value).collect();
    let mut out = vec![0; 640];
    let arguments = &mut [Argument::Buffer(&mut input), Argument::Buffer(&mut out)];
    launch(COOPERATIVE, Shape::line(1, 128).kernel(1), arguments).unwrap_or_else(|report| panic!("{report}"));
    let warp = |t: u32| t / 32 * 32..t / 32 * 32 + 32;
    let size = |t: u32, with: &dyn Fn(u32) -> bool| warp(t).filter(|other| with(*other)).count() as u32;
    for t in 0..128u32 {
        let at = |row: u32| out[(128 * row + t) as usize];
        let odd = |other: u32| value(other) % 2 == 1;
        let together = size(t, &odd);
        let expected = together * 100 + size(t, &|other| odd(other) && other < t) + 10000 * together;
        assert_eq!(at(0), if odd(t) { expected } else { u32::MAX }, "coalesced, thread {t}");
        let alike = |other: &u32| value(*other) % 3 == value(t) % 3;
        assert_eq!(at(1), warp(t).filter(alike).map(value).sum(), "labelled, thread {t}");
        assert_eq!(at(2), (t / 8 * 8..=t).map(value).sum(), "scan, thread {t}");
        assert_eq!(at(3), size(t, &|other| (value(other) > 50) == (value(t) > 50)), "binary, thread {t}");
        assert_eq!(at(4), value(127 - t), "copy, thread {t}");
    }
}

/// Every block waits for the one after it: all must be under way at once, whatever the order and however many.
#[test]
fn blocks_wait_for_later_blocks() {
    let ptx = module(
        &["flags", "done"],
        "\t.reg .b64 %flags, %done, %own, %next;\n\t.reg .b32 %block, %blocks, %r, %thread;\n\t.reg .pred %p;
	ld.param.u64 %flags, [flags];\n	ld.param.u64 %done, [done];
	mov.u32 %block, %ctaid.x;\n	mov.u32 %blocks, %nctaid.x;\n	mov.u32 %thread, %tid.x;
	mul.wide.u32 %own, %block, 4;\n	add.s64 %done, %done, %own;\n	add.s64 %flags, %flags, %own;
	setp.ne.u32 %p, %thread, 0;\n	@%p bra WAITED;
	add.u32 %r, %block, 1;\n	setp.eq.u32 %p, %r, %blocks;\n	@%p bra FLAG;
SPIN:	ld.acquire.gpu.global.b32 %r, [%flags+4];\n	setp.eq.u32 %p, %r, 0;\n	@%p bra SPIN;
FLAG:	st.release.gpu.global.b32 [%flags], 1;
WAITED:	bar.sync 0;\n	st.global.b32 [%done], 7;",
    );
    // An A100 holds 108 * 32 blocks of one warp, and 108 of a whole multiprocessor's shared memory.
    for (blocks, shared, threads, seed) in [(3456, 0, 1, 0), (3456, 0, 2, 0), (3456, 0, 1, 5), (108, 160 << 10, 1, 0)] {
        let (mut flags, mut done) = (vec![0; blocks], vec![0; blocks]);
        let arguments = &mut [Argument::Buffer(&mut flags), Argument::Buffer(&mut done)];
        let shape = Shape::line(blocks as u32, 32).shared(shared).order(threads, seed);
        launch(&ptx, shape, arguments).unwrap_or_else(|report| panic!("{report}"));
        assert!(done.iter().all(|done| *done == 7));
    }
}

/// Blocks wait for those before them, and there are more than fit: they are started in order.
#[test]
fn blocks_wait_for_earlier_blocks() {
    let ptx = module(
        &["sums"],
        "\t.reg .b64 %sums, %own;\n\t.reg .b32 %block, %r;\n\t.reg .pred %p;
	ld.param.u64 %sums, [sums];\n	mov.u32 %block, %ctaid.x;\n	mul.wide.u32 %own, %block, 4;\n	add.s64 %sums, %sums, %own;
	mov.b32 %r, 0;\n	setp.eq.u32 %p, %block, 0;\n	@%p bra ADD;
SPIN:	ld.volatile.global.b32 %r, [%sums+-4];\n	setp.eq.u32 %p, %r, 0;\n	@%p bra SPIN;
ADD:	add.u32 %r, %r, %block;\n	add.u32 %r, %r, 1;\n	st.volatile.global.b32 [%sums], %r;",
    );
    for (threads, seed) in [(1, 0), (2, 0), (1, 1), (2, 99)] {
        let mut sums = vec![0; 5000];
        launch(&ptx, Shape::line(5000, 32).order(threads, seed), &mut [Argument::Buffer(&mut sums)])
            .unwrap_or_else(|report| panic!("{report}"));
        for (block, sum) in (1u64..).zip(sums) {
            assert_eq!(u64::from(sum), (block * (block + 1) / 2) & 0xffff_ffff);
        }
    }
}

/// Locks as CUDA C++ programs write them, taken by every lane of a warp.
#[test]
fn locks_among_the_lanes_of_a_warp() {
    let ptx = include_str!("../ptx/locks.ptx");
    for kernel in 0..4 {
        for (threads, seed) in [(1, 0), (2, 0), (1, 1), (1, 77)] {
            let mut cells = [0, 0];
            let shape = Shape::line(4, 64).kernel(kernel).order(threads, seed);
            launch(ptx, shape, &mut [Argument::Buffer(&mut cells)])
                .unwrap_or_else(|report| panic!("kernel {kernel}: {report}"));
            assert_eq!(cells, [0, 256], "kernel {kernel}, {threads} threads, seed {seed}");
        }
    }
}

/// A kernel of `threads` whose body ends with the number of its thread in `out`.
fn failing(threads: u32, body: &str) -> (String, cuda_emulator::report::Report) {
    let ptx = storing(body);
    let report = launch(&ptx, Shape::line(1, threads), &mut [Argument::Buffer(&mut [0])]).expect_err(body);
    (ptx, report)
}

/// A kernel that executes `body`, which has the number of the thread in `%t`, and stores it.
fn storing(body: &str) -> String {
    module(
        &["out"],
        &format!(
            "\t.reg .b64 %base;\n\t.reg .b32 %t, %r;\n\t.reg .pred %p, %q;\n\tld.param.u64 %base, [out];\n\tmov.u32 %t, %tid.x;
{body}\n\tst.global.b32 [%base], %t;"
        ),
    )
}

#[test]
fn barriers_that_lanes_reach_apart() {
    for (body, waiting) in [
        // Half of the lanes go around it.
        ("\tsetp.ge.u32 %p, %t, 16;\n\t@%p bra SKIP;\n\tbar.sync 0;\nSKIP:\tadd.u32 %t, %t, 1;", "16 threads"),
        // Each side has its own.
        (
            "\tsetp.ge.u32 %p, %t, 16;\n\t@%p bra ELSE;\n\tbar.sync 0;\n\tbra JOIN;\nELSE:\tbar.sync 0;\nJOIN:",
            "16 threads",
        ),
        (
            "\tsetp.ge.u32 %p, %t, 16;\n\t@%p bra ELSE;\n\tbar.sync 0;\n\tbra JOIN;\nELSE:\tbar.sync 1;\nJOIN:",
            "16 threads",
        ),
        // Some leave a loop earlier.
        (
            "\tmov.b32 %r, 0;\nLOOP:\tbar.sync 0;\n\tadd.u32 %r, %r, 1;\n\tsetp.lt.u32 %p, %r, %t;\n\t@%p bra LOOP;",
            "30 threads",
        ),
    ] {
        let (ptx, report) = failing(32, body);
        assert!(report.message.starts_with("divergent barrier"), "{report}");
        assert!(report.message.contains(waiting), "{report}");
        assert_eq!(report.ptx_line, line_of(&ptx, "bar.sync"), "{report}");
    }
    let (_, report) = failing(32, "\tsetp.ge.u32 %p, %t, 16;\n\t@%p bar.sync 0;");
    assert!(report.message.starts_with("divergent barrier"), "{report}");
}

#[test]
fn barriers_that_warps_do_not_complete() {
    // The second warp waits at another barrier.
    let body = "\tsetp.ge.u32 %p, %t, 32;\n\t@%p bra ELSE;\n\tbar.sync 1;\n\tbra JOIN;\nELSE:\tbar.sync 2;\nJOIN:";
    let (_, report) = failing(96, body);
    assert!(report.message.starts_with("deadlock: no thread of the block can go on"), "{report}");
    for line in [
        "warp 0, 32 threads, PTX line 15: bar.sync 1;",
        "wait at barrier 1, where 32 of 96 threads have arrived",
        "warps 1-2, 64 threads, PTX line 17: ELSE:\tbar.sync 2;",
        "wait at barrier 2, where 64 of 96 threads have arrived",
    ] {
        assert!(report.message.contains(line), "{line}: {report}");
    }
    for (body, message) in [
        ("\tbar.sync 0, 128;", "barrier 0 expects 128 threads, but the block has 96"),
        ("\tbar.sync 0, 48;", "barrier of 48 threads, not whole warps"),
        (
            "\tsetp.ge.u32 %p, %t, 32;\n\t@%p bra ELSE;\n\tbar.sync 1, 64;\n\tbra JOIN;\nELSE:\tbar.sync 1;\nJOIN:",
            "barrier 1 expects 96 threads here, but 64 where others arrived at it",
        ),
        (
            // Half a warp, and two whole ones.
            "\tsetp.ge.u32 %p, %t, 16;\n\tsetp.lt.u32 %q, %t, 32;\n\tand.pred %q, %p, %q;\n\t@%q barrier.sync 4, 96;\n\tbarrier.sync 3, 64;",
            "80 threads have arrived at barrier 3, which expects 64",
        ),
    ] {
        let (_, report) = failing(96, body);
        assert!(report.message.contains(message), "{message}: {report}");
    }
}

#[test]
fn warps_that_wait_for_lanes_that_left_them() {
    let body = "\tsetp.ge.u32 %p, %t, 16;\n\t@%p bra SKIP;\n\tbar.warp.sync -1;\nSKIP:\tadd.u32 %t, %t, 1;";
    let ptx = storing(body);
    let mut shape = Shape::line(1, 32).unchecked();
    // They leave the kernel, and then the others go on.
    let mut out = [0];
    launch(&ptx, shape, &mut [Argument::Buffer(&mut out)]).unwrap_or_else(|report| panic!("{report}"));
    assert!((1..=16).contains(&out[0]), "the lanes that waited wrote last: {out:?}");
    shape.checks.barriers = true;
    let report = launch(&ptx, shape, &mut [Argument::Buffer(&mut [0])]).unwrap_err();
    assert!(report.message.starts_with("deadlock: lanes wait for others of their warp"), "{report}");
    assert!(report.message.contains("wait for the other lanes that the instruction names"), "{report}");
    assert!(report.message.contains("wait for lanes that they parted from to meet them here"), "{report}");
    assert_eq!(report.ptx_line, line_of(&ptx, "bar.warp.sync"));
}

/// Two warps produce, two consume, through a pair of barriers with counts.
#[test]
fn named_barriers_pair_warps() {
    let ptx = module(
        &["out"],
        "\t.reg .b64 %base, %offset;\n\t.reg .b32 %t, %i, %a, %sum, %x;\n\t.reg .pred %p;\n\t.shared .b32 room[64];
	ld.param.u64 %base, [out];\n	mov.u32 %t, %tid.x;\n	mov.b32 %i, 0;\n	mov.b32 %sum, 0;
	and.b32 %a, %t, 63;\n	shl.b32 %a, %a, 2;\n	mov.u32 %x, room;\n	add.u32 %a, %a, %x;
	setp.lt.u32 %p, %t, 64;\n	@%p bra PRODUCE;
CONSUME:	barrier.cta.sync.aligned 1, 128;\n	ld.shared.b32 %x, [%a];\n	add.u32 %sum, %sum, %x;\n	barrier.cta.arrive.aligned 2, 128;
	add.u32 %i, %i, 1;\n	setp.lt.u32 %p, %i, 50;\n	@%p bra CONSUME;\n	bra DONE;
PRODUCE:	mad.lo.u32 %x, %i, 100, %t;\n	st.shared.b32 [%a], %x;\n	bar.arrive 1, 128;\n	bar.sync 2, 128;
	add.u32 %i, %i, 1;\n	setp.lt.u32 %p, %i, 50;\n	@%p bra PRODUCE;
DONE:	mul.wide.u32 %offset, %t, 4;\n	add.s64 %base, %base, %offset;\n	st.global.b32 [%base], %sum;",
    );
    for seed in 0..5 {
        let out = fill(&ptx, Shape::line(1, 128).order(1, seed), 128);
        for (t, sum) in (0..64).zip(&out[64..]) {
            assert_eq!(*sum, 100 * (50 * 49 / 2) + 50 * t, "thread {t}, seed {seed}");
        }
    }
}

/// `barrier.sync` without `.aligned` counts lanes that come from different places.
#[test]
fn barriers_that_are_not_aligned_take_lanes_apart() {
    let ptx = module(
        &["out"],
        "\t.reg .b64 %base, %offset;\n\t.reg .b32 %t, %x;\n\t.reg .pred %p;
	ld.param.u64 %base, [out];\n	mov.u32 %t, %tid.x;\n	and.b32 %x, %t, 1;\n	setp.eq.u32 %p, %x, 0;\n	@%p bra EVEN;
	mov.b32 %x, 5;\n	barrier.sync 0;\n	bra JOIN;
EVEN:	mov.b32 %x, 6;\n	barrier.sync 0;
JOIN:	mul.wide.u32 %offset, %t, 4;\n	add.s64 %base, %base, %offset;\n	st.global.b32 [%base], %x;",
    );
    for (t, found) in (0..).zip(fill(&ptx, Shape::line(1, 64), 64)) {
        assert_eq!(found, 6 - t % 2);
    }
}

#[test]
fn a_launch_that_never_ends_times_out() {
    let ptx = module(
        &["out"],
        "\t.reg .b64 %base;\n\t.reg .b32 %r;\n\t.reg .pred %p;\n\tld.param.u64 %base, [out];
SPIN:	ld.volatile.global.b32 %r, [%base];\n	setp.eq.u32 %p, %r, 0;\n	@%p bra SPIN;",
    );
    let shape = Shape { timeout: Some(std::time::Duration::from_millis(50)), ..Shape::line(3, 64) };
    let report = launch(&ptx, shape, &mut [Argument::Buffer(&mut [0])]).unwrap_err();
    assert!(report.message.starts_with("the launch timed out"), "{report}");
    assert!(report.message.contains("warps 0-1, 64 threads"), "{report}");
    assert_eq!(report.fault, Some(cuda_emulator::report::Fault::LaunchTimeout));
}

/// What `body` leaves in its 64 words of `out` with each of 24 seeds, the same each time it runs.
fn outcomes(body: &str) -> Vec<Vec<u32>> {
    let ptx = module(
        &["out"],
        &format!(
            "\t.reg .b64 %base, %offset;\n\t.reg .b32 %t, %a, %r, %x;\n\t.reg .pred %p, %q;\n\t.shared .align 16 .b8 room[512];
	ld.param.u64 %base, [out];\n	mov.u32 %t, %tid.x;\n	mul.wide.u32 %offset, %t, 4;\n	add.s64 %offset, %base, %offset;
	shl.b32 %a, %t, 2;\n	mov.u32 %x, room;\n	add.u32 %a, %a, %x;\n	mov.b32 %r, 0;
{body}\n	st.global.b32 [%offset], %r;"
        ),
    );
    // Most of the bodies are wrong on purpose.
    let run = |seed| fill(&ptx, Shape::line(1, 64).order(1, seed).unchecked(), 64);
    (1..=24)
        .map(|seed| {
            let first = run(seed);
            assert_eq!(first, run(seed), "seed {seed}");
            first
        })
        .collect()
}

/// Seeds show what one order hides, and leave alone what is right.
#[test]
fn seeds_vary_what_nothing_orders() {
    let writes = "\tst.shared.b32 [%a], 0;\n\tbar.sync 0;\n\tsetp.lt.u32 %p, %t, LIMIT;\n\t@!%p bra READ;\n\tst.shared.b32 [%a], 5;\n\tbra JOIN;";
    let reads = "\nREAD:\tld.shared.b32 %r, [%a+-DISTANCE];\nJOIN:";
    for (what, limit, distance) in [("warps", "32", "128"), ("sides of a branch", "16", "64")] {
        let body = [writes, reads].concat().replace("LIMIT", limit).replace("DISTANCE", distance);
        let body = if what == "warps" { body } else { format!("\tsetp.ge.u32 %q, %t, 32;\n\t@%q ret;\n{body}") };
        let reader = limit.parse::<usize>().unwrap();
        let found: std::collections::BTreeSet<u32> = outcomes(&body).iter().map(|out| out[reader]).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [0, 5], "{what}");
    }
    let barrier =
        [writes, "\nREAD:\nJOIN:\tbar.sync 0;\n\t@%p bra END;\n\tld.shared.b32 %r, [%a+-128];\nEND:"].concat();
    for out in outcomes(&barrier.replace("LIMIT", "32")) {
        assert_eq!(out[32..], [5; 32]);
    }
}

/// A copy reads its source at any time between its beginning and its wait.
#[test]
fn seeds_vary_when_copies_are_done() {
    let body = |before: &str, after: &str| {
        format!(
            "\tst.global.b32 [%offset], 1;\n\tcp.async.ca.shared.global [%a], [%offset], 4;\n\tcp.async.commit_group;{before}
	st.global.b32 [%offset], 2;{after}\n	ld.shared.b32 %r, [%a];"
        )
    };
    let wait = "\n\tcp.async.wait_group 0;";
    let found: std::collections::BTreeSet<u32> = outcomes(&body("", wait)).iter().map(|out| out[0]).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [1, 2]);
    assert!(outcomes(&body(wait, "")).iter().all(|out| out[..] == [1; 64]));
}
