//! Pictures as files, and the resizing that Pillow does.

mod resize;

use std::io::{Cursor, Write};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, RgbImage, RgbaImage};

use crate::error::{Error, Result};

pub use resize::resize;

/// The longest side of a picture that is read, pixels.
pub const MAX_SIDE: u32 = 16_384;

/// The most memory that decoding may take, bytes: a picture of [`MAX_SIDE`] squared fits.
const MAX_DECODED_BYTES: u64 = 2 << 30;

/// Reads a PNG, JPEG or WebP by its contents, whatever its name, as 8-bit RGB: turned as its EXIF orientation says,
/// deeper channels rounded, greys spread, and transparency laid over white.
///
/// # Errors
/// [`Error::File`] if the file cannot be read, [`Error::Picture`] if it is no picture or larger than [`MAX_SIDE`].
pub fn load(path: &Path) -> Result<RgbImage> {
    let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_path_buf(), source })?;
    decode(&bytes).map_err(|message| Error::Picture { path: path.to_path_buf(), message })
}

/// As [`load`], of a file's bytes; the error says what is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    if reader.format().is_none() {
        return Err("is not a picture; PNG, JPEG and WebP are read".into());
    }
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(format!("the picture is empty: {width}x{height}"));
    }
    if width.max(height) > MAX_SIDE {
        return Err(format!("a picture of {width}x{height}; sides up to {MAX_SIDE} are read"));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    decoder.set_limits(limits).map_err(explain)?;
    let orientation = decoder.orientation().map_err(explain)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(explain)?;
    picture.apply_orientation(orientation);
    Ok(if picture.color().has_alpha() { over_white(&picture.into_rgba8()) } else { picture.into_rgb8() })
}

fn explain(error: ImageError) -> String {
    match error {
        ImageError::Unsupported(_) => format!("is not a picture that can be read (PNG, JPEG or WebP): {error}"),
        ImageError::Limits(_) => "decoding it would take too much memory".into(),
        other => format!("a damaged picture: {other}"),
    }
}

/// Lays a transparent picture over white.
fn over_white(picture: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [red, green, blue, alpha] = picture.get_pixel(x, y).0;
        let alpha = u32::from(alpha);
        let blend = |level: u8| ((u32::from(level) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        image::Rgb([blend(red), blend(green), blend(blue)])
    })
}

/// Writes a picture as PNG, with texts as other diffusion tools leave their parameters: `tEXt` chunks, or `iTXt` where
/// Latin-1 does not suffice.
pub fn write_png(to: impl Write, picture: &RgbImage, texts: &[(&str, &str)]) -> std::io::Result<()> {
    let write = || -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(to, picture.width(), picture.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        for (keyword, text) in texts {
            if text.chars().all(|c| u32::from(c) < 256) {
                encoder.add_text_chunk(keyword.to_string(), text.to_string())?;
            } else {
                encoder.add_itxt_chunk(keyword.to_string(), text.to_string())?;
            }
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(picture.as_raw())?;
        writer.finish()
    };
    write().map_err(|error| match error {
        png::EncodingError::IoError(error) => error,
        other => std::io::Error::other(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgb, Rgba};

    fn encoded(picture: &DynamicImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).expect("a PNG");
        bytes
    }

    #[test]
    fn transparency_lies_over_white() {
        let pixels = [[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]];
        let picture = RgbaImage::from_fn(3, 1, |x, _| Rgba(pixels[x as usize]));
        let read = decode(&encoded(&picture.into())).expect("a picture");
        assert_eq!(read.as_raw()[..], [200, 100, 0, 255, 255, 255, 244, 224, 204]);
    }

    #[test]
    fn what_is_written_reads_back_with_its_texts() {
        let picture = RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8, y as u8, 7]));
        let mut bytes = Vec::new();
        write_png(&mut bytes, &picture, &[("parameters", "horse to zebra"), ("other", "żebra")]).expect("a PNG");
        assert_eq!(decode(&bytes).expect("a picture"), picture);
        let reader = png::Decoder::new(Cursor::new(&bytes)).read_info().expect("a PNG");
        let info = reader.info();
        assert_eq!(info.uncompressed_latin1_text[0].text, "horse to zebra");
        assert_eq!(info.utf8_text[0].get_text().expect("text"), "żebra");
    }

    #[test]
    fn what_is_not_a_picture_is_refused() {
        assert!(decode(b"").expect_err("empty").contains("empty"));
        assert!(decode(b"hello, world").expect_err("text").contains("not a picture"));
        let mut half = encoded(&RgbImage::new(64, 64).into());
        half.truncate(half.len() / 2);
        assert!(decode(&half).expect_err("half").contains("damaged"));
    }

    #[test]
    fn absurd_sizes_are_refused_before_they_are_decoded() {
        // The header of a PNG of 100000 x 100000; its checksum is that of the altered header.
        let mut bytes = encoded(&RgbImage::new(1, 1).into());
        bytes[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&100_000_u32.to_be_bytes());
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        let message = decode(&bytes).expect_err("too large");
        assert!(message.contains("100000x100000"), "{message}");
    }

    /// PNG's checksum: CRC-32 of IEEE 802.3.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
        })
    }
}
