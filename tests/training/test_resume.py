"""A run that is killed ends where an uninterrupted one does; so does one on two processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.canvas_factory import make_set
from tests.training.pretrain_factory import MASS, SHAPE, silent, small_run
from training.config import ModelConfig, PretrainConfig
from training.pretrain import MODEL, RUN, SETTINGS, pretrain
from training.run import AnotherRun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Lightning's
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

KILLED_AFTER = 7  # of 10 steps, 5 an epoch; written down after 6 last
PROGRAM = """
import sys
from pathlib import Path
if __name__ == "__main__":  # the process that draws pairs imports this file too
    from training.config import PretrainConfig
    from training.pretrain import pretrain
    config = PretrainConfig.model_validate_json(Path(sys.argv[1]).read_text())
    pretrain(config, work=Path(sys.argv[2]), say=lambda line: print(line, flush=True))
"""
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def lively(folder: Path) -> PretrainConfig:
    """Everything that a resumed run could get wrong: dropout, dropped paths, statistics, average,
    passes that are added up, pairs drawn ahead by another process."""
    model = ModelConfig(
        embedding_size=16,
        text_layers=1,
        text_max_tokens=48,
        drop_path=0.2,
        dropout=0.3,
        frozen_statistics=False,
    )
    return small_run(
        folder,
        model=model,
        batch=1,
        accumulate=2,
        save_every=2,
        say_every=1,
        workers=1,
        ema=0.9,
        checkpointing=True,
    )


def start(config: PretrainConfig, work: Path, *launcher: str) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    written = work.with_suffix(".json")
    written.write_text(config.model_dump_json())
    program = work.with_suffix(".py")
    program.write_text(PROGRAM)
    command = [sys.executable, *launcher, str(program), str(written), str(work)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ONE_THREAD
    )


def weights(work: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(work / MODEL, weights_only=True)
    return loaded


def test_a_run_killed_in_the_middle_of_an_epoch_ends_with_the_same_loss(tmp_path: Path) -> None:
    config = lively(tmp_path)
    with start(config, tmp_path / "killed") as process:
        assert process.stdout is not None
        expected = pretrain(config, work=tmp_path / "whole", say=silent)
        for line in process.stdout:
            if f"epoch 2/2, step {KILLED_AFTER - 5}/5" in line:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / RUN).exists()

    said: list[str] = []
    resumed = pretrain(config, work=tmp_path / "killed", say=said.append)
    steps = [line for line in said if "images/s" in line]
    assert len(steps) == 10 - (KILLED_AFTER - 1)
    assert resumed.loss == pytest.approx(expected.loss, abs=1e-4)
    whole, again = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    for name, value in whole.items():
        torch.testing.assert_close(again[name], value, atol=1e-5, rtol=1e-4, msg=name)
    assert any(not torch.equal(value, 0 * value) for value in whole.values())


def test_two_processes_under_torchrun_learn_what_one_does_from_the_joined_batch(
    tmp_path: Path,
) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    with start(small_run(tmp_path, batch=1, epochs=1), tmp_path / "two", *launcher) as process:
        one = pretrain(small_run(tmp_path, batch=2, epochs=1), work=tmp_path / "one", say=silent)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    two = json.loads((tmp_path / "two" / RUN).read_text())
    two.pop(SETTINGS)
    assert two == {"loss": pytest.approx(one.loss, abs=1e-4), "steps": 5, "pairs": 10}
    single, double = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in single.items():
        torch.testing.assert_close(double[name], value, atol=2e-4, rtol=1e-3, msg=name)


def test_a_run_that_is_done_is_not_run_again(tmp_path: Path) -> None:
    config = small_run(tmp_path, epochs=1)
    first = pretrain(config, work=tmp_path / "run", say=silent)
    said: list[str] = []
    assert pretrain(config, work=tmp_path / "run", say=said.append) == first
    assert len(said) == 1
    assert "done before" in said[0]


def test_a_folder_of_a_run_of_another_configuration_is_refused_done_or_not(tmp_path: Path) -> None:
    work = tmp_path / "run"
    pretrain(small_run(tmp_path, epochs=1), work=work, say=silent)
    faster = small_run(tmp_path, epochs=1, learning_rate=2e-3)
    wider = small_run(
        tmp_path,
        epochs=1,
        model=ModelConfig(embedding_size=24, text_layers=1, text_max_tokens=48),
    )
    for state in ("done", "unfinished"):
        with pytest.raises(AnotherRun, match=r"learning_rate was 0\.001 and is 0\.002; give"):
            pretrain(faster, work=work, say=silent)
        with pytest.raises(AnotherRun, match=r"model\.embedding_size was 16 and is 24; give"):
            pretrain(wider, work=work, say=silent)
        (work / RUN).unlink(missing_ok=state == "unfinished")
    again = small_run(tmp_path, epochs=1, say_every=1, threads=2)
    assert pretrain(again, work=work, say=silent).steps == 5


def test_a_folder_of_a_run_of_other_dimensions_is_refused(tmp_path: Path) -> None:
    work = tmp_path / "run"
    pretrain(small_run(tmp_path, epochs=1), work=work, say=silent)
    (work / RUN).unlink()
    make_set(tmp_path / "set", studies=7, boxes=MASS, shape=SHAPE)  # the same folder, more in it
    with pytest.raises(AnotherRun, match=r"'steps': 5.*'steps': 7.*a folder of its own"):
        pretrain(small_run(tmp_path, epochs=1), work=work, say=silent)
