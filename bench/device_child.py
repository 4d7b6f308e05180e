"""One way of running a tower on CUDA, in a process of its own; prints a line of JSON.

    python -m bench.device_child '{"kind": ..., "options": ..., "sizes": ..., ...}'

`kind`: float32 or float16 are graphs in ONNX Runtime; torch-float32, torch-tf32, torch-bf16,
torch-fp16 and torch-fp16-compiled are torch.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.tower_child import device_bytes
from model_store.arrays import F32, U8

LEAST_PASSES, LEAST_S = 5, 2.0
WARM_UP = 3
Run = Callable[[U8], F32]
"""(N, H, W) uint8 -> (N, D) float32."""


def main() -> None:
    """Load, warm up, measure, print."""
    asked = json.loads(sys.argv[1])
    canvases = np.load(Path(asked["folder"]) / "canvases.npy")
    began = time.perf_counter()
    run = _torch(asked) if asked["kind"].startswith("torch") else _onnx(asked)
    load_s = time.perf_counter() - began
    found: dict[int, dict[str, float]] = {}
    for size in asked["sizes"]:
        found[size] = _measured(run, canvases[np.arange(size) % len(canvases)])
    rows = np.concatenate([_one(run, canvas, asked["sizes"][-1]) for canvas in canvases])
    answer = {
        "load_s": load_s,
        "sizes": found,
        "embeddings": rows.tolist(),
        "device_bytes": device_bytes(),
    }
    print(json.dumps(answer))


def _one(run: Run, canvas: U8, size: int) -> F32:
    """(1, D), in a pass of a size that has been measured."""
    return run(np.repeat(canvas[None], size, axis=0))[:1]


def _measured(run: Run, images: U8) -> dict[str, float]:
    began = time.perf_counter()
    run(images)
    first_s = time.perf_counter() - began
    for _ in range(WARM_UP):
        run(images)
    spent: list[float] = []
    while len(spent) < LEAST_PASSES or sum(spent) < LEAST_S:
        began = time.perf_counter()
        run(images)
        spent.append(time.perf_counter() - began)
    return {"rate": len(images) / median(spent), "first_s": first_s}


def _onnx(asked: dict[str, Any]) -> Run:
    import onnxruntime

    from model_store.passes import ImagePasses
    from model_store.providers import Plan, Provider

    graph = Path(asked["graph"])
    if asked["kind"] == "float16":
        from training.variants.graphs import image_to_fp16

        graph = graph.with_name("half.onnx")
        if not graph.exists():
            image_to_fp16(Path(asked["graph"]), graph, scratch=Path(asked["folder"]))
    onnxruntime.preload_dlls()
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    providers = [("CUDAExecutionProvider", asked["options"]), "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(graph, settings, providers=providers)
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise SystemExit("ONNX Runtime fell back to the CPU")
    if asked["options"].get("enable_cuda_graph") == "1":
        return _captured(session, asked["sizes"][0])
    sizes = tuple(asked["sizes"])
    passes = ImagePasses(session, Plan(Provider.CUDA, batch=sizes[-1], sizes=sizes, bound=True))

    def run(images: U8) -> F32:
        (found,) = passes.run(images, ("embedding",), most=sizes[-1])
        return found[0]

    return run


def _captured(session: Any, size: int) -> Run:
    """Passes of one size between fixed places: the first captures a CUDA graph, others replay."""
    from onnxruntime import OrtValue

    height, width = session.get_inputs()[0].shape[1:]
    dimension = session.get_outputs()[0].shape[1]
    place = OrtValue.ortvalue_from_numpy(np.zeros((size, height, width), np.uint8), "cuda", 0)
    answer = OrtValue.ortvalue_from_numpy(np.zeros((size, dimension), np.float32), "cuda", 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("image", place)
    binding.bind_ortvalue_output("embedding", answer)

    def run(images: U8) -> F32:
        place.update_inplace(np.ascontiguousarray(images))
        session.run_with_iobinding(binding)
        found: F32 = answer.numpy()
        return found

    return run


def _torch(asked: dict[str, Any]) -> Run:
    import torch

    kind = asked["kind"].removeprefix("torch-")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
    torch.backends.cudnn.benchmark = True
    tower: Any = torch.load(Path(asked["folder"]) / "tower.pt", weights_only=False).cuda().eval()
    if kind != "float32":
        tower.to(memory_format=torch.channels_last)
    if kind.endswith("compiled"):
        tower = torch.compile(tower, dynamic=False)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(kind.partition("-")[0])

    @torch.inference_mode()
    def run(images: U8) -> F32:
        with torch.autocast("cuda", dtype=half or torch.float16, enabled=half is not None):
            found = tower(torch.from_numpy(images).cuda()).embedding
        embedding: F32 = found.float().cpu().numpy()
        return embedding

    return run


if __name__ == "__main__":
    main()
