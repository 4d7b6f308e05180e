"""The shipped demo model over HTTP: its boxes on the lesions of phantoms that nobody trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import model_store
from tests.service.live import Live, files, live
from training.data.phantom.dicom import write_dicom
from training.data.phantom.study import PhantomView, make_study, study_generator
from training.data.records import Box, Category

MODELS = Path(model_store.__file__).parent / "models"
UNSEEN_SEED, STUDIES = 78, 7
FINDINGS = {"mass": Category.MASS, "suspicious calcification": Category.CALCIFICATION}


@dataclass(frozen=True)
class Look:
    """The service's answer on a finding in one view, and where the lesion is, in stored pixels."""

    side: str
    heat: dict[str, Any]
    lesion: Box | None

    @property
    def lands(self) -> bool:
        """The middle of the hottest box lies in the lesion."""
        box, lesion = self.heat["boxes"][0]["pixels"], self.lesion
        row = (box["top_row"] + box["bottom_row"]) / 2
        column = (box["left_column"] + box["right_column"]) / 2
        return lesion is not None and (
            lesion.top <= row <= lesion.bottom and lesion.left <= column <= lesion.right
        )


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> list[Look]:
    """Every main finding in every view of the unseen phantoms, asked one study at a time."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "models").symlink_to(MODELS)
    with live(folder, worker_threads=0, lease_s=20) as service:
        return [look for number in range(STUDIES) for look in ask_about(service, number)]


def ask_about(service: Live, number: int) -> Iterator[Look]:
    """The looks at one phantom's four views."""
    views = make_study(study_generator(UNSEEN_SEED, number)).views
    sent = files(*(write_dicom(view, series=UNSEEN_SEED, number=number) for view in views))
    asked = {"findings": ",".join(FINDINGS)}
    answer = service.client.post("/v1/heatmap", files=sent, data=asked)
    assert answer.status_code == 200, answer.text
    for view, image in zip(views, answer.json()["images"], strict=True):
        yield from looks_of(view, image)


def looks_of(view: PhantomView, image: dict[str, Any]) -> Iterator[Look]:
    """One image of the answer beside the view it was made of."""
    for heat in image["heat_maps"]:
        yield Look(view.side.value, heat, view.boxes.get(FINDINGS[heat["name"]]))


@pytest.mark.parametrize("side", ["L", "R"])
def test_boxes_land_on_the_lesion_in_either_breast(looks: list[Look], side: str) -> None:
    found = [look for look in looks if look.side == side and look.lesion and look.heat["boxes"]]
    assert len(found) >= 4
    assert sum(look.lands for look in found) >= 0.75 * len(found)


def test_most_lesions_are_given_a_box(looks: list[Look]) -> None:
    sick = [look for look in looks if look.lesion]
    assert len(sick) >= 10
    assert sum(bool(look.heat["boxes"]) for look in sick) >= 0.6 * len(sick)


def test_a_negative_image_yields_no_boxes(looks: list[Look]) -> None:
    negative = [look for look in looks if not look.heat["present"]]
    assert len(negative) >= 10
    assert all(look.heat["boxes"] == [] for look in negative)
    healthy = [look for look in looks if look.lesion is None]
    assert sum(look.heat["boxes"] == [] for look in healthy) >= 0.8 * len(healthy)


@pytest.mark.parametrize("finding", FINDINGS)
def test_the_sick_score_higher_than_the_healthy(looks: list[Look], finding: str) -> None:
    asked = [look for look in looks if look.heat["name"] == finding]
    sick = [look.heat["score"] for look in asked if look.lesion]
    healthy = [look.heat["score"] for look in asked if not look.lesion]
    pairs = [one > other for one in sick for other in healthy]
    assert len(pairs) >= 50
    assert sum(pairs) >= 0.85 * len(pairs)
