//! EXIF that no longer shows the picture as it was: it is kept, but for its orientation and its thumbnail.
//!
//! EXIF is a TIFF structure (TIFF 6.0, section 2): a header, then directories of entries of 12 bytes, each directory
//! followed by the place of the next one. The first describes the picture, the second its thumbnail.

use image::metadata::Orientation;

/// Places and lengths of a thumbnail's bytes: as JPEG, and as a strip of TIFF.
const THUMBNAILS: [(u16, u16); 2] = [(0x0201, 0x0202), (0x0111, 0x0117)];

const ENTRY_BYTES: usize = 12;

/// Says that nothing is turned, and blanks the thumbnail. What is no EXIF stays as it is.
pub fn reset(exif: &mut [u8]) {
    // It tells the orientation it found, which the decoder has told already.
    let _ = Orientation::remove_from_exif_chunk(exif);
    // A structure that ends early has no thumbnail that a reader could find.
    let _ = Tiff(exif).blank_thumbnail();
}

struct Tiff<'a>(&'a mut [u8]);

impl Tiff<'_> {
    fn blank_thumbnail(&mut self) -> Option<()> {
        let [first, _] = self.directory(self.number(4, 4)?)?;
        let link = first + ENTRY_BYTES * self.number(first - 2, 2)?;
        let [start, end] = self.directory(self.number(link, 4)?)?;
        for (place, length) in THUMBNAILS {
            if let (Some(place), Some(length)) = (self.value(start, end, place), self.value(start, end, length)) {
                self.blank(place, length);
            }
        }
        self.blank(start - 2, end - start + 2);
        self.blank(link, 4);
        Some(())
    }

    /// Where the entries of the directory at `place` begin and end; `None` at place 0, which means none.
    fn directory(&self, place: usize) -> Option<[usize; 2]> {
        let entries = self.number(place, 2)?;
        let start = place + 2;
        (place > 0).then_some([start, start + ENTRY_BYTES * entries])
    }

    /// The value of a tag among the entries in `start..end`, where it is one number.
    fn value(&self, start: usize, end: usize, tag: u16) -> Option<usize> {
        let entry = (start..end).step_by(ENTRY_BYTES).find(|&entry| self.number(entry, 2) == Some(tag.into()))?;
        let bytes = match (self.number(entry + 2, 2)?, self.number(entry + 4, 4)?) {
            (3, 1) => 2,
            (4, 1) => 4,
            _ => return None,
        };
        self.number(entry + 8, bytes)
    }

    /// A whole number in the byte order that the header names.
    fn number(&self, place: usize, bytes: usize) -> Option<usize> {
        let digits = self.0.get(place..place.checked_add(bytes)?)?;
        let append = |number: usize, &byte: &u8| number << 8 | usize::from(byte);
        match self.0.get(..2)? {
            b"II" => Some(digits.iter().rev().fold(0, append)),
            b"MM" => Some(digits.iter().fold(0, append)),
            _ => None,
        }
    }

    fn blank(&mut self, place: usize, length: usize) {
        let end = place.saturating_add(length).min(self.0.len());
        self.0[place.min(end)..end].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EXIF with an orientation and a thumbnail of four bytes.
    fn exif(big: bool) -> Vec<u8> {
        let number = |value: u32, bytes: usize| -> Vec<u8> {
            if big { value.to_be_bytes()[4 - bytes..].to_vec() } else { value.to_le_bytes()[..bytes].to_vec() }
        };
        let entry = |tag, kind, value| {
            let bytes = if kind == 3 { 2 } else { 4 };
            let mut entry = [number(tag, 2), number(kind, 2), number(1, 4), number(value, bytes)].concat();
            entry.resize(ENTRY_BYTES, 0);
            entry
        };
        let header = [if big { b"MM".to_vec() } else { b"II".to_vec() }, number(42, 2), number(8, 4)].concat();
        let first = [number(1, 2), entry(0x0112, 3, 6), number(26, 4)].concat();
        let second = [number(2, 2), entry(0x0201, 4, 56), entry(0x0202, 4, 4), number(0, 4)].concat();
        [header, first, second, b"SEEN".to_vec()].concat()
    }

    #[test]
    fn orientation_and_thumbnail_go_and_the_rest_stays() {
        for big in [false, true] {
            let before = exif(big);
            assert_eq!(Orientation::from_exif_chunk(&before), Some(Orientation::Rotate90));
            let mut after = before.clone();
            reset(&mut after);
            assert_eq!(Orientation::from_exif_chunk(&after), Some(Orientation::NoTransforms));
            assert!(after[22..].iter().all(|&byte| byte == 0), "the link, the directory and the thumbnail");
            assert_eq!(after[..16], before[..16]);
            let twice = after.clone();
            reset(&mut after);
            assert_eq!(after, twice);
        }
    }

    /// Every way to cut it short, and every byte of it made the largest.
    #[test]
    fn damaged_exif_does_no_harm() {
        for big in [false, true] {
            let whole = exif(big);
            for index in 0..whole.len() {
                reset(&mut whole[..index].to_vec());
                let mut wrong = whole.clone();
                wrong[index] = 0xFF;
                reset(&mut wrong);
                assert_eq!(wrong.len(), whole.len());
            }
        }
    }
}
