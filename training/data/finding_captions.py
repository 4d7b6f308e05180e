"""Sentences about one finding, there or not, and what each claims.

Every sentence is true of the facts it was drawn for. All chance comes from the generator passed in.
"""

from dataclasses import dataclass

import numpy as np

from training.data.facts import (
    ABSENT,
    ASYMMETRIES,
    DETAILS,
    PLACES,
    PRESENCE,
    PRESENT,
    UNKNOWN,
    Attribute,
    Facts,
    no_claims,
    word,
)
from training.data.records import Category
from training.data.sentences import (
    CATEGORY_CLOSERS,
    CATEGORY_OPENERS,
    CLUSTERS,
    DENIALS,
    DENIED_IN,
    DEPTH_TAILS,
    DETAIL_TAILS,
    DETAIL_WORDS,
    FINDINGS,
    PLACES_CENTRAL,
    PLACES_FULL,
    PLACES_HALF,
    PLACES_NONE,
    PLACES_SIDE,
    Words,
)

DETAIL_SHARE, TAIL_SHARE, ADJECTIVE_SHARE = 0.4, 0.3, 0.25
PLACE_SHARE, DEPTH_SHARE, NOWHERE_SHARE = 0.5, 0.5, 0.05
SENTENCE_SHARE, CLUSTER_SHARE, CLOSER_SHARE = 0.2, 0.5, 0.15
DENIED_SIDE_SHARE = 0.1
"""How often a sentence says what it may say."""


@dataclass(frozen=True, slots=True, eq=False)
class Caption:
    """A text and what it claims, (F,) int8 by facts.Attribute."""

    text: str
    claims: Facts


def can_be_told(facts: Facts, category: Category) -> bool:
    """Known; and "no asymmetry" is not said beside an asymmetry of another kind."""
    value = facts[PRESENCE[category]]
    if category is Category.ASYMMETRY and value == ABSENT:
        return all(facts[PRESENCE[kind]] != PRESENT for kind in ASYMMETRIES)
    return bool(value != UNKNOWN)


def told_caption(
    rng: np.random.Generator, facts: Facts, *, category: Category, local: bool
) -> Caption:
    """Whether a finding that `can_be_told` is there.

    If so at times of which kind and, unless `local`, where.
    """
    if facts[PRESENCE[category]] == PRESENT:
        return _present(rng, facts, category=category, local=local)
    return _absent(rng, facts, category=category, local=local)


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A noun with its adjectives; `tail` follows it wherever it stands."""

    noun: str
    article: str
    verb: str
    tail: str = ""

    def fill(self, template: str, *, place: str = "") -> str:
        """The template's sentence, place and all."""
        vowel = self.noun[0] in "aeiou" and not self.noun.startswith("one-")
        article = self.article and ("an " if vowel else "a ")
        words = {"noun": self.noun, "a_noun": article + self.noun, "is": self.verb}
        if "{place}" in template:
            return template.format(place=self.tail + place, **words)
        return template.format(**words) + self.tail + place


def _present(rng: np.random.Generator, facts: Facts, *, category: Category, local: bool) -> Caption:
    words, claims = FINDINGS[category], no_claims()
    claims[PRESENCE[category]] = PRESENT
    if words.said and rng.random() < SENTENCE_SHARE:
        return Caption(pick(rng, words.said), claims)
    phrase = _phrase(rng, facts, category=category, claims=claims)
    place = _place(rng, facts, category=category, claims=claims, local=local)
    closes = bool(place) and rng.random() < CLOSER_SHARE
    template = pick(rng, CATEGORY_CLOSERS if closes else CATEGORY_OPENERS)
    return Caption(phrase.fill(template, place=place), claims)


