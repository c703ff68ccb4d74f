//! Cooperative groups of more threads than a warp has.

use crate::harness::{Source, line, on_every_build};

const SOURCE: Source = Source::new("tiles.cu");

#[test]
fn tiles_of_several_warps() {
    let input: Vec<i32> = (0..512).map(|i| i * i * 31 % 997).collect();
    let mut expected = Vec::new();
    for (i, _) in input.iter().enumerate() {
        let (thread, pair, four) = (i % 256, &input[i / 64 * 64..][..64], &input[i / 128 * 128..][..128]);
        expected.push([
            pair.iter().sum(),
            *four.iter().max().expect("they are 128"),
            pair[63 - thread / 64],
            (thread / 64 * 1000 + thread % 64) as i32,
            i32::from(four.contains(&7)) + 2 * i32::from(four.iter().all(|value| *value < 990)),
            if thread < 100 { thread as i32 * 3 } else { 0 } + (255 - thread as i32) * 5,
        ]);
    }
    on_every_build(SOURCE, |program| {
        let output = program.room::<[i32; 6]>(512);
        program.launch("large_tiles", line(2, 256).shared(1024), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn tiles_go_their_own_ways_and_the_grid_meets() {
    let sum = |half: i32| (0..3 + 4 * half).map(|turn| 127 * 64 + 128 * turn).sum::<i32>();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(768);
        program.launch("tiles_and_grid", line(3, 256).cooperative(), &[&output]);
        let expected = (0..768).map(|i| {
            let half = i / 128 % 2;
            sum(half) + 1000 * (sum(1 - half) - sum(half))
        });
        assert!(output.read().into_iter().eq(expected));
    });
}
