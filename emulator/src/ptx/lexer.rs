//! PTX text to tokens, on demand: slices of the source, nothing copied.

use super::ast::Immediate;

/// What a token is; its text is a slice of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name with its sigil: `mov`, `%r1`, `$L__BB0_2`, `_`.
    Word,
    /// A dot and what belongs to it, `::` parts included; the text excludes the dot: `f32`, `L2::128B`, `2d`.
    Dotted,
    /// A literal without its sign.
    Number,
    /// A quoted string; the text excludes the quotes.
    Text,
    /// One character of punctuation.
    Punctuation(u8),
    /// A byte that PTX does not use, or an unterminated string or comment.
    Invalid,
    End,
}

#[derive(Clone, Copy, Debug)]
pub struct Token<'s> {
    pub kind: Kind,
    pub text: &'s str,
    /// Byte offsets in the source, delimiters included.
    pub start: usize,
    pub end: usize,
    /// Line, counted from 1.
    pub line: u32,
}

/// A position in the source.
#[derive(Debug)]
pub struct Lexer<'s> {
    source: &'s str,
    position: usize,
    line: u32,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'%')
}

impl<'s> Lexer<'s> {
    pub fn new(source: &'s str) -> Self {
        Lexer { source, position: 0, line: 1 }
    }

    pub fn source(&self) -> &'s str {
        self.source
    }

    /// The byte `ahead` of the position; 0 past the end.
    fn byte(&self, ahead: usize) -> u8 {
        self.source.as_bytes().get(self.position + ahead).copied().unwrap_or(0)
    }

    /// The next token; `End` for ever once the text is used up.
    pub fn token(&mut self) -> Token<'s> {
        if let Err(start) = self.skip_blanks() {
            self.position = self.source.len();
            return self.make(Kind::Invalid, start, start, self.position);
        }
        let start = self.position;
        if start >= self.source.len() {
            return self.make(Kind::End, start, start, start);
        }
        match self.byte(0) {
            b'0'..=b'9' => self.number(start),
            b'.' => self.dotted(start),
            b'"' => self.text(start),
            byte if is_word(byte) => {
                self.skip_while(is_word);
                self.make(Kind::Word, start, start, self.position)
            }
            byte if byte.is_ascii_punctuation() => {
                self.position += 1;
                self.make(Kind::Punctuation(byte), start, start, self.position)
            }
            _ => {
                let width = self.source[start..].chars().next().map_or(1, char::len_utf8);
                self.position += width;
                self.make(Kind::Invalid, start, start, self.position)
            }
        }
    }

    fn make(&self, kind: Kind, start: usize, text_start: usize, text_end: usize) -> Token<'s> {
        let text = &self.source[text_start..text_end];
        Token { kind, text, start, end: self.position, line: self.line }
    }

    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) {
        let rest = &self.source.as_bytes()[self.position..];
        self.position += rest.iter().position(|&byte| !accept(byte)).unwrap_or(rest.len());
    }

    /// Skips blanks and comments; the error is the start of a comment that never ends.
    fn skip_blanks(&mut self) -> Result<(), usize> {
        let bytes = self.source.as_bytes();
        loop {
            match self.byte(0) {
                b'\n' => {
                    self.line += 1;
                    self.position += 1;
                }
                b' ' | b'\t' | b'\r' => self.position += 1,
                b'/' if self.byte(1) == b'/' => self.skip_while(|byte| byte != b'\n'),
                b'/' if self.byte(1) == b'*' => {
                    let start = self.position;
                    let length = self.source[start + 2..].find("*/").ok_or(start)?;
                    self.position = start + length + 4;
                    self.line += bytes[start..self.position].iter().filter(|&&byte| byte == b'\n').count() as u32;
                }
                // NVRTC's text may come with the terminating zero of its C string.
                0 if self.position < bytes.len() => self.position += 1,
                _ => return Ok(()),
            }
        }
    }

    /// `.name`, `.L2::128B`; blanks after the dot are allowed.
    fn dotted(&mut self, start: usize) -> Token<'s> {
        self.position += 1;
        self.skip_while(|byte| byte == b' ' || byte == b'\t');
        let text_start = self.position;
        self.skip_while(is_word);
        while self.byte(0) == b':' && self.byte(1) == b':' && is_word(self.byte(2)) {
            self.position += 2;
            self.skip_while(is_word);
        }
        let kind = if self.position == text_start { Kind::Invalid } else { Kind::Dotted };
        self.make(kind, start, text_start, self.position)
    }

    fn text(&mut self, start: usize) -> Token<'s> {
        self.position += 1;
        loop {
            match self.byte(0) {
                b'"' => {
                    self.position += 1;
                    return self.make(Kind::Text, start, start + 1, self.position - 1);
                }
                b'\\' if matches!(self.byte(1), b'"' | b'\\') => self.position += 2,
                b'\n' | 0 => return self.make(Kind::Invalid, start, start, self.position),
                _ => self.skip_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n' | 0)),
            }
            // A lone backslash is a character like any other.
            if self.byte(0) == b'\\' && !matches!(self.byte(1), b'"' | b'\\') {
                self.position += 1;
            }
        }
    }

    /// Digits, letters and, in a decimal literal, a fraction and an exponent; [`number`] judges them.
    fn number(&mut self, start: usize) -> Token<'s> {
        let prefixed = self.byte(0) == b'0' && self.byte(1).is_ascii_alphabetic();
        self.skip_while(is_word);
        if !prefixed {
            if self.byte(0) == b'.' && self.byte(1).is_ascii_digit() {
                self.position += 1;
                self.skip_while(is_word);
            }
            let last = self.source.as_bytes()[self.position - 1];
            if matches!(last, b'e' | b'E') && matches!(self.byte(0), b'+' | b'-') && self.byte(1).is_ascii_digit() {
                self.position += 1;
                self.skip_while(is_word);
            }
        }
        self.make(Kind::Number, start, start, self.position)
    }
}

