//! A sheet of pixels with pictures and lines of text on it.

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage, imageops};

/// A typeface of the two that are part of the program.
#[derive(Clone, Copy)]
pub enum Face {
    Regular,
    Bold,
}

/// How a line of text looks.
#[derive(Clone, Copy)]
pub struct Style {
    pub face: Face,
    /// Height of the line, pixels.
    pub size: f32,
    pub colour: Rgb<u8>,
}

impl Style {
    fn font(self) -> FontRef<'static> {
        let bytes: &[u8] = match self.face {
            Face::Regular => include_bytes!("fonts/DejaVuSans.ttf"),
            Face::Bold => include_bytes!("fonts/DejaVuSans-Bold.ttf"),
        };
        FontRef::try_from_slice(bytes).expect("the font that is part of the program")
    }

    /// The glyphs of `text` with the x at which each starts, and the width of all.
    fn layout(self, text: &str) -> (Vec<(GlyphId, f32)>, f32) {
        let font = self.font();
        let font = font.as_scaled(PxScale::from(self.size));
        let (mut glyphs, mut x) = (Vec::new(), 0.0);
        let mut before: Option<GlyphId> = None;
        for character in text.chars() {
            let glyph = font.glyph_id(character);
            x += before.map_or(0.0, |before| font.kern(before, glyph));
            glyphs.push((glyph, x));
            x += font.h_advance(glyph);
            before = Some(glyph);
        }
        (glyphs, x)
    }

    /// `text`, its end replaced by an ellipsis where it is wider than `width` pixels.
    pub fn fit(self, text: &str, width: u32) -> String {
        let fits = |text: &str| self.layout(text).1 <= width as f32;
        if fits(text) {
            return text.to_owned();
        }
        let mut characters: Vec<char> = text.chars().collect();
        while characters.pop().is_some() {
            let shorter = format!("{}…", characters.iter().collect::<String>().trim_end());
            if fits(&shorter) {
                return shorter;
            }
        }
        String::new()
    }
}

/// The sheet.
pub struct Canvas {
    pixels: RgbImage,
}

impl Canvas {
    pub fn new(width: u32, height: u32, paper: Rgb<u8>) -> Canvas {
        Canvas { pixels: RgbImage::from_pixel(width, height, paper) }
    }

    pub fn into_picture(self) -> RgbImage {
        self.pixels
    }

    /// Lays a picture with its top left corner at (x, y), in a frame `line` pixels wide around it.
    pub fn picture(&mut self, x: u32, y: u32, picture: &RgbImage, frame: Rgb<u8>, line: u32) {
        let framed = RgbImage::from_pixel(picture.width() + 2 * line, picture.height() + 2 * line, frame);
        imageops::replace(&mut self.pixels, &framed, i64::from(x) - i64::from(line), i64::from(y) - i64::from(line));
        imageops::replace(&mut self.pixels, picture, x.into(), y.into());
    }

    /// A horizontal line.
    pub fn rule(&mut self, x: u32, y: u32, width: u32, colour: Rgb<u8>) {
        for x in x..(x + width).min(self.pixels.width()) {
            self.pixels.put_pixel(x, y, colour);
        }
    }

    /// Writes a line of text with its top at y: its left end at x.
    pub fn text(&mut self, x: u32, y: u32, text: &str, style: Style) {
        let font = style.font();
        let scale = PxScale::from(style.size);
        let baseline = y as f32 + font.as_scaled(scale).ascent();
        for (glyph, offset) in style.layout(text).0 {
            let glyph = glyph.with_scale_and_position(scale, point(x as f32 + offset, baseline));
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            outline.draw(|dx, dy, coverage| {
                self.blend(corner.x as i64 + i64::from(dx), corner.y as i64 + i64::from(dy), style.colour, coverage);
            });
        }
    }

    /// Writes a line of text in the middle of `width` pixels from x.
    pub fn centred(&mut self, x: u32, y: u32, width: u32, text: &str, style: Style) {
        let text = style.fit(text, width);
        let slack = (width as f32 - style.layout(&text).1).max(0.0);
        self.text(x + (slack / 2.0) as u32, y, &text, style);
    }

    /// Covers a pixel by `colour` in part; pixels outside are ignored.
    fn blend(&mut self, x: i64, y: i64, colour: Rgb<u8>, coverage: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        let Some(pixel) = self.pixels.get_pixel_mut_checked(x, y) else { return };
        for (under, over) in pixel.0.iter_mut().zip(colour.0) {
            let mixed = f32::from(*under) + (f32::from(over) - f32::from(*under)) * coverage.clamp(0.0, 1.0);
            *under = mixed.round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { face: Face::Regular, size: 16.0, colour: Rgb([0, 0, 0]) };

    #[test]
    fn text_leaves_ink_where_it_stands_and_nowhere_else() {
        let mut canvas = Canvas::new(200, 60, Rgb([255; 3]));
        canvas.text(20, 20, "zebra → żółw", STYLE);
        let picture = canvas.into_picture();
        let ink: Vec<(u32, u32)> =
            picture.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] < 128).map(|(x, y, _)| (x, y)).collect();
        assert!(ink.len() > 100, "{} pixels", ink.len());
        assert!(ink.iter().all(|&(x, y)| (20..140).contains(&x) && (20..40).contains(&y)));
    }

    #[test]
    fn long_text_is_cut_to_fit() {
        let text = STYLE.fit("a very long caption that does not fit", 100);
        assert!(text.ends_with('…') && STYLE.layout(&text).1 <= 100.0, "{text:?}");
        assert_eq!(STYLE.fit("short", 100), "short");
    }

    #[test]
    fn text_over_the_edge_is_clipped() {
        let mut canvas = Canvas::new(10, 10, Rgb([255; 3]));
        canvas.text(5, 5, "wide", STYLE);
        assert_eq!(canvas.into_picture().dimensions(), (10, 10));
    }
}
