"""Which head answers a question, and what a model says that has none for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from model_store.store import ModelVersion
from service.errors import NoHeatMaps
from service.looking import heads_for
from service.questions import questions_for
from tests.tiny_model import make_tiny_model


def with_heads(version: ModelVersion, *heads: str) -> ModelVersion:
    factor = version.manifest.factor
    assert factor is not None
    described = factor.model_copy(update={"heads": heads})
    return replace(version, manifest=version.manifest.model_copy(update={"factor": described}))


def test_findings_with_a_head_of_their_own_can_be_asked_where_no_head_serves_any_sentence(
    tmp_path: Path,
) -> None:
    version = with_heads(make_tiny_model(tmp_path), "mass")
    own = questions_for(version, findings=["mass"], prompts_json=None)
    assert heads_for(version, own) == ("mass",)
    for findings, prompts in ((["suspicious calcification"], None), (None, '["mass"]')):
        others = questions_for(version, findings=findings, prompts_json=prompts)
        with pytest.raises(NoHeatMaps, match="ask for these findings: mass"):
            heads_for(version, others)


def test_a_sentence_called_like_a_finding_is_not_answered_by_its_head(tmp_path: Path) -> None:
    version = make_tiny_model(tmp_path)
    prompt = '[{"name": "mass", "positive": "a cyst"}]'
    assert heads_for(version, questions_for(version, findings=None, prompts_json=prompt)) == ("*",)
