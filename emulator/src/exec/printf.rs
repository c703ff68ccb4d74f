//! `printf` of device code.
//!
//! Conversions are done by the host's C library, as the driver does them. What a launch prints waits in a buffer of the
//! size `CU_LIMIT_PRINTF_FIFO_SIZE` and is written when the launch ends; a full buffer loses what is oldest (CUDA C++
//! programming guide, "formatted output").

use std::collections::VecDeque;
use std::ffi::{CString, c_char, c_int};
use std::sync::{Mutex, PoisonError};

use super::host::{read, string};
use super::interpret::Machine;
use super::memory::Checked;

/// What the threads of one launch printed.
#[derive(Debug)]
pub(super) struct Output {
    /// Bytes of the buffer.
    room: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that each call takes in the buffer, and its text.
    calls: VecDeque<(usize, Vec<u8>)>,
    used: usize,
    lost: usize,
}

impl Output {
    pub(super) fn new(room: usize) -> Self {
        Output { room, state: Mutex::default() }
    }

    /// Adds a call whose format and arguments take `bytes` of the buffer.
    fn add(&self, bytes: usize, text: Vec<u8>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.used += bytes;
        state.calls.push_back((bytes, text));
        while state.used > self.room
            && let Some((oldest, _)) = state.calls.pop_front()
        {
            state.used -= oldest;
            state.lost += 1;
        }
    }

    /// Writes everything to the standard output of the C library, which keeps the order with what a C program prints.
    pub(super) fn flush(&self) {
        let state = std::mem::take(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner));
        if state.lost > 0 {
            eprintln!(
                "printf: the oldest {} lines of a launch did not fit its buffer of {} bytes \
                 (CU_LIMIT_PRINTF_FIFO_SIZE)",
                state.lost, self.room
            );
        }
        if state.calls.is_empty() {
            return;
        }
        unsafe extern "C" {
            static stdout: *mut libc::FILE;
        }
        // SAFETY: the stream is the C library's own and open from the start of the process; each text is as long as said.
        unsafe {
            for (_, text) in &state.calls {
                libc::fwrite(text.as_ptr().cast(), 1, text.len(), stdout);
            }
            libc::fflush(stdout);
        }
    }
}

/// Prints for one lane; arguments lie packed with their natural alignment. The number of arguments, as CUDA's `printf`
/// returns it, or -1 where there is no format.
pub(super) fn print(m: &mut Machine, lane: usize, format: u64, list: u64) -> Checked<i32> {
    if format == 0 {
        return Ok(-1);
    }
    let format = string(m, lane, format)?;
    let mut arguments = Arguments { m, lane, next: list, count: 0 };
    let mut text = Vec::new();
    let mut rest = &format[..];
    while let Some(percent) = rest.iter().position(|&byte| byte == b'%') {
        text.extend(&rest[..percent]);
        let (directive, after) = rest[percent..].split_at(directive_length(&rest[percent..]));
        text.extend(arguments.convert(directive)?);
        rest = after;
    }
    text.extend(rest);
    let Arguments { m, next, count, .. } = arguments;
    let pointer_bytes = size_of::<u64>();
    m.grid.output.add(pointer_bytes + (next - list) as usize, text);
    Ok(count)
}

/// Bytes of the directive that `text` starts with: through its conversion, or all where it has none.
fn directive_length(text: &[u8]) -> usize {
    let end = text[1..].iter().position(|byte| !b"-+ #0123456789.*hlLqjzt".contains(byte));
    end.map_or(text.len(), |end| end + 2)
}

/// The arguments of a call that are yet to be used.
struct Arguments<'a, 'm> {
    m: &'a mut Machine<'m>,
    lane: usize,
    next: u64,
    count: i32,
}

impl Arguments<'_, '_> {
    fn take(&mut self, bytes: u64) -> Checked<u64> {
        self.next = self.next.next_multiple_of(bytes);
        let argument = read(self.m, self.lane, self.next, bytes)?;
        self.next += bytes;
        self.count += 1;
        Ok(argument)
    }

