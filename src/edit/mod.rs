//! The edit: two prompts and a picture in, the edited picture and its mask out.

pub(crate) mod defaults;
mod dump;
mod figures;
mod memory;
mod noise;
mod request;
mod session;
mod settings;
mod stages;
mod state;

pub use memory::{MemoryPlan, StageMemory};
pub use noise::{Noise, map_seed};
pub use request::{
    Dropped, Dump, DumpData, DumpTensor, EditFigures, EditRequest, EditResult, Event, MapSettings, MaskSettings,
    MaskSource, Posterior, Timing, VaeTiling,
};

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use half::f16;
use image::RgbImage;

use crate::device::{Compiler, Device, DeviceChoice, Mark};
use crate::error::{Error, Result};
use crate::mask::{Map, Mask};
use crate::model::{Model, ModelFiles, Parts, Tokenizer};
use crate::picture::Placement;
use crate::plan::Tensor;
use noise::channels_last;
use session::Session;
use settings::Settings;
pub use stages::Plans;
use state::{NEGATIVE, PROMPTS, SOURCE, TARGET};

/// The most steps queued on the device ahead of the one it runs.
const STEPS_AHEAD: usize = 2;

/// What an [`Editor`] is opened with.
pub struct EditorOptions {
    pub device: DeviceChoice,
    pub compiler: Compiler,
    /// Gives every planned tensor memory of its own, filled with NaN, instead of a place in one arena: slow, and the
    /// same bits. For finding kernels that read what they should not.
    pub separate_memory: bool,
}

/// A model on a device, ready to edit any number of pictures.
pub struct Editor {
    device: Arc<Device>,
    tokenizer: Tokenizer,
    model: Model,
    session: Option<Session>,
    separate_memory: bool,
}

/// Asked after every event whether to go on.
pub type Observer<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

impl Editor {
    /// Checks the model, opens the device and loads it; `progress` is told each part before it is loaded.
    pub fn open(files: &ModelFiles, options: EditorOptions, progress: &mut dyn FnMut(&'static str)) -> Result<Editor> {
        progress("tokenizer");
        let parts = Parts::open(files)?;
        let device = Device::open(&options.device, options.compiler)?;
        let model = Model::load(&device, &parts, progress)?;
        Ok(Editor {
            device,
            tokenizer: parts.tokenizer,
            model,
            session: None,
            separate_memory: options.separate_memory,
        })
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Edits a picture.
    ///
    /// # Errors
    /// [`Error::Request`] for settings out of range, [`Error::Cancelled`] when the observer breaks off, and whatever
    /// the device fails with.
    pub fn edit(&mut self, request: &EditRequest, observer: &mut Observer) -> Result<EditResult> {
        let mut run = self.begin(request, observer)?;
        run.encode()?;
        run.find_mask(observer)?;
        run.denoise(observer)?;
        run.decode()?;
        run.finish(request)
    }

    /// The first half alone: the mask, and the map it came from. The result's picture is the original.
    pub fn mask(&mut self, request: &EditRequest, observer: &mut Observer) -> Result<EditResult> {
        let mut run = self.begin(request, observer)?;
        run.encode()?;
        run.find_mask(observer)?;
        run.finish(request)
    }

    /// An edit's stages as they would run, recorded but not compiled.
    pub fn plans(&self, request: &EditRequest) -> Result<Plans> {
        Plans::record(&self.model, request, self.device.capabilities())
    }

    /// Makes or finds the session for a request, and uploads what the request brings.
    fn begin<'a>(&'a mut self, request: &'a EditRequest, observer: &mut Observer) -> Result<Run<'a>> {
        let settings = Settings::new(&self.model, request)?;
        let settings = Settings { separate_memory: self.separate_memory, ..settings };
        if self.session.as_ref().is_none_or(|session| session.settings != settings) {
            // The old session's memory goes before the new one's comes.
            self.session = None;
            self.session = Some(self.compile(settings, observer)?);
        }
        let session = self.session.as_ref().expect("made above");
        if session.vae_tiled && request.vae_tiling == VaeTiling::Auto {
            observe(observer, &self.device, Event::VaeTiled)?;
        }
        Run::begin(&self.device, &self.tokenizer, session, request)
    }

    /// Plans a session; compiling is told to the observer from this thread, though it happens on others.
    fn compile(&self, settings: Settings, observer: &mut Observer) -> Result<Session> {
        let (device, model) = (&self.device, &self.model);
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || {
                // The receiver outlives this thread.
                let progress = |done, total| _ = sender.send(Event::Compiling { done, total });
                Session::new(device, model, settings, &progress)
            });
            let mut cancelled = false;
            for event in receiver {
                cancelled |= observer(event).is_break();
            }
            let session = worker.join().expect("a session does not panic")?;
            if cancelled { Err(Error::Cancelled) } else { Ok(session) }
        })
    }
}

