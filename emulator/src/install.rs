//! Makes this process's later `dlopen("libcuda.so")`, or of `libcuda.so.1`, resolve to the functions of this crate, with
//! no file on disk.
//!
//! A library loader looks for an already loaded object of the asked name before it looks at any path. So a shared
//! object whose SONAME is that name is built in memory and loaded: it holds no code, only a table of dynamic
//! symbols with the absolute addresses (`SHN_ABS`, which the loader of glibc 2.28 and later leaves unrelocated) of the
//! `cu*` functions linked into this executable.

use std::ffi::{CStr, CString, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Mutex;

use crate::api;

/// The names under which programs load the driver; the first is that of the emulator's own library, too.
const SONAMES: [&CStr; 2] = [c"libcuda.so", c"libcuda.so.1"];

/// Loads the table, so that whatever opens `libcuda.so` from now on in this process gets the emulator. A second call
/// changes nothing.
///
/// # Errors
/// When the C library cannot load the table, or `libcuda.so` was opened earlier and is something else.
pub fn install() -> io::Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if !*installed {
        let symbols: Vec<Symbol> = api::symbols().copied().collect();
        for name in SONAMES {
            load(name, &shared_object(name, &symbols))?;
            check(name)?;
        }
        *installed = true;
    }
    Ok(())
}

/// Writes `image` to an anonymous file and opens it as a library, for the life of the process.
fn load(name: &CStr, image: &[u8]) -> io::Result<()> {
    // SAFETY: the name is a terminated string; the flags ask for nothing but closing on exec.
    let descriptor = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just created and belongs to nobody else.
    let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    io::Write::write_all(&mut &file, image)?;
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(io::Error::other)?;
    // SAFETY: the object has no initialisers and no relocations; loading it runs no code.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if handle.is_null() {
        return Err(loader_error());
    }
    // The loader remembers the path: the descriptor stays open so that no other file can come by the same one.
    let _ = file.into_raw_fd();
    Ok(())
}

/// Opens the library `soname` as a stranger would and compares what it finds with this crate's functions.
fn check(soname: &CStr) -> io::Result<()> {
    // SAFETY: a terminated name; the object is loaded already, so that no initialiser runs.
    let handle = unsafe { libc::dlopen(soname.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        return Err(loader_error());
    }
    for symbol in api::symbols() {
        // SAFETY: an open handle and a terminated name.
        let found = unsafe { libc::dlsym(handle, symbol.name.as_ptr()) };
        if found.cast_const() != symbol.address {
            let name = symbol.name.to_string_lossy();
            let library = soname.to_string_lossy();
            return Err(io::Error::other(format!("{name} of {library} is not the emulator's: found {found:p}")));
        }
    }
    // SAFETY: closes the handle that was opened above; `load` holds another.
    unsafe { libc::dlclose(handle) };
    Ok(())
}

fn loader_error() -> io::Error {
    // SAFETY: dlerror gives null or a terminated string that lives until the next call of this thread.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return io::Error::other("the C library cannot load the emulator's symbol table");
    }
    // SAFETY: not null, see above.
    io::Error::other(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// A function under the name that the CUDA driver gives it.
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    pub name: &'static CStr,
    pub address: *const c_void,
}

// SAFETY: the address is of a function, which is immutable and lives as long as the process.
unsafe impl Sync for Symbol {}
// SAFETY: see above.
unsafe impl Send for Symbol {}

// Names and values of the ELF-64 format (System V ABI, chapters 4 and 5).
const EHDR_BYTES: usize = 64;
const PHDR_BYTES: usize = 56;
const SYM_BYTES: usize = 24;
const ET_DYN: u16 = 3;
#[cfg(target_arch = "x86_64")]
const E_MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const E_MACHINE: u16 = 183;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PF_READ_WRITE: u32 = 4 | 2;
const DT_NULL: u64 = 0;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_STRSZ: u64 = 10;
const DT_SYMENT: u64 = 11;
const DT_SONAME: u64 = 14;
const SHN_ABS: u16 = 0xfff1;
/// Binding `STB_GLOBAL`, type `STT_FUNC`.
const GLOBAL_FUNCTION: u8 = (1 << 4) | 2;
const PAGE_BYTES: u64 = 4096;

/// The bytes of a shared object that is called `soname` and defines `symbols` at their absolute addresses.
fn shared_object(soname: &CStr, symbols: &[Symbol]) -> Vec<u8> {
    const HEADERS: usize = 3;
    let strings = StringTable::new(soname, symbols);
    let dynsym = dynamic_symbols(symbols, &strings);
    let hash = hash_table(symbols);
    let dynsym_at = EHDR_BYTES + HEADERS * PHDR_BYTES;
    let hash_at = dynsym_at + dynsym.len();
    let dynamic_at = (hash_at + hash.len()).next_multiple_of(16);
    let dynamic: Vec<u8> = [
        (DT_SONAME, u64::from(strings.soname)),
        (DT_HASH, hash_at as u64),
        (DT_SYMTAB, dynsym_at as u64),
        (DT_SYMENT, SYM_BYTES as u64),
        (DT_STRTAB, (dynamic_at + 7 * 16) as u64),
        (DT_STRSZ, strings.bytes.len() as u64),
        (DT_NULL, 0),
    ]
    .iter()
    .flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat())
    .collect();
    let total = dynamic_at + dynamic.len() + strings.bytes.len();

    let mut image = elf_header(HEADERS as u16);
    // One writable segment for all: the loader writes relocated addresses into the dynamic section.
    image.extend(program_header(PT_LOAD, 0, total as u64, PAGE_BYTES));
    image.extend(program_header(PT_DYNAMIC, dynamic_at as u64, dynamic.len() as u64, 8));
    // Without it the loader takes the object for one that needs an executable stack.
    image.extend(program_header(PT_GNU_STACK, 0, 0, 16));
    image.extend(dynsym);
    image.extend(hash);
    image.resize(dynamic_at, 0);
    image.extend(dynamic);
    image.extend(strings.bytes);
    image
}