/// The value of a literal without its sign (PTX ISA, "Constants"); `None` where it is malformed.
pub fn number(text: &str) -> Option<Immediate> {
    let integer = |digits: &str, radix| {
        let digits = digits.strip_suffix('U').unwrap_or(digits);
        let valid = digits.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        // Hexadecimal text, decimal text, all within 64 bits.
        u64::from_str_radix(digits, radix).ok().filter(|_| valid).map(|value| Immediate::Integer(value.into()))
    };
    let hex_bits =
        |digits: &str, length| (digits.len() == length).then(|| u64::from_str_radix(digits, 16).ok()).flatten();
    let (prefix, digits) = text.split_at_checked(2).unwrap_or((text, ""));
    match prefix {
        "0f" | "0F" => hex_bits(digits, 8).map(|bits| Immediate::F32(bits as u32)),
        "0d" | "0D" => hex_bits(digits, 16).map(Immediate::F64),
        "0x" | "0X" => integer(digits, 16),
        "0b" | "0B" => integer(digits, 2),
        _ if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => {
            text.parse::<f64>().ok().map(|value| Immediate::F64(value.to_bits()))
        }
        _ if text.len() > 1 && text.starts_with('0') && text != "0U" => integer(&text[1..], 8),
        _ => integer(text, 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<(Kind, &str)> {
        let mut lexer = Lexer::new(source);
        std::iter::from_fn(|| Some(lexer.token()).filter(|token| token.kind != Kind::End))
            .map(|token| (token.kind, token.text))
            .collect()
    }

    #[test]
    fn instruction_splits_into_word_dotted_and_punctuation() {
        use Kind::*;
        let expected = [
            (Word, "cp"),
            (Dotted, "async"),
            (Dotted, "L2::128B"),
            (Dotted, "2d"),
            (Punctuation(b'['), "["),
            (Word, "%r1"),
            (Punctuation(b'+'), "+"),
            (Number, "0x10U"),
            (Punctuation(b']'), "]"),
            (Punctuation(b';'), ";"),
        ];
        assert_eq!(kinds("cp.async.L2::128B . 2d [%r1+0x10U]; // comment ; here"), expected);
    }

    #[test]
    fn label_keeps_its_colon_apart() {
        use Kind::*;
        assert_eq!(kinds("$L_1:bra"), [(Word, "$L_1"), (Punctuation(b':'), ":"), (Word, "bra")]);
    }

    #[test]
    fn lines_count_through_comments() {
        let mut lexer = Lexer::new("a /* one\ntwo\n*/ b // three\nc");
        let lines: Vec<u32> = (0..3).map(|_| lexer.token().line).collect();
        assert_eq!(lines, [1, 3, 4]);
    }

    #[test]
    fn literals_have_the_values_of_the_ptx_manual() {
        let integer = |value: i128| Some(Immediate::Integer(value));
        assert_eq!(number("42"), integer(42));
        assert_eq!(number("0"), integer(0));
        assert_eq!(number("0U"), integer(0));
        assert_eq!(number("017"), integer(15));
        assert_eq!(number("0x7fU"), integer(127));
        assert_eq!(number("0XFF"), integer(255));
        assert_eq!(number("0b101"), integer(5));
        assert_eq!(number("18446744073709551615"), integer(u64::MAX.into()));
        assert_eq!(number("0f3F800000"), Some(Immediate::F32(0x3f80_0000)));
        assert_eq!(number("0d3FF0000000000000"), Some(Immediate::F64(0x3ff0_0000_0000_0000)));
        assert_eq!(number("1.5"), Some(Immediate::F64(1.5f64.to_bits())));
        assert_eq!(number("25e-1"), Some(Immediate::F64(2.5f64.to_bits())));
        for malformed in ["0f3F8", "0x", "0xg", "12ab", "08", "0x+1", "18446744073709551616", "1.5.2", "U"] {
            assert_eq!(number(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn unterminated_text_and_comment_are_invalid() {
        assert_eq!(kinds("\"abc")[0].0, Kind::Invalid);
        assert_eq!(kinds("/* abc")[0].0, Kind::Invalid);
        assert_eq!(kinds("\"a\\\"b\\c\""), [(Kind::Text, "a\\\"b\\c")]);
    }
}
