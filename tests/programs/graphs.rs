//! Irregular work: graphs, sparse matrices, hash tables, queues, lists.

use std::collections::{BTreeMap, VecDeque};

use bytemuck::{Pod, Zeroable};

use crate::harness::{ByValue, Program, Source, line, on_every_build};
use crate::support::{Random, assert_within};

const SOURCE: Source = Source::new("graphs.cu");
const NODES: usize = 300;

/// Rows of edges to nodes, with their lengths.
struct Edges {
    offsets: Vec<i32>,
    targets: Vec<i32>,
    weights: Vec<f32>,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Graph {
    offsets: u64,
    targets: u64,
    weights: u64,
    nodes: i32,
    padding: i32,
}

impl Edges {
    /// Mostly near neighbours, some nodes with many, some with none.
    fn random(seed: u64) -> Edges {
        let mut random = Random::new(seed);
        let mut edges = Edges { offsets: vec![0], targets: Vec::new(), weights: Vec::new() };
        for node in 0..NODES {
            let degree = [0, 1, 2, 3, 4, 25][(random.next() % 6) as usize];
            for _ in 0..degree {
                edges.targets.push(((node as u64 + random.next() % 20) % NODES as u64) as i32);
                // Multiples of 1/16: sums are exact.
                edges.weights.push((1 + random.next() % 64) as f32 / 16.0);
            }
            edges.offsets.push(edges.targets.len() as i32);
        }
        edges
    }

    fn of(&self, node: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let range = self.offsets[node] as usize..self.offsets[node + 1] as usize;
        range.map(|edge| (self.targets[edge] as usize, self.weights[edge]))
    }

