//! `diffedit remove`: an edit towards the background alone.

use anyhow::Result;

use super::args::RemoveArgs;
use super::edit;
use crate::edit::EditRequest;

pub fn run(args: &RemoveArgs) -> Result<()> {
    let what = args.what.clone().unwrap_or_default();
    let background = args.background.clone();
    if background.is_empty() {
        eprintln!("warning: without --background something else may stand in its place");
    }
    edit::repaint(&args.image, |picture| EditRequest::removal(picture, what, background), &args.repaint)
}
