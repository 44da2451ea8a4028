"""Hooks of MkDocs: links to files outside docs/ become their names, and no page loads anything from another host."""

import posixpath
import re

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(?:#[^)\s]*)?\)")
LOADED = re.compile(
    r"""<(?:script|link|img|iframe|source|video)\b[^>]*?\b(?:src|href|srcset)=["']?((?:https?:)?//[^"'\s>]+)"""
)


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Replace a link to a file of the repository, which has no page here, by its text and the file's name."""

    def named(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), link[2]))
        return link[0] if target.startswith("docs/") else f"{link[1]} (`{target}`)"

    return LINK.sub(named, markdown)


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Raise PluginError if a finished page names a script, style, picture or frame of another host."""
    if outside := LOADED.findall(output):
        raise PluginError(f"{page} loads {', '.join(sorted(set(outside)))}: put the file in docs/ instead.")
    return output
