//! The map of differences and the mask made from it, on the host: for saved maps, which need neither model nor device,
//! and as the reference of the kernels that do the same.

mod blur;
mod files;
mod npy;

pub use blur::{MAX_BLUR, gaussian_kernel_fixed};

use crate::error::{Error, Result};

/// The largest radius of a dilation, cells.
pub const MAX_DILATION: usize = 64;

/// How much two prompts' predictions differ in each latent cell, between 0 and 1, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Map {
    /// A map of known values.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not `width * height` values, all in 0 to 1.
    pub fn new(width: usize, height: usize, values: Vec<f32>) -> Result<Map> {
        check_area(width, height, values.len())?;
        if let Some(value) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            return Err(shape(format!("a map's values lie in 0 to 1, and one is {value}")));
        }
        Ok(Map { width, height, values })
    }

    /// Differences scaled so that the least becomes 0 and the largest 1. Where they are all equal nothing stands out,
    /// and the map is 0.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not `width * height` values, all finite.
    pub fn normalise(width: usize, height: usize, differences: &[f32]) -> Result<Map> {
        check_area(width, height, differences.len())?;
        if differences.iter().any(|difference| !difference.is_finite()) {
            return Err(shape("a difference is not finite".to_owned()));
        }
        let least = differences.iter().copied().fold(f32::INFINITY, f32::min);
        let range = differences.iter().copied().fold(f32::NEG_INFINITY, f32::max) - least;
        let scaled = |&difference: &f32| if range > 0.0 { (difference - least) / range } else { 0.0 };
        Map::new(width, height, differences.iter().map(scaled).collect())
    }

    /// Cells in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The cells whose value exceeds the threshold.
    pub fn threshold(&self, threshold: f32) -> Mask {
        let cells = self.values.iter().map(|&value| u8::from(value > threshold)).collect();
        Mask { width: self.width, height: self.height, cells }
    }
}

/// Which latent cells the edit may change, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    cells: Vec<u8>,
}

impl Mask {
    /// A mask of cells that are 1 where the edit goes and 0 elsewhere.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not `width * height` cells, each 0 or 1.
    pub fn new(width: usize, height: usize, cells: Vec<u8>) -> Result<Mask> {
        check_area(width, height, cells.len())?;
        if let Some(cell) = cells.iter().find(|&&cell| cell > 1) {
            return Err(shape(format!("a mask's cells are 0 or 1, and one is {cell}")));
        }
        Ok(Mask { width, height, cells })
    }

    /// Cells in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The cells, 0 or 1, row by row.
    pub fn cells(&self) -> &[u8] {
        &self.cells
    }

    /// The share of cells that are 1.
    pub fn coverage(&self) -> f64 {
        let edited: usize = self.cells.iter().map(|&cell| usize::from(cell)).sum();
        edited as f64 / self.cells.len() as f64
    }

    /// Smooths the outline: `cv.GaussianBlur(mask, (size, size), 0) > 0` on the 8-bit mask, OpenCV's fixed-point
    /// arithmetic to the bit.
    ///
    /// Rounding to whole numbers makes it a weighted majority: a lone cell vanishes and a lone hole closes.
    /// Sizes 0 and 1 change nothing.
    ///
    /// # Errors
    /// [`Error::Request`] if the size is even or above [`MAX_BLUR`].
    pub fn blur(&self, size: usize) -> Result<Mask> {
        blur::check(size)?;
        Ok(self.with_cells(blur::majority(&self.cells, self.width, self.height, size)))
    }

    /// Smooths and widens the outline: `cv.GaussianBlur(mask, (size, size), 0) > 0.1` on the mask in floats, so that a
    /// tenth of the weight is enough. Sizes 0 and 1 change nothing.
    ///
    /// # Errors
    /// [`Error::Request`] if the size is even or above [`MAX_BLUR`].
    pub fn blur_dilating(&self, size: usize) -> Result<Mask> {
        blur::check(size)?;
        Ok(self.with_cells(blur::dilating(&self.cells, self.width, self.height, size)))
    }

    /// Fills the holes: every 0 from which no path of 0s, up, down, left or right, leads to the border becomes 1
    /// (`scipy.ndimage.binary_fill_holes`).
    pub fn fill_holes(&self) -> Mask {
        let (width, height) = (self.width, self.height);
        let mut filled = vec![1; self.cells.len()];
        let borders = (0..width).flat_map(|x| [(x, 0), (x, height - 1)]);
        let mut reached: Vec<_> = borders.chain((0..height).flat_map(|y| [(0, y), (width - 1, y)])).collect();
        while let Some((x, y)) = reached.pop() {
            let index = y * width + x;
            if self.cells[index] == 1 || filled[index] == 0 {
                continue;
            }
            filled[index] = 0;
            let neighbours = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
            reached.extend(neighbours.into_iter().filter(|&(x, y)| x < width && y < height));
        }
        self.with_cells(filled)
    }

    /// Grows the mask: a cell becomes 1 where any within `radius` rows and columns is 1 (`scipy.ndimage.binary_dilation`
    /// by a square of `2 radius + 1` cells).
    ///
    /// # Errors
    /// [`Error::Request`] if the radius is above [`MAX_DILATION`].
    pub fn dilate(&self, radius: usize) -> Result<Mask> {
        if radius > MAX_DILATION {
            return Err(Error::Request(format!("dilate: {radius} is more than {MAX_DILATION}")));
        }
        let (width, height) = (self.width, self.height);
        let around = |at: usize, length: usize| at.saturating_sub(radius)..(at + radius + 1).min(length);
        let mut rows = vec![0; self.cells.len()];
        let mut dilated = rows.clone();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            rows[y * width + x] = around(x, width).map(|x| self.cells[y * width + x]).max().unwrap_or(0);
        }
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            dilated[y * width + x] = around(y, height).map(|y| rows[y * width + x]).max().unwrap_or(0);
        }
        Ok(self.with_cells(dilated))
    }

    /// Other cells in the same shape.
    fn with_cells(&self, cells: Vec<u8>) -> Mask {
        Mask { width: self.width, height: self.height, cells }
    }
}

/// Refuses empty shapes and wrong numbers of values.
fn check_area(width: usize, height: usize, values: usize) -> Result<()> {
    match width.checked_mul(height) {
        Some(area) if area > 0 && area == values => Ok(()),
        _ => Err(shape(format!("{values} values are not {width} x {height}"))),
    }
}

fn shape(message: String) -> Error {
    Error::Shape { op: "mask", message }
}
