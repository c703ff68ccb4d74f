//! `diffedit edit`, and the run that `mask` and `demo` share with it.

use std::io::{Cursor, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use serde_json::{Value, json};

use super::args::{CommonArgs, DeviceArgs, EditArgs, EditFiles, PictureArgs, RepaintArgs};
use super::engine::{Engine, Part};
use super::output::{self, Outputs};
use super::progress::Progress;
use super::settings;
use super::tensors;
use crate::edit::{Dropped, EditRequest, EditResult, MaskSource, Posterior};
use crate::mask::{Map, Mask};
use crate::model::{ModelFiles, VaeConfig, Words};
use crate::picture::{Metadata, Original, Placement};
use crate::{picture, report};

/// The keyword under which PNGs carry their settings, as other diffusion tools have it.
pub const PARAMETERS: &str = "parameters";

pub fn run(args: &EditArgs) -> Result<()> {
    let source = args.from.clone().unwrap_or_default();
    repaint(&args.image, |picture| EditRequest::new(picture, source, args.to.clone()), &args.repaint)
}

/// Edits the picture of a file as `make` asks for; the model's defaults win over that, and what is given on the command
/// line over both.
pub fn repaint(image: &Path, make: impl FnOnce(RgbImage) -> EditRequest, args: &RepaintArgs) -> Result<()> {
    let files = settings::model_files(&args.common.model, args.device.offline)?;
    let original = Original::load(image)?;
    let mut request = make(original.rgb());
    request.take_defaults(&files)?;
    args.denoising.apply(&mut request);
    args.maps.apply(&mut request);
    args.cut.apply(&mut request.mask_settings);
    let mut job = Job::new(request, original, files, &args.common, &args.picture)?;
    job.take_files(image, &args.files)?;
    job.run(Part::Whole, &args.device)
}

/// One edit, or its first half, with all it reads and writes.
pub struct Job {
    pub request: EditRequest,
    pub inputs: Vec<PathBuf>,
    pub outputs: OutputPaths,
    /// What the edit is laid back into; `None` to write it as the model made it.
    original: Option<Original>,
    metadata: Metadata,
    files: ModelFiles,
    /// What the settings call the model.
    model: String,
    /// Width and height that are edited, in pixels.
    size: (usize, usize),
    placement: Placement,
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
    /// A job on `original`, whose request has all settings but those of `common` and `picture`.
    pub fn new(
        mut request: EditRequest,
        original: Original,
        files: ModelFiles,
        common: &CommonArgs,
        picture: &PictureArgs,
    ) -> Result<Job> {
        settings::check(&files)?;
        let size = match common.size() {
            Some(size) => size,
            None => settings::size_for(&request, &files)?,
        };
        (request.size, request.resize) = (Some(size), picture.resize);
        let placement = Placement::new(request.picture.dimensions(), (size.0 as u32, size.1 as u32), request.resize);
        if let Some(seed) = common.posterior_seed {
            request.posterior = Posterior::Sample { seed };
        }
        request.noise = common.noise.as_deref().map(tensors::read_noise).transpose()?;
        request.dump = common.dump.is_some();
        request.vae_tiling = common.vae_tiling;
        let model = common.model.name();
        let outputs = OutputPaths { dump: common.dump.clone(), json: common.json.clone(), ..OutputPaths::default() };
        let inputs = common.noise.iter().cloned().collect();
        let metadata = original.metadata.clone();
        let original = (!picture.raw).then_some(original);
        Ok(Job { request, inputs, outputs, original, metadata, files, model, size, placement })
    }

    /// Takes the mask or the map that is given, and notes all that is read and written.
    pub fn take_files(&mut self, image: &Path, files: &EditFiles) -> Result<()> {
        self.take_mask(files)?;
        self.request.figures = files.sheet.is_some();
        self.inputs.push(image.to_path_buf());
        self.inputs.extend(files.mask.iter().chain(&files.map).cloned());
        self.outputs.picture = Some(files.out.clone());
        self.outputs.mask.clone_from(&files.mask_out);
        self.outputs.map.clone_from(&files.map_out);
        self.outputs.sheet.clone_from(&files.sheet);
        Ok(())
    }

    fn take_mask(&mut self, files: &EditFiles) -> Result<()> {
        let scale = self.files.json::<VaeConfig>("vae/config.json")?.scale();
        let (width, height) = (self.size.0 / scale, self.size.1 / scale);
        if let Some(path) = &files.mask {
            let mask = Mask::load_placed(path, &self.placement, width, height)?;
            ensure!(mask.coverage() > 0.0, "{}: black all over; paint white what is to be edited", path.display());
            self.request.mask = MaskSource::Mask(mask);
        }
        if let Some(path) = &files.map {
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
            ensure!(
                self.request.mask_settings.cut(&map)?.coverage() > 0.0,
                "{}: the mask is empty at {}; a lower --threshold makes it larger",
                path.display(),
                self.request.mask_settings
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
        let EditRequest { source, target, mask, .. } = &self.request;
        ensure!(
            source != target || !matches!(mask, MaskSource::Prompts(_)),
            "both prompts are {target:?}: where they differ is what would be edited"
        );

        let mut progress = Progress::new();
        self.warn_of_words(&mut progress)?;
        let mut engine = Engine::open(device, &self.files, &mut progress)?;
        self.announce_size(&mut progress);
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
        progress.say(&format!("done in {seconds:.1} s: {}", coverage(&result.mask)));
        Ok(())
    }

    /// Says which words of the prompts mean nothing to the model, where it knows few.
    fn warn_of_words(&self, progress: &mut Progress) -> Result<()> {
        let Some(words) = Words::of(&self.files)? else { return Ok(()) };
        let EditRequest { source, target, negative, .. } = &self.request;
        let missing = words.missing(&[source.as_str(), target, negative].join(" "));
        if !missing.is_empty() {
            let known: Vec<&str> = words.iter().collect();
            progress.say(&format!(
                "warning: the model was not trained on {}; it knows {}",
                missing.join(", "),
                known.join(", ")
            ));
        }
        Ok(())
    }

    /// Says at what size a picture of another one is edited.
    fn announce_size(&self, progress: &mut Progress) {
        let ((width, height), (columns, rows)) = (self.placement.picture(), self.placement.canvas());
        if (width, height) != (columns, rows) {
            progress.say(&format!("a picture of {width}x{height}, edited at {columns}x{rows}"));
        }
    }

    /// Writes what is asked for, all of it or nothing.
    fn write(&self, result: &EditResult, report: &Value) -> Result<()> {
        let paths = &self.outputs;
        let mut outputs = Outputs::new();
        let mut png = |path: &Option<PathBuf>, picture: &DynamicImage, texts: &[(&str, &str)]| match path {
            Some(path) => outputs.add(path, |to| picture::write_png_as(to, picture, &self.metadata, texts)),
            None => Ok(()),
        };
        let parameters = settings::as_parameters(&self.request, self.size, &self.model);
        if paths.picture.is_some() {
            png(&paths.picture, &self.edited(result)?, &[(PARAMETERS, &parameters)])?;
        }
        let (seen, mask) = match &self.original {
            Some(_) => (&self.request.picture, self.placement.mask_picture(&result.mask)),
            None => (&result.original, result.mask.picture(self.size.0 as u32, self.size.1 as u32)),
        };
        if paths.overlay.is_some() {
            png(&paths.overlay, &report::overlay(seen, &mask).into(), &[])?;
        }
        if paths.original.is_some() {
            png(&paths.original, &seen.clone().into(), &[])?;
        }
        if let (Some(path), Some(sheet)) = (&paths.sheet, report::contact_sheet(&self.request, result)?) {
            outputs.add(path, |to| picture::write_png(to, &sheet, &[(PARAMETERS, &parameters)]))?;
        }
        if let Some(path) = &paths.mask {
            outputs.add(path, |to| write_mask(to, mask))?;
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

    /// The edited picture: the original with the edit laid back into it, or the edit as the model made it.
    fn edited(&self, result: &EditResult) -> Result<DynamicImage> {
        Ok(match &self.original {
            Some(original) => result.paste_back(&original.pixels)?,
            None => result.picture.clone().into(),
        })
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
        let dropped: serde_json::Map<String, Value> =
            result.dropped.iter().map(|Dropped { prompt, end }| (prompt.to_string(), end.as_str().into())).collect();
        json!({
            "diffedit": env!("CARGO_PKG_VERSION"),
            "command": match part { Part::Whole => "edit", Part::Mask => "mask" },
            "model": self.model,
            "settings": settings::as_json(&self.request, self.size),
            "picture": [self.request.picture.width(), self.request.picture.height()],
            "pasted-back": self.original.is_some(),
            "device": engine.as_json(),
            "mask-coverage": result.mask.coverage(),
            "seconds": { "stages": timings, "all": seconds },
            "multiply-accumulates": result.macs,
            "dropped": dropped,
            "outputs": outputs,
        })
    }
}

/// A mask as PNG.
pub fn write_mask(mut to: impl Write, mask: GrayImage) -> std::io::Result<()> {
    let mut bytes = Cursor::new(Vec::new());
    mask.write_to(&mut bytes, ImageFormat::Png).map_err(std::io::Error::other)?;
    to.write_all(bytes.get_ref())
}

/// How much of the picture a mask covers, in words.
pub fn coverage(mask: &Mask) -> String {
    match mask.coverage() {
        0.0 => "the mask is empty; a lower --threshold makes it larger".into(),
        share => format!("the mask covers {:.0}% of the picture", (100.0 * share).max(1.0)),
    }
}

/// Says what the result makes one wonder about.
fn warn(result: &EditResult, progress: &mut Progress) {
    for Dropped { prompt, end } in &result.dropped {
        progress.say(&format!("warning: the {prompt} prompt is too long for the model; it leaves out {end:?}"));
    }
}
