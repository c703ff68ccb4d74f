//! Images of modules: PTX text, and the containers in which nvcc wraps it ("fat binaries").
//!
//! The containers' layout is not published; it is as described by the tools that take them apart (the decompressor of
//! the Cricket project): a wrapper that points to a header, behind which entries follow, each with code for one
//! architecture. PTX in them is plain, or compressed as a block of LZ4.

use super::error::{CUresult, Result, refused};
use super::types::In;
use crate::device::Description;

const ELF: u32 = u32::from_le_bytes(*b"\x7fELF");
const WRAPPER: u32 = 0x4662_43b1;
const CONTAINER: u32 = 0xba55_ed50;

/// Entries of a container that hold PTX.
const PTX_ENTRY: u16 = 1;
const COMPRESSED: u64 = 0x2000;
/// The flags of ways to compress that came later.
const COMPRESSED_OTHERWISE: u64 = 0x8000;

/// The PTX text that `image` points to; of a container, that for the newest architecture that `device` runs.
pub fn text_of(image: In<u8>, device: &Description) -> Result<String> {
    // A text of fewer than four characters ends the reading before the number is whole.
    let start: Vec<u8> = (0..4).map_while(|index| image.element(index).ok().filter(|&byte| byte != 0)).collect();
    let magic = start.try_into().map_or(0, u32::from_le_bytes);
    match magic {
        ELF => refused(CUresult::NO_BINARY_FOR_GPU, "the image holds machine code; the emulator executes PTX"),
        WRAPPER => container(In::at(In::<u64>::at(image.address() + 8).get()?), device),
        CONTAINER => container(image, device),
        _ if !image.is_null() && image.get()? == 0 => refused(CUresult::INVALID_IMAGE, "the image is empty"),
        _ => image.cast().text(),
    }
}

/// What the emulator reads of an entry's header.
struct Entry {
    kind: u16,
    header_bytes: u64,
    bytes: u64,
    compressed_bytes: u64,
    architecture: u32,
    flags: u64,
    text_bytes: u64,
}

impl Entry {
    fn at(address: u64) -> Result<Entry> {
        Ok(Entry {
            kind: In::at(address).get()?,
            header_bytes: In::<u32>::at(address + 4).get()?.into(),
            bytes: In::at(address + 8).get()?,
            compressed_bytes: In::<u32>::at(address + 16).get()?.into(),
            architecture: In::at(address + 28).get()?,
            flags: In::at(address + 40).get()?,
            text_bytes: In::at(address + 56).get()?,
        })
    }
}

fn container(image: In<u8>, device: &Description) -> Result<String> {
    let start = image.address();
    let header_bytes = In::<u16>::at(start + 6).get()?;
    let end = start + u64::from(header_bytes) + In::<u64>::at(start + 8).get()?;
    let mut address = start + u64::from(header_bytes);
    let mut best: Option<(u64, Entry)> = None;
    while address < end {
        let entry = Entry::at(address)?;
        let next = address + entry.header_bytes + entry.bytes;
        if entry.header_bytes + entry.bytes == 0 {
            return refused(CUresult::INVALID_IMAGE, "an entry of the fat binary has no size");
        }
        let runs = entry.kind == PTX_ENTRY && entry.architecture <= device.architecture();
        if runs && best.as_ref().is_none_or(|(_, best)| best.architecture < entry.architecture) {
            best = Some((address + entry.header_bytes, entry));
        }
        address = next;
    }
    match best {
        Some((address, entry)) => entry_text(address, &entry),
        None => refused(CUresult::NO_BINARY_FOR_GPU, "the fat binary holds no PTX that the device runs"),
    }
}

fn entry_text(address: u64, entry: &Entry) -> Result<String> {
    let bytes = if entry.flags & COMPRESSED_OTHERWISE != 0 {
        let message = "the PTX in the fat binary is not compressed by LZ4; compile with --no-compress";
        return refused(CUresult::NOT_SUPPORTED, message);
    } else if entry.flags & COMPRESSED != 0 {
        let block = In::<u8>::at(address).to_vec(entry.compressed_bytes as usize)?;
        match decompress(&block, entry.text_bytes as usize) {
            Some(text) => text,
            None => return refused(CUresult::INVALID_IMAGE, "the compressed PTX in the fat binary is damaged"),
        }
    } else {
        In::<u8>::at(address).to_vec(entry.bytes as usize)?
    };
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// A block of LZ4 ("LZ4 Block Format Description"): literals, then a copy of what came before, again and again.
fn decompress(block: &[u8], bytes: usize) -> Option<Vec<u8>> {
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
mod tests {
    use super::*;

    const TEXT: &str = "// abcabcabcabcabcabcabcabcabc\n";

    /// A container with machine code for 8.0 and `text` for `architecture`, stored as `stored`.
    fn image(architecture: u32, flags: u64, stored: &[u8], text_bytes: usize) -> Vec<u8> {
        let mut entries = Vec::new();
        for (kind, architecture, flags, payload) in
            [(2u16, 80u32, 0, b"\x7fELF".as_slice()), (1, architecture, flags, stored)]
        {
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

    fn text(image: &[u8]) -> std::result::Result<String, CUresult> {
        text_of(In::at(image.as_ptr() as u64), &Description::default()).map_err(|failure| failure.code)
    }

    /// Three literal characters and "abc", a copy of 22 characters from three before, and the end as literals.
    fn compressed() -> Vec<u8> {
        let mut block = vec![0x6f];
        block.extend(b"// abc");
        block.extend([3, 0, 22 - 4 - 15]);
        block.push(0x30);
        block.extend(b"bc\n");
        block
    }

    #[test]
    fn containers_give_the_text_that_the_device_runs() {
        assert_eq!(text(&image(80, 0, TEXT.as_bytes(), 0)).as_deref(), Ok(TEXT));
        assert_eq!(text(&image(90, 0, TEXT.as_bytes(), 0)), Err(CUresult::NO_BINARY_FOR_GPU));
        assert_eq!(text(&image(80, COMPRESSED, &compressed(), TEXT.len())).as_deref(), Ok(TEXT));
        assert_eq!(text(&image(80, COMPRESSED, &compressed(), TEXT.len() + 1)), Err(CUresult::INVALID_IMAGE));
        assert_eq!(text(&image(80, COMPRESSED_OTHERWISE, &compressed(), 9)), Err(CUresult::NOT_SUPPORTED));
        let inner = image(75, 0, TEXT.as_bytes(), 0);
        let mut wrapper = [WRAPPER.to_le_bytes(), 1u32.to_le_bytes()].concat();
        wrapper.extend((inner.as_ptr() as u64).to_le_bytes());
        assert_eq!(text(&wrapper).as_deref(), Ok(TEXT));
    }
}
