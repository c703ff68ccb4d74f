//! Sizes of pictures: every multiple of 8 from 64 to 2048, square or not, whatever is odd on the way down the networks.

mod support;

use std::ops::ControlFlow;

use diffedit::edit::{MapSettings, MaskSource};
use diffedit::model::ModelFiles;
use diffedit::{EditRequest, EditResult, Editor, EditorOptions, Error};

/// Long and thin, large, and odd on every level: latents of 9 x 13, 65 x 127, 255 x 9.
const SIZES: [(usize, usize); 12] = [
    (64, 64),
    (64, 2048),
    (2048, 64),
    (2048, 2048),
    (72, 104),
    (520, 1016),
    (2040, 72),
    (88, 1992),
    (584, 440),
    (1000, 664),
    (136, 120),
    (1928, 1176),
];

fn open(separate_memory: bool) -> Editor {
    let options = EditorOptions { device: support::device_choice(), compiler: support::compiler(), separate_memory };
    Editor::open(&ModelFiles::demo(), options, &mut |_| ()).expect("the demo model opens")
}

/// The shortest whole edit at a size.
fn request(size: (usize, usize)) -> EditRequest {
    let picture = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/scenes/0-horse-grass.png"));
    let mut request = EditRequest::new(picture.expect("the scene").to_rgb8(), "horse", "zebra");
    request.size = Some(size);
    request.steps = 2;
    request.strength = 1.0;
    request.mask = MaskSource::Prompts(MapSettings { maps: 1, ..MapSettings::default() });
    request.mask_settings.threshold = 0.25;
    request
}

fn edit(editor: &mut Editor, size: (usize, usize)) -> EditResult {
    editor.edit(&request(size), &mut |_| ControlFlow::Continue(())).expect("the edit runs")
}

#[test]
fn every_multiple_of_eight_is_planned() {
    let editor = open(false);
    for size in SIZES {
        let plans = editor.plans(&request(size)).unwrap_or_else(|error| panic!("{size:?}: {error}"));
        // At least what convolving the picture to the VAE's first 16 channels takes.
        let least = size.0 * size.1 * 3 * 9 * 16;
        assert!(plans.encode.macs() > least as u64, "{size:?}: {} multiply-accumulates", plans.encode.macs());
    }
}

#[test]
fn other_sizes_are_refused() {
    let editor = open(false);
    for size in [(56, 64), (64, 2056), (100, 128), (0, 64), (usize::MAX & !7, 64)] {
        let error = editor.plans(&request(size)).err().unwrap_or_else(|| panic!("{size:?} is planned"));
        assert!(matches!(&error, Error::Request(message) if message.contains("64 to 2048")), "{error}");
    }
}

/// A tensor that a kernel leaves in part unwritten, or reads beyond, shows where each has memory of its own, full of
/// NaN.
#[test]
fn odd_sizes_run_and_read_nothing_they_should_not() {
    let (mut shared, mut separate) = (open(false), open(true));
    for (width, height) in [(72, 104), (168, 64)] {
        let results = [&mut shared, &mut separate].map(|editor| edit(editor, (width, height)));
        support::assert_clean();
        assert_eq!(results[0].picture.dimensions(), (width as u32, height as u32));
        assert_eq!((results[0].mask.width(), results[0].mask.height()), (width / 8, height / 8));
        let [map, other] = results.each_ref().map(|result| result.map.as_ref().expect("a map").values());
        assert_eq!(map.iter().copied().fold(0.0, f32::max), 1.0, "{width}x{height}");
        assert_eq!(map, other, "{width}x{height}");
        assert_eq!(results[0].picture, results[1].picture, "{width}x{height}");
    }
}
