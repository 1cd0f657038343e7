"""Writes docs/cli.md from the helps of the commands: ``python scripts/cli_reference.py``; ``--check`` only compares (exit code 1 if it differs)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from joinery.cli.commands import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
#: Columns of the helps on the page.
_WIDTH = 100

_OPENING = """# The command line

This page is made from the commands' own helps by `python scripts/cli_reference.py`. Every option that names a variable
after `env:` can be set through the environment too; the option wins.
"""


def commands() -> Iterator[tuple[str, str]]:
    """The help of every command under its path, groups before what is in them: (``joinery audit show``, the text)."""
    yield from _below("joinery", typer.main.get_command(app), None)


def _below(path: str, command: Any, parent: Any) -> Iterator[tuple[str, str]]:
    widths = {"terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = command.make_context(path.rpartition(" ")[2], [], parent=parent, resilient_parsing=True, **widths)
    yield path, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    for name, inner in getattr(command, "commands", {}).items():
        yield from _below(f"{path} {name}", inner, context)


def page() -> str:
    """The whole page."""
    parts = [_OPENING]
    parts += [f"## {path}\n\n```text\n{text}\n```\n" for path, text in commands()]
    return "\n".join(parts)


def main() -> int:
    """Write, or compare."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/cli.md is not up to date: run `python scripts/cli_reference.py`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
