//! The containers in which nvcc wraps the code of a program, for several architectures ("fat binaries").
//!
//! Their layout is not published; it is as described by those who take them apart (the decompressor of the Cricket
//! project, ZLUDA's `dark_api::fatbin`): a header, behind which entries follow, each with code for one architecture.
//! PTX in them is plain, a block of LZ4 (nvcc up to 12), or a frame of Zstandard (nvcc 13).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ruzstd::decoding::FrameDecoder;

use super::error::{CUresult, Result, refused};
use super::image::refused_aloud;
use super::module::fit;
use super::types::In;
use crate::device::Description;

/// The first bytes of a container.
pub const CONTAINER: u32 = 0xba55_ed50;

/// What an entry holds.
const PTX: u16 = 1;
const MACHINE_CODE: u16 = 2;

const LZ4: u64 = 0x2000;
const ZSTANDARD: u64 = 0x8000;

/// What the emulator reads of an entry's header.
struct Entry {
    kind: u16,
    /// Where the code lies.
    code: u64,
    /// Bytes from the code to the next entry.
    bytes: u64,
    compressed_bytes: usize,
    /// As 80 for 8.0.
    architecture: u32,
    flags: u64,
    text_bytes: usize,
}

impl Entry {
    fn at(address: u64) -> Result<Entry> {
        let header_bytes = In::<u32>::at(address + 4).get()?;
        if header_bytes == 0 {
            return refused(CUresult::INVALID_IMAGE, "an entry of the fat binary has no size");
        }
        Ok(Entry {
            kind: In::at(address).get()?,
            code: address + u64::from(header_bytes),
            bytes: In::at(address + 8).get()?,
            compressed_bytes: In::<u32>::at(address + 16).get()? as usize,
            architecture: In::at(address + 28).get()?,
            flags: In::at(address + 40).get()?,
            text_bytes: In::<u64>::at(address + 56).get()? as usize,
        })
    }

