"""Add a callback of your own: it is told what happens in a search.

    cnnsearch check custom_callback.py    # checks that the callback keeps its contract
    python custom_callback.py

This one writes a line to best.csv for each trial that is better than all trials before it.
"""

import csv
from pathlib import Path

import cnnsearch

TRIALS = 20
EPOCHS = 8


@cnnsearch.callback
class new_best(cnnsearch.TunerCallback):
    """Write each new best trial to best.csv."""

    best = float("-inf")

    def on_trial_end(self, trial):
        if trial.state != "complete" or trial.score <= self.best:
            return
        self.best = trial.score
        with Path("best.csv").open("a", newline="") as file:
            csv.writer(file).writerow([trial.number, trial.score, round(trial.seconds, 1)])
        self.note(f"New best: trial {trial.number} with {trial.score:.4f}.")


# cnnsearch imports this file to find the callback; the search starts only where the file is the program
if __name__ == "__main__":
    cnnsearch.search(
        "digits_cnn", callback="new_best", plugins=__file__, study="best", trials=TRIALS, epochs=EPOCHS, confirm=0
    )
    print(Path("best.csv").read_text())
