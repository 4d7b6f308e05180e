import pytest
import torch

from training.models.cut import Lower, freeze_lower, upper
from training.models.image_encoder import ImageEncoder


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    torch.manual_seed(1)
    return ImageEncoder("lite0", embedding_size=8).eval()


@pytest.mark.parametrize("cut", [0, 5, 7])
def test_both_halves_together_are_the_tower(encoder: ImageEncoder, cut: int) -> None:
    canvases = torch.randint(0, 256, (2, 96, 64), dtype=torch.uint8)
    with torch.inference_mode():
        whole = encoder(canvases)
        parts = upper(encoder, Lower(encoder, cut)(canvases), cut)
    assert torch.equal(whole.embedding, parts.embedding)
    assert torch.equal(whole.features, parts.features)


def test_only_what_is_above_the_cut_still_learns() -> None:
    encoder = ImageEncoder("lite0", embedding_size=8)
    freeze_lower(encoder, 5)
    learning = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert any(name.startswith("net.blocks.5.") for name in learning)
    assert not any(name.startswith(("net.conv_stem", "net.blocks.4.")) for name in learning)


def test_a_cut_that_no_tower_has_is_refused(encoder: ImageEncoder) -> None:
    with pytest.raises(ValueError, match="expected a cut from 0 to 7"):
        Lower(encoder, 8)
