"""`python -m cnnsearch`."""

from cnnsearch.cli.main import main

main()
