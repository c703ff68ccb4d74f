//! Work that was asked for and is not done.
//!
//! Nothing runs when it is enqueued. Every item has a ticket and names the tickets it must wait for; a wait of the host
//! runs what its ticket needs and no more, in the order of submission, or in a permuted one. So work happens as late
//! as the rules of streams allow: a program that forgot to wait finds old data. What a program may count on without a
//! wait, because a device goes on by itself, `background` runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::types::CUcontext;
use super::work::Work;
use crate::exec::Control;

/// Names an item. Tickets grow with time, and an item waits for smaller ones only.
pub type Ticket = u64;

/// How long the host may be busy with something else before the device goes on by itself, and how long a host function
/// may take before it counts as waiting for something.
pub const PATIENCE: Duration = Duration::from_millis(25);
/// How long work that could run is put off at most, whatever the host does, and how long a kernel may take before it
/// counts as waiting for something.
pub const LATEST: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub struct Item {
    pub context: CUcontext,
    pub needs: Vec<Ticket>,
    pub work: Arc<Work>,
    added: Instant,
    /// It stands in the list of what the device's threads are to run.
    demanded: bool,
}

/// Who runs an item, and since when.
#[derive(Clone, Debug)]
struct Running {
    ticket: Ticket,
    control: Arc<Control>,
    since: Instant,
    /// A thread of the device, not one of the host that waits for it.
    by_device: bool,
}

/// One piece of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub ticket: Ticket,
    /// Whether what is waited for needs it; otherwise it runs only because it may.
    pub asked: bool,
}

/// The items of all contexts that are not done.
#[derive(Debug, Default)]
pub struct Queue {
    next: Ticket,
    /// Those that run included.
    pending: BTreeMap<Ticket, Item>,
    /// Few.
    running: Vec<Running>,
    /// What the device's threads are to run, in this order.
    demands: VecDeque<Ticket>,
}

impl Queue {
    /// Adds an item; needs that are done already are forgotten.
    pub fn add(&mut self, context: CUcontext, needs: &[Ticket], work: Arc<Work>) -> Ticket {
        let needs = needs.iter().copied().filter(|&need| self.is_pending(need)).collect();
        let ticket = self.next;
        self.next += 1;
        self.pending.insert(ticket, Item { context, needs, work, added: Instant::now(), demanded: false });
        ticket
    }

