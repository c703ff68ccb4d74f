//! Operations that lanes of a warp do together.

use crate::harness::{Binary, Case, HEADER, Shape, Unary, elementwise, fill};

/// Runs `text` on one warp; operands and results are indexed by lane.
fn warp(text: &str, operands: &[[u64; 3]; 32]) -> [u32; 32] {
    let found = elementwise(text, 32, 32, operands);
    std::array::from_fn(|lane| found[lane] as u32)
}

/// Three different numbers a lane, the second below 64, the third a clamp and segment mask of shuffles.
fn operands() -> [[u64; 3]; 32] {
    const CLAMPS: [u64; 6] = [0x1f, 0x0, 0x1807, 0x1c03, 0x181f, 0x1e01];
    std::array::from_fn(|lane| {
        let lane = lane as u64;
        [lane * 0x0101_0101 + 0x8000_0003, (lane * 11 + 5) % 64, CLAMPS[lane as usize / 3 % 6]]
    })
}

/// The source lane and predicate of a shuffle, after the pseudocode of the PTX manual.
fn shuffle_source(mode: &str, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (b, clamp, mask) = (b & 31, c & 31, c >> 8 & 31);
    let (maximum, minimum) = ((lane & mask) | (clamp & !mask), lane & mask);
    let (source, inside) = match mode {
        "up" => (lane.wrapping_sub(b), lane as i32 - b as i32 >= maximum as i32),
        "down" => (lane + b, lane + b <= maximum),
        "bfly" => (lane ^ b, lane ^ b <= maximum),
        _ => (minimum | (b & !mask), minimum | (b & !mask) <= maximum),
    };
    if inside { (source, true) } else { (lane, false) }
}

#[test]
fn shuffles_of_every_mode_width_and_distance() {
    let operands = operands();
    for mode in ["up", "down", "bfly", "idx"] {
        let value = warp(&format!("shfl.sync.{mode}.b32 %d, %a, %b, %c, -1;"), &operands);
        let text = format!("shfl.sync.{mode}.b32 %t|%p, %a, %b, %c, -1; selp.b32 %d, 1, 0, %p;");
        let inside = warp(&text, &operands);
        for lane in 0..32u32 {
            let [_, b, c] = operands[lane as usize];
            let (source, expected) = shuffle_source(mode, lane, b as u32, c as u32);
            assert_eq!(inside[lane as usize] == 1, expected, "{mode}, lane {lane}");
            // What a lane reads of another is that lane's value, whatever its own distance.
            assert_eq!(value[lane as usize], operands[source as usize % 32][0] as u32, "{mode}, lane {lane}");
        }
    }
}

#[test]
fn usual_reduction_leaves_the_sum_everywhere() {
    let steps =
        [16, 8, 4, 2, 1].map(|step| format!("shfl.sync.bfly.b32 %t, %d, {step}, 31, 0xffffffff; add.s32 %d, %d, %t;"));
    let found = warp(&format!("mov.b32 %d, %a; {}", steps.concat()), &operands());
    let sum = operands().iter().fold(0u32, |sum, [a, ..]| sum.wrapping_add(*a as u32));
    assert_eq!(found, [sum; 32]);
}

#[test]
fn votes() {
    let operands = operands();
    let odd = operands.iter().enumerate().fold(0, |mask, (lane, [_, b, _])| mask | (*b as u32 & 1) << lane);
    let predicate = "and.b32 %t, %b, 1; setp.ne.u32 %p, %t, 0;";
    let found = warp(&format!("{predicate} vote.sync.ballot.b32 %d, %p, -1;"), &operands);
    assert_eq!(found, [odd; 32]);
    let found = warp(&format!("{predicate} vote.sync.ballot.b32 %d, !%p, -1;"), &operands);
    assert_eq!(found, [!odd; 32]);
    for (text, expected) in [
        ("vote.sync.any.pred %q, %p, -1;", true),
        ("vote.sync.all.pred %q, %p, -1;", false),
        ("vote.sync.uni.pred %q, %p, -1;", false),
        ("setp.lt.u32 %p, %b, 64; vote.sync.all.pred %q, %p, -1;", true),
        ("setp.ge.u32 %p, %b, 64; vote.sync.uni.pred %q, %p, -1;", true),
        ("setp.ge.u32 %p, %b, 64; vote.sync.any.pred %q, %p, -1;", false),
    ] {
        let found = warp(&format!("{predicate} {text} selp.b32 %d, 1, 0, %q;"), &operands);
        assert_eq!(found, [expected.into(); 32], "{text}");
    }
}

#[test]
fn reductions() {
    let operands = operands();
    let values = operands.map(|[a, ..]| a as u32);
    let cases: [Case<Binary<u32>>; 8] = [
        ("add.u32", u32::wrapping_add),
        ("add.s32", u32::wrapping_add),
        ("min.u32", u32::min),
        ("max.u32", u32::max),
        ("min.s32", |a, b| (a as i32).min(b as i32) as u32),
        ("max.s32", |a, b| (a as i32).max(b as i32) as u32),
        ("xor.b32", |a, b| a ^ b),
        ("and.b32", |a, b| a & b),
    ];
    for (operation, definition) in cases {
        let found = warp(&format!("redux.sync.{operation} %d, %a, 0xffffffff;"), &operands);
        let expected = values.into_iter().reduce(definition).expect("32 lanes");
        assert_eq!(found, [expected; 32], "{operation}");
    }
}

