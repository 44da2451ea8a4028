"""A file is written completely or not at all."""

from pathlib import Path

import pytest

from cnnsearch.core.whole_file import replaced


def test_a_file_is_replaced_at_the_end_and_stays_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), replaced(path) as partial:
        partial.write_text("ne")
        assert partial.suffix == path.suffix, "Keras chooses the format by it"
        raise OSError("the disk is full")
    assert [each.name for each in tmp_path.iterdir()] == ["model.keras"] and path.read_text() == "old"
    with replaced(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["model.keras"] and path.read_text() == "new"
