//! Stencils, cellular automata, fractals.

use crate::harness::{Source, line, on_every_build, plane};
use crate::support::{Random, assert_within};

const SOURCE: Source = Source::new("stencils.cu");

fn floats(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.normal()).collect()
}

#[test]
fn line_with_weights_in_constant_memory() {
    let (count, input) = (500, floats(500, 1));
    let weights = [0.1f32, -0.2, 0.5, 1.0, 0.5, -0.2, 0.1];
    let expected: Vec<f64> = (0..count as isize)
        .map(|i| {
            let at = |j: isize| if (0..count as isize).contains(&j) { f64::from(input[j as usize]) } else { 0.0 };
            weights.iter().zip(i - 3..).map(|(&weight, j)| f64::from(weight) * at(j)).sum()
        })
        .collect();
    on_every_build(SOURCE, |program| {
        program.global::<f32>("weights").write(&weights);
        let output = program.room::<f32>(count);
        program.launch("line_stencil", line(4, 128), &[&program.upload(&input), &output, &(count as i32)]);
        // Seven products and sums, each rounded, of terms no larger than the largest result.
        assert_within("line", &output.read(), &expected, 14.0 * f64::from(f32::EPSILON));
    });
}

#[test]
fn jacobi_steps() {
    let (width, height) = (75, 20);
    let mut field = floats(width * height, 2);
    let mut changes = Vec::new();
    let first = field.clone();
    for _ in 0..4 {
        let mut next = field.clone();
        let mut change = 0.0f32;
        for y in 1..height - 1 {
            for x in 1..width - 1 {
                let at = |dx: usize, dy: usize| field[(y + dy - 1) * width + x + dx - 1];
                // In the order of the kernel; a product with a power of two is exact, fused or not.
                next[y * width + x] = 0.25 * (at(1, 0) + at(1, 2) + at(0, 1) + at(2, 1));
                change = change.max((next[y * width + x] - at(1, 1)).abs());
            }
        }
        changes.push(change);
        field = next;
    }
    on_every_build(SOURCE, |program| {
        let (mut from, mut to) = (program.upload(&first), program.room::<f32>(first.len()));
        for &expected in &changes {
            let change = program.zeros::<f32>(1);
            let size = (width as i32, height as i32);
            program.launch("jacobi", plane([3, 3], [32, 8]), &[&from, &to, &size.0, &size.1, &change]);
            assert_eq!(change.read(), [expected]);
            std::mem::swap(&mut from, &mut to);
        }
        assert_eq!(from.read(), field);
    });
}

#[test]
fn seven_points_marching() {
    let (nx, ny, nz) = (18, 10, 7);
    let input: Vec<f64> = floats(nx * ny * nz, 3).iter().map(|&x| x.into()).collect();
    let (c0, c1) = (0.4, 0.1);
    let mut expected = input.clone();
    for z in 1..nz - 1 {
        for y in 1..ny - 1 {
            for x in 1..nx - 1 {
                let i = (z * ny + y) * nx + x;
                let around = [i - 1, i + 1, i - nx, i + nx, i - nx * ny, i + nx * ny];
                expected[i] = c0 * input[i] + c1 * around.iter().map(|&j| input[j]).sum::<f64>();
            }
        }
    }
    on_every_build(SOURCE, |program| {
        let output = program.upload(&input);
        let size = [nx as i32, ny as i32, nz as i32];
        let launch = plane([2, 2], [16, 8]);
        program.launch(
            "seven_point",
            launch,
            &[&program.upload(&input), &output, &size[0], &size[1], &size[2], &c0, &c1],
        );
        for (index, (actual, expected)) in output.read().iter().zip(&expected).enumerate() {
            // Nine roundings of terms below 4.
            assert!((actual - expected).abs() <= 36.0 * f64::EPSILON, "{index}: {actual}, not {expected}");
        }
    });
}

