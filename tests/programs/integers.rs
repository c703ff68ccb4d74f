//! Integer kernels: hashes, ciphers, generators, wide arithmetic, bit tricks, text.

use sha2::{Digest, Sha256};

use crate::harness::{ByValue, Source, line, on_every_build};
use crate::support::Random;

const SOURCE: Source = Source::new("integers.cu");

fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.next() as u8).collect()
}

#[test]
fn sha_256() {
    let messages: Vec<Vec<u8>> = (0..40).map(|i| bytes(60 + i, i as u64)).collect();
    let padded: Vec<u8> = messages
        .iter()
        .flat_map(|message| {
            let mut padded = message.clone();
            padded.push(0x80);
            padded.resize(120, 0);
            padded.extend((8 * message.len() as u64).to_be_bytes());
            padded
        })
        .collect();
    let expected: Vec<u32> = messages
        .iter()
        .flat_map(|message| {
            let digest = Sha256::digest(message);
            digest.chunks(4).map(|word| u32::from_be_bytes(word.try_into().expect("four bytes"))).collect::<Vec<_>>()
        })
        .collect();
    on_every_build(SOURCE, |program| {
        let digests = program.room::<u32>(8 * 40);
        program.launch("sha256", line(1, 40), &[&program.upload(&padded), &digests, &2]);
        assert_eq!(digests.read(), expected);
    });
}

#[test]
fn crc_32() {
    let data = bytes(64 * 9, 1);
    let step =
        |c: u32, &byte: &u8| (0..8).fold(c ^ u32::from(byte), |c, _| c >> 1 ^ (0xedb8_8320 & (c & 1).wrapping_neg()));
    let crc = |data: &[u8]| !data.iter().fold(!0, step);
    assert_eq!(crc(b"123456789"), 0xcbf4_3926, "the check value of the standard");
    on_every_build(SOURCE, |program| {
        let result = program.room::<u32>(1);
        program.launch("crc32", line(1, 64), &[&program.upload(&data), &result, &9]);
        assert_eq!(result.read(), [crc(&data)]);
    });
}

/// The product in GF(2^8) with AES's polynomial.
fn field_product(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b > 0 {
        product ^= if b & 1 == 1 { a } else { 0 };
        a = a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 };
        b >>= 1;
    }
    product
}

/// AES's S-box: the inverse in the field, then an affine map (FIPS 197, 5.1.1).
fn substitution() -> Vec<u8> {
    let inverse = |x: u8| (0..=255u8).find(|&y| field_product(x, y) == 1).unwrap_or(0);
    let affine = |x: u8| (0..5).fold(0x63, |sum, n| sum ^ x.rotate_left(n));
    (0..=255).map(|x| affine(inverse(x))).collect()
}

/// The eleven round keys of a key (FIPS 197, 5.2).
fn round_keys(key: &[u8; 16], sbox: &[u8]) -> Vec<u8> {
    let mut keys = key.to_vec();
    let mut constant = 1;
    for word in 4..44 {
        let mut last: Vec<u8> = keys[4 * word - 4..].to_vec();
        if word % 4 == 0 {
            last.rotate_left(1);
            last.iter_mut().for_each(|byte| *byte = sbox[usize::from(*byte)]);
            last[0] ^= constant;
            constant = field_product(constant, 2);
        }
        for (i, byte) in last.into_iter().enumerate() {
            keys.push(keys[4 * word - 16 + i] ^ byte);
        }
    }
    keys
}

#[test]
fn aes_128() {
    let sbox = substitution();
    let key: [u8; 16] = std::array::from_fn(|i| i as u8);
    let keys = round_keys(&key, &sbox);
    // FIPS 197, appendix C.1, and blocks that are deciphered by the inverse cipher.
    let example: Vec<u8> = (0..16).map(|i| i * 0x11).collect();
    let expected: [u8; 16] =
        [0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a];
    let mut plain = example;
    plain.extend(bytes(31 * 16, 2));
    on_every_build(SOURCE, |program| {
        let cipher = program.room::<u8>(plain.len());
        let arguments = (program.upload(&plain), program.upload(&keys), program.upload(&sbox));
        program.launch("aes128", line(1, 32), &[&arguments.0, &arguments.1, &arguments.2, &cipher]);
        let cipher = cipher.read();
        assert_eq!(cipher[..16], expected);
        let back: Vec<u8> = cipher.chunks(16).flat_map(|block| deciphered(block, &keys, &sbox)).collect();
        assert_eq!(back, plain);
    });
}

