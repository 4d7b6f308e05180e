"""Sentences about an image, and what each of them claims.

Every sentence is true of the facts it was drawn for. All chance comes from the generator passed in;
nothing is taken from the order of a set, so a seed gives the same text on every machine.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from training.data.facts import (
    ABSENT,
    PRESENCE,
    PRESENT,
    UNKNOWN,
    Attribute,
    Facts,
    merged_claims,
    no_claims,
)
from training.data.finding_captions import Caption, can_be_told, pick, side_of, told_caption
from training.data.records import Category, Density, Report
from training.data.sentences import (
    BENIGN,
    DENSITY_SENTENCES,
    MALIGNANT,
    NORMAL,
    NOT_MALIGNANT,
    SIDES,
)

__all__ = [
    "Caption",
    "draw_captions",
    "main_captions",
    "report_caption",
    "report_of",
    "shuffle_sentences",
]

WEIGHT_PRESENT, WEIGHT_ABSENT, WEIGHT_RARELY_ABSENT = 4.0, 1.0, 0.4
WEIGHT_DENSITY, WEIGHT_MALIGNANCY, WEIGHT_NORMAL = 1.2, 0.8, 1.0
WEIGHT_REPORT, WEIGHT_SIDE = 1.5, 0.1
"""How often a topic is drawn against the others that are known of an image."""
BENIGN_SHARE, NORMAL_SHARE, DENSITY_SHARE = 0.3, 0.4, 0.5
MAIN = (Category.MASS, Category.CALCIFICATION)
"""What is asked most, denied most, and worth a sentence of its own about every image."""


def draw_captions(
    rng: np.random.Generator, facts: Facts, *, local: bool, count: int = 3
) -> list[Caption]:
    """Up to `count` captions on different topics: fewer where less is known, none if nothing.

    `local`: of a crop, which shows neither the side, the place nor the density of the breast.
    """
    topics = _topics(facts, local=local)
    if not topics:
        return []
    weights = np.array([weight for weight, _ in topics])
    drawn = rng.choice(
        len(topics), size=min(count, len(topics)), replace=False, p=weights / weights.sum()
    )
    return [topics[int(index)][1](rng, facts) for index in drawn]


def main_captions(rng: np.random.Generator, facts: Facts, *, local: bool) -> list[Caption]:
    """One caption on each MAIN finding that is known to be there or not.

    Drawn topics speak of a mass in one sentence out of five, too seldom to learn it (LOG.md).
    """
    told = [category for category in MAIN if can_be_told(facts, category)]
    return [told_caption(rng, facts, category=category, local=local) for category in told]


Draw = Callable[[np.random.Generator, Facts], Caption]


def _topics(facts: Facts, *, local: bool) -> list[tuple[float, Draw]]:
    topics: list[tuple[float, Draw]] = []
    for category in Category:
        if can_be_told(facts, category):
            draw = partial(told_caption, category=category, local=local)
            topics.append((_weight(facts, category), draw))
    if topics:
        topics.append((WEIGHT_REPORT, partial(report_caption, local=local)))
    if is_normal(facts):
        topics.append((WEIGHT_NORMAL, normal_caption))
    if facts[Attribute.MALIGNANCY] != UNKNOWN:
        topics.append((WEIGHT_MALIGNANCY, malignancy_caption))
    if not local and facts[Attribute.DENSITY] != UNKNOWN:
        topics.append((WEIGHT_DENSITY, density_caption))
    if not local and facts[Attribute.SIDE] != UNKNOWN:
        topics.append((WEIGHT_SIDE, side_caption))
    return topics


def _weight(facts: Facts, category: Category) -> float:
    if facts[PRESENCE[category]] == PRESENT:
        return WEIGHT_PRESENT
    return WEIGHT_ABSENT if category in MAIN else WEIGHT_RARELY_ABSENT


def is_normal(facts: Facts) -> bool:
    """Nothing is there, nothing is malignant, and at least mass and calcification were looked for.

    "Normal" claims the absence of what was looked for, no more.
    """
    presence = [facts[column] for column in PRESENCE.values()]
    looked = facts[[Attribute.MASS, Attribute.CALCIFICATION]] == ABSENT
    return bool(looked.all() and PRESENT not in presence and facts[Attribute.MALIGNANCY] != PRESENT)


def normal_caption(rng: np.random.Generator, facts: Facts) -> Caption:
    """For facts that `is_normal` accepts."""
    claims = no_claims()
    for column in (*PRESENCE.values(), Attribute.MALIGNANCY):
        if facts[column] == ABSENT:
            claims[column] = ABSENT
    return Caption(pick(rng, NORMAL), claims)


def malignancy_caption(rng: np.random.Generator, facts: Facts) -> Caption:
    """Whether the image is of a malignancy; `facts` must know."""
    claims = no_claims()
    claims[Attribute.MALIGNANCY] = facts[Attribute.MALIGNANCY]
    if facts[Attribute.MALIGNANCY] == PRESENT:
        return Caption(pick(rng, MALIGNANT), claims)
    something = any(facts[column] == PRESENT for column in PRESENCE.values())
    benign = something and rng.random() < BENIGN_SHARE
    return Caption(pick(rng, BENIGN if benign else NOT_MALIGNANT), claims)


def density_caption(rng: np.random.Generator, facts: Facts) -> Caption:
    """The density class; `facts` must know it."""
    claims = no_claims()
    claims[Attribute.DENSITY] = facts[Attribute.DENSITY]
    density = list(Density)[facts[Attribute.DENSITY]]
    return Caption(pick(rng, DENSITY_SENTENCES[density]), claims)


def side_caption(rng: np.random.Generator, facts: Facts) -> Caption:
    """Which breast it is; `facts` must know."""
    claims = no_claims()
    claims[Attribute.SIDE] = facts[Attribute.SIDE]
    return Caption(pick(rng, SIDES).format(side=side_of(facts)), claims)


def report_caption(rng: np.random.Generator, facts: Facts, *, local: bool) -> Caption:
    """A short report in one text: every finding, some denials, at times the density, in any order.

    "" with no claim where nothing is known.
    """
    sentences = _findings(rng, facts, local=local)
    if not sentences:
        return Caption("", no_claims())
    texts = shuffle_sentences(rng, [sentence.text for sentence in sentences])
    return Caption(". ".join(texts) + ".", merged_claims(s.claims for s in sentences))


def _findings(rng: np.random.Generator, facts: Facts, *, local: bool) -> list[Caption]:
    told = [category for category in Category if can_be_told(facts, category)]
    present = [c for c in told if facts[PRESENCE[c]] == PRESENT]
    absent = [c for c in told if facts[PRESENCE[c]] == ABSENT]
    if is_normal(facts) and rng.random() < NORMAL_SHARE:
        sentences = [normal_caption(rng, facts)]
    else:
        chosen = [*present, *_some(rng, facts, absent)]
        sentences = [told_caption(rng, facts, category=c, local=local) for c in chosen]
    if not local and facts[Attribute.DENSITY] != UNKNOWN and rng.random() < DENSITY_SHARE:
        sentences.append(density_caption(rng, facts))
    return sentences


def _some(rng: np.random.Generator, facts: Facts, absent: Sequence[Category]) -> list[Category]:
    """One to three of them, the often asked more often."""
    if not absent:
        return []
    weights = np.array([_weight(facts, category) for category in absent])
    number = min(int(rng.integers(1, 4)), len(absent))
    drawn = rng.choice(len(absent), number, replace=False, p=weights / weights.sum())
    return [absent[int(index)] for index in drawn]


def report_of(rng: np.random.Generator, facts: Facts) -> Report:
    """Findings and impression in whole sentences, each true; empty where nothing is known."""
    findings = [sentence.text for sentence in _findings(rng, facts, local=False)]
    impression: list[str] = []
    if facts[Attribute.MALIGNANCY] != UNKNOWN:
        impression.append(malignancy_caption(rng, facts).text)
    for category in Category:
        if facts[PRESENCE[category]] == PRESENT:
            drawn = told_caption(rng, facts, category=category, local=False)
            impression.append(drawn.text)
    if is_normal(facts):
        impression.append(normal_caption(rng, facts).text)
    return Report(
        findings=tuple(map(as_sentence, shuffle_sentences(rng, findings))),
        impression=tuple(map(as_sentence, impression)),
    )


def shuffle_sentences(rng: np.random.Generator, sentences: Sequence[str]) -> tuple[str, ...]:
    """The same sentences in an order drawn anew; the argument is left as it is."""
    return tuple(sentences[int(index)] for index in rng.permutation(len(sentences)))


def as_sentence(text: str) -> str:
    """With a capital letter and one full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
