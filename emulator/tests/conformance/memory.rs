//! Loads and stores in every space, barriers, asynchronous copies.

use cuda_emulator::report::{Fault, Report};

use crate::harness::{Argument, Case, HEADER, Shape, Unary, elementwise, fill, launch, module};

fn source(body: &str) -> String {
    format!("{HEADER}{body}")
}

#[test]
fn loads_extend_and_stores_truncate() {
    let operands: Vec<[u64; 3]> = (0..32).map(|i| [0x8081_8283u64.rotate_left(i) & 0xffff_ffff, 0, 0]).collect();
    // The word goes through shared memory at the thread's own place.
    let cases: [Case<Unary<u32>>; 9] = [
        ("ld.shared.u8 %d, [%t+1];", |a| a >> 8 & 0xff),
        ("ld.shared.s8 %d, [%t+3];", |a| (a >> 24) as i8 as u32),
        ("ld.shared.u16 %d, [%t];", |a| a & 0xffff),
        ("ld.shared.s16 %d, [%t+2];", |a| (a >> 16) as i16 as u32),
        ("st.shared.u8 [%t+2], %t; ld.shared.u32 %d, [%t]; and.b32 %d, %d, 0xff00ffff;", |a| a & 0xff00_ffff),
        ("st.shared.u16 [%t], -2; ld.shared.u32 %d, [%t];", |a| a & 0xffff_0000 | 0xfffe),
        ("{ .reg .b16 x; ld.shared.u8 x, [%t]; cvt.u32.u16 %d, x; }", |a| a & 0xff),
        ("{ .reg .b64 x; ld.shared.s16 x, [%t]; cvt.u32.u64 %d, x; }", |a| a as i16 as u32),
        ("{ .reg .b16 x, y; ld.shared.v2.b16 {x, y}, [%t]; mov.b32 %d, {y, x}; }", |a| a.rotate_left(16)),
    ];
    for (text, definition) in cases {
        let text = format!(
            ".shared .align 4 .b8 scratch[128]; mov.u32 %t, %tid.x; shl.b32 %t, %t, 2;
            {{ .reg .b32 base; mov.u32 base, scratch; add.u32 %t, %t, base; }} st.shared.b32 [%t], %a; {text}"
        );
        for (found, [a, ..]) in elementwise(&text, 32, 32, &operands).into_iter().zip(&operands) {
            assert_eq!(found as u32, definition(*a as u32), "{text} of {a:#x}");
        }
    }
}

#[test]
fn spaces_and_generic_addresses() {
    let found = fill(&source(include_str!("../ptx/spaces.ptx")), Shape::line(1, 32).shared(256), 32 * 8);
    for (thread, words) in found.as_chunks::<8>().0.iter().enumerate() {
        let thread = thread as u32;
        // Constant, global through a pointer table, global by name, parameter, local, static and dynamic shared.
        let expected =
            [40 + thread % 4, 700, 7, 0x1234, 3 * (7 - thread % 8), (thread ^ 1) * 5, (thread ^ 3) * 9, 0b101];
        assert_eq!(*words, expected, "thread {thread}");
    }
}

#[test]
fn vectors_move_whole() {
    let body = "\t.reg .b32 %r<8>;\n\t.reg .b64 %rd<4>;
	ld.param.u64 %rd1, [out];
	ld.param.u64 %rd2, [in];
	mov.u32 %r1, %tid.x;
	mul.wide.u32 %rd3, %r1, 16;
	add.s64 %rd1, %rd1, %rd3;
	add.s64 %rd2, %rd2, %rd3;
	ld.global.nc.L1::evict_last.L2::128B.v4.u32 {%r2, %r3, %r4, %r5}, [%rd2];
	st.global.v2.u32 [%rd1+8], {%r2, %r3};
	st.global.v2.b32 [%rd1], {%r5, %r4};
	ld.global.v2.u64 {%rd2, %rd3}, [%rd1];
	st.global.cs.v2.u64 [%rd1], {%rd3, %rd2};";
    let mut input: Vec<u32> = (0..128).map(|i| i * 3 + 1).collect();
    let mut out = vec![0; 128];
    let arguments = &mut [Argument::Buffer(&mut out), Argument::Buffer(&mut input)];
    launch(&module(&["out", "in"], body), Shape::line(1, 32).unchecked(), arguments)
        .unwrap_or_else(|report| panic!("{report}"));
    for (found, input) in out.as_chunks::<4>().0.iter().zip(input.as_chunks::<4>().0) {
        assert_eq!(*found, [input[0], input[1], input[3], input[2]]);
    }
}

/// The block reverses its values through shared memory, over and over, whatever the order of warps.
#[test]
fn barriers_order_shared_memory() {
    let ptx = source(include_str!("../ptx/reverse.ptx"));
    for seed in 0..4 {
        let found = fill(&ptx, Shape::line(3, 256).order(2, seed), 3 * 256);
        for (index, found) in found.into_iter().enumerate() {
            let (block, thread) = (index as u32 / 256, index as u32 % 256);
            // Five rounds, each reversing and adding 1.
            assert_eq!(found, block * 1000 + (255 - thread) + 5, "block {block}, thread {thread}, seed {seed}");
        }
    }
}