/// FIPS 197, 5.3: the inverse cipher.
fn deciphered(block: &[u8], keys: &[u8], sbox: &[u8]) -> Vec<u8> {
    let mut inverse = [0u8; 256];
    sbox.iter().enumerate().for_each(|(x, &y)| inverse[usize::from(y)] = x as u8);
    let mut state = block.to_vec();
    for round in (1..=10).rev() {
        state.iter_mut().zip(&keys[16 * round..]).for_each(|(byte, key)| *byte ^= key);
        if round < 10 {
            let columns = state.clone();
            for (i, byte) in state.iter_mut().enumerate() {
                let factor = |j: usize| [14, 11, 13, 9][(j + 4 - i % 4) % 4];
                *byte = (0..4).fold(0, |sum, j| sum ^ field_product(columns[i / 4 * 4 + j], factor(j)));
            }
        }
        let rows = state.clone();
        for (i, byte) in state.iter_mut().enumerate() {
            *byte = inverse[usize::from(rows[(i / 4 + 4 - i % 4) % 4 * 4 + i % 4])];
        }
    }
    state.iter().zip(keys).map(|(byte, key)| byte ^ key).collect()
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (a, b) = (0xD251_1F53 * u64::from(counter[0]), 0xCD9E_8D57 * u64::from(counter[2]));
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[test]
fn philox_generator() {
    // Salmon et al. 2011, the known answer of Random123.
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    let (key, offset) = ([0xdead_beef, 42u32], 7u32);
    let expected: Vec<[u32; 4]> = (0..128).map(|i| philox([i, offset, 0, 0], key)).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<[u32; 4]>(128);
        program.launch("philox", line(2, 64), &[&output, &ByValue(key), &offset]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn numbers_of_256_bits() {
    let (mut a, mut b) = (words(40 * 8, 3), words(40 * 8, 4));
    a[..16].fill(!0);
    b[..8].fill(!0);
    b[8..16].fill(0);
    b[8] = 1;
    let number = |words: &[u32], i: usize| -> Vec<u64> { words[8 * i..8 * i + 8].iter().map(|&w| w.into()).collect() };
    let (mut sums, mut differences, mut products) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..40 {
        let (x, y) = (number(&a, i), number(&b, i));
        let mut carry = 0u64;
        for j in 0..8 {
            carry += x[j] + y[j];
            sums.push(carry as u32);
            carry >>= 32;
        }
        let mut borrow = 0i64;
        for j in 0..8 {
            borrow += x[j] as i64 - y[j] as i64;
            differences.push(borrow as u32);
            borrow >>= 32;
        }
        let mut product = [0u32; 16];
        for j in 0..8 {
            let mut carry = 0u64;
            for k in 0..8 {
                carry += x[j] * y[k] + u64::from(product[j + k]);
                product[j + k] = carry as u32;
                carry >>= 32;
            }
            product[j + 8] = carry as u32;
        }
        products.extend(product);
    }
    on_every_build(SOURCE, |program| {
        let results = [320, 320, 640].map(|count| program.room::<u32>(count));
        let (a, b) = (program.upload(&a), program.upload(&b));
        program.launch("big_numbers", line(1, 40), &[&a, &b, &results[0], &results[1], &results[2]]);
        assert_eq!(results.map(|result| result.read()), [sums.clone(), differences.clone(), products.clone()]);
    });
}

fn words(count: usize, seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    (0..count).map(|_| random.next() as u32 >> (random.next() % 32)).collect()
}

#[test]
fn arithmetic_of_64_and_128_bits() {
    let mut random = Random::new(5);
    let mut number = || (random.next() as i64) >> (random.next() % 63);
    let a: Vec<i64> = (0..96).map(|_| number()).collect();
    let b: Vec<i64> = (0..96).map(|_| Some(number()).filter(|&y| y != 0).unwrap_or(3)).collect();
    let mut expected = Vec::new();
    for (&x, &y) in a.iter().zip(&b) {
        let (ux, uy) = (x as u64, y as u64);
        let product = i128::from(x) * i128::from(y);
        let mixed = (product ^ i128::from(x)).wrapping_add(i128::from(y) << 70);
        let quotient = (u128::from(ux) << 64 | u128::from(uy)) / u128::from(uy | 1);
        expected.extend([
            x.wrapping_div(y),
            x.wrapping_rem(y),
            (ux / uy) as i64,
            (ux % uy) as i64,
            (product >> 64) as i64,
            ((u128::from(ux) * u128::from(uy)) >> 64) as i64,
            (x as i32).wrapping_div(y as i32 | 1).into(),
            (ux as u32 % (uy as u32 | 1)).into(),
            (product >> 64) as i64,
            product as i64,
            (mixed >> 64) as i64,
            mixed as i64,
            (quotient >> 64) as i64,
            quotient as i64,
            x >> (y & 63),
            (ux << (uy & 63)) as i64,
        ]);
    }
    on_every_build(SOURCE, |program| {
        let output = program.room::<i64>(96 * 16);
        program.launch("wide_arithmetic", line(1, 96), &[&program.upload(&a), &program.upload(&b), &output]);
        assert_eq!(output.read(), expected);
    });
}

/// The bytes of `y:x` that the selector names, the lowest first.
fn byte_permutation(x: u32, y: u32, selector: u32) -> u32 {
    let all = u64::from(y) << 32 | u64::from(x);
    (0..4).fold(0, |word, i| word | ((all >> (8 * (selector >> (4 * i) & 7))) as u8 as u32) << (8 * i))
}

fn by_bytes(x: u32, y: u32, f: fn(u8, u8) -> u8) -> u32 {
    let (x, y) = (x.to_le_bytes(), y.to_le_bytes());
    u32::from_le_bytes(std::array::from_fn(|i| f(x[i], y[i])))
}

fn by_halves(x: u32, y: u32, f: fn(u16, u16) -> u16) -> u32 {
    u32::from(f(x as u16, y as u16)) | u32::from(f((x >> 16) as u16, (y >> 16) as u16)) << 16
}

fn bit_tricks(x: u32, y: u32) -> [u32; 32] {
    let xy = u64::from(x) << 32 | u64::from(y);
    let high_low = u64::from(y) << 32 | u64::from(x);
    let (sx, sy) = (i64::from(x as i32), i64::from(y as i32));
    let low24 = |x: u32| i64::from((x << 8) as i32 >> 8);
    let reversed = xy.reverse_bits();
    let field = |x: u32| x >> (y & 31);
    // The sign of a field that reaches beyond the word is the word's (PTX ISA, `bfe`).
    let sign = (x >> (y & 31).wrapping_add(8).min(31) & 1) * !0;
    let length = 9.min(32 - (y & 31));
    let mask = ((1u64 << 11) - 1) << (y & 15);
    [
        x.leading_zeros(),
        xy.leading_zeros(),
        x.count_ones(),
        xy.count_ones(),
        x.reverse_bits(),
        (reversed >> 32) as u32,
        reversed as u32,
        if x == 0 { 0 } else { x.trailing_zeros() + 1 },
        if xy == 0 { 0 } else { xy.trailing_zeros() + 1 },
        byte_permutation(x, y, 0x7531),
        byte_permutation(x, y, y & 0x7777),
        ((high_low << (y & 31)) >> 32) as u32,
        (high_low >> (y & 31)) as u32,
        ((high_low << (y & 63).min(32)) >> 32) as u32,
        (high_low >> (y & 63).min(32)) as u32,
        (sx.abs_diff(sy) as u32).wrapping_add(7),
        x.abs_diff(y).wrapping_add(7),
        ((sx + sy) >> 1) as u32,
        ((u64::from(x) + u64::from(y) + 1) >> 1) as u32,
        (low24(x) * low24(y)) as u32,
        (u64::from(x & 0xff_ffff) * u64::from(y & 0xff_ffff)) as u32,
        by_bytes(x, y, u8::wrapping_add),
        by_bytes(x, y, u8::abs_diff),
        by_halves(x, y, |x, y| (x as i16).max(y as i16) as u16),
        by_bytes(x, y, |x, y| if x > y { 0xff } else { 0 }),
        by_halves(x, y, u16::saturating_add),
        field(x) & 0x1ff,
        field(x) & ((1 << length) - 1) | if length < 32 { sign << length } else { 0 },
        (u64::from(y) & !mask | u64::from(x) << (y & 15) & mask) as u32,
        x ^ y ^ 0x0f0f_3355,
        if x == 0 { !0 } else { 31 - x.leading_zeros() },
        (high_low >> (8 * (y & 3))) as u32,
    ]
}

#[test]
fn bit_tricks_and_bytes_in_words() {
    let (mut a, mut b) = (words(128, 6), words(128, 7));
    a[0] = 0;
    b[0] = 0;
    b[1] = !0;
    let expected: Vec<[u32; 32]> = a.iter().zip(&b).map(|(&x, &y)| bit_tricks(x, y)).collect();
    on_every_build(SOURCE, |program| {
        let output = program.room::<[u32; 32]>(128);
        program.launch("bits", line(1, 128), &[&program.upload(&a), &program.upload(&b), &output]);
        for (thread, (found, expected)) in output.read().iter().zip(&expected).enumerate() {
            for (trick, (found, expected)) in found.iter().zip(expected).enumerate() {
                let (x, y) = (a[thread], b[thread]);
                assert_eq!(found, expected, "trick {trick} of {x:#x} and {y:#x}: {found:#x}, not {expected:#x}");
            }
        }
    });
}

#[test]
fn loops_over_digits() {
    let mut input = words(64, 8);
    input[..3].copy_from_slice(&[0, 1, 27]);
    let gcd = |mut a: u32, mut b: u32| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let mut expected = Vec::new();
    for &n in &input {
        let morton = (0..16).fold(0u32, |m, i| m | (n >> i & 1) << (2 * i) | (n >> (16 + i) & 1) << (2 * i + 1));
        let (mut rest, mut reversed) = (n, 0u32);
        while rest > 0 {
            reversed = reversed.wrapping_mul(10).wrapping_add(rest % 10);
            rest /= 10;
        }
        let (mut c, mut steps) = (u64::from(n), 0);
        while c > 1 {
            c = if c % 2 == 1 { 3 * c + 1 } else { c / 2 };
            steps += 1;
        }
        expected.extend([morton, n ^ n >> 1, reversed, n.isqrt(), steps, gcd(n, 360_360)]);
    }
    on_every_build(SOURCE, |program| {
        let output = program.room::<u32>(64 * 6);
        program.launch("digits", line(1, 64), &[&program.upload(&input), &output]);
        assert_eq!(output.read(), expected);
    });
}

#[test]
fn text() {
    let letters =
        b"It is a truth universally acknowledged, that a single man in possession of a good FORTUNE, must be in want";
    let words = letters.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()).count() as i32;
    let swapped: Vec<u8> = letters.iter().map(|&c| if c.is_ascii_alphabetic() { c ^ 32 } else { c }).collect();
    let at = letters.to_ascii_lowercase().windows(7).position(|window| window == b"fortune").expect("it is there");
    on_every_build(SOURCE, |program| {
        let (device, count) = (program.upload(letters), letters.len() as i32);
        let (found_words, found) = (program.zeros::<i32>(1), program.upload(&[i32::MAX]));
        let pattern = program.upload(b"fortune");
        program.launch("text", line(4, 32), &[&device, &count, &found_words, &pattern, &7, &found]);
        assert_eq!((found_words.read(), found.read()), (vec![words], vec![at as i32]));
        program.launch("change_case", line(4, 32), &[&device, &count]);
        assert_eq!(device.read(), swapped);
    });
}
