//! Branches, loops, calls: where lanes part and meet again.

use crate::harness::{Argument, HEADER, Shape, elementwise, fill, launch};

fn source(body: &str) -> String {
    format!("{HEADER}{body}")
}

/// Runs `text` on lanes whose `%a` is their number times seven modulo 32.
fn lanes(text: &str) -> Vec<(u32, u32)> {
    let operands: Vec<[u64; 3]> = (0..96).map(|lane| [lane * 7 % 32, lane, 0]).collect();
    let found = elementwise(text, 32, 32, &operands);
    operands.iter().map(|[a, ..]| *a as u32).zip(found.into_iter().map(|d| d as u32)).collect()
}

#[test]
fn two_ways_meet_again() {
    let text = "setp.lt.u32 %p, %a, 13; @%p bra LESS; add.u32 %d, %a, 100; bra.uni JOIN;
        LESS: mul.lo.u32 %d, %a, 3;
        JOIN: activemask.b32 %t; popc.b32 %t, %t; mad.lo.u32 %d, %t, 1000, %d;";
    for (a, d) in lanes(text) {
        assert_eq!(d, 32_000 + if a < 13 { a * 3 } else { a + 100 });
    }
}

#[test]
fn branches_nest() {
    let text = "mov.b32 %d, 0; setp.lt.u32 %p, %a, 16; @!%p bra OUTER;
        and.b32 %t, %a, 1; setp.eq.u32 %q, %t, 0; @%q bra EVEN;
        add.u32 %d, %d, 1; setp.gt.u32 %q, %a, 9; @!%q bra SMALL; add.u32 %d, %d, 10;
        SMALL: bra INNER;
        EVEN: add.u32 %d, %d, 2;
        INNER: activemask.b32 %t; popc.b32 %t, %t; mad.lo.u32 %d, %t, 1000, %d;
        OUTER: activemask.b32 %t; popc.b32 %t, %t; mad.lo.u32 %d, %t, 100000, %d;";
    for (a, d) in lanes(text) {
        let inner = match (a < 16, a % 2, a > 9) {
            (false, ..) => 0,
            (true, 0, _) => 16_002,
            (true, _, big) => 16_001 + u32::from(big) * 10,
        };
        assert_eq!(d, 3_200_000 + inner, "lane of {a}");
    }
}

#[test]
fn lanes_loop_as_often_as_they_need() {
    let text = "mov.b32 %d, 0; mov.b32 %t, %a;
        LOOP: setp.eq.u32 %p, %t, 0; @%p bra DONE; add.u32 %d, %d, %t; sub.u32 %t, %t, 1; bra.uni LOOP;
        DONE: activemask.b32 %t; popc.b32 %t, %t; mad.lo.u32 %d, %t, 10000, %d;";
    for (a, d) in lanes(text) {
        assert_eq!(d, 320_000 + a * (a + 1) / 2);
    }
}

#[test]
fn loops_nest_break_and_continue() {
    let text = "{ .reg .b32 i, j; mov.b32 %d, 0; mov.b32 i, 0;
        OUTER: add.u32 i, i, 1; setp.gt.u32 %p, i, %a; @%p bra END;
        and.b32 j, i, 3; setp.eq.u32 %p, j, 0; @%p bra OUTER;
        mov.b32 j, 0;
        INNER: add.u32 %d, %d, i; add.u32 j, j, 1; setp.gt.u32 %p, %d, 200; @%p bra END;
        setp.lt.u32 %q, j, i; @%q bra INNER;
        bra.uni OUTER;
        END: }";
    let definition = |a: u32| {
        let mut d = 0;
        for i in (1..=a).filter(|i| i % 4 != 0) {
            for _ in 0..i {
                d += i;
                if d > 200 {
                    return d;
                }
            }
        }
        d
    };
    for (a, d) in lanes(text) {
        assert_eq!(d, definition(a), "lane of {a}");
    }
}

#[test]
fn indexed_branches() {
    let text = "min.u32 %t, %a, 4;
        table: .branchtargets ZERO, ONE, TWO, ONE, REST;
        brx.idx %t, table;
        ZERO: mov.b32 %d, 10; bra.uni END;
        ONE: mov.b32 %d, 11; bra.uni END;
        TWO: mov.b32 %d, 12;
        REST: add.u32 %d, %a, 50;
        END: add.u32 %d, %d, 1;";
    for (a, d) in lanes(text) {
        assert_eq!(d, [11, 12, a + 51, 12, a + 51][a.min(4) as usize], "lane of {a}");
    }
}

