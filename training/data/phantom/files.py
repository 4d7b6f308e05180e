"""Phantom studies as files for trying things out: four DICOM files and their truth beside them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from training.data.phantom.dicom import write_dicom
from training.data.phantom.rules import STANDARD, PhantomRules
from training.data.phantom.study import PhantomStudy, make_study, records_of, study_generator


def write_studies(
    folder: Path, *, seed: int, numbers: Sequence[int], rules: PhantomRules = STANDARD
) -> Iterator[Path]:
    """Write each study to FOLDER/NUMBER/; yields its path."""
    for number in numbers:
        study = make_study(study_generator(seed, number), rules)
        path = folder / f"{number:04d}"
        path.mkdir(parents=True, exist_ok=True)
        for view in study.views:
            name = f"{view.side.value}_{view.projection.value}.dcm"
            (path / name).write_bytes(write_dicom(view, series=seed, number=number))
        truth = _truth(study, series=seed, number=number)
        (path / "truth.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")
        yield path


def _truth(study: PhantomStudy, *, series: int, number: int) -> dict[str, object]:
    """What was drawn: findings as sampled, and each image's record with boxes and report."""
    images = []
    for record in records_of(study, series=series, number=number):
        entry = asdict(record)
        entry["annotated"] = sorted(record.annotated)
        images.append(entry)
    breasts = {
        breast.side.value: {
            "density": breast.density.value,
            "dense_share": breast.anatomy.dense_share,
            "lesions": [asdict(lesion) for lesion in breast.lesions],
        }
        for breast in study.breasts
    }
    return {"breasts": breasts, "images": images}
