//! Functions and the statements of their bodies.

use super::variable::space_of;
use super::{Kind, Parsed, Parser};
use crate::ptx::ast::{Function, Instruction, Linking, Space, Statement, Type, Variable};

/// The most registers that one `name<n>` declares: many times what a whole compiler's output has.
const REGISTERS_LIMIT: u32 = 1 << 20;

impl Parser<'_> {
    /// From `.entry` or `.func` to the end of the body or of the prototype.
    pub(super) fn function(&mut self, linking: Linking, entry: bool) -> Parsed<Function> {
        let line = self.bump().line;
        while self.accept_dotted("attribute") {
            self.skip_parentheses()?;
        }
        let returns = self.parameters()?;
        let name = self.word("a function's name")?.to_owned();
        let params = self.parameters()?;
        let directives = self.performance_directives()?;
        self.vectors.clear();
        let body = if self.accept(b';') { None } else { Some(self.block()?) };
        Ok(Function { line, entry, linking, name, returns, params, directives, body })
    }

    /// `( ... )`, or nothing.
    fn parameters(&mut self) -> Parsed<Vec<Variable>> {
        if self.accept(b'(') { self.separated(b')', Self::parameter) } else { Ok(Vec::new()) }
    }

    /// `.maxntid 128, 1, 1`, `.minnctapersm 2`, `.noreturn`, ...
    fn performance_directives(&mut self) -> Parsed<Vec<(String, Vec<u64>)>> {
        let mut directives = Vec::new();
        while let Some(name) = self.peek_dotted() {
            match name {
                "pragma" => {
                    self.pragma()?;
                    continue;
                }
                "attribute" => {
                    self.bump();
                    self.skip_parentheses()?;
                    continue;
                }
                _ => self.bump(),
            };
            let mut numbers = Vec::new();
            while self.token.kind == Kind::Number {
                numbers.push(self.integer()?);
                self.accept(b',');
            }
            directives.push((name.to_owned(), numbers));
        }
        Ok(directives)
    }

    /// `{ statements }`
    fn block(&mut self) -> Parsed<Vec<Statement>> {
        self.expect(b'{')?;
        self.nested(|parser| {
            let mut statements = Vec::new();
            while !parser.accept(b'}') {
                parser.statement(&mut statements)?;
            }
            Ok(statements)
        })
    }

    fn statement(&mut self, statements: &mut Vec<Statement>) -> Parsed<()> {
        match self.token.kind {
            Kind::Word => self.label_or_instruction(statements),
            Kind::Dotted => self.directive(statements),
            Kind::Punctuation(b'@') => {
                let line = self.token.line;
                let guard = Some(self.guard()?);
                let opcode = self.word("an instruction")?;
                let instruction = self.instruction(line, guard, opcode)?;
                statements.push(Statement::Instruction(instruction));
                Ok(())
            }
            Kind::Punctuation(b'{') => {
                statements.push(Statement::Scope(self.block()?));
                Ok(())
            }
            Kind::Punctuation(b';') => {
                self.bump();
                Ok(())
            }
            _ => self.expected("a statement or `}`"),
        }
    }

    fn label_or_instruction(&mut self, statements: &mut Vec<Statement>) -> Parsed<()> {
        let word = self.bump();
        if !self.accept(b':') {
            let instruction = self.instruction(word.line, None, word.text)?;
            statements.push(Statement::Instruction(instruction));
            return Ok(());
        }
        let (line, label) = (word.line, word.text.to_owned());
        statements.push(match self.peek_dotted() {
            Some("branchtargets" | "calltargets") => {
                self.bump();
                let names = self.names()?;
                self.expect(b';')?;
                Statement::Targets { line, label, names }
            }
            Some("callprototype") => {
                self.bump();
                self.prototype(line, label)?
            }
            _ => Statement::Label { line, name: label },
        });
        Ok(())
    }

    /// After `.callprototype`: `(returns) _ (parameters) directives;`
    fn prototype(&mut self, line: u32, label: String) -> Parsed<Statement> {
        let returns = self.parameters()?;
        self.word("`_`")?;
        let params = self.parameters()?;
        self.performance_directives()?;
        self.expect(b';')?;
        Ok(Statement::Prototype { line, label, returns, params })
    }

    fn directive(&mut self, statements: &mut Vec<Statement>) -> Parsed<()> {
        match self.token.text {
            "reg" => statements.push(self.registers()?),
            "loc" => statements.push(self.loc()?),
            "pragma" => self.pragma()?,
            "section" => self.skip_section()?,
            name if space_of(name).is_some_and(|space| space != Space::Reg) => {
                statements.extend(self.variables(Linking::Internal)?.into_iter().map(Statement::Variable));
            }
            _ => return self.expected("a directive of a function's body"),
        }
        Ok(())
    }

    /// `.reg .b32 %r<10>, a, b;` and `.reg .v4 .f32 corner;`, which declares `corner.x` and so on.
    fn registers(&mut self) -> Parsed<Statement> {
        let line = self.bump().line;
        let components = self.register_components();
        let ty = self.register_type()?;
        let mut names = Vec::new();
        loop {
            let name = self.word("a register's name")?.to_owned();
            let count = if self.accept(b'<') {
                let count = self.integer()?;
                if count > REGISTERS_LIMIT {
                    return self.failure(format!("more than {REGISTERS_LIMIT} registers in one declaration"));
                }
                self.expect(b'>')?;
                Some(count)
            } else {
                None
            };
            match components {
                0 => {
                    self.vectors.remove(&name);
                    names.push((name, count));
                }
                _ if count.is_some() => return self.failure("numbered vector registers are not supported"),
                _ => {
                    names.extend(component_names(&name, components).map(|component| (component, None)));
                    self.vectors.insert(name, components);
                }
            }
            if !self.accept(b',') {
                break;
            }
        }
        self.expect(b';')?;
        Ok(Statement::Registers { line, ty, names })
    }

    /// How many registers a vector has; 0 where none is declared.
    fn register_components(&mut self) -> usize {
        if self.accept_dotted("v2") {
            2
        } else if self.accept_dotted("v4") {
            4
        } else {
            0
        }
    }

    fn register_type(&mut self) -> Parsed<Type> {
        match self.peek_dotted() {
            Some(name) => match Type::named(name) {
                Some(ty) => {
                    self.bump();
                    Ok(ty)
                }
                None => self.expected("a register's type"),
            },
            None => self.expected("a register's type"),
        }
    }

    /// `.loc 1 25 16, function_name $L__info_string0, inlined_at 1 27 3`; the call's place is dropped.
    pub(super) fn loc(&mut self) -> Parsed<Statement> {
        self.bump();
        let (file, line, column) = (self.integer()?, self.integer()?, self.integer()?);
        while self.accept(b',') {
            match self.word("`function_name` or `inlined_at`")? {
                "function_name" => {
                    self.word("a label")?;
                    self.offset()?;
                }
                "inlined_at" => {
                    for _ in 0..3 {
                        self.integer::<u32>()?;
                    }
                }
                other => return self.failure(format!("`{other}` is unknown in `.loc`")),
            }
        }
        Ok(Statement::Loc { file, line, column })
    }

    /// `@%p` or `@!%p`
    fn guard(&mut self) -> Parsed<(String, bool)> {
        self.expect(b'@')?;
        let negated = self.accept(b'!');
        Ok((self.word("a predicate")?.to_owned(), negated))
    }

    /// Modifiers, operands and semicolon after the opcode.
    fn instruction(&mut self, line: u32, guard: Option<(String, bool)>, opcode: &str) -> Parsed<Instruction> {
        let mut modifiers = Vec::new();
        while let Some(modifier) = self.peek_dotted() {
            self.bump();
            modifiers.push(modifier.to_owned());
        }
        let operand = if opcode == "call" { Self::call_operand } else { Self::operand };
        let operands = self.separated(b';', operand)?;
        Ok(Instruction { line, guard, opcode: opcode.to_owned(), modifiers, operands })
    }
}

/// What the registers of the vector `name` are called.
pub(super) fn component_names(name: &str, components: usize) -> impl Iterator<Item = String> {
    ["x", "y", "z", "w"].into_iter().take(components).map(move |component| format!("{name}.{component}"))
}
