//! Simulations and linear algebra.

use crate::harness::{Source, line, on_every_build, plane};
use crate::support::{Random, assert_within};

const SOURCE: Source = Source::new("simulations.cu");

#[test]
fn pi_by_monte_carlo() {
    let steps = 40;
    let points = |thread: u32| {
        let mut state = thread.wrapping_mul(2_654_435_761).wrapping_add(12_345);
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            u64::from(state >> 8)
        };
        (0..steps).filter(|_| next().pow(2) + next().pow(2) < 1 << 48).count() as u64
    };
    let expected: u64 = (0..256).map(points).sum();
    let pi = 4.0 * expected as f64 / (256.0 * f64::from(steps));
    assert!((pi - std::f64::consts::PI).abs() < 0.1, "{pi}");
    on_every_build(SOURCE, |program| {
        let inside = program.zeros::<u64>(1);
        program.launch("monte_carlo_pi", line(2, 128), &[&inside, &steps]);
        assert_eq!(inside.read(), [expected]);
    });
}

#[test]
fn forces_between_bodies() {
    let mut random = Random::new(1);
    let bodies: Vec<[f32; 4]> =
        (0..150).map(|_| [random.normal(), random.normal(), random.normal(), random.normal().abs()]).collect();
    let wide: Vec<[f64; 4]> = bodies.iter().map(|body| body.map(f64::from)).collect();
    let force = |me: &[f64; 4]| {
        let mut a = [0.0; 3];
        for other in &wide {
            let d: [f64; 3] = std::array::from_fn(|i| other[i] - me[i]);
            let square = d.iter().map(|x| x * x).sum::<f64>() + f64::from(0.01f32);
            (0..3).for_each(|i| a[i] += d[i] * other[3] * square.powf(-1.5));
        }
        a
    };
    let expected: Vec<f64> = wide.iter().flat_map(force).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f32>(450);
        program.launch("forces", line(3, 64), &[&program.upload(&bodies), &output, &150]);
        // 150 terms, each good to ten units; some cancel.
        assert_within("forces", &output.read(), &expected, 150.0 * f64::from(f32::EPSILON));
    });
}

#[test]
fn lu_with_pivots() {
    let n = 20;
    let mut random = Random::new(2);
    let a: Vec<f64> = (0..n * n).map(|_| random.normal().into()).collect();
    on_every_build(SOURCE, |program| {
        let (factors, pivots) = (program.upload(&a), program.room::<i32>(n));
        program.launch("lu", line(1, 64), &[&factors, &pivots, &(n as i32)]);
        let (factors, pivots) = (factors.read(), pivots.read());
        let mut swapped = a.clone();
        for (k, &pivot) in pivots.iter().enumerate() {
            assert!((k..n).contains(&(pivot as usize)));
            for j in 0..n {
                swapped.swap(k * n + j, pivot as usize * n + j);
            }
        }
        for i in 0..n {
            for j in 0..n {
                let lower = |k: usize| if k == i { 1.0 } else { factors[i * n + k] };
                let product: f64 = (0..=i.min(j)).map(|k| lower(k) * factors[k * n + j]).sum();
                assert!((0..i).all(|k| factors[i * n + k].abs() <= 1.0), "pivots are the largest");
                // Growth stays small at this size; n roundings.
                assert!((product - swapped[i * n + j]).abs() <= 100.0 * n as f64 * f64::EPSILON, "row {i}, column {j}");
            }
        }
    });
}

#[test]
fn cholesky() {
    let n = 40;
    let mut random = Random::new(3);
    let root: Vec<f64> = (0..n * n).map(|_| random.normal().into()).collect();
    let mut a = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            a[i * n + j] =
                (0..n).map(|k| root[i * n + k] * root[j * n + k]).sum::<f64>() + if i == j { 5.0 } else { 0.0 };
        }
    }
    let x: Vec<f64> = (0..n).map(|i| i as f64 - 15.0).collect();
    let b: Vec<f64> = (0..n).map(|i| (0..n).map(|j| a[i * n + j] * x[j]).sum()).collect();
    on_every_build(SOURCE, |program| {
        let solution = program.upload(&b);
        program.launch("cholesky_solve", line(1, 32), &[&program.upload(&a), &solution, &(n as i32)]);
        for (found, expected) in solution.read().iter().zip(&x) {
            // The condition is at most that of the shifted matrix: about 160 / 5, times n roundings of numbers up to 25.
            assert!((found - expected).abs() <= 32.0 * 40.0 * 25.0 * f64::EPSILON, "{found}, not {expected}");
        }
    });
}

#[test]
fn conjugate_gradients() {
    let n = 100;
    let x: Vec<f64> = (0..n).map(|i| (i * 7 % 13) as f64 - 6.0).collect();
    let at = |i: isize| if (0..n as isize).contains(&i) { x[i as usize] } else { 0.0 };
    let b: Vec<f32> = (0..n as isize).map(|i| (2.5 * at(i) - at(i - 1) - at(i + 1)) as f32).collect();
    on_every_build(SOURCE, |program| {
        let (found, iterations) = (program.room::<f32>(n), program.room::<i32>(1));
        let launch = line(1, 64).shared(4 * (3 * n + 2));
        program.launch("conjugate_gradients", launch, &[&program.upload(&b), &found, &(n as i32), &iterations]);
        // It stops at a residue of 1e-5 of the right side; the inverse's norm is at most 2, and 6 the largest element.
        let size = b.iter().map(|&b| f64::from(b).powi(2)).sum::<f64>().sqrt();
        assert_within("solution", &found.read(), &x, 2.0 * 1e-5 * size / 6.0 + 100.0 * f64::from(f32::EPSILON));
        assert!((5..n as i32).contains(&iterations.read()[0]), "{:?} iterations", iterations.read());
    });
}

