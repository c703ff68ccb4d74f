//! Declarations of variables and parameters, and their initialisers.

use super::constant::WARP_SIZE;
use super::{Failure, Kind, Parsed, Parser};
use crate::ptx::ast::{Immediate, Init, Linking, Space, Type, Variable};

/// The most variables that one `name<n>` declares.
const PARAMETERISED_LIMIT: u32 = 1 << 16;

/// The longest row that is filled up with zeros.
const INITIALISED_ROW_LIMIT: u64 = 1 << 20;

pub(super) fn space_of(directive: &str) -> Option<Space> {
    Some(match directive {
        "reg" => Space::Reg,
        "param" => Space::Param,
        "local" => Space::Local,
        "shared" => Space::Shared,
        "global" => Space::Global,
        "const" => Space::Const,
        _ => return None,
    })
}

impl Parser<'_> {
    /// `.space attributes .type a, b[4] = {...};` with its semicolon.
    pub(super) fn variables(&mut self, linking: Linking) -> Parsed<Vec<Variable>> {
        let specification = self.specification(linking)?;
        let mut variables = Vec::new();
        loop {
            let mut variable = self.declarator(&specification)?;
            if self.accept(b'<') {
                let count = self.parameterised_count()?;
                variables.extend((0..count).map(|index| numbered(&variable, index)));
            } else {
                if self.accept(b'=') {
                    self.initialiser(&mut variable)?;
                }
                variables.push(variable.into());
            }
            if !self.accept(b',') {
                break;
            }
        }
        self.expect(b';')?;
        Ok(variables)
    }

    /// A parameter of a function or a prototype.
    pub(super) fn parameter(&mut self) -> Parsed<Variable> {
        let specification = self.specification(Linking::Internal)?;
        Ok(self.declarator(&specification)?.into())
    }

    fn parameterised_count(&mut self) -> Parsed<u32> {
        let count = self.integer()?;
        if count > PARAMETERISED_LIMIT {
            return self.failure(format!("more than {PARAMETERISED_LIMIT} variables in one declaration"));
        }
        self.expect(b'>')?;
        Ok(count)
    }

    /// What precedes the name: space, alignment, vector, type, pointer attributes.
    fn specification(&mut self, linking: Linking) -> Parsed<Variable> {
        let line = self.token.line;
        let Some(space) = self.peek_dotted().and_then(space_of) else { return self.expected("a state space") };
        self.bump();
        let (mut align, mut vector, mut ty, mut managed) = (None, 1, None, false);
        while let Some(word) = self.peek_dotted() {
            match word {
                "align" => {
                    self.bump();
                    align = Some(self.alignment()?);
                    continue;
                }
                "attribute" => {
                    self.bump();
                    managed |= self.attributes()?;
                    continue;
                }
                "ptr" => {
                    self.bump();
                    self.pointer_attributes()?;
                    continue;
                }
                "v2" => vector = 2,
                "v4" => vector = 4,
                "v8" => vector = 8,
                _ => match Type::named(word) {
                    Some(found) => ty = Some(found),
                    None => return self.expected("a type or an attribute of a variable"),
                },
            }
            self.bump();
        }
        let Some(ty) = ty else { return self.expected("a type") };
        let (name, init) = (String::new(), Vec::new());
        Ok(Variable { line, linking, space, align, vector, ty, name, count: None, managed, init })
    }

    /// After `.attribute`: whether `.managed` is one of those in the parentheses. The other, `.unified`, numbers the
    /// variable for the linker.
    fn attributes(&mut self) -> Parsed<bool> {
        self.expect(b'(')?;
        let mut managed = false;
        loop {
            if self.accept_dotted("managed") {
                managed = true;
            } else if self.accept_dotted("unified") {
                self.skip_parentheses()?;
            } else {
                return self.expected("`.managed` or `.unified`");
            }
            if !self.accept(b',') {
                break;
            }
        }
        self.expect(b')')?;
        Ok(managed)
    }

    fn alignment(&mut self) -> Parsed<u32> {
        let align: u32 = self.integer()?;
        if align.is_power_of_two() { Ok(align) } else { self.failure(format!("alignment {align} is no power of two")) }
    }

    /// After `.ptr`: where the pointer points and how it is aligned, of which nothing depends.
    fn pointer_attributes(&mut self) -> Parsed<()> {
        if self.peek_dotted().is_some_and(|word| word != "align" && space_of(word).is_some()) {
            self.bump();
        }
        if self.accept_dotted("align") {
            self.alignment()?;
        }
        Ok(())
    }

    /// The name and its dimensions.
    fn declarator(&mut self, specification: &Variable) -> Parsed<Declarator> {
        let name = self.word("a variable's name")?.to_owned();
        let mut dimensions = Vec::new();
        while self.accept(b'[') {
            dimensions.push(if self.at(b']') { 0 } else { self.constant_integer()? });
            self.expect(b']')?;
        }
        let Some(count) = dimensions.iter().try_fold(1u64, |product, &size| product.checked_mul(size)) else {
            return self.failure(format!("the size of `{name}` overflows"));
        };
        let count = (!dimensions.is_empty()).then_some(count);
        Ok(Declarator { variable: Variable { name, count, ..specification.clone() }, dimensions })
    }

    /// What follows `=`: flattened, inner rows filled up with zeros.
    fn initialiser(&mut self, declarator: &mut Declarator) -> Parsed<()> {
        let line = self.token.line;
        let mut elements = Vec::new();
        let vector = u64::from(declarator.variable.vector);
        self.initialiser_level(&declarator.dimensions, vector, &mut elements)?;
        let variable = &mut declarator.variable;
        // An array of unknown size takes that of its initialiser.
        if let Some(0) = variable.count {
            let row: u64 = declarator.dimensions.iter().skip(1).product::<u64>().max(1) * vector;
            variable.count = Some((elements.len() as u64).div_ceil(row) * (row / vector));
        }
        if elements.len() as u64 > variable.count.unwrap_or(1).saturating_mul(vector) {
            return Err(Failure {
                line,
                message: format!("`{}` has more initial values than elements", variable.name),
            });
        }
        variable.init = elements;
        Ok(())
    }

    /// `{ ... }` laid out by `dimensions`, or one value.
    fn initialiser_level(&mut self, dimensions: &[u64], vector: u64, elements: &mut Vec<Init>) -> Parsed<()> {
        if !self.accept(b'{') {
            elements.push(self.initial_value()?);
            return Ok(());
        }
        let inner = dimensions.get(1..).unwrap_or(&[]);
        let row = inner.iter().product::<u64>().saturating_mul(vector);
        let element = |parser: &mut Self| {
            let start = elements.len() as u64;
            let braced = parser.at(b'{');
            parser.initialiser_level(inner, vector, elements)?;
            if braced {
                parser.fill_row(start + row.min(INITIALISED_ROW_LIMIT + 1), elements)?;
            }
            Ok(())
        };
        self.nested(|parser| parser.separated(b'}', element)).map(drop)
    }

    /// Appends zeros until `elements` is `end` long.
    fn fill_row(&mut self, end: u64, elements: &mut Vec<Init>) -> Parsed<()> {
        let missing = end.saturating_sub(elements.len() as u64);
        if missing > INITIALISED_ROW_LIMIT {
            return self.failure(format!("an initialised row is longer than {INITIALISED_ROW_LIMIT} elements"));
        }
        elements.extend((0..missing).map(|_| Init::Number(Immediate::Integer(0))));
        Ok(())
    }

    /// A number, an address, or a part of one: `5`, `sym+8`, `generic(sym)+8`, `0xFF00(generic(sym))`.
    fn initial_value(&mut self) -> Parsed<Init> {
        if self.token.kind == Kind::Word && self.token.text != WARP_SIZE {
            return self.initial_address(None);
        }
        let value = self.constant()?;
        if !self.accept(b'(') {
            return Ok(Init::Number(value));
        }
        let Immediate::Integer(mask) = value else { return self.failure("a mask must be an integer") };
        let address = self.initial_address(Some(mask as u64))?;
        self.expect(b')')?;
        Ok(address)
    }

    /// A symbol's address, itself or through `generic(...)`.
    fn initial_address(&mut self, mask: Option<u64>) -> Parsed<Init> {
        let word = self.word("a symbol")?;
        let generic = word == "generic" && self.accept(b'(');
        let symbol = if generic { self.word("a symbol")? } else { word }.to_owned();
        let inner = self.offset()?;
        if generic {
            self.expect(b')')?;
        }
        let offset = inner.wrapping_add(self.offset()?);
        Ok(Init::Address { symbol, offset, generic, mask })
    }
}

/// A variable with the dimensions that its initialiser is laid out by.
struct Declarator {
    variable: Variable,
    dimensions: Vec<u64>,
}

impl From<Declarator> for Variable {
    fn from(declarator: Declarator) -> Variable {
        declarator.variable
    }
}

/// The variable that `name<n>` declares as number `index`.
fn numbered(declarator: &Declarator, index: u32) -> Variable {
    let mut variable = declarator.variable.clone();
    variable.name = format!("{}{index}", variable.name);
    variable
}
