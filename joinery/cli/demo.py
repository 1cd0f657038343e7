"""``joinery demo``: a day at full speed on free ports and in a temporary folder, and the proof of what was done."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from joinery.cli.exits import NOT_WELL, WELL
from joinery.cli.outcome import table
from joinery.cli.screen import Screen, open_screen
from joinery.cli.show import (
    Actor,
    answered,
    follow,
    held_told,
    is_still,
    outcome_of,
    play_of,
    take_in,
    wait_until_still,
    waits_for_answer,
)
from joinery.cli.stopping import until_stopped
from joinery.cli.timeline import Timeline
from joinery.cli.up import Plan, running, say, say_stopped, wait_until_ready
from joinery.settings import Settings

if TYPE_CHECKING:
    from joinery.cli.outcome import Outcome
    from simulators.play import Expected
    from wiring import Local

#: What the demo shortens, and nothing else: seconds.
CALL_DEADLINE, SEARCH_LAG, SETTLE = 2.0, 0.3, 0.5
#: Longest wait for the start.
_READY_MAX = 30.0
#: Longest wait for what one act should lead to.
_ACT_MAX = 20.0
#: Nothing moves for this long and nothing came of the act: nothing will.
_NEVER = 4.0


def run_demo() -> int:
    """Play, show, prove. 0 where everything was done once and verified, else 1. Raises ConfigurationError."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="joinery-demo-") as folder, until_stopped() as stop:
        settings = Settings.from_environment(
            # Of the environment only the policy counts: the demo must not meet anybody's real Graph or Halo.
            {name: value for name, value in os.environ.items() if name == "JOINERY_POLICY"},
            data=Path(folder),
            port=0,
            graph_port=0,
            halo_port=0,
            settle_seconds=SETTLE,
            call_deadline_seconds=CALL_DEADLINE,
            search_lag_seconds=SEARCH_LAG,
        )
        with running(Plan(settings=settings, empty=False, play=True, settle_shortened=True)) as local:
            local.start()
            if wait_until_ready(local, stop, at_most=_READY_MAX):
                code = _play(local, stop, began)
            else:
                code = NOT_WELL
                if not stop.is_set():
                    _explain(settings.data / "joinery.log")
    if stop.is_set():
        say_stopped()
    return code


def _explain(log: Path) -> None:
    """The last lines of a log that goes with its folder."""
    say(f"Not ready after {_READY_MAX:g} s. The log ends with:")
    for line in log.read_text(encoding="utf-8").splitlines()[-3:]:
        say(f"  {line}")


def _play(local: Local, stop: threading.Event, began: float) -> int:
    screen = open_screen()
    timeline = Timeline(local.parts.app.reads)
    try:
        screen.say("A day at Contoso at full speed: our functions, a pretend Graph and a pretend Halo, on this machine only.")
        screen.say(f"Shortened: settle time {SETTLE:g} s, deadline of a call {CALL_DEADLINE:g} s, search lag {SEARCH_LAG:g} s.")
        take_in(local, frozenset(), timeline, screen, stop)
        actor = Actor(play_of(local), screen, stop, pause=lambda happened: _until_through(local, happened, stop))
        actor.start()
        follow(timeline, screen, local, until=_either(actor.over, stop))
    finally:
        screen.close()
    if stop.is_set() or actor.trouble:
        return NOT_WELL
    found = outcome_of(local, actor.expected)
    screen.heading("What was done, from the audit, beside what the desk holds")
    for line in table(found):
        screen.say(line)
    for line in held_told(found):
        screen.say(line)
    _sum_up(screen, found, time.monotonic() - began)
    return WELL if found.well else NOT_WELL


def _sum_up(screen: Screen, found: Outcome, took: float) -> None:
    screen.say("")
    if found.well:
        what = "Everything else" if found.held else "Everything"
        screen.say(f"{what} was done once, and read back. It took {took:.0f} s. `joinery up` plays it slowly, and keeps running.")
    else:
        screen.say("Not everything is as it should be: see ✗ above.")


def _until_through(local: Local, happened: list[Expected], stop: threading.Event) -> bool:
    """Wait until what an act should lead to has ended; True where the demo was stopped."""
    ends_at = time.monotonic() + _ACT_MAX
    over = answered(happened)
    still_since: float | None = None
    while any(one.workflow for one in happened) and not stop.is_set() and time.monotonic() < ends_at:
        still = is_still(local, answered=over)
        if still and _came_of(local, happened):
            break
        still_since = (still_since or time.monotonic()) if still else None
        if still_since is not None and time.monotonic() - still_since > _NEVER:
            break
        stop.wait(0.1)
    wait_until_still(local, stop, answered=over, at_most=_ACT_MAX)
    return stop.is_set()


def _came_of(local: Local, happened: list[Expected]) -> bool:
    """Whether each of it has led to a run that has ended or, where somebody is asked, waits for the answer; or is held."""
    app = local.parts.app
    there = {(change.partition.rpartition(":")[2], workflow) for change in app.held.listed() for workflow in change.workflows}
    asking = {(one.person_id, one.workflow) for one in happened if one.asks}
    for view in app.reads.runs():
        this = (view.partition.rpartition(":")[2], view.run.workflow)
        if view.run.closed_at or (this in asking and waits_for_answer(view)):
            there.add(this)
    return all((one.person_id, one.workflow) in there for one in happened if one.workflow)


def _either(first: threading.Event, second: threading.Event) -> threading.Event:
    """Set as soon as one of them is; asked for often, so no thread is needed to watch them."""

    class Either(threading.Event):
        def is_set(self) -> bool:
            return first.is_set() or second.is_set()

        def wait(self, timeout: float | None = None) -> bool:
            first.wait(timeout)
            return self.is_set()

    return Either()
