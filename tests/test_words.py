"""Texts that users read are in plain English and the field's words: phrases of the first version do not come back."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click

from cnnsearch.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "plugins/README.md", "search_spaces/README.md", "examples/README.md")
PHRASES = (
    "a first look",
    "a look at a part",
    "a look comes",
    "after a look",
    "begin anew",
    "cannot be had",
    "decides otherwise",
    "does not beat",
    "done and kept",
    "fault of cnnsearch",
    "fresh seed",
    "gave back",
    "gives back",
    "go on with",
    "goes on with",
    "going on with",
    "gone about",
    "gone on with",
    "has a say",
    "in flight",
    "how sure:",
    "is being worked on",
    "is sent on",
    "is no whole",
    "is not told",
    "means nothing here",
    "passed over",
    "put back",
    "sure of the winner",
    "tells apart",
    "tells them apart",
    "the commonest",
    "told apart",
    "too modest by",
    "trained as it began",
    "was just that",
    "what was put back",
    "what each choice was worth",
    "where a search stands",
    "would be due",
)
ALLOWED: dict[str, str] = {}
"""A phrase in one file that may stay, as `"path: phrase"`, with the reason."""


def texts() -> Iterator[tuple[str, str]]:
    """(where it is, the text) of every page, string literal and help text."""
    for page in (*PAGES, *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md")))):
        if (ROOT / page).is_file():
            yield page, (ROOT / page).read_text("utf-8")
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
        elif path.suffix in (".html", ".txt"):
            yield str(path.relative_to(ROOT)), path.read_text("utf-8")
    for name, command in main.commands.items():
        yield f"{name} --help", command.get_help(click.Context(command, info_name=name))


def test_phrases_of_the_first_version_do_not_come_back() -> None:
    shape = re.compile("|".join(rf"\b{re.escape(phrase)}" for phrase in PHRASES))
    found, seen = [], 0
    for where, text in texts():
        seen += 1
        for hit in shape.findall(" ".join(text.lower().split())):
            if f"{where.partition(':')[0]}: {hit}" not in ALLOWED:
                found.append(f"{where}: {hit}")
    assert seen > 1000 and not found, "\n".join(found)
