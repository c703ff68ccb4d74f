//! Transposes and permutations.

use bytemuck::{Pod, Zeroable};

use crate::harness::{ByValue, Program, Source, line, on_every_build, plane, space};

const SOURCE: Source = Source::new("transposes.cu");

fn transposed<T: Copy>(matrix: &[T], width: usize) -> Vec<T> {
    (0..width).flat_map(|x| matrix.iter().skip(x).step_by(width).copied()).collect()
}

fn numbered<T>(count: usize, value: fn(usize) -> T) -> Vec<T> {
    (0..count).map(value).collect()
}

fn tiled<T: Pod + PartialEq + std::fmt::Debug>(program: &Program, kernel: &str, value: fn(usize) -> T) {
    let (width, height) = (70, 45);
    let input = numbered(width * height, value);
    let output = program.room::<T>(width * height);
    let arguments = (program.upload(&input), width as i32, height as i32);
    program.launch(kernel, plane([3, 2], [32, 8]), &[&arguments.0, &output, &arguments.1, &arguments.2]);
    assert_eq!(output.read(), transposed(&input, width), "{kernel}");
}

#[test]
fn tiles_of_every_element_size() {
    on_every_build(SOURCE, |program| {
        tiled(program, "tiled_u8", |i| (i * 7) as u8);
        tiled(program, "tiled_u16", |i| (i * 7) as u16);
        tiled(program, "tiled_u32", |i| i as u32);
        tiled(program, "tiled_u64", |i| i as u64 * 0x1_0000_0001);
    });
}

#[test]
fn naive_and_swizzled() {
    let input = numbered(64 * 64, |i| i as f32);
    on_every_build(SOURCE, |program| {
        let (device, output) = (program.upload(&input), program.room::<f32>(64 * 64));
        program.launch("naive", plane([4, 8], [16, 8]), &[&device, &output, &64, &64]);
        assert_eq!(output.read(), transposed(&input, 64));
        let output = program.room::<f32>(64 * 64);
        program.launch("swizzled", plane([2, 2], [32, 4]), &[&device, &output, &64]);
        assert_eq!(output.read(), transposed(&input, 64));
    });
}

#[test]
fn in_place() {
    let input = numbered(48 * 48, |i| i as f64 / 3.0);
    on_every_build(SOURCE, |program| {
        let device = program.upload(&input);
        program.launch("in_place", plane([3, 3], [16, 16]), &[&device, &48]);
        assert_eq!(device.read(), transposed(&input, 48));
    });
}

#[test]
fn in_registers() {
    let input = numbered(1024, |i| i as i32);
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(1024);
        program.launch("in_registers", line(1, 32), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), transposed(&input, 32));
    });
}

#[test]
fn images_to_channels_last() {
    let (images, channels, pixels) = (2, 8, 50);
    let input = numbered(images * channels * pixels, |i| i as f32);
    let expected: Vec<f32> = input.chunks(channels * pixels).flat_map(|image| transposed(image, pixels)).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f32>(input.len());
        let launch = space([2, channels / 4, images], [32, 1, 1]);
        program.launch(
            "channels_last",
            launch,
            &[&program.upload(&input), &output, &(channels as i32), &(pixels as i32)],
        );
        assert_eq!(output.read(), expected);
    });
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Shape {
    size: [i32; 4],
    order: [i32; 4],
}

#[test]
fn permutations_of_four_dimensions() {
    let size = [3, 5, 4, 6];
    let input = numbered(360, |i| i as i16);
    on_every_build(SOURCE, |program| {
        for order in [[0, 2, 1, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let mut expected = vec![0; 360];
            for (index, &value) in input.iter().enumerate() {
                let at = [index / 120, index / 24 % 5, index / 6 % 4, index % 6];
                let target = order.iter().fold(0, |target, &d| target * size[d as usize] as usize + at[d as usize]);
                expected[target] = value;
            }
            let output = program.room::<i16>(360);
            let shape = ByValue(Shape { size, order });
            program.launch("permute", line(3, 128), &[&program.upload(&input), &output, &shape, &360]);
            assert_eq!(output.read(), expected, "{order:?}");
        }
    });
}
