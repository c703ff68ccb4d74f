//! Masks and maps as files.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, GrayImage, ImageBuffer, ImageError, ImageFormat, ImageReader, Luma};

use super::{Map, Mask, npy};
use crate::error::{Error, Result};

impl Mask {
    /// Reads a picture, white where the edit goes, of any size: that of the picture, of the latents, or another. A cell
    /// is 1 where at least half of its area is white, greys and transparency counting in part.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Picture`] if it is not a picture.
    pub fn load(path: &Path, width: usize, height: usize) -> Result<Mask> {
        let picture = open(path)?.into_luma_alpha8();
        let levels: Vec<u32> = picture.pixels().map(|pixel| u32::from(pixel[0]) * u32::from(pixel[1])).collect();
        let white = 255 * 255;
        let cells = area_majority(&levels, white, [picture.width(), picture.height()], [width, height]);
        Mask::new(width, height, cells)
    }

    /// Writes a PNG of `width` x `height` pixels, white where the edit goes, each cell a rectangle of pixels.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn save(&self, path: &Path, width: usize, height: usize) -> Result<()> {
        let picture = GrayImage::from_fn(width as u32, height as u32, |x, y| {
            let (x, y) = (x as usize * self.width / width, y as usize * self.height / height);
            Luma([255 * self.cells[y * self.width + x]])
        });
        write(path, &encode_png(path, &picture.into())?)
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

/// For each target cell, whether the mean level of the source area it covers is at least half of white.
fn area_majority(levels: &[u32], white: u32, source: [u32; 2], target: [usize; 2]) -> Vec<u8> {
    let [columns, rows] = [overlaps(source[0] as usize, target[0]), overlaps(source[1] as usize, target[1])];
    let half = u128::from(white) * u128::from(source[0]) * u128::from(source[1]);
    let mut cells = Vec::with_capacity(target[0] * target[1]);
    for row in &rows {
        for column in &columns {
            let mut total = 0_u128;
            for &(y, height) in row {
                for &(x, width) in column {
                    total += u128::from(levels[y * source[0] as usize + x]) * (width * height) as u128;
                }
            }
            cells.push(u8::from(2 * total >= half));
        }
    }
    cells
}

/// For each of `target` equal parts of a line of `source` pixels, the pixels it covers and how much of each, in
/// `target`-ths of a pixel.
fn overlaps(source: usize, target: usize) -> Vec<Vec<(usize, usize)>> {
    let part = |index: usize| {
        let (start, end) = (index * source, (index + 1) * source);
        (start / target..end.div_ceil(target))
            .map(|pixel| (pixel, end.min((pixel + 1) * target) - start.max(pixel * target)))
            .collect()
    };
    (0..target).map(part).collect()
}

fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}

/// Opens a picture by its contents, whatever its name.
fn open(path: &Path) -> Result<DynamicImage> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let decoded = reader.map_err(|source| file_error(path, source))?.decode();
    decoded.map_err(|error| match error {
        ImageError::IoError(source) => file_error(path, source),
        other => picture_error(path, other.to_string()),
    })
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
