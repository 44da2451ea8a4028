"""Studies and exports of other versions: they open, or it is said what to do."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.conftest import Run


def change(database: Path, table: str, key: str, edit: Any) -> None:
    """Rewrite the attribute `key` in every row that has it, as another version might have written it."""
    with closing(sqlite3.connect(database)) as opened, opened:
        rows = opened.execute(f"select rowid, value_json from {table} where key = ?", (key,)).fetchall()
        assert rows
        for row, value in rows:
            opened.execute(
                f"update {table} set value_json = ? where rowid = ?", (json.dumps(edit(json.loads(value))), row)
            )


def test_a_study_of_the_first_format_opens(run: Run, searched: Path, tmp_path: Path) -> None:
    """As version 0.1 wrote it before stems, trainers with options and trainings that go on."""
    shutil.copytree(searched / "runs", tmp_path / "runs")
    database = tmp_path / "runs" / "cnnsearch.db"

    def older_plan(record: dict[str, Any]) -> dict[str, Any]:
        plan = json.loads(record["plan"]) if record["plan"] else None
        if plan:
            del plan["stem"], plan["stem_rate"]
        return {**{k: v for k, v in record.items() if k != "resumed"}, "plan": json.dumps(plan) if plan else ""}

    change(database, "trial_user_attributes", "cnnsearch", older_plan)
    change(
        database, "study_user_attributes", "cnnsearch", lambda info: {**info, "space": {**info["space"], "trainer": ""}}
    )
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert len(rows) == 5
    exported = run("export", "--best", "-o", "out")
    assert exported.returncode == 0, exported.stderr
    assert json.loads((tmp_path / "out" / "card.json").read_text())["format"] == 1


def test_a_study_of_a_later_format_is_told(run: Run, searched: Path, tmp_path: Path) -> None:
    shutil.copytree(searched / "runs", tmp_path / "runs")
    database = tmp_path / "runs" / "cnnsearch.db"
    change(database, "study_user_attributes", "cnnsearch", lambda info: {**info, "format": 99})
    change(database, "trial_user_attributes", "cnnsearch", lambda record: {**record, "novelty": 1})
    for command in (["leaderboard"], ["export", "--best"], ["reproduce", "0"]):
        done = run(*command)
        assert done.returncode == 2 and "was written by a newer cnnsearch. Upgrade" in done.stderr, done.stderr
    assert run("studies").returncode == 0
