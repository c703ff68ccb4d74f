//! Linking of PTX texts into one.
//!
//! The driver's linker makes machine code of them; the emulator's makes one text, which the functions that load modules
//! take where they expect the image.

use std::ffi::c_char;

use super::driver::{Driver, call, failed_with};
use super::error::{CUresult, Result, refused};
use super::image::text_of;
use super::join::join;
use super::module::{LoadOptions, read_image};
use super::types::{CUlinkState, In, Out};
use crate::ptx;

/// A link that was begun: what was added, and the image once it is complete.
#[derive(Debug)]
pub struct Link {
    options: LoadOptions,
    texts: Vec<String>,
    image: Vec<u8>,
}

const INPUT_PTX: u32 = 1;
const INPUT_FATBINARY: u32 = 2;

impl Driver {
    fn link(&mut self, handle: CUlinkState) -> Result<&mut Link> {
        match self.links.get_mut(&handle) {
            Some(link) => Ok(link),
            None => refused(CUresult::INVALID_HANDLE, "no such link, or it was destroyed"),
        }
    }

    fn add_to_link(&mut self, handle: CUlinkState, kind: u32, image: In<u8>, bytes: usize) -> Result {
        let device = self.config()?.device;
        self.link(handle)?;
        let text = match kind {
            // The text may end with the size instead of a zero.
            INPUT_PTX => {
                let text = image.to_vec(bytes)?;
                let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
                String::from_utf8_lossy(text).into_owned()
            }
            INPUT_FATBINARY => text_of(image, &device)?,
            _ => return refused(CUresult::NOT_SUPPORTED, "linking of other than PTX; the emulator executes PTX"),
        };
        let added = self
            .check_header(&text)
            .and_then(|()| ptx::parse(&text).map(|_| ()).map_err(failed_with(CUresult::INVALID_PTX)));
        let link = self.link(handle)?;
        link.options.write(added.as_ref().err().and_then(|failure| failure.report.as_deref()))?;
        added?;
        link.texts.push(text);
        Ok(())
    }

    fn complete_link(&mut self, handle: CUlinkState) -> Result<(*const u8, usize)> {
        let link = self.link(handle)?;
        if link.texts.is_empty() {
            return refused(CUresult::INVALID_IMAGE, "nothing was added to the link");
        }
        let joined = join(&link.texts);
        let joined =
            joined.and_then(|text| ptx::parse(&text).map(|_| text).map_err(failed_with(CUresult::INVALID_PTX)));
        link.options.write(joined.as_ref().err().and_then(|failure| failure.report.as_deref()))?;
        link.image = joined?.into_bytes();
        link.image.push(0);
        Ok((link.image.as_ptr(), link.image.len()))
    }
}

/// Begins a link.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLinkCreate_v2(
    option_count: u32,
    options: In<u32>,
    values: Out<usize>,
    state: Out<CUlinkState>,
) -> CUresult {
    call("cuLinkCreate_v2", |driver| {
        driver.current()?;
        let options = LoadOptions::read(option_count, options, values)?;
        let handle = CUlinkState(driver.new_handle());
        driver.links.insert(handle, Link { options, texts: Vec::new(), image: Vec::new() });
        state.set(handle)
    })
}

/// Adds PTX in memory. The options, which tune the compiler, change nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLinkAddData_v2(
    state: CUlinkState,
    kind: u32,
    data: In<u8>,
    bytes: usize,
    _name: In<c_char>,
    _option_count: u32,
    _options: In<u32>,
    _values: Out<usize>,
) -> CUresult {
    call("cuLinkAddData_v2", |driver| driver.add_to_link(state, kind, data, bytes))
}

/// Adds PTX in a file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLinkAddFile_v2(
    state: CUlinkState,
    kind: u32,
    path: In<c_char>,
    _option_count: u32,
    _options: In<u32>,
    _values: Out<usize>,
) -> CUresult {
    call("cuLinkAddFile_v2", |driver| {
        let image = read_image(&path.text()?)?;
        driver.add_to_link(state, kind, In::at(image.as_ptr() as u64), image.len())
    })
}

/// Ends a link; the image is good until the link is destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLinkComplete(state: CUlinkState, image: Out<*const u8>, bytes: Out<usize>) -> CUresult {
    call("cuLinkComplete", |driver| {
        let (place, length) = driver.complete_link(state)?;
        bytes.set_if_wanted(length);
        image.set(place)
    })
}

/// Forgets a link and its image.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLinkDestroy(state: CUlinkState) -> CUresult {
    call("cuLinkDestroy", |driver| {
        driver.link(state)?;
        driver.links.remove(&state);
        Ok(())
    })
}

super::exports![cuLinkCreate_v2, cuLinkAddData_v2, cuLinkAddFile_v2, cuLinkComplete, cuLinkDestroy];
