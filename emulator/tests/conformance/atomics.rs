//! Atomic operations of every kind, in every space, from several blocks on several host threads.

use crate::harness::{Argument, HEADER, Shape, check, integers64, launch, module, triples};

const BLOCKS: u32 = 4;
const THREADS: u32 = 96;
const ALL: u32 = BLOCKS * THREADS;

/// Runs `text` in every thread of every block; it works on the 64-bit cell at `%cell` with the thread's number among
/// all in `%i`. Returns the cell, and `%old` of every thread in ascending order.
fn contend(text: &str, initial: u64) -> (u64, Vec<u32>) {
    let body = format!(
        "\t.reg .b32 %i, %n, %old, %r<4>;\n\t.reg .b64 %cell, %out, %at, %wide<4>;\n\t.reg .f32 %f<4>;
	.reg .f64 %d<3>;\n\t.reg .b16 %h<3>;\n\t.reg .pred %p;
	ld.param.u64 %cell, [cell];
	ld.param.u64 %out, [out];
	mov.u32 %i, %ctaid.x;
	mov.u32 %n, %tid.x;
	mad.lo.u32 %i, %i, {THREADS}, %n;
	mov.b32 %old, 0;
	{text}
	mul.wide.u32 %at, %i, 4;
	add.s64 %out, %out, %at;
	st.global.u32 [%out], %old;"
    );
    let mut cell = [initial as u32, (initial >> 32) as u32];
    let mut out = vec![0; ALL as usize];
    let arguments = &mut [Argument::Buffer(&mut cell), Argument::Buffer(&mut out)];
    launch(&module(&["cell", "out"], &body), Shape::line(BLOCKS, THREADS).order(2, 3), arguments)
        .unwrap_or_else(|report| panic!("{text}: {report}"));
    out.sort_unstable();
    (u64::from(cell[1]) << 32 | u64::from(cell[0]), out)
}

fn cell(text: &str, initial: u64) -> u64 {
    contend(text, initial).0
}

#[test]
fn tickets_are_given_out_once() {
    let (total, tickets) = contend("atom.global.add.u32 %old, [%cell], 1;", 0);
    assert_eq!(total, ALL.into());
    assert_eq!(tickets, (0..ALL).collect::<Vec<_>>());
    let (total, tickets) = contend("atom.global.inc.u32 %old, [%cell], 383;", 0);
    assert_eq!((total, tickets), (0, (0..ALL).collect()));
    let (total, _) = contend("atom.global.dec.u32 %old, [%cell], 9;", 3);
    // 3, 2, 1, 0, 9, 8, ...: 384 steps from 3 in a cycle of 10.
    assert_eq!(total, 9);
}

#[test]
fn exchanges_and_compare_exchanges_lose_nothing() {
    let (last, mut seen) = contend("add.u32 %r1, %i, 1; atom.global.exch.b32 %old, [%cell], %r1;", 0);
    seen.push(last as u32);
    seen.sort_unstable();
    assert_eq!(seen, (0..=ALL).collect::<Vec<_>>());
    let text = "ld.global.u32 %old, [%cell];
        AGAIN: mov.b32 %r1, %old; add.u32 %r2, %r1, 2; atom.global.cas.b32 %old, [%cell], %r1, %r2;
        setp.ne.u32 %p, %old, %r1; @%p bra AGAIN;";
    let (total, tickets) = contend(text, 0);
    assert_eq!(total, u64::from(2 * ALL));
    assert_eq!(tickets, (0..ALL).map(|i| 2 * i).collect::<Vec<_>>());
    let text = "cvt.u64.u32 %wide1, %i; add.u64 %wide1, %wide1, 1; atom.global.cas.b64 %wide2, [%cell], 0, %wide1;
        cvt.u32.u64 %old, %wide2;";
    let (winner, seen) = contend(text, 0);
    assert_eq!(seen.iter().filter(|&&old| old == 0).count(), 1);
    assert_eq!(u64::from(seen[1]), winner);
}

#[test]
fn integers_of_both_widths() {
    let last = u64::from(ALL - 1);
    let sum = last * (last + 1) / 2;
    assert_eq!(cell("red.global.add.u32 [%cell], %i;", 5), sum + 5);
    assert_eq!(cell("cvt.u64.u32 %wide1, %i; red.global.add.u64 [%cell], %wide1;", 1 << 40), (1 << 40) + sum);
    assert_eq!(cell("red.global.max.u32 [%cell], %i;", 7), last);
    assert_eq!(cell("sub.s32 %r1, 10, %i; red.global.min.s32 [%cell], %r1;", 0), 10u32.wrapping_sub(ALL - 1).into());
    assert_eq!(cell("sub.s32 %r1, 10, %i; atom.global.max.s32 %old, [%cell], %r1;", 0xffff_ffff), 10);
    assert_eq!(cell("cvt.u64.u32 %wide1, %i; red.global.max.u64 [%cell], %wide1;", 1 << 33), 1 << 33);
    assert_eq!(cell("and.b32 %r1, %i, 31; shl.b32 %r1, 1, %r1; red.global.or.b32 [%cell], %r1;", 0), 0xffff_ffff);
    assert_eq!(cell("not.b32 %r1, %i; red.global.and.b32 [%cell], %r1;", 0xffff_ffff), 0xffff_fe00);
    assert_eq!(cell("shl.b32 %r1, %i, 1; red.global.xor.b32 [%cell], %r1;", 1), 1);
}

