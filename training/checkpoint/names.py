"""Published names of tensors for ours: timm's EfficientNet and a transformers text base.

The published image towers are lukemelas' EfficientNet, which counts blocks through all stages.
Source of the names: facts of the published files, and the two libraries' state dicts. Knows nothing
of files.
"""

from collections.abc import Iterator

from training.models.clip import Clip
from training.models.image_encoder import ImageEncoder

TOP = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
SQUEEZE = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
FIRST_STAGE = SQUEEZE | {  # blocks without expansion
    "conv_dw": "_depthwise_conv",
    "bn1": "_bn1",
    "conv_pw": "_project_conv",
    "bn2": "_bn2",
}
LATER_STAGES = SQUEEZE | {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
HEADS = {
    "image.project": "image_projection.projection",
    "text.straight": "text_projection.projection",
}
NET, BASE, SCALE = "image.net.", "text.base.net.", "log_scale"


def published_names(model: Clip, *, text_prefix: str) -> dict[str, str]:
    """Our name -> the published one, for every tensor of the model."""
    tower = dict(_tower_names(model.image))
    names = {}
    for ours in model.state_dict():
        if ours.startswith(NET):
            names[ours] = "image_encoder." + tower[ours.removeprefix(NET)]
        elif ours.startswith(BASE):
            names[ours] = text_prefix + ours.removeprefix(BASE)
        elif ours == SCALE:
            names[ours] = "logit_scale"
        else:
            head, _, kind = ours.rpartition(".")
            names[ours] = f"{HEADS[head]}.{kind}"
    return names


def _tower_names(tower: ImageEncoder) -> Iterator[tuple[str, str]]:
    """timm's name -> lukemelas', both within the tower."""
    before = [0]
    for stage in tower.net.blocks:
        before.append(before[-1] + len(stage))
    for ours in tower.net.state_dict():
        layer, _, kind = ours.rpartition(".")
        if not layer.startswith("blocks."):
            yield ours, f"{TOP[layer]}.{kind}"
            continue
        _, stage, block, within = layer.split(".", 3)
        table = LATER_STAGES if int(stage) else FIRST_STAGE
        yield ours, f"_blocks.{before[int(stage)] + int(block)}.{table[within]}.{kind}"
