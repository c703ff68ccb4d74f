//! What an edit looked like on the inside: one labelled picture in the spirit of the seed article's figures.

mod canvas;
mod sheet;
mod tint;

use image::{DynamicImage, RgbImage};

use crate::edit::{EditFigures, EditRequest, EditResult, MaskSettings, MaskSource};
use crate::error::Result;
use crate::mask::{Map, Mask};
use sheet::{Row, Sheet, Tile};
use tint::{map_picture, mask_picture, plane_picture};

pub use tint::overlay;

/// The thresholds and blurs that the article compares; a blur of 1 is none.
const THRESHOLDS: [f32; 5] = [0.01, 0.1, 0.2, 0.3, 0.5];
const BLURS: [usize; 5] = [1, 3, 7, 15, 21];

/// The contact sheet of an edit, from the original to the result, or `None` if it was not asked for figures or its mask
/// does not come from the prompts.
///
/// # Errors
/// As [`MaskSettings::cut`], which the settings of a finished edit do not cause.
pub fn contact_sheet(request: &EditRequest, result: &EditResult) -> Result<Option<RgbImage>> {
    let (Some(figures), Some(map)) = (&result.figures, &result.map) else { return Ok(None) };
    let aspect = [result.original.width(), result.original.height()];
    let sheet =
        Sheet::new(format!("{} → {}", quoted(&request.source), quoted(&request.target)), settings(request), aspect);
    let tile = sheet.tile();
    let grid = [map.width(), map.height()];
    let rows = [
        latents(result, figures, grid, tile),
        noisy(figures, grid, tile),
        predictions(request, result, figures, map, tile),
        thresholds(request, map, tile),
        blurs(request, map, tile)?,
        steps(request, result, figures),
        outcome(result),
    ];
    Ok(Some(sheet.draw(&rows)))
}

/// Edits side by side, each a column: the picture with the source prompt, the mask over it, and below the target prompt
/// the picture with the edit laid back into it. The settings below the heading are those of the first edit, but for the
/// seed, which stands below each mask.
///
/// # Errors
/// As [`EditResult::paste_back`].
pub fn gallery(heading: &str, edits: &[(EditRequest, EditResult)]) -> Result<RgbImage> {
    let Some((first, result)) = edits.first() else { return Ok(RgbImage::new(1, 1)) };
    let aspect = [result.original.width(), result.original.height()];
    let sheet = Sheet::new(heading.to_owned(), format!("{}; {}", repainting(first), masking(first)), aspect);
    let mut rows = Vec::new();
    for edits in edits.chunks(sheet::COLUMNS as usize) {
        let pictures = edits.iter().map(|(request, _)| Tile::new(quoted(&request.source), request.picture.clone()));
        rows.push(Row::new("Pictures", pictures));
        let masks = edits.iter().map(|(request, result)| {
            Tile::new(format!("{}, seed {}", percent(&result.mask), request.seed), covered(result))
        });
        rows.push(Row::new("Masks", masks));
        let results = edits.iter().map(|(request, result)| {
            let pasted = result.paste_back(&DynamicImage::from(request.picture.clone()))?;
            Ok(Tile::new(quoted(&request.target), pasted.into_rgb8()))
        });
        rows.push(Row::new("Results", results.collect::<Result<Vec<Tile>>>()?));
    }
    Ok(sheet.draw(&rows))
}

fn quoted(prompt: &str) -> String {
    format!("“{prompt}”")
}

/// The settings in one line.
fn settings(request: &EditRequest) -> String {
    format!("{}, seed {}; {}", repainting(request), request.seed, masking(request))
}

fn repainting(request: &EditRequest) -> String {
    format!("{} steps, guidance {}, strength {}", request.steps, request.guidance, request.strength)
}

fn masking(request: &EditRequest) -> String {
    let maps = match &request.mask {
        MaskSource::Prompts(maps) => format!("{} maps at strength {}, ", maps.maps, maps.strength),
        MaskSource::Map(_) | MaskSource::Mask(_) => String::new(),
    };
    format!("{maps}{}", request.mask_settings)
}

