//! `diffedit mask`: the first half of an edit, or a mask cut from a saved map, which takes neither model nor device.

use std::path::Path;

use anyhow::{Result, ensure};

use super::args::MaskArgs;
use super::edit::{Job, coverage, write_mask};
use super::engine::Part;
use super::output::{self, Outputs};
use super::settings;
use crate::edit::EditRequest;
use crate::mask::{Map, Mask};
use crate::picture::{Original, Placement};
use crate::{picture, report};

/// Pixels that a latent covers on a side in Stable Diffusion 1.x, for maps that come without a model.
const SCALE: usize = 8;

pub fn run(args: &MaskArgs) -> Result<()> {
    match &args.map {
        Some(map) => from_map(args, map),
        None => from_prompts(args),
    }
}

fn from_prompts(args: &MaskArgs) -> Result<()> {
    let (Some(image), Some(from), Some(to)) = (&args.image, &args.from, &args.to) else {
        unreachable!("clap asks for them where there is no map")
    };
    let files = settings::model_files(&args.common.model, args.device.offline)?;
    let original = Original::load(image)?;
    let mut request = EditRequest::new(original.rgb(), from.clone(), to.clone());
    request.take_defaults(&files)?;
    request.steps = args.steps.unwrap_or(request.steps);
    args.maps.apply(&mut request);
    args.cut.apply(&mut request.mask_settings);
    let mut job = Job::new(request, original, files, &args.common, &args.picture)?;
    job.inputs.push(image.clone());
    job.outputs.mask = Some(args.out.clone());
    job.outputs.map.clone_from(&args.map_out);
    job.outputs.overlay.clone_from(&args.overlay);
    job.run(Part::Mask, &args.device)
}

fn from_map(args: &MaskArgs, path: &Path) -> Result<()> {
    let common = &args.common;
    ensure!(common.dump.is_none() && common.noise.is_none(), "--dump and --noise do not go with --map");
    let mut request = EditRequest::new(image::RgbImage::new(1, 1), "", "");
    if common.model.model.is_some() || cfg!(feature = "demo-model") {
        request.take_defaults(&settings::model_files(&common.model, args.device.offline)?)?;
    }
    args.cut.apply(&mut request.mask_settings);
    let outputs: Vec<&Path> = [Some(&args.out), args.overlay.as_ref(), common.json.as_ref()]
        .into_iter()
        .flatten()
        .map(|p| p.as_path())
        .collect();
    let inputs: Vec<&Path> = [Some(path), args.image.as_deref()].into_iter().flatten().collect();
    output::check(&outputs, &inputs)?;

    let map = Map::load(path)?;
    let cut = &request.mask_settings;
    let mask = cut.cut(&map)?;
    let (width, height) = common.size().unwrap_or((map.width() * SCALE, map.height() * SCALE));
    write(args, &mask, (width as u32, height as u32), cut)?;
    eprintln!("{cut}: {}", coverage(&mask));
    Ok(())
}

/// Writes the mask of an edit at `size`, and what is laid over the picture: as large as the picture, where there is one.
fn write(args: &MaskArgs, mask: &Mask, size: (u32, u32), cut: &crate::edit::MaskSettings) -> Result<()> {
    let picture = args.image.as_deref().map(picture::load).transpose()?;
    let placement = picture.as_ref().map(|picture| Placement::new(picture.dimensions(), size, args.picture.resize));
    let own_size = placement.filter(|_| !args.picture.raw);
    let mask_picture = own_size.map_or_else(|| mask.picture(size.0, size.1), |placement| placement.mask_picture(mask));
    let mut outputs = Outputs::new();
    if let (Some(path), Some(picture), Some(placement)) = (&args.overlay, &picture, &placement) {
        let placed = if args.picture.raw { &placement.place(picture) } else { picture };
        outputs.add(path, |to| picture::write_png(to, &report::overlay(placed, &mask_picture), &[]))?;
    }
    outputs.add(&args.out, |to| write_mask(to, mask_picture))?;
    if let Some(path) = &args.common.json {
        let report = serde_json::json!({
            "diffedit": env!("CARGO_PKG_VERSION"),
            "command": "mask",
            "map": args.map,
            "settings": settings::cut_as_json(cut),
            "mask-coverage": mask.coverage(),
        });
        outputs.add(path, |to| writeln!(to, "{report:#}"))?;
    }
    outputs.keep()
}
