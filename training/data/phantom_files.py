"""Phantom studies as files for trying things out: four DICOM files and their truth beside them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from training.data.phantom import STANDARD, PhantomRules, PhantomStudy, make_study, study_generator
from training.data.phantom_dicom import write_dicom


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
        (path / "truth.json").write_text(json.dumps(_truth(study), indent=1), encoding="utf-8")
        yield path


def _truth(study: PhantomStudy) -> dict[str, object]:
    """What was drawn: breasts as sampled, boxes in stored pixels by view."""
    return {
        "breasts": [asdict(breast) for breast in study.breasts],
        "boxes": {
            f"{view.side.value}_{view.projection.value}": {
                "mass": view.mass_box and asdict(view.mass_box),
                "suspicious calcification": view.calcifications_box
                and asdict(view.calcifications_box),
            }
            for view in study.views
        },
    }