def _phrase(
    rng: np.random.Generator, facts: Facts, *, category: Category, claims: Facts
) -> _Phrase:
    """The noun, at times with what is known of its kind; writes what it says into `claims`."""
    words = FINDINGS[category]
    noun, adjectives, tail = pick(rng, words.nouns), list[str](), ""
    for column in DETAILS.get(category, {}):
        known = word(facts, column)
        if known is None or rng.random() >= DETAIL_SHARE:
            continue
        claims[column] = facts[column]
        if known == "grouped" and rng.random() < CLUSTER_SHARE:
            cluster = pick(rng, CLUSTERS).format(noun=" ".join([*adjectives, noun]))
            return _Phrase(cluster, article="a", verb="is")
        if column in DETAIL_TAILS and not tail and rng.random() < TAIL_SHARE:
            tail = pick(rng, DETAIL_TAILS[column]).format(word=known)
        else:
            adjectives.append(pick(rng, DETAIL_WORDS[column][known]))
    if words.adjectives and not adjectives and rng.random() < ADJECTIVE_SHARE:
        benign = facts[Attribute.MALIGNANCY] == ABSENT
        allowed = tuple(a for a in words.adjectives if not (benign and a == "suspicious"))
        adjectives.append(pick(rng, allowed))
    return _Phrase(" ".join([*adjectives, noun]), words.article, words.verb, tail)


def _place(
    rng: np.random.Generator, facts: Facts, *, category: Category, claims: Facts, local: bool
) -> str:
    """Where it is, or ""; writes what it says into `claims`."""
    if local or rng.random() >= PLACE_SHARE:
        return pick(rng, PLACES_NONE) if rng.random() < NOWHERE_SHARE else ""
    columns = PLACES.get(category, ())
    known = {column: text for column in columns if (text := word(facts, column)) is not None}
    template, said = _place_template(rng, facts, known=known, columns=columns)
    if not template:
        return ""
    if "{side}" in template:
        claims[Attribute.SIDE] = facts[Attribute.SIDE]
    names = dict(zip(("vertical", "lateral"), (known.get(c, "") for c in columns), strict=False))
    half = known[said[0]] if said else ""
    text = template.format(side=side_of(facts), half=half, **names)
    depth = columns[2] if columns else None
    if depth in known and rng.random() < DEPTH_SHARE:
        text += pick(rng, DEPTH_TAILS).format(depth=known[depth])
        said = (*said, depth)
    for column in said:
        claims[column] = facts[column]
    return text


Columns = tuple[Attribute, ...]


def _place_template(
    rng: np.random.Generator,
    facts: Facts,
    *,
    known: dict[Attribute, str],
    columns: Columns,
) -> tuple[str, Columns]:
    """A way to name the place by what is known, and the columns that it names; "" for none."""
    halves: Columns = tuple(column for column in columns[:2] if column in known)
    ways: list[tuple[Words, Columns]] = [(PLACES_SIDE, ())]
    if any(known[column] == "central" for column in halves):
        ways.append((PLACES_CENTRAL, halves))
    else:
        ways += [(PLACES_HALF, (column,)) for column in halves]
        if len(halves) == 2:
            ways += [(PLACES_FULL, halves)] * 3
    if facts[Attribute.SIDE] == UNKNOWN:
        ways = [(_without_side(texts), said) for texts, said in ways]
    ways = [way for way in ways if way[0]]
    if not ways:
        return "", ()
    texts, said = ways[int(rng.integers(len(ways)))]
    return pick(rng, texts), said


def _without_side(templates: Words) -> Words:
    return tuple(template for template in templates if "{side}" not in template)


def _absent(rng: np.random.Generator, facts: Facts, *, category: Category, local: bool) -> Caption:
    words, claims = FINDINGS[category], no_claims()
    for denied in ASYMMETRIES if category is Category.ASYMMETRY else (category,):
        if facts[PRESENCE[denied]] == ABSENT:
            claims[PRESENCE[denied]] = ABSENT
    if words.denied and rng.random() < SENTENCE_SHARE:
        return Caption(pick(rng, words.denied), claims)
    phrase = _Phrase(pick(rng, words.denied_nouns), words.article, words.verb)
    text = phrase.fill(pick(rng, DENIALS))
    if not local and facts[Attribute.SIDE] != UNKNOWN and rng.random() < DENIED_SIDE_SHARE:
        claims[Attribute.SIDE] = facts[Attribute.SIDE]
        text += pick(rng, DENIED_IN).format(side=side_of(facts))
    return Caption(text, claims)


def side_of(facts: Facts) -> str:
    """ "left" or "right"."""
    return "right" if facts[Attribute.SIDE] == 1 else "left"


def pick(rng: np.random.Generator, words: Words) -> str:
    """One of them, each as likely as it is often there."""
    return words[int(rng.integers(len(words)))]
