"""What a manifest accepts, and that its digest is of its content."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model_store.manifest import Calibration, Finding, Licence, Manifest, sigmoid
from tests.tiny_model import make_tiny_model


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return make_tiny_model(tmp_path_factory.mktemp("models")).manifest


def _changed(manifest: Manifest, **changes: object) -> str:
    return json.dumps({**manifest.model_dump(mode="json"), **changes})


def test_a_manifest_read_back_has_the_same_content_and_digest(manifest: Manifest) -> None:
    again = Manifest.model_validate_json(manifest.model_dump_json(indent=4))
    assert again == manifest
    assert again.digest == manifest.digest


def test_the_digest_does_not_depend_on_the_order_of_keys(manifest: Manifest) -> None:
    content = manifest.model_dump(mode="json")
    turned = json.dumps(dict(reversed(content.items())))
    assert Manifest.model_validate_json(turned).digest == manifest.digest


def test_any_change_of_content_changes_the_digest(manifest: Manifest) -> None:
    other = Manifest.model_validate_json(_changed(manifest, logit_scale=manifest.logit_scale + 1))
    assert other.digest != manifest.digest


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"surplus": 1}, "Extra inputs are not permitted"),
        ({"logit_scale": math.inf}, "finite number"),
        ({"logit_scale": math.nan}, "finite number"),
        ({"version": "latest"}, "String should match pattern"),
        ({"name": "../up"}, "String should match pattern"),
        ({"files": {"image.onnx": "0" * 64}}, "names no sha256 for text.onnx"),
        ({"default_negative": []}, "at least 1 item"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_with_the_reason(
    manifest: Manifest, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        Manifest.model_validate_json(_changed(manifest, **changes))


@pytest.mark.parametrize(
    "name",
    [
        "../image.onnx",
        ".hidden",
        "manifest.json",
        "manifest.json.sha256",
        "a\\b",
        "",
        "a\0b",
        "a\nb",
        "a.onnx\n",
        "a b",
        "a?b#c%2e",
        "a:b",
        "-rf",
        "a" * 129,
        "\u202ea",
    ],
)
def test_a_file_of_a_manifest_is_a_plain_name_beside_it(manifest: Manifest, name: str) -> None:
    with pytest.raises(ValidationError, match="not the plain name of a file"):
        Manifest.model_validate_json(_changed(manifest, files={**manifest.files, name: "0" * 64}))


@pytest.mark.parametrize("field", ["name", "terms"])
@pytest.mark.parametrize("letter", ["\x1b", "\0", "\n", "\r", "\x7f", "\x9b", "\u202e", "\u2028"])
def test_a_licence_with_a_control_character_is_refused(field: str, letter: str) -> None:
    words = {"name": "MIT", "terms": "Für Tests, mit Abstand.", field: f"a{letter}]0;b"}
    with pytest.raises(ValidationError, match="expected one line of plain text, got"):
        Licence.model_validate(words)


def test_a_licence_may_be_in_any_language() -> None:
    terms = "Für Tests, nur « ici »\u00a0; 研究用途のみ。"
    assert Licence(name="Eigene", terms=terms).terms == terms


def test_a_digest_that_is_none_is_refused(manifest: Manifest) -> None:
    files = {**manifest.files, "image.onnx": "Z" * 64}
    with pytest.raises(ValidationError, match=r"sha256 of 'image\.onnx' is not 64 hex digits"):
        Manifest.model_validate_json(_changed(manifest, files=files))


def test_two_findings_of_one_name_are_refused(manifest: Manifest) -> None:
    findings = [finding.model_dump(mode="json") for finding in manifest.findings[:1] * 2]
    with pytest.raises(ValidationError, match="two findings share a name"):
        Manifest.model_validate_json(_changed(manifest, findings=findings))


def test_a_threshold_without_calibration_is_refused() -> None:
    with pytest.raises(ValidationError, match="has a threshold but no calibration"):
        Finding(name="mass", positive=("mass",), negative=("no mass",), threshold=0.5)


def test_platt_scaling_by_hand() -> None:
    # logit(0.8) = ln 4; 2 ln 4 - 1 = ln(16 / e); sigmoid of that = 16 / (16 + e)
    expected = 16 / (16 + math.e)
    assert Calibration(slope=2, intercept=-1).apply(0.8) == pytest.approx(expected, abs=1e-12)


def test_a_temperature_of_two_by_hand() -> None:
    # logit(0.8) / 2 = ln 2; sigmoid of that = 2 / 3
    assert Calibration(method="temperature", slope=0.5).apply(0.8) == pytest.approx(2 / 3)


def test_a_temperature_with_an_intercept_is_refused() -> None:
    with pytest.raises(ValidationError, match="a temperature has no intercept"):
        Calibration(method="temperature", slope=0.5, intercept=0.1)


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(1e-3, 1e3), st.floats(-1e6, 1e6))
def test_a_calibrated_score_stays_between_0_and_1(
    score: float, slope: float, intercept: float
) -> None:
    assert 0 <= Calibration(slope=slope, intercept=intercept).apply(score) <= 1


@settings(deadline=None)
@given(st.floats(-1e300, 1e300))
def test_sigmoid_never_overflows_and_is_point_symmetric(x: float) -> None:
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1, abs=1e-15)


def test_the_manifest_of_a_published_version_is_its_json(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    content = (version.path / "manifest.json").read_bytes()
    assert Manifest.model_validate_json(content) == version.manifest
