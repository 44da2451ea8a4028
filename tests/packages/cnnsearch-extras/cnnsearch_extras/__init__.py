"""What cnnsearch finds in this package."""

from cnnsearch_extras.checkers import checkers
from cnnsearch_extras.excitation import excitation
from cnnsearch_extras.mixup import mixup

__all__ = ["checkers", "excitation", "mixup"]