#[test]
fn floats_add_exactly_what_is_exact() {
    let sum = f64::from(ALL * (ALL - 1) / 2);
    let text = "cvt.rn.f32.u32 %f1, %i; red.global.add.f32 [%cell], %f1;";
    assert_eq!(cell(text, 0), u64::from((sum as f32).to_bits()));
    let text = "cvt.rn.f64.u32 %d1, %i; red.global.add.f64 [%cell], %d1;";
    assert_eq!(cell(text, 0), sum.to_bits());
    // 384 times (1, 0.5) in packed fp16, and 128 times 2 in fp16.
    let text = "mov.b32 %r1, 0x38003c00; atom.global.add.noftz.f16x2 %r2, [%cell], %r1;";
    let expected =
        u64::from(half::f16::from_f32(192.0).to_bits()) << 16 | u64::from(half::f16::from_f32(384.0).to_bits());
    assert_eq!(cell(text, 0), expected);
    let text = "setp.lt.u32 %p, %i, 128; mov.b16 %h1, 0x4000; @%p atom.global.add.noftz.f16 %h2, [%cell], %h1;";
    assert_eq!(cell(text, 0xabcd_0000), 0xabcd_0000 | u64::from(half::f16::from_f32(256.0).to_bits()));
}

#[test]
fn shared_and_generic_cells() {
    let text = ".shared .align 4 .u32 local; mov.u32 %r1, local; st.shared.u32 [%r1], 0; bar.sync 0;
        atom.shared.add.u32 %r2, [%r1], 1; bar.sync 0; ld.shared.u32 %old, [%r1];
        { .reg .b64 where; cvt.u64.u32 where, %r1; cvta.shared.u64 where, where; bar.sync 0;
        setp.eq.u32 %p, %r2, 0; @%p atom.add.u32 %r3, [where], 100; bar.sync 0; ld.u32 %r3, [where]; }
        add.u32 %old, %old, %r3; atom.add.u32 %r2, [%cell], %old;";
    let (total, seen) = contend(text, 0);
    let each = THREADS + THREADS + 100;
    assert_eq!(seen, vec![each; ALL as usize]);
    assert_eq!(total, (each * ALL).into());
}

#[test]
fn release_and_acquire_pass_a_message_between_blocks() {
    let ptx = format!("{HEADER}{}", include_str!("../ptx/message.ptx"));
    for seed in 0..4 {
        let (mut box_, mut out) = ([0, 0], [0; 2]);
        let arguments = &mut [Argument::Buffer(&mut box_), Argument::Buffer(&mut out)];
        launch(&ptx, Shape::line(2, 1).order(2, seed), arguments).unwrap_or_else(|report| panic!("{report}"));
        // Which block came second found the message of the first.
        assert_eq!(out.iter().filter(|&&word| word == 42).count(), 1, "{out:?}");
        assert_eq!(out.iter().filter(|&&word| word == 1).count(), 1, "{out:?}");
    }
}

/// The cells of 16 bytes, low half first, as numbers; each has to hold a number's square in its upper half.
fn numbers(cells: &[u32]) -> Vec<u64> {
    let cells = cells.as_chunks::<4>().0.iter();
    let halves = cells.map(|&[a, b, c, d]| [u64::from(b) << 32 | u64::from(a), u64::from(d) << 32 | u64::from(c)]);
    halves
        .map(|[number, square]| {
            assert_eq!(square, number * number, "half of a cell is another's");
            number
        })
        .collect()
}

#[test]
fn cells_of_16_bytes_change_as_a_whole() {
    let ptx = include_str!("../ptx/wide_atomics.ptx");
    for seed in 0..4 {
        let shape = Shape::line(BLOCKS, THREADS).order(2, seed);
        let (mut cell, mut wrong) = ([5, 0, 25, 0], [0]);
        let arguments = &mut [Argument::Buffer(&mut cell), Argument::Buffer(&mut wrong)];
        launch(ptx, shape, arguments).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!((numbers(&cell), wrong), (vec![u64::from(5 + 9 * ALL)], [0]));

        let mut old = vec![0xffff_ffff; 4 * (ALL + BLOCKS) as usize];
        let arguments = &mut [Argument::Buffer(&mut cell), Argument::Buffer(&mut old)];
        launch(ptx, shape.kernel(1), arguments).unwrap_or_else(|report| panic!("{report}"));
        // What was put in comes out: of the cell, of those in shared memory, and of the threads.
        let mut found = [numbers(&cell), numbers(&old)].concat();
        let locals = [1000; BLOCKS as usize];
        let mut given: Vec<u64> = (0..BLOCKS).flat_map(|_| 0..u64::from(THREADS)).chain(locals).collect();
        given.push(u64::from(5 + 9 * ALL));
        found.sort_unstable();
        given.sort_unstable();
        assert_eq!(found, given);
    }
}

#[test]
fn registers_of_128_bits() {
    let text = ".reg .b128 %q<3>; .reg .b64 %low, %high; mov.b128 %q0, {%a, %b}; mov.b128 %q1, %q0;
        mov.b128 {%low, %high}, %q1; mov.b128 %q2, {%high, %c}; mov.b128 {%low, _}, %q2; sub.s64 %d, %low, %c;";
    check(text, 64, 64, &triples(&integers64()), |_, b, c| b.wrapping_sub(c));
}
