"""What Mammo-FActOR's heads learn from: directions of sentences, and what is so in every image.

A finding's own head has one direction, that of its positive prompts: the normalised mean of the
normalised sentence embeddings. (The reference takes the mean before normalising, which weighs
sentences by the length of their projections.) The head `*` has the sentences that are drawn for the
images as captions: those that say something is there, since where "no mass" is true there is
nothing to show, and without its place, so that maps can be moved and flipped. The alternative,
sentences with places, is `placed`.
"""

from collections.abc import Sequence

import numpy as np

from model_store.manifest import ANY_SENTENCE
from model_store.prompts import all_sentences, questions_for
from model_store.runtime import ModelRuntime
from model_store.scoring import positive_direction
from training.data.captioning import Caption, draw_captions
from training.data.facts import PRESENCE, PRESENT, contradiction, facts_of, truth
from training.data.records import ImageRecord
from training.evaluate.cases import image_truth
from training.factor import FALSE, NOT_KNOWN, TRUE, Lesson

PRESENCES = [int(column) for column in PRESENCE.values()]


def make_lessons(
    runtime: ModelRuntime,
    records: Sequence[ImageRecord],
    heads: Sequence[str],
    *,
    sentences: int,
    seed: int,
    placed: bool = False,
) -> list[Lesson]:
    """A lesson a head, in their order; `sentences` = how many different ones `*` may have.

    ValueError where a head has nothing to learn from: no image of which it is true, or none of
    which it is false. UnknownFinding for a head that is neither a finding nor `*`.
    """
    lessons = []
    for head in heads:
        if head == ANY_SENTENCE:
            rng = np.random.default_rng([seed, 1])
            lesson = shared_lesson(runtime, records, rng, count=sentences, placed=placed)
        else:
            lesson = finding_lesson(runtime, records, head)
        if not ((lesson.truth == TRUE).any(axis=0) & (lesson.truth == FALSE).any(axis=0)).any():
            raise ValueError(
                f"head {head!r}: the {len(records)} images hold no example for and against it; "
                "take more images or leave the head out"
            )
        lessons.append(lesson)
    return lessons


def finding_lesson(runtime: ModelRuntime, records: Sequence[ImageRecord], finding: str) -> Lesson:
    """The lesson of a finding's own head; UnknownFinding where the model has none of this name."""
    (question,) = questions_for(runtime.manifest, findings=[finding], prompts_json=None)
    sentences = all_sentences([question])
    vectors = dict(zip(sentences, runtime.embed_texts(sentences), strict=True))
    said = {True: TRUE, False: FALSE, None: NOT_KNOWN}
    return Lesson(
        head=finding,
        directions=positive_direction(question, vectors)[np.newaxis],
        truth=np.array([[said[image_truth(record, finding)]] for record in records], np.int8),
    )


def shared_lesson(
    runtime: ModelRuntime,
    records: Sequence[ImageRecord],
    rng: np.random.Generator,
    *,
    count: int,
    placed: bool = False,
) -> Lesson:
    """The lesson of the head for any sentence, from `count` captions or as many as there are."""
    facts = np.stack([facts_of(record) for record in records])
    captions: dict[str, Caption] = {}
    for row in np.tile(rng.permutation(len(records)), 1 + count // len(records)):
        for caption in draw_captions(rng, facts[row], local=not placed):
            if (caption.claims[PRESENCES] == PRESENT).any() and len(captions) < count:
                captions.setdefault(caption.text, caption)
    if not captions:
        raise ValueError("no image has a finding that a sentence could be about")
    claims = np.stack([caption.claims for caption in captions.values()])
    known = np.full((len(records), len(captions)), NOT_KNOWN, np.int8)
    known[truth(facts, claims)] = TRUE
    known[contradiction(facts, claims)] = FALSE
    return Lesson(ANY_SENTENCE, runtime.embed_texts(list(captions)), known, placed=placed)
