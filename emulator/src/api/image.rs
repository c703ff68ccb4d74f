//! Images of modules: PTX text, and nvcc's containers of it, bare or behind the wrapper that points to one.

use super::error::{CUresult, Result, refused};
use super::fat_binary::{self, CONTAINER, Held};
use super::join::join;
use super::missing::tell_once;
use super::types::In;
use crate::device::Description;

const ELF: u32 = u32::from_le_bytes(*b"\x7fELF");
/// The first bytes of the structure that nvcc's programs hand to the runtime library.
const WRAPPER: u32 = 0x4662_43b1;
/// The version of a wrapper of several containers.
const LINKED: u32 = 2;

/// The PTX text that `image` points to; of a container, that which fits `device` best.
pub fn text_of(image: In<u8>, device: &Description) -> Result<String> {
    // A text of fewer than four characters ends the reading before the number is whole.
    let start: Vec<u8> = (0..4).map_while(|index| image.element(index).ok().filter(|&byte| byte != 0)).collect();
    let magic = start.try_into().map_or(0, u32::from_le_bytes);
    match magic {
        ELF => refused_aloud("the image holds machine code; the emulator executes PTX".to_owned()),
        WRAPPER => wrapped(image, device),
        CONTAINER => fat_binary::text_in(image.address(), device),
        _ => {
            let text = image.cast().text()?;
            // The driver takes for PTX what begins with the version or a comment.
            let is_ptx = [".version", "//", "/*"].iter().any(|start| text.trim_start().starts_with(start));
            if is_ptx { Ok(text) } else { refused(CUresult::INVALID_IMAGE, "the image is no PTX") }
        }
    }
}

/// The PTX behind a wrapper: version, container and, in version 2, the containers of which that one is linked (NVIDIA's
/// header `fatbinary_section.h`). Where there is PTX among these, nvcc leaves the linking to the driver.
fn wrapped(wrapper: In<u8>, device: &Description) -> Result<String> {
    let [version, container, list] = [4, 8, 16].map(|offset| wrapper.address() + offset);
    if In::<u32>::at(version).get()? != LINKED {
        return fat_binary::text_in(In::<u64>::at(container).get()?, device);
    }
    let list = In::<u64>::at(In::<u64>::at(list).get()?);
    let mut texts = Vec::new();
    let mut held = Held::new();
    for index in 0.. {
        match list.element(index)? {
            0 => break,
            part => texts.extend(fat_binary::find_text(part, device, &mut held)?),
        }
    }
    // A part without PTX, as NVIDIA's library for kernels that launch kernels is, is missed only where it is used.
    if texts.is_empty() { fat_binary::no_text(&held, device) } else { join(&texts) }
}

/// Refuses code that hardware might run and the emulator cannot: aloud, since programs that come with code for every
/// GPU do not always look whether it was loaded.
pub fn refused_aloud<T>(message: String) -> Result<T> {
    tell_once(&message);
    refused(CUresult::NO_BINARY_FOR_GPU, message)
}

#[cfg(test)]
mod tests {
    use super::super::fat_binary::tests::container;
    use super::*;

    fn text(image: &[u8]) -> std::result::Result<String, CUresult> {
        text_of(In::at(image.as_ptr() as u64), &Description::default()).map_err(|failure| failure.code)
    }

    #[test]
    fn images_are_known_by_their_first_bytes() {
        let ptx = ".version 8.0\n";
        let inner = container(&[(1, 75, 0, ptx.as_bytes(), 0)]);
        let mut wrapper = [WRAPPER.to_le_bytes(), 1u32.to_le_bytes()].concat();
        wrapper.extend((inner.as_ptr() as u64).to_le_bytes());
        assert_eq!(text(&wrapper).as_deref(), Ok(ptx));
        assert_eq!(text(&inner).as_deref(), Ok(ptx));
        assert_eq!(text(b".version 8.0\n\0").as_deref(), Ok(ptx));
        assert_eq!(text(b"hello\0"), Err(CUresult::INVALID_IMAGE));
        assert_eq!(text(b"\x7fELF\x02\0"), Err(CUresult::NO_BINARY_FOR_GPU));
    }
}
