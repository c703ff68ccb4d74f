//! Operands of instructions.

use super::constant::WARP_SIZE;
use super::function::component_names;
use super::{Kind, Parsed, Parser};
use crate::ptx::ast::Operand;

impl<'s> Parser<'s> {
    /// One operand.
    pub(super) fn operand(&mut self) -> Parsed<Operand> {
        match self.token.kind {
            Kind::Word if self.token.text != WARP_SIZE => self.named_operand(),
            Kind::Word | Kind::Number | Kind::Punctuation(b'-' | b'+' | b'~' | b'(') => {
                Ok(Operand::Immediate(self.constant()?))
            }
            Kind::Punctuation(b'!') => {
                self.bump();
                if self.token.kind == Kind::Word && self.token.text != WARP_SIZE {
                    return Ok(Operand::Not(self.bump().text.to_owned()));
                }
                Ok(Operand::Immediate(self.constant_complement()?))
            }
            Kind::Punctuation(b'[') => self.address(),
            Kind::Punctuation(b'{') => self.vector(),
            _ => self.expected("an operand"),
        }
    }

    /// One operand of a call, where parentheses hold the returns or the arguments.
    pub(super) fn call_operand(&mut self) -> Parsed<Operand> {
        if !self.accept(b'(') {
            return self.operand();
        }
        self.nested(|parser| parser.separated(b')', Self::operand)).map(Operand::List)
    }

    fn named_operand(&mut self) -> Parsed<Operand> {
        let name = self.member_name()?;
        if self.accept(b'[') {
            return self.first_element(name);
        }
        if let Some(component) = self.colour_component(name) {
            return Ok(Operand::Name(component));
        }
        if self.accept(b'|') {
            return Ok(Operand::Pair(name.to_owned(), self.word("a register after `|`")?.to_owned()));
        }
        if self.at(b'+') || self.at(b'-') {
            return Ok(Operand::NameOffset(name.to_owned(), self.offset()?));
        }
        Ok(match self.vectors.get(name) {
            Some(&components) => Operand::Vector(component_names(name, components).map(Operand::Name).collect()),
            None => Operand::Name(name.to_owned()),
        })
    }

    /// After `name[`: the address of an array's first element, which is that of the array. Which bytes another index
    /// means depends on the type of the array.
    fn first_element(&mut self, name: &str) -> Parsed<Operand> {
        if self.constant_integer::<u64>()? != 0 {
            return self.failure("the address of an element other than the first is not supported");
        }
        self.expect(b']')?;
        Ok(Operand::Name(name.to_owned()))
    }

    /// The name of a vector register's component that is written as a colour: `v.r` is `v.x`.
    fn colour_component(&self, name: &str) -> Option<String> {
        let (vector, colour) = name.rsplit_once('.').filter(|(vector, _)| self.vectors.contains_key(*vector))?;
        let index = ["r", "g", "b", "a"].iter().position(|known| *known == colour)?;
        component_names(vector, index + 1).last()
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
