//! Work that was asked for and has not run yet.
//!
//! Nothing runs when it is enqueued. Every item has a ticket and names the tickets it must wait for; a wait of the host
//! runs what its ticket needs and no more, in the order of submission, or in a permuted one. So work happens as late
//! as the rules of streams allow: a program that forgot to wait finds old data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::types::CUcontext;
use super::work::Work;

/// Names an item. Tickets grow with time, and an item waits for smaller ones only.
pub type Ticket = u64;

#[derive(Clone, Debug)]
pub struct Item {
    pub context: CUcontext,
    pub needs: Vec<Ticket>,
    pub work: Arc<Work>,
}

/// The pending items of all contexts.
#[derive(Debug, Default)]
pub struct Queue {
    next: Ticket,
    pending: BTreeMap<Ticket, Item>,
}

impl Queue {
    /// Adds an item; needs that are done already are forgotten.
    pub fn add(&mut self, context: CUcontext, needs: &[Ticket], work: Arc<Work>) -> Ticket {
        let needs = needs.iter().copied().filter(|&need| self.is_pending(need)).collect();
        let ticket = self.next;
        self.next += 1;
        self.pending.insert(ticket, Item { context, needs, work });
        ticket
    }

    pub fn is_pending(&self, ticket: Ticket) -> bool {
        self.pending.contains_key(&ticket)
    }

    /// Takes an item out, to run it.
    pub fn take(&mut self, ticket: Ticket) -> Option<Item> {
        self.pending.remove(&ticket)
    }

    /// Every pending ticket of `context`.
    pub fn of_context(&self, context: CUcontext) -> Vec<Ticket> {
        self.pending.iter().filter(|(_, item)| item.context == context).map(|(&ticket, _)| ticket).collect()
    }

    /// Calls `visit` with everything that has not run.
    pub fn visit_work(&self, visit: &mut impl FnMut(&Work)) {
        self.pending.values().for_each(|item| visit(&item.work));
    }

    /// What could run now, except `blocked` and what waits for it, in the order of submission.
    pub fn ready(&self, blocked: &BTreeSet<Ticket>) -> Option<Ticket> {
        let is_ready = |item: &Item| item.needs.iter().all(|&need| !self.is_pending(need));
        self.pending
            .iter()
            .find(|(ticket, item)| !blocked.contains(ticket) && is_ready(item))
            .map(|(&ticket, _)| ticket)
    }

    /// The work of a ticket that is pending.
    pub fn work(&self, ticket: Ticket) -> Option<&Work> {
        self.pending.get(&ticket).map(|item| &*item.work)
    }

    /// Takes out the work of `context`, in the order of submission: after a fault nothing of it runs any more.
    pub fn drop_context(&mut self, context: CUcontext) -> Vec<Item> {
        let (dropped, kept) =
            std::mem::take(&mut self.pending).into_iter().partition(|(_, item)| item.context == context);
        self.pending = kept;
        let dropped: BTreeMap<Ticket, Item> = dropped;
        dropped.into_values().collect()
    }

    /// What must run for `targets` to be done, in an order that respects every need. Seed 0: nothing else, in the
    /// order of submission. Other seeds: an order permuted by the seed, and some work that nobody asked for, as a
    /// device does that has nothing better to do.
    pub fn schedule(&self, targets: &[Ticket], seed: u64) -> Vec<Ticket> {
        let mut wanted = self.closure(targets);
        if seed == 0 {
            return wanted.into_iter().collect();
        }
        let mut random = Random::new(seed ^ self.next.rotate_left(32));
        let unasked: Vec<Ticket> =
            self.pending.keys().copied().filter(|ticket| !wanted.contains(ticket) && random.below(2) == 0).collect();
        wanted.extend(self.closure(&unasked));
        self.permute(&wanted, &mut random)
    }

    /// The pending ones of `targets` and everything that they wait for.
    fn closure(&self, targets: &[Ticket]) -> BTreeSet<Ticket> {
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

    #[test]
    fn seed_zero_runs_only_what_is_needed() {
        let mut queue = Queue::default();
        let first = add(&mut queue, &[]);
        let _other = add(&mut queue, &[]);
        let second = add(&mut queue, &[first]);
        assert_eq!(queue.schedule(&[second], 0), [first, second]);
        queue.take(first);
        assert_eq!(queue.schedule(&[second], 0), [second]);
    }

    #[test]
    fn every_permutation_respects_the_needs_and_they_differ() {
        let mut queue = Queue::default();
        let roots: Vec<Ticket> = (0..6).map(|_| add(&mut queue, &[])).collect();
        let join = add(&mut queue, &roots);
        let last = add(&mut queue, &[join]);
        let mut orders = BTreeSet::new();
        for seed in 1..20 {
            let order = queue.schedule(&[last], seed);
            let place = |ticket| order.iter().position(|&other| other == ticket).unwrap();
            assert!(roots.iter().all(|&root| place(root) < place(join)), "seed {seed}: {order:?}");
            assert!(place(join) < place(last), "seed {seed}: {order:?}");
            orders.insert(order);
        }
        assert!(orders.len() > 10, "only {} orders", orders.len());
    }
}
