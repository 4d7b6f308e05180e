"""Padding, binding and warm-up, on the CPU's provider, which takes all of them when asked."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model_store.arrays import F32
from model_store.graphs import EMBEDDING, FEATURES, IMAGE, Session, open_session
from model_store.passes import ImagePasses
from model_store.providers import Execution, Host, Plan, Provider, ProviderUnavailable, plan_for
from model_store.runtime import ModelRuntime
from model_store.store import ModelVersion
from tests.tiny_model import make_tiny_model, tiny_canvases

HERE = Host(offered=("CPUExecutionProvider",), devices=0)
SHAPE = (64, 48)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    return make_tiny_model(tmp_path_factory.mktemp("models"))


def planned(*sizes: int, bound: bool = False) -> Plan:
    return plan_for(Execution(batch_sizes=sizes or None, bound=bound), HERE)


@pytest.fixture(scope="module")
def session(version: ModelVersion) -> Session:
    return open_session(version, "image.onnx", threads=1, plan=planned())


class Watched:
    """A real session that notes what goes through it, with a device's memory if it is told one."""

    def __init__(self, session: Session, *, holds: int = 1000) -> None:
        self._session = session
        self._holds = holds
        self.rows: list[int] = []
        self.outputs: list[tuple[str, ...]] = []
        self.binding: Any = None

    def run(self, output_names: list[str], input_feed: Mapping[str, Any]) -> list[F32]:
        self._note(len(input_feed[IMAGE]), tuple(output_names))
        return self._session.run(output_names, input_feed)

    def io_binding(self) -> Any:
        self.binding = self._session.io_binding()
        return self.binding

    def run_with_iobinding(self, iobinding: Any) -> None:
        self._session.run_with_iobinding(iobinding)
        shapes = [value.shape() for value in iobinding.get_outputs()]
        self._note(shapes[0][0], tuple(iobinding._bound_outputs))

    def _note(self, rows: int, outputs: tuple[str, ...]) -> None:
        if rows > self._holds:
            raise MemoryError(f"{rows} images")
        self.rows.append(rows)
        self.outputs.append(outputs)

    def get_inputs(self) -> list[Any]:
        return self._session.get_inputs()

    def get_outputs(self) -> list[Any]:
        return self._session.get_outputs()

    def get_providers(self) -> list[str]:
        return self._session.get_providers()


def joined(passes: ImagePasses, n: int, *outputs: str, most: int = 16) -> list[F32]:
    pieces = list(passes.run(tiny_canvases(n, seed=3), outputs, most=most))
    return [np.concatenate(values) for values in zip(*pieces, strict=True)]


@pytest.mark.parametrize("bound", [False, True], ids=["plain", "bound"])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 9, 13])
def test_padded_passes_give_the_rows_of_singles(session: Session, n: int, bound: bool) -> None:
    expected = session.run([FEATURES, EMBEDDING], {IMAGE: tiny_canvases(n, seed=3)})
    watched = Watched(session)
    passes = ImagePasses(watched, planned(1, 2, 4, 8, bound=bound))
    got = joined(passes, n, FEATURES, EMBEDDING)
    assert set(watched.rows) <= {1, 2, 4, 8}
    assert [len(values) for values in got] == [n, n]
    singles = ImagePasses(session, planned(1))
    for values, whole, single in zip(
        got, expected, joined(singles, n, FEATURES, EMBEDDING, most=1), strict=True
    ):
        np.testing.assert_allclose(values, whole, atol=1e-6)
        np.testing.assert_allclose(values, single, atol=1e-6)


def test_a_call_is_cut_at_the_largest_size_and_its_rest_padded_to_the_next(
    session: Session,
) -> None:
    watched = Watched(session)
    joined(ImagePasses(watched, planned(1, 2, 4, 8)), 13, EMBEDDING)
    assert watched.rows == [8, 8]  # eight, and five in a pass of eight
    watched.rows.clear()
    joined(ImagePasses(watched, planned(1, 2, 4, 8)), 6, EMBEDDING, most=4)
    assert watched.rows == [4, 2]


def test_without_sizes_passes_are_as_large_as_they_come(session: Session) -> None:
    watched = Watched(session)
    joined(ImagePasses(watched, planned()), 7, EMBEDDING, most=3)
    assert watched.rows == [3, 3, 1]


def test_bound_passes_answer_as_plain_ones_to_the_bit(session: Session) -> None:
    canvases = tiny_canvases(4, seed=8)
    expected = session.run([EMBEDDING, FEATURES], {IMAGE: canvases})
    (got,) = ImagePasses(session, planned(bound=True)).run(canvases, (EMBEDDING, FEATURES), most=4)
    for values, wanted in zip(got, expected, strict=True):
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, wanted)


def test_a_bound_pass_of_canvases_that_are_not_contiguous_sees_them_as_they_look(
    session: Session,
) -> None:
    mirrored = tiny_canvases(2)[:, :, ::-1]
    passes = ImagePasses(session, planned(bound=True))
    (got,) = passes.run(mirrored, (EMBEDDING,), most=2)
    expected = session.run([EMBEDDING], {IMAGE: mirrored.copy()})
    np.testing.assert_array_equal(got[0], expected[0])


