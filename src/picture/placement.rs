//! Where a picture of any shape lies on the canvas that the model edits, and the way back.

use std::fmt;
use std::str::FromStr;

use image::{GrayImage, Luma, RgbImage, imageops};

use super::resize;
use crate::mask::Mask;

/// How a picture comes to a size of another aspect ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// The whole picture is stretched over the canvas.
    #[default]
    Stretch,
    /// The whole picture lies undistorted in the middle; its border pixels fill what is left at two sides.
    Fit,
    /// The canvas is filled, undistorted, by the middle of the picture; what lies outside is not edited.
    Fill,
}

impl FromStr for Resize {
    type Err = String;

    fn from_str(text: &str) -> Result<Resize, String> {
        let all = [Resize::Stretch, Resize::Fit, Resize::Fill];
        all.into_iter().find(|resize| resize.to_string() == text).ok_or("say stretch, fit or fill".into())
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(match self {
            Resize::Stretch => "stretch",
            Resize::Fit => "fit",
            Resize::Fill => "fill",
        })
    }
}

/// Sides that are edited, pixels; multiples of [`SIDE_UNIT`].
pub(crate) const SIDES: std::ops::RangeInclusive<usize> = 64..=2048;
pub(crate) const SIDE_UNIT: usize = 8;

/// Width and height of about `area` pixels in the aspect ratio of `picture`, multiples of `unit` from 64 to 2048.
///
/// Of the multiples next to the exact sides those are taken whose aspect ratio is nearest. A picture so long and thin
/// that a side would be under 64 gets a larger area; beyond 1:32 the aspect ratio cannot be kept.
pub fn size_of_area(picture: (u32, u32), area: usize, unit: usize) -> (usize, usize) {
    let (width, height) = (f64::from(picture.0.max(1)), f64::from(picture.1.max(1)));
    let least = *SIDES.start() as f64 / width.min(height);
    let scale = (area as f64 / (width * height)).sqrt().max(least);
    let sides = |exact: f64| {
        let below = (exact / unit as f64) as usize * unit;
        [below, below + unit].map(|side| side.clamp(*SIDES.start(), *SIDES.end()))
    };
    let candidates = sides(width * scale).into_iter().flat_map(|w| sides(height * scale).map(|h| (w, h)));
    // How far the area is off decides between sizes of the same shape.
    let off = |&(w, h): &(usize, usize)| {
        let (w, h) = (w as f64, h as f64);
        ((w * height / (h * width)).ln().abs(), (w * h / (width * height * scale * scale)).ln().abs())
    };
    candidates.min_by(|a, b| off(a).partial_cmp(&off(b)).expect("sides are positive")).expect("four candidates")
}

/// One direction of a [`Placement`]: `crop` of the picture's pixels cover `frame` of the canvas's, each a start and a
/// length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    picture: u32,
    canvas: u32,
    crop: [u32; 2],
    frame: [u32; 2],
}

impl Axis {
    /// Where the middle of a pixel of the picture lies among `cells` equal parts of the canvas; `None` outside the crop.
    fn cell(&self, pixel: u32, cells: usize) -> Option<f64> {
        let inside = pixel.checked_sub(self.crop[0]).filter(|&inside| inside < self.crop[1])?;
        let on_canvas =
            f64::from(self.frame[0]) + (f64::from(inside) + 0.5) * f64::from(self.frame[1]) / f64::from(self.crop[1]);
        Some(on_canvas * cells as f64 / f64::from(self.canvas))
    }

    /// The first of `cells` that the frame touches, and the one after the last.
    fn cells(&self, cells: usize) -> [usize; 2] {
        let canvas = self.canvas as usize;
        let [start, end] = [self.frame[0] as usize, (self.frame[0] + self.frame[1]) as usize];
        [start * cells / canvas, (end * cells).div_ceil(canvas)]
    }

