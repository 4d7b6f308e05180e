"""An image that the model fails on is told by its code; its batch-mates get their answer."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import redis

from model_store.arrays import F32, U8
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore
from service.queue import looking
from service.queue.batching import Served
from service.queue.streams import WorkerQueue
from service.queue.worker import Worker
from tests.service.live import Live, files, live, problem, view

POISONED_SENTENCE = "poison"


class Fragile:
    """The real model, except that it raises for one canvas and one sentence."""

    preferred_batch = 8

    def __init__(self, runtime: ModelRuntime) -> None:
        self._runtime = runtime
        self.poison: U8 | None = None
        self.batches: list[int] = []
        self.seen: list[U8] = []

    def embed_images(self, canvases: U8) -> F32:
        self.batches.append(len(canvases))
        self.seen += list(canvases)
        if any(self.poison is not None and np.array_equal(it, self.poison) for it in canvases):
            raise RuntimeError("the model does not like this one")
        return self._runtime.embed_images(canvases)

    def embed_texts(self, sentences: Sequence[str]) -> F32:
        if POISONED_SENTENCE in sentences:
            raise RuntimeError("nor this one")
        return self._runtime.embed_texts(sentences)

    def check_golden(self) -> None:
        self._runtime.check_golden()


@contextmanager
def working(
    running: Live, model: Fragile, look: Callable[[U8, bytes], bytes] | None = None
) -> Iterator[None]:
    """A worker of this process, on the service's own queue."""
    version = ModelStore(running.settings.models).find("tiny")
    recipe = version.manifest.recipe
    shape = recipe.height_px, recipe.width_px
    served = Served(version.key, version.digest, shape, model, look)
    assert running.settings.redis_url is not None
    queue = WorkerQueue(
        running.settings.redis_url,
        worker="in-process",
        model_keys=[version.key],
        lease_s=5,
        cache_ttl_s=60,
    )
    worker = Worker(queue, [served], max_batch=8, batch_wait_s=0.1, lease_s=5)
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        assert running.serving.wait_ready(20)
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def running(queue_server: str, tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path, redis_url=queue_server, workers=0, ready=False) as service:
        yield service


def test_one_poisoned_image_of_eight_costs_only_itself(running: Live) -> None:
    version = ModelStore(running.settings.models).find("tiny")
    model = Fragile(ModelRuntime.load(version, threads=1))
    with working(running, model):
        assert running.classify(files(view(seed=3))).status_code == 200
        model.poison = model.seen[0].copy()
        model.batches.clear()
        forget_embeddings(running)
        response = running.classify(files(*[view(seed=seed) for seed in range(8)]))
        images = response.json()["images"]
        alone = running.classify(files(view(seed=3)))
    assert response.status_code == 200
    assert [image["status"] for image in images].count("analyzed") == 7
    assert (images[3]["status"], images[3]["code"]) == ("failed", "inference_failed")
    assert images[3]["findings"] == []
    assert response.json()["breasts"][0]["images"] == 7
    assert len(model.batches) > 1
    body = problem(alone, "no-usable-image")
    assert body["errors"][0]["code"] == "inference_failed"


def test_one_poisoned_heat_item_of_eight_costs_only_itself(running: Live) -> None:
    version = ModelStore(running.settings.models).find("tiny")
    runtime = ModelRuntime.load(version, threads=1)
    model, seen, poison = Fragile(runtime), list[U8](), list[U8]()

    def look(canvas: U8, asked: bytes) -> bytes:
        seen.append(canvas)
        if any(np.array_equal(canvas, one) for one in poison):
            raise RuntimeError("the model does not like this one")
        return looking.look(runtime, canvas, asked)

    def heat(*contents: bytes) -> httpx.Response:
        return running.client.post("/v1/heatmap", files=files(*contents))

    with working(running, model, look):
        assert heat(view(seed=3)).status_code == 200
        poison.append(seen[0].copy())
        forget_embeddings(running)
        response = heat(*[view(seed=seed) for seed in range(8)])
        alone = heat(view(seed=3))
    assert response.status_code == 200
    images = response.json()["images"]
    assert [image["status"] for image in images].count("analyzed") == 7
    assert (images[3]["status"], images[3]["code"]) == ("failed", "inference_failed")
    assert [len(image["heat_maps"]) for image in images] == [2, 2, 2, 0, 2, 2, 2, 2]
    assert problem(alone, "no-usable-image")["errors"][0]["code"] == "inference_failed"


def test_an_answer_that_cannot_be_read_fails_the_image_and_not_the_service(running: Live) -> None:
    version = ModelStore(running.settings.models).find("tiny")
    model = Fragile(ModelRuntime.load(version, threads=1))
    with working(running, model, lambda canvas, asked: b"of another release"):
        response = running.client.post("/v1/heatmap", files=files(view()))
    body = problem(response, "no-usable-image")
    assert body["errors"][0]["code"] == "inference_failed"


def test_a_poisoned_sentence_is_told_as_such(running: Live) -> None:
    version = ModelStore(running.settings.models).find("tiny")
    with working(running, Fragile(ModelRuntime.load(version, threads=1))):
        response = running.classify(files(view()), prompts=f'["{POISONED_SENTENCE}"]')
        assert response.status_code == 503
        problem(response, "inference-failed")
        assert running.classify(files(view())).status_code == 200


def forget_embeddings(running: Live) -> None:
    with redis.Redis.from_url(running.settings.redis_url or "", protocol=2) as connection:
        for key in connection.scan_iter("mammo:emb:*"):
            connection.delete(key)
