//! Programs whose threads wait for each other.

use crate::harness::{Source, line, on_every_build};
use crate::support::Random;

const SOURCE: Source = Source::new("waiting.cu");

#[test]
fn lock_shared_by_a_warp() {
    on_every_build(SOURCE, |program| {
        let counter = program.zeros::<i32>(1);
        program.launch("locked_counter", line(3, 64), &[&counter]);
        assert_eq!(counter.read(), [192]);
    });
}

#[test]
fn lock_of_the_textbook() {
    on_every_build(SOURCE, |program| {
        let counter = program.zeros::<i32>(1);
        program.launch("textbook_counter", line(2, 48), &[&counter]);
        assert_eq!(counter.read(), [96]);
    });
}

#[test]
fn two_locks_at_a_time() {
    let mut random = Random::new(1);
    let pairs: Vec<[i32; 2]> = (0..150).map(|_| [0; 2].map(|_| (random.next() % 12) as i32)).collect();
    let mut expected = vec![0; 12];
    for (i, &[a, b]) in (0..).zip(&pairs) {
        expected[a as usize] -= i;
        expected[b as usize] += i;
    }
    on_every_build(SOURCE, |program| {
        let (balances, locks) = (program.zeros::<i32>(12), program.zeros::<i32>(12));
        program.launch("transfers", line(3, 64), &[&balances, &locks, &program.upload(&pairs), &150]);
        assert_eq!((balances.read(), locks.read()), (expected.clone(), vec![0; 12]));
    });
}

#[test]
fn lock_by_tickets() {
    on_every_build(SOURCE, |program| {
        let (tickets, log, position) = (program.zeros::<u32>(2), program.room::<i32>(12), program.zeros::<i32>(1));
        program.launch("ticket_lock", line(12, 32), &[&tickets, &log, &position]);
        let mut log = log.read();
        log.sort();
        assert!(log.into_iter().eq(0..12), "each block once");
    });
}

#[test]
fn relay_from_block_to_block() {
    let expected: Vec<i32> = (0..20)
        .scan(0, |last: &mut i32, block| {
            *last = if block == 0 { 1 } else { *last * 3 + block };
            Some(*last)
        })
        .collect();
    on_every_build(SOURCE, |program| {
        let (values, flags) = (program.room::<i32>(20), program.zeros::<i32>(20));
        program.launch("relay", line(20, 32), &[&values, &flags]);
        assert_eq!(values.read(), expected);
    });
}

#[test]
fn acquire_and_release() {
    on_every_build(SOURCE, |program| {
        let (data, flag, output) = (program.room::<i32>(64), program.zeros::<i32>(1), program.room::<i32>(64));
        program.launch("acquire_release", line(2, 64), &[&data, &flag, &output]);
        assert!(output.read().into_iter().eq((0..64).map(|i| (i ^ 1) * 11 + 1)));
    });
}

#[test]
fn barrier_of_the_grid() {
    let (count, steps) = (500usize, 5);
    let mut random = Random::new(2);
    let first: Vec<f32> = (0..count).map(|_| (random.next() % 1024) as f32).collect();
    let mut expected = first.clone();
    for _ in 0..steps {
        // Sums of quarters of integers: exact at five steps of two bits.
        expected = (0..count)
            .map(|i| 0.25 * expected[i.saturating_sub(1)] + 0.5 * expected[i] + 0.25 * expected[(i + 1).min(count - 1)])
            .collect();
    }
    on_every_build(SOURCE, |program| {
        let (a, b) = (program.upload(&first), program.room::<f32>(count));
        program.launch("diffuse", line(6, 64).cooperative(), &[&a, &b, &(count as i32), &steps]);
        assert_eq!(b.read(), expected);
    });
}

#[test]
fn producer_and_consumers_at_named_barriers() {
    let rounds = 7;
    let input: Vec<i32> = (0..rounds * 32).map(|i| i * 17 % 101).collect();
    let at = |round: i32, lane: i32| input[(round * 32 + lane % 32) as usize];
    let sum = |i: i32| (0..rounds).fold(0i32, |sum, round| sum.wrapping_mul(3) + at(round, i % 32 + i / 32 + 1));
    let expected: Vec<i32> = (0..96).map(sum).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(96);
        program.launch("producer_consumer", line(2, 128), &[&program.upload(&input), &output, &rounds]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn teams_with_barriers_of_their_own() {
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(2);
        program.launch("teams", line(1, 128), &[&output]);
        assert_eq!(output.read(), [(0..64).sum(), (64..128).sum::<i32>()]);
    });
}

#[test]
fn ring_between_two_warps() {
    let input: Vec<i32> = (0..100).map(|i| i * i % 71).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(100);
        program.launch("ring", line(1, 64), &[&program.upload(&input), &output, &100]);
        assert!(output.read().into_iter().eq((0..100).map(|i| input[i as usize] * 2 + i)));
    });
}

#[test]
fn token_handed_on_inside_a_warp() {
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(32);
        program.launch("token", line(1, 32), &[&output]);
        assert!(output.read().into_iter().eq((0..32).map(|lane| (31 - lane) * 2 + 1)));
    });
}