/// One edit under way.
struct Run<'a> {
    device: &'a Device,
    session: &'a Session,
    /// The picture as the model sees it.
    original: RgbImage,
    placement: Placement,
    noise: Noise,
    ids: Vec<i32>,
    dropped: Vec<Dropped>,
    /// Ends of the stages, with the names of what came before them.
    marks: Vec<(&'static str, Mark)>,
    mask_source: &'a MaskSource,
    macs: u64,
}

impl<'a> Run<'a> {
    /// Uploads picture, tokens and noise, and whatever is given of mask and map.
    fn begin(
        device: &'a Device,
        tokenizer: &Tokenizer,
        session: &'a Session,
        request: &'a EditRequest,
    ) -> Result<Run<'a>> {
        let (settings, state) = (&session.settings, &session.state);
        let canvas = (state.picture.dim(1) as u32, state.picture.dim(0) as u32);
        let placement = Placement::new(request.picture.dimensions(), canvas, request.resize);
        let original = placement.place(&request.picture);
        let shape = settings.noise_shape();
        let noise = match &request.noise {
            Some(noise) => noise.clone(),
            None => {
                let posterior_seed = if let Posterior::Sample { seed } = request.posterior { seed } else { 0 };
                Noise::draw(shape, request.seed, posterior_seed)
            }
        };
        noise.check(shape)?;
        let (ids, dropped) = tokenize(tokenizer, state.ids.dim(1), request)?;

        let begin = device.mark()?;
        device.write(&state.picture, original.as_raw())?;
        device.write(&state.ids, &ids)?;
        let upload = |tensor: &Tensor, planes: &[f16]| device.write(tensor, &channels_last(planes, settings.pixels()));
        upload(&state.start_noise, &noise.start)?;
        upload(&state.step_noise, &noise.steps)?;
        if let Some(tensor) = &state.map_noise {
            upload(tensor, &noise.maps)?;
        }
        if let Some(tensor) = &state.posterior_noise {
            upload(tensor, &noise.posterior)?;
        }
        let fits = |width, height| {
            let fits = (height, width) == (settings.height, settings.width);
            let wanted = format!("{}x{}", settings.width, settings.height);
            if fits {
                Ok(())
            } else {
                Err(Error::Request(format!("a mask or map of {width}x{height}, wanted {wanted}")))
            }
        };
        match &request.mask {
            MaskSource::Prompts(_) => {}
            MaskSource::Map(map) => {
                fits(map.width(), map.height())?;
                device.write(&state.map, map.values())?;
            }
            MaskSource::Mask(mask) => {
                fits(mask.width(), mask.height())?;
                device.write(&state.mask, mask.cells())?;
            }
        }
        let marks = vec![("begin", begin)];
        let mask_source = &request.mask;
        Ok(Run { device, session, original, placement, noise, ids, dropped, marks, mask_source, macs: 0 })
    }

    fn encode(&mut self) -> Result<()> {
        self.session.encode.run(self.device)?;
        self.macs += self.session.macs[0];
        self.mark("encode")
    }

    /// Computes what is not given: the map, and from it the mask.
    fn find_mask(&mut self, observer: &mut Observer) -> Result<()> {
        if let Some(stage) = &self.session.settings.map {
            let total = stage.maps;
            let mut queue = Queue::new(self.device)?;
            observe(observer, self.device, Event::Map { done: 0, total })?;
            let chunks = stages::map_chunks(&self.session.settings, stage);
            for (program, maps) in self.session.map.iter().zip(chunks) {
                program.run(self.device)?;
                queue.push(Event::Map { done: maps.end, total }, observer)?;
            }
            queue.drain(observer)?;
            self.macs += self.session.macs[1];
        }
        if !matches!(self.mask_source, MaskSource::Mask(_)) {
            self.session.mask.run(self.device)?;
        }
        self.mark("mask")
    }

    /// From the noised picture to the edited latents, a graph launch a step.
    fn denoise(&mut self, observer: &mut Observer) -> Result<()> {
        let total = self.session.settings.run_steps();
        self.device.fill(&self.session.state.counter, 0)?;
        self.session.start.run(self.device)?;
        let mut queue = Queue::new(self.device)?;
        observe(observer, self.device, Event::Step { done: 0, total })?;
        for step in 0..total {
            self.session.step.launch(self.device)?;
            queue.push(Event::Step { done: step + 1, total }, observer)?;
        }
        queue.drain(observer)?;
        self.macs += self.session.macs[2] * total as u64;
        self.mark("denoise")
    }

    fn decode(&mut self) -> Result<()> {
        self.session.decode.run(self.device)?;
        self.macs += self.session.macs[3];
        self.mark("decode")
    }

    /// Downloads picture and mask, and whatever else was asked for.
    fn finish(self, request: &EditRequest) -> Result<EditResult> {
        let (device, settings, state) = (self.device, &self.session.settings, &self.session.state);
        let decoded = self.marks.iter().any(|(stage, _)| *stage == "decode");
        let picture = if decoded {
            let pixels = device.read(&state.output)?;
            RgbImage::from_raw(self.original.width(), self.original.height(), pixels).expect("the tensor's shape")
        } else {
            self.original.clone()
        };
        let mask = Mask::new(settings.width, settings.height, device.read(&state.mask)?)?;
        let map = match self.mask_source {
            MaskSource::Mask(_) => None,
            _ => Some(Map::new(settings.width, settings.height, device.read(&state.map)?)?),
        };
        let timings = self
            .marks
            .windows(2)
            .map(|pair| Ok(Timing { stage: pair[1].0, duration: device.elapsed(&pair[0].1, &pair[1].1)? }))
            .collect::<Result<_>>()?;
        let dump = if request.dump { Some(self.dump(decoded, &picture)?) } else { None };
        let figures = if request.figures && decoded { self.figures()? } else { None };
        let Run { original, placement, dropped, macs, .. } = self;
        Ok(EditResult { picture, original, placement, mask, map, timings, macs, dropped, dump, figures })
    }

    fn mark(&mut self, stage: &'static str) -> Result<()> {
        self.marks.push((stage, self.device.mark()?));
        Ok(())
    }
}

