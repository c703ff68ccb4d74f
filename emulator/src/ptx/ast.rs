//! The syntax tree of a PTX module: what was written, with lines, nothing resolved.
//!
//! Names keep their sigils (`%r1`, `$L__BB0_2`); scopes are kept as nested blocks because PTX lets an inner scope
//! shadow registers and labels.

/// A whole module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// `.version major.minor`
    pub version: (u32, u32),
    /// `.target` words: `sm_80`, `debug`, ...
    pub target: Vec<String>,
    /// `.address_size`
    pub address_size: u32,
    /// Variables at module scope (`.global`, `.const`, `.shared`, externs).
    pub variables: Vec<Variable>,
    pub functions: Vec<Function>,
    /// `.file` directives: index and path.
    pub files: Vec<(u32, String)>,
    /// `.alias name, aliasee;`
    pub aliases: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Linking {
    Internal,
    Extern,
    Visible,
    Weak,
    Common,
}

/// `.entry` or `.func`.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub line: u32,
    pub entry: bool,
    pub linking: Linking,
    pub name: String,
    /// Return parameters of a `.func`.
    pub returns: Vec<Variable>,
    pub params: Vec<Variable>,
    /// Performance directives with their numbers: `maxntid` [x, y, z], `minnctapersm` [n], `reqntid`, `maxnreg`, ...
    pub directives: Vec<(String, Vec<u64>)>,
    /// `None` for a prototype.
    pub body: Option<Vec<Statement>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    Reg,
    Param,
    Local,
    Shared,
    Global,
    Const,
    Generic,
}

/// A scalar type of PTX (`.b8` ... `.pred`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    Tf32,
    F32,
    F64,
    Pred,
}

impl Type {
    /// The type that a directive or a modifier names, without its dot.
    pub fn named(name: &str) -> Option<Type> {
        use Type::*;
        Some(match name {
            "b8" => B8,
            "b16" => B16,
            "b32" => B32,
            "b64" => B64,
            "b128" => B128,
            "u8" => U8,
            "u16" => U16,
            "u32" => U32,
            "u64" => U64,
            "s8" => S8,
            "s16" => S16,
            "s32" => S32,
            "s64" => S64,
            "f16" => F16,
            "f16x2" => F16x2,
            "bf16" => Bf16,
            "bf16x2" => Bf16x2,
            "tf32" => Tf32,
            "f32" => F32,
            "f64" => F64,
            "pred" => Pred,
            _ => return None,
        })
    }

    /// Bytes in memory; a predicate has none and counts as 1.
    pub fn bytes(self) -> usize {
        use Type::*;
        match self {
            B8 | U8 | S8 | Pred => 1,
            B16 | U16 | S16 | F16 | Bf16 => 2,
            B32 | U32 | S32 | F16x2 | Bf16x2 | Tf32 | F32 => 4,
            B64 | U64 | S64 | F64 => 8,
            B128 => 16,
        }
    }
}

/// A declared variable: module scope, function scope, or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    pub line: u32,
    pub linking: Linking,
    pub space: Space,
    pub align: Option<u32>,
    /// `.v2` / `.v4` element count, 1 for scalars.
    pub vector: u32,
    pub ty: Type,
    pub name: String,
    /// `Some(0)` where the brackets are empty (`.extern .shared .b8 sm[]`); product of all dimensions.
    pub count: Option<u64>,
    /// `.attribute(.managed)`: the host reaches it, too.
    pub managed: bool,
    pub init: Vec<Init>,
}

/// One element of an initialiser, flattened in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    Number(Immediate),
    /// Address of a symbol plus bytes; `generic(sym)` sets the flag. `0xFF00(sym)` keeps only the bits under the mask,
    /// shifted down to bit 0: NVRTC fills a packed structure byte by byte that way.
    Address {
        symbol: String,
        offset: i64,
        generic: bool,
        mask: Option<u64>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `.reg .b32 %r<10>;` gives prefix `%r`, count `Some(10)`; `.reg .pred p, q;` gives one entry a name.
    Registers {
        line: u32,
        ty: Type,
        names: Vec<(String, Option<u32>)>,
    },
    Variable(Variable),
    Label {
        line: u32,
        name: String,
    },
    Instruction(Instruction),
    Scope(Vec<Statement>),
    /// `.loc file line column`
    Loc {
        file: u32,
        line: u32,
        column: u32,
    },
    /// `.branchtargets` / `.calltargets` / `.callprototype`, under the label that precedes it.
    Targets {
        line: u32,
        label: String,
        names: Vec<String>,
    },
    Prototype {
        line: u32,
        label: String,
        returns: Vec<Variable>,
        params: Vec<Variable>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub line: u32,
    /// `@%p` or `@!%p`: the register and whether it is negated.
    pub guard: Option<(String, bool)>,
    /// The base opcode: `mma`, `ld`, `cp`.
    pub opcode: String,
    /// Everything after it, in order, without dots: `["sync", "aligned", "m16n8k16", "row", "col", "f32", ...]`.
    /// `cp.async.cg.shared.global.L2::128B` keeps `L2::128B` whole; `st.async` etc. likewise.
    pub modifiers: Vec<String>,
    pub operands: Vec<Operand>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Immediate {
    /// Decimal, hex, octal, binary, with or without `U`; a leading minus is applied.
    Integer(i128),
    /// `0f3F800000`: the bits.
    F32(u32),
    /// `0d...` or a decimal literal: the bits.
    F64(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register, a label, a variable (its address), a function, or a special register such as `%tid.x`
    /// (the dot and component kept in the name).
    Name(String),
    /// `!%p`
    Not(String),
    /// `%p|%q`, as `setp` and `shfl` write them; `_` is the name `_`.
    Pair(String, String),
    Immediate(Immediate),
    /// `[base+offset]`; a bare number has an empty base.
    Address {
        base: String,
        offset: i64,
    },
    /// `[base+offset, {x, y}]` of tensor copies, and `[base, {x, y}, {i, j}]`: the vectors in order.
    Tensor {
        base: String,
        offset: i64,
        coordinates: Vec<Operand>,
    },
    /// `{a, b, c, d}` of names and immediates; `_` is the name `_`.
    Vector(Vec<Operand>),
    /// `(a, b)` of a call: returns or arguments.
    List(Vec<Operand>),
    /// `name+offset` outside brackets.
    NameOffset(String, i64),
}
