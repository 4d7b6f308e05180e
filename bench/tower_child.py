"""One size of batch in a process of its own: images a second and peak memory, as a line of JSON.

    python -m bench.tower_child STORE KEY CANVASES.npy BATCH PROVIDER THREADS

Without torch, whose libraries would count as memory.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from model_store.providers import Execution, Provider
from model_store.runtime import ModelRuntime
from model_store.store import ModelStore

KIB, MIB = 1024, 1024 * 1024
IMAGES = 8
PASSES_ON_GPU = 20


def main() -> None:
    """Load, warm up, measure, print."""
    store, key, canvases, batch, provider, threads = sys.argv[1:]
    name, _, number = key.partition("/")
    engines = Path(store) / "engines"
    runtime = ModelRuntime.load(
        ModelStore(Path(store)).find(name, number),
        threads=int(threads),
        verify=False,
        execution=Execution(
            provider=Provider(provider), batch_sizes=(int(batch),), engines=engines
        ),
    )
    few = np.load(canvases)
    images = few[np.arange(int(batch)) % len(few)]
    on_gpu = Provider(provider) is not Provider.CPU
    spent = []
    for _ in range(PASSES_ON_GPU if on_gpu else max(1, IMAGES // int(batch))):
        began = time.perf_counter()
        embeddings = runtime.embed_images(images)
        spent.append(time.perf_counter() - began)
    answer = {
        "images_per_s": int(batch) / median(spent),
        "peak_bytes": peak_bytes(),
        "device_bytes": device_bytes() if on_gpu else 0,
        "provider": runtime.providers[0],
        "embedding": embeddings[0].tolist(),
    }
    print(json.dumps(answer))


def peak_bytes() -> int:
    """Of this program alone: getrusage would count the process that started it, too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * KIB


def device_bytes() -> int:
    """In use on the first GPU, by whomever: ONNX Runtime gives nothing back while it lives."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(said) * MIB


if __name__ == "__main__":
    main()
