"""Which images make one case, and what is true of it. Knows nothing of models."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.data.canvas_set import CanvasSet
from training.data.records import Category, Density, ImageRecord

CATEGORY_OF = {category.value.lower(): category for category in Category}
"""Category by the name that prompt sets give it."""


def breast_rows(images: Sequence[ImageRecord]) -> list[list[int]]:
    """Rows of the images of each breast of each study, breasts in order of their first image."""
    breasts: dict[tuple[str, str, str], list[int]] = {}
    for row, image in enumerate(images):
        breasts.setdefault((image.patient, image.study, image.laterality), []).append(row)
    return list(breasts.values())


def case_truth(images: Sequence[ImageRecord], finding: str) -> bool | None:
    """Whether any of a case's images has the finding; None where none has it and one is unknown."""
    answers = [image_truth(image, finding) for image in images]
    if True in answers:
        return True
    return None if None in answers else False


def image_truth(image: ImageRecord, finding: str) -> bool | None:
    """Presence of the category of this name, or the label; None = nobody has said."""
    category = CATEGORY_OF.get(finding)
    return image.labels.get(finding) if category is None else image.present(category)


def known_rows(canvases: CanvasSet, finding: str) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Rows of the images where the finding's truth is known, and the truth there."""
    truth = [image_truth(record.image, finding) for record in canvases.records]
    rows = np.array([row for row, t in enumerate(truth) if t is not None], np.intp)
    return rows, np.array([truth[row] for row in rows], bool)


def known_density(canvases: CanvasSet) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the images whose density is known, and their class: 0 to 3 for A to D."""
    densities = [record.image.density for record in canvases.records]
    rows = np.array([row for row, d in enumerate(densities) if d is not None], np.intp)
    classes = list(Density)
    return rows, np.array([classes.index(d) for d in densities if d is not None], np.intp)


def patients_of(canvases: CanvasSet) -> NDArray[np.str_]:
    """(N,) patient of each canvas."""
    return np.array([record.image.patient for record in canvases.records], str)
