//! Pictures on the host: as files, on the canvas that the model edits, and with the edit laid back into them.

mod exif;
mod original;
mod paste;
mod placement;
mod resize;

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use image::{DynamicImage, RgbImage};

use crate::error::Result;

pub use original::{MAX_SIDE, Metadata, Original};
pub use paste::{BAND, paste_back};
pub use placement::{Placement, Resize, size_of_area};
pub(crate) use placement::{SIDE_UNIT, SIDES};
pub use resize::resize;

/// Reads a picture as the model sees it: [`Original::load`], then [`Original::rgb`].
///
/// # Errors
/// As [`Original::load`].
pub fn load(path: &Path) -> Result<RgbImage> {
    Ok(Original::load(path)?.rgb())
}

/// As [`load`], of a file's bytes; the error says what is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    Ok(Original::decode(bytes)?.rgb())
}

/// Writes a picture as PNG, with texts as other diffusion tools leave their parameters: `tEXt` chunks, or `iTXt` where
/// Latin-1 does not suffice.
pub fn write_png(to: impl Write, picture: &RgbImage, texts: &[(&str, &str)]) -> std::io::Result<()> {
    let info = png_info(picture.dimensions(), png::ColorType::Rgb, png::BitDepth::Eight);
    encode_png(to, info, picture.as_raw(), texts)
}

/// As [`write_png`], with the depth and the transparency that the picture has, and with its file's metadata.
///
/// # Errors
/// Whatever the writer fails with, and [`std::io::ErrorKind::Unsupported`] for pictures that are neither RGB nor RGBA of 8
/// or 16 bits a channel.
pub fn write_png_as(
    to: impl Write,
    picture: &DynamicImage,
    metadata: &Metadata,
    texts: &[(&str, &str)],
) -> std::io::Result<()> {
    use png::{BitDepth, ColorType};
    // PNG has the high byte first.
    let bytes = |levels: &[u16]| -> Vec<u8> { levels.iter().flat_map(|level| level.to_be_bytes()).collect() };
    let (color, depth, levels) = match picture {
        DynamicImage::ImageRgb8(picture) => (ColorType::Rgb, BitDepth::Eight, Cow::from(picture.as_raw())),
        DynamicImage::ImageRgba8(picture) => (ColorType::Rgba, BitDepth::Eight, Cow::from(picture.as_raw())),
        DynamicImage::ImageRgb16(picture) => (ColorType::Rgb, BitDepth::Sixteen, Cow::from(bytes(picture))),
        DynamicImage::ImageRgba16(picture) => (ColorType::Rgba, BitDepth::Sixteen, Cow::from(bytes(picture))),
        _ => return Err(std::io::ErrorKind::Unsupported.into()),
    };
    let mut info = png_info((picture.width(), picture.height()), color, depth);
    info.icc_profile = metadata.icc.as_deref().map(Cow::from);
    info.exif_metadata = metadata.exif.as_deref().map(Cow::from);
    encode_png(to, info, &levels, texts)
}

fn png_info((width, height): (u32, u32), color: png::ColorType, depth: png::BitDepth) -> png::Info<'static> {
    let mut info = png::Info::with_size(width, height);
    (info.color_type, info.bit_depth) = (color, depth);
    info
}

fn encode_png(to: impl Write, info: png::Info, levels: &[u8], texts: &[(&str, &str)]) -> std::io::Result<()> {
    let write = || -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::with_info(to, info)?;
        for (keyword, text) in texts {
            if text.chars().all(|c| u32::from(c) < 256) {
                encoder.add_text_chunk(keyword.to_string(), text.to_string())?;
            } else {
                encoder.add_itxt_chunk(keyword.to_string(), text.to_string())?;
            }
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(levels)?;
        writer.finish()
    };
    write().map_err(|error| match error {
        png::EncodingError::IoError(error) => error,
        other => std::io::Error::other(other),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use image::{ImageBuffer, Rgb};

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
    fn pictures_of_every_depth_read_back_with_their_metadata() {
        let mut profile = vec![0; 128];
        profile[16..20].copy_from_slice(b"RGB ");
        let metadata = Metadata { icc: Some(profile), exif: Some(b"II*\0\x08\0\0\0\0\0".to_vec()) };
        let deep = |index: usize| (index * 12_345) as u16;
        let pictures: [DynamicImage; 4] = [
            RgbImage::from_raw(3, 1, (0..9).collect()).expect("the size").into(),
            image::RgbaImage::from_raw(3, 1, (0..12).collect()).expect("the size").into(),
            DynamicImage::ImageRgb16(ImageBuffer::from_raw(3, 1, (0..9).map(deep).collect()).expect("the size")),
            DynamicImage::ImageRgba16(ImageBuffer::from_raw(3, 1, (0..12).map(deep).collect()).expect("the size")),
        ];
        for picture in pictures {
            let mut bytes = Vec::new();
            write_png_as(&mut bytes, &picture, &metadata, &[]).expect("a PNG");
            let read = Original::decode(&bytes).expect("a picture");
            assert_eq!(read.pixels, picture);
            assert_eq!(read.metadata, metadata);
        }
        let grey = DynamicImage::new_luma8(1, 1);
        let error = write_png_as(Vec::new(), &grey, &metadata, &[]).expect_err("not a kind that is written");
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    }
}
