//! The language: what C++ has that lands in PTX of its own.

use bytemuck::{Pod, Zeroable};

use crate::harness::{ByValue, Source, line, on_every_build, space};
use crate::support::Random;

const SOURCE: Source = Source::new("language.cu");

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Inner {
    a: i16,
    padding: [u8; 6],
    b: f64,
    c: i8,
    tail: [u8; 7],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Parameters {
    scale: i32,
    padding: u32,
    inner: [Inner; 2],
    offset: [f32; 3],
    negate: u8,
    before_mask: [u8; 3],
    mask: u64,
}

#[test]
fn structures_by_value() {
    let inner = |a, b, c| Inner { a, padding: [0xee; 6], b, c, tail: [0xee; 7] };
    let parameters = Parameters {
        scale: 3,
        padding: !0,
        inner: [inner(-7, 1.5, 4), inner(100, -2.25, 0)],
        offset: [0.5, 0.25, 2.0],
        negate: 1,
        before_mask: [0; 3],
        mask: 77 << 40,
    };
    let value = |b: f64| -(3.0 * 93.0 + b * 4.0 + 0.5 + 0.5 + 8.0 + 77.0 - 9.0);
    let size = size_of::<Parameters>() as f64;
    on_every_build(SOURCE, |program| {
        let output = program.room::<f64>(8);
        program.launch("by_value", line(1, 4), &[&ByValue(parameters), &-9i8, &output]);
        assert_eq!(output.read(), [value(1.5), value(-2.25), value(1.5), value(-2.25), size, size, size, size]);
    });
}

#[test]
fn classes_and_templates() {
    let expected: Vec<f32> = (0..32)
        .map(|thread| {
            let a = |i: usize| (thread + 6 * i) as f32;
            (0..5).map(|i| (a(i) + a(i) + 3.0 + a(i)) * 0.5 * (a(i) + 3.0)).sum()
        })
        .collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f32>(32);
        program.launch("classes", line(1, 32), &[&output]);
        // Multiples of 1/2 below 2^24: exact.
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn lambdas() {
    let expected: Vec<i32> = (0..32)
        .map(|base| {
            let counted = (0..base % 5).fold(0, |a, b| a * 3 + b + base);
            counted * 1000 + (0..6).fold(0, |a, b| a ^ b << (base & 7)) + base % 5
        })
        .collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(32);
        program.launch("lambdas", line(1, 32), &[&output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn jump_tables() {
    let mut random = Random::new(1);
    let codes: Vec<i32> = (0..60).map(|_| (random.next() % (1 << 16)) as i32).collect();
    let run = |thread: usize| {
        let (mut a, mut b) = (thread as i32, 1i32);
        for i in 0..60 {
            let operand = codes[i] >> 8;
            match codes[(i + thread % 3) % 60] & 15 {
                0 => a = a.wrapping_add(operand),
                1 => a = a.wrapping_sub(b),
                2 => b = a,
                3 => a = a.wrapping_mul(3),
                4 => a ^= b << 2,
                5 => b = b.wrapping_add(7),
                6 => a = !a,
                7 => b = b.wrapping_neg(),
                8 => a = a.max(b),
                9 => a = a.rotate_left(1),
                10 if a & 1 == 1 => {}
                10 | 11 => b ^= a,
                _ => a = a.wrapping_sub(1),
            }
        }
        a ^ b
    };
    let expected: Vec<i32> = (0..64).map(run).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(64);
        program.launch("jump_table", line(1, 64), &[&program.upload(&codes), &60, &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn variables_of_the_module() {
    let constants = [3, 1, 4, 1, 5, 9, 2, 6];
    let names = ["zero", "one", "two"].map(str::as_bytes);
    on_every_build(SOURCE, |program| {
        let (output, floats) = (program.room::<i32>(96), program.room::<f32>(32));
        program.global::<i32>("device_counter").write(&[40]);
        program.launch("globals", line(1, 32), &[&output, &floats]);
        let found = output.read();
        for i in 0..32 {
            let name = names[i % 3];
            assert_eq!(found[i], constants[i % 8] * 10 + 7 + 2 + i32::from(b'x'));
            assert_eq!(found[32 + i], name.len() as i32 * 256 + i32::from(name[i % name.len()]));
            assert_eq!(found[64 + i], 43);
            assert_eq!(floats.read()[i], [1.5, -2.5, 3.25, 0.0][i % 4]);
        }
        assert_eq!(program.global::<i32>("device_counter").read(), [42]);
    });
}

#[test]
fn unions_and_bit_fields() {
    let input: Vec<f32> = (0..32).map(|i| (i as f32 - 11.3) * 1.7).collect();
    let mut expected = vec![0u32; 96];
    for (i, x) in input.iter().enumerate() {
        let bits = x.to_bits() ^ 0x8000_0000;
        let bits = bits & 0xffff_0000 | u32::from((bits as u16).rotate_left(3));
        let (low, high) = (bits & 31, bits >> 16);
        // Eleven bits with a sign.
        let middle = ((((bits >> 7) << 21) as i32 >> 21).wrapping_sub(5) << 21) >> 21;
        expected[i] = bits;
        expected[32 + i] = low | (middle as u32 & 0x7ff) << 5 | high << 16;
        expected[64 + i] = (middle * 3).wrapping_add(low as i32) as u32;
    }
    on_every_build(SOURCE, |program| {
        let output = program.room::<u32>(96);
        program.launch("punning", line(1, 32), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn arrays_indexed_by_data() {
    let input: Vec<i32> = (0..64).map(|i| i * 7919).collect();
    let digest = |&first: &i32| {
        let mut histogram = [0i32; 10];
        let mut order: [i32; 16] = std::array::from_fn(|i| i as i32);
        (0..16).for_each(|i| histogram[((first + i * i) % 10) as usize] += 1);
        let mut seed = first;
        for i in (1..16).rev() {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let j = (seed as u32 >> 16 & 15) as usize % (i + 1);
            order.swap(i, j);
        }
        let small: [i32; 7] = std::array::from_fn(|i| order[i] * histogram[order[i] as usize % 10]);
        order.iter().fold(0i32, |d, &o| d.wrapping_mul(31).wrapping_add(o + small[o as usize % 7]))
    };
    let expected: Vec<i32> = input.iter().map(digest).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(64);
        program.launch("local_arrays", line(1, 64), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn values_carried_around_a_loop() {
    let input: Vec<i32> = (0..20).map(|i| i * i * 31 % 97).collect();
    let run = |thread: i32| {
        let at = |i: usize| input[i] * 3 + thread;
        (1..20).map(|i| at(i - 1) ^ at(i)).sum::<i32>()
    };
    let expected: Vec<i32> = (0..32).map(run).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<i32>(32);
        program.launch("carried", line(1, 32), &[&program.upload(&input), &output, &20]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn dynamic_shared_memory_in_parts() {
    let n = 100usize;
    let input: Vec<i32> = (0..n as i32).map(|i| i * 37 % 251 - 100).collect();
    let expected: Vec<f64> =
        (0..n).map(|i| f64::from(input[n - 1 - i]).powi(2) / 4.0 + ((i % 33) * (i % 33)) as f64).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<f64>(n);
        program.launch("carved", line(1, 64).shared(10 * n), &[&program.upload(&input), &output, &(n as i32)]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn vectors_of_every_size() {
    let mut random = Random::new(2);
    let count = 32;
    let mut number = || (random.next() % 200) as i64 - 100;
    let chars: Vec<[i8; 4]> = (0..count).map(|_| [0; 4].map(|_| number() as i8)).collect();
    let shorts: Vec<[i16; 4]> = (0..count).map(|_| [0; 4].map(|_| number() as i16 * 300)).collect();
    let ints: Vec<[i32; 2]> = (0..count).map(|_| [0; 2].map(|_| number() as i32 * 70_000)).collect();
    let floats: Vec<[f32; 4]> = (0..count).map(|_| [0; 4].map(|_| number() as f32 / 4.0)).collect();
    let longs: Vec<[i64; 2]> = (0..count).map(|_| [0; 2].map(|_| number() << 35)).collect();
    let doubles: Vec<[f64; 2]> = (0..count).map(|_| [0; 2].map(|_| number() as f64 / 8.0)).collect();
    let bytes: Vec<[u8; 2]> = (0..count).map(|_| [0; 2].map(|_| number() as u8)).collect();
    let weighted = |values: &[f64]| values.iter().zip(1..).map(|(x, i)| x * f64::from(i)).sum::<f64>();
    let expected: Vec<f64> = (0..count)
        .map(|i| {
            weighted(&chars[i].map(f64::from))
                + weighted(&shorts[i].map(f64::from))
                + weighted(&ints[i].map(f64::from))
                + weighted(&floats[i].map(f64::from))
                + weighted(&longs[i].map(|x| x as f64))
                + weighted(&doubles[i])
                + weighted(&bytes[i].map(f64::from))
        })
        .collect();
    on_every_build(SOURCE, |program| {
        let (c, s, i) = (program.upload(&chars), program.upload(&shorts), program.upload(&ints));
        let (f, l) = (program.upload(&floats), program.upload(&longs));
        let (d, u, sums) = (program.upload(&doubles), program.upload(&bytes), program.room::<f64>(count));
        program.launch("vectors", line(1, count), &[&c, &s, &i, &f, &l, &d, &u, &sums]);
        assert_eq!(sums.read(), expected);
        let (a, b) = (program.room::<[i32; 4]>(16), program.room::<[u16; 4]>(16));
        let (c, d) = (program.room::<[f64; 2]>(16), program.room::<[i8; 2]>(16));
        program.launch("vector_stores", line(1, 16), &[&a, &b, &c, &d]);
        assert!(a.read().into_iter().eq((0..16).map(|t| [t, -t, t * t, 7])));
        assert!(b.read().into_iter().eq((0..16).map(|t| [t, 65535 - t, t * 3, 9])));
        assert!(c.read().into_iter().eq((0..16).map(|t| [f64::from(t) / 8.0, -f64::from(t)])));
        assert!(d.read().into_iter().eq((0..16).map(|t| [t, -t])));
    });
}

#[test]
fn indices_in_three_dimensions() {
    on_every_build(SOURCE, |program| {
        let (grid, block) = ([3, 2, 2], [5, 4, 3]);
        let output = program.room::<[u32; 3]>(12 * 60);
        program.launch("indices", space(grid, block), &[&output]);
        for (i, found) in output.read().into_iter().enumerate() {
            let (b, t) = (i / 60, i % 60);
            let place =
                (b % 3) | ((b / 3 % 2) << 4) | (b / 6) << 8 | (t % 5) << 12 | (t / 5 % 4) << 16 | (t / 20) << 20;
            assert_eq!(found, [place as u32, t as u32 % 32, t as u32 / 32]);
        }
    });
}

#[test]
fn clocks_go_on() {
    on_every_build(SOURCE, |program| {
        let output = program.room::<i64>(2);
        program.launch("clocks", line(1, 1), &[&output]);
        let found = output.read();
        assert!(found[0] >= 1000 && found[1] == 1, "{found:?}");
    });
}
