//! `diffedit compile`: fills a folder with the kernels of a model, for machines without NVRTC.

use std::collections::BTreeSet;

use anyhow::Result;

use super::args::CompileArgs;
use super::progress::Progress;
use super::{fetch, output, settings};
use crate::device::{self, Capabilities, Compiler, DeviceChoice, Target};
use crate::edit::{EditRequest, Plans, Posterior};
use crate::model::{Model, ModelFiles};
use crate::plan::Unit;

/// Numbers of multiprocessors for which kernels are chosen: GPUs of one architecture differ in them, from laptops to
/// the largest.
const MULTIPROCESSORS: std::ops::RangeInclusive<u32> = 4..=192;

/// Aspect ratios of pictures as cameras and screens have them, and twice as long as high.
const ASPECTS: [(u32, u32); 5] = [(1, 1), (4, 3), (3, 2), (16, 9), (2, 1)];

/// Driver versions that NVRTC 12 and 13 need: the older is preferred, since its code runs on more drivers.
const CUDA_12: u32 = 12_000;
const CUDA_13: u32 = 13_000;

pub fn run(args: &CompileArgs) -> Result<()> {
    output::make_folder(&args.out)?;
    let files = settings::model_files(&args.model, args.offline)?;
    let mut progress = Progress::new();
    let model = Model::describe(&files)?;
    let mut request = EditRequest::new(image::RgbImage::new(1, 1), "", "");
    request.take_defaults(&files)?;
    let sizes = match args.size {
        Some(size) => vec![size],
        None => usual_sizes(&mut request, &files)?,
    };

    for &compute_capability in &args.arch {
        let units = units(&model, &request, &sizes, compute_capability)?;
        let driver_version = if compute_capability == (11, 0) { CUDA_13 } else { CUDA_12 };
        let nvrtc = fetch::nvrtc_for(Target { driver_version, compute_capability }, None, args.offline)?;
        let compiler = Compiler::new(Some(nvrtc), Some(args.out.clone()))?;
        let arch = format!("sm_{}{}", compute_capability.0, compute_capability.1);
        progress.say(&format!("{} kernels for {arch}", units.len()));
        let total = units.len();
        let shown = std::sync::Mutex::new(&mut progress);
        compiler.images(&units, &arch, &|done| {
            shown.lock().expect("no panics under it").show("compiling kernels", done, total);
        })?;
    }
    println!("{}: use it with --kernels, or as DIFFEDIT_KERNELS", args.out.display());
    Ok(())
}

/// The sizes that pictures of the usual aspect ratios are edited at.
fn usual_sizes(request: &mut EditRequest, files: &ModelFiles) -> Result<Vec<(usize, usize)>> {
    let mut sizes = Vec::new();
    for (longer, shorter) in ASPECTS {
        for (width, height) in [(longer, shorter), (shorter, longer)] {
            request.picture = image::RgbImage::new(width, height);
            sizes.push(settings::size_for(request, files)?);
        }
    }
    Ok(sizes)
}

/// What any GPU of an architecture may need at these sizes, whatever the settings.
fn units(
    model: &Model,
    request: &EditRequest,
    sizes: &[(usize, usize)],
    compute_capability: (u32, u32),
) -> Result<Vec<Unit>> {
    let mut all = request.clone();
    (all.figures, all.dump, all.posterior) = (true, true, Posterior::Sample { seed: 0 });
    (all.mask_settings.fill_holes, all.mask_settings.dilate) = (true, 1);
    let mut units = BTreeSet::new();
    let any = device::capabilities(&DeviceChoice::Emulator(None))?;
    for multiprocessors in MULTIPROCESSORS.step_by(2) {
        let capabilities = Capabilities { compute_capability, multiprocessors, ..any.clone() };
        for &size in sizes {
            for request in [request, &all] {
                let request = EditRequest { size: Some(size), ..request.clone() };
                units.extend(Plans::record(model, &request, &capabilities)?.units());
            }
        }
    }
    Ok(units.into_iter().collect())
}
