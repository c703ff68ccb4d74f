use image::Rgb;

use super::*;
use crate::edit::{EditRequest, MaskSettings};
use crate::picture::{Placement, Resize};

/// A picture of a disc on a gradient.
fn disc(width: u32, height: u32, colour: [u8; 3]) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (dx, dy) = (f64::from(x) / f64::from(width) - 0.5, f64::from(y) / f64::from(height) - 0.55);
        if dx.hypot(dy) < 0.3 {
            Rgb(colour)
        } else {
            Rgb([90 + (x * 80 / width) as u8, 160, 90 + (y * 80 / height) as u8])
        }
    })
}

/// A bump in the middle.
fn bump(width: usize, height: usize) -> Vec<f32> {
    let value = |index: usize| {
        let (x, y) = ((index % width) as f32 / width as f32 - 0.5, (index / width) as f32 / height as f32 - 0.55);
        (1.0 - 2.2 * x.hypot(y)).clamp(0.0, 1.0).powi(2)
    };
    (0..width * height).map(value).collect()
}

fn edited(width: u32, height: u32) -> (EditRequest, EditResult) {
    let (columns, rows) = (width as usize / 8, height as usize / 8);
    let original = disc(width, height, [130, 80, 40]);
    let map = Map::normalise(columns, rows, &bump(columns, rows)).expect("a map");
    let mut request = EditRequest::new(original.clone(), "horse", "zebra");
    request.mask_settings = MaskSettings { threshold: 0.25, ..MaskSettings::default() };
    let mask = map.threshold(0.25).blur(7).expect("a blur");
    let planes: [Vec<f32>; 4] = std::array::from_fn(|channel| {
        bump(columns, rows).iter().enumerate().map(|(i, v)| v + (i * (channel + 3) % 7) as f32 * 0.1).collect()
    });
    let figures = EditFigures {
        noisy: disc(width, height, [120, 110, 100]),
        latents: planes.clone(),
        noisy_latents: planes,
        predicted_source: disc(width, height, [100, 100, 100]),
        predicted_target: disc(width, height, [200, 200, 200]),
        difference: disc(width, height, [255, 255, 255]),
        steps: (0..8).map(|i| (1 + i * 37 / 7, disc(width, height, [30 * i as u8, 80, 40]))).collect(),
    };
    let result = EditResult {
        picture: disc(width, height, [230, 230, 230]),
        original,
        placement: Placement::new((width, height), (width, height), Resize::Stretch),
        mask,
        map: Some(map),
        timings: Vec::new(),
        macs: 0,
        dropped: Vec::new(),
        dump: None,
        figures: Some(figures),
    };
    (request, result)
}

#[test]
fn a_sheet_shows_every_row_at_any_shape() {
    for (width, height) in [(128, 128), (192, 96), (64, 128)] {
        let (request, result) = edited(width, height);
        let sheet = contact_sheet(&request, &result).expect("valid settings").expect("figures were asked for");
        // Seven titled rows, of which the steps take two lines.
        assert!(sheet.width() > 5 * 90 && sheet.height() > 8 * 90, "{:?}", sheet.dimensions());
        let paper = *sheet.get_pixel(0, 0);
        let inked = |y: u32| (0..sheet.width()).any(|x| *sheet.get_pixel(x, y) != paper);
        let longest_gap = (0..sheet.height())
            .fold((0, 0), |(gap, longest), y| if inked(y) { (0, longest) } else { (gap + 1, (gap + 1).max(longest)) });
        assert!(longest_gap.1 <= 40, "an empty band of {} pixels in {width}x{height}", longest_gap.1);
    }
}

/// A line of five and one of the rest.
#[test]
fn a_gallery_holds_every_edit() {
    let edits: Vec<_> = (0..7).map(|_| edited(128, 128)).collect();
    let [one, seven] = [1, 7].map(|count| gallery("Edits", &edits[..count]).expect("a gallery"));
    assert_eq!(one.width(), seven.width());
    let lines = f64::from(seven.height()) / f64::from(one.height());
    assert!((1.7..2.0).contains(&lines), "{:?} and {:?}", one.dimensions(), seven.dimensions());
    assert!(one.pixels().any(|pixel| pixel.0 == [230; 3]), "the disc of the result");
    assert_eq!(gallery("Edits", &[]).expect("nothing").dimensions(), (1, 1));
}

#[test]
fn without_figures_there_is_no_sheet() {
    let (request, mut result) = edited(128, 128);
    result.figures = None;
    assert!(contact_sheet(&request, &result).expect("valid settings").is_none());
}
