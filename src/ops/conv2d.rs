//! Convolutions as implicit products on the matrix engine: `kernels/conv2d.cu`.

use crate::error::Result;
use crate::plan::{Arg, DType, Launch, Plan, Tensor};

use super::linear::Activation;
use super::split_sum::Epilogue;
use super::tiles::Schedule;
use super::{count, ensure, ensure_tensor};

const OP: &str = "conv2d";

/// Which input pixels a window covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// Stride 1, padded by (kernel size - 1) / 2 on all sides.
    Same,
    /// Stride 2, padded by (kernel size - 1) / 2 on all sides: the UNet's.
    Downsample,
    /// Stride 2, padded by (kernel size - 1) / 2 below and on the right only: the VAE encoder's.
    DownsampleBottomRight,
    /// The input enlarged x2 by repeating its pixels, cropped to this size, then as [`Geometry::Same`].
    Upsample { height: usize, width: usize },
}

/// A row of a table that is added to every pixel: what the time embedding gives a ResNet block.
#[derive(Clone, Copy, Debug)]
pub struct TimeRow<'a> {
    /// (steps, total), fp16 or fp32.
    pub table: &'a Tensor,
    /// The convolution's first column in the table.
    pub column: usize,
    /// (1), i32: which row, read when the kernel runs; row 0 without it.
    pub step: Option<&'a Tensor>,
}

/// `convolution(input and skip, weight) + bias + time + residual`, summed in fp32 and rounded once.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a> {
    /// (batch, height, width, c1), fp16.
    pub input: &'a Tensor,
    /// (batch, height, width, c2), fp16: channels that follow the input's, as if the two were concatenated.
    pub skip: Option<&'a Tensor>,
    /// (o, kernel_size * kernel_size * (c1 + c2)), fp16: taps by rows, each with its channels.
    pub weight: &'a Tensor,
    /// (o), fp16.
    pub bias: Option<&'a Tensor>,
    /// 1 or 3.
    pub kernel_size: usize,
    pub geometry: Geometry,
    pub time: Option<TimeRow<'a>>,
    /// Of the output's shape, fp16.
    pub residual: Option<&'a Tensor>,
    /// Of the output: fp16 or fp32.
    pub output: DType,
}

/// A convolution's sizes, in pixels.
struct Window {
    /// What the taps walk over: the input, or the enlarged input.
    grid: [usize; 2],
    output: [usize; 2],
    stride: usize,
    /// Above and on the left; below and on the right the output's size says how far.
    padding: usize,
    upsample: bool,
    /// The first of the output's rows that are computed.
    first_row: usize,
}

/// Some rows of a convolution's output.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// The first of them, counted in what the geometry gives for the input at hand.
    pub first: usize,
    pub count: usize,
    /// Rows of the whole output, where the input at hand is itself some rows of another: the product is cut up as the
    /// whole would be, so that every row has the bits that it has there.
    pub of: usize,
}

impl Geometry {
    /// The sizes for an input of (height, width).
    fn window(self, kernel_size: usize, size: [usize; 2]) -> Window {
        let padding = (kernel_size - 1) / 2;
        let same = Window { grid: size, output: size, stride: 1, padding, upsample: false, first_row: 0 };
        match self {
            Geometry::Same => same,
            Geometry::Downsample => Window { output: size.map(|size| size.div_ceil(2)), stride: 2, ..same },
            Geometry::DownsampleBottomRight => {
                let output = size.map(|size| (size + padding - kernel_size) / 2 + 1);
                Window { output, stride: 2, padding: 0, ..same }
            }
            Geometry::Upsample { height, width } => {
                Window { grid: [height, width], output: [height, width], upsample: true, ..same }
            }
        }
    }
}

