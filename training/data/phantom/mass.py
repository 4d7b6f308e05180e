"""Masses: shape, margin and density as BI-RADS has them, drawn as tissue along the beam.

The outline is a slice of a Gaussian random sphere, its spicules are those of de Sisternes et al.
2015 (doi 10.1118/1.4905232), seen in projection, with a few long ones that stand out.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from model_store.arrays import F32
from training.data.phantom.field import PX_PER_MM, ViewField
from training.data.phantom.patch import (
    STEPS_OF_CIRCLE,
    Point,
    by_angle,
    centred,
    curve,
    draw_strand,
    lay,
    polar,
    smooth,
    texture,
    visible_box,
)
from training.data.records import Box

SHAPES = ("round", "oval", "lobulated", "irregular")
MARGINS = ("circumscribed", "obscured", "microlobulated", "indistinct", "spiculated")
# Shares in percent, chosen so that the sums are those of CBIS-DDSM's masses: shapes round 123,
# oval 321, lobulated 305, irregular 351 of 1,100; margins 305, 197, 108, 278 (ill-defined), 281 of
# 1,169. No circumscribed mass is irregular, and most spiculated ones are.
SHARES = {
    "circumscribed": (5.5, 11.0, 9.6, 0.0),
    "obscured": (2.4, 7.4, 6.0, 1.0),
    "microlobulated": (0.6, 2.2, 5.0, 1.4),
    "indistinct": (2.2, 6.8, 5.3, 9.5),
    "spiculated": (0.5, 1.8, 1.8, 20.0),
}
SIZE_MM, SIZE_SPREAD = 13.3, 0.37  # CBIS-DDSM: median, and sd of the logarithm, of sqrt(h * w)
DENSITIES = {"low": 0.55, "equal": 0.7, "high": 0.88}
"""Gland-equivalent millimetres at the thickest place of a mass of median size, for each of size."""
ASPECT = {"round": (1.0, 1.1), "oval": (1.3, 1.7), "lobulated": (1.05, 1.4), "irregular": (1, 1.4)}
ROUGHNESS = {"round": 0.015, "oval": 0.02, "lobulated": 0.04, "irregular": 0.17}
"""Standard deviation of the outline's log radius."""

BLUR_MM = {
    "circumscribed": 0.15,
    "obscured": 0.2,
    "microlobulated": 0.15,
    "indistinct": 1.3,
    "spiculated": 0.5,
}
EVENED = {
    "circumscribed": 0.85,
    "obscured": 0.6,
    "microlobulated": 0.85,
    "indistinct": 0.75,
    "spiculated": 0.7,
}
"""How much of the texture underneath gives way to the body."""
DENSER = 0.7  # in dense tissue: a mass that nobody can see there goes unreported
SPICULES = (1358.0, 365.0)  # mean and sd of their number
SPICULE_LENGTH, SPICULE_WIDTH = 0.173, 0.048  # of the first segment, in radii of the mass
SHORTER, THINNER, GOES_ON = 0.89, 0.91, 0.72  # each further segment; how likely there is one
TURN = np.deg2rad(6.6)
BEYOND = {"spiculated": 2.4, "obscured": 1.8}  # how far a patch reaches, in radii
LAYERS = 6  # spicules of a layer do not add up, those of different ones do


@dataclass(frozen=True, slots=True)
class Mass:
    """`size_mm`: sqrt(height * width) of the box around it. Words are BI-RADS's."""

    shape: str
    margin: str
    density: str
    size_mm: float
    aspect: float

    @property
    def height_mm(self) -> float:
        """Gland-equivalent along the beam at the thickest place; small masses are rounder."""
        return float(DENSITIES[self.density] * self.size_mm**0.6 * SIZE_MM**0.4)

    @property
    def attributes(self) -> dict[str, str]:
        """As records.Finding has them."""
        return {"shape": self.shape, "margin": self.margin, "density": self.density}


