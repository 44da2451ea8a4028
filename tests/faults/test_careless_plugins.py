"""A dimension that leaves a thread behind, changes the folder and lowers the recursion limit harms no search."""

from functools import partial
from pathlib import Path

from tests.conftest import cnnsearch

CARELESS = '''
"""A dimension that changes its process when it is drawn."""

import os
import sys
import threading
import time

from cnnsearch import dimension


@dimension
def careless(hp, plan):
    """Leaves a thread behind, changes the folder and lowers the recursion limit."""
    threading.Thread(target=time.sleep, args=(10_000,)).start()
    os.chdir("/")
    depth, frame = 0, sys._getframe()
    while frame:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + 20)
    return plan
'''
SPACE = """
dataset = { use = "digits", limit = 200 }
input_shape = [8, 8, 1]
dimensions = [{ use = "filters", first = [4, 8], growth = [2.0] }, { use = "conv_depth", max = 1 }, "careless"]
[defaults]
epochs = 1
[recipes.wide.values]
"filters/first" = 8
[recipes.odd.values]
"filters/first" = 7
"""


def test_a_search_draws_in_its_workers_and_commands_that_draw_end(tmp_path: Path, store: str) -> None:
    # in processes of their own, which the plugin may harm
    run = partial(cnnsearch, tmp_path, MLFLOW_TRACKING_URI=store)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "careless.py").write_text(CARELESS)
    (tmp_path / "s.toml").write_text(SPACE)
    refused = run("run", "--space", "s.toml", "--plugins", "mine", "--recipe", "odd")
    assert refused.returncode == 2 and "recipe 'odd': filters/first = 7 is not in 4 | 8" in refused.stderr
    assert not (tmp_path / "runs").exists()
    # each would hang, or fail as a bug in cnnsearch, if its own process were changed
    done = run("run", "--space", "s.toml", "--plugins", "mine", "--recipe", "wide", "--confirm", "0")
    assert done.returncode == 0 and "left a thread" not in done.stderr, done.stdout + done.stderr
    assert "trial 0 complete" in done.stdout and "recipe wide" in done.stdout, done.stdout
    (tmp_path / "s.toml").write_text(SPACE.partition("[recipes.odd")[0])
    shown = run("spaces", "s.toml", "--plugins", "mine")
    assert shown.returncode == 0 and "wide" in shown.stdout and "left a thread running" in shown.stderr, shown.stderr
