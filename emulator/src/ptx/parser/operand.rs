//! Operands of instructions.

use super::{Kind, Parsed, Parser};
use crate::ptx::ast::{Immediate, Operand};

/// What PTX predefines as the lanes of a warp.
const WARP_SIZE: i128 = 32;

impl<'s> Parser<'s> {
    /// One operand.
    pub(super) fn operand(&mut self) -> Parsed<Operand> {
        match self.token.kind {
            Kind::Word => self.named_operand(),
            Kind::Number | Kind::Punctuation(b'-' | b'+') => Ok(Operand::Immediate(self.signed_literal()?)),
            Kind::Punctuation(b'!') => {
                self.bump();
                Ok(Operand::Not(self.word("a predicate")?.to_owned()))
            }
            Kind::Punctuation(b'[') => self.address(),
            Kind::Punctuation(b'{') => self.vector(),
            Kind::Punctuation(b'(') => {
                self.bump();
                self.nested(|parser| parser.separated(b')', Self::operand)).map(Operand::List)
            }
            _ => self.expected("an operand"),
        }
    }

    /// A literal with its sign applied.
    pub(super) fn signed_literal(&mut self) -> Parsed<Immediate> {
        let mut negative = false;
        while self.at(b'-') || self.at(b'+') {
            negative ^= self.at(b'-');
            self.bump();
        }
        let value = self.literal()?;
        Ok(if negative { negate(value) } else { value })
    }

    fn named_operand(&mut self) -> Parsed<Operand> {
        let name = self.member_name()?;
        if name == "WARP_SZ" {
            return Ok(Operand::Immediate(Immediate::Integer(WARP_SIZE)));
        }
        if self.accept(b'|') {
            return Ok(Operand::Pair(name.to_owned(), self.word("a register after `|`")?.to_owned()));
        }
        if self.at(b'+') || self.at(b'-') {
            return Ok(Operand::NameOffset(name.to_owned(), self.offset()?));
        }
        Ok(Operand::Name(name.to_owned()))
    }

    /// A name with its components: `%tid.x`, `%v.y`.
    fn member_name(&mut self) -> Parsed<&'s str> {
        let start = self.token.start;
        self.word("a name")?;
        while self.token.kind == Kind::Dotted && self.token.start == self.previous_end {
            self.bump();
        }
        Ok(&self.lexer.source()[start..self.previous_end])
    }

    fn vector(&mut self) -> Parsed<Operand> {
        self.expect(b'{')?;
        self.nested(|parser| parser.separated(b'}', Self::operand)).map(Operand::Vector)
    }

    /// `[base+offset]`, `[number]`, `[base, {x, y}]`.
    fn address(&mut self) -> Parsed<Operand> {
        self.expect(b'[')?;
        let base = if self.token.kind == Kind::Word { self.member_name()?.to_owned() } else { String::new() };
        let first = if base.is_empty() { self.absolute()? } else { 0 };
        let offset = first.wrapping_add(self.offset()?);
        let mut coordinates = Vec::new();
        while self.accept(b',') {
            coordinates.push(self.vector()?);
        }
        self.expect(b']')?;
        Ok(if coordinates.is_empty() {
            Operand::Address { base, offset }
        } else {
            Operand::Tensor { base, offset, coordinates }
        })
    }

    /// The leading number of an address without a base.
    fn absolute(&mut self) -> Parsed<i64> {
        if self.token.kind == Kind::Number {
            return Ok(self.integer::<u64>()? as i64);
        }
        if self.at(b'-') || self.at(b'+') { Ok(0) } else { self.expected("an address") }
    }
}

fn negate(value: Immediate) -> Immediate {
    match value {
        Immediate::Integer(value) => Immediate::Integer(-value),
        Immediate::F32(bits) => Immediate::F32(bits ^ 0x8000_0000),
        Immediate::F64(bits) => Immediate::F64(bits ^ 0x8000_0000_0000_0000),
    }
}
