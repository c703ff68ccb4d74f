//! Gaussian blurs of masks, as OpenCV computes them.
//!
//! Weights: OpenCV's `getGaussianKernel` for an unset sigma, that is fixed tables up to size 9 and
//! sigma = 0.3 ((size - 1) / 2 - 1) + 0.8 above. Borders: `BORDER_REFLECT_101`.

use crate::error::{Error, Result};

/// The largest size of a blur.
pub const MAX_BLUR: usize = 255;

/// Refuses sizes that have no centre, or are absurd.
pub(super) fn check(size: usize) -> Result<()> {
    if size > MAX_BLUR || (size > 0 && size.is_multiple_of(2)) {
        return Err(Error::Request(format!("blur: {size} is not 0 or an odd number up to {MAX_BLUR}")));
    }
    Ok(())
}

/// The weights of OpenCV's blur of 8-bit pictures for an odd size: multiples of 1/256, symmetric, their sum 256.
///
/// Each weight is rounded together with the rounding error of the one before it, from the end inwards, and the centre
/// takes what is missing to 256.
///
/// # Panics
/// If the size is even.
pub fn gaussian_kernel_fixed(size: usize) -> Vec<u16> {
    let mut fixed = vec![0; size];
    let (mut carried, mut missing) = (0.0, 256);
    for (index, weight) in gaussian_kernel(size).into_iter().take(size / 2).enumerate() {
        let exact = weight * 256.0 + carried;
        let rounded = exact.round_ties_even();
        carried = exact - rounded;
        fixed[index] = rounded as u16;
        fixed[size - 1 - index] = rounded as u16;
        missing -= 2 * rounded as u16;
    }
    fixed[size / 2] = missing;
    fixed
}

/// The weights of a blur of an odd size, their sum 1.
fn gaussian_kernel(size: usize) -> Vec<f64> {
    assert!(!size.is_multiple_of(2), "a blur of size {size} has no centre");
    let in_256ths = |weight: i32| f64::from(weight) / 256.0;
    match size {
        1 => vec![1.0],
        3 => [64, 128, 64].map(in_256ths).to_vec(),
        5 => [16, 64, 96, 64, 16].map(in_256ths).to_vec(),
        7 => [8, 28, 56, 72, 56, 28, 8].map(in_256ths).to_vec(),
        9 => [4, 13, 30, 51, 60, 51, 30, 13, 4].map(in_256ths).to_vec(),
        _ => {
            let radius = (size / 2) as f64;
            let sigma = 0.3 * (radius - 1.0) + 0.8;
            let weight = |index: usize| (-(index as f64 - radius).powi(2) / (2.0 * sigma * sigma)).exp();
            let total: f64 = (0..size).map(weight).sum();
            (0..size).map(|index| weight(index) / total).collect()
        }
    }
}

/// Where an 8-bit blur of the 0s and 1s rounds to 1: weights of 1/256 in both directions, halves rounded up.
pub(super) fn majority(cells: &[u8], width: usize, height: usize, size: usize) -> Vec<u8> {
    if size <= 1 {
        return cells.to_vec();
    }
    let kernel: Vec<u32> = gaussian_kernel_fixed(size).into_iter().map(u32::from).collect();
    let cells: Vec<u32> = cells.iter().map(|&cell| u32::from(cell)).collect();
    let sums = convolve(&cells, width, height, &kernel);
    sums.into_iter().map(|sum| ((sum + (1 << 15)) >> 16) as u8).collect()
}

/// Where a blur of the 0s and 1s in floats exceeds a tenth.
pub(super) fn dilating(cells: &[u8], width: usize, height: usize, size: usize) -> Vec<u8> {
    if size <= 1 {
        return cells.to_vec();
    }
    let kernel: Vec<f32> = gaussian_kernel(size).into_iter().map(|weight| weight as f32).collect();
    let cells: Vec<f32> = cells.iter().map(|&cell| f32::from(cell)).collect();
    let sums = convolve(&cells, width, height, &kernel);
    sums.into_iter().map(|sum| u8::from(sum > 0.1)).collect()
}

/// Along the rows, then along the columns.
fn convolve<T>(cells: &[T], width: usize, height: usize, kernel: &[T]) -> Vec<T>
where
    T: Copy + std::ops::Mul<Output = T> + std::iter::Sum,
{
    let at =
        |start: usize, offset: usize, n: usize| reflect(start as i64 + offset as i64 - (kernel.len() / 2) as i64, n);
    let weighted = |pick: &dyn Fn(usize) -> T| kernel.iter().enumerate().map(|(tap, &weight)| weight * pick(tap)).sum();
    let cell = |index: usize| (index % width, index / width);

    let mut rows: Vec<T> = Vec::with_capacity(cells.len()); // (height, width)
    for index in 0..cells.len() {
        let (x, y) = cell(index);
        rows.push(weighted(&|tap| cells[y * width + at(x, tap, width)]));
    }
    let mut columns: Vec<T> = Vec::with_capacity(cells.len()); // (height, width)
    for index in 0..cells.len() {
        let (x, y) = cell(index);
        columns.push(weighted(&|tap| rows[at(y, tap, height) * width + x]));
    }
    columns
}

/// The index inside a line of `n` that a position outside mirrors: the border itself is not repeated
/// (`BORDER_REFLECT_101`), and a line shorter than the reach is mirrored again and again.
fn reflect(position: i64, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let last = n as i64 - 1;
    let folded = position.rem_euclid(2 * last);
    (if folded > last { 2 * last - folded } else { folded }) as usize
}
