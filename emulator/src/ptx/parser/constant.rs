//! Constant expressions, by the rules of C for 64-bit integers (PTX ISA, "Constant Expressions").

use super::{Kind, Parsed, Parser};
use crate::ptx::ast::Immediate;

/// What PTX predefines as the lanes of a warp.
pub(super) const WARP_SIZE: &str = "WARP_SZ";
const WARP_SIZE_VALUE: i128 = 32;

/// The operators between two operands with their precedence; those that begin like others come first.
const OPERATORS: [(&str, u8); 18] = [
    ("||", 0),
    ("&&", 1),
    ("==", 5),
    ("!=", 5),
    ("<=", 6),
    (">=", 6),
    ("<<", 7),
    (">>", 7),
    ("|", 2),
    ("^", 3),
    ("&", 4),
    ("<", 6),
    (">", 6),
    ("+", 8),
    ("-", 8),
    ("*", PRODUCT),
    ("/", PRODUCT),
    ("%", PRODUCT),
];

/// The precedence of multiplication, the highest between two operands.
const PRODUCT: u8 = 9;

/// A value with its type: integers are `.s64` or `.u64`.
#[derive(Clone, Copy, Debug)]
struct Constant {
    value: Immediate,
    unsigned: bool,
}

impl Constant {
    fn integer(value: i128, unsigned: bool) -> Self {
        Constant { value: Immediate::Integer(wrapped(value, unsigned)), unsigned }
    }

    fn truth(value: bool) -> Self {
        Constant::integer(value.into(), false)
    }
}

/// A value within the 64 bits of its type.
fn wrapped(value: i128, unsigned: bool) -> i128 {
    if unsigned { (value as u64).into() } else { (value as i64).into() }
}

impl Parser<'_> {
    /// The value of an expression of literals: `7`, `-1`, `(1 << 4) | 3`, `3 > 2 ? 5 : 6`.
    pub(super) fn constant(&mut self) -> Parsed<Immediate> {
        self.conditional().map(|constant| constant.value)
    }

    /// The value of an expression that is no negative integer and fits `T`.
    pub(super) fn constant_integer<T: TryFrom<i128>>(&mut self) -> Parsed<T> {
        match self.constant()? {
            Immediate::Integer(value) if let Ok(fitting) = T::try_from(value) => Ok(fitting),
            _ => self.failure("a constant expression is out of range here"),
        }
    }

    /// Factors of an integer offset, which a sign may follow: `4`, `4*8`.
    pub(super) fn constant_product(&mut self) -> Parsed<i64> {
        match self.binary(PRODUCT)?.value {
            Immediate::Integer(value) => Ok(value as i64),
            Immediate::F32(_) | Immediate::F64(_) => self.failure("an offset must be an integer"),
        }
    }

    /// After `!`, if no predicate's name follows.
    pub(super) fn constant_complement(&mut self) -> Parsed<Immediate> {
        let operand = self.unary()?;
        let complement = self.integer_of(operand)? == 0;
        self.binary_after(Constant::truth(complement), 0)
            .and_then(|condition| self.conditional_after(condition))
            .map(|constant| constant.value)
    }

    fn conditional(&mut self) -> Parsed<Constant> {
        let condition = self.binary(0)?;
        self.conditional_after(condition)
    }

    fn conditional_after(&mut self, condition: Constant) -> Parsed<Constant> {
        if !self.accept(b'?') {
            return Ok(condition);
        }
        let holds = self.integer_of(condition)? != 0;
        let yes = self.nested(Self::conditional)?;
        self.expect(b':')?;
        let no = self.nested(Self::conditional)?;
        Ok(if holds { yes } else { no })
    }

    /// Operators of at least the precedence `lowest`, each from left to right.
    fn binary(&mut self, lowest: u8) -> Parsed<Constant> {
        let first = self.unary()?;
        self.binary_after(first, lowest)
    }

    fn binary_after(&mut self, first: Constant, lowest: u8) -> Parsed<Constant> {
        let mut left = first;
        while let Some((operator, precedence)) = self.operator().filter(|(_, precedence)| *precedence >= lowest) {
            for _ in operator.bytes() {
                self.bump();
            }
            let right = self.nested(|parser| parser.binary(precedence + 1))?;
            left = match apply(operator, left, right) {
                Some(value) => value,
                None => return self.failure(format!("`{operator}` has no value for its operands")),
            };
        }
        Ok(left)
    }

    /// The operator under the cursor.
    fn operator(&self) -> Option<(&'static str, u8)> {
        if !matches!(self.token.kind, Kind::Punctuation(_)) && self.token.text != "%" {
            return None;
        }
        let rest = &self.lexer.source()[self.token.start..];
        OPERATORS.into_iter().find(|(operator, _)| rest.starts_with(operator))
    }

    fn unary(&mut self) -> Parsed<Constant> {
        match self.token.kind {
            Kind::Punctuation(sign @ (b'-' | b'+' | b'~' | b'!')) => {
                self.bump();
                let operand = self.nested(Self::unary)?;
                match sign {
                    b'-' => Ok(Constant { value: negate(operand.value), ..operand }),
                    b'+' => Ok(operand),
                    b'~' => Ok(Constant::integer(!self.integer_of(operand)?, true)),
                    _ => Ok(Constant::truth(self.integer_of(operand)? == 0)),
                }
            }
            Kind::Punctuation(b'(') => self.parenthesised(),
            Kind::Word if self.token.text == WARP_SIZE => {
                self.bump();
                Ok(Constant::integer(WARP_SIZE_VALUE, false))
            }
            _ => {
                let text = self.token.text;
                let value = self.literal()?;
                let large = matches!(value, Immediate::Integer(value) if value > i64::MAX.into());
                Ok(Constant { value, unsigned: large || text.ends_with('U') })
            }
        }
    }

    /// An expression in parentheses, or the cast of what follows them.
    fn parenthesised(&mut self) -> Parsed<Constant> {
        self.expect(b'(')?;
        let unsigned = self.accept_dotted("u64");
        if unsigned || self.accept_dotted("s64") {
            self.expect(b')')?;
            let operand = self.nested(Self::unary)?;
            return Ok(Constant::integer(self.integer_of(operand)?, unsigned));
        }
        let value = self.nested(Self::conditional)?;
        self.expect(b')')?;
        Ok(value)
    }

    fn integer_of(&self, constant: Constant) -> Parsed<i128> {
        match constant.value {
            Immediate::Integer(value) => Ok(value),
            Immediate::F32(_) | Immediate::F64(_) => self.failure("an integer is wanted in this constant expression"),
        }
    }
}

