//! Laying an edit back into the picture it was made from.
//!
//! Outside the mask nothing changes, to the bit. Inside, the edit fades in over [`BAND`] latent cells from the mask's
//! outline: with w the share of the edit, a pixel becomes (1 - w) original + w edit, where w = min(1, d / BAND) and d is
//! the distance in cells from the pixel's middle to the nearest cell that the mask leaves alone.

use image::{DynamicImage, ImageBuffer, Pixel, RgbImage};

use super::Placement;
use crate::error::{Error, Result};
use crate::mask::Mask;

/// Width of the transition in latent cells: as wide as it can be without thinning out a mask one cell wide.
pub const BAND: f64 = 0.5;

/// The picture with an edit laid over it where the mask is 1.
///
/// `original` keeps its depth, 8 or 16 bits a channel, and its transparency; greys become RGB. Where it is transparent
/// the colours become those that look like the edit over white. `edited` is the canvas of `placement`.
///
/// # Errors
/// [`Error::Request`] if the sizes are not those of the placement.
pub fn paste_back(
    original: &DynamicImage,
    edited: &RgbImage,
    mask: &Mask,
    placement: &Placement,
) -> Result<DynamicImage> {
    let sizes = ((original.width(), original.height()), edited.dimensions());
    if sizes != (placement.picture(), placement.canvas()) {
        let ((width, height), (columns, rows)) = sizes;
        return Err(Error::Request(format!(
            "an edit of {columns}x{rows} does not lie in a picture of {width}x{height} as it was placed"
        )));
    }
    let edit = Edit { pixels: placement.take(edited), crop: placement.crop(), shares: Shares::new(mask, placement) };
    let wide = original.color().bytes_per_pixel() / original.color().channel_count() > 1;
    Ok(match (wide, original.color().has_alpha()) {
        (false, false) => edit.over(original.to_rgb8()).into(),
        (false, true) => edit.over(original.to_rgba8()).into(),
        (true, false) => edit.over(original.to_rgb16()).into(),
        (true, true) => edit.over(original.to_rgba16()).into(),
    })
}

/// A channel's level as a share of the brightest.
trait Level: Copy {
    fn share(self) -> f32;
    fn of(share: f32) -> Self;
}

impl Level for u8 {
    fn share(self) -> f32 {
        f32::from(self) / 255.0
    }

    fn of(share: f32) -> u8 {
        (share * 255.0).round() as u8
    }
}

impl Level for u16 {
    fn share(self) -> f32 {
        f32::from(self) / 65535.0
    }

    fn of(share: f32) -> u16 {
        (share * 65535.0).round() as u16
    }
}

/// An edit at the size of the part of the picture that was edited.
struct Edit<'a> {
    pixels: RgbImage,
    crop: [u32; 4],
    shares: Shares<'a>,
}

impl Edit<'_> {
    fn over<P>(&self, mut picture: ImageBuffer<P, Vec<P::Subpixel>>) -> ImageBuffer<P, Vec<P::Subpixel>>
    where
        P: Pixel,
        P::Subpixel: Level,
    {
        let [left, top, ..] = self.crop;
        for (x, y, edited) in self.pixels.enumerate_pixels() {
            let (x, y) = (left + x, top + y);
            let share = self.shares.at(x, y);
            if share > 0.0 {
                blend(picture.get_pixel_mut(x, y).channels_mut(), edited.0, share);
            }
        }
        picture
    }
}

/// Moves a pixel, RGB or RGBA, towards the edit's colour.
fn blend<L: Level>(pixel: &mut [L], edited: [u8; 3], share: f32) {
    let alpha = pixel.get(3).map_or(1.0, |alpha| alpha.share());
    if alpha == 0.0 {
        return;
    }
    for (level, edited) in pixel.iter_mut().zip(edited) {
        let white = 1.0 - alpha;
        let seen = level.share() * alpha + white;
        let blended = seen + (edited.share() - seen) * share;
        *level = L::of(((blended - white) / alpha).clamp(0.0, 1.0));
    }
}