impl Conv2d<'_> {
    /// Records the convolution and gives its output: (batch, output height, output width, o).
    ///
    /// # Errors
    /// If shapes or dtypes do not fit together, channels are no multiples of 8, the kernel size is neither 1 nor 3, or
    /// an upsampled size is not between 1 and twice the input's.
    pub fn record(self, plan: &mut Plan) -> Result<Tensor> {
        let [batch, height, width, _] = self.check_input()?;
        let [height, width] = self.geometry.window(self.kernel_size, [height, width]).output;
        let output = plan.tensor(self.output, &[batch, height, width, self.weight.dim(0)]);
        self.record_rows(plan, Rows { first: 0, count: height, of: height }, &output)?;
        Ok(output)
    }

    /// Records some rows of the convolution's output, (batch, rows.count, output width, o).
    ///
    /// # Errors
    /// As [`Conv2d::record`], and if there are no such rows or the output is not of their shape.
    pub fn record_rows(self, plan: &mut Plan, rows: Rows, output: &Tensor) -> Result<()> {
        let [batch, height, width, c1] = self.check_input()?;
        let mut window = self.geometry.window(self.kernel_size, [height, width]);
        let Rows { first, count, of } = rows;
        ensure(OP, first + count <= window.output[0] && count <= of, || format!("{rows:?} of {:?}", window.output))?;
        let output_width = window.output[1];
        (window.output[0], window.first_row) = (count, first);
        let n = self.weight.dim(0);
        let k = self.kernel_size * self.kernel_size * (c1 + self.skip.map_or(0, Tensor::columns));
        let shape = [batch, count, output_width, n];
        self.check(&shape, k)?;
        ensure_tensor(OP, "output", output, self.output, &shape)?;

        let schedule = Schedule::choose(of * output_width, n, k, plan.capabilities().multiprocessors);
        let epilogue =
            Epilogue { bias: self.bias, time: self.time, activation: Activation::None, residual: self.residual };
        if schedule.parts == 1 {
            self.launch(plan, &schedule, &window, &epilogue, output)
        } else {
            let parts = plan.tensor(DType::F32, &[schedule.parts, batch * count * output_width, n]);
            self.launch(plan, &schedule, &window, &Epilogue::default(), &parts)?;
            epilogue.record_sum(plan, &parts, output)
        }
    }

    /// Records the product itself, with what follows it in the same kernel.
    fn launch(
        &self,
        plan: &mut Plan,
        schedule: &Schedule,
        window: &Window,
        epilogue: &Epilogue<'_>,
        output: &Tensor,
    ) -> Result<()> {
        let [batch, height, width, c1] = *self.input.shape() else { unreachable!("{:?}", self.input) };
        let (c2, n) = (self.skip.map_or(0, Tensor::columns), self.weight.dim(0));
        let Window { grid: [grid_height, grid_width], output: [output_height, output_width], .. } = *window;
        let rows = batch * output_height * output_width;
        let mut args = vec![
            Arg::Read(self.input.clone()),
            Arg::optional(self.skip),
            Arg::Read(self.weight.clone()),
            Arg::optional(epilogue.bias),
        ];
        args.extend(epilogue.time_tensors());
        args.extend([Arg::optional(epilogue.residual), Arg::Write(output.clone())]);
        let sizes = [batch, n, c1, c2, height, width, grid_height, grid_width, output_height, output_width];
        let number = |value| Ok(Arg::U32(count(OP, value)?));
        let walk = [self.kernel_size, window.stride, window.padding];
        args.extend(sizes.into_iter().chain(walk).map(number).collect::<Result<Vec<_>>>()?);
        args.push(Arg::I32((window.first_row * window.stride) as i32 - window.padding as i32));
        let output_f32 = usize::from(output.dtype() == DType::F32);
        let rest = [usize::from(window.upsample)].into_iter().chain(epilogue.time_sizes()).chain([output_f32]);
        args.extend(rest.map(number).collect::<Result<Vec<_>>>()?);
        plan.launch(Launch {
            unit: schedule.tile.unit("conv2d", epilogue.activation),
            entry: "conv2d",
            grid: schedule.grid(OP, rows, n)?,
            block: schedule.tile.threads(),
            shared_bytes: schedule.tile.shared_bytes(),
            args,
            macs: rows as u64 * self.weight.elements() as u64,
        });
        Ok(())
    }

    /// Checks what the output's shape is made from, and gives the input's dimensions.
    fn check_input(&self) -> Result<[usize; 4]> {
        let input = self.input;
        let shape: [usize; 4] = input.shape().try_into().unwrap_or_default();
        let [batch, height, width, c1] = shape;
        ensure(OP, input.dtype() == DType::F16 && input.shape().len() == 4 && input.elements() > 0, || {
            format!("input is {:?} {:?}, not fp16 (batch, height, width, channels)", input.dtype(), input.shape())
        })?;
        ensure(OP, batch * height * width < 1 << 31, || format!("input {shape:?}: pixels do not fit 31 bits"))?;
        let c2 = self.skip.map_or(0, Tensor::columns);
        ensure(OP, c1.is_multiple_of(8) && c2.is_multiple_of(8), || {
            format!("{c1} and {c2} channels are no multiples of 8")
        })?;
        if let Some(skip) = self.skip {
            ensure_tensor(OP, "skip", skip, DType::F16, &[batch, height, width, c2])?;
        }
        ensure(OP, matches!(self.kernel_size, 1 | 3), || format!("kernel size {} is not 1 or 3", self.kernel_size))?;
        let large_enough = height + 1 >= self.kernel_size && width + 1 >= self.kernel_size;
        ensure(OP, self.geometry != Geometry::DownsampleBottomRight || large_enough, || {
            format!("input {shape:?} is smaller than a window")
        })?;
        if let Geometry::Upsample { height: to_height, width: to_width } = self.geometry {
            let fits = (1..=2 * height).contains(&to_height) && (1..=2 * width).contains(&to_width);
            ensure(OP, fits, || {
                format!("({height}, {width}) enlarged x2 cannot be cropped to ({to_height}, {to_width})")
            })?;
        }
        Ok(shape)
    }

    /// Checks everything else against the output's shape and the length of a window.
    fn check(&self, output: &[usize; 4], k: usize) -> Result<()> {
        let [batch, output_height, output_width, n] = *output;
        ensure(OP, batch * output_height * output_width < 1 << 31, || {
            format!("output {output:?}: pixels do not fit 31 bits")
        })?;
        ensure(OP, matches!(self.output, DType::F16 | DType::F32), || format!("output is {:?}", self.output))?;
        ensure(OP, n > 0, || "a weight without rows".into())?;
        ensure_tensor(OP, "weight", self.weight, DType::F16, &[n, k])?;
        if let Some(bias) = self.bias {
            ensure_tensor(OP, "bias", bias, DType::F16, &[n])?;
        }
        if let Some(residual) = self.residual {
            ensure_tensor(OP, "residual", residual, DType::F16, output)?;
        }
        if let Some(time) = self.time {
            let table = time.table;
            let dtype = matches!(table.dtype(), DType::F16 | DType::F32);
            ensure(OP, dtype && table.shape().len() == 2 && time.column + n <= table.columns(), || {
                format!("time table {:?} {:?} has no {n} columns from {}", table.dtype(), table.shape(), time.column)
            })?;
            if let Some(step) = time.step {
                ensure_tensor(OP, "step", step, DType::I32, &[1])?;
            }
        }
        Ok(())
    }
}