fn life_step(now: &[u8], width: usize, height: usize) -> Vec<u8> {
    let neighbours = |x: usize, y: usize| {
        let around = (0..9).filter(|&i| i != 4).map(|i| (x + width + i % 3 - 1, y + height + i / 3 - 1));
        around.map(|(x, y)| now[y % height * width + x % width]).sum::<u8>()
    };
    (0..width * height).map(|i| matches!((neighbours(i % width, i / width), now[i]), (3, _) | (2, 1)).into()).collect()
}

#[test]
fn life_on_bytes_and_on_bits() {
    let (width, height) = (96, 30);
    let mut random = Random::new(4);
    let cells: Vec<u8> = (0..width * height).map(|_| random.next().is_multiple_of(3).into()).collect();
    let expected = (0..5).fold(cells.clone(), |cells, _| life_step(&cells, width, height));
    let pack = |cells: &[u8]| -> Vec<u32> {
        cells.chunks(32).map(|word| word.iter().rev().fold(0, |bits, &cell| bits << 1 | u32::from(cell))).collect()
    };
    on_every_build(SOURCE, |program| {
        let (mut now, mut next) = (program.upload(&cells), program.room::<u8>(cells.len()));
        let (mut bits, mut next_bits) = (program.upload(&pack(&cells)), program.room::<u32>(cells.len() / 32));
        for _ in 0..5 {
            program.launch("life", plane([6, 4], [16, 8]), &[&now, &next, &(width as i32), &(height as i32)]);
            program.launch("life_bits", line(height, 32), &[&bits, &next_bits, &(width as i32 / 32), &(height as i32)]);
            std::mem::swap(&mut now, &mut next);
            std::mem::swap(&mut bits, &mut next_bits);
        }
        assert_eq!(now.read(), expected);
        assert_eq!(bits.read(), pack(&expected));
    });
}

#[test]
fn mandelbrot() {
    let (width, height, limit) = (40, 30, 60);
    let iterations = |x: usize, y: usize| {
        let (cr, ci) = (-2.0 + 3.0 * x as f64 / width as f64, -1.5 + 3.0 * y as f64 / height as f64);
        let (mut zr, mut zi, mut i) = (0.0f64, 0.0f64, 0u16);
        while i < limit && zr * zr + zi * zi <= 4.0 {
            (zr, zi) = (zr * zr - zi * zi + cr, 2.0 * zr * zi + ci);
            i += 1;
        }
        i
    };
    let expected: Vec<u16> = (0..width * height).map(|i| iterations(i % width, i / width)).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<u16>(width * height);
        let arguments = (width as i32, height as i32, i32::from(limit));
        program.launch("mandelbrot", plane([3, 4], [16, 8]), &[&output, &arguments.0, &arguments.1, &arguments.2]);
        let found = output.read();
        // The start of a point may be rounded once more or less (fused or not): few points, near the set, notice.
        let different = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert!(different <= found.len() / 100, "{different} of {} points differ", found.len());
    });
}

#[test]
fn blur_of_rows_of_pixels() {
    let (width, height, radius) = (50usize, 5, 4usize);
    let mut random = Random::new(5);
    let image: Vec<[u8; 4]> = (0..width * height).map(|_| (random.next() as u32).to_le_bytes()).collect();
    let mut expected = image.clone();
    for (i, pixel) in expected.iter_mut().enumerate() {
        let (x, row) = (i % width, i / width * width);
        let window = &image[row + x.saturating_sub(radius)..row + (x + radius + 1).min(width)];
        for channel in 0..3 {
            pixel[channel] = (window.iter().map(|p| usize::from(p[channel])).sum::<usize>() / window.len()) as u8;
        }
    }
    on_every_build(SOURCE, |program| {
        let output = program.room::<[u8; 4]>(image.len());
        let launch = line(height, 32).shared(4 * width);
        program.launch("blur_rows", launch, &[&program.upload(&image), &output, &(width as i32), &(radius as i32)]);
        assert_eq!(output.read(), expected);
    });
}
