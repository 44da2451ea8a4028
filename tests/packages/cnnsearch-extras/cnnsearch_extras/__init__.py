"""What cnnsearch finds in this package."""

from cnnsearch_extras.checkers import checkers
from cnnsearch_extras.excitation import excitation
from cnnsearch_extras.mixup import mixup
from cnnsearch_extras.tuning import best_first, epochs_csv

__all__ = ["best_first", "checkers", "epochs_csv", "excitation", "mixup"]
