//! `diffedit edit`, and the run that `mask` and `demo` share with it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use image::RgbImage;
use serde_json::{Value, json};

use super::args::{CommonArgs, DeviceArgs, EditArgs};
use super::engine::{Engine, Part};
use super::output::{self, Outputs};
use super::progress::Progress;
use super::settings;
use super::tensors;
use crate::edit::{EditRequest, EditResult, MaskSource, Posterior};
use crate::mask::{Map, Mask};
use crate::model::{ModelFiles, VaeConfig};
use crate::{picture, report};

/// The keyword under which PNGs carry their settings, as other diffusion tools have it.
pub const PARAMETERS: &str = "parameters";

pub fn run(args: &EditArgs) -> Result<()> {
    let files = settings::model_files(&args.common.model, args.device.offline)?;
    let source = args.from.clone().unwrap_or_default();
    let mut request = EditRequest::new(picture::load(&args.image)?, source, args.to.clone());
    settings::defaults(&files)?.apply(&mut request)?;
    args.denoising.apply(&mut request);
    args.maps.apply(&mut request);
    args.cut.apply(&mut request.mask_settings);
    let mut job = Job::new(request, files, &args.common)?;
    job.take_mask(args.mask.as_deref(), args.map.as_deref())?;
    job.request.figures = args.sheet.is_some();
    job.inputs.extend([&args.image].into_iter().chain(&args.mask).chain(&args.map).cloned());
    job.outputs.picture = Some(args.out.clone());
    job.outputs.mask.clone_from(&args.mask_out);
    job.outputs.map.clone_from(&args.map_out);
    job.outputs.sheet.clone_from(&args.sheet);
    job.run(Part::Whole, &args.device)
}

/// One edit, or its first half, with all it reads and writes.
pub struct Job {
    pub request: EditRequest,
    pub inputs: Vec<PathBuf>,
    pub outputs: OutputPaths,
    files: ModelFiles,
    /// What the settings call the model.
    model: String,
    /// Width and height in pixels.
    size: (usize, usize),
}

/// The files to write.
#[derive(Default)]
pub struct OutputPaths {
    pub picture: Option<PathBuf>,
    pub mask: Option<PathBuf>,
    pub map: Option<PathBuf>,
    pub overlay: Option<PathBuf>,
    pub original: Option<PathBuf>,
    pub sheet: Option<PathBuf>,
    pub dump: Option<PathBuf>,
    pub json: Option<PathBuf>,
}

impl OutputPaths {
    /// Each file that is asked for, with its name in the report.
    pub fn named(&self) -> Vec<(&'static str, &Path)> {
        let all = [
            ("picture", &self.picture),
            ("mask", &self.mask),
            ("map", &self.map),
            ("overlay", &self.overlay),
            ("original", &self.original),
            ("sheet", &self.sheet),
            ("dump", &self.dump),
            ("json", &self.json),
        ];
        all.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?))).collect()
    }
}

impl Job {
    /// A job whose request has all settings but those of `common`.
    pub fn new(mut request: EditRequest, files: ModelFiles, common: &CommonArgs) -> Result<Job> {
        settings::check(&files)?;
        request.size = common.size().or(request.size);
        let size = settings::size(&request, &files)?;
        request.size = Some(size);
        if let Some(seed) = common.posterior_seed {
            request.posterior = Posterior::Sample { seed };
        }
        request.noise = common.noise.as_deref().map(tensors::read_noise).transpose()?;
        request.dump = common.dump.is_some();
        let model = common.model.name();
        let outputs = OutputPaths { dump: common.dump.clone(), json: common.json.clone(), ..OutputPaths::default() };
        let inputs = common.noise.iter().cloned().collect();
        Ok(Job { request, inputs, outputs, files, model, size })
    }

    /// Takes a mask or a map from a file, where one is given.
    pub fn take_mask(&mut self, mask: Option<&Path>, map: Option<&Path>) -> Result<()> {
        let scale = self.files.json::<VaeConfig>("vae/config.json")?.scale();
        let (width, height) = (self.size.0 / scale, self.size.1 / scale);
        if let Some(path) = mask {
            self.request.mask = MaskSource::Mask(Mask::load(path, width, height)?);
        }
        if let Some(path) = map {
            let map = Map::load(path)?;
            ensure!(
                (map.width(), map.height()) == (width, height),
                "{}: a map of {}x{}; an edit at {}x{} takes one of {width}x{height}",
                path.display(),
                map.width(),
                map.height(),
                self.size.0,
                self.size.1
            );
            self.request.mask = MaskSource::Map(map);
        }
        Ok(())
    }