/// Terminated strings one after another, and where each starts.
struct StringTable {
    bytes: Vec<u8>,
    soname: u32,
    names: Vec<u32>,
}

impl StringTable {
    fn new(soname: &CStr, symbols: &[Symbol]) -> Self {
        // Offset 0 is the empty string by definition.
        let mut bytes = vec![0];
        let mut push = |text: &CStr| {
            let offset = bytes.len() as u32;
            bytes.extend_from_slice(text.to_bytes_with_nul());
            offset
        };
        let soname = push(soname);
        let names = symbols.iter().map(|symbol| push(symbol.name)).collect();
        StringTable { bytes, soname, names }
    }
}

fn elf_header(program_headers: u16) -> Vec<u8> {
    let mut header = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header.extend(ET_DYN.to_le_bytes());
    header.extend(E_MACHINE.to_le_bytes());
    header.extend(1u32.to_le_bytes()); // e_version
    header.extend(0u64.to_le_bytes()); // e_entry
    header.extend((EHDR_BYTES as u64).to_le_bytes()); // e_phoff
    header.extend(0u64.to_le_bytes()); // e_shoff: the loader needs no sections
    header.extend(0u32.to_le_bytes()); // e_flags
    header.extend((EHDR_BYTES as u16).to_le_bytes());
    header.extend((PHDR_BYTES as u16).to_le_bytes());
    header.extend(program_headers.to_le_bytes());
    header.resize(EHDR_BYTES, 0);
    header
}

fn program_header(kind: u32, offset: u64, bytes: u64, align: u64) -> Vec<u8> {
    let mut header = [kind.to_le_bytes(), PF_READ_WRITE.to_le_bytes()].concat();
    for value in [offset, offset, offset, bytes, bytes, align] {
        header.extend(value.to_le_bytes());
    }
    header
}

/// `.dynsym`: the null symbol, then one entry a function.
fn dynamic_symbols(symbols: &[Symbol], strings: &StringTable) -> Vec<u8> {
    let mut table = vec![0; SYM_BYTES];
    for (symbol, name) in symbols.iter().zip(&strings.names) {
        table.extend(name.to_le_bytes());
        table.extend([GLOBAL_FUNCTION, 0]);
        table.extend(SHN_ABS.to_le_bytes());
        table.extend((symbol.address as u64).to_le_bytes());
        table.extend(0u64.to_le_bytes()); // st_size
    }
    table
}

/// `.hash`: bucket heads, then for each symbol the next one of its bucket.
fn hash_table(symbols: &[Symbol]) -> Vec<u8> {
    let buckets = (symbols.len() / 2).max(1);
    let mut heads = vec![0u32; buckets];
    let mut chain = vec![0u32; symbols.len() + 1];
    for (symbol, index) in symbols.iter().zip(1u32..) {
        let head = &mut heads[elf_hash(symbol.name) as usize % buckets];
        chain[index as usize] = std::mem::replace(head, index);
    }
    let counts = [buckets as u32, chain.len() as u32];
    let mut table: Vec<u8> = counts.iter().chain(&heads).chain(&chain).flat_map(|word| word.to_le_bytes()).collect();
    table.resize(table.len().next_multiple_of(8), 0);
    table
}

/// The hash function of the System V ABI.
fn elf_hash(name: &CStr) -> u32 {
    name.to_bytes().iter().fold(0u32, |hash, &byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}
