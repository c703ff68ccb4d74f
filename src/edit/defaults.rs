//! What a model's author recommends for edits with it.

use image::RgbImage;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::request::{EditRequest, MaskSource};
use super::settings;
use crate::error::{Error, Result};
use crate::model::ModelFiles;
use crate::picture::SIDE_UNIT;

/// The file of a model folder that holds its defaults.
const FILE: &str = "diffedit.json";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Defaults {
    size: Option<(usize, usize)>,
    negative_prompt: Option<String>,
    steps: Option<usize>,
    guidance: Option<f32>,
    strength: Option<f64>,
    seed: Option<u64>,
    maps: Option<usize>,
    mask_strength: Option<f64>,
    threshold: Option<f32>,
    blur: Option<usize>,
    fill_holes: Option<bool>,
    dilate: Option<usize>,
}

impl EditRequest {
    /// Sets what the model's author recommends: the values in the model folder's `diffedit.json`, whose names are those
    /// of the command line's long options. What the file does not name stays as it is, and so does everything where
    /// there is no such file. A removal keeps what it leads away from, and its dilation where that is larger.
    ///
    /// # Errors
    /// [`Error::Model`] where the file has other names than these, or a value out of range; then nothing is set.
    pub fn take_defaults(&mut self, files: &ModelFiles) -> Result<()> {
        let Some(bytes) = files.read_optional(FILE)? else { return Ok(()) };
        let wrong = |message: String| Error::Model { path: files.path(FILE), message };
        let defaults = Defaults::read(&bytes).map_err(|error| wrong(error.to_string()))?;
        defaults.check().map_err(|error| wrong(error.to_string()))?;
        defaults.set(self);
        Ok(())
    }
}

impl Defaults {
    fn read(bytes: &[u8]) -> serde_json::Result<Defaults> {
        // A derived struct would take a list too.
        let object: Map<String, Value> = serde_json::from_slice(bytes)?;
        serde_json::from_value(Value::Object(object))
    }

    fn check(&self) -> Result<()> {
        let mut request = EditRequest::new(RgbImage::new(1, 1), "", "");
        self.set(&mut request);
        request.check()?;
        request.size.map_or(Ok(()), |size| settings::check_size(size, SIDE_UNIT))
    }

    fn set(&self, request: &mut EditRequest) {
        let cut = &mut request.mask_settings;
        set(&mut cut.threshold, self.threshold);
        set(&mut cut.blur, self.blur);
        set(&mut cut.fill_holes, self.fill_holes);
        cut.dilate = cut.dilate.max(self.dilate.unwrap_or(0));
        if let MaskSource::Prompts(maps) = &mut request.mask {
            set(&mut maps.maps, self.maps);
            set(&mut maps.strength, self.mask_strength);
        }
        set(&mut request.steps, self.steps);
        set(&mut request.guidance, self.guidance);
        set(&mut request.strength, self.strength);
        set(&mut request.seed, self.seed);
        if request.negative.is_empty() {
            set(&mut request.negative, self.negative_prompt.clone());
        }
        request.size = self.size.or(request.size);
    }
}

/// Sets what was given.
pub fn set<T>(slot: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *slot = given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str) -> Result<EditRequest> {
        let mut request = EditRequest::new(RgbImage::new(1, 1), "horse", "zebra");
        take_into(&mut request, text)?;
        Ok(request)
    }

    fn take_into(request: &mut EditRequest, text: &str) -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("unet")).expect("a folder");
        std::fs::write(folder.path().join(FILE), text).expect("a file");
        let files = ModelFiles::folder(folder.path()).expect("a model");
        request.take_defaults(&files)
    }

    #[test]
    fn defaults_win_over_the_articles_values() {
        let request = take(r#"{"size": [128, 64], "threshold": 0.25, "steps": 30, "mask-strength": 0.4}"#);
        let request = request.expect("valid defaults");
        assert_eq!((request.steps, request.size, request.seed), (30, Some((128, 64)), 3));
        assert_eq!((request.mask_settings.threshold, request.mask_settings.blur), (0.25, 7));
        let MaskSource::Prompts(maps) = &request.mask else { panic!("the mask is found") };
        assert_eq!((maps.maps, maps.strength), (10, 0.4));
    }

    #[test]
    fn a_removal_takes_the_rim_and_leads_away_where_it_has_nothing_to_lead_to() {
        let removal = |background, defaults| {
            let mut request = EditRequest::removal(RgbImage::new(1, 1), "a horse", background);
            take_into(&mut request, defaults).expect("valid defaults");
            (request.mask_settings.dilate, request.negative)
        };
        assert_eq!(removal("grass", "{}"), (2, String::new()));
        assert_eq!(removal("", "{}"), (2, "a horse".to_owned()));
        let defaults = r#"{"dilate": 1, "negative-prompt": "blurred"}"#;
        assert_eq!(removal("grass", defaults), (2, "blurred".to_owned()));
        assert_eq!(removal("", r#"{"dilate": 5, "negative-prompt": "blurred"}"#), (5, "a horse".to_owned()));
        let edit = take(defaults).expect("valid defaults");
        assert_eq!((edit.mask_settings.dilate, edit.negative.as_str()), (1, "blurred"));
    }

    #[test]
    fn names_and_ranges_are_checked() {
        for (text, part) in [
            (r#"{"threshold": 2}"#, "threshold 2 must be in 0..=1"),
            (r#"{"size": [100, 128]}"#, "size 100x128: both must be multiples of 8"),
            (r#"{"guidance": 1e39}"#, "guidance inf is not a number"),
            (r#"{"steps": -1}"#, "-1"),
            (r#"{"treshold": 0.2}"#, "treshold"),
            ("[]", "invalid type"),
        ] {
            let message = take(text).expect_err("refused").to_string();
            assert!(message.contains(part) && message.contains(FILE), "{message}");
        }
    }
}
