//! Work of warps.

use bytemuck::Pod;
use half::f16;

use crate::harness::{Program, Source, line, on_every_build};
use crate::support::Random;

const SOURCE: Source = Source::new("warps.cu");

fn shuffled<T: Pod + PartialEq + std::fmt::Debug>(program: &Program, kernel: &str, input: &[T; 64]) {
    // Lanes whose source lies outside their segment keep their own.
    let from = |thread: usize, source: Option<usize>| source.map_or(thread, |lane| thread / 32 * 32 + lane);
    let sources: [fn(usize) -> Option<usize>; 4] = [
        |lane| Some((lane * 7 + 3) % 32),
        |lane| lane.checked_sub(5),
        |lane| Some(lane + 3).filter(|source| source / 16 == lane / 16),
        |lane| Some(lane ^ 9).filter(|source| source / 8 <= lane / 8),
    ];
    let expected: Vec<T> =
        sources.iter().flat_map(|source| (0..64).map(|thread| input[from(thread, source(thread % 32))])).collect();
    let output = program.room::<T>(256);
    program.launch(kernel, line(1, 64), &[&program.upload(input), &output]);
    assert_eq!(output.read(), expected, "{kernel}");
}

#[test]
fn shuffles_of_all_types() {
    let bits: [u64; 64] = std::array::from_fn(|i| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    on_every_build(SOURCE, |program| {
        shuffled(program, "shuffle_i32", &bits.map(|x| x as i32));
        shuffled(program, "shuffle_u64", &bits);
        shuffled(program, "shuffle_f32", &bits.map(|x| x as f32));
        shuffled(program, "shuffle_f64", &bits.map(|x| x as f64));
        shuffled(program, "shuffle_half2", &bits.map(|x| [f16::from_f32(x as u8 as f32), f16::from_f32(1.5)]));
    });
}

#[test]
fn votes_and_matches() {
    let mut random = Random::new(1);
    let input: Vec<i32> = (0..32).map(|_| (random.next() % 100) as i32 + 1).collect();
    let set = |holds: &dyn Fn(usize) -> bool| (0..32).filter(|&lane| holds(lane)).fold(0u32, |s, lane| s | 1 << lane);
    let of = |lane: usize| -> [u32; 8] {
        let value = input[lane];
        let odd = |lane: usize| lane % 2 == 1;
        let alone = set(&|l| odd(l) && input[l] & 2 != 0) ^ input[lane ^ 2] as u32;
        [
            1,
            input.iter().any(|&x| x > 90).into(),
            set(&|l| input[l] & 1 == 1),
            set(&|l| input[l] % 5 == value % 5),
            !0,
            1,
            set(&|l| input[l] % 3 == value % 3),
            if odd(lane) { alone } else { 0 },
        ]
    };
    let expected: Vec<[u32; 8]> = (0..32).map(of).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<[u32; 8]>(32);
        program.launch("votes", line(1, 32), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn tiles_with_masks_of_their_own() {
    let input: Vec<i32> = (0..64).map(|i| i * i % 37).collect();
    let mut expected = input.clone();
    for tile in 0..16 {
        for _ in 0..tile % 8 {
            for (distance, shift) in [(1, 0), (2, 1)] {
                let before = expected.clone();
                for lane in 4 * tile..4 * tile + 4 {
                    expected[lane] += before[lane ^ distance] >> shift;
                }
            }
        }
    }
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(64);
        program.launch("tiles", line(1, 64), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn aggregated_atomics() {
    let mut random = Random::new(2);
    let input: Vec<i32> = (0..1000).map(|_| (random.next() % 10_000) as i32).collect();
    let mut expected: Vec<i32> = input.iter().copied().filter(|value| value % 7 < 3).collect();
    expected.sort();
    on_every_build(SOURCE, |program| {
        let (output, counter) = (program.room::<i32>(1000), program.zeros::<u32>(1));
        program.launch("filter", line(3, 96), &[&program.upload(&input), &output, &counter, &1000]);
        let count = counter.read()[0] as usize;
        let mut found = output.read()[..count].to_vec();
        found.sort();
        assert_eq!(found, expected);
    });
}

fn nested(n: i32) -> i32 {
    let mut sum = 0;
    for i in 0..n {
        if i % 3 == 0 {
            if n & 1 != 0 {
                continue;
            }
            sum += 5;
        } else if i % 7 == 5 {
            let mut j = i;
            while j > 0 {
                sum ^= j;
                if sum > 200 {
                    break;
                }
                if j == 9 {
                    return sum;
                }
                j /= 2;
            }
        } else {
            match (n + i) & 7 {
                0 => sum += 3,
                1 => sum += 2,
                3 => sum = (sum * 3) & 1023,
                case => {
                    if case == 6 {
                        sum -= 7;
                        while sum > 50 {
                            sum -= 7;
                        }
                    }
                    sum += n;
                }
            }
        }
        if sum > 900 {
            break;
        }
    }
    sum
}

#[test]
fn nested_divergence() {
    let input: Vec<i32> = (0..96).map(|i| i * 13 % 101).collect();
    let expected: Vec<i32> = input.iter().map(|&n| nested(n)).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(96);
        program.launch("nested", line(1, 96), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn warps_that_leave_before_a_barrier() {
    let mut total = 0;
    let expected: Vec<i32> = (0..4)
        .map(|round| {
            let stays = |thread: usize| thread < 32 || thread / 32 > round;
            let counts = |thread: usize| if round % 2 == 1 { thread % 2 == 1 } else { thread.is_multiple_of(3) };
            total += (0..128).filter(|&thread| stays(thread) && counts(thread)).count() as i32;
            total
        })
        .collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(4);
        program.launch("leaving", line(1, 128), &[&output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn lanes_that_leave_early() {
    let input: Vec<i32> = (0..100).map(|i| i * 29 % 60 - 10).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(128);
        program.launch("survivors", line(2, 64), &[&program.upload(&input), &output, &100]);
        let found = output.read();
        for (warp, values) in input.chunks(32).enumerate() {
            // The living lanes of a warp may go on in groups: each counts its own, and together they count all.
            let alive: Vec<i32> = (0..values.len()).filter(|&i| values[i] >= 0).map(|i| found[32 * warp + i]).collect();
            let whole = alive.len() as i32 + 100 * values.iter().filter(|&&value| value > 10).count() as i32;
            if program.build.is_optimised() {
                assert!(alive.iter().all(|&value| value == whole), "warp {warp}: {alive:?}, not {whole}");
            }
            assert!(alive.iter().all(|&value| value >= 1 && value % 100 <= whole % 100 && value / 100 <= whole / 100));
            assert!((0..values.len()).all(|i| values[i] >= 0 || found[32 * warp + i] == -1));
        }
        assert!(found[100..].iter().all(|&value| value == -1), "nothing beyond the end");
    });
}