    fn upload(&self, program: &Program) -> ByValue<Graph> {
        let offsets = program.upload(&self.offsets).address();
        let (targets, weights) = (program.upload(&self.targets).address(), program.upload(&self.weights).address());
        ByValue(Graph { offsets, targets, weights, nodes: NODES as i32, padding: 0 })
    }
}

#[test]
fn breadth_first_search() {
    let edges = Edges::random(1);
    let mut expected = vec![-1; NODES];
    let mut queue = VecDeque::from([7]);
    expected[7] = 0;
    while let Some(node) = queue.pop_front() {
        for (next, _) in edges.of(node) {
            if expected[next] < 0 {
                expected[next] = expected[node] + 1;
                queue.push_back(next);
            }
        }
    }
    assert!(expected.iter().filter(|&&distance| distance > 3).count() > 20, "a search worth its name");
    on_every_build(SOURCE, |program| {
        let graph = edges.upload(program);
        let mut first = vec![-1; NODES];
        first[7] = 0;
        let distances = program.upload(&first);
        let (mut queue, mut next) = (program.room::<i32>(NODES), program.room::<i32>(NODES));
        let mut start = vec![0; NODES];
        start[0] = 7;
        queue.write(&start);
        let (mut queued, mut level) = (1, 1);
        while queued > 0 {
            let count = program.zeros::<i32>(1);
            let launch = line((queued as usize).div_ceil(64), 64);
            program.launch("expand", launch, &[&graph, &distances, &queue, &queued, &next, &count, &level]);
            queued = count.read()[0];
            level += 1;
            std::mem::swap(&mut queue, &mut next);
        }
        assert_eq!(distances.read(), expected);
    });
}

#[test]
fn shortest_paths() {
    let edges = Edges::random(2);
    let mut expected = vec![1e30f32; NODES];
    expected[0] = 0.0;
    for _ in 0..NODES {
        for node in 0..NODES {
            for (next, weight) in edges.of(node) {
                expected[next] = expected[next].min(expected[node] + weight);
            }
        }
    }
    on_every_build(SOURCE, |program| {
        let graph = edges.upload(program);
        let mut first = vec![1e30f32; NODES];
        first[0] = 0.0;
        let distances = program.upload(&first);
        loop {
            let changed = program.zeros::<i32>(1);
            program.launch("relax", line(5, 64), &[&graph, &distances, &changed]);
            if changed.read() == [0] {
                break;
            }
        }
        assert_eq!(distances.read(), expected);
    });
}

#[test]
fn connected_components() {
    let mut random = Random::new(3);
    let edges: Vec<[i32; 2]> = (0..120).map(|_| [0; 2].map(|_| (random.next() % 200) as i32)).collect();
    let mut expected: Vec<i32> = (0..200).collect();
    for _ in 0..200 {
        for &[a, b] in &edges {
            let least = expected[a as usize].min(expected[b as usize]);
            (expected[a as usize], expected[b as usize]) = (least, least);
        }
    }
    on_every_build(SOURCE, |program| {
        let parents = program.upload(&(0..200).collect::<Vec<i32>>());
        program.launch("unite", line(2, 64), &[&program.upload(&edges), &parents, &120]);
        program.launch("flatten", line(2, 128), &[&parents, &200]);
        // Roots hang below smaller roots, so that a component's root is its least node.
        assert_eq!(parents.read(), expected);
    });
}

#[test]
fn sparse_matrix_by_vector() {
    let matrix = Edges::random(4);
    let mut random = Random::new(5);
    let x: Vec<f32> = (0..NODES).map(|_| random.normal()).collect();
    let row = |row| matrix.of(row).map(|(column, weight)| f64::from(weight) * f64::from(x[column])).sum();
    let expected: Vec<f64> = (0..NODES).map(row).collect();
    on_every_build(SOURCE, |program| {
        let (device, x) = (matrix.upload(program), program.upload(&x));
        for (kernel, launch) in [("spmv_scalar", line(5, 64)), ("spmv_vector", line(38, 64))] {
            let y = program.room::<f32>(NODES);
            program.launch(kernel, launch, &[&device, &x, &y]);
            assert_within(kernel, &y.read(), &expected, 25.0 * f64::from(f32::EPSILON));
        }
    });
}

#[test]
fn hash_table() {
    let mut random = Random::new(6);
    let keys: Vec<u64> = (0..400).map(|_| random.next() % 150 * 0x1_0000_0001).collect();
    let mut sums = BTreeMap::new();
    (1u32..).zip(&keys).for_each(|(value, key)| *sums.entry(*key).or_insert(0) += value);
    let asked: Vec<u64> = (0..200).map(|i| i * 0x1_0000_0001).collect();
    let expected: Vec<u32> = asked.iter().map(|key| sums.get(key).copied().unwrap_or(0)).collect();
    on_every_build(SOURCE, |program| {
        let (table, values) = (program.room::<u64>(256), program.zeros::<u32>(256));
        program.launch("hash_insert", line(4, 128), &[&program.upload(&keys), &table, &values, &400, &255u32]);
        let found = program.room::<u32>(200);
        program.launch("hash_find", line(2, 128), &[&program.upload(&asked), &table, &values, &found, &200, &255u32]);
        assert_eq!(found.read(), expected);
    });
}

#[test]
fn persistent_blocks_share_a_counter() {
    let mut random = Random::new(7);
    let sizes: Vec<i32> = (0..30).map(|_| (random.next() % 500) as i32).collect();
    let expected: Vec<i32> = sizes.iter().map(|size| (0..*size).sum()).collect();
    on_every_build(SOURCE, |program| {
        let (results, counter) = (program.zeros::<i32>(30), program.zeros::<i32>(1));
        program.launch("persistent", line(4, 64), &[&program.upload(&sizes), &results, &30, &counter]);
        assert_eq!((results.read(), counter.read()), (expected.clone(), vec![34]));
    });
}

#[test]
fn list_without_locks() {
    on_every_build(SOURCE, |program| {
        let nodes = program.room::<[u64; 2]>(200);
        program.launch("push", line(2, 128), &[&nodes, &200]);
        let (sum, length) = (program.zeros::<i64>(1), program.zeros::<i32>(1));
        program.launch("sum_list", line(1, 1), &[&sum, &length]);
        assert_eq!((sum.read(), length.read()), (vec![(0..200).map(|i| i * i).sum()], vec![200]));
    });
}
