//! `diffedit remove`: an edit towards the background alone.

use anyhow::Result;

use super::args::RemoveArgs;
use super::edit;

pub fn run(args: &RemoveArgs) -> Result<()> {
    let what = args.what.clone().unwrap_or_default();
    // Without a background there is nothing to lead to, and guidance has no direction unless there is something to lead
    // away from.
    let negative = args.background.is_empty().then(|| what.clone());
    edit::repaint(&args.image, [what, args.background.clone()], negative, &args.repaint)
}
