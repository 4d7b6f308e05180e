"""Whose word opens a model whose family's terms forbid serving."""

import pytest
from typer.testing import CliRunner

from model_store.manifest import Licence
from training.checkpoint.licences import licence_of, serving_note
from training.cli import app

OWN = Licence(name="Agreement 7", terms="With the authors.", serving=False)
OPENED = OWN.model_copy(update={"serving": True})


@pytest.mark.parametrize("family", ["mammo-clip", "mammo-fm"])
def test_a_licence_s_name_alone_does_not_open_what_the_family_closes(family: str) -> None:
    assert not licence_of(family, None).serving
    assert not licence_of(family, OWN).serving
    assert licence_of(family, OWN).name == "Agreement 7"
    assert serving_note(family, licence_of(family, OWN)) == {}


def test_the_importer_s_word_opens_it_and_is_kept() -> None:
    opened = licence_of("mammo-clip", OPENED)
    assert opened.serving
    assert serving_note("mammo-clip", opened) == {"serving_allowed_by": "--may-be-served"}


def test_one_s_own_model_stays_open() -> None:
    assert licence_of("mammoserve", OWN).serving
    assert serving_note("mammoserve", licence_of("mammoserve", OWN)) == {}


def test_the_word_without_a_licence_is_asked_for_one() -> None:
    given = ["import", __file__, "--name", "x", "--may-be-served"]
    result = CliRunner().invoke(app, given, terminal_width=200)
    assert result.exit_code == 2
    assert "goes with --licence" in result.output