    /// Whether the picture goes on where the crop begins, and where it ends.
    fn cut(&self) -> [bool; 2] {
        [self.crop[0] > 0, self.crop[0] + self.crop[1] < self.picture]
    }

    /// For each of `cells` parts of the canvas, the pixels that it covers in a line of `source` pixels that stands for
    /// the picture, and how much of each, in one unit throughout.
    fn overlaps(&self, source: usize, cells: usize) -> Vec<Vec<(usize, u128)>> {
        let [picture, canvas, source] = [i128::from(self.picture), i128::from(self.canvas), source as i128];
        let [crop, frame] = [self.crop, self.frame].map(|range| range.map(i128::from));
        let count = cells as i128;
        // A source pixel has the length `pixel`, in which all borders of cells are whole numbers.
        let pixel = count * frame[1] * picture;
        let place = |cell: i128| (crop[0] * count * frame[1] + (cell * canvas - frame[0] * count) * crop[1]) * source;
        let [first, last] = [crop[0], crop[0] + crop[1]].map(|edge| edge * count * frame[1] * source);
        let part = |cell: i128| {
            let [start, end] = [place(cell), place(cell + 1)].map(|edge| edge.clamp(first, last));
            let pixels = start / pixel..(end + pixel - 1) / pixel;
            let covered = |index: i128| (end.min((index + 1) * pixel) - start.max(index * pixel)) as u128;
            pixels.map(|index| (index as usize, covered(index))).collect()
        };
        (0..count).map(part).collect()
    }
}

/// Where a picture lies on the canvas that is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    axes: [Axis; 2],
}

impl Placement {
    /// A picture of `picture` pixels, width and height, on a canvas of `canvas`.
    ///
    /// # Panics
    /// If either is empty.
    pub fn new(picture: (u32, u32), canvas: (u32, u32), resize: Resize) -> Placement {
        let (picture, canvas) = ([picture.0, picture.1], [canvas.0, canvas.1]);
        assert!(picture.into_iter().chain(canvas).all(|side| side > 0), "an empty size");
        // The part of `whole` that has the shape of `shape`, in the middle.
        let part = |whole: [u32; 2], shape: [u32; 2]| {
            let [whole_64, shape_64] = [whole, shape].map(|size| size.map(u64::from));
            [0, 1].map(|axis: usize| {
                let other = 1 - axis;
                let length = (whole_64[other] * shape_64[axis] + shape_64[other] / 2) / shape_64[other];
                let length = length.clamp(1, whole_64[axis]) as u32;
                [(whole[axis] - length) / 2, length]
            })
        };
        let all = |size: [u32; 2]| size.map(|side| [0, side]);
        let (crop, frame) = match resize {
            Resize::Stretch => (all(picture), all(canvas)),
            Resize::Fit => (all(picture), part(canvas, picture)),
            Resize::Fill => (part(picture, canvas), all(canvas)),
        };
        let axis = |i: usize| Axis { picture: picture[i], canvas: canvas[i], crop: crop[i], frame: frame[i] };
        Placement { axes: [axis(0), axis(1)] }
    }

    /// Width and height of the picture.
    pub fn picture(&self) -> (u32, u32) {
        (self.axes[0].picture, self.axes[1].picture)
    }

    /// Width and height of the canvas.
    pub fn canvas(&self) -> (u32, u32) {
        (self.axes[0].canvas, self.axes[1].canvas)
    }

    /// The part of the picture that is edited: left, top, width, height.
    pub fn crop(&self) -> [u32; 4] {
        let [x, y] = self.axes.map(|axis| axis.crop);
        [x[0], y[0], x[1], y[1]]
    }

    /// The part of the canvas that it covers: left, top, width, height.
    pub fn frame(&self) -> [u32; 4] {
        let [x, y] = self.axes.map(|axis| axis.frame);
        [x[0], y[0], x[1], y[1]]
    }