    /// Whether an item is not done.
    pub fn is_pending(&self, ticket: Ticket) -> bool {
        self.pending.contains_key(&ticket)
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Begins to run an item: its context, its work, and the control of what runs. `None` where it is done, was dropped,
    /// or runs already.
    pub fn begin(&mut self, ticket: Ticket, by_device: bool) -> Option<(CUcontext, Arc<Work>, Arc<Control>)> {
        let item = self.pending.get(&ticket).filter(|_| !self.is_running(ticket))?;
        let control = Arc::<Control>::default();
        let begun = (item.context, Arc::clone(&item.work), Arc::clone(&control));
        self.running.push(Running { ticket, control, since: Instant::now(), by_device });
        Some(begun)
    }

    /// Takes an item out, to do its work at once.
    pub fn take(&mut self, ticket: Ticket) -> Option<Item> {
        self.pending.remove(&ticket)
    }

    /// Notes that an item is done.
    pub fn end(&mut self, ticket: Ticket) {
        self.running.retain(|running| running.ticket != ticket);
        self.pending.remove(&ticket);
    }

    pub fn is_running(&self, ticket: Ticket) -> bool {
        self.running(ticket).is_some()
    }

    fn running(&self, ticket: Ticket) -> Option<&Running> {
        self.running.iter().find(|running| running.ticket == ticket)
    }

    /// Whether anything runs.
    pub fn has_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether an item runs and seems to wait for the host, or for other work.
    pub fn is_stalled(&self, ticket: Ticket) -> bool {
        let Some(running) = self.running(ticket) else { return false };
        match self.work(ticket) {
            Some(Work::Kernel { .. }) => running.control.waits() || running.since.elapsed() >= LATEST,
            _ => running.since.elapsed() >= PATIENCE,
        }
    }

    /// Whether everything that runs, or that threads of the device run, seems to wait for something.
    pub fn all_stalled(&self, of_device: bool) -> bool {
        let mut running = self.running.iter().filter(|running| running.by_device || !of_device);
        running.all(|running| self.is_stalled(running.ticket))
    }

    /// Adds what is pending of `tickets` to what the device's threads are to run.
    pub fn demand(&mut self, tickets: &[Ticket]) {
        for &ticket in tickets {
            if let Some(item) = self.pending.get_mut(&ticket)
                && !std::mem::replace(&mut item.demanded, true)
            {
                self.demands.push_back(ticket);
            }
        }
    }

    /// Whether all of `tickets` that are not done are to be run by the device's threads.
    pub fn are_demanded(&self, tickets: &[Ticket]) -> bool {
        tickets.iter().all(|ticket| self.pending.get(ticket).is_none_or(|item| item.demanded))
    }

    /// What the device's threads are to run and could run now.
    pub fn ready_demands(&self) -> impl Iterator<Item = Ticket> {
        self.demands.iter().copied().filter(|&ticket| self.is_ready(ticket))
    }

    /// Forgets those of the first demands that are done.
    pub fn forget_demands(&mut self) {
        while self.demands.front().is_some_and(|&ticket| !self.is_pending(ticket)) {
            self.demands.pop_front();
        }
    }

    /// Whether the device's threads are to run anything.
    pub fn has_demands(&self) -> bool {
        !self.demands.is_empty()
    }

    /// Every ticket of `context` that is not done.
    pub fn of_context(&self, context: CUcontext) -> Vec<Ticket> {
        self.pending.iter().filter(|(_, item)| item.context == context).map(|(&ticket, _)| ticket).collect()
    }

    /// Calls `visit` with everything that is not done.
    pub fn visit_work(&self, visit: &mut impl FnMut(&Work)) {
        self.pending.values().for_each(|item| visit(&item.work));
    }

    /// Whether an item could begin now.
    pub fn is_ready(&self, ticket: Ticket) -> bool {
        let is_free = |item: &Item| item.needs.iter().all(|&need| !self.is_pending(need));
        !self.is_running(ticket) && self.pending.get(&ticket).is_some_and(is_free)
    }

    /// What could begin now, in the order of submission.
    pub fn ready(&self) -> impl Iterator<Item = Ticket> {
        self.pending.keys().copied().filter(|&ticket| self.is_ready(ticket))
    }

    /// What could begin now and was put off for long enough.
    pub fn overdue(&self) -> impl Iterator<Item = Ticket> {
        let old = self.pending.iter().take_while(|(_, item)| item.added.elapsed() >= LATEST);
        old.map(|(&ticket, _)| ticket).filter(|&ticket| self.is_ready(ticket))
    }

    /// The work of a ticket that is not done.
    pub fn work(&self, ticket: Ticket) -> Option<&Work> {
        self.pending.get(&ticket).map(|item| &*item.work)
    }

    /// Forgets the work of `context` that does not run.
    fn drop_context(&mut self, context: CUcontext) {
        let running = &self.running;
        let runs = |ticket| running.iter().any(|running| running.ticket == ticket);
        self.pending.retain(|&ticket, item| item.context != context || runs(ticket));
    }

    /// After a fault nothing of `context` runs any more: stops its kernels and forgets what has not begun, but for the
    /// callbacks, which begin now, in the order of submission.
    pub fn fail_context(&mut self, context: CUcontext, by_device: bool) -> Vec<(Ticket, Arc<Work>)> {
        let own = self.of_context(context);
        own.iter().filter_map(|&ticket| self.running(ticket)).for_each(|running| running.control.stop());
        let is_callback = |ticket: &Ticket| matches!(self.work(*ticket), Some(Work::Callback { .. }));
        let callbacks: Vec<Ticket> = own.into_iter().filter(is_callback).collect();
        let begun: Vec<(Ticket, Arc<Work>)> =
            callbacks.into_iter().filter_map(|ticket| Some((ticket, self.begin(ticket, by_device)?.1))).collect();
        self.drop_context(context);
        begun
    }

    /// What must run for `targets` to be done, in an order that respects every need. Seed 0: nothing else, in the
    /// order of submission. Other seeds: an order permuted by the seed, and some work that nobody asked for, as a
    /// device does that has nothing better to do.
    pub fn schedule(&self, targets: &[Ticket], seed: u64) -> Vec<Step> {
        let asked = self.closure(targets);
        if seed == 0 {
            return asked.into_iter().map(|ticket| Step { ticket, asked: true }).collect();
        }
        let mut random = Random::new(seed ^ self.next.rotate_left(32));
        let unasked: Vec<Ticket> =
            self.pending.keys().copied().filter(|ticket| !asked.contains(ticket) && random.below(2) == 0).collect();
        let wanted = &asked | &self.closure(&unasked);
        let order = self.permute(&wanted, &mut random);
        order.into_iter().map(|ticket| Step { ticket, asked: asked.contains(&ticket) }).collect()
    }

    /// The pending ones of `targets` and everything that they wait for.
    pub fn closure(&self, targets: &[Ticket]) -> BTreeSet<Ticket> {
        let mut found = BTreeSet::new();
        let mut open = targets.to_vec();
        while let Some(ticket) = open.pop() {
            if let Some(item) = self.pending.get(&ticket)
                && found.insert(ticket)
            {
                open.extend(&item.needs);
            }
        }
        found
    }

    /// A random order of `tickets` in which every item comes after its needs.
    fn permute(&self, tickets: &BTreeSet<Ticket>, random: &mut Random) -> Vec<Ticket> {
        let mut waiting: BTreeMap<Ticket, usize> = BTreeMap::new();
        let mut dependents: BTreeMap<Ticket, Vec<Ticket>> = BTreeMap::new();
        for &ticket in tickets {
            let needs = self.pending[&ticket].needs.iter().filter(|need| tickets.contains(need));
            let mut count = 0;
            for &need in needs {
                dependents.entry(need).or_default().push(ticket);
                count += 1;
            }
            waiting.insert(ticket, count);
        }
        let mut ready: Vec<Ticket> = tickets.iter().copied().filter(|ticket| waiting[ticket] == 0).collect();
        let mut order = Vec::with_capacity(tickets.len());
        while !ready.is_empty() {
            let ticket = ready.swap_remove(random.below(ready.len() as u64) as usize);
            order.push(ticket);
            for dependent in dependents.remove(&ticket).unwrap_or_default() {
                if let Some(count) = waiting.get_mut(&dependent) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(dependent);
                    }
                }
            }
        }
        order
    }
}

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is small enough for the bias not to matter.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: CUcontext = CUcontext(16);

    fn add(queue: &mut Queue, needs: &[Ticket]) -> Ticket {
        queue.add(CONTEXT, needs, Arc::new(Work::Nothing))
    }

    fn order(queue: &Queue, target: Ticket, seed: u64) -> Vec<Ticket> {
        queue.schedule(&[target], seed).into_iter().map(|step| step.ticket).collect()
    }

    #[test]
    fn seed_zero_runs_only_what_is_needed() {
        let mut queue = Queue::default();
        let first = add(&mut queue, &[]);
        let _other = add(&mut queue, &[]);
        let second = add(&mut queue, &[first]);
        assert_eq!(order(&queue, second, 0), [first, second]);
        queue.end(first);
        assert_eq!(order(&queue, second, 0), [second]);
    }

    #[test]
    fn what_runs_is_not_ready_and_is_not_done() {
        let mut queue = Queue::default();
        let (first, other) = (add(&mut queue, &[]), add(&mut queue, &[]));
        let second = add(&mut queue, &[first]);
        queue.demand(&[first, second]);
        assert!(queue.begin(first, false).is_some() && queue.begin(first, true).is_none());
        assert_eq!(queue.ready().collect::<Vec<_>>(), [other]);
        assert_eq!(queue.ready_demands().next(), None);
        assert!(queue.is_pending(first) && !queue.is_stalled(first) && queue.all_stalled(true));
        queue.drop_context(CONTEXT);
        assert!(queue.is_pending(first) && !queue.is_pending(other), "what runs stays");
        let third = add(&mut queue, &[first]);
        queue.demand(&[third]);
        queue.end(first);
        assert_eq!(queue.ready_demands().collect::<Vec<_>>(), [third]);
        assert_eq!(queue.overdue().next(), None);
    }

    #[test]
    fn every_permutation_respects_the_needs_and_they_differ() {
        let mut queue = Queue::default();
        let roots: Vec<Ticket> = (0..6).map(|_| add(&mut queue, &[])).collect();
        let join = add(&mut queue, &roots);
        let last = add(&mut queue, &[join]);
        let mut orders = BTreeSet::new();
        for seed in 1..20 {
            let order = order(&queue, last, seed);
            let place = |ticket| order.iter().position(|&other| other == ticket).unwrap();
            assert!(roots.iter().all(|&root| place(root) < place(join)), "seed {seed}: {order:?}");
            assert!(place(join) < place(last), "seed {seed}: {order:?}");
            orders.insert(order);
        }
        assert!(orders.len() > 10, "only {} orders", orders.len());
    }
}
