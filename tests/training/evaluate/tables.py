"""VinDr's tables and PNG images of made breasts, and a version whose image tower is a real one."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from model_store.manifest import Finding, Recipe
from model_store.store import ModelStore, ModelVersion, sha256_of
from tests.tiny_model import EMBEDDING_SIZE, make_tiny_model, write_golden, write_graphs
from tests.training.evaluate.canvases import make_canvases
from training.data.export_csv import write_vindr
from training.data.records import ImageRecord
from training.export import tensor_specs
from training.models.from_version import tower_note
from training.models.image_encoder import ImageEncoder, load_imagenet
from training.onnx_graph import export_graph

STORED = (192, 144)
RECIPE = Recipe(height_px=96, width_px=64)
FINDINGS = tuple(
    Finding(name=name, positive=(name,), negative=(f"no {name}",))
    for name in ("mass", "suspicious calcification", "skin thickening")
)


def write_tables(folder: Path, *, patients: int, drawn: bool = True) -> Path:
    """Both tables and images/STUDY/IMAGE.png; studies named as phantoms' where `drawn`."""
    name = "phantom-1" if drawn else "study"

    def change(image: ImageRecord, _: int) -> ImageRecord:
        study = f"{name}-{int(image.study[1:]):06d}"
        return replace(image, study=study, image=f"{study}_{image.laterality}_{image.view}")

    canvases = make_canvases(folder / "drawn", patients=patients, size=STORED, change=change)
    files = folder / "files"
    files.mkdir(parents=True)
    for record in canvases.records:
        cv2.imwrite(str(files / record.image.path), np.array(canvases.canvas(record)))
    write_vindr([record.image for record in canvases.records], folder / "vindr", files=files)
    return folder / "vindr"


def make_tower_model(root: Path) -> ModelVersion:
    """A version "tower/1": EfficientNet-Lite0 of ImageNet, exported, and the tiny text tower."""
    torch.manual_seed(0)
    tower = ImageEncoder("lite0", embedding_size=EMBEDDING_SIZE, pooling="mean")
    load_imagenet(tower)
    staging = root / "staging"
    staging.mkdir(parents=True)
    height, width = RECIPE.height_px, RECIPE.width_px
    write_graphs(staging, height=height, width=width, seed=0)
    example = torch.zeros(2, height, width, dtype=torch.uint8)
    export_graph(
        tower.eval(),
        (example,),
        staging / "image.onnx",
        names=(["image"], ["embedding", "features"]),
        dynamic=({0: torch.export.Dim("N")},),
    )
    write_golden(staging, height=height, width=width, seed=0)
    (staging / "MODEL_CARD.md").write_text("# made in a test\n")
    tiny = make_tiny_model(root / "tiny", findings=FINDINGS, factor=False).manifest
    specs = tensor_specs(
        RECIPE, embedding_size=EMBEDDING_SIZE, channels=tower.channels, stride=tower.stride
    )
    manifest = tiny.model_copy(
        update={
            "name": "tower",
            "recipe": RECIPE,
            "image_input": specs["image_input"],
            "image_outputs": specs["image_outputs"],
            "made_by": tower_note(tower),
            "files": {p.name: sha256_of(p) for p in sorted(staging.iterdir())},
        }
    )
    (staging / "manifest.json").write_text(manifest.model_dump_json(indent=1))
    return ModelStore(root / "store").publish(staging)
