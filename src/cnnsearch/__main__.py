"""`python -m cnnsearch`."""

from cnnsearch.cli import main

main()