/// The prompts' ids in the device's order, `length` each, and the ends that did not fit.
fn tokenize(tokenizer: &Tokenizer, length: usize, request: &EditRequest) -> Result<(Vec<i32>, Vec<Dropped>)> {
    let mut prompts = [("", ""); PROMPTS];
    prompts[NEGATIVE] = ("negative", &request.negative);
    prompts[TARGET] = ("target", &request.target);
    prompts[SOURCE] = ("source", &request.source);
    let (mut ids, mut dropped) = (Vec::new(), Vec::new());
    for (prompt, text) in prompts {
        let tokens = tokenizer.encode(text, length)?;
        ids.extend(tokens.ids);
        dropped.extend(tokens.dropped.map(|end| Dropped { prompt, end }));
    }
    Ok((ids, dropped))
}

/// Tells the observer; if it breaks off, lets the device finish what is queued.
fn observe(observer: &mut Observer, device: &Device, event: Event) -> Result<()> {
    match observer(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            device.synchronize()?;
            Err(Error::Cancelled)
        }
    }
}

/// Work under way on the device, oldest first, each with what to tell when it is done. Nothing waits for the device
/// but when it is [`STEPS_AHEAD`] behind, and nothing is allocated after the start.
struct Queue<'a> {
    device: &'a Device,
    pending: VecDeque<(Mark, Event)>,
    spare: Vec<Mark>,
}

impl<'a> Queue<'a> {
    fn new(device: &'a Device) -> Result<Queue<'a>> {
        let spare = (0..=STEPS_AHEAD).map(|_| device.mark()).collect::<Result<_>>()?;
        Ok(Queue { device, pending: VecDeque::with_capacity(STEPS_AHEAD + 1), spare })
    }

    /// Marks the work queued last, and waits until no more than two pieces are pending.
    fn push(&mut self, event: Event, observer: &mut Observer) -> Result<()> {
        let mark = self.spare.pop().expect("no more are pending than there are marks");
        self.device.mark_again(&mark)?;
        self.pending.push_back((mark, event));
        self.wait_for(STEPS_AHEAD, observer)
    }

    /// Waits for all of it.
    fn drain(&mut self, observer: &mut Observer) -> Result<()> {
        self.wait_for(0, observer)
    }

    /// Polls, rather than blocks, so that each piece is told of as soon as it is done.
    fn wait_for(&mut self, pending: usize, observer: &mut Observer) -> Result<()> {
        const POLL_INTERVAL: std::time::Duration = std::time::Duration::from_micros(50);
        while self.pending.len() > pending {
            if self.device.reached(&self.pending[0].0)? {
                let (mark, event) = self.pending.pop_front().expect("some are pending");
                self.spare.push(mark);
                observe(observer, self.device, event)?;
            } else {
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        Ok(())
    }
}
