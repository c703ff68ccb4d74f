//! The layout of a contact sheet: rows of tiles under titles, on one grid.

use image::{Rgb, RgbImage, imageops};

use super::canvas::{Canvas, Face, Style};
use crate::picture;

/// Tiles in a line.
pub const COLUMNS: u32 = 5;

/// The longer side of a tile, pixels: a whole multiple of 16, 64 and 96, so that cells of latents come out square.
const TILE: u32 = 192;

/// Space around the sheet, and between tiles.
const MARGIN: u32 = 36;
const GUTTER: u32 = 16;

/// Space between a picture and its caption, and between a row and the next one's title.
const CAPTION_GAP: u32 = 5;
const ROW_GAP: u32 = 20;

const PAPER: Rgb<u8> = Rgb([250, 250, 248]);
const FRAME: Rgb<u8> = Rgb([205, 205, 200]);
const INK: Rgb<u8> = Rgb([32, 33, 36]);
const PALE: Rgb<u8> = Rgb([104, 106, 110]);
const CHOSEN: Rgb<u8> = Rgb([193, 39, 52]);

const HEADING: Style = Style { face: Face::Bold, size: 32.0, colour: INK };
const SETTINGS: Style = Style { face: Face::Regular, size: 17.0, colour: PALE };
const TITLE: Style = Style { face: Face::Bold, size: 19.0, colour: INK };
const CAPTION: Style = Style { face: Face::Regular, size: 16.0, colour: PALE };

/// Height of the heading with the settings below it, and of a row's title.
const HEADING_HEIGHT: u32 = 76;
const TITLE_HEIGHT: u32 = 30;
const CAPTION_HEIGHT: u32 = 18;

/// A picture with a line below it.
pub struct Tile {
    caption: String,
    picture: RgbImage,
    chosen: bool,
}

impl Tile {
    pub fn new(caption: impl Into<String>, picture: RgbImage) -> Tile {
        Tile { caption: caption.into(), picture, chosen: false }
    }

    /// Marks the one that the edit used.
    pub fn chosen(mut self, chosen: bool) -> Tile {
        self.chosen = chosen;
        self
    }
}

/// Tiles under a title.
pub struct Row {
    title: String,
    tiles: Vec<Tile>,
    filling: bool,
}

impl Row {
    pub fn new(title: impl Into<String>, tiles: impl IntoIterator<Item = Tile>) -> Row {
        Row { title: title.into(), tiles: tiles.into_iter().collect(), filling: false }
    }

    /// Makes the tiles as large or small as it takes to fill one line.
    pub fn filling(mut self) -> Row {
        self.filling = true;
        self
    }

    fn columns(&self) -> u32 {
        if self.filling { self.tiles.len().max(1) as u32 } else { COLUMNS }
    }

    fn lines(&self) -> u32 {
        (self.tiles.len() as u32).div_ceil(self.columns())
    }
}

/// A sheet before its rows are drawn.
pub struct Sheet {
    heading: String,
    settings: String,
    tile: [u32; 2],
}

impl Sheet {
    /// A sheet of tiles shaped like pictures of the size `aspect`.
    pub fn new(heading: String, settings: String, aspect: [u32; 2]) -> Sheet {
        let longer = aspect[0].max(aspect[1]).max(1);
        let tile = aspect.map(|side| (TILE * side).div_ceil(longer).max(1));
        Sheet { heading, settings, tile }
    }

    /// Width and height of a tile, pixels.
    pub fn tile(&self) -> [u32; 2] {
        self.tile
    }

    /// The finished sheet.
    pub fn draw(&self, rows: &[Row]) -> RgbImage {
        let heights: u32 = rows.iter().map(|row| self.row_height(row)).sum();
        let mut canvas = Canvas::new(2 * MARGIN + self.width(), 2 * MARGIN + HEADING_HEIGHT + heights - ROW_GAP, PAPER);
        canvas.text(MARGIN, MARGIN - 6, &HEADING.fit(&self.heading, self.width()), HEADING);
        canvas.text(MARGIN, MARGIN + 36, &SETTINGS.fit(&self.settings, self.width()), SETTINGS);
        let mut y = MARGIN + HEADING_HEIGHT;
        for row in rows {
            self.draw_row(&mut canvas, y, row);
            y += self.row_height(row);
        }
        canvas.into_picture()
    }

    /// Width of a line of tiles.
    fn width(&self) -> u32 {
        COLUMNS * self.tile[0] + (COLUMNS - 1) * GUTTER
    }

    /// Width and height of a row's tiles.
    fn tile_of(&self, row: &Row) -> [u32; 2] {
        let columns = row.columns();
        if columns == COLUMNS {
            return self.tile;
        }
        let width = (self.width() - (columns - 1) * GUTTER) / columns;
        [width, width * self.tile[1] / self.tile[0]]
    }

    /// Height of one line of a row's tiles with their captions.
    fn line_height(&self, row: &Row) -> u32 {
        self.tile_of(row)[1] + CAPTION_GAP + CAPTION_HEIGHT + GUTTER
    }

    fn row_height(&self, row: &Row) -> u32 {
        TITLE_HEIGHT + row.lines() * self.line_height(row) - GUTTER + ROW_GAP
    }

    fn draw_row(&self, canvas: &mut Canvas, y: u32, row: &Row) {
        canvas.rule(MARGIN, y, self.width(), FRAME);
        canvas.text(MARGIN, y + 6, &TITLE.fit(&row.title, self.width()), TITLE);
        let [width, height] = self.tile_of(row);
        for (index, tile) in row.tiles.iter().enumerate() {
            let (line, column) = (index as u32 / row.columns(), index as u32 % row.columns());
            let x = MARGIN + column * (width + GUTTER);
            let y = y + TITLE_HEIGHT + line * self.line_height(row);
            let (frame, line) = if tile.chosen { (CHOSEN, 3) } else { (FRAME, 1) };
            canvas.picture(x, y, &scaled(&tile.picture, width, height), frame, line);
            let colour = if tile.chosen { CHOSEN } else { CAPTION.colour };
            canvas.centred(x, y + height + CAPTION_GAP, width, &tile.caption, Style { colour, ..CAPTION });
        }
    }
}

/// The picture at the size of its tile: cells stay sharp where it grows by a whole factor.
fn scaled(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    if width.is_multiple_of(picture.width()) && height.is_multiple_of(picture.height()) {
        return imageops::resize(picture, width, height, imageops::FilterType::Nearest);
    }
    picture::resize(picture, width, height)
}
