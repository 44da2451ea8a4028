"""What one command asks for, what its workers are given, and which models it keeps."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces.space import Space, Use
from cnnsearch.study import objectives
from cnnsearch.study.config import GPU_SHARE, SearchConfig, maximize, trial_seed, worker_environment
from cnnsearch.study.study import Trial
from cnnsearch.tuning import checkpoint_manager as keeping
from cnnsearch.tuning.checkpoint_manager import CheckpointManager

SPACE = Space("s", dataset=Use("digits", {}), dimensions=(Use("filters", {"first": (8, 16)}),))
CONFIG = SearchConfig.of(
    space=SPACE,
    dataset=Use("digits", {"limit": 10}),
    name="s",
    trials=5,
    epochs=3,
    metric="val_accuracy",
    runs=Path("runs"),
    seed=4,
)

Scored = Callable[..., Trial]


@pytest.fixture
def scored(tmp_path: Path) -> Scored:
    """`scored(3, 0.9)` is trial 3 with this score, and its model's file."""

    def _scored(number: int, score: float | None, state: str = "complete") -> Trial:
        path = tmp_path / f"trial-{number:05d}.keras"
        path.write_bytes(b"12345678")
        return Trial(number, state, score=score, checkpoint=str(path))

    return _scored


def left(folder: Path) -> list[int]:
    return sorted(int(path.stem.partition("-")[2]) for path in folder.glob("*.keras"))


def test_a_study_has_its_own_folder() -> None:
    assert CONFIG.study.folder == Path("runs/s")


def test_workers_and_studies_get_plain_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = CONFIG.changed(plugins=(Path("mine"),))
    worker = json.loads(json.dumps(asked.for_worker()))
    assert worker["plugins"] == [str(tmp_path / "mine")]
    assert worker["dataset"] == ["digits", {"limit": 10}]
    for carried in (worker, json.loads(json.dumps(asked.study.stored()))):
        assert Space.from_dict(carried["space"]) == SPACE
        assert (carried["epochs"], carried["metric"], carried["seed"]) == (3, "val_accuracy", 4)


@pytest.mark.parametrize(
    ("metric", "more"),
    [
        *(("val_accuracy", True), ("accuracy", True), ("val_auc", True), ("val_f1_score", True), ("top_k", True)),
        *(("val_loss", False), ("loss", False), ("val_mean_squared_error", False), ("val_mse", False)),
        *(("val_categorical_crossentropy", False), ("val_kl_divergence", False), ("false_negatives", False)),
        *(("val_maestro_score", True), ("true_positives", True), ("val_AUC", True), ("val_F1Score", True)),
        *(("rmse", False), ("val_bce", False), ("val_MSE", False), ("val_logcosh", False), ("nll", False)),
        *(("val_BinaryCrossentropy", False), ("val_KLDivergence", False), ("val_MeanSquaredError", False)),
    ],
)
def test_which_way_is_better(metric: str, more: bool) -> None:
    assert maximize(metric) is more


def test_every_trial_has_a_seed_of_its_own() -> None:
    seeds = {trial_seed(seed, number) for seed in range(20) for number in range(200)}
    assert len(seeds) == 20 * 200
    assert all(0 <= trial_seed(seed, 7) < 2**31 for seed in (0, 1, 2**31, 10**18, -5))
    assert trial_seed(3, 4) == trial_seed(3, 4) == 3_031_686


def test_a_worker_has_its_share_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    given = worker_environment(2, "1")
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    assert [given[name] for name in threads] == ["2"] * 3
    assert given["CUDA_VISIBLE_DEVICES"] == "1"
    assert worker_environment(2, "")["CUDA_VISIBLE_DEVICES"] == ""


