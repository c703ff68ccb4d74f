//! Argument types of the driver functions: pointers that may be null, and opaque handles.

use std::ffi::{CStr, c_char};

use super::error::{CUresult, Result, refused};

/// An address in device memory.
pub type CUdeviceptr = u64;

/// Where a function writes one of its results. Only a caller of the driver API makes one, and so vouches that it is
/// null or valid for a write.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// The place at `address`, which the caller of a driver function gave as a number.
    pub fn at(address: u64) -> Self {
        Out(address as *mut T)
    }

    /// Writes `value`; `INVALID_VALUE` for a null pointer.
    pub fn set(self, value: T) -> Result {
        if self.0.is_null() {
            return refused(CUresult::INVALID_VALUE, "a null pointer for a result");
        }
        // SAFETY: not null, and the caller of the driver function vouched for the rest.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    /// Writes `value` unless the caller does not want it.
    pub fn set_if_wanted(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not null, and the caller of the driver function vouched for the rest.
            unsafe { self.0.write_unaligned(value) };
        }
    }

    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    pub fn address(self) -> usize {
        self.0 as usize
    }

    /// The same place, for a value of another type.
    pub fn cast<U>(self) -> Out<U> {
        Out(self.0.cast())
    }

    /// Place number `index` of an array.
    pub fn element(self, index: usize) -> Out<T> {
        Out(self.0.wrapping_add(index))
    }

    /// What is there now; `INVALID_VALUE` for a null pointer.
    pub fn get(self) -> Result<T>
    where
        T: Copy,
    {
        In(self.0.cast_const()).get()
    }
}

/// Where a function reads one of its arguments, under the same promise as [`Out`].
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct In<T>(*const T);

impl<T: Copy> In<T> {
    /// Reads the value; `INVALID_VALUE` for a null pointer.
    pub fn get(self) -> Result<T> {
        if self.0.is_null() {
            return refused(CUresult::INVALID_VALUE, "a null pointer for an argument");
        }
        // SAFETY: not null, and the caller of the driver function vouched for the rest.
        Ok(unsafe { self.0.read_unaligned() })
    }

    /// Reads value number `index` of an array.
    pub fn element(self, index: usize) -> Result<T> {
        if self.0.is_null() { self.get() } else { In(self.0.wrapping_add(index)).get() }
    }

    /// Copies `count` values.
    pub fn to_vec(self, count: usize) -> Result<Vec<T>> {
        (0..count).map(|index| self.element(index)).collect()
    }
}

impl<T> In<T> {
    /// The place at `address`, which the caller of a driver function gave as a number.
    pub fn at(address: u64) -> Self {
        In(address as *const T)
    }

    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    pub fn address(self) -> u64 {
        self.0 as u64
    }

    pub fn cast<U>(self) -> In<U> {
        In(self.0.cast())
    }
}

impl In<c_char> {
    /// The string that the argument points to.
    pub fn text(self) -> Result<String> {
        if self.is_null() {
            return refused(CUresult::INVALID_VALUE, "a null pointer for a string");
        }
        // SAFETY: not null, and the caller vouched for a terminated string.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned())
    }
}

/// Writes `text` into a buffer of `bytes`, cut where it does not fit, always terminated.
pub fn write_text(out: Out<c_char>, bytes: usize, text: &str) -> Result {
    if bytes == 0 {
        return refused(CUresult::INVALID_VALUE, "a buffer of no bytes for a string");
    }
    let kept = text.len().min(bytes - 1);
    for (index, byte) in text.bytes().take(kept).chain([0]).enumerate() {
        out.element(index).set(byte as c_char)?;
    }
    Ok(())
}

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
            #[repr(transparent)]
            pub struct $name(pub usize);
        )*
    };
}

handles! {
    /// A context.
    CUcontext;
    /// A stream; 0 and 1 are the legacy default stream, 2 the default stream of the calling thread.
    CUstream;
    /// An event.
    CUevent;
    /// A loaded module.
    CUmodule;
    /// A kernel of a loaded module.
    CUfunction;
    /// Code that is loaded into whatever context its kernels are used in.
    CUlibrary;
    /// A kernel of a library.
    CUkernel;
    /// A graph.
    CUgraph;
    /// A node of a graph.
    CUgraphNode;
    /// A graph that is ready to launch.
    CUgraphExec;
    /// A link of PTX texts.
    CUlinkState;
    /// An object of the program that graphs keep alive.
    CUuserObject;
    /// A memory pool.
    CUmemoryPool;
}

/// The only device.
pub type CUdevice = i32;
