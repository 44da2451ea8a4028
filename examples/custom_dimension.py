"""Add a dimension of your own to a space, and search it.

    cnnsearch check custom_dimension.py    # checks that the dimension keeps its contract
    python custom_dimension.py

A dimension is a function that draws hyperparameters from `hp` and returns an edited plan of the network.
"""

from pathlib import Path

import cnnsearch

TRIALS = 20
EPOCHS = 8

SPACE_FILE = """
description = "Small CNNs for 8x8 digits, trained on noisy images."
dataset = "digits"
input_shape = [8, 8, 1]
dimensions = [
  { use = "conv_depth", max = 2 },
  { use = "filters", first = [8, 16] },
  { use = "input_noise" },
  { use = "learning_rate" },
]
"""


@cnnsearch.dimension
def input_noise(hp, plan, *, choices=(0.0, 0.1, 0.2)):
    """How much Gaussian noise is added to every training image.

    Args:
        choices: standard deviations, on pixels from 0 to 1; the first is the default.
    """
    stddev = hp.Choice("stddev", choices)
    if not stddev:
        return plan
    return plan.replace(augment=(*plan.augment, ("GaussianNoise", {"stddev": stddev})))


# the workers import this file to find the dimension; the search starts only where the file is the program
if __name__ == "__main__":
    Path("noisy_digits.toml").write_text(SPACE_FILE)
    study = cnnsearch.search("noisy_digits.toml", plugins=__file__, trials=TRIALS, epochs=EPOCHS, confirm=0)
    print(study.leaderboard(top=5)[["rank", "trial", "score", "choices"]].to_string(index=False))
    print(f"The effect of the noise: cnnsearch compare {study.name} --by input_noise --plugins {Path(__file__).name}")
