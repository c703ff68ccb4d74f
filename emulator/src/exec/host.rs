//! Calls of host functions: `vprintf`, `__assertfail`, `malloc` and `free`.

use super::interpret::Machine;
use super::lanes::lanes_of;
use super::memory::{Checked, Fault};
use crate::isa::{Builtin, Space};
use crate::report::Fault as Kind;

pub(super) fn call(m: &mut Machine, mask: u32, builtin: Builtin) -> Checked<()> {
    match builtin {
        Builtin::Printf { d, format, arguments } => {
            let (formats, lists) = (*m.file.get64(format), *m.file.get64(arguments));
            let mut results = [0; 32];
            for lane in lanes_of(mask) {
                let text = print(m, lane, formats[lane], lists[lane])?;
                print!("{text}");
                results[lane] = text.len() as u32;
            }
            m.file.set(mask, d, results);
            Ok(())
        }
        Builtin::AssertFail { message, file, line, function } => {
            let lane = mask.trailing_zeros() as usize;
            let line = m.file.get(line)[lane];
            let [message, file, function] = [message, file, function].map(|reg| m.file.get64(reg)[lane]);
            let (message, file) = (string(m, lane, message)?, string(m, lane, file)?);
            let function = string(m, lane, function)?;
            Err(Fault::new(Some(lane), format!("assertion `{message}` failed in {function}, {file}:{line}"))
                .of(Kind::Assert))
        }
        Builtin::Malloc { d, bytes } => {
            let sizes = *m.file.get64(bytes);
            let mut addresses = [0; 32];
            for lane in lanes_of(mask) {
                let heap = m.grid.heap.ok_or_else(|| Fault::new(Some(lane), "malloc without a heap"))?;
                addresses[lane] = heap.allocate(sizes[lane]).unwrap_or(0);
                fill(m, lane, addresses[lane], sizes[lane])?;
            }
            m.file.set64(mask, d, addresses);
            Ok(())
        }
        Builtin::Free { pointer } => {
            let addresses = *m.file.get64(pointer);
            for lane in lanes_of(mask).filter(|lane| addresses[*lane] != 0) {
                let address = addresses[lane];
                let Some(bytes) = m.grid.heap.and_then(|heap| heap.free(address)) else {
                    let message = format!("free of {address:#x}, which malloc did not give or which was freed already");
                    return Err(Fault::new(Some(lane), message).of(Kind::IllegalAddress));
                };
                fill(m, lane, address, bytes)?;
            }
            Ok(())
        }
    }
}

/// Makes memory of the heap look unwritten.
fn fill(m: &mut Machine, lane: usize, address: u64, bytes: u64) -> Checked<()> {
    if address == 0 || bytes == 0 {
        return Ok(());
    }
    let mut pointers = [address; 32];
    m.view.resolve(Space::Global, &mut pointers, 1 << lane, 1)?;
    // SAFETY: the heap gave `bytes` at `address`, and it lies in one allocation, which was just found.
    unsafe { std::ptr::write_bytes(pointers[lane] as *mut u8, 0xff, bytes as usize) };
    Ok(())
}

/// Reads `bytes` (at most 8) at a generic address of one lane.
fn read(m: &mut Machine, lane: usize, address: u64, bytes: u64) -> Checked<u64> {
    let mut pointers = [address; 32];
    m.view.resolve(Space::Generic, &mut pointers, 1 << lane, bytes)?;
    let mut value = [0; 8];
    // SAFETY: the access was just checked.
    unsafe {
        let source = pointers[lane] as *const u8;
        std::ptr::copy_nonoverlapping(source, value.as_mut_ptr(), bytes as usize);
    }
    Ok(u64::from_le_bytes(value))
}

/// The zero-terminated string at a generic address.
fn string(m: &mut Machine, lane: usize, mut address: u64) -> Checked<String> {
    let mut bytes = Vec::new();
    loop {
        match read(m, lane, address, 1)? as u8 {
            0 => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            byte => bytes.push(byte),
        }
        address += 1;
    }
}