    /// The PTX of an entry.
    fn text(&self) -> Result<String> {
        let stored = if self.flags & (LZ4 | ZSTANDARD) == 0 { self.bytes as usize } else { self.compressed_bytes };
        let stored = In::<u8>::at(self.code).to_vec(stored)?;
        let text = match self.flags & (LZ4 | ZSTANDARD) {
            0 => Some(stored),
            LZ4 => from_lz4(&stored, self.text_bytes),
            _ => from_zstandard(&stored, self.text_bytes),
        };
        let Some(text) = text else {
            return refused(CUresult::INVALID_IMAGE, "the compressed PTX in the fat binary is damaged");
        };
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

/// What containers hold: architectures by kind of code.
pub type Held = BTreeMap<u16, Vec<u32>>;

/// What containers hold as a refusal names it.
fn names(held: &Held) -> String {
    let name = |(kind, architectures): (&u16, &Vec<u32>)| {
        let (code, prefix) = match *kind {
            PTX => ("PTX".to_owned(), "compute_"),
            MACHINE_CODE => ("machine code".to_owned(), "sm_"),
            kind => (format!("code of kind {kind}"), ""),
        };
        let mut architectures = architectures.clone();
        architectures.sort_unstable();
        architectures.dedup();
        let list: Vec<String> = architectures.iter().map(|number| format!("{prefix}{number}")).collect();
        format!("{code} for {}", list.join(", "))
    };
    let names: Vec<String> = held.iter().map(name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" and ") }
}

/// The PTX in the container at `address` for the latest architecture that `device` runs; of two for the same one, that
/// which is for it alone.
pub fn text_in(address: u64, device: &Description) -> Result<String> {
    let mut held = Held::new();
    match find_text(address, device, &mut held)? {
        Some(text) => Ok(text),
        None => no_text(&held, device),
    }
}

/// As [`text_in`], if there is such PTX. What the container holds is added to `held`.
pub fn find_text(address: u64, device: &Description, held: &mut Held) -> Result<Option<String>> {
    let entries = entries(address)?;
    for entry in &entries {
        held.entry(entry.kind).or_default().push(entry.architecture);
    }
    let runs = |entry: &&Entry| entry.kind == PTX && entry.architecture <= device.architecture();
    let mut candidates: Vec<&Entry> = entries.iter().filter(runs).collect();
    candidates.sort_by_key(|entry| Reverse(entry.architecture));
    for same in candidates.chunk_by(|one, other| one.architecture == other.architecture) {
        let texts: Vec<String> = same.iter().map(|entry| entry.text()).collect::<Result<_>>()?;
        let fitting = texts.into_iter().filter_map(|text| Some((fit(&text, device)?, text)));
        if let Some((_, text)) = fitting.max_by_key(|(fit, _)| *fit) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Refuses a fat binary without PTX for `device`, and says what it holds instead.
pub fn no_text<T>(held: &Held, device: &Description) -> Result<T> {
    let (held, own) = (names(held), device.architecture());
    refused_aloud(format!(
        "the fat binary holds {held}, but no PTX that {}, sm_{own}, runs; the emulator executes PTX, which nvcc adds \
         by -gencode arch=compute_{own},code=compute_{own}",
        device.name
    ))
}

fn entries(address: u64) -> Result<Vec<Entry>> {
    let mut next = address + u64::from(In::<u16>::at(address + 6).get()?);
    let end = next + In::<u64>::at(address + 8).get()?;
    let mut entries = Vec::new();
    while next < end {
        let entry = Entry::at(next)?;
        next = entry.code + entry.bytes;
        entries.push(entry);
    }
    Ok(entries)
}

fn from_zstandard(frame: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut text = vec![0; bytes];
    let written = FrameDecoder::new().decode_all(frame, &mut text).ok()?;
    (written == bytes).then_some(text)
}

/// A block of LZ4 ("LZ4 Block Format Description"): literals, then a copy of what came before, again and again.
fn from_lz4(block: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut text: Vec<u8> = Vec::with_capacity(bytes);
    let mut input = block.iter().copied();
    while text.len() < bytes {
        let token = usize::from(input.next()?);
        let literals = length(token >> 4, &mut input)?;
        for _ in 0..literals {
            text.push(input.next()?);
        }
        // The last sequence is literals only.
        let Some(low) = input.next() else { break };
        let distance = usize::from(u16::from_le_bytes([low, input.next()?]));
        let copied = length(token & 15, &mut input)? + 4;
        let from = text.len().checked_sub(distance).filter(|_| distance > 0)?;
        // The copy may reach into itself.
        (from..from + copied).for_each(|place| text.push(text[place]));
    }
    (text.len() == bytes).then_some(text)
}

/// A length whose first four bits are in a token; 15 goes on in the bytes after it.
fn length(mut length: usize, input: &mut impl Iterator<Item = u8>) -> Option<usize> {
    if length == 15 {
        loop {
            let byte = input.next()?;
            length += usize::from(byte);
            if byte != 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    const TEXT: &str = "// abcabcabcabcabcabcabcabcabc\n";

    /// What `zstd -19 --no-check` makes of the text.
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x00\x68\x6d\0\0\x38// abc\n\x01\0\x82\xae\x08";

    /// One entry: kind, architecture, flags, what is stored, and the bytes of the text.
    type Part<'a> = (u16, u32, u64, &'a [u8], usize);

    /// A container of entries.
    pub fn container(parts: &[Part]) -> Vec<u8> {
        let mut entries = Vec::new();
        for &(kind, architecture, flags, payload, text_bytes) in parts {
            let padded = payload.len().next_multiple_of(8);
            entries.extend(kind.to_le_bytes());
            entries.extend([0; 2]);
            entries.extend(64u32.to_le_bytes());
            entries.extend((padded as u64).to_le_bytes());
            entries.extend((payload.len() as u32).to_le_bytes());
            entries.extend([0; 8]);
            entries.extend(architecture.to_le_bytes());
            entries.extend([0; 8]);
            entries.extend(flags.to_le_bytes());
            entries.extend([0; 8]);
            entries.extend((text_bytes as u64).to_le_bytes());
            entries.extend(payload);
            entries.resize(entries.len() + padded - payload.len(), 0);
        }
        let mut image = CONTAINER.to_le_bytes().to_vec();
        image.extend([1, 0, 16, 0]);
        image.extend((entries.len() as u64).to_le_bytes());
        image.extend(entries);
        image
    }

    fn text_for(device: &str, parts: &[Part]) -> std::result::Result<String, CUresult> {
        let image = container(parts);
        let device = Description::by_name(device).unwrap();
        text_in(image.as_ptr() as u64, &device).map_err(|failure| failure.code)
    }

    fn text(architecture: u32, flags: u64, stored: &[u8], text_bytes: usize) -> std::result::Result<String, CUresult> {
        text_for("a100", &[(MACHINE_CODE, 80, 0, b"\x7fELF", 0), (PTX, architecture, flags, stored, text_bytes)])
    }

    /// Three literal characters and "abc", a copy of 22 characters from three before, and the end as literals.
    fn lz4() -> Vec<u8> {
        let mut block = vec![0x6f];
        block.extend(b"// abc");
        block.extend([3, 0, 22 - 4 - 15]);
        block.push(0x30);
        block.extend(b"bc\n");
        block
    }

    #[test]
    fn stored_texts_are_read() {
        assert_eq!(text(80, 0, TEXT.as_bytes(), 0).as_deref(), Ok(TEXT));
        assert_eq!(text(80, LZ4, &lz4(), TEXT.len()).as_deref(), Ok(TEXT));
        assert_eq!(text(80, LZ4, &lz4(), TEXT.len() + 1), Err(CUresult::INVALID_IMAGE));
        assert_eq!(text(80, ZSTANDARD, ZSTD, TEXT.len()).as_deref(), Ok(TEXT));
        let frame = compress_to_vec(TEXT.as_bytes(), CompressionLevel::Fastest);
        assert_eq!(text(80, ZSTANDARD, &frame, TEXT.len()).as_deref(), Ok(TEXT));
        assert_eq!(text(80, ZSTANDARD, &frame, TEXT.len() + 1), Err(CUresult::INVALID_IMAGE));
        assert_eq!(text(80, ZSTANDARD, &frame[..frame.len() - 4], TEXT.len()), Err(CUresult::INVALID_IMAGE));
        assert_eq!(text(80, ZSTANDARD, &lz4(), TEXT.len()), Err(CUresult::INVALID_IMAGE));
    }

    #[test]
    fn the_latest_text_is_chosen_that_runs() {
        let [old, own, specific, family, next] =
            ["75", "90", "90a", "80f", "100"].map(|target| format!(".version 8.0\n.target sm_{target}\n"));
        let parts: Vec<Part> = [(75, &old), (90, &own), (90, &specific), (80, &family), (100, &next)]
            .map(|(architecture, text)| (PTX, architecture, 0, text.as_bytes(), 0))
            .to_vec();
        assert_eq!(text_for("h100", &parts).as_deref(), Ok(specific.as_str()));
        assert_eq!(text_for("h100", &parts[..2]).as_deref(), Ok(own.as_str()));
        assert_eq!(text_for("a100", &parts).as_deref(), Ok(family.as_str()));
        assert_eq!(text_for("a100", &parts[..3]).as_deref(), Ok(old.as_str()));
    }

    #[test]
    fn refusals_say_what_a_container_holds() {
        let image = container(&[(MACHINE_CODE, 80, 0, b"\x7fELF", 0), (PTX, 90, 0, TEXT.as_bytes(), 0)]);
        let failure = text_in(image.as_ptr() as u64, &Description::default()).unwrap_err();
        assert_eq!(failure.code, CUresult::NO_BINARY_FOR_GPU);
        let message = failure.report.unwrap().message;
        assert!(message.contains("PTX for compute_90 and machine code for sm_80"), "{message}");
        assert!(message.contains("-gencode arch=compute_80,code=compute_80"), "{message}");
    }
}
