"""Where the timeline appears: in colour on a terminal, as plain lines anywhere else. Every line goes out at once."""

from __future__ import annotations

import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Protocol

from joinery.cli.words import Told, Tone

if TYPE_CHECKING:
    from rich.console import Console

#: Columns of the name; longer ones are cut.
_WHO = 20
#: A line on a terminal is never longer than this, however wide the window.
_WIDTH_MAX = 120

_STYLES = {
    Tone.NEWS: "bold",
    Tone.DONE: "green",
    Tone.PROVEN: "bold green",
    Tone.WAITING: "dim",
    Tone.CAREFUL: "yellow",
    Tone.UNTOUCHED: "magenta",
    Tone.WRONG: "bold red",
}
_MARKS = {
    Tone.NEWS: "●",
    Tone.DONE: "✓",
    Tone.PROVEN: "✔",
    Tone.WAITING: "…",
    Tone.CAREFUL: "?",
    Tone.UNTOUCHED: "–",
    Tone.WRONG: "✗",
}


class Screen(Protocol):
    """Somewhere to show a day."""

    def heading(self, text: str) -> None:
        """What happens at the company."""

    def line(self, told: Told) -> None:
        """What Joinery did about it."""

    def say(self, text: str) -> None:
        """Something else."""

    def status(self, text: str) -> None:
        """How things stand right now; replaces what it said before."""

    def close(self) -> None:
        """Take the status away."""


def open_screen() -> Screen:
    """In colour where standard output is a terminal."""
    if sys.stdout.isatty():
        return RichScreen()
    return PlainScreen()


class PlainScreen:
    """Lines of text, for files and pipes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def heading(self, text: str) -> None:
        """An empty line, then the sentence."""
        self._print(f"\n== {text}")

    def line(self, told: Told) -> None:
        """Time, name, sentence."""
        self._print(f"{_clock(told)}  {_who(told)}  {_MARKS[told.tone]} {told.text}")

    def say(self, text: str) -> None:
        """As it is."""
        self._print(text)

    def status(self, text: str) -> None:
        """A file has no present."""

    def close(self) -> None:
        """Nothing to take away."""

    def _print(self, text: str) -> None:
        with self._lock:
            print(text, flush=True)  # noqa: T201 - a command speaks to its user


class RichScreen:
    """Colours, hanging indents, and one line at the bottom that says how things stand."""

    def __init__(self, console: Console | None = None) -> None:
        """On standard output, or on a console of one's own."""
        from rich.console import Console

        self._console = console or Console(highlight=False)
        self._status = self._console.status("", spinner="dots")
        self._shown = False

    def heading(self, text: str) -> None:
        """The sentence, and a rule that goes on from its end to the edge."""
        from rich.rule import Rule
        from rich.text import Text

        self._console.print()
        *before, last = textwrap.wrap(text, self._width() - 6) or [""]
        for part in before:
            self._console.print(Text(part, style="bold cyan"))
        self._console.print(Rule(Text(last, style="bold cyan"), align="left", characters="─", style="cyan"), width=self._width())

    def line(self, told: Told) -> None:
        """Time, name, sentence; what does not fit goes on below the sentence."""
        from rich.text import Text

        before = f"{_clock(told)}  {_who(told)}  "
        first, *others = textwrap.wrap(f"{_MARKS[told.tone]} {told.text}", max(30, self._width() - len(before))) or [""]
        text = Text.assemble((f"{_clock(told)}  ", "dim"), (f"{_who(told)}  ", ""), (first, _STYLES[told.tone]))
        for other in others:
            text.append(f"\n{' ' * (len(before) + 2)}{other}", style=_STYLES[told.tone])
        self._console.print(text)

    def say(self, text: str) -> None:
        """As it is, brackets included."""
        from rich.text import Text

        self._console.print(Text(text))

    def status(self, text: str) -> None:
        """The line at the bottom."""
        self._status.update(text)
        if not self._shown:
            self._shown = True
            self._status.start()

    def close(self) -> None:
        """Give the bottom line back."""
        if self._shown:
            self._shown = False
            self._status.stop()

    def _width(self) -> int:
        return min(self._console.width, _WIDTH_MAX)


def _clock(told: Told) -> str:
    return f"{told.at.astimezone():%H:%M:%S}"


def _who(told: Told) -> str:
    return told.who if len(told.who) == _WHO else f"{told.who[: _WHO - 1]}…" if len(told.who) > _WHO else f"{told.who:<{_WHO}}"
