//! What is counted of a launch.

use std::collections::BTreeMap;

use super::cost::{CLASSES, PIPE_NAMES, PIPES};
use super::json::Object;

/// A struct of counters that can be added to another, scaled and listed.
macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl $name {
            /// Adds the counts of `other`.
            pub fn add(&mut self, other: &$name) {
                $(self.$field += other.$field;)*
            }

            /// The counts times `factor`.
            #[must_use]
            pub fn scaled(&self, factor: f64) -> $name {
                $name { $($field: scaled(self.$field, factor),)* }
            }

            /// The counts of a launch whose loop is longer: these and `factor` times what they exceed those of `shorter` by.
            #[must_use]
            pub fn extended(&self, shorter: &$name, factor: f64) -> $name {
                $name { $($field: extended(self.$field as f64, shorter.$field as f64, factor).round() as u64,)* }
            }

            /// The counts with their names.
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field),)*]
            }
        }
    };
}

fn extended(long: f64, short: f64, factor: f64) -> f64 {
    (long + (long - short) * factor).max(0.0)
}

fn scaled(count: u64, factor: f64) -> u64 {
    (count as f64 * factor).round() as u64
}

counters! {
    /// Accesses of warps to global or local memory. A request is one instruction of one warp.
    Traffic {
        read_requests,
        write_requests,
        atomic_requests,
        /// Bytes that the lanes asked for.
        read_bytes,
        written_bytes,
        atomic_bytes,
        /// Sectors of 32 bytes that hold them, each counted once a request.
        read_sectors,
        written_sectors,
        atomic_sectors,
        /// Lines of 128 bytes that hold them, each counted once a request.
        lines,
    }
}

counters! {
    /// Accesses of warps to shared memory: 32 banks of 4 bytes give a word each in one wavefront.
    SharedTraffic {
        read_requests,
        write_requests,
        atomic_requests,
        /// Bytes that the lanes asked for.
        read_bytes,
        written_bytes,
        wavefronts,
        /// Wavefronts if no two words of one met in a bank.
        conflict_free_wavefronts,
        /// Requests that took more.
        conflicts,
    }
}

counters! {
    /// What the caches did with the accesses to global memory, in sectors of 32 bytes.
    CacheTraffic {
        l1_read_sectors,
        l1_hits,
        l2_read_sectors,
        l2_read_hits,
        l2_written_sectors,
        l2_atomic_sectors,
        dram_read_sectors,
        /// What the kernel wrote less what L2 holds of it at the end.
        dram_written_sectors,
    }
}

counters! {
    /// Bytes of global memory that were touched at all, in whole sectors. In a sampled launch only of the blocks that
    /// ran.
    Footprint {
        read_bytes,
        written_bytes,
    }
}

counters! {
    /// Control flow.
    Control {
        branches,
        /// Branches that not all lanes which came together took.
        divergent_branches,
        /// Warps that arrived at a barrier of their block.
        barriers,
    }
}

/// Matrix products of one shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatrixProducts {
    pub operations: u64,
    /// Multiply-accumulates.
    pub macs: u64,
}

/// What one block does when nothing else runs on its multiprocessor, on average of those blocks that were followed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chain {
    /// Blocks that were followed.
    pub blocks: u64,
    /// Clocks of the longest chain of dependent instructions, from barrier to barrier, or of the busiest unit where
    /// that takes longer; loads from global memory at the latency of L2.
    pub clocks: f64,
    /// Clocks of the busiest unit, from barrier to barrier.
    pub busy: f64,
    /// Loads from global memory in that chain.
    pub loads: f64,
}

/// All counts of a launch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Executions by warps, those included in which every lane was held back by the guard.
    pub warp_instructions: [u64; CLASSES.len()],
    /// Executions by threads.
    pub thread_instructions: [u64; CLASSES.len()],
    /// Machine instructions, estimated.
    pub machine_instructions: f64,
    /// Clocks of one multiprocessor's units, estimated; memory's are wavefronts and requests.
    pub unit_clocks: [f64; PIPES],
    pub matrix: BTreeMap<String, MatrixProducts>,
    pub global: Traffic,
    pub local: Traffic,
    pub shared: SharedTraffic,
    pub cache: CacheTraffic,
    pub footprint: Footprint,
    pub control: Control,
    pub chain: Chain,
}

