//! `diffedit remove`: an edit towards the background alone.

use anyhow::Result;

use super::args::RemoveArgs;
use super::edit;
use crate::edit::EditRequest;

/// Cells by which the mask grows: less than a whole thing leaves its rim and its feet standing.
const DILATION: usize = 2;

pub fn run(args: &RemoveArgs) -> Result<()> {
    let prompts = [args.what.clone().unwrap_or_default(), args.background.clone()];
    edit::repaint(&args.image, prompts, preset, &args.repaint)
}

/// What suits a removal, whatever the model recommends for edits.
fn preset(request: &mut EditRequest) {
    request.mask_settings.dilate = DILATION;
    // Without a background there is nothing to lead to, and guidance has no direction unless there is something to lead
    // away from.
    if request.target.is_empty() {
        request.negative.clone_from(&request.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_takes_the_rim_too_and_leads_away_where_it_has_nothing_to_lead_to() {
        let removal = |background| {
            let mut request = EditRequest::new(image::RgbImage::new(1, 1), "a horse", background);
            preset(&mut request);
            (request.mask_settings.dilate, request.negative)
        };
        assert_eq!(removal("grass"), (2, String::new()));
        assert_eq!(removal(""), (2, "a horse".to_owned()));
    }
}
