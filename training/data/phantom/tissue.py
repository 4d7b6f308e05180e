"""One view's tissue, lesion-free: millimetres of gland along each ray, from the breast's anatomy.

Made at 0.2 mm and enlarged; what is finer (noise, calcifications) comes at 0.1 mm.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from model_store.arrays import F32
from training.data.phantom.anatomy import Anatomy, Points
from training.data.phantom.field import COLUMNS, ROWS, SPACING_MM, ViewField
from training.data.phantom.outline import Outline, project_all
from training.data.phantom.silhouette import COARSE_MM, PLAN_MM, Silhouette, grid, silhouette
from training.data.phantom.texture import Weave, lines, power_law_fields, sigmoid

SKIN_MM = 1.1


@dataclass(frozen=True, slots=True, eq=False)
class _Textures:
    """Coarse-grid textures of one view, each used in several places."""

    fields: tuple[F32, F32]
    weave: Weave
    woven: F32
    net: F32
    fine: F32


def draw_field(rng: np.random.Generator, anatomy: Anatomy, outline: Outline) -> ViewField:
    """The view without lesions."""
    form = silhouette(outline)
    textures = _textures(rng, outline)
    thickness = _thickness(rng, anatomy, form)
    gland = _gland(rng, anatomy, outline, form, textures)
    dense = _millimetres(rng, anatomy, outline, gland=gland, thickness=thickness, textures=textures)
    dense += _skin(form, thickness.max())
    if outline.muscle_top > 0:
        dense = _with_muscle(rng, dense, form, thickness=thickness, field=textures.fields[1])
    dense = _levelled(dense, thickness)
    inside = _enlarged(form.level) > 0
    dense, thickness, skin = (_enlarged(part) * inside for part in (dense, thickness, form.skin_mm))
    return ViewField(
        dense_mm=dense,
        thickness_mm=thickness,
        calcium_mm=np.zeros((ROWS, COLUMNS), np.float32),
        inside=inside,
        skin_mm=skin,
        muscle=(_enlarged(form.muscle.astype(np.float32)) > 0.5) & inside,
        nipple_mm=outline.nipple,
        outline=outline,
    )


def _levelled(dense: F32, thickness: F32) -> F32:
    """Between nothing and all of the thickness, without an edge where it ends."""
    share = np.clip(dense, 0, None) / np.maximum(thickness, np.float32(0.1))
    return np.asarray(share * thickness / np.sqrt(np.sqrt(1 + share**4)), np.float32)


def _enlarged(coarse: F32) -> F32:
    """To the frame's size; the coarse grid ends where the breast does."""
    full = np.zeros((ROWS, COLUMNS), np.float32)
    drawn = cv2.resize(coarse, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    full[:, : drawn.shape[1]] = drawn[:, :COLUMNS]
    return full


def _textures(rng: np.random.Generator, outline: Outline) -> _Textures:
    fields = power_law_fields(rng)
    weave = Weave(outline, fields[0])
    fade = weave.noise(rng, along_mm=18, across_mm=12)
    net = lines(weave.noise(rng, along_mm=36, across_mm=8), half_width_mm=0.45)
    net *= sigmoid(4 * fade)
    crossing = lines(weave.noise(rng, along_mm=26, across_mm=7), half_width_mm=0.3)
    net += np.float32(0.7) * crossing * sigmoid(np.float32(0.5) - 4 * fade)
    fine = lines(weave.noise(rng, along_mm=13, across_mm=3.5), half_width_mm=0.22)
    fine *= sigmoid(5 * weave.noise(rng, along_mm=14, across_mm=8))
    return _Textures(fields, weave, weave.stretched(fields[1], factor=2.2), net, fine)


def _thickness(rng: np.random.Generator, anatomy: Anatomy, form: Silhouette) -> F32:
    """Flat between the plates, half a circle at the edge; the paddle tilts a little."""
    height, width = form.level.shape
    full = np.float32(anatomy.thickness_mm)
    reach = np.clip(form.skin_mm / (full * np.float32(0.55)), 0, 1)
    tilt = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(rng.normal(0, 0.04))
    tilt = tilt + np.linspace(0.05, -0.05, width, dtype=np.float32)[None, :]
    return np.asarray(full * (1 + tilt) * np.sqrt(1 - (1 - reach) ** 2), np.float32)


def _skin(form: Silhouette, thickness: float) -> F32:
    """Skin along the beam: the shell between two rounded edges; counted as half its thickness."""
    radius = np.float32(thickness * 0.55)
    outer = np.sqrt(1 - (1 - np.clip(form.skin_mm / radius, 0, 1)) ** 2)
    inner = np.sqrt(1 - (1 - np.clip((form.skin_mm - SKIN_MM) / radius, 0, 1)) ** 2)
    return np.asarray(0.5 * thickness * (outer - inner), np.float32)


def _gland(
    rng: np.random.Generator,
    anatomy: Anatomy,
    outline: Outline,
    form: Silhouette,
    textures: _Textures,
) -> F32:
    """Share of gland along the beam's middle part, 0 to 1; its area above 0.5 is the dense area."""
    plan = _plan(anatomy, outline)
    tendency = np.asarray(cv2.resize(plan, form.level.shape[::-1]), np.float32) * np.float32(1.7)
    tendency += np.float32(0.42) * textures.woven
    height, width = form.level.shape
    tendency += np.float32(0.24) * textures.fields[1][:height, :width]
    tendency += np.float32(0.35) * textures.net
    # Fat under the skin, deeper here and shallower there where ligaments pull the gland outwards.
    scallop = textures.weave.noise(rng, along_mm=60, across_mm=16)
    fat_mm = np.float32(rng.uniform(7, 11)) * (1 + np.float32(0.3) * scallop)
    near_nipple = np.exp(-np.square(textures.weave.along - 14) / np.float32(2 * 16**2))
    tendency += 0.75 * np.exp(-np.square(textures.weave.along / np.float32(0.5 * outline.depth)))
    tendency -= 2.6 * sigmoid((fat_mm - form.skin_mm) / 2.2) * (1 - 0.9 * near_nipple)
    if outline.muscle_top > 0:
        tendency -= 1.6 * sigmoid(form.edge_mm / np.float32(4))
        _, up = outline.axes(*grid(COARSE_MM, outline))
        tendency -= 2 * sigmoid((up - np.float32(0.8 * outline.above)) / np.float32(7))
    breast = form.inside & ~form.muscle
    sample = tendency[::5, ::5][breast[::5, ::5]]
    cut = np.quantile(sample, 1 - anatomy.dense_share)
    above = (tendency - np.float32(cut)) / np.float32(0.3 + 0.2 * anatomy.dense_share)
    uneven = np.float32(0.85) + np.float32(0.15) * np.clip(above, -1, 3)
    return np.asarray(sigmoid(above) * uneven, np.float32)


def _plan(anatomy: Anatomy, outline: Outline) -> F32:
    """The glandular plan as this view sees it: lumps of three sizes, summed and levelled off."""
    shape = (round(ROWS * SPACING_MM / PLAN_MM), round(COLUMNS * SPACING_MM / PLAN_MM))
    at = project_all(anatomy.lumps, outline.projection, outline) / PLAN_MM
    rows, columns = np.clip(at.astype(int), 0, np.array(shape) - 1).T
    scale = outline.depth / 90
    plan = np.zeros(shape, np.float32)
    for size in np.unique(anatomy.lump_mm):
        chosen = anatomy.lump_mm == size
        counts = np.zeros(shape, np.float32)
        np.add.at(counts, (rows[chosen], columns[chosen]), np.float32(1))
        sigma = float(size * scale / PLAN_MM)
        plan += cv2.GaussianBlur(counts, (0, 0), sigma) * np.float32(sigma**1.5)
    for points, weight in ((anatomy.ducts, 0.5),):
        plan += np.float32(weight) * _drawn(
            project_all(points, outline.projection, outline), shape, step_mm=PLAN_MM, width_mm=1.6
        )
    return np.asarray(np.log1p(plan), np.float32)


def _drawn(curves: Points, shape: tuple[int, int], *, step_mm: float, width_mm: float) -> F32:
    """Curves (N, points, 2) in mm as lines of 1."""
    canvas = np.zeros(shape, np.float32)
    corners = np.rint(curves[..., ::-1] / step_mm * 16).astype(np.int32)
    thick = max(1, round(width_mm / step_mm))
    cv2.polylines(canvas, [*corners], False, 1.0, thick, cv2.LINE_AA, 4)
    return canvas


def _millimetres(
    rng: np.random.Generator,
    anatomy: Anatomy,
    outline: Outline,
    *,
    gland: F32,
    thickness: F32,
    textures: _Textures,
) -> F32:
    """Gland, strands, ducts and vessels, in mm along the beam."""
    fill = np.float32(rng.uniform(0.30, 0.37) + 0.16 * anatomy.dense_share)
    height, width = gland.shape
    cloud = textures.fields[0][:height, :width]
    uneven = 1 + np.float32(0.2) * textures.woven + np.float32(0.12) * cloud
    uneven -= np.float32(0.3) * textures.fine
    dense = gland * np.clip(uneven, 0.15, 1.5) * fill * thickness
    behind = np.clip(thickness / thickness.max(), 0, 1)
    strands = 2.7 * textures.net + 1.7 * textures.fine + 3.0
    strands += np.clip(np.float32(1.2) * textures.woven + np.float32(1.6) * cloud, -2.8, 6)
    dense += strands * behind * (1 + 0.5 * gland)
    ducts = _drawn(
        project_all(anatomy.ducts[:, :12], outline.projection, outline),
        gland.shape,
        step_mm=COARSE_MM,
        width_mm=0.8,
    )
    fading = np.exp(-textures.weave.along / np.float32(26))
    dense += 3.2 * cv2.GaussianBlur(ducts, (0, 0), 2.2) * fading
    dense += _vessels(rng, outline, gland.shape) * behind
    return np.asarray(dense, np.float32)


def _vessels(rng: np.random.Generator, outline: Outline, shape: tuple[int, int]) -> F32:
    """A few winding veins under the skin."""
    count, t = int(rng.integers(3, 7)), np.linspace(0, 1, 40)[None, :]
    start = rng.uniform([0.55, -0.9], [0.95, 0.9], (count, 2))[:, None]
    end = rng.uniform([0.0, -0.9], [0.3, 0.9], (count, 2))[:, None]
    places = np.zeros((count, 40, 3))
    places[..., 0] = start[..., 0] + (end - start)[..., 0] * t
    sway = sum(
        rng.normal(0, 0.11 / k, (count, 1)) * np.sin(k * np.pi * t + rng.uniform(0, 6, (count, 1)))
        for k in (1, 2, 4, 7)
    )
    across = start[..., 1] + (end - start)[..., 1] * t + sway
    places[..., 1] = places[..., 2] = across
    drawn = _drawn(
        project_all(places, outline.projection, outline), shape, step_mm=COARSE_MM, width_mm=1.2
    )
    return np.asarray(2.0 * cv2.GaussianBlur(drawn, (0, 0), 1.8), np.float32)


def _with_muscle(
    rng: np.random.Generator, dense: F32, form: Silhouette, *, thickness: F32, field: F32
) -> F32:
    """The pectoral muscle, thick at the chest wall and thin at its edge, with bundles of fibres."""
    height, width = dense.shape
    edge = form.edge_mm + np.float32(0.9) * field[:height, :width]
    deep = 1 - np.exp(-np.clip(edge, 0, None) / np.float32(rng.uniform(7, 12)))
    fibres = rng.standard_normal((1, 96), dtype=np.float32)
    along = cv2.resize(fibres, (2048, 1), interpolation=cv2.INTER_CUBIC)[0]
    bundle = along[np.clip((form.edge_mm * 6 + 700).astype(np.int32), 0, 2047)]
    uneven = 1 + np.float32(0.03) * bundle + np.float32(0.02) * field[-height:, -width:]
    body = sigmoid(np.asarray(edge / 0.9, np.float32)) * (0.25 + 0.75 * deep) * uneven
    muscle = np.float32(rng.uniform(0.40, 0.54)) * thickness * body
    covered = sigmoid(np.asarray(edge / 2, np.float32))
    return np.asarray(muscle + dense * (1 - np.float32(0.6) * covered), np.float32)
