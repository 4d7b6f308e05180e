"""Boxes of findings as the tables have them, and the image that they lie in."""

from training.data.records import Box
from training.data.tables import Notes


def cut_to_image(box: Box, *, rows: int, columns: int, notes: Notes) -> Box | None:
    """What of a box lies in an image of that size; None if nothing does. Both are noted."""
    cut = Box(
        max(box.top, 0.0),
        max(box.left, 0.0),
        min(box.bottom, float(rows)),
        min(box.right, float(columns)),
    )
    if cut.bottom <= cut.top or cut.right <= cut.left:
        notes.add("boxes wholly outside their image, left out")
        return None
    if cut != box:
        notes.add("boxes that leave their image, cut at its edge")
    return cut
