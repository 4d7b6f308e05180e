import numpy as np
import pytest

from model_store.arrays import F32, U8
from service.queue.batching import INFERENCE_FAILED, ExecutorBroken, pieces, run_isolated
from service.queue.keys import ItemFailed
from tests.service.queue_helpers import POISON, SHAPE, GreyModel, grey


def canvases(*values: int) -> list[U8]:
    return [np.full(SHAPE, value, dtype=np.uint8) for value in values]


def run(model: GreyModel, *values: int) -> list[bytes | ItemFailed]:
    return run_isolated(
        lambda batch: model.embed_images(np.stack(batch)),
        canvases(*values),
        check=model.check_golden,
    )


@pytest.mark.parametrize("place", range(8))
def test_one_poisoned_image_of_eight_costs_one_answer_and_at_most_six_more_runs(
    place: int,
) -> None:
    values = list(range(1, 9))
    values[place] = POISON
    model = GreyModel()
    found = run(model, *values)
    assert found[place] == INFERENCE_FAILED
    assert [one for index, one in enumerate(found) if index != place] == [
        grey(value) for value in values if value != POISON
    ]
    assert len(model.batches) <= 1 + 2 * 3


def test_a_batch_without_fault_is_one_run() -> None:
    model = GreyModel()
    assert run(model, 1, 2, 3) == [grey(1), grey(2), grey(3)]
    assert model.batches == [3]


def test_a_poisoned_image_alone_is_its_own_fault_while_the_golden_inputs_pass() -> None:
    assert run(GreyModel(), POISON) == [INFERENCE_FAILED]


def test_a_model_that_fails_on_its_golden_inputs_is_broken_and_blames_no_image() -> None:
    model = GreyModel()
    model.broken = True
    with pytest.raises(ExecutorBroken, match="RuntimeError"):
        run(model, 1, 2)


def test_an_answer_that_is_not_finite_fails_only_its_item() -> None:
    def infinite_for_two(batch: list[int]) -> F32:
        return np.array([[np.inf if one == 2 else one] for one in batch], dtype=np.float32)

    found = run_isolated(infinite_for_two, [1, 2, 3], check=lambda: None)
    assert found[1] == INFERENCE_FAILED
    assert found[0] == np.float32(1).tobytes()
    assert found[2] == np.float32(3).tobytes()


def test_a_model_that_gives_too_few_answers_is_not_believed() -> None:
    found = run_isolated(lambda _: np.ones((1, 2), dtype=np.float32), [1, 2, 3], check=lambda: None)
    assert found == [np.ones(2, dtype=np.float32).tobytes()] * 3  # each alone


def test_no_items_are_no_runs() -> None:
    model = GreyModel()
    assert run_isolated(model.embed_texts, [], check=model.check_golden) == []


def test_pieces_keep_order_and_lose_nothing() -> None:
    assert list(pieces([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
