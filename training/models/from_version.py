"""The torch image tower of a published version, rebuilt from image.onnx."""

import torch

from model_store.store import ModelVersion
from training.models.image_encoder import ImageEncoder
from training.onnx_graph import read_weights

IMAGE_TOWER, POOLING = "image_tower", "pooling"
"""Keys of manifest.made_by that name the architecture."""
UNUSED = "num_batches_tracked"  # BatchNorm counts batches; a graph has no use for the count


class NoTower(Exception):
    """The version does not hold what a torch tower is made of."""


def tower_from_version(version: ModelVersion) -> ImageEncoder:
    """The tower with the version's weights, in evaluation mode; it computes what image.onnx does.

    Raises NoTower where the manifest does not name the architecture or a weight is missing, left
    over or of another shape: an export of before these were kept, or of another program.
    """
    made = version.manifest.made_by
    if not (isinstance(made.get(IMAGE_TOWER), str) and isinstance(made.get(POOLING), str)):
        raise NoTower(
            f"{version.key}: manifest.json does not say in made_by which {IMAGE_TOWER} and "
            f"{POOLING} it has; export it anew"
        )
    tower = ImageEncoder(
        str(made[IMAGE_TOWER]),
        embedding_size=version.manifest.embedding_size,
        pooling=str(made[POOLING]),
    )
    wanted = tower.state_dict()
    given = {
        name: torch.from_numpy(array.copy())
        for name, array in read_weights(version.file("image.onnx")).items()
        if name in wanted
    }
    given |= {name: value for name, value in wanted.items() if name.endswith(UNUSED)}
    try:
        tower.load_state_dict(given, strict=True)
    except RuntimeError as error:
        raise NoTower(
            f"{version.key}: image.onnx is not of a {tower.name} tower: {error}"
        ) from error
    return tower.eval()


def tower_note(tower: ImageEncoder) -> dict[str, str | int | float | bool]:
    """What `manifest.made_by` must hold so that the tower can be rebuilt."""
    return {IMAGE_TOWER: tower.name, POOLING: tower.pooling}