def test_workers_on_one_gpu_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION"):
        monkeypatch.delenv(name, raising=False)
    alone, shared = (worker_environment(2, "0", beside) for beside in (1, 4))
    assert GPU_SHARE not in alone and alone["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.920"
    assert shared[GPU_SHARE] == shared["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.230"
    # JAX refuses both of its names at once
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.5")
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in worker_environment(2, "0", 4)


def test_what_is_not_asked_for_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "true")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    given = worker_environment(0, None)
    assert given["OMP_NUM_THREADS"] == "64" and given["XLA_PYTHON_CLIENT_PREALLOCATE"] == "true"
    assert "CUDA_VISIBLE_DEVICES" not in given


def test_a_worker_does_not_write_to_the_mlflow_run_of_whoever_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "outer")
    before = dict(os.environ)
    given = worker_environment(1, None)
    assert "MLFLOW_RUN_ID" not in given and "MLFLOW_EXPERIMENT_ID" not in given
    assert given["MLFLOW_TRACKING_URI"] == "outer"
    assert dict(os.environ) == before


def test_a_worker_does_not_get_the_password_of_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("CNNSEARCH_STORAGE", "CNNSEARCH_RUN_STORAGE", "CNNSEARCH_COMPARE_STORAGE", "CNNSEARCH_REPRODUCE_STORAGE")
    for name in (*names, "CNNSEARCH_DATA"):
        monkeypatch.setenv(name, "postgresql://me:word@host/name")
    given = worker_environment(1, None)
    assert not given.keys() & set(names) and "CNNSEARCH_DATA" in given


def test_a_worker_runs_no_code_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "lurking.py").write_text("from pathlib import Path\nPath('ran').touch()")
    subprocess.run(
        [sys.executable, "-m", "lurking"],
        cwd=tmp_path,
        env=worker_environment(1, None),
        capture_output=True,
        check=False,
    )
    assert not (tmp_path / "ran").exists()


def test_the_first_models_are_kept(tmp_path: Path, scored: Scored) -> None:
    keeper = CheckpointManager(tmp_path / "models", 2, maximize=True)
    assert keeper.offer(Trial(7, score=0.1), []) == tmp_path / "models" / "trial-00007.keras"
    assert keeper.offer(Trial(7, "complete", score=0.1), [scored(1, 0.9)]) is not None
    assert keeper.offer(Trial(7, "complete", score=0.1), [scored(1, 0.9), scored(2, 0.5)]) is None


def test_a_better_model_takes_the_place_of_a_worse(tmp_path: Path, scored: Scored) -> None:
    keeper = CheckpointManager(tmp_path, 2, maximize=True)
    records = [scored(1, 0.9), scored(2, 0.5)]
    assert keeper.offer(Trial(3, "complete", score=0.7), records) == tmp_path / "trial-00003.keras"
    keeper.tidy([*records, scored(3, 0.7)])
    assert left(tmp_path) == [1, 3]


def test_less_is_better_for_a_loss(tmp_path: Path, scored: Scored) -> None:
    keeper = CheckpointManager(tmp_path, 1, maximize=False)
    records = [scored(1, 0.9), scored(2, 0.5)]
    assert keeper.offer(Trial(3, "complete", score=0.7), records) is None
    assert keeper.offer(Trial(3, "complete", score=0.4), records) is not None
    keeper.tidy(records)
    assert left(tmp_path) == [2]


def test_of_two_alike_the_earlier_stays(tmp_path: Path, scored: Scored) -> None:
    keeper = CheckpointManager(tmp_path, 1, maximize=True)
    assert keeper.offer(Trial(2, "complete", score=0.9), [scored(1, 0.9)]) is None
    keeper.tidy([scored(2, 0.9), scored(1, 0.9)])
    assert left(tmp_path) == [1]