fn latents(result: &EditResult, figures: &EditFigures, grid: [usize; 2], tile: [u32; 2]) -> Row {
    let original = Tile::new("original", result.original.clone());
    let planes = channels(&figures.latents, grid, tile);
    Row::new("The picture and its latents", [original].into_iter().chain(planes))
}

fn noisy(figures: &EditFigures, grid: [usize; 2], tile: [u32; 2]) -> Row {
    let decoded = Tile::new("decoded", figures.noisy.clone());
    Row::new("Noised for the mask", channels(&figures.noisy_latents, grid, tile).chain([decoded]))
}

fn channels(planes: &[Vec<f32>; 4], grid: [usize; 2], tile: [u32; 2]) -> impl Iterator<Item = Tile> {
    planes
        .iter()
        .enumerate()
        .map(move |(index, plane)| Tile::new(format!("channel {}", index + 1), plane_picture(plane, grid, tile)))
}

fn predictions(request: &EditRequest, result: &EditResult, figures: &EditFigures, map: &Map, tile: [u32; 2]) -> Row {
    let tiles = [
        Tile::new(quoted(&request.source), figures.predicted_source.clone()),
        Tile::new(quoted(&request.target), figures.predicted_target.clone()),
        Tile::new("their difference", figures.difference.clone()),
        Tile::new("the map, 0 to 1", map_picture(map, tile)),
        Tile::new(format!("the mask: {}", percent(&result.mask)), mask_picture(&result.mask, tile)),
    ];
    Row::new("Noise that the prompts predict, averaged and decoded", tiles)
}

fn thresholds(request: &EditRequest, map: &Map, tile: [u32; 2]) -> Row {
    let chosen = request.mask_settings.threshold;
    let tiles = with(THRESHOLDS.to_vec(), chosen).into_iter().map(|threshold| {
        let mask = map.threshold(threshold);
        let caption = format!("over {threshold}: {}", percent(&mask));
        Tile::new(caption, mask_picture(&mask, tile)).chosen(threshold == chosen)
    });
    Row::new("The map cut at thresholds", tiles).filling()
}

fn blurs(request: &EditRequest, map: &Map, tile: [u32; 2]) -> Result<Row> {
    let settings = &request.mask_settings;
    let tiles = with(BLURS.to_vec(), settings.blur).into_iter().map(|blur| {
        let cut = MaskSettings { blur, ..settings.clone() };
        let mask = cut.cut(map)?;
        let caption = format!("{}: {}", cut.blur_name(), percent(&mask));
        Ok(Tile::new(caption, mask_picture(&mask, tile)).chosen(blur == settings.blur))
    });
    let tiles: Vec<Tile> = tiles.collect::<Result<_>>()?;
    Ok(Row::new(format!("The mask over {}, blurred", settings.threshold), tiles).filling())
}

/// The usual values with the one that was used, in order.
fn with<T: PartialOrd>(mut usual: Vec<T>, used: T) -> Vec<T> {
    if !usual.contains(&used) {
        usual.push(used);
        usual.sort_by(|a, b| a.partial_cmp(b).expect("settings are numbers"));
    }
    usual
}

fn percent(mask: &Mask) -> String {
    format!("{:.0}%", 100.0 * mask.coverage())
}

fn steps(request: &EditRequest, result: &EditResult, figures: &EditFigures) -> Row {
    let total = figures.steps.last().map_or(0, |(done, _)| *done);
    let steps = figures.steps.iter().map(|(done, picture)| Tile::new(format!("step {done}"), picture.clone()));
    let covered = Tile::new("mask over the picture", covered(result));
    let title = format!("Denoising towards {}: {total} steps of {}", quoted(&request.target), request.steps);
    let result = Tile::new("result", result.picture.clone());
    Row::new(title, [covered].into_iter().chain(steps).chain([result]))
}

/// The mask over the picture.
fn covered(result: &EditResult) -> RgbImage {
    let (width, height) = result.original.dimensions();
    overlay(&result.original, &result.mask.picture(width, height))
}

fn outcome(result: &EditResult) -> Row {
    let tiles = [
        Tile::new("original", result.original.clone()),
        Tile::new(format!("mask: {} of the picture", percent(&result.mask)), covered(result)),
        Tile::new("result", result.picture.clone()),
    ];
    Row::new("The edit", tiles).filling()
}

#[cfg(test)]
mod tests;
