"""The pages that people read, and the code blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One fenced block: the language, whether a test leaves it out, the line it begins in, and the code."""

    language: str
    no_test: bool
    line: int
    code: str


def pages() -> list[Path]:
    """Every Markdown page of the repository that people are meant to read."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").glob("*.md")])


def name(page: Path) -> str:
    """The page's path from the root, for test ids and messages."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block. ``no-test`` behind the language says that a test leaves it out."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        language, *marks = found["info"].split() or [""]
        yield Block(language=language, no_test="no-test" in marks, line=text.count("\n", 0, found.start()) + 1, code=found["code"])


def prose(page: Path) -> str:
    """The page without its fenced blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