    /// Runs it and writes its files.
    pub fn run(&self, part: Part, device: &DeviceArgs) -> Result<()> {
        let outputs: Vec<&Path> = self.outputs.named().into_iter().map(|(_, path)| path).collect();
        let inputs: Vec<&Path> = self.inputs.iter().map(PathBuf::as_path).collect();
        output::check(&outputs, &inputs)?;

        let mut progress = Progress::new();
        let mut engine = Engine::open(device, &self.files, &mut progress)?;
        engine.announce(&self.request, part, &mut progress)?;
        let started = Instant::now();
        let observer = &mut |event| {
            progress.event(event);
            ControlFlow::Continue(())
        };
        let result = match part {
            Part::Whole => engine.editor.edit(&self.request, observer)?,
            Part::Mask => engine.editor.mask(&self.request, observer)?,
        };
        progress.finish();
        let seconds = started.elapsed().as_secs_f64();
        warn(&result, &mut progress);
        self.write(&result, &self.report(&engine, &result, part, seconds))?;
        progress.say(&format!("done in {seconds:.1} s"));
        Ok(())
    }

    /// Writes what is asked for, all of it or nothing.
    fn write(&self, result: &EditResult, report: &Value) -> Result<()> {
        let paths = &self.outputs;
        let (width, height) = self.size;
        let mut outputs = Outputs::new();
        let mut png = |path: &Option<PathBuf>, picture: &RgbImage, texts: &[(&str, &str)]| match path {
            Some(path) => outputs.add(path, |to| picture::write_png(to, picture, texts)),
            None => Ok(()),
        };
        let parameters = settings::as_parameters(&self.request, self.size, &self.model);
        png(&paths.picture, &result.picture, &[(PARAMETERS, &parameters)])?;
        png(&paths.original, &result.original, &[])?;
        if paths.overlay.is_some() {
            png(&paths.overlay, &report::overlay(&result.original, &result.mask), &[])?;
        }
        if let (Some(_), Some(sheet)) = (&paths.sheet, report::contact_sheet(&self.request, result)?) {
            png(&paths.sheet, &sheet, &[(PARAMETERS, &parameters)])?;
        }
        if let Some(path) = &paths.mask {
            outputs.add_saved(path, |path| result.mask.save(path, width, height))?;
        }
        if let (Some(path), Some(map)) = (&paths.map, &result.map) {
            outputs.add_saved(path, |path| map.save(path))?;
        }
        if let (Some(path), Some(dump)) = (&paths.dump, &result.dump) {
            outputs.add(path, |to| tensors::write_dump(to, dump))?;
        }
        if let Some(path) = &paths.json {
            outputs.add(path, |to| writeln!(to, "{report:#}"))?;
        }
        outputs.keep()
    }

    /// Settings, timings, device and versions.
    fn report(&self, engine: &Engine, result: &EditResult, part: Part, seconds: f64) -> Value {
        let timings: serde_json::Map<String, Value> =
            result.timings.iter().map(|timing| (timing.stage.into(), timing.duration.as_secs_f64().into())).collect();
        let outputs: serde_json::Map<String, Value> = self
            .outputs
            .named()
            .into_iter()
            .map(|(name, path)| (name.into(), path.display().to_string().into()))
            .collect();
        json!({
            "diffedit": env!("CARGO_PKG_VERSION"),
            "command": match part { Part::Whole => "edit", Part::Mask => "mask" },
            "model": self.model,
            "settings": settings::as_json(&self.request, self.size),
            "device": engine.as_json(),
            "mask-coverage": result.mask.coverage(),
            "seconds": { "stages": timings, "all": seconds },
            "multiply-accumulates": result.macs,
            "dropped": result.dropped,
            "outputs": outputs,
        })
    }
}

/// Says what the result makes one wonder about.
fn warn(result: &EditResult, progress: &mut Progress) {
    for dropped in &result.dropped {
        progress.say(&format!("warning: a prompt is too long for the model; it leaves out {dropped:?}"));
    }
    if result.mask.coverage() == 0.0 {
        let remedy = if result.map.is_some() { "; a lower --threshold makes it larger" } else { "" };
        progress.say(&format!("warning: the mask is empty, so nothing is edited{remedy}"));
    }
}
