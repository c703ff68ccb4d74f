//! Settings from three places: flags win over the model folder's `diffedit.json`, which wins over the article's values.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::args::{CutArgs, DenoisingArgs, MapsArgs, ModelArgs};
use super::hub;
use crate::edit::defaults::set;
use crate::edit::{EditRequest, MaskSettings, MaskSource};
use crate::model::{Configs, ModelFiles, Parts, VaeConfig};
use crate::picture;

/// The model that is asked for, or the miniature. A model of the hub is fetched if it is not there, unless `offline`.
pub fn model_files(args: &ModelArgs, offline: bool) -> Result<ModelFiles> {
    let id = |path: &Path| hub::Id::parse(path.to_str()?).filter(|_| path.symlink_metadata().is_err());
    let mut files = match &args.model {
        Some(path) => match id(path) {
            Some(id) => ModelFiles::folder(&hub::model(&id, offline)?)?,
            None => ModelFiles::open(path)?,
        },
        #[cfg(feature = "demo-model")]
        None => ModelFiles::demo(),
        #[cfg(not(feature = "demo-model"))]
        None => anyhow::bail!("this build has no model of its own: give one with --model"),
    };
    if let Some(folder) = &args.config {
        files = files.with_configs(folder)?;
    }
    if let Some(path) = &args.vae {
        files = files.with_vae(path)?;
    }
    Ok(files)
}

/// Fails with all that is wrong with a model, as far as that can be told without a device: so that nothing is fetched and
/// compiled for a model that cannot be loaded.
pub fn check(files: &ModelFiles) -> Result<()> {
    Parts::open(files)?;
    Ok(())
}

impl DenoisingArgs {
    /// Sets what was given.
    pub fn apply(&self, request: &mut EditRequest) {
        set(&mut request.steps, self.steps);
        set(&mut request.guidance, self.guidance);
        set(&mut request.strength, self.strength);
        set(&mut request.seed, self.seed);
        set(&mut request.negative, self.negative_prompt.clone());
    }
}

impl MapsArgs {
    /// Sets what was given, where the mask is found from the prompts.
    pub fn apply(&self, request: &mut EditRequest) {
        if let MaskSource::Prompts(maps) = &mut request.mask {
            set(&mut maps.maps, self.maps);
            set(&mut maps.strength, self.mask_strength);
            maps.batch = self.batch.or(maps.batch);
        }
    }
}

impl CutArgs {
    /// Sets what was given.
    pub fn apply(&self, settings: &mut MaskSettings) {
        set(&mut settings.threshold, self.threshold);
        set(&mut settings.blur, self.blur);
        settings.fill_holes |= self.fill_holes;
        set(&mut settings.dilate, self.dilate);
    }
}

/// Width and height that a picture is edited at where none are asked for: its own aspect ratio, and as many pixels as the
/// model's size has.
pub fn size_for(request: &EditRequest, files: &ModelFiles) -> Result<(usize, usize)> {
    let (width, height) = size(request, files)?;
    let unit = files.json::<VaeConfig>("vae/config.json")?.scale();
    Ok(picture::size_of_area(request.picture.dimensions(), width * height, unit))
}

/// The model's size: what its defaults say, or the size it was trained at.
pub fn size(request: &EditRequest, files: &ModelFiles) -> Result<(usize, usize)> {
    if let Some(size) = request.size {
        return Ok(size);
    }
    let Configs { unet, vae, .. } = Configs::open(files)?;
    let side = unet.sample_size * vae.scale();
    Ok((side, side))
}

/// Every setting under the name of its option.
pub fn as_json(request: &EditRequest, (width, height): (usize, usize)) -> Value {
    let maps = match &request.mask {
        MaskSource::Prompts(maps) => json!({ "maps": maps.maps, "mask-strength": maps.strength }),
        MaskSource::Map(_) => json!("a map that was given"),
        MaskSource::Mask(_) => json!("a mask that was given"),
    };
    let mut settings = json!({
        "from": request.source,
        "to": request.target,
        "negative-prompt": request.negative,
        "size": [width, height],
        "resize": request.resize.to_string(),
        "steps": request.steps,
        "guidance": request.guidance,
        "strength": request.strength,
        "seed": request.seed,
        "mask": maps,
    });
    if let (Value::Object(all), Value::Object(cut)) = (&mut settings, cut_as_json(&request.mask_settings)) {
        all.extend(cut);
    }
    settings
}

/// How a map becomes a mask, under the names of the options.
pub fn cut_as_json(cut: &MaskSettings) -> Value {
    json!({
        "threshold": cut.threshold,
        "blur": cut.blur,
        "fill-holes": cut.fill_holes,
        "dilate": cut.dilate,
    })
}

/// The settings in the form in which diffusion tools leave them in a PNG's `parameters`: the prompt, the negative
/// prompt, and a line of names and values.
pub fn as_parameters(request: &EditRequest, (width, height): (usize, usize), model: &str) -> String {
    let cut = &request.mask_settings;
    let mask = match &request.mask {
        MaskSource::Prompts(maps) => {
            format!("Source prompt: {:?}, Mask maps: {}, Mask strength: {}, ", request.source, maps.maps, maps.strength)
        }
        MaskSource::Map(_) => "Mask: from a map, ".into(),
        MaskSource::Mask(_) => "Mask: given, ".into(),
    };
    let cut = match &request.mask {
        MaskSource::Mask(_) => String::new(),
        _ => format!(
            "Mask threshold: {}, Mask blur: {}, Fill holes: {}, Mask dilation: {}, ",
            cut.threshold, cut.blur, cut.fill_holes, cut.dilate
        ),
    };
    format!(
        "{}\nNegative prompt: {}\nSteps: {}, Sampler: DDIM, CFG scale: {}, Seed: {}, Size: {width}x{height}, \
         Model: {model}, Denoising strength: {}, {mask}{cut}Version: diffedit {}",
        request.target,
        request.negative,
        request.steps,
        request.guidance,
        request.seed,
        request.strength,
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::MapSettings;

    fn request() -> EditRequest {
        EditRequest::new(image::RgbImage::new(1, 1), "horse", "zebra")
    }

    #[test]
    fn flags_win_over_what_was_set() {
        let mut request = EditRequest { steps: 30, guidance: 3.0, ..request() };
        DenoisingArgs { steps: Some(20), ..DenoisingArgs::default() }.apply(&mut request);
        MapsArgs { maps: Some(4), ..MapsArgs::default() }.apply(&mut request);
        CutArgs { blur: Some(9), ..CutArgs::default() }.apply(&mut request.mask_settings);
        assert_eq!((request.steps, request.guidance, request.seed), (20, 3.0, 3));
        assert_eq!((request.mask_settings.threshold, request.mask_settings.blur), (0.1, 9));
        let MaskSource::Prompts(maps) = &request.mask else { panic!("the mask is found") };
        assert_eq!(*maps, MapSettings { maps: 4, ..MapSettings::default() });
    }

    #[test]
    fn parameters_name_every_setting() {
        let text = as_parameters(&request(), (128, 64), "demo");
        assert!(text.starts_with("zebra\nNegative prompt: \nSteps: 50, Sampler: DDIM, CFG scale: 7.5, Seed: 3,"));
        for part in ["Size: 128x64", "Source prompt: \"horse\"", "Mask maps: 10", "Mask threshold: 0.1"] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }
}
