"""Decoding a four-view JPEG 2000 study on all cores over one core: the decoder releases the GIL."""

import time
from concurrent.futures import ThreadPoolExecutor

from bench.rows import Row
from model_store.cores import usable_cores
from model_store.dicom_input import read_mammogram
from tests.dicom_factory import dicom_bytes, mammogram_dataset

SYNTAXES = {
    "JPEG 2000 lossless": "1.2.840.10008.1.2.4.90",
    "JPEG-LS lossless": "1.2.840.10008.1.2.4.80",
    "RLE lossless": "1.2.840.10008.1.2.5",
}


def run() -> list[Row]:
    """Seconds of four 13.6-megapixel views one after another, and side by side."""
    cores = usable_cores()
    rows = []
    for name, syntax in SYNTAXES.items():
        study = [
            dicom_bytes(mammogram_dataset(rows=4096, columns=3328, seed=n), transfer_syntax=syntax)
            for n in range(4)
        ]
        one, all_cores = _seconds(study, 1), _seconds(study, cores)
        target = ">= 1.7" if syntax.endswith(".90") else ""
        note = f"{one:.2f} s on 1 thread, {all_cores:.2f} s on {cores}"
        rows.append(Row(f"four views, {name}", one / all_cores, "ratio", target, note))
    return rows


def _seconds(study: list[bytes], threads: int) -> float:
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        list(pool.map(read_mammogram, study))
        return time.perf_counter() - start