/// Formats as C's `printf` does; arguments lie packed with their natural alignment.
fn print(m: &mut Machine, lane: usize, format: u64, mut list: u64) -> Checked<String> {
    let format = string(m, lane, format)?;
    let mut text = String::new();
    let mut rest = format.as_str();
    while let Some(percent) = rest.find('%') {
        text.push_str(&rest[..percent]);
        let directive = &rest[percent..];
        let end = directive[1..].find(|c: char| c.is_ascii_alphabetic() && !"hlLqjzt".contains(c) || c == '%');
        let Some(end) = end.map(|end| end + 2) else {
            text.push_str(directive);
            return Ok(text);
        };
        let (directive, after) = directive.split_at(end);
        rest = after;
        if directive == "%%" {
            text.push('%');
            continue;
        }
        let conversion = directive.as_bytes()[end - 1];
        let wide = directive.contains("ll") || directive.contains('l') || matches!(conversion, b's' | b'p');
        let bytes = if wide || matches!(conversion, b'f' | b'F' | b'e' | b'E' | b'g' | b'G') { 8 } else { 4 };
        list = list.next_multiple_of(bytes);
        let argument = read(m, lane, list, bytes)?;
        list += bytes;
        if conversion == b's' {
            let argument = string(m, lane, argument)?;
            text.push_str(&pad(&argument, directive));
        } else {
            text.push_str(&pad(&number(argument, directive, conversion, wide), directive));
        }
    }
    text.push_str(rest);
    Ok(text)
}

/// The digits of a directive: width and precision.
fn width_and_precision(directive: &str) -> (usize, Option<usize>) {
    let body = directive.trim_start_matches(['%', '-', '+', ' ', '#', '0']);
    let body = body.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (width, precision) = body.split_once('.').map_or((body, None), |(w, p)| (w, Some(p)));
    (width.parse().unwrap_or(0), precision.map(|p| p.parse().unwrap_or(0)))
}

fn number(argument: u64, directive: &str, conversion: u8, wide: bool) -> String {
    let (_, precision) = width_and_precision(directive);
    let signed = if wide { argument as i64 } else { i64::from(argument as i32) };
    let x = f64::from_bits(argument);
    match conversion {
        b'd' | b'i' => signed.to_string(),
        b'u' => argument.to_string(),
        b'x' => format!("{argument:x}"),
        b'X' => format!("{argument:X}"),
        b'o' => format!("{argument:o}"),
        b'p' => format!("{argument:#x}"),
        b'c' => char::from(argument as u8).to_string(),
        b'e' | b'E' => exponential(x, precision.unwrap_or(6)),
        b'g' | b'G' => general(x, precision.unwrap_or(6).max(1)),
        _ => format!("{x:.*}", precision.unwrap_or(6)),
    }
}

/// `%e`: at least two digits of exponent, with its sign.
fn exponential(x: f64, precision: usize) -> String {
    let text = format!("{x:.precision$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%g`: the shorter of `%e` and `%f` without trailing zeros.
fn general(x: f64, precision: usize) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let scientific = exponential(x, precision - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i64 = exponent.parse().unwrap_or(0);
    if power < -4 || power >= precision as i64 {
        format!("{}e{exponent}", trim(mantissa))
    } else {
        trim(&format!("{x:.*}", (precision as i64 - 1 - power).max(0) as usize))
    }
}

fn pad(text: &str, directive: &str) -> String {
    let (width, _) = width_and_precision(directive);
    if directive.starts_with("%-") {
        format!("{text:<width$}")
    } else if directive.starts_with("%0") && width > text.len() {
        let (sign, digits) = if let Some(digits) = text.strip_prefix('-') { ("-", digits) } else { ("", text) };
        format!("{sign}{digits:0>0$}", width - sign.len())
    } else {
        format!("{text:>width$}")
    }
}