#[test]
fn eigenvalues_by_jacobi() {
    let mut random = Random::new(4);
    let mut matrices = Vec::new();
    for _ in 0..32 {
        let mut a = [[0.0f32; 4]; 4];
        for (i, j) in (0..4).flat_map(|i| (0..=i).map(move |j| (i, j))) {
            let value = random.normal();
            (a[i][j], a[j][i]) = (value, value);
        }
        matrices.push(a);
    }
    on_every_build(SOURCE, |program| {
        let values = program.room::<[f32; 4]>(32);
        program.launch("eigenvalues", line(1, 32), &[&program.upload(&matrices), &values]);
        for (a, values) in matrices.iter().zip(values.read()) {
            // The sums of the first powers are the traces of the matrix's powers.
            let mut power = a.map(|row| row.map(f64::from));
            for exponent in 1..=4 {
                let trace: f64 = (0..4).map(|i| power[i][i]).sum();
                let sum: f64 = values.iter().map(|&x| f64::from(x).powi(exponent)).sum();
                let size: f64 = values.iter().map(|&x| f64::from(x.abs()).powi(exponent)).sum();
                assert!((trace - sum).abs() <= 100.0 * f64::from(f32::EPSILON) * size.max(1.0), "{trace}, not {sum}");
                power = std::array::from_fn(|i| {
                    std::array::from_fn(|j| (0..4).map(|k| power[i][k] * f64::from(a[k][j])).sum())
                });
            }
        }
    });
}

#[test]
fn clusters() {
    let mut random = Random::new(5);
    // Multiples of 1/16: sums are exact.
    let points: Vec<[f32; 2]> = (0..300).map(|_| [0; 2].map(|_| (random.next() % 512) as f32 / 16.0)).collect();
    let centres = [[4.0f32, 4.0], [20.0, 9.0], [11.0, 28.0], [30.0, 30.0]];
    let distance = |p: [f32; 2], c: [f32; 2]| (p[0] - c[0]).powi(2) + (p[1] - c[1]).powi(2);
    let nearest = |&p: &[f32; 2]| (0..4).min_by(|&a, &b| distance(p, centres[a]).total_cmp(&distance(p, centres[b])));
    let expected: Vec<i32> = points.iter().map(|p| nearest(p).expect("four") as i32).collect();
    let (mut sums, mut counts) = (vec![[0.0f32; 2]; 4], vec![0; 4]);
    for (point, &centre) in points.iter().zip(&expected) {
        (0..2).for_each(|i| sums[centre as usize][i] += point[i]);
        counts[centre as usize] += 1;
    }
    on_every_build(SOURCE, |program| {
        let found = (program.room::<i32>(300), program.zeros::<[f32; 2]>(4), program.zeros::<i32>(4));
        let (device, centres) = (program.upload(&points), program.upload(&centres));
        program.launch("assign", line(3, 128), &[&device, &centres, &found.0, &found.1, &found.2, &300, &4]);
        assert_eq!((found.0.read(), found.1.read(), found.2.read()), (expected.clone(), sums.clone(), counts.clone()));
    });
}

#[test]
fn longest_common_subsequence() {
    let mut random = Random::new(6);
    let mut letters = |count: usize| -> Vec<u8> { (0..count).map(|_| b'a' + (random.next() % 5) as u8).collect() };
    let (a, b) = (letters(60), letters(45));
    let mut row = vec![0; b.len() + 1];
    for x in &a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let next = if x == y { diagonal + 1 } else { row[j].max(row[j + 1]) };
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    on_every_build(SOURCE, |program| {
        let length = program.room::<i32>(1);
        let launch = line(1, 32).shared(3 * 4 * (a.len() + 1));
        let sizes = (a.len() as i32, b.len() as i32);
        program.launch(
            "common_subsequence",
            launch,
            &[&program.upload(&a), &program.upload(&b), &sizes.0, &sizes.1, &length],
        );
        assert_eq!(length.read(), [row[b.len()]]);
    });
}

#[test]
fn all_shortest_paths() {
    let n = 40usize;
    let mut random = Random::new(7);
    let far = 1 << 28;
    let mut first = vec![far; n * n];
    for i in 0..n {
        first[i * n + i] = 0;
        for _ in 0..3 {
            first[i * n + (random.next() % n as u64) as usize] = (random.next() % 100) as i32 + 1;
        }
        first[i * n + i] = 0;
    }
    let mut expected = first.clone();
    for k in 0..n {
        for i in 0..n {
            for j in 0..n {
                expected[i * n + j] = expected[i * n + j].min(expected[i * n + k] + expected[k * n + j]);
            }
        }
    }
    on_every_build(SOURCE, |program| {
        let distances = program.upload(&first);
        for k in 0..n as i32 {
            program.launch("floyd_warshall", plane([2, n], [32, 1]), &[&distances, &(n as i32), &k]);
        }
        assert_eq!(distances.read(), expected);
    });
}