/// The share of the edit in every pixel of a picture.
struct Shares<'a> {
    mask: &'a Mask,
    /// The cell under each column and row, with its fraction.
    places: [Vec<Option<f64>>; 2],
    /// The cells that the picture touches in each direction, and whether it goes on beyond them.
    bounds: [([usize; 2], [bool; 2]); 2],
}

impl Shares<'_> {
    fn new<'a>(mask: &'a Mask, placement: &Placement) -> Shares<'a> {
        Shares { mask, places: placement.places(mask), bounds: placement.bounds(mask) }
    }

    fn at(&self, x: u32, y: u32) -> f32 {
        let (Some(x), Some(y)) = (self.places[0][x as usize], self.places[1][y as usize]) else { return 0.0 };
        let cell = [x as i64, y as i64];
        if !self.edited(cell) {
            return 0.0;
        }
        let inside = [x.fract(), y.fract()];
        let nearest = NEIGHBOURS
            .iter()
            .filter(|step| !self.edited([cell[0] + step[0], cell[1] + step[1]]))
            .map(|step| distance(inside[0], step[0]).hypot(distance(inside[1], step[1])))
            .fold(BAND, f64::min);
        (nearest / BAND) as f32
    }

    /// Whether a cell is edited. Beyond the picture's own border nothing stops the edit; where the picture goes on
    /// outside the part that is edited, it does.
    fn edited(&self, cell: [i64; 2]) -> bool {
        let mut clamped = [0; 2];
        for (axis, ([first, end], [cut_before, cut_after])) in self.bounds.into_iter().enumerate() {
            let (first, last) = (first as i64, end as i64 - 1);
            if (cell[axis] < first && cut_before) || (cell[axis] > last && cut_after) {
                return false;
            }
            clamped[axis] = cell[axis].clamp(first, last) as usize;
        }
        self.mask.cells()[clamped[1] * self.mask.width() + clamped[0]] == 1
    }
}

