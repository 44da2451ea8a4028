"""GPUs as `nvidia-smi` tells of them, and how many workers share one."""

from pathlib import Path

import pytest

from cnnsearch.cli.resources import resources
from cnnsearch.core import gpus
from cnnsearch.core.errors import CnnsearchError
from tests.conftest import TINY, Run

SMI = """#!/bin/sh
case "$*" in
-L) echo "GPU 0: A (UUID: GPU-1)"; echo "  MIG 1g.10gb Device 0: (UUID: MIG-3)"; echo "GPU 1: B (UUID: GPU-2)" ;;
*"-i 0"*memory.total*) echo 24564 ;;
*"-i 1"*memory.total*) echo 8188 ;;
*) echo "[N/A]" ;;
esac
"""


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `nvidia-smi` that tells of two GPUs, of 24 and of 8 GiB."""
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_workers_go_by_memory_and_cores(smi: None) -> None:
    assert gpus.gpus() == ["0", "1"]
    assert [gpus.memory(gpu) for gpu in ("0", "1", "MIG-3")] == [24564, 8188, 0]
    much = 64 * 2**30
    assert [gpus.workers(["0"], cores, much) for cores in (16, 4, 1)] == [4, 2, 1]
    # the smaller one says how many
    assert gpus.workers(["0", "1"], 64, much) == 4
    assert gpus.workers(["0"], 16, 8 * 2**30) == 2 and gpus.workers(["0", "1"], 64, 2**30) == 2
    assert gpus.workers(["MIG-3"], 64, much) == 1 and gpus.workers([], 64, much) == 0


def test_those_that_are_hidden_are_not_there(smi: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, GPU-1")
    assert gpus.gpus() == ["1", "GPU-1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpus.gpus() == []


def test_workers_that_share_one_which_the_backend_does_not_see_train_on_the_cpu(smi: None, run: Run) -> None:
    done = run("run", "--space", "digits_cnn", "--trials", "2", "--jobs", "2", *TINY, CUDA_VISIBLE_DEVICES="0")
    assert done.returncode == 0, done.stderr
    assert "complete" in done.stdout


def test_gpus_for_each_trial_are_a_limit_here_and_none_is_no_choice(smi: None) -> None:
    assert resources("local", "", None, None, 1.0, "")["jobs"] == 2
    assert resources("local", "", 2, 64.0, 1.0, "")["jobs"] == 2
    with pytest.raises(CnnsearchError, match="--jobs 3: with --gpus-per-trial 1, 2 fit on the GPUs of this machine"):
        resources("local", "", 3, None, 1.0, "")
    with pytest.raises(CnnsearchError, match="--gpus-per-trial 0 is for a cluster"):
        resources("local", "", 1, None, 0.0, "")


def test_without_the_program_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.gpus() == [] and gpus.memory("0") == 0
    with pytest.raises(CnnsearchError, match="this machine has no GPU that `nvidia-smi` lists"):
        resources("local", "", 2, None, 1.0, "")
