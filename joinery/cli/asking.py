"""Questions to whoever sits at the terminal."""

from __future__ import annotations

import sys

from joinery.cli.exits import finding


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


def agreed(question: str) -> bool:
    """Yes or no; everything but yes is no. Raises ConfigurationError where nobody can answer."""
    if not can_ask():
        raise finding(
            "standard input", "is no terminal, so nobody can be asked", "Look at the list, then give the command again with --yes."
        )
    print(f"{question} [y/N] ", end="", flush=True)  # noqa: T201 - a command speaks to its user
    return sys.stdin.readline().strip().casefold() in ("y", "yes")
