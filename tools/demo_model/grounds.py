"""Grounds: grass, sand, snow, sea, night, or a plain colour, drawn without any object."""

import cv2
import numpy as np

# Kind to how often it is drawn.
KINDS = {"grass": 0.28, "sand": 0.18, "snow": 0.14, "sea": 0.13, "plain": 0.15, "night": 0.12}

DAY_SKY = ((90, 160, 235), (190, 222, 248))
NIGHT_SKY = ((18, 24, 60), (50, 60, 110))
# Colours at the horizon and at the lower edge.
SURFACES = {
    "grass": ((120, 185, 75), (60, 130, 45)),
    "sand": ((235, 210, 150), (205, 165, 100)),
    "snow": ((240, 245, 252), (205, 218, 235)),
    "sea": ((50, 130, 195), (25, 85, 150)),
    "night": ((35, 55, 50), (18, 30, 32)),
}
HILLS = {"grass": (95, 150, 110), "sand": (205, 170, 120), "snow": (190, 205, 225), "night": (25, 32, 62)}


def draw_ground(rng, size, kind=None):
    """A square ground as floats (size, size, 3) of 0 to 255, and its kind."""
    kind = kind or str(rng.choice(list(KINDS), p=list(KINDS.values())))
    picture = draw_plain(rng, size) if kind == "plain" else draw_landscape(rng, size, kind)
    return np.clip(picture, 0, 255), kind


def draw_plain(rng, size):
    """A colour with a slight gradient and slight clouding."""
    colour = rng.uniform(60, 235, 3)
    ends = [np.clip(colour + rng.uniform(-30, 30), 0, 255) for _ in range(2)]
    return gradient(size, *ends) + smooth_noise(rng, size, 4, 4) * rng.uniform(0, 6)


def draw_landscape(rng, size, kind):
    """Sky, perhaps hills, and the surface below a horizon."""
    sky = NIGHT_SKY if kind == "night" else DAY_SKY
    picture = gradient(size, jitter(rng, sky[0], 18), jitter(rng, sky[1], 14))
    picture = draw_stars(rng, picture) if kind == "night" else draw_clouds(rng, picture)
    columns = np.arange(size, dtype=np.float32) / size
    horizon = rng.uniform(0.38, 0.68)
    if kind in HILLS and rng.random() < 0.5:
        ridge = horizon - rng.uniform(0.02, 0.09) - rng.uniform(0.015, 0.055) * wave(rng, columns, 4, 11)
        picture = fill_below(picture, ridge, jitter(rng, HILLS[kind], 16))
    if kind != "sea":
        horizon = horizon + rng.uniform(0, 0.024) * wave(rng, columns, 3, 8)
    surface = gradient(size, *(jitter(rng, colour, 14) for colour in SURFACES[kind]))
    if kind == "sea":
        surface = surface + smooth_noise(rng, size, 32, 6) * 6
    else:
        grain = int(rng.integers(12, 30))
        surface = surface + smooth_noise(rng, size, grain, grain) * rng.uniform(1, 6)
    return fill_below(picture, horizon + 0 * columns, surface)


def draw_clouds(rng, picture):
    size = len(picture)
    unit = size / 128
    for _ in range(rng.integers(0, 4)):
        cloud = np.zeros((size, size), np.float32)
        x, y = rng.uniform(0, size), rng.uniform(0.03 * size, 0.4 * size)
        for _ in range(4):
            centre = (int(x + rng.uniform(-12, 12) * unit), int(y + rng.uniform(-3, 3) * unit))
            cv2.circle(cloud, centre, int(rng.uniform(4, 9) * unit), 1.0, -1, cv2.LINE_AA)
        cloud = cv2.GaussianBlur(cloud, (0, 0), 1.5 * unit)[..., None] * 0.85
        picture = picture * (1 - cloud) + 250 * cloud
    return picture


def draw_stars(rng, picture):
    size = len(picture)
    picture = np.ascontiguousarray(picture)
    for _ in range(rng.integers(0, 10)):
        centre = (int(rng.integers(0, size)), int(rng.integers(0, size // 2)))
        cv2.circle(picture, centre, max(1, size // 128), (235, 235, 210), -1, cv2.LINE_AA)
    return picture


def fill_below(picture, line, colour):
    """`colour`, one or one a pixel, below a line of heights: one a column, as a share of the picture."""
    size = len(picture)
    rows = np.arange(size, dtype=np.float32)[:, None]
    cover = np.clip(rows - line[None] * size + 0.5, 0, 1)[..., None]
    return picture * (1 - cover) + colour * cover


def gradient(size, top, bottom):
    share = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top * (1 - share) + bottom * share, (size, size, 3)).astype(np.float32)


def jitter(rng, colour, spread):
    return np.clip(np.array(colour, np.float32) + rng.uniform(-spread, spread, 3), 0, 255)


def wave(rng, columns, least, most):
    """A sine of `least` to `most` radians across the picture."""
    return np.sin(columns * rng.uniform(least, most) + rng.uniform(0, 6.28))


def smooth_noise(rng, size, rows, columns):
    """Normals on a coarse grid, interpolated: (size, size, 1)."""
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]
