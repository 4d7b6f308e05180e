"""Facts of a breast of two images, and of images that are shown mirrored."""

import numpy as np

from training.data.facts import (
    ABSENT,
    OWNERS,
    PLACES,
    PRESENCE,
    PRESENT,
    UNKNOWN,
    Attribute,
    Facts,
)


def mirrored(facts: Facts, *, sides: bool, outer: bool, upper: bool) -> Facts:
    """Facts of mirrored images: `sides` swaps left and right, `outer` outer and inner, and so on.

    A CC view flipped left to right looks like the other breast's; flipped top to bottom it swaps
    outer and inner, and an MLO view swaps upper and lower.
    """
    seen = facts.copy()
    if sides and facts[Attribute.SIDE] != UNKNOWN:
        seen[Attribute.SIDE] = 1 - facts[Attribute.SIDE]
    for vertical, lateral, _ in PLACES.values():
        for column, swapped in ((vertical, upper), (lateral, outer)):
            if swapped and facts[column] in (1, 2):
                seen[column] = 3 - facts[column]
    return seen


def joined(one: Facts, other: Facts) -> Facts:
    """Facts of a breast of two of its views: there if either shows it, absent if both do not.

    What only one view shows has that view's words; where the words differ it is UNKNOWN.
    """
    both = np.where(one == other, one, UNKNOWN).astype(np.int8)
    for column in PRESENCE.values():
        if PRESENT in (one[column], other[column]):
            both[column] = PRESENT
    both[Attribute.MALIGNANCY] = max(one[Attribute.MALIGNANCY], other[Attribute.MALIGNANCY])
    for column in OWNERS:
        values = {int(one[column]), int(other[column])} - {ABSENT, UNKNOWN}
        if len(values) == 1:
            both[column] = values.pop()
    for column in (Attribute.DENSITY, Attribute.SIDE):
        if UNKNOWN in (one[column], other[column]):
            both[column] = max(one[column], other[column])
    return both