    /// The picture on the canvas.
    ///
    /// # Panics
    /// If the picture is not of the size that the placement was made for.
    pub fn place(&self, picture: &RgbImage) -> RgbImage {
        assert_eq!(picture.dimensions(), self.picture(), "the placement of another picture");
        let [left, top, width, height] = self.frame();
        let framed = resize(&part(picture, self.crop()), width, height);
        let (columns, rows) = self.canvas();
        if framed.dimensions() == (columns, rows) {
            return framed;
        }
        let nearest = |pixel: u32, start: u32, length: u32| pixel.saturating_sub(start).min(length - 1);
        RgbImage::from_fn(columns, rows, |x, y| *framed.get_pixel(nearest(x, left, width), nearest(y, top, height)))
    }

    /// What a canvas shows of the picture, at the size of [`Placement::crop`]: the way back from [`Placement::place`].
    ///
    /// # Panics
    /// If the canvas is not of the size that the placement was made for.
    pub fn take(&self, canvas: &RgbImage) -> RgbImage {
        assert_eq!(canvas.dimensions(), self.canvas(), "the placement on another canvas");
        let [_, _, width, height] = self.crop();
        resize(&part(canvas, self.frame()), width, height)
    }

    /// The mask at the picture's size: a pixel is white, 255, where its middle lies in a cell that is 1.
    pub fn mask_picture(&self, mask: &Mask) -> GrayImage {
        let [columns, rows] = self.places(mask);
        let (width, height) = self.picture();
        GrayImage::from_fn(width, height, |x, y| match (columns[x as usize], rows[y as usize]) {
            (Some(x), Some(y)) => Luma([255 * mask.cells()[y as usize * mask.width() + x as usize]]),
            _ => Luma([0]),
        })
    }

    /// The cell of the mask under every column and every row of the picture; `None` outside the crop.
    pub(super) fn places(&self, mask: &Mask) -> [Vec<Option<f64>>; 2] {
        let cells = [mask.width(), mask.height()];
        [0, 1].map(|i| (0..self.axes[i].picture).map(|pixel| self.axes[i].cell(pixel, cells[i])).collect())
    }

    /// For each direction, the cells of the mask that the picture touches, and whether the picture goes on beyond them.
    pub(super) fn bounds(&self, mask: &Mask) -> [([usize; 2], [bool; 2]); 2] {
        let cells = [mask.width(), mask.height()];
        [0, 1].map(|i| (self.axes[i].cells(cells[i]), self.axes[i].cut()))
    }

    /// For columns and rows of `cells` on the canvas, the pixels that each covers of a picture of `source` pixels that
    /// shows the same as ours, and how much of each.
    pub(crate) fn overlaps(&self, source: [usize; 2], cells: [usize; 2]) -> [Vec<Vec<(usize, u128)>>; 2] {
        [0, 1].map(|i| self.axes[i].overlaps(source[i], cells[i]))
    }
}