#[test]
fn scopes_shadow_registers_and_labels() {
    let text = "mov.b32 %t, 5;
        { .reg .b32 %t; .reg.b32 x; mov.b32 %t, 7; mov.b32 x, %t; bra L; mov.b32 x, 1; L: add.u32 %d, x, %a; }
        { .reg .b32 x; mov.b32 x, 100; bra L; mov.b32 x, 1; L: add.u32 %d, %d, x; }
        add.u32 %d, %d, %t;";
    for (a, d) in lanes(text) {
        assert_eq!(d, a + 112);
    }
}

/// A spin lock among the lanes of one warp ends only if diverged lanes take turns.
#[test]
fn diverged_lanes_take_turns() {
    let mut cells = [0, 0];
    let arguments = &mut [Argument::Buffer(&mut cells)];
    launch(&source(include_str!("../ptx/spin_lock.ptx")), Shape::line(2, 64).order(2, 1), arguments)
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(cells, [0, 128]);
}

/// Half of a warp loops so long that the rest goes ahead; they are one again where they meet.
#[test]
fn lanes_that_went_ahead_meet_again() {
    let long = "mov.b32 %d, 0; setp.ge.u32 %p, %a, 16; @%p bra JOIN;
        LOOP: add.u32 %d, %d, 1; setp.lt.u32 %q, %d, 100000; @%q bra LOOP; JOIN:";
    for meeting in ["bar.warp.sync -1;", "bar.sync 0;"] {
        let text = format!("{long} {meeting} activemask.b32 %t; popc.b32 %t, %t; add.u32 %d, %d, %t;");
        for (a, d) in lanes(&text) {
            assert_eq!(d, if a < 16 { 100_032 } else { 32 }, "{meeting}");
        }
    }
    // A matrix operation is a meeting itself.
    let text = format!(
        "{{ .reg .b32 x, y, z; {long} mov.b32 x, 0x3c003c00; mov.b32 y, 0;
        mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {{y, z}}, {{x, x}}, {{x}}, {{y, y}}; add.u32 %d, %d, y; }}"
    );
    for (a, d) in lanes(&text) {
        assert_eq!(d, if a < 16 { 100_000 } else { 0 } + 0x4800_4800);
    }
}

#[test]
fn early_returns_leave_the_rest_running() {
    let found = fill(&source(include_str!("../ptx/early_return.ptx")), Shape::line(1, 128), 128);
    for (thread, found) in found.into_iter().enumerate() {
        // Threads 0..40 left before the barrier that the others wait at.
        let expected = if thread < 40 { 1 } else { 2 + 88 };
        assert_eq!(found, expected, "thread {thread}");
    }
}

#[test]
fn functions_take_and_return_parameters() {
    let mut out = vec![0; 64];
    let mut input: Vec<u32> = (0..64).collect();
    let arguments = &mut [Argument::Buffer(&mut out), Argument::Buffer(&mut input), Argument::U32(3)];
    launch(&source(include_str!("../ptx/calls.ptx")), Shape::line(1, 64), arguments)
        .unwrap_or_else(|report| panic!("{report}"));
    for (x, found) in (0..64).zip(out) {
        // The pair (x, 3) swapped and summed with weights, by a function that only odd threads call.
        let expected = if x % 2 == 1 { 3 * 10 + x + 1 } else { x };
        assert_eq!(found, expected, "thread {x}");
    }
}

/// While the lanes of one side of a branch loop, those of the other must not write over their registers: lanes lie
/// elsewhere in registers of 64 bits than in narrower ones.
#[test]
fn diverged_lanes_keep_their_registers() {
    let text = "{ .reg .b64 wide; .reg .b32 i, x, y, z, w; setp.lt.u32 %p, %a, 16; @%p bra NARROW;
        mul.wide.u32 wide, %a, 0x10001; mov.b32 i, 0;
        WIDE: add.u32 i, i, 1; setp.lt.u32 %q, i, 20000; @%q bra WIDE;
        shr.u64 wide, wide, 4; cvt.u32.u64 %d, wide; bra JOIN;
        NARROW: mov.b32 i, 0; mov.b32 x, %a; mov.b32 y, %a; mov.b32 z, %a; mov.b32 w, %a;
        NARROWER: add.u32 i, i, 1; add.u32 x, x, 1; add.u32 y, y, 2; add.u32 z, z, 3; add.u32 w, w, 4;
        setp.lt.u32 %q, i, 20000; @%q bra NARROWER;
        add.u32 x, x, y; add.u32 z, z, w; add.u32 %d, x, z;
        JOIN: }";
    for (a, d) in lanes(text) {
        assert_eq!(d, if a < 16 { 4 * a + 200_000 } else { (a * 0x10001) >> 4 }, "lane of {a}");
    }
}