def sample_mass(rng: np.random.Generator) -> Mass:
    """Shape and margin together, size and density on their own."""
    shares = np.array([SHARES[margin] for margin in MARGINS])
    margin, shape = divmod(int(rng.choice(shares.size, p=shares.ravel() / shares.sum())), 4)
    return Mass(
        shape=SHAPES[shape],
        margin=MARGINS[margin],
        density=str(rng.choice([*DENSITIES], p=[0.2, 0.4, 0.4])),
        size_mm=float(np.clip(rng.lognormal(np.log(SIZE_MM), SIZE_SPREAD), 5, 32)),
        aspect=float(rng.uniform(*ASPECT[SHAPES[shape]])),
    )


def draw_mass(
    rng: np.random.Generator, field: ViewField, mass: Mass, *, centre_mm: Point, contrast: float
) -> Box | None:
    """Add the mass around (row, column) in mm. The box holds the body and the spicules' core."""
    spiculated = mass.margin == "spiculated"
    body_mm = mass.size_mm * (0.8 if spiculated else 1.0)  # spicules make the rest of the box
    radii = outline(rng, mass, body_mm=body_mm)
    reach = float(radii.max()) * BEYOND.get(mass.margin, 1.25) + 2 * BLUR_MM[mass.margin] + 0.5
    radius, angle = polar(reach)
    relative = radius / by_angle(angle, radii)
    body = _body(rng, mass, relative, angle)
    if spiculated:
        body = np.maximum(body, 0) + _spicules(rng, radii, size=len(body))
    patch = centred(body * np.float32(mass.height_mm * contrast), centre_mm)
    evened = np.clip(1.5 * body, 0, 1) * np.float32(EVENED[mass.margin] * min(contrast, 1.0))
    lay(field, patch, evened=evened, grain_mm=mass.size_mm / 3, denser=DENSER)
    if mass.margin == "obscured":  # what covers it is not part of it
        patch.values = (relative < 1).astype(np.float32)
    return visible_box(field, patch, share=0.12)


def outline(rng: np.random.Generator, mass: Mass, *, body_mm: float) -> F32:
    """(STEPS_OF_CIRCLE,) radius in mm by angle; sqrt(h * w) of its box is `body_mm`."""
    angle = np.linspace(0, 2 * np.pi, STEPS_OF_CIRCLE, endpoint=False)
    turned = angle + rng.uniform(0, 2 * np.pi)
    half = mass.aspect**0.5
    radii = 1 / np.hypot(np.cos(turned) / half, np.sin(turned) * half)
    orders = np.arange(2, 11 if mass.shape == "irregular" else 5)
    strength = orders ** (-1.5 if mass.shape == "irregular" else -2.0)
    strength *= ROUGHNESS[mass.shape] * 2**0.5 / np.hypot.reduce(strength)
    for order, sd in zip(orders, strength, strict=True):
        phase = rng.uniform(0, 2 * np.pi)
        radii *= np.exp(rng.normal(0, sd) * np.cos(order * angle + phase))
    if mass.shape == "lobulated":  # three or four lobes with notches between them
        lobes, phase = int(rng.integers(3, 5)), rng.uniform(0, 2 * np.pi)
        radii *= 0.8 + 0.3 * np.abs(np.cos(lobes * angle / 2 + phase)) ** 0.8
    if mass.margin == "microlobulated":
        small, phase = int(rng.integers(11, 17)), rng.uniform(0, 2 * np.pi)
        wave = np.abs(np.cos(small * angle / 2 + phase + 0.4 * np.sin(3 * angle)))
        radii *= 0.91 + 0.15 * wave
    rows, columns = radii * np.sin(angle), radii * np.cos(angle)
    box = np.ptp(rows) * np.ptp(columns)
    return np.asarray(radii * body_mm / box**0.5, np.float32)


def _body(rng: np.random.Generator, mass: Mass, relative: F32, angle: F32) -> F32:
    """The path through the body, 1 at most, by the radius relative to the outline."""
    power = 2.0 if mass.margin in ("indistinct", "spiculated") else 2.6
    body = np.sqrt(np.clip(1 - np.minimum(relative, 1) ** power, 0, None))
    blur = BLUR_MM[mass.margin]
    if mass.margin == "indistinct":
        blur = float(np.clip(0.1 * mass.size_mm, 0.8, 2.0))
    sharp = smooth(body, blur)
    noise = texture(rng, (len(body), len(body)), longest_mm=mass.size_mm / 2)
    rough = {"indistinct": 0.16, "spiculated": 0.14, "obscured": 0.1}.get(mass.margin, 0.05)
    sharp *= np.clip(1 + rough * noise, 0.4, 1.6)
    if mass.margin == "obscured":
        return _obscured(rng, mass, sharp, relative, angle)
    return np.asarray(sharp, np.float32)


