//! JSON text, built by hand: the crate has no serialiser to pull in.

use std::fmt::{Display, Write};

/// An object under construction.
pub struct Object(String);

impl Object {
    pub fn new() -> Object {
        Object("{".into())
    }

    /// Adds a member whose value is JSON already.
    pub fn member(mut self, name: &str, value: impl Display) -> Object {
        let comma = if self.0.len() > 1 { "," } else { "" };
        write!(self.0, "{comma}{}:{value}", quoted(name)).expect("a string grows");
        self
    }

    pub fn text(self, name: &str, value: &str) -> Object {
        self.member(name, quoted(value))
    }

    /// A number; JSON has none that is infinite or not a number.
    pub fn number(self, name: &str, value: f64) -> Object {
        if value.is_finite() { self.member(name, value) } else { self.member(name, "null") }
    }

    pub fn numbers(self, name: &str, values: &[u32]) -> Object {
        self.member(name, array(values.iter()))
    }

    pub fn end(self) -> String {
        self.0 + "}"
    }
}

/// An array of values that are JSON already.
pub fn array(values: impl Iterator<Item = impl Display>) -> String {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    format!("[{}]", values.join(","))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => write!(out, "\\u{:04x}", c as u32).expect("a string grows"),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_nan_is_null() {
        let object = Object::new().text("a\"b", "c\\d\n").number("x", f64::NAN).numbers("n", &[1, 2]).end();
        assert_eq!(object, "{\"a\\\"b\":\"c\\\\d\\u000a\",\"x\":null,\"n\":[1,2]}");
    }
}
