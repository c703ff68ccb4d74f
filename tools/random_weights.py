"""Random weights from a seed, the same to the bit in Python here and in Rust in `tests/support/weights.rs`.

An element is its tensor's centre plus a spread times roughly a normal number: the sum of the four 16-bit parts of a hash
of its index. Every step is exact or rounded once, so that both languages agree. Spreads keep activations near 1
through the whole network: 1 / sqrt(inputs), less where a branch is added to a sum, more where attention chooses.
"""

import math

import numpy as np

SEED = 15
CHUNK = 1 << 16  # elements at a time, for the processor's caches

# A uniform 16-bit number has a variance of (2^32 - 1) / 12.
UNIT = math.sqrt(4 * (2**32 - 1) / 12)
MASK = (1 << 64) - 1
LANES = np.uint64(0x0000FFFF0000FFFF)


def random_weights(name, shape):
    """The tensor of that name in a diffusers checkpoint, in half precision."""
    centre, spread = distribution(name, shape)
    count, key = math.prod(shape), fnv1a(name) ^ SEED
    weights = np.empty(count, np.float16)
    for start in range(0, count, CHUNK):
        chunk = weights[start : start + CHUNK]
        sums = four_parts(split_mix(key, start, len(chunk))).astype(np.float32)
        chunk[:] = np.float32(centre) + sums * np.float32(spread / UNIT)
    return weights.reshape(shape)


def distribution(name, shape):
    """Centre and standard deviation of a tensor's elements."""
    layer = name.removesuffix(".weight")
    if name.endswith(".bias"):
        return 0.0, 0.1
    if len(shape) == 1:
        return 1.0, 0.1  # of norms
    if "text_model.embeddings" in name:
        return 0.0, 1.0
    return 0.0, gain(layer) / math.sqrt(math.prod(shape[1:]))


def gain(layer):
    if layer.endswith((".conv2", ".to_out.0", ".ff.net.2", ".proj_out", ".out_proj", ".mlp.fc2")):
        return 0.5
    if layer.endswith((".to_q", ".to_k", ".q_proj", ".k_proj", "conv_out")):
        return 1.5
    return 1.0


def fnv1a(text):
    """The 64-bit hash FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & MASK
    return value


def split_mix(key, start, count):
    """Outputs `start` to `start + count` of SplitMix64 seeded by the key."""
    step = np.uint64(0x9E3779B97F4A7C15)
    z = np.arange(start + 1, start + 1 + count, dtype=np.uint64) * step + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def four_parts(hashes):
    """Sums of the four 16-bit parts, moved to a mean of zero."""
    pairs = (hashes & LANES) + (hashes >> np.uint64(16) & LANES)
    sums = (pairs + (pairs >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    return sums.astype(np.int32) - 2 * 65535