def _obscured(rng: np.random.Generator, mass: Mass, sharp: F32, relative: F32, angle: F32) -> F32:
    """Tissue lies over a third to a half of the margin, which cannot be followed there."""
    middle = rng.uniform(0, 2 * np.pi)
    hidden = 1 / (1 + np.exp(-(np.cos(angle - middle) - 0.1) / 0.15))
    hidden = smooth(np.asarray(hidden, np.float32), 0.8)
    size = mass.size_mm
    noise = texture(rng, sharp.shape, longest_mm=size / 2)
    over = np.exp(-(((relative - 1.05) / 0.3) ** 2)) * np.clip(0.4 + 0.2 * noise, 0, 0.8)
    faded = smooth(sharp, 0.2 * size) + over
    return np.asarray(sharp * (1 - hidden) + smooth(faded.astype(np.float32), 0.3) * hidden)


def _spicules(rng: np.random.Generator, radii: F32, *, size: int) -> F32:
    """Spicules in the body's units: the many of the model, and a few long ones."""
    mean = float(radii.mean())
    layers = np.zeros((LAYERS, size, size), np.float32)
    count = int(np.clip(rng.normal(*SPICULES), 600, 2200))
    height = rng.uniform(-1, 1, count)  # on a sphere; what points along the beam looks short
    flat = np.sqrt(1 - height**2)
    heading = rng.uniform(0, 2 * np.pi, count)
    start = by_angle(heading.astype(np.float32), radii) * flat * 0.97 * PX_PER_MM
    at = np.stack([np.sin(heading), np.cos(heading)], 1) * start[:, None] + size // 2
    length, value = SPICULE_LENGTH * mean * PX_PER_MM, 0.055
    width, layer = SPICULE_WIDTH * mean * PX_PER_MM, np.arange(count) % LAYERS
    while len(at):
        heading = heading + rng.choice([-TURN, TURN], len(at)) * rng.uniform(0.5, 2, len(at))
        step = (length * flat * rng.uniform(0.6, 1.4, len(at)))[:, None]
        after = at + np.stack([np.sin(heading), np.cos(heading)], 1) * step
        segments = np.rint(np.stack([at, after], 1)[..., ::-1] * 16).astype(np.int32)
        for index in range(LAYERS):
            lines = [*segments[layer == index]]
            thick = max(round(width), 1)
            cv2.polylines(layers[index], lines, False, value, thick, cv2.LINE_AA, 4)
        goes = rng.random(len(at)) < GOES_ON
        at, heading, flat, layer = after[goes], heading[goes], flat[goes], layer[goes]
        length, width, value = length * SHORTER, width * THINNER, value * THINNER
    long = _long_spicules(rng, radii, size=size)
    return smooth(layers.sum(0) + long, 0.1)


def _long_spicules(rng: np.random.Generator, radii: F32, *, size: int) -> F32:
    """Ten to twenty that reach half a radius to more than a whole one beyond the outline."""
    drawn = np.zeros((size, size), np.float32)
    for angle in np.arange(count := int(rng.integers(11, 21))) * (2 * np.pi / count):
        turned = float(angle + rng.normal(0, 0.15)) % (2 * np.pi)
        radius = (
            float(radii[int(turned / (2 * np.pi) * STEPS_OF_CIRCLE) % STEPS_OF_CIRCLE]) * PX_PER_MM
        )
        start, end = 0.75 * radius, radius * (1 + float(rng.uniform(0.5, 1.3)))
        line = curve(
            rng,
            (size // 2 + start * float(np.sin(turned)), size // 2 + start * float(np.cos(turned))),
            (size // 2 + end * float(np.sin(turned)), size // 2 + end * float(np.cos(turned))),
            bend=0.06,
        )
        draw_strand(
            drawn,
            line,
            width_mm=(float(rng.uniform(0.6, 1.1)), 0.2),
            height_mm=(float(rng.uniform(0.32, 0.55)), 0.04),
        )
    return drawn
