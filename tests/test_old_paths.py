"""Import paths of version 0.1 that the authors' guide named still lead to the same objects."""

import importlib
import sys

import pytest

from cnnsearch.old_paths import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_path_is_the_new_module_and_says_so(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=MOVED[old]):
        found = importlib.import_module(old)
    assert found is importlib.import_module(MOVED[old])


def test_what_packages_had_as_modules_is_there() -> None:
    import cnnsearch.data
    import cnnsearch.training
    from cnnsearch.data.dataset import Dataset
    from cnnsearch.data.splits import split
    from cnnsearch.training.fitting import fit

    assert cnnsearch.data.Dataset is Dataset and cnnsearch.data.split is split and cnnsearch.training.fit is fit
    with pytest.raises(AttributeError, match="nothing"):
        _ = cnnsearch.data.nothing
