//! Masks and maps as files.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageBuffer, ImageError, ImageFormat, ImageReader, Luma};

use super::{Map, Mask, npy};
use crate::error::{Error, Result};
use crate::picture::{Placement, Resize};

impl Mask {
    /// Reads a picture, white where the edit goes, of any size: that of the picture, of the latents, or another. A cell
    /// is 1 where at least half of its area is white, greys and transparency counting in part.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Picture`] if it is not a picture, [`Error::Shape`] for a
    /// mask without cells.
    pub fn load(path: &Path, width: usize, height: usize) -> Result<Mask> {
        Mask::load_whole_or_placed(path, None, [width, height])
    }

    /// As [`Mask::load`], of a mask drawn over the picture that lies on the canvas as `placement` says: its cells are
    /// `width` x `height` parts of the canvas. Where the canvas shows nothing of the picture they are 0.
    ///
    /// # Errors
    /// As [`Mask::load`].
    pub fn load_placed(path: &Path, placement: &Placement, width: usize, height: usize) -> Result<Mask> {
        Mask::load_whole_or_placed(path, Some(placement), [width, height])
    }

    fn load_whole_or_placed(path: &Path, placement: Option<&Placement>, cells: [usize; 2]) -> Result<Mask> {
        let canvas = size(cells[0], cells[1])?;
        let picture = open(path)?.into_luma_alpha8();
        if picture.is_empty() {
            return Err(picture_error(path, "the picture is empty".into()));
        }
        let levels: Vec<u32> = picture.pixels().map(|pixel| u32::from(pixel[0]) * u32::from(pixel[1])).collect();
        let whole = || Placement::new(picture.dimensions(), canvas, Resize::Stretch);
        let source = [picture.width() as usize, picture.height() as usize];
        let overlaps = placement.copied().unwrap_or_else(whole).overlaps(source, cells);
        Mask::new(cells[0], cells[1], area_majority(&levels, 255 * 255, source[0], &overlaps))
    }

    /// The mask as a picture of `width` x `height` pixels, white where the edit goes, each cell a rectangle of pixels.
    ///
    /// # Panics
    /// If either is 0.
    pub fn picture(&self, width: u32, height: u32) -> GrayImage {
        Placement::new((width, height), (width, height), Resize::Stretch).mask_picture(self)
    }

    /// Writes [`Mask::picture`] as PNG.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written, [`Error::Shape`] for a picture without pixels.
    pub fn save(&self, path: &Path, width: usize, height: usize) -> Result<()> {
        let (width, height) = size(width, height)?;
        write(path, &encode_png(path, &self.picture(width, height).into())?)
    }
}

impl Map {
    /// Reads a map: exact values from `.npy`, or the brightness of a picture of 8 or 16 bits a pixel.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Picture`] if it holds no map.
    pub fn load(path: &Path) -> Result<Map> {
        if is_npy(path) {
            let bytes = std::fs::read(path).map_err(|source| file_error(path, source))?;
            let (width, height, values) = npy::parse(&bytes).map_err(|message| picture_error(path, message))?;
            return Map::new(width, height, values).map_err(|error| picture_error(path, error.to_string()));
        }
        let picture = open(path)?.into_luma16();
        let values = picture.as_raw().iter().map(|&level| f32::from(level) / f32::from(u16::MAX)).collect();
        Map::new(picture.width() as usize, picture.height() as usize, values)
    }

    /// Writes the map at its own size: its exact values if the name ends in `.npy`, otherwise a PNG of 16 bits a pixel.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        if is_npy(path) {
            return write(path, &npy::format(self.width, self.height, &self.values));
        }
        let picture = ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(self.width as u32, self.height as u32, |x, y| {
            let value = self.values[y as usize * self.width + x as usize];
            Luma([(value * f32::from(u16::MAX)).round() as u16])
        });
        write(path, &encode_png(path, &picture.into())?)
    }
}

/// For each cell, whether the mean level of the area it covers, in rows of `width` levels, is at least half of white.
fn area_majority(levels: &[u32], white: u32, width: usize, [columns, rows]: &[Vec<Vec<(usize, u128)>>; 2]) -> Vec<u8> {
    let mut cells = Vec::with_capacity(columns.len() * rows.len());
    for row in rows {
        for column in columns {
            let (mut total, mut area) = (0, 0);
            for &(y, height) in row {
                for &(x, breadth) in column {
                    total += u128::from(levels[y * width + x]) * breadth * height;
                    area += breadth * height;
                }
            }
            cells.push(u8::from(area > 0 && 2 * total >= area * u128::from(white)));
        }
    }
    cells
}

/// A size that is not empty and fits a picture.
fn size(width: usize, height: usize) -> Result<(u32, u32)> {
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(width @ 1..), Ok(height @ 1..)) => Ok((width, height)),
        _ => Err(super::shape(format!("there is no mask of {width} x {height}"))),
    }
}

fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}

/// How far a grey pixel's channels may lie apart, of 255: JPEG moves them.
const GREY: u8 = 24;

/// Opens a grey picture by its contents, whatever its name.
fn open(path: &Path) -> Result<DynamicImage> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = reader.map_err(|source| file_error(path, source))?;
    if reader.format().is_none() {
        return Err(picture_error(path, "is not a picture; PNG, JPEG and WebP are read, and maps as .npy".into()));
    }
    let picture = reader.decode().map_err(|error| match error {
        ImageError::IoError(source) => file_error(path, source),
        other => picture_error(path, other.to_string()),
    })?;
    let is_grey = |[red, green, blue]: [u8; 3]| red.abs_diff(green).max(green.abs_diff(blue)) <= GREY;
    if picture.color().has_color() && !picture.to_rgb8().pixels().all(|pixel| is_grey(pixel.0)) {
        return Err(picture_error(path, "is in colour; masks and maps are black, white and grey".into()));
    }
    Ok(picture)
}

fn encode_png(path: &Path, picture: &DynamicImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let written = picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png);
    written.map_err(|error| picture_error(path, error.to_string()))?;
    Ok(bytes)
}

/// Writes beside the file and renames, so that no half of a file is ever left under its name.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside: PathBuf = path.with_file_name(name);
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|source| {
        // The first error is the one to tell; there may be nothing to remove.
        let _ = std::fs::remove_file(&beside);
        file_error(path, source)
    })
}

fn file_error(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}

fn picture_error(path: &Path, message: String) -> Error {
    Error::Picture { path: path.to_owned(), message }
}
