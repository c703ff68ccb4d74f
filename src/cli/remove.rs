//! `diffedit remove`: an edit towards the background alone.

use anyhow::Result;

use super::args::RemoveArgs;
use super::edit::Job;
use super::engine::Part;
use super::settings;
use crate::edit::EditRequest;
use crate::picture::Original;

pub fn run(args: &RemoveArgs) -> Result<()> {
    let files = settings::model_files(&args.common.model, args.device.offline)?;
    let original = Original::load(&args.image)?;
    let what = args.what.clone().unwrap_or_default();
    let mut request = EditRequest::new(original.rgb(), what.clone(), args.background.clone());
    settings::defaults(&files)?.apply(&mut request)?;
    if args.background.is_empty() {
        // Nothing to lead to, so that guidance has no direction unless there is something to lead away from.
        request.negative = what;
    }
    args.denoising.apply(&mut request);
    args.maps.apply(&mut request);
    args.cut.apply(&mut request.mask_settings);
    let mut job = Job::new(request, original, files, &args.common, &args.picture)?;
    job.take_files(&args.image, &args.files)?;
    job.run(Part::Whole, &args.device)
}
