//! NumPy's `.npy` format, for one array of floats in two dimensions.
//!
//! Layout: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>: a magic string and version, the
//! length of the header, the header as a Python dictionary, the values.

const MAGIC: &[u8] = b"\x93NUMPY";
/// Values start at a multiple of this many bytes.
const ALIGNMENT: usize = 64;

/// The bytes of a file with an array of shape (height, width) of little-endian 32-bit floats.
pub(super) fn format(width: usize, height: usize, values: &[f32]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}), }}");
    let preamble = MAGIC.len() + 4;
    let padded = (preamble + header.len() + 1).next_multiple_of(ALIGNMENT) - preamble - 1;
    header = format!("{header:<padded$}\n");
    let mut bytes = [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Width, height and values, row by row, of an array of 16-, 32- or 64-bit floats whose leading dimensions are 1.
pub(super) fn parse(bytes: &[u8]) -> Result<(usize, usize, Vec<f32>), String> {
    let truncated = || "the file ends too early".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or("not a .npy file")?;
    let (&[major, _minor], rest) = rest.split_first_chunk().ok_or_else(truncated)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk().map(|(length, rest)| (u16::from_le_bytes(*length) as usize, rest)),
        2 | 3 => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
        _ => return Err(format!(".npy version {major} is unknown")),
    }
    .ok_or_else(truncated)?;
    let (header, data) = rest.split_at_checked(length).ok_or_else(truncated)?;
    let header = Header::parse(header)?;

    let (height, width) = header.shape;
    let area = width.checked_mul(height).ok_or("the shape is absurd")?;
    if Some(data.len()) != area.checked_mul(header.float.bytes()) {
        return Err(format!("{} bytes do not make {height} x {width} floats", data.len()));
    }
    let values = header.float.read(data);
    if !header.columns_first {
        return Ok((width, height, values));
    }
    let rows = (0..area).map(|index| values[index % width * height + index / width]).collect();
    Ok((width, height, rows))
}

/// What the dictionary says.
struct Header {
    float: Float,
    columns_first: bool,
    /// Height and width.
    shape: (usize, usize),
}

impl Header {
    fn parse(text: &[u8]) -> Result<Header, String> {
        let text = std::str::from_utf8(text).map_err(|_| "the header is not text")?;
        let value = |key: &str| {
            let (_, rest) = text.split_once(key)?;
            Some(rest.trim_start().strip_prefix(':')?.trim_start())
        };
        let descr = value("'descr'").ok_or("the header names no type")?;
        let float = Float::parse(descr)?;
        let columns_first = value("'fortran_order'").ok_or("the header names no order")?.starts_with("True");
        let shape = value("'shape'").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).map(|(shape, _)| shape);
        let shape = shape.ok_or("the header names no shape")?;
        let sizes: Result<Vec<usize>, _> =
            shape.split(',').map(str::trim).filter(|size| !size.is_empty()).map(str::parse).collect();
        match sizes.map_err(|_| format!("the shape ({shape}) is not one of sizes"))?.as_slice() {
            [leading @ .., height, width] if leading.iter().all(|&size| size == 1) => {
                Ok(Header { float, columns_first, shape: (*height, *width) })
            }
            _ => Err(format!("the shape ({shape}) is not that of one map, (height, width)")),
        }
    }
}

/// The little-endian floats that are understood.
#[derive(Clone, Copy)]
enum Float {
    Half,
    Single,
    Double,
}

impl Float {
    fn parse(descr: &str) -> Result<Float, String> {
        let kinds = [("'<f2'", Float::Half), ("'<f4'", Float::Single), ("'<f8'", Float::Double)];
        kinds.into_iter().find(|(name, _)| descr.starts_with(name)).map(|(_, kind)| kind).ok_or_else(|| {
            let name = descr.split(',').next().unwrap_or_default();
            format!("the type {name} is not '<f2', '<f4' or '<f8'")
        })
    }

    fn bytes(self) -> usize {
        match self {
            Float::Half => 2,
            Float::Single => 4,
            Float::Double => 8,
        }
    }

    /// The values as single precision.
    fn read(self, data: &[u8]) -> Vec<f32> {
        match self {
            Float::Half => data.as_chunks().0.iter().map(|&bytes| half::f16::from_le_bytes(bytes).to_f32()).collect(),
            Float::Single => data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            Float::Double => data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect(),
        }
    }
}