#[test]
fn matches() {
    let operands = std::array::from_fn(|lane| [[7, 9, 7, 1 << 31][lane % 4], 5, 0]);
    let found = warp("match.any.sync.b32 %d, %a, 0xffffffff;", &operands);
    assert_eq!(found, std::array::from_fn(|lane| [0x5555_5555, 0x2222_2222, 0x5555_5555, 0x8888_8888][lane % 4]));
    let text = |register| {
        format!("match.all.sync.b32 %t|%p, {register}, 0xffffffff; selp.b32 %d, %t, 3, %p; @!%p add.u32 %d, %d, %t;")
    };
    assert_eq!(warp(&text("%b"), &operands), [u32::MAX; 32]);
    assert_eq!(warp(&text("%a"), &operands), [3; 32]);
}

#[test]
fn partial_members_take_part_alone() {
    // The upper half of the warp sums among itself while the lower half does something else.
    let text = "mov.u32 %t, %laneid; setp.ge.u32 %p, %t, 16; mov.b32 %d, 1;
        @!%p bra LOW;
        redux.sync.add.u32 %d, %t, 0xffff0000;
        bra.uni JOIN;
        LOW: vote.sync.ballot.b32 %d, !%p, 0x0000ffff;
        JOIN: bar.warp.sync 0xffffffff;";
    let found = warp(text, &operands());
    let sum = (16..32).sum();
    assert_eq!(found, std::array::from_fn(|lane| if lane < 16 { 0xffff } else { sum }));
}

#[test]
fn active_mask_and_lane_masks() {
    let found = warp("setp.lt.u32 %p, %b, 32; mov.b32 %d, 0; @%p activemask.b32 %d;", &operands());
    let mask = operands().iter().enumerate().fold(0, |mask, (lane, [_, b, _])| mask | u32::from(*b < 32) << lane);
    assert_eq!(found, std::array::from_fn(|lane| if mask >> lane & 1 == 1 { mask } else { 0 }));
    let masks: [Case<Unary<u32>>; 5] = [
        ("eq", |lane| 1 << lane),
        ("lt", |lane| (1 << lane) - 1),
        ("le", |lane| u32::MAX >> (31 - lane)),
        ("gt", |lane| !(u32::MAX >> (31 - lane))),
        ("ge", |lane| u32::MAX << lane),
    ];
    for (name, definition) in masks {
        let found = warp(&format!("mov.u32 %d, %lanemask_{name};"), &operands());
        assert_eq!(found, std::array::from_fn(|lane| definition(lane as u32)), "{name}");
    }
}

#[test]
fn special_registers_number_threads_and_blocks() {
    let ptx = format!("{HEADER}{}", include_str!("../ptx/special_registers.ptx"));
    let shape = Shape { grid: [2, 3, 2], block: [8, 4, 2], ..Shape::line(1, 1) };
    let found = fill(&ptx, shape, 12 * 64 * 4);
    for (index, words) in found.as_chunks::<4>().0.iter().enumerate() {
        let (block, thread) = (index as u32 / 64, index as u32 % 64);
        let (x, y, z) = (thread % 8, thread / 8 % 4, thread / 32);
        let (bx, by, bz) = (block % 2, block / 2 % 3, block / 6);
        let coordinates = x | y << 4 | z << 8 | bx << 12 | by << 16 | bz << 20;
        let sizes = 8 | 4 << 4 | 2 << 8 | 2 << 12 | 3 << 16 | 2 << 20;
        assert_eq!(*words, [coordinates, sizes, thread % 32, thread / 32], "thread {thread} of block {block}");
    }
}

#[test]
fn every_tile_of_a_warp_is_its_own_members() {
    // Eight lanes a tile; each names its own.
    let operands = std::array::from_fn(|lane| [lane as u64 * 3 + 1, 0xff << (lane & 24), 0]);
    let steps = [4, 2, 1].map(|step| format!("shfl.sync.bfly.b32 %t, %d, {step}, 0x181f, %b; add.u32 %d, %d, %t;"));
    let found = warp(&format!("mov.b32 %d, %a; {}", steps.concat()), &operands);
    for (lane, sum) in found.into_iter().enumerate() {
        let tile = lane / 8 * 8;
        assert_eq!(sum, (tile..tile + 8).map(|lane| lane as u32 * 3 + 1).sum(), "lane {lane}");
    }
    let ballot = "setp.gt.u32 %p, %a, 40; vote.sync.ballot.b32 %d, %p, %b;";
    for (lane, votes) in warp(ballot, &operands).into_iter().enumerate() {
        let expected = (0..32).filter(|other| other / 8 == lane / 8 && other * 3 + 1 > 40).fold(0, |v, l| v | 1 << l);
        assert_eq!(votes, expected, "lane {lane}");
    }
    // Behind the instruction the warp is whole again.
    let together = warp("vote.sync.ballot.b32 %t, 1, %b; activemask.b32 %d;", &operands);
    assert_eq!(together, [!0; 32]);
}