@pytest.mark.parametrize("outputs", [(EMBEDDING,), (FEATURES,), (FEATURES, EMBEDDING)])
def test_only_the_outputs_that_are_asked_for_are_bound(
    session: Session, outputs: tuple[str, ...]
) -> None:
    watched = Watched(session)
    joined(ImagePasses(watched, planned(bound=True)), 2, *outputs)
    assert watched.outputs == [outputs]
    assert len(watched.binding.get_outputs()) == len(outputs)


def test_bound_outputs_outlive_their_binding(session: Session) -> None:
    passes = ImagePasses(session, planned(1, bound=True))
    first = joined(passes, 1, EMBEDDING)[0]
    kept = first.copy()
    for seed in range(20):
        list(passes.run(tiny_canvases(1, seed=100 + seed), (EMBEDDING,), most=1))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("bound", [False, True], ids=["plain", "bound"])
def test_warming_up_runs_each_size_once(session: Session, bound: bool) -> None:
    watched = Watched(session)
    passes = ImagePasses(watched, planned(4, 1, 2, bound=bound))
    passes.warm_up(SHAPE)
    assert watched.rows == [1, 2, 4]
    assert passes.sizes == (1, 2, 4)


def test_without_sizes_there_is_nothing_to_warm_up(session: Session) -> None:
    watched = Watched(session)
    ImagePasses(watched, planned()).warm_up(SHAPE)
    assert watched.rows == []


def test_sizes_that_the_device_cannot_hold_are_given_up(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(session, holds=4)
    passes = ImagePasses(watched, planned(1, 2, 4, 8, 16))
    passes.warm_up(SHAPE)
    assert passes.sizes == (1, 2, 4)
    assert "no passes of 8 images: MemoryError" in caplog.text
    watched.rows.clear()
    assert len(joined(passes, 9, EMBEDDING)[0]) == 9
    assert watched.rows == [4, 4, 1]


def test_a_device_that_cannot_hold_one_image_is_an_error(session: Session) -> None:
    passes = ImagePasses(Watched(session, holds=0), planned(1, 2))
    with pytest.raises(MemoryError, match="1 images"):
        passes.warm_up(SHAPE)


def test_each_size_may_have_a_session_of_its_own(session: Session) -> None:
    opened = [Watched(session)]

    def another() -> Session:
        opened.append(Watched(session))
        return opened[-1]

    passes = ImagePasses(opened[0], planned(1, 2, 4), another)
    passes.warm_up(SHAPE)
    assert len(joined(passes, 7, EMBEDDING, most=4)[0]) == 7
    joined(passes, 1, EMBEDDING)
    joined(passes, 2, EMBEDDING)
    assert [set(one.rows) for one in opened] == [{1}, {2}, {4}]


def test_a_gpu_that_fails_at_its_first_pass_is_not_available(session: Session) -> None:
    planned_there = replace(planned(1, 2), provider=Provider.CUDA)
    passes = ImagePasses(Watched(session, holds=0), planned_there)
    with pytest.raises(ProviderUnavailable, match="its first pass failed: 1 images"):
        passes.warm_up(SHAPE)


# the whole runtime

Loaded = Callable[..., ModelRuntime]


@pytest.fixture(scope="module")
def load(version: ModelVersion) -> Loaded:
    def loaded(**execution: Any) -> ModelRuntime:
        return ModelRuntime.load(version, threads=1, execution=Execution(**execution))

    return loaded


def test_a_runtime_of_fixed_sizes_bound_reproduces_its_golden_file_and_the_plain_one(
    load: Loaded,
) -> None:
    fixed = load(batch_sizes=(1, 2, 4), bound=True)  # golden file and all
    assert fixed.batch_sizes == (1, 2, 4)
    assert fixed.preferred_batch == 4
    canvases = tiny_canvases(7, seed=5)
    expected = load().run_images(canvases, outputs=(EMBEDDING, FEATURES))
    got = fixed.run_images(canvases, outputs=(EMBEDDING, FEATURES))
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, atol=1e-6)


def test_heat_maps_are_the_same_through_bound_passes(load: Loaded) -> None:
    plain, fixed = load(), load(batch_sizes=(1, 2), bound=True)
    canvas = tiny_canvases(1, seed=2)[0]
    directions = plain.embed_texts(["there is a mass"])
    expected, maps = plain.look(canvas, directions, ["mass"])
    got, found = fixed.look(canvas, directions, ["mass"])
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(found[0].grid, maps[0].grid)


def test_a_runtime_of_fixed_sizes_gives_nothing_for_nothing(load: Loaded) -> None:
    fixed = load(batch_sizes=(2, 4), bound=True)
    assert fixed.embed_images(tiny_canvases(0)).shape == (0, fixed.manifest.embedding_size)


def test_a_preference_above_the_largest_size_changes_nothing(load: Loaded) -> None:
    fixed = load(batch_sizes=(1, 2))
    fixed.preferred_batch = 16
    assert fixed.embed_images(tiny_canvases(5)).shape[0] == 5