fn part(picture: &RgbImage, [left, top, width, height]: [u32; 4]) -> RgbImage {
    imageops::crop_imm(picture, left, top, width, height).to_image()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_the_aspect_and_the_area() {
        let square = 512 * 512;
        for (picture, area, expected) in [
            ((512, 512), square, (512, 512)),
            ((64, 64), 128 * 128, (128, 128)),
            ((3000, 3000), 128 * 128, (128, 128)),
            ((4000, 3000), square, (584, 440)),
            ((3000, 4000), square, (440, 584)),
            ((1920, 1080), square, (680, 384)),
            ((1000, 100), 128 * 128, (640, 64)),
            ((1, 10_000), 128 * 128, (64, 2048)),
            ((10, 10), 1 << 40, (2048, 2048)),
        ] {
            assert_eq!(size_of_area(picture, area, 8), expected, "{picture:?}");
        }
    }

    #[test]
    fn sizes_of_any_picture_are_valid_and_hardly_distort() {
        for index in 0..4000_u32 {
            let picture = (1 + index * 7919 % 5000, 1 + index * 104_729 % 5000);
            let (width, height) = size_of_area(picture, 512 * 512, 8);
            assert!([width, height].iter().all(|side| SIDES.contains(side) && side % 8 == 0), "{picture:?}");
            let aspect = f64::from(picture.0) / f64::from(picture.1);
            let distortion = (width as f64 / height as f64 / aspect).ln().abs();
            if (1.0 / 16.0..=16.0).contains(&aspect) {
                assert!(distortion < 0.035, "{picture:?}: {width}x{height}");
                assert!((0.9..1.15).contains(&((width * height) as f64 / (512.0 * 512.0))), "{picture:?}");
            }
        }
    }

    #[test]
    fn policies_crop_and_frame_the_middle() {
        let placed = |picture, canvas, resize| {
            let placement = Placement::new(picture, canvas, resize);
            (placement.crop(), placement.frame())
        };
        assert_eq!(placed((300, 100), (128, 64), Resize::Stretch), ([0, 0, 300, 100], [0, 0, 128, 64]));
        assert_eq!(placed((300, 100), (128, 64), Resize::Fit), ([0, 0, 300, 100], [0, 10, 128, 43]));
        assert_eq!(placed((300, 100), (128, 64), Resize::Fill), ([50, 0, 200, 100], [0, 0, 128, 64]));
        assert_eq!(placed((100, 300), (64, 64), Resize::Fit), ([0, 0, 100, 300], [21, 0, 21, 64]));
        assert_eq!(placed((100, 300), (64, 64), Resize::Fill), ([0, 100, 100, 100], [0, 0, 64, 64]));
        assert_eq!(placed((1, 9000), (64, 64), Resize::Fit), ([0, 0, 1, 9000], [31, 0, 1, 64]));
        for resize in [Resize::Stretch, Resize::Fit, Resize::Fill] {
            assert_eq!(placed((128, 64), (128, 64), resize), ([0, 0, 128, 64], [0, 0, 128, 64]));
            assert_eq!(resize.to_string().parse(), Ok(resize));
        }
    }

    #[test]
    fn a_fitted_picture_is_continued_by_its_border() {
        let picture = RgbImage::from_fn(8, 4, |x, y| image::Rgb([x as u8 * 10, y as u8 * 10, 0]));
        let placement = Placement::new((8, 4), (8, 8), Resize::Fit);
        let canvas = placement.place(&picture);
        for (x, y, pixel) in canvas.enumerate_pixels() {
            assert_eq!(pixel, picture.get_pixel(x, y.saturating_sub(2).min(3)), "{x}, {y}");
        }
        assert_eq!(placement.take(&canvas), picture);
    }

    #[test]
    fn overlaps_share_out_every_pixel_of_the_crop() {
        for (picture, canvas, resize) in [
            ((300, 100), (128, 64), Resize::Stretch),
            ((301, 97), (128, 72), Resize::Fit),
            ((301, 97), (72, 128), Resize::Fill),
            ((5, 3), (64, 64), Resize::Fit),
        ] {
            let placement = Placement::new(picture, canvas, resize);
            let cells = [canvas.0 as usize / 8, canvas.1 as usize / 8];
            let source = [picture.0 as usize * 2, picture.1 as usize * 2];
            for (axis, parts) in placement.overlaps(source, cells).into_iter().enumerate() {
                let Axis { picture, crop, frame, .. } = placement.axes[axis];
                let pixel = cells[axis] as u128 * u128::from(frame[1]) * u128::from(picture);
                let total: u128 = parts.iter().flatten().map(|&(_, length)| length).sum();
                assert_eq!(total, 2 * u128::from(crop[1]) * pixel, "{picture:?} {resize}");
                assert!(parts.iter().flatten().all(|&(index, length)| index < source[axis] && length <= pixel));
            }
        }
    }
}
