"""Where an image lies in the body: view, laterality, chest wall, millimetres.

In: header elements. Never puts a value of the header into a message. Knows nothing of pixels.
"""

import math
import re

from pydicom.dataset import Dataset

from model_store.dicom_terms import (
    BREAST_CODES,
    CROPPING_MODIFIERS,
    IMPLANT_DISPLACED,
    SPECIMEN_CODES,
    VIEW_CODES,
    Laterality,
    View,
)
from model_store.dicom_values import items, numbers, text, texts
from model_store.refusals import RefusalCode, Refused, WarningCode

INNER_SIDE_BELOW = (View.CC, View.XCCL, View.XCCM, View.MLO, View.LMO)
"""Views that are displayed with the inner side of the breast at the bottom."""
DIRECTIONS = re.compile(r"[AFHLPR]{1,3}")  # PS3.3 C.7.6.1.1.1


def find_view(ds: Dataset, warnings: list[WarningCode]) -> View | None:
    """View Code Sequence, then View Position, then a view in Patient Orientation (film scans)."""
    codes = _code_values(ds, "ViewCodeSequence")
    modifiers = _code_values(ds, "ViewModifierCodeSequence")
    for item in items(ds, "ViewCodeSequence"):
        modifiers += _code_values(item, "ViewModifierCodeSequence")
    if SPECIMEN_CODES & {*codes, *modifiers}:
        raise Refused(RefusalCode.BIOPSY, "the view is of a specimen")
    if CROPPING_MODIFIERS & set(modifiers):
        raise Refused(
            RefusalCode.NON_STANDARD_VIEW,
            "magnification, spot or tangential view; send the whole breast",
        )
    if IMPLANT_DISPLACED & set(modifiers):
        warnings.append(WarningCode.IMPLANT_PRESENT)
    coded = next((VIEW_CODES[code] for code in codes if code in VIEW_CODES), None)
    written = _as_view(text(ds, "ViewPosition"))
    if coded and written and coded != written:
        warnings.append(WarningCode.VIEW_CONFLICT)
    oriented = None
    if WarningCode.SECONDARY_CAPTURE in warnings:
        oriented = _as_view("".join(texts(ds, "PatientOrientation")))
    view = coded or written or oriented
    if view is None:
        warnings.append(WarningCode.VIEW_UNKNOWN)
    return view


def _as_view(term: str) -> View | None:
    return View(term) if term in tuple(View) else None


def find_laterality(
    ds: Dataset, view: View | None, warnings: list[WarningCode]
) -> Laterality | None:
    """Image Laterality, then Laterality of the series, then the code of the breast.

    Patient Orientation is too often wrong to tell a breast, but contradicts one with a warning.
    """
    written = [text(ds, "ImageLaterality"), text(ds, "Laterality")]
    found = [Laterality(term) for term in written if term in tuple(Laterality)]
    codes = _code_values(ds, "AnatomicRegionSequence")
    found += [BREAST_CODES[code] for code in codes if code in BREAST_CODES]
    if not found or written[0] == "B":  # both breasts on one image
        warnings.append(WarningCode.LATERALITY_UNKNOWN)
        return None
    oriented = _laterality_by_orientation(ds) if view in INNER_SIDE_BELOW else None
    if len({*found, oriented or found[0]}) > 1:
        warnings.append(WarningCode.LATERALITY_CONFLICT)
    return found[0]


def _laterality_by_orientation(ds: Dataset) -> Laterality | None:
    """The breast whose inner side faces the way the columns run: right, of the left breast."""
    directions = texts(ds, "PatientOrientation")
    column = directions[1] if len(directions) == 2 else ""
    inner = {"L", "R"} & set(column) if DIRECTIONS.fullmatch(column) else set()
    if len(inner) != 1:
        return None
    return Laterality.LEFT if "R" in inner else Laterality.RIGHT


def chest_wall_is_left(ds: Dataset, laterality: Laterality | None) -> bool | None:
    """Patient Orientation's row letter says it; else the way For Presentation images are shown."""
    row = (texts(ds, "PatientOrientation") or [""])[0]
    if row[:1] in ("A", "P"):
        return row.startswith("A")  # rows run from the chest wall towards the nipple
    return None if laterality is None else laterality is Laterality.LEFT


def find_spacing_mm(ds: Dataset) -> tuple[float, float] | None:
    """(row, column) spacing in the breast as far as the header knows it; never invented."""
    spacing = numbers(ds, "ImagerPixelSpacing")  # at the detector
    factor = (numbers(ds, "EstimatedRadiographicMagnificationFactor") or [1.0])[0]
    if not spacing and text(ds, "PixelSpacingCalibrationType"):
        spacing, factor = numbers(ds, "PixelSpacing"), 1.0
    if len(spacing) != 2 or not all(0 < value < math.inf for value in (*spacing, factor)):
        return None
    return spacing[0] / factor, spacing[1] / factor


def _code_values(ds: Dataset, keyword: str) -> list[str]:
    return [text(item, "CodeValue") for item in items(ds, keyword)]
