//! The README's pictures: every scene of the miniature model edited with its own prompts and seed, and the model's
//! defaults.
//!
//! Run with `cargo run --release --example gallery`; it writes `docs/demo.png` and `docs/gallery.png`. NVRTC is looked
//! for, not fetched: if there is none, run `diffedit demo` first, or name its file in `DIFFEDIT_NVRTC`.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use diffedit::device::{self, Compiler, DeviceChoice};
use diffedit::edit::{EditRequest, EditResult, Editor, EditorOptions};
use diffedit::model::ModelFiles;
use diffedit::{picture, report};
use image::{DynamicImage, RgbImage, imageops};
use serde::Deserialize;

/// The scene that `diffedit demo` edits.
const DEMO: usize = 2;

/// An entry of `scenes.json`.
#[derive(Deserialize)]
struct Scene {
    file: String,
    source: String,
    target: String,
    /// Whether the target is what remains when the source is removed.
    #[serde(default)]
    removal: bool,
    /// The model's default where there is none.
    seed: Option<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("models/demo/scenes");
    let scenes: Vec<Scene> = serde_json::from_slice(&std::fs::read(folder.join("scenes.json"))?)?;
    let model = ModelFiles::demo();
    let mut editor = open(&model)?;
    let mut edits = Vec::new();
    for scene in scenes {
        println!("{}: {} to {}", scene.file, scene.source, scene.target);
        let picture = picture::load(&folder.join(&scene.file))?;
        let make = if scene.removal { EditRequest::removal } else { EditRequest::new };
        let mut request = make(picture, scene.source, scene.target);
        request.take_defaults(&model)?;
        request.seed = scene.seed.unwrap_or(request.seed);
        let result = editor.edit(&request, &mut |_| ControlFlow::Continue(()))?;
        edits.push((request, result));
    }
    beside(&edits[DEMO])?.save(root.join("docs/demo.png"))?;
    report::gallery("The miniature's own scenes", &edits)?.save(root.join("docs/gallery.png"))?;
    Ok(())
}

fn open(model: &ModelFiles) -> Result<Editor, Box<dyn Error>> {
    let cache = PathBuf::from(std::env::var("HOME")?).join(".cache/diffedit");
    let device = DeviceChoice::Auto;
    let nvrtc = device::find_nvrtc(None, device::target(&device)?, &cache)?;
    let compiler = Compiler::new(Some(nvrtc), Some(cache.join("kernels")))?;
    let options = EditorOptions { device, compiler, separate_memory: false };
    Ok(Editor::open(model, options, &mut |_| ())?)
}

/// Original, mask and result in a line.
fn beside((request, result): &(EditRequest, EditResult)) -> diffedit::Result<RgbImage> {
    let (width, height) = request.picture.dimensions();
    let covered = report::overlay(&request.picture, &result.mask.picture(width, height));
    let edited = result.paste_back(&DynamicImage::from(request.picture.clone()))?.into_rgb8();
    let gap = width / 32;
    let mut line = RgbImage::from_pixel(3 * width + 2 * gap, height, image::Rgb([255; 3]));
    for (column, part) in [&request.picture, &covered, &edited].into_iter().enumerate() {
        imageops::replace(&mut line, part, column as i64 * i64::from(width + gap), 0);
    }
    Ok(line)
}