/// The value of `left operator right`, where there is one.
fn apply(operator: &str, left: Constant, right: Constant) -> Option<Constant> {
    let (Immediate::Integer(a), Immediate::Integer(b)) = (left.value, right.value) else {
        return apply_floats(operator, double(left.value)?, double(right.value)?);
    };
    let unsigned = left.unsigned || right.unsigned;
    let (x, y) = (wrapped(a, unsigned), wrapped(b, unsigned));
    let arithmetic = |value| Some(Constant::integer(value, unsigned));
    match operator {
        // The product of two numbers of 64 bits has at most 128, of which the lower 64 count.
        "*" => arithmetic((x as u64).wrapping_mul(y as u64).into()),
        "/" => arithmetic(x.checked_div(y)?),
        "%" => Some(Constant::integer(wrapped(a, true).checked_rem(wrapped(b, true))?, false)),
        "+" => arithmetic(x + y),
        "-" => arithmetic(x - y),
        "<<" | ">>" => Some(shift(operator, left, a, wrapped(b, true))),
        "&" => Some(Constant::integer(a & b, true)),
        "^" => Some(Constant::integer(a ^ b, true)),
        "|" => Some(Constant::integer(a | b, true)),
        "&&" => Some(Constant::truth(a != 0 && b != 0)),
        "||" => Some(Constant::truth(a != 0 || b != 0)),
        _ => compare(operator, &x, &y),
    }
}

/// A shift, whose result has the type of `left`; nothing is left of it beyond 64 bits.
fn shift(operator: &str, left: Constant, a: i128, count: i128) -> Constant {
    let (a, count) = (wrapped(a, left.unsigned), count.min(64) as u32);
    let value = if operator == "<<" { i128::from(a as u64) << count.min(63) << (count / 64) } else { a >> count };
    Constant::integer(value, left.unsigned)
}

fn apply_floats(operator: &str, a: f64, b: f64) -> Option<Constant> {
    let value = match operator {
        "*" => a * b,
        "/" => a / b,
        "+" => a + b,
        "-" => a - b,
        _ => return compare(operator, &a, &b),
    };
    Some(Constant { value: Immediate::F64(value.to_bits()), unsigned: false })
}

fn compare<T: PartialOrd>(operator: &str, a: &T, b: &T) -> Option<Constant> {
    Some(Constant::truth(match operator {
        "==" => a == b,
        "!=" => a != b,
        "<" => a < b,
        "<=" => a <= b,
        ">" => a > b,
        ">=" => a >= b,
        _ => return None,
    }))
}

/// A number as the type that floating-point expressions have; literals of 32 bits stand alone.
fn double(value: Immediate) -> Option<f64> {
    match value {
        Immediate::Integer(value) => Some(value as f64),
        Immediate::F64(bits) => Some(f64::from_bits(bits)),
        Immediate::F32(_) => None,
    }
}

fn negate(value: Immediate) -> Immediate {
    match value {
        Immediate::Integer(value) => Immediate::Integer(-value),
        Immediate::F32(bits) => Immediate::F32(bits ^ 0x8000_0000),
        Immediate::F64(bits) => Immediate::F64(bits ^ 0x8000_0000_0000_0000),
    }
}
