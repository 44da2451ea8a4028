"""Start-up stays light, and the parent of a search never imports a backend."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "cnnsearch"
HEAVY = ("tensorflow", "keras", "keras_tuner", "mlflow", "optuna", "jax", "torch")


def loaded_after(code: str, folder: Path, **environment: str) -> set[str]:
    """Which top-level modules are loaded after `code`, in a fresh process with these variables."""
    script = f"{code}\nimport sys; print('MODULES', *sorted({{name.partition('.')[0] for name in sys.modules}}))"
    given = {**os.environ, **environment}
    line = [sys.executable, "-c", script]
    done = subprocess.run(line, cwd=folder, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_importing_the_package_and_the_commands_stays_light(tmp_path: Path) -> None:
    loaded = loaded_after("import cnnsearch, cnnsearch.cli.main, cnnsearch.keras_tuner", tmp_path)
    assert "click" in loaded
    assert not loaded.intersection(HEAVY)


def test_help_stays_light(tmp_path: Path) -> None:
    for arguments in (["--help"], ["run", "--help"], ["export", "--help"], ["report", "--help"]):
        code = f"from cnnsearch.cli.main import main; main({arguments}, standalone_mode=False)"
        assert not loaded_after(code, tmp_path).intersection(HEAVY), arguments


def test_the_commands_start_without_numpy_and_a_leaderboard_needs_no_sqlalchemy(tmp_path: Path) -> None:
    # NumPy reads its number of threads once, so a command that sets it has to be the first
    assert "numpy" not in loaded_after("import cnnsearch.cli.main", tmp_path)
    (tmp_path / "runs").mkdir()
    made = f"import optuna; s = optuna.create_study(storage='sqlite:///{tmp_path / 'runs' / 'cnnsearch.db'}')\n"
    fact = "{'folder': 'runs/a', 'metric': 'val_accuracy', 'created': '2026', 'dataset': ['digits', {}], 'space': {}}"
    loaded_after(f"{made}s.set_user_attr('cnnsearch', {fact})", tmp_path)
    code = "from cnnsearch.cli.main import main; main(['leaderboard'], standalone_mode=False)"
    loaded = loaded_after(code, tmp_path)
    assert "optuna" in loaded
    assert not loaded.intersection({"sqlalchemy", "alembic", "pandas", "scipy", "mlflow"})


def test_the_parent_of_a_search_never_imports_a_backend_and_its_worker_only_what_it_uses(tmp_path: Path) -> None:
    arguments = ["run", "--space", "digits_cnn", "--trials", "1", "--epochs", "1", "--jobs", "1", "--quiet"]
    code = f"from cnnsearch.cli.main import main; main({arguments}, standalone_mode=False)"
    loaded = loaded_after(code, tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert {"optuna", "mlflow"} <= loaded
    assert not loaded.intersection({"tensorflow", "keras", "keras_tuner", "jax", "torch"})
    log = (tmp_path / "runs" / "digits_cnn" / "logs" / "worker-0.log").read_text()
    # MLflow, which the best model is logged with at the end, imports more
    log = log.partition(" mlflow.version\n")[0]
    imported = {line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")}
    assert {"keras.layers", "tensorflow"} <= imported
    assert not imported.intersection({"sklearn.utils", "matplotlib.axes", "jax._src"})


def test_checking_a_wrong_command_imports_no_backend_and_no_storage(tmp_path: Path) -> None:
    code = """
from cnnsearch.cli.main import main
try:
    main(["run", "--space", "digits_cnn", "--set", "filters.frist=[1]"], standalone_mode=False)
except Exception as error:
    assert "Did you mean 'first'?" in error.message
else:
    raise SystemExit("no error")
"""
    assert not loaded_after(code, tmp_path).intersection({"tensorflow", "keras", "keras_tuner", "mlflow", "jax"})


def test_what_is_imported_at_start_is_light_in_every_package() -> None:
    """At module level only the worker and what it builds import Keras, only the study and the tuner Optuna.

    The tuners for scripts of KerasTuner import it and Keras, as those scripts do themselves.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        package = path.relative_to(SOURCE).parts[0]
        for name in imported(ast.parse(path.read_text("utf-8")).body) & set(HEAVY):
            found.setdefault(name, set()).add(package)
    assert found == {
        "keras": {"training", "keras_tuner"},
        "keras_tuner": {"keras_tuner"},
        "tensorflow": {"training"},
        "jax": {"training"},
        "optuna": {"study", "tuning", "results"},
    }


def test_every_module_of_the_package_is_looked_at() -> None:
    modules = list(SOURCE.rglob("*.py"))
    assert len(modules) > 150
    assert {path.relative_to(SOURCE).parts[0] for path in modules} >= {"core", "study", "training", "tuning", "cli"}


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """The top-level packages that these statements import."""
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names}
