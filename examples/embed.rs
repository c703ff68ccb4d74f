//! The library in another program: a model is loaded once and edits twice, with progress, and with an end before time.
//!
//! Run with `cargo run --release --example embed`. NVRTC is looked for, not fetched: if there is none, run
//! `diffedit demo` first, or name its file in `DIFFEDIT_NVRTC`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use diffedit::Error;
use diffedit::device::{self, Compiler, DeviceChoice};
use diffedit::edit::{EditRequest, Editor, EditorOptions, Event};
use diffedit::model::ModelFiles;
use diffedit::picture::{self, Original};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = PathBuf::from(std::env::var("HOME")?).join(".cache/diffedit");
    let choice = DeviceChoice::Auto;
    let nvrtc = device::find_nvrtc(None, device::target(&choice)?, &cache)?;
    let compiler = Compiler::new(Some(nvrtc), Some(cache.join("kernels")))?;
    let options = EditorOptions { device: choice, compiler, separate_memory: false };
    let model = ModelFiles::demo();
    let mut editor = Editor::open(&model, options, &mut |part| println!("loading {part}"))?;

    let scene = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/scenes/0-horse-grass.png");
    let original = Original::load(scene.as_ref())?;
    let mut request = EditRequest::new(original.rgb(), "horse", "zebra");
    request.take_defaults(&model)?;

    // The first edit plans and compiles; the second one, of the same size and steps, only runs.
    for (seed, name) in [(3, "zebra-3.png"), (4, "zebra-4.png")] {
        request.seed = seed;
        let result = editor.edit(&request, &mut |event| {
            if let Event::Step { done, total } = event {
                println!("{name}: step {done} of {total}");
            }
            ControlFlow::Continue(())
        })?;
        let path = std::env::temp_dir().join(name);
        // What the model made is `result.picture`; laid back, it leaves the picture as it was outside the mask.
        let edited = result.paste_back(&original.pixels)?;
        picture::write_png_as(std::fs::File::create(&path)?, &edited, &original.metadata, &[])?;
        println!("{}: {:.0}% of the picture was edited", path.display(), 100.0 * result.mask.coverage());
    }

    // The callback ends the edit; the editor can be used again.
    let stopped = editor.edit(&request, &mut |event| match event {
        Event::Step { done: 3.., .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    println!("the third edit was cancelled after three steps");
    Ok(())
}
