//! `diffedit demo`: the main job on the model and the picture that are part of the program.

use anyhow::Result;

use super::args::DemoArgs;

#[cfg(not(feature = "demo-model"))]
pub fn run(_: &DemoArgs) -> Result<()> {
    anyhow::bail!("this build has no model and no picture of its own (cargo feature `demo-model`)")
}

#[cfg(feature = "demo-model")]
pub fn run(args: &DemoArgs) -> Result<()> {
    use super::args::{CommonArgs, ModelArgs, PictureArgs};
    use super::edit::Job;
    use super::engine::Part;
    use super::{output, settings};
    use crate::edit::EditRequest;
    use crate::picture::Original;

    const SCENE: &[u8] = include_bytes!("../../models/demo/scenes/2-horse-snow.png");
    const PROMPTS: [&str; 2] = ["a horse on snow", "a zebra on snow"];
    const SEED: u64 = 1;

    let original = Original::decode(SCENE).map_err(anyhow::Error::msg)?;
    let files = settings::model_files(&ModelArgs::default(), args.device.offline)?;
    let mut request = EditRequest::new(original.rgb(), PROMPTS[0], PROMPTS[1]);
    request.take_defaults(&files)?;
    (request.seed, request.figures) = (SEED, true);
    let mut job = Job::new(request, original, files, &CommonArgs::default(), &PictureArgs::default())?;
    output::make_folder(&args.out)?;
    let path = |name: &str| Some(args.out.join(name));
    job.outputs.original = path("original.png");
    job.outputs.mask = path("mask.png");
    job.outputs.overlay = path("overlay.png");
    job.outputs.picture = path("edited.png");
    job.outputs.sheet = path("sheet.png");
    job.outputs.json = path("edit.json");
    if let Err(error) = job.run(Part::Whole, &args.device) {
        // Of a failed run nothing stays: this removes the folder only if it is empty.
        let _ = std::fs::remove_dir(&args.out);
        return Err(error);
    }

    println!("A horse became a zebra. See");
    for (name, text) in [
        ("sheet.png", "every stage on one sheet"),
        ("edited.png", "the result"),
        ("original.png", "the picture it was made from"),
        ("mask.png", "the mask that was found"),
        ("overlay.png", "the mask over the picture"),
        ("edit.json", "settings and timings"),
    ] {
        println!("  {:<32} {text}", args.out.join(name).display().to_string());
    }
    Ok(())
}
