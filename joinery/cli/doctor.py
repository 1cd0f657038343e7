"""``joinery doctor``: asks everything that can be asked, and says what was found."""

from __future__ import annotations

import json
import logging
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import groupby

from joinery.cli.exits import NOT_WELL, WELL, finding
from joinery.cli.options import settings_from
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.doctor.checkup import Check, State, examine, worst
from joinery.doctor.questions import QUESTIONS

_NAMES = tuple(one.name for one in QUESTIONS)
_MARKS = {State.WELL: "✓", State.WARNING: "!", State.FAILED: "✗", State.SKIPPED: "–"}
#: Foreground colours of a terminal (ECMA-48): green, yellow, red, faint.
_COLOURS = {State.WELL: "32", State.WARNING: "33", State.FAILED: "31", State.SKIPPED: "2"}
#: What these would say is what the findings say, at length; at INFO httpx tells whole addresses, and one of them is a secret.
#: Whoever opens the store sets azure.identity as a whole, so its inside is named.
_HUSHED = {
    "adapters": logging.ERROR,
    "azure.identity._credentials": logging.CRITICAL,
    "azure.servicebus": logging.CRITICAL,
    "httpx": logging.WARNING,
}
#: Columns in front of a text, and of a whole line.
_INDENT, _WIDTH = max(map(len, _NAMES)) + 4, 120


def run_doctor(*, data: str | None, policy: str | None, only: Sequence[str], strict: bool, as_json: bool) -> int:
    """Every check, or those named; NOT_WELL where one failed, with ``strict`` where one warned. Raises ConfigurationError."""
    from joinery.cli.patient import patient_of

    for name in only:
        if name not in _NAMES:
            raise finding("--only", f"is {name!r}", f"Use one of: {', '.join(_NAMES)}.")
    settings = settings_from(data=data, policy=policy)
    with hushed(), ExitStack() as stack:
        checks = examine(patient_of(settings, stack), QUESTIONS, only)
        done = list(checks) if as_json else list(_said(checks))
    state = worst(one.state for one in done)
    if as_json:
        say(json.dumps({"state": state, "checks": [asdict(one) for one in done]}, indent=2, ensure_ascii=False))
    else:
        say(f"\n{_summary(done)}")
    return NOT_WELL if state is State.FAILED or (strict and state is State.WARNING) else WELL


@contextmanager
def hushed() -> Iterator[None]:
    """Without the warnings of clients that are in trouble."""
    before = {name: logging.getLogger(name).level for name in _HUSHED}
    try:
        for name, level in _HUSHED.items():
            logging.getLogger(name).setLevel(level)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _said(checks: Iterable[Check]) -> Iterator[Check]:
    """The same checks, each said as soon as all that it found is there."""
    for name, group in groupby(checks, key=lambda one: one.name):
        found = list(group)
        for line in _lines(name, found):
            say(line)
        yield from found


def _lines(name: str, found: list[Check]) -> Iterator[str]:
    """A check: its mark and name, then each finding with what to do and where to read on."""
    state = worst(one.state for one in found)
    head = f"{mark(state)} {name:<{_INDENT - 2}}"
    # What is well beside what is not is no news.
    shown = [one for one in found if one.state is not State.WELL] or found
    if state is State.WELL:
        shown = [Check(name=name, state=state, cause="; ".join(one.cause for one in found))]
    for check, after in zip(shown, [*shown[1:], None], strict=True):
        label = "" if check.state is State.WELL else f"{check.state}: "
        first, *rest = wrapped(label + check.cause, _INDENT)
        yield f"{head}{first}"
        yield from (" " * _INDENT + line for line in rest)
        if check.remedy and (after is None or after.remedy != check.remedy):
            yield from (" " * _INDENT + line for line in wrapped(check.remedy, _INDENT, "  → ", "    "))
        head = " " * _INDENT
    if state in (State.WARNING, State.FAILED):
        yield f"{' ' * _INDENT}  {shown[0].page}"


def wrapped(text: str, indent: int, first: str = "", then: str = "") -> list[str]:
    """Lines that fit behind so many columns."""
    return textwrap.wrap(
        text, _WIDTH - indent, initial_indent=first, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    )


def mark(state: State) -> str:
    """One sign for a state, in colour on a terminal."""
    return f"\x1b[{_COLOURS[state]}m{_MARKS[state]}\x1b[0m" if sys.stdout.isatty() else _MARKS[state]


def _summary(done: list[Check]) -> str:
    """How many checks ended in which state."""
    states = Counter(worst(one.state for one in group) for _, group in groupby(done, key=lambda one: one.name))
    return f"{counted(sum(states.values()), 'check')}: {', '.join(f'{states[state]} {state}' for state in State if states[state])}."