#[test]
fn barriers_reduce_and_count_part_of_a_block() {
    let found = fill(&source(include_str!("../ptx/barriers.ptx")), Shape::line(1, 128), 128 * 4);
    for (thread, words) in found.as_chunks::<4>().0.iter().enumerate() {
        let (odd, consumer) = (thread as u32 % 2, thread >= 64);
        assert_eq!(words[..3], [64, 0, 1], "thread {thread}: {odd}");
        // Producers (warps 0 and 1) arrive at barrier 1; consumers see what they stored.
        let expected = if consumer { (thread as u32 - 64) * 2 } else { 0 };
        assert_eq!(words[3], expected, "thread {thread}");
    }
}

/// Data of an asynchronous copy is not there before its group was waited for.
#[test]
fn asynchronous_copies_come_late_and_fill_with_zeros() {
    let mut out = vec![0xffff_ffff; 32 * 12];
    let mut input: Vec<u32> = (1000..1000 + 32 * 8).collect();
    let arguments = &mut [Argument::Buffer(&mut out), Argument::Buffer(&mut input)];
    launch(&source(include_str!("../ptx/async_copy.ptx")), Shape::line(1, 32).unchecked(), arguments)
        .unwrap_or_else(|report| panic!("{report}"));
    for (thread, words) in out.as_chunks::<12>().0.iter().enumerate() {
        let first = 1000 + 8 * thread as u32;
        // Before any wait: what was stored. After all but the newest group: the first copy only.
        assert_eq!(words[..2], [77, 77], "thread {thread}, before the wait");
        assert_eq!(words[2..4], [first, 77], "thread {thread}, first group");
        // The second copy read 4 of its 16 bytes, the third none.
        assert_eq!(words[4..8], [first + 4, 0, 0, 0], "thread {thread}, second group");
        assert_eq!(words[8..], [0, 0, 0, 0], "thread {thread}, third copy");
    }
}

/// Stores at shared address `%a` and loads it again, in a kernel with 400 bytes of static and some dynamic shared memory
/// that knows where the system's shared memory is; the registers that say so.
fn reserved(address: &str, dynamic: u32) -> Result<Vec<u32>, Report> {
    let body = format!(
        "\t.reg .b64 %out, %g;\n\t.reg .b32 %a, %d, %r;\n\t.shared .align 4 .b8 own[400];
	ld.param.u64 %out, [out];
	{address}
	cvt.u64.u32 %g, %a;\n\tcvta.shared.u64 %g, %g;
	mov.u32 %d, own;\n\tst.shared.b32 [%d+396], 5;
	ld.shared.b32 %d, [%a];\n\tst.global.b32 [%out+44], %d;
	st.b32 [%g], 77;\n\tld.shared.b32 %d, [%a];\n\tst.global.b32 [%out], %d;
	atom.add.u32 %d, [%g], 3;\n\tld.volatile.shared.b32 %d, [%a];\n\tst.global.b32 [%out+4], %d;
	ld.shared.b32 %d, [own+396];\n\tst.global.b32 [%out+8], %d;
	mov.u32 %r, %reserved_smem_offset_begin;\n\tst.global.b32 [%out+12], %r;
	mov.u32 %r, %reserved_smem_offset_end;\n\tst.global.b32 [%out+16], %r;
	mov.u32 %r, %reserved_smem_offset_cap;\n\tst.global.b32 [%out+20], %r;
	mov.u32 %r, %reserved_smem_offset_0;\n\tst.global.b32 [%out+24], %r;
	mov.u32 %r, %reserved_smem_offset_1;\n\tst.global.b32 [%out+28], %r;
	mov.u32 %r, %total_smem_size;\n\tst.global.b32 [%out+32], %r;
	mov.u32 %r, %aggr_smem_size;\n\tst.global.b32 [%out+36], %r;
	mov.u32 %r, %dynamic_smem_size;\n\tst.global.b32 [%out+40], %r;"
    );
    let mut out = vec![1; 12];
    let shape = Shape::line(1, 1).shared(dynamic);
    launch(&module(&["out"], &body), shape, &mut [Argument::Buffer(&mut out)]).map(|()| out)
}

#[test]
fn shared_memory_that_the_system_reserves() {
    for address in ["mov.u32 %a, %reserved_smem_offset_1;", "add.u32 %a, %reserved_smem_offset_0, 284;"] {
        for (dynamic, total) in [(1024, 1536), (0, 512), (112, 512), (116, 640)] {
            let found = reserved(address, dynamic).unwrap_or_else(|report| panic!("{report}"));
            // It was cleared.
            let registers = [total, total + 288, total + 1024, total, total, total, total + 1024, dynamic, 0];
            assert_eq!(found, [&[77, 80, 5], &registers[..]].concat());
        }
    }
}

#[test]
fn around_the_memory_that_the_system_reserves_is_nothing() {
    for address in ["400", "508", "1536", "65536"] {
        let report = reserved(&format!("mov.u32 %a, {address};"), 0).expect_err("it is outside");
        assert_eq!(report.fault, Some(Fault::IllegalAddress), "{report}");
        assert!(report.message.contains("but the block has 400 bytes"), "{report}");
    }
}
