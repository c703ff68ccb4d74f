//! Numbers as colours: latents and maps as pictures, and a mask laid over a picture.

use image::{DynamicImage, GrayImage, Rgb, RgbImage};

use crate::mask::{Map, Mask};

/// The colour of the tint and of the outline of a mask.
const TINT: [f32; 3] = [230.0, 57.0, 70.0];

/// Share of the tint inside the mask.
const TINT_SHARE: f32 = 0.45;

/// Brightness outside the mask.
const OUTSIDE: f32 = 0.8;

/// Nine colours of matplotlib's viridis, evenly spread from 0 to 1.
const VIRIDIS: [[f32; 3]; 9] = [
    [68.0, 1.0, 84.0],
    [71.0, 44.0, 122.0],
    [59.0, 81.0, 139.0],
    [44.0, 113.0, 142.0],
    [33.0, 144.0, 141.0],
    [39.0, 173.0, 129.0],
    [92.0, 200.0, 99.0],
    [170.0, 220.0, 50.0],
    [253.0, 231.0, 37.0],
];

/// The picture with what a mask leaves alone darkened, what it gives to the edit tinted, and the outline drawn. The
/// mask is a picture of the same size, white where the edit goes.
pub fn overlay(picture: &RgbImage, mask: &GrayImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let inside = |x: u32, y: u32| mask.get_pixel(x, y).0[0] == 255;
    // The outline's width: a pixel in 256.
    let reach = (width.max(height) / 256).max(1);
    RgbImage::from_fn(width, height, |x, y| {
        let levels = picture.get_pixel(x, y).0.map(f32::from);
        if !inside(x, y) {
            return Rgb(levels.map(|level| (level * OUTSIDE).round() as u8));
        }
        let left_or_up = !inside(x.saturating_sub(reach), y) || !inside(x, y.saturating_sub(reach));
        let right_or_down = !inside((x + reach).min(width - 1), y) || !inside(x, (y + reach).min(height - 1));
        let share = if left_or_up || right_or_down { 1.0 } else { TINT_SHARE };
        mix(levels, TINT, share)
    })
}

/// A map in viridis, `width` x `height` pixels.
pub fn map_picture(map: &Map, [width, height]: [u32; 2]) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        viridis(cell(map.values(), [map.width(), map.height()], x, y, [width, height]))
    })
}

/// A mask in white and black, `width` x `height` pixels.
pub fn mask_picture(mask: &Mask, [width, height]: [u32; 2]) -> RgbImage {
    DynamicImage::from(mask.picture(width, height)).into_rgb8()
}

/// A plane of latents `grid` cells wide and high in greys from its least value to its largest.
pub fn plane_picture(plane: &[f32], grid: [usize; 2], [width, height]: [u32; 2]) -> RgbImage {
    let least = plane.iter().copied().fold(f32::INFINITY, f32::min);
    let range = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max) - least;
    RgbImage::from_fn(width, height, |x, y| {
        let value = cell(plane, grid, x, y, [width, height]);
        let share = if range > 0.0 { (value - least) / range } else { 0.5 };
        Rgb([(share * 255.0).round() as u8; 3])
    })
}

/// The value of the cell of `grid` under a pixel of a picture of `size`.
fn cell<T: Copy>(values: &[T], grid: [usize; 2], x: u32, y: u32, size: [u32; 2]) -> T {
    let index = |position: u32, cells: usize, pixels: u32| position as usize * cells / pixels as usize;
    values[index(y, grid[1], size[1]) * grid[0] + index(x, grid[0], size[0])]
}

/// The colour of a value in 0 to 1.
fn viridis(value: f32) -> Rgb<u8> {
    let place = value.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f32;
    let index = (place as usize).min(VIRIDIS.len() - 2);
    mix(VIRIDIS[index], VIRIDIS[index + 1], place - index as f32)
}

fn mix(from: [f32; 3], to: [f32; 3], share: f32) -> Rgb<u8> {
    Rgb(std::array::from_fn(|channel| (from[channel] + (to[channel] - from[channel]) * share).round() as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_tints_inside_and_darkens_outside() {
        let mut cells = vec![0; 16];
        cells[5..7].fill(1);
        cells[9..11].fill(1);
        let mask = Mask::new(4, 4, cells).expect("a mask");
        let covered = overlay(&RgbImage::from_pixel(64, 64, Rgb([100; 3])), &mask.picture(64, 64));
        assert_eq!(covered.get_pixel(2, 2).0, [80; 3]);
        assert_eq!(covered.get_pixel(32, 32).0, [159, 81, 87]);
        assert_eq!(covered.get_pixel(16, 16).0, TINT.map(|level| level as u8), "the outline");
    }

    #[test]
    fn ends_of_the_scale_are_its_end_colours() {
        let map = Map::new(2, 1, vec![0.0, 1.0]).expect("a map");
        let picture = map_picture(&map, [8, 2]);
        assert_eq!(picture.get_pixel(0, 0).0, [68, 1, 84]);
        assert_eq!(picture.get_pixel(7, 1).0, [253, 231, 37]);
        let plane = plane_picture(&[-3.0, 5.0], [2, 1], [8, 2]);
        assert_eq!((plane.get_pixel(0, 0).0, plane.get_pixel(7, 0).0), ([0; 3], [255; 3]));
        assert_eq!(plane_picture(&[1.0, 1.0], [2, 1], [2, 1]).get_pixel(0, 0).0, [128; 3]);
    }
}
