//! Barriers and pipelines of libcu++.

use crate::harness::{Source, line, on_every_build};

/// On compute capability 9.0 they copy in bulk; before 8.0 they are no operations of the hardware.
const SOURCE: Source = Source::new("barriers.cu");

#[test]
fn phases_of_a_barrier() {
    let input: Vec<i32> = (0..256).map(|i| i * 37 % 101).collect();
    let sum = |thread: usize| (0..9).map(|round| 1000 + input[(thread + 1 + round) % 256] + round as i32).sum::<i32>();
    let expected: Vec<i32> =
        (0..256).map(|thread| sum(thread) + if thread < 128 { sum(127 - thread) } else { 0 }).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(256);
        program.launch("rounds", line(1, 256), &[&program.upload(&input), &output, &9]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn barriers_wait_for_copies() {
    let input: Vec<i32> = (0..512).map(|i| i * i % 991).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(256);
        program.launch("copies", line(1, 256), &[&program.upload(&input), &output]);
        let expected = (0..256).map(|thread| input[255 - thread] * 10000 + input[256 + (thread ^ 7)]);
        assert!(output.read().into_iter().eq(expected));
    });
}

#[test]
fn pipelines_of_two_stages() {
    let stages = 6;
    let input: Vec<i32> = (0..256 * stages).map(|i| i as i32 * 7 % 89).collect();
    let at = |thread: usize, stage: usize| input[256 * stage + (thread * 5 + stage) % 256];
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(256);
        program.launch("staged", line(1, 256), &[&program.upload(&input), &output, &(stages as i32)]);
        let expected = (0..256).map(|thread| (0..stages).fold(0, |sum, stage| sum * 3 + at(thread, stage)));
        assert!(output.read().into_iter().eq(expected));
    });
}
