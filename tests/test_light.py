"""Start-up stays light, and the parent of a search never imports a backend."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

HEAVY = ("tensorflow", "keras", "keras_tuner", "mlflow", "optuna", "jax", "torch")


def loaded_after(code: str, folder: Path) -> set[str]:
    """Which top-level modules are loaded after `code`, in a fresh process."""
    script = f"{code}\nimport sys; print('MODULES', *sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_importing_the_package_and_the_commands_stays_light(tmp_path: Path) -> None:
    loaded = loaded_after("import cnnsearch, cnnsearch.cli", tmp_path)
    assert "click" in loaded
    assert not loaded.intersection(HEAVY)


def test_help_stays_light(tmp_path: Path) -> None:
    for arguments in (["--help"], ["run", "--help"], ["export", "--help"], ["report", "--help"]):
        code = f"from cnnsearch.cli import main; main({arguments}, standalone_mode=False)"
        assert not loaded_after(code, tmp_path).intersection(HEAVY), arguments


def test_the_parent_of_a_search_never_imports_a_backend(tmp_path: Path) -> None:
    arguments = ["run", "--space", "digits_cnn", "--trials", "1", "--epochs", "1", "--jobs", "1", "--quiet"]
    code = f"from cnnsearch.cli import main; main({arguments}, standalone_mode=False)"
    loaded = loaded_after(code, tmp_path)
    assert {"optuna", "mlflow"} <= loaded
    assert not loaded.intersection({"tensorflow", "keras", "keras_tuner", "jax", "torch"})


def test_checking_a_wrong_command_imports_no_backend_and_no_storage(tmp_path: Path) -> None:
    code = """
from cnnsearch.cli import main
try:
    main(["run", "--space", "digits_cnn", "--set", "filters.frist=[1]"], standalone_mode=False)
except Exception as error:
    assert "Did you mean 'first'?" in error.message
else:
    raise SystemExit("no error")
"""
    assert not loaded_after(code, tmp_path).intersection({"tensorflow", "keras", "keras_tuner", "mlflow", "jax"})


def test_only_the_rooms_that_build_and_train_import_keras() -> None:
    """One file imports tensorflow, when asked for its formats; keras at module level only where models are made."""
    importers = set()
    for path in (Path(__file__).parents[1] / "src" / "cnnsearch").glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        assert "tensorflow" not in imported(tree.body if path.name == "formats.py" else ast.walk(tree)), path
        if "keras" in imported(tree.body):
            importers.add(path.name)
    assert importers == {
        *("batches.py", "build.py", "heads.py", "layers.py", "models.py", "reported.py", "resume.py", "stems.py"),
        "training.py",
    }


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """The top-level packages that these statements import."""
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in names}
