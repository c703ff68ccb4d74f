//! A picture as its file has it.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, RgbImage, RgbaImage};

use crate::error::{Error, Result};

/// The longest side of a picture that is read, pixels.
pub const MAX_SIDE: u32 = 16_384;

/// The most memory that decoding may take, bytes: a picture of [`MAX_SIDE`] squared fits.
const MAX_DECODED_BYTES: u64 = 2 << 30;

/// What a file says of its picture that is worth keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The ICC profile of its colours, where that is one of RGB.
    pub icc: Option<Vec<u8>>,
    /// EXIF's TIFF structure, whose orientation says that nothing is turned.
    pub exif: Option<Vec<u8>>,
}

/// A picture with its file's depth, transparency and metadata.
#[derive(Clone, Debug)]
pub struct Original {
    /// RGB or RGBA of 8 or 16 bits a channel, turned as the file's orientation says; greys are spread.
    pub pixels: DynamicImage,
    pub metadata: Metadata,
}

impl Original {
    /// Reads a PNG, JPEG or WebP by its contents, whatever its name.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, [`Error::Picture`] if it is no picture or larger than [`MAX_SIDE`].
    pub fn load(path: &Path) -> Result<Original> {
        let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_path_buf(), source })?;
        Original::decode(&bytes).map_err(|message| Error::Picture { path: path.to_path_buf(), message })
    }

    /// As [`Original::load`], of a file's bytes; the error says what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Original, String> {
        let mut decoder = decoder(bytes)?;
        let orientation = decoder.orientation().map_err(explain)?;
        // A damaged profile or EXIF is no reason to refuse the picture.
        let icc = decoder.icc_profile().unwrap_or_default().filter(|profile| is_of_rgb(profile));
        let mut exif = decoder.exif_metadata().unwrap_or_default();
        if let Some(exif) = &mut exif {
            let _ = Orientation::remove_from_exif_chunk(exif);
        }
        let mut pixels = spread(DynamicImage::from_decoder(decoder).map_err(explain)?);
        pixels.apply_orientation(orientation);
        Ok(Original { pixels, metadata: Metadata { icc, exif } })
    }

    /// The picture as the model sees it, 8-bit RGB: deeper channels rounded, and transparency laid over white.
    pub fn rgb(&self) -> RgbImage {
        if self.pixels.color().has_alpha() { over_white(&self.pixels.to_rgba8()) } else { self.pixels.to_rgb8() }
    }
}

impl From<RgbImage> for Original {
    fn from(pixels: RgbImage) -> Original {
        Original { pixels: pixels.into(), metadata: Metadata::default() }
    }
}

/// A decoder for a picture whose size is known to be reasonable.
fn decoder(bytes: &[u8]) -> Result<impl ImageDecoder, String> {
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
    Ok(decoder)
}

fn explain(error: ImageError) -> String {
    match error {
        ImageError::Unsupported(_) => format!("is not a picture that can be read (PNG, JPEG or WebP): {error}"),
        ImageError::Limits(_) => "decoding it would take too much memory".into(),
        other => format!("a damaged picture: {other}"),
    }
}

/// Whether an ICC profile describes RGB, as its header says: what is written is RGB, whatever was read.
fn is_of_rgb(profile: &[u8]) -> bool {
    profile.get(16..20) == Some(b"RGB ")
}

/// RGB for greys, of the same depth and with the same transparency.
fn spread(picture: DynamicImage) -> DynamicImage {
    match picture {
        DynamicImage::ImageLuma8(_) => picture.into_rgb8().into(),
        DynamicImage::ImageLumaA8(_) => picture.into_rgba8().into(),
        DynamicImage::ImageLuma16(_) => picture.into_rgb16().into(),
        DynamicImage::ImageLumaA16(_) => picture.into_rgba16().into(),
        other => other,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::decode;
    use image::{ColorType, ImageFormat, Rgba};

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

    /// A PNG with a profile and EXIF.
    fn png_with(picture: &DynamicImage, icc: &[u8], exif: &[u8]) -> Vec<u8> {
        let metadata = Metadata { icc: Some(icc.to_vec()), exif: Some(exif.to_vec()) };
        let mut bytes = Vec::new();
        crate::picture::write_png_as(&mut bytes, picture, &metadata, &[]).expect("a PNG");
        bytes
    }

    /// The least of an ICC profile: a header that names the colours.
    fn profile(colours: &[u8; 4]) -> Vec<u8> {
        let mut profile = vec![0; 128];
        profile[16..20].copy_from_slice(colours);
        profile
    }

    /// TIFF with one entry, the orientation.
    fn exif(orientation: u8) -> Vec<u8> {
        let entry = [0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
        [&b"II*\0"[..], &[8, 0, 0, 0, 1, 0], &entry, &[0; 4]].concat()
    }

    #[test]
    fn a_turned_picture_is_upright_and_says_so() {
        let picture = RgbImage::from_fn(2, 1, |x, _| image::Rgb([x as u8, 7, 7]));
        let png = png_with(&picture.into(), &profile(b"RGB "), &exif(6));
        let read = Original::decode(&png).expect("a picture");
        assert_eq!((read.pixels.width(), read.pixels.height()), (1, 2), "a quarter turn to the right");
        assert_eq!(read.rgb().get_pixel(0, 0).0, [0, 7, 7]);
        assert_eq!(read.metadata, Metadata { icc: Some(profile(b"RGB ")), exif: Some(exif(1)) });
    }

    #[test]
    fn profiles_of_other_colours_are_left_out() {
        let picture: DynamicImage = RgbImage::new(1, 1).into();
        for colours in [b"GRAY", b"CMYK"] {
            let read = Original::decode(&png_with(&picture, &profile(colours), &exif(1))).expect("a picture");
            assert_eq!(read.metadata.icc, None);
        }
    }

    #[test]
    fn depth_and_transparency_stay_and_greys_are_spread() {
        let cases: [(DynamicImage, ColorType); 6] = [
            (image::GrayImage::new(1, 1).into(), ColorType::Rgb8),
            (image::GrayAlphaImage::new(1, 1).into(), ColorType::Rgba8),
            (DynamicImage::new_luma16(1, 1), ColorType::Rgb16),
            (DynamicImage::new_luma_a16(1, 1), ColorType::Rgba16),
            (DynamicImage::new_rgb16(1, 1), ColorType::Rgb16),
            (DynamicImage::new_rgba16(1, 1), ColorType::Rgba16),
        ];
        for (picture, expected) in cases {
            let read = Original::decode(&encoded(&picture)).expect("a picture");
            assert_eq!(read.pixels.color(), expected, "{:?}", picture.color());
        }
        let deep = image::ImageBuffer::from_pixel(1, 1, image::Luma([0x1234_u16]));
        let read = Original::decode(&encoded(&deep.into())).expect("a picture");
        assert_eq!(read.pixels.to_rgb16().get_pixel(0, 0).0, [0x1234; 3]);
        assert_eq!(read.rgb().get_pixel(0, 0).0, [0x12; 3]);
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