/// The cells around one, which are all that is within [`BAND`] of it.
const NEIGHBOURS: [[i64; 2]; 8] = [[-1, -1], [0, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [0, 1], [1, 1]];

/// How far a place inside a cell is from the neighbour in the direction of `step`, along one axis.
fn distance(inside: f64, step: i64) -> f64 {
    match step {
        -1 => inside,
        0 => 0.0,
        _ => 1.0 - inside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Resize;
    use image::{Rgb, Rgba};

    /// A picture of levels that any language can make: a linear congruential generator.
    fn noise<P: Pixel>(
        width: u32,
        height: u32,
        level: impl Fn(u32) -> P::Subpixel,
    ) -> ImageBuffer<P, Vec<P::Subpixel>> {
        let mut state = width * 31 + height;
        let levels = (0..width * height * u32::from(P::CHANNEL_COUNT)).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            level(state)
        });
        ImageBuffer::from_raw(width, height, levels.collect()).expect("the size")
    }

    fn noise_rgb(width: u32, height: u32) -> RgbImage {
        noise(width, height, |state| (state >> 24) as u8)
    }

    fn plain(columns: usize, rows: usize, value: u8) -> Mask {
        Mask::new(columns, rows, vec![value; columns * rows]).expect("a mask")
    }

    const PLACEMENTS: [((u32, u32), (u32, u32)); 5] = [
        ((64, 64), (64, 64)),
        ((301, 97), (128, 72)),
        ((40, 90), (64, 128)),
        ((200, 50), (64, 64)),
        ((5, 3), (64, 64)),
    ];
    const POLICIES: [Resize; 3] = [Resize::Stretch, Resize::Fit, Resize::Fill];

    fn placements() -> impl Iterator<Item = Placement> {
        PLACEMENTS.into_iter().flat_map(|(from, to)| POLICIES.map(|resize| Placement::new(from, to, resize)))
    }

    fn cells(placement: &Placement) -> (usize, usize) {
        (placement.canvas().0 as usize / 8, placement.canvas().1 as usize / 8)
    }

    /// Every other few cells, in both directions.
    fn patches(placement: &Placement) -> Mask {
        let (columns, rows) = cells(placement);
        let cells = (0..columns * rows).map(|i| u8::from((i % columns / 3 + i / columns / 2) % 2 == 0));
        Mask::new(columns, rows, cells.collect()).expect("a mask")
    }

    #[test]
    fn an_empty_mask_leaves_every_bit() {
        for placement in placements() {
            let ((width, height), canvas) = (placement.picture(), placement.canvas());
            let (columns, rows) = cells(&placement);
            let originals: [DynamicImage; 4] = [
                noise_rgb(width, height).into(),
                noise::<Rgba<u8>>(width, height, |state| (state >> 24) as u8).into(),
                noise::<Rgb<u16>>(width, height, |state| (state >> 16) as u16).into(),
                noise::<Rgba<u16>>(width, height, |state| (state >> 16) as u16).into(),
            ];
            for original in originals {
                let edited = noise_rgb(canvas.0, canvas.1);
                let pasted = paste_back(&original, &edited, &plain(columns, rows, 0), &placement).expect("it fits");
                assert_eq!(pasted, original);
            }
        }
    }

    #[test]
    fn a_full_mask_gives_the_resized_edit() {
        for placement in placements() {
            let ((width, height), canvas) = (placement.picture(), placement.canvas());
            let (columns, rows) = cells(&placement);
            let (original, edited) = (noise_rgb(width, height), noise_rgb(canvas.0, canvas.1));
            let mask = plain(columns, rows, 1);
            let pasted = paste_back(&original.clone().into(), &edited, &mask, &placement).expect("it fits");
            let pasted = pasted.into_rgb8();
            let [left, top, crop_width, crop_height] = placement.crop();
            let expected = placement.take(&edited);
            let mut inside = 0;
            for (x, y, pixel) in pasted.enumerate_pixels() {
                let (in_x, in_y) = (x.wrapping_sub(left), y.wrapping_sub(top));
                if in_x >= crop_width || in_y >= crop_height {
                    assert_eq!(pixel, original.get_pixel(x, y), "outside the crop");
                } else if expected.dimensions() == (width, height) {
                    assert_eq!(pixel, expected.get_pixel(in_x, in_y), "{x}, {y}");
                    inside += 1;
                }
            }
            assert!(inside > 0 || (crop_width, crop_height) != (width, height));
        }
    }

    /// Outside the mask every bit; inside between original and edit; and the mask that is written says which is which.
    #[test]
    fn a_mask_divides_original_from_edit() {
        for placement in placements() {
            let ((width, height), canvas) = (placement.picture(), placement.canvas());
            let (original, edited) = (noise_rgb(width, height), noise_rgb(canvas.0, canvas.1));
            let mask = patches(&placement);
            let pasted = paste_back(&original.clone().into(), &edited, &mask, &placement).expect("it fits").into_rgb8();
            let ([left, top, ..], taken) = (placement.crop(), placement.take(&edited));
            for (x, y, white) in placement.mask_picture(&mask).enumerate_pixels() {
                let (before, after) = (original.get_pixel(x, y).0, pasted.get_pixel(x, y).0);
                if white.0[0] == 0 {
                    assert_eq!(before, after, "{x}, {y}");
                } else {
                    let edit = taken.get_pixel(x - left, y - top).0;
                    for ((before, after), edit) in before.into_iter().zip(after).zip(edit) {
                        assert!((before.min(edit)..=before.max(edit)).contains(&after), "{x}, {y}");
                    }
                }
            }
        }
    }

    /// Across a straight edge: the original up to the mask, a steady rise, and the edit from half a cell on.
    #[test]
    fn the_edit_fades_in_without_a_seam() {
        let placement = Placement::new((256, 64), (128, 64), Resize::Stretch);
        let cells = (0..16 * 8).map(|index| u8::from(index % 16 >= 6)).collect();
        let mask = Mask::new(16, 8, cells).expect("a mask");
        let (original, edited) = (RgbImage::new(256, 64), RgbImage::from_pixel(128, 64, Rgb([200; 3])));
        let pasted = paste_back(&original.into(), &edited, &mask, &placement).expect("it fits").into_rgb8();
        let row: Vec<u8> = (0..256).map(|x| pasted.get_pixel(x, 20).0[0]).collect();
        assert!(row[..96].iter().all(|&level| level == 0));
        assert!(row[104..].iter().all(|&level| level == 200));
        let rises: Vec<u8> = row[95..=104].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(rises.iter().all(|rise| (12..=26).contains(rise)), "{rises:?}");
    }

    /// Where only the middle of a picture is edited, the edit fades in at its border too.
    #[test]
    fn a_crop_has_no_seam() {
        let placement = Placement::new((256, 64), (64, 64), Resize::Fill);
        let (original, edited) = (RgbImage::new(256, 64), RgbImage::from_pixel(64, 64, Rgb([200; 3])));
        let pasted = paste_back(&original.into(), &edited, &plain(8, 8, 1), &placement).expect("it fits").into_rgb8();
        let row: Vec<u8> = (94..102).map(|x| pasted.get_pixel(x, 0).0[0]).collect();
        assert_eq!(row, [0, 0, 25, 75, 125, 175, 200, 200]);
    }

    #[test]
    fn transparency_stays_and_looks_edited_over_white() {
        let placement = Placement::new((64, 64), (64, 64), Resize::Stretch);
        let alphas = [0, 51, 128, 255];
        let original = image::RgbaImage::from_fn(64, 64, |x, _| Rgba([10, 20, 30, alphas[x as usize % 4]]));
        let edited = RgbImage::from_pixel(64, 64, Rgb([240, 220, 230]));
        let pasted = paste_back(&original.into(), &edited, &plain(8, 8, 1), &placement).expect("it fits");
        let pasted = pasted.into_rgba8();
        assert_eq!(pasted.get_pixel(0, 0).0, [10, 20, 30, 0], "nothing is seen of it");
        assert_eq!(pasted.get_pixel(1, 0).0, [180, 80, 130, 51], "255 - (255 - 240) / 0.2");
        assert_eq!(pasted.get_pixel(3, 0).0, [240, 220, 230, 255]);
    }

    #[test]
    fn depth_stays() {
        let placement = Placement::new((64, 64), (64, 64), Resize::Stretch);
        let original = noise::<Rgb<u16>>(64, 64, |state| (state >> 16) as u16);
        let edited = noise_rgb(64, 64);
        let pasted = paste_back(&original.into(), &edited, &plain(8, 8, 1), &placement).expect("it fits");
        let DynamicImage::ImageRgb16(pasted) = pasted else { panic!("{:?}", pasted.color()) };
        assert!(pasted.iter().zip(edited.iter()).all(|(&deep, &level)| deep == u16::from(level) * 257));
        let grey = DynamicImage::ImageLuma8(image::GrayImage::new(64, 64));
        let pasted = paste_back(&grey, &edited, &plain(8, 8, 1), &placement).expect("it fits");
        assert_eq!(pasted, DynamicImage::ImageRgb8(edited));
    }

    #[test]
    fn other_sizes_are_refused() {
        let placement = Placement::new((64, 64), (128, 128), Resize::Stretch);
        let error = paste_back(&RgbImage::new(64, 64).into(), &RgbImage::new(64, 64), &plain(16, 16, 0), &placement);
        assert!(error.expect_err("refused").to_string().contains("64x64"));
    }
}