def test_a_complete_trial_comes_before_every_pruned_one(tmp_path: Path, scored: Scored) -> None:
    """The leaderboard puts it first and export asks for it, whatever a pruned trial had reached."""
    keeper = CheckpointManager(tmp_path, 1, maximize=True)
    pruned = scored(1, 0.9, "pruned")
    assert keeper.offer(Trial(2, "complete", score=0.5), [pruned]) is not None
    assert keeper.offer(Trial(3, "pruned", score=0.95), [scored(2, 0.5)]) is None
    keeper.tidy([pruned, scored(2, 0.5)])
    assert left(tmp_path) == [2]


def test_trials_without_score_or_file_do_not_count(tmp_path: Path, scored: Scored) -> None:
    keeper = CheckpointManager(tmp_path, 1, maximize=True)
    others = [scored(1, None, "failed"), Trial(2, "complete", score=0.99)]
    assert keeper.offer(Trial(3, "complete", score=0.1), others) is not None
    assert keeper.offer(Trial(3, "failed"), []) is None


def test_a_model_that_could_not_be_saved_takes_no_place(tmp_path: Path, scored: Scored) -> None:
    keeper = CheckpointManager(tmp_path, 2, maximize=True)
    records = [scored(1, 0.9), scored(2, 0.8), scored(3, 0.7), scored(4, 0.6)]
    assert keeper.offer(Trial(5, "complete", score=0.75), records[:2]) is None
    (tmp_path / "trial-00001.keras").unlink()
    keeper.note_unsaved(1)
    assert keeper.offer(Trial(5, "complete", score=0.75), records[:2]) is not None
    keeper.tidy(records)
    assert left(tmp_path) == [2, 3]
    assert keeper.offer(Trial(5, "complete", score=0.65), records) is None


def test_at_least_one_model_is_kept(tmp_path: Path, scored: Scored) -> None:
    keeper = CheckpointManager(tmp_path, 0, maximize=True)
    assert keeper.offer(Trial(3, "complete", score=0.1), []) is not None
    keeper.tidy([scored(1, 0.9), scored(2, 0.5)])
    assert left(tmp_path) == [1]


def test_tidying_leaves_other_files_and_needs_no_folder(tmp_path: Path, scored: Scored) -> None:
    (tmp_path / "mine.keras.txt").touch()
    (tmp_path / "notes.md").touch()
    scored(1, 0.9)
    CheckpointManager(tmp_path, 1, maximize=True).tidy([])
    assert {path.name for path in tmp_path.iterdir()} == {"mine.keras.txt", "notes.md"}
    CheckpointManager(tmp_path / "never_made", 1, maximize=True).tidy([])


def test_a_moved_study_still_knows_its_models(tmp_path: Path, scored: Scored) -> None:
    records = [scored(1, 0.9), scored(2, 0.5)]
    moved = tmp_path / "moved"
    moved.mkdir()
    for record in records:
        Path(record.checkpoint).rename(moved / Path(record.checkpoint).name)
    CheckpointManager(moved, 1, maximize=True).tidy(records)
    assert left(moved) == [1]


@pytest.mark.parametrize(("budget", "kept"), [(24, [1, 2, 3]), (20, [1, 2]), (1, [1])])
def test_large_models_stay_within_the_budget(
    tmp_path: Path, scored: Scored, monkeypatch: pytest.MonkeyPatch, budget: int, kept: list[int]
) -> None:
    monkeypatch.setattr(keeping, "BUDGET", budget)
    CheckpointManager(tmp_path, 5, maximize=True).tidy([scored(1, 0.9), scored(2, 0.8), scored(3, 0.7)])
    assert left(tmp_path) == kept


def test_an_objective_is_a_metric_and_costs() -> None:
    assert objectives.parsed("val_accuracy,params, macs") == ("val_accuracy", ("params", "macs"))
    for text, said in (
        ("val_accuracy,parms", "'parms' is not a cost. Did you mean 'params'?"),
        ("val_loss,macs,macs", "expected a metric and different costs"),
        (",params", "expected a metric"),
    ):
        with pytest.raises(CnnsearchError, match=re.escape(said)):
            objectives.parsed(text)