impl Counters {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Counters) {
        for class in 0..CLASSES.len() {
            self.warp_instructions[class] += other.warp_instructions[class];
            self.thread_instructions[class] += other.thread_instructions[class];
        }
        self.machine_instructions += other.machine_instructions;
        self.unit_clocks.iter_mut().zip(other.unit_clocks).for_each(|(sum, clocks)| *sum += clocks);
        for (shape, products) in &other.matrix {
            let sum = self.matrix.entry(shape.clone()).or_default();
            sum.operations += products.operations;
            sum.macs += products.macs;
        }
        self.global.add(&other.global);
        self.local.add(&other.local);
        self.shared.add(&other.shared);
        self.cache.add(&other.cache);
        self.footprint.add(&other.footprint);
        self.control.add(&other.control);
        self.chain.blocks += other.chain.blocks;
        self.chain.clocks += other.chain.clocks;
        self.chain.busy += other.chain.busy;
        self.chain.loads += other.chain.loads;
    }

    /// The counts of `factor` times as many blocks of the same kind; caches and footprint stay as they are.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Counters {
        let products = |products: &MatrixProducts| MatrixProducts {
            operations: scaled(products.operations, factor),
            macs: scaled(products.macs, factor),
        };
        Counters {
            warp_instructions: self.warp_instructions.map(|count| scaled(count, factor)),
            thread_instructions: self.thread_instructions.map(|count| scaled(count, factor)),
            machine_instructions: self.machine_instructions * factor,
            unit_clocks: self.unit_clocks.map(|clocks| clocks * factor),
            matrix: self.matrix.iter().map(|(shape, sum)| (shape.clone(), products(sum))).collect(),
            global: self.global.scaled(factor),
            local: self.local.scaled(factor),
            shared: self.shared.scaled(factor),
            control: self.control.scaled(factor),
            ..self.clone()
        }
    }

    /// The counts of the same launch with a longer loop, from these and those with a `shorter` one: all grow linearly,
    /// by `factor` times the difference.
    #[must_use]
    pub fn extended(&self, shorter: &Counters, factor: f64) -> Counters {
        let count = |long: u64, short: u64| extended(long as f64, short as f64, factor).round() as u64;
        let counts = |long: &[u64; CLASSES.len()], short: &[u64; CLASSES.len()]| {
            std::array::from_fn(|class| count(long[class], short[class]))
        };
        let clocks = |long: f64, short: f64| extended(long, short, factor);
        let (long, short) = (&self.chain, &shorter.chain);
        let products = |(shape, long): (&String, &MatrixProducts)| {
            let short = shorter.matrix.get(shape).copied().unwrap_or_default();
            let (operations, macs) = (count(long.operations, short.operations), count(long.macs, short.macs));
            (shape.clone(), MatrixProducts { operations, macs })
        };
        Counters {
            warp_instructions: counts(&self.warp_instructions, &shorter.warp_instructions),
            thread_instructions: counts(&self.thread_instructions, &shorter.thread_instructions),
            machine_instructions: clocks(self.machine_instructions, shorter.machine_instructions),
            unit_clocks: std::array::from_fn(|unit| clocks(self.unit_clocks[unit], shorter.unit_clocks[unit])),
            matrix: self.matrix.iter().map(products).collect(),
            global: self.global.extended(&shorter.global, factor),
            local: self.local.extended(&shorter.local, factor),
            shared: self.shared.extended(&shorter.shared, factor),
            cache: self.cache.extended(&shorter.cache, factor),
            footprint: self.footprint.extended(&shorter.footprint, factor),
            control: self.control.extended(&shorter.control, factor),
            chain: Chain {
                blocks: long.blocks,
                clocks: clocks(long.clocks, short.clocks),
                busy: clocks(long.busy, short.busy),
                loads: clocks(long.loads, short.loads),
            },
        }
    }

    /// Instructions of warps, of all classes.
    pub fn instructions(&self) -> u64 {
        self.warp_instructions.iter().sum()
    }

    /// Lanes that an instruction was executed for, on average.
    pub fn active_lanes(&self) -> f64 {
        let threads: u64 = self.thread_instructions.iter().sum();
        threads as f64 / self.instructions().max(1) as f64
    }

    /// Multiply-accumulates of matrix products of all shapes.
    pub fn matrix_macs(&self) -> u64 {
        self.matrix.values().map(|products| products.macs).sum()
    }

    pub(super) fn json(&self) -> String {
        let by_class = |counts: &[u64; CLASSES.len()]| {
            let members = CLASSES.iter().zip(counts).filter(|(_, count)| **count > 0);
            members.fold(Object::new(), |object, (name, count)| object.member(name, count)).end()
        };
        let list = |list: Vec<(&'static str, u64)>| {
            list.into_iter().fold(Object::new(), |object, (name, count)| object.member(name, count)).end()
        };
        let matrix = self.matrix.iter().fold(Object::new(), |object, (shape, products)| {
            let products = Object::new().member("operations", products.operations).member("macs", products.macs).end();
            object.member(shape, products)
        });
        let units = PIPE_NAMES.iter().zip(self.unit_clocks);
        let units = units.fold(Object::new(), |object, (name, clocks)| object.number(name, clocks));
        let alone = Object::new()
            .member("blocks_followed", self.chain.blocks)
            .number("clocks", self.chain.clocks / self.chain.blocks.max(1) as f64)
            .number("busy_clocks", self.chain.busy / self.chain.blocks.max(1) as f64)
            .number("loads", self.chain.loads / self.chain.blocks.max(1) as f64);
        Object::new()
            .member("warp_instructions", by_class(&self.warp_instructions))
            .member("thread_instructions", by_class(&self.thread_instructions))
            .number("average_active_lanes", self.active_lanes())
            .number("estimated_machine_instructions", self.machine_instructions)
            .member("matrix_products", matrix.end())
            .member("global_memory", list(self.global.list()))
            .member("local_memory", list(self.local.list()))
            .member("shared_memory", list(self.shared.list()))
            .member("caches", list(self.cache.list()))
            .member("footprint", list(self.footprint.list()))
            .member("control", list(self.control.list()))
            .member("unit_clocks", units.end())
            .member("one_block_alone", alone.end())
            .end()
    }
}
