//! Recursive descent over the tokens, one token ahead.

mod constant;
mod function;
mod operand;
mod variable;

use super::ast::{Linking, Module};
use super::lexer::{Kind, Lexer, Token, number};
use crate::ptx::ast::Immediate;
use std::collections::HashMap;

/// Scopes, vectors and initialisers nest no deeper; keeps hostile text off the stack's end.
const DEPTH_LIMIT: u32 = 100;

/// Where and why parsing stopped.
#[derive(Debug)]
pub(super) struct Failure {
    pub line: u32,
    pub message: String,
}

type Parsed<T> = Result<T, Failure>;

/// Parses the text of one module.
pub(super) fn module(source: &str) -> Parsed<Module> {
    let mut parser = Parser::new(source);
    let mut module = Module::default();
    while parser.token.kind != Kind::End {
        parser.module_item(&mut module)?;
    }
    Ok(module)
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    /// The token under the cursor.
    token: Token<'s>,
    /// Where the token before it ended.
    previous_end: usize,
    depth: u32,
    /// The vector registers of the function so far, with how many registers each is.
    vectors: HashMap<String, usize>,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str) -> Self {
        let mut lexer = Lexer::new(source);
        let token = lexer.token();
        Parser { lexer, token, previous_end: 0, depth: 0, vectors: HashMap::new() }
    }

    /// Steps over the token under the cursor and returns it.
    fn bump(&mut self) -> Token<'s> {
        let token = self.token;
        self.previous_end = token.end;
        self.token = self.lexer.token();
        token
    }

    fn failure<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(Failure { line: self.token.line, message: message.into() })
    }

    /// The failure of finding something else than `wanted` under the cursor.
    fn expected<T>(&self, wanted: &str) -> Parsed<T> {
        let found = &self.lexer.source()[self.token.start..self.token.end];
        match self.token.kind {
            Kind::End => self.failure(format!("expected {wanted}, found the end of the text")),
            Kind::Invalid => self.failure(format!("expected {wanted}, found unreadable text {:?}", excerpt(found))),
            _ => self.failure(format!("expected {wanted}, found `{}`", excerpt(found))),
        }
    }

    fn at(&self, punctuation: u8) -> bool {
        self.token.kind == Kind::Punctuation(punctuation)
    }

    /// Steps over `punctuation` if it is under the cursor.
    fn accept(&mut self, punctuation: u8) -> bool {
        let found = self.at(punctuation);
        if found {
            self.bump();
        }
        found
    }

    fn expect(&mut self, punctuation: u8) -> Parsed<()> {
        if self.accept(punctuation) { Ok(()) } else { self.expected(&format!("`{}`", punctuation as char)) }
    }

    /// The name after a dot, if the cursor is on one.
    fn peek_dotted(&self) -> Option<&'s str> {
        (self.token.kind == Kind::Dotted).then_some(self.token.text)
    }

    fn accept_dotted(&mut self, name: &str) -> bool {
        let found = self.peek_dotted() == Some(name);
        if found {
            self.bump();
        }
        found
    }

    fn word(&mut self, wanted: &str) -> Parsed<&'s str> {
        if self.token.kind == Kind::Word { Ok(self.bump().text) } else { self.expected(wanted) }
    }

    /// A literal without a sign.
    fn literal(&mut self) -> Parsed<Immediate> {
        if self.token.kind != Kind::Number {
            return self.expected("a number");
        }
        match number(self.token.text) {
            Some(value) => {
                self.bump();
                Ok(value)
            }
            None => self.failure(format!("malformed number `{}`", self.token.text)),
        }
    }

    /// A non-negative integer that fits `T`.
    fn integer<T: TryFrom<i128>>(&mut self) -> Parsed<T> {
        let token = self.token;
        let value = match self.literal()? {
            Immediate::Integer(value) => T::try_from(value).ok(),
            Immediate::F32(_) | Immediate::F64(_) => None,
        };
        value.ok_or_else(|| Failure { line: token.line, message: format!("`{}` is out of range here", token.text) })
    }

    /// A sum of signed integers after a base: `+16`, `+-8`, `-4+2*8`; 0 where there is none.
    fn offset(&mut self) -> Parsed<i64> {
        let mut sum = 0i64;
        loop {
            let mut negative = false;
            if self.at(b'+') || self.at(b'-') {
                while self.at(b'+') || self.at(b'-') {
                    negative ^= self.at(b'-');
                    self.bump();
                }
            } else {
                return Ok(sum);
            }
            let value = self.constant_product()?;
            sum = sum.wrapping_add(if negative { value.wrapping_neg() } else { value });
        }
    }

    /// Parses one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_LIMIT {
            return self.failure(format!("nesting deeper than {DEPTH_LIMIT} levels"));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Items separated by commas up to `close`, which is consumed; none at all are allowed.
    fn separated<T>(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.at(close) {
            items.push(item(self)?);
            if !self.accept(b',') {
                break;
            }
        }
        self.expect(close)?;
        Ok(items)
    }

    /// One directive, variable or function at module scope.
    fn module_item(&mut self, module: &mut Module) -> Parsed<()> {
        let Some(directive) = self.peek_dotted() else { return self.expected("a directive") };
        match directive {
            "version" => {
                self.bump();
                module.version = self.version()?;
            }
            "target" => {
                self.bump();
                module.target = self.names()?;
            }
            "address_size" => {
                self.bump();
                module.address_size = self.integer()?;
            }
            "file" => {
                self.bump();
                module.files.push(self.file()?);
            }
            "alias" => {
                self.bump();
                let name = self.word("a function's name")?.to_owned();
                self.expect(b',')?;
                module.aliases.push((name, self.word("a function's name")?.to_owned()));
                self.expect(b';')?;
            }
            "section" => self.skip_section()?,
            "pragma" => self.pragma()?,
            "loc" => {
                self.loc()?;
            }
            _ => self.linked_item(module)?,
        }
        Ok(())
    }

    /// A variable or a function after its linking directive.
    fn linked_item(&mut self, module: &mut Module) -> Parsed<()> {
        let mut linking = Linking::Internal;
        while let Some(found) = self.peek_dotted().and_then(linking_of) {
            linking = found;
            self.bump();
        }
        match self.peek_dotted() {
            Some("entry") => module.functions.push(self.function(linking, true)?),
            Some("func") => module.functions.push(self.function(linking, false)?),
            Some(name) if variable::space_of(name).is_some() => {
                module.variables.extend(self.variables(linking)?);
            }
            _ => return self.expected("a function or a variable"),
        }
        Ok(())
    }

    /// `8.5`, major and minor.
    fn version(&mut self) -> Parsed<(u32, u32)> {
        let parts = self.token.text.split_once('.').filter(|_| self.token.kind == Kind::Number);
        let version = parts.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match version {
            Some(version) => {
                self.bump();
                Ok(version)
            }
            None => self.expected("a version such as 8.5"),
        }
    }

    /// One or more words separated by commas.
    fn names(&mut self) -> Parsed<Vec<String>> {
        let mut names = vec![self.word("a name")?.to_owned()];
        while self.accept(b',') {
            names.push(self.word("a name")?.to_owned());
        }
        Ok(names)
    }

    /// `.file 1 "path"`, with or without time and size.
    fn file(&mut self) -> Parsed<(u32, String)> {
        let index = self.integer()?;
        if self.token.kind != Kind::Text {
            return self.expected("a quoted path");
        }
        let path = self.bump().text.to_owned();
        while self.accept(b',') {
            self.integer::<u64>()?;
        }
        Ok((index, path))
    }

    /// `.pragma "nounroll", ...;`: advice to the assembler.
    fn pragma(&mut self) -> Parsed<()> {
        self.bump();
        while self.token.kind == Kind::Text || self.at(b',') {
            self.bump();
        }
        self.expect(b';')
    }

    /// A debug section, of no use here, up to its closing brace.
    fn skip_section(&mut self) -> Parsed<()> {
        self.bump();
        self.bump();
        self.expect(b'{')?;
        let mut depth = 1;
        while depth > 0 {
            match self.token.kind {
                Kind::Punctuation(b'{') => depth += 1,
                Kind::Punctuation(b'}') => depth -= 1,
                Kind::End | Kind::Invalid => return self.expected("`}` of a section"),
                _ => {}
            }
            self.bump();
        }
        Ok(())
    }

    /// Steps over `( ... )`, as `.attribute` has it.
    fn skip_parentheses(&mut self) -> Parsed<()> {
        self.expect(b'(')?;
        let mut depth = 1;
        while depth > 0 {
            match self.token.kind {
                Kind::Punctuation(b'(') => depth += 1,
                Kind::Punctuation(b')') => depth -= 1,
                Kind::End | Kind::Invalid => return self.expected("`)`"),
                _ => {}
            }
            self.bump();
        }
        Ok(())
    }
}

fn linking_of(directive: &str) -> Option<Linking> {
    match directive {
        "extern" => Some(Linking::Extern),
        "visible" => Some(Linking::Visible),
        "weak" => Some(Linking::Weak),
        "common" => Some(Linking::Common),
        _ => None,
    }
}

/// The beginning of `text`, short enough for a message.
fn excerpt(text: &str) -> &str {
    let end = text.char_indices().nth(40).map_or(text.len(), |(index, _)| index);
    &text[..end]
}

#[cfg(test)]
mod tests;
