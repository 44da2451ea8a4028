"""`--dataset PATH`: which dataset reads what is there."""

from pathlib import Path

import numpy as np
import pytest

from cnnsearch.cli.dataset_option import dataset_use
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces import decorators, plugins
from cnnsearch.spaces.plugins import Catalog, Entry

KNOWN = plugins.load()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of each, as the current and the home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "data.npz", x=np.zeros(3))
    (tmp_path / "upper.NPZ").write_bytes((tmp_path / "data.npz").read_bytes())
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "x_train.npy", np.zeros(3))
    for name in ("upper", "few", "hidden", "stray"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "few" / "arr_0.npy", np.zeros(3))
    np.save(tmp_path / "upper" / "x.npy", np.zeros(3))
    (tmp_path / "upper" / "x.npy").rename(tmp_path / "upper" / "X.NPY")
    # what lies beside pictures
    np.save(tmp_path / "hidden" / ".x.npy", np.zeros(3))
    np.save(tmp_path / "stray" / "features.npy", np.zeros(3))
    for name in ("stray/cat", "pets/cat", "arrays/runs", "digits", "odd: name"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize("text, name, path", [
    ("data.npz", "npz", "data.npz"),
    ("./upper.NPZ", "npz", "upper.NPZ"),
    ("~/data.npz", "npz", "data.npz"),
    ("arrays", "npz", "arrays"),
    ("arrays/", "npz", "arrays"),
    ("pets", "folder", "pets"),
    ("upper", "npz", "upper"),
    ("few", "npz", "few"),
    ("hidden", "folder", "hidden"),
    ("stray", "folder", "stray"),
    ("odd: name", "folder", "odd: name"),
    ("npz:data.npz", "npz", "data.npz"),
    ("npz:pets", "npz", "pets"),
    ("folder:~/pets", "folder", "pets"),
    ("folder:gone", "folder", "gone"),
    ("./digits", "folder", "digits"),
])  # fmt: skip
def test_paths(here: Path, text: str, name: str, path: str) -> None:
    assert dataset_use(text, KNOWN) == (name, {"path": str(here.resolve() / path)})


def test_a_datasets_name_comes_before_a_path() -> None:
    assert dataset_use("digits", KNOWN) == ("digits", {})
    assert dataset_use("npz:", KNOWN) == ("npz", {"path": ""})


@pytest.mark.parametrize("text, words", [
    ("gone.npz", "gone.npz: there is no such file or folder. Expected a dataset's name"),
    ("~/gone", "~/gone: there is no such file or folder. Expected"),
    ("C:\\data\\gone.npz", "C:\\data\\gone.npz: there is no such file or folder. Expected"),
    ("x/" * 3000, "there is no such file or folder. Expected"),
    ("a\0b/c", "there is no such file or folder. Expected"),
    ("notes.txt", "notes.txt: no dataset reads it. Expected a .npz file, a folder of .npy files"),
    ("arrays/x_train.npy", "arrays/x_train.npy: no dataset reads it. Expected"),
])  # fmt: skip
def test_what_is_no_dataset_is_said(text: str, words: str) -> None:
    with pytest.raises(CnnsearchError) as caught:
        dataset_use(text, KNOWN)
    assert words in caught.value.message and caught.value.message.startswith("--dataset ")
    assert "\n" not in caught.value.message


def test_plugins_that_read_the_same_are_named() -> None:
    @decorators.dataset(reads=lambda path: path.suffix == ".txt")
    def notes(*, path: str = "") -> None:
        """Notes."""

    @decorators.dataset(reads=lambda path: 1 / 0)
    def fails(*, path: str = "") -> None:
        """Never."""

    one, other = Entry("dataset", "notes", "local", notes), Entry("dataset", "lines", "local", notes)
    never = Entry("dataset", "fails", "local", fails)
    assert dataset_use("notes.txt", Catalog([*KNOWN.entries, one, never])).name == "notes"
    with pytest.raises(CnnsearchError) as caught:
        dataset_use("notes.txt", Catalog([one, other]))
    assert caught.value.message == (
        "--dataset notes.txt: lines and notes can read it. Choose one: lines:notes.txt or notes:notes.txt."
    )