    /// The text of a directive; what is none stands for itself.
    fn convert(&mut self, directive: &[u8]) -> Checked<Vec<u8>> {
        let (conversion, modifiers) = match directive.split_last() {
            Some((b'%', [_, ..])) => return Ok(b"%".to_vec()),
            Some((conversion, modifiers)) if b"diouxXcpsfFeEgGaA".contains(conversion) => (*conversion, modifiers),
            _ => return Ok(directive.to_vec()),
        };
        let mut layout = String::new();
        for &byte in modifiers {
            match byte {
                b'*' => layout += &(self.take(4)? as i32).to_string(),
                b'h' | b'l' | b'L' | b'q' | b'j' | b'z' | b't' => {}
                other => layout.push(char::from(other)),
            }
        }
        let is_wide = modifiers.iter().any(|byte| b"lLqjzt".contains(byte));
        let halves = modifiers.iter().filter(|&&byte| byte == b'h').count();
        let letter = char::from(conversion);
        Ok(match conversion {
            b's' => {
                let address = self.take(8)?;
                let text = if address == 0 { b"(null)".to_vec() } else { string(self.m, self.lane, address)? };
                formatted(&format!("{layout}s"), Value::Text(CString::new(text).unwrap_or_default()))
            }
            b'p' => formatted(&format!("{layout}p"), Value::Long(self.take(8)?)),
            b'c' => formatted(&format!("{layout}c"), Value::Int(self.take(4)? as c_int)),
            b'f' | b'F' | b'e' | b'E' | b'g' | b'G' | b'a' | b'A' => {
                formatted(&format!("{layout}{letter}"), Value::Double(f64::from_bits(self.take(8)?)))
            }
            _ if is_wide => formatted(&format!("{layout}ll{letter}"), Value::Long(self.take(8)?)),
            _ => formatted(&format!("{layout}{}{letter}", "h".repeat(halves)), Value::Int(self.take(4)? as c_int)),
        })
    }
}

/// An argument as C passes it.
enum Value {
    Int(c_int),
    Long(u64),
    Double(f64),
    Text(CString),
}

/// What the C library makes of one directive, whose length modifiers agree with `value`.
fn formatted(directive: &str, value: Value) -> Vec<u8> {
    let Ok(format) = CString::new(directive) else { return Vec::new() };
    let write = |text: &mut [u8]| {
        let (start, room, format): (*mut c_char, _, _) = (text.as_mut_ptr().cast(), text.len(), format.as_ptr());
        // SAFETY: the buffer is as long as said, and the directive takes one argument of the type that is given.
        let length = unsafe {
            match &value {
                Value::Int(value) => libc::snprintf(start, room, format, *value),
                Value::Long(value) => libc::snprintf(start, room, format, *value),
                Value::Double(value) => libc::snprintf(start, room, format, *value),
                Value::Text(value) => libc::snprintf(start, room, format, value.as_ptr()),
            }
        };
        usize::try_from(length).unwrap_or(0)
    };
    let length = write(&mut []);
    // With room for the zero that ends it.
    let mut text = vec![0; length + 1];
    write(&mut text);
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_end_with_their_conversion() {
        assert_eq!(directive_length(b"%d, %d"), 2);
        assert_eq!(directive_length(b"%-*.3llx!"), 8);
        assert_eq!(directive_length(b"%%"), 2);
        assert_eq!(directive_length(b"%5"), 2);
    }

    #[test]
    fn conversions_are_those_of_c() {
        assert_eq!(formatted("%+05d", Value::Int(42)), b"+0042");
        assert_eq!(formatted("%hhu", Value::Int(-1)), b"255");
        assert_eq!(formatted("%#llx", Value::Long(255)), b"0xff");
        assert_eq!(formatted("%.3E", Value::Double(1234.5)), b"1.234E+03");
        assert_eq!(formatted("%a", Value::Double(0.5)), b"0x1p-1");
        assert_eq!(formatted("%-6.2s|", Value::Text(c"abc".to_owned())), b"ab    |");
    }

    #[test]
    fn a_full_buffer_loses_what_is_oldest() {
        let output = Output::new(32);
        (0..5).for_each(|call| output.add(12, vec![call]));
        let state = output.state.lock().unwrap();
        assert_eq!((state.used, state.lost), (24, 3));
        assert_eq!(state.calls, [(12, vec![3]), (12, vec![4])]);
    }
}
