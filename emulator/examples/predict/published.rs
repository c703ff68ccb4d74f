//! The file of published measurements.

use cuda_emulator::device::Description;

/// What a measurement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Fit,
    Judge,
}

impl Split {
    pub fn name(self) -> &'static str {
        match self {
            Split::Fit => "fit",
            Split::Judge => "judge",
        }
    }
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    /// Bytes of device memory.
    Buffer(u64),
    Int(u32),
    /// The length of the kernel's loop.
    Loop,
}

/// A published rate, and the launch that does the same.
#[derive(Debug)]
pub struct Measurement {
    pub name: String,
    pub split: Split,
    pub device: Description,
    /// `FILE:KERNEL`
    pub kernel: String,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: u32,
    pub arguments: Vec<Argument>,
    /// Two short lengths of the kernel's loop that the launch is counted with, and the published one.
    pub loops: Option<[u32; 3]>,
    /// Operations or bytes.
    pub work: f64,
    /// Operations or bytes a second.
    pub rate: f64,
}

/// All measurements of `benches/published.toml`.
pub fn read() -> Vec<Measurement> {
    let text = include_str!("../../benches/published.toml");
    text.split("[[measurement]]").skip(1).map(|table| Table(table).measurement()).collect()
}

/// The lines of one table.
struct Table<'a>(&'a str);

impl<'a> Table<'a> {
    fn find(&self, name: &str) -> Option<&'a str> {
        let mut values = self.0.lines().filter_map(|line| line.split_once(" = "));
        values.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
    }

    fn value(&self, name: &str) -> &'a str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    fn text(&self, name: &str) -> &'a str {
        self.value(name).trim_matches('"')
    }

    fn number(&self, name: &str) -> f64 {
        self.value(name).parse().unwrap_or_else(|_| panic!("{name} is no number in {}", self.0))
    }

    fn list(&self, name: &str) -> Vec<&'a str> {
        let list = self.value(name).trim_matches(['[', ']']);
        list.split(", ").map(|element| element.trim_matches('"')).collect()
    }

    fn shape(&self, name: &str) -> [u32; 3] {
        let sides: Vec<u32> = self.list(name).iter().map(|side| side.parse().expect("a side")).collect();
        sides.try_into().expect("three sides")
    }

    fn measurement(&self) -> Measurement {
        let argument = |argument: &str| {
            if argument == "loop" {
                return Argument::Loop;
            }
            let (kind, value) = argument.split_once(' ').expect("kind and value");
            match kind {
                "buffer" => Argument::Buffer(value.parse().expect("bytes")),
                "int" => Argument::Int(value.parse().expect("an integer")),
                _ => panic!("{kind} is no kind of argument"),
            }
        };
        Measurement {
            name: self.text("name").into(),
            split: match self.text("split") {
                "fit" => Split::Fit,
                "judge" => Split::Judge,
                other => panic!("{other} is no split"),
            },
            device: Description::by_name(self.text("device")).expect("a known device"),
            kernel: self.text("kernel").into(),
            grid: self.shape("grid"),
            block: self.shape("block"),
            shared_bytes: self.number("shared_bytes") as u32,
            loops: self.find("loops").map(|_| self.shape("loops")),
            arguments: self.list("arguments").into_iter().map(argument).collect(),
            work: self.number("work"),
            rate: self.number("rate"),
        }
    }
}
