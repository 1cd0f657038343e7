"""Shows a day: the play on one thread, the timeline on this one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import httpx

from joinery.cli.outcome import Outcome, outcome, table
from joinery.cli.screen import Screen, open_screen
from joinery.cli.timeline import Timeline
from joinery.cli.words import counted
from joinery.domain.policy import Ring
from joinery.engine.journal import APPROVAL, StepState
from joinery.engine.pauses import ALL
from joinery.errors import TryLater

if TYPE_CHECKING:
    from joinery.engine.journal import Head
    from joinery.engine.readside import RunView
    from simulators.play import Expected, Play
    from wiring import Local

#: Seconds between acts in `joinery up`: time to read.
PACE = 6.0
#: Seconds between two looks at the audit.
_POLL = 0.25
#: Nothing may move for this long before the company counts as taken in, or an act as over.
_STILL = 0.6
#: Longest wait for that.
_STILL_MAX = 120.0


def play_a_day(local: Local, known: frozenset[str], stop: threading.Event) -> None:
    """Take the company in, play the day, and go on showing what happens until ``stop``; ``known`` are the partitions of before."""
    screen = open_screen()
    timeline = Timeline(local.parts.app.reads)
    try:
        take_in(local, known, timeline, screen, stop)
        screen.say("ready")
        try:
            play = play_of(local)
        except (httpx.HTTPError, ValueError, KeyError):
            screen.say("The Graph there is no pretend one that a day could be played in; showing what happens.")
            follow(timeline, screen, local, until=stop)
            return
        if not play.acts:
            screen.say("The pretend Graph holds no company that a day could be played in; showing what happens.")
        else:
            screen.heading(f"{play.title} at Contoso")
        actor = Actor(play, screen, stop, pause=lambda _: stop.wait(PACE))
        actor.start()
        follow(timeline, screen, local, until=stop, meanwhile=lambda: _announce_end(actor, local, screen))
    finally:
        screen.close()


def play_of(local: Local) -> Play:
    """A day at the stand-ins, with the groups that policy names. Raises httpx.HTTPError, ValueError or KeyError where there are none."""
    from simulators.play import Play

    settings, policy = local.parts.settings, local.parts.policy
    asked = [(group, rule.role) for group, rule in policy.roles.items() if rule.approval == ("manager",) and not rule.administrator]
    group, role = asked[0] if asked and policy.workflows["role_change"].ring is Ring.EVERYONE else ("", "")
    return Play(settings.graph_url, settings.halo_url, joiner_group=policy.joiner_group, role_group=group, role=role)


def take_in(local: Local, before: frozenset[str], timeline: Timeline, screen: Screen, stop: threading.Event) -> None:
    """Wait until everybody who is there has been looked at; say how many, and do not show each of them."""
    wait_until_still(local, stop, settled=False)
    people = list(local.parts.app.reads.people())
    new = [known for known in people if known.partition not in before]
    timeline.skip()
    if new:
        ours = sum(1 for known in new if known.head.identity and known.head.identity.may_be_acted_upon)
        screen.say(f"Taken in as they are: {ours} people; left alone as nobody's or protected: {counted(len(new) - ours, 'account')}.")
    elif people:
        runs = local.parts.app.health()[1].get("open_runs", 0)
        still = f"; {counted(runs, 'run')} of before still open" if runs else ""
        screen.say(f"Going on with what is known already: {counted(len(people), 'account')}{still}.")


class Actor:
    """Plays on a thread of its own, so that the timeline can show what follows."""

    def __init__(self, play: Play, screen: Screen, stop: threading.Event, *, pause: Callable[[list[Expected]], bool]) -> None:
        self._play = play
        self._screen = screen
        self._stop = stop
        self._pause = pause
        self.expected: list[Expected] = []
        #: Why the play broke off; empty where it did not.
        self.trouble = ""
        self.over = threading.Event()
        self.announced = not play.acts

    def start(self) -> None:
        """Begin; ``over`` is set at the end."""
        threading.Thread(target=self._run, name="play", daemon=True).start()

    def _run(self) -> None:
        try:
            self.expected = self._play.perform(self._screen.heading, self._pause)
        except (httpx.HTTPError, LookupError) as error:
            self.trouble = f"{type(error).__name__}: {error}"
            if not self._stop.is_set():
                # Otherwise the stand-ins stopped under it, as they were told to.
                self._screen.say(f"The play broke off: {self.trouble}")
        finally:
            self._play.close()
            self.over.set()


def follow(
    timeline: Timeline, screen: Screen, local: Local, *, until: threading.Event, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Show what happens until the event is set, and what is left then."""
    paused: dict[str, str] = {}
    while not until.is_set():
        began = time.monotonic()
        # The file is locked, or a stand-in in another process does not answer: look again.
        with contextlib.suppress(TryLater, httpx.HTTPError):
            paused = _show(timeline, screen, local, paused)
            meanwhile()
        # A folder with many people is read less often, so that watching costs little.
        until.wait(max(_POLL, 10 * (time.monotonic() - began)))
    with contextlib.suppress(TryLater):
        _show(timeline, screen, local, paused)


def _show(timeline: Timeline, screen: Screen, local: Local, paused: dict[str, str]) -> dict[str, str]:
    """What is new; ``paused`` is what was paused when this was last called, and the answer what is paused now."""
    for told in timeline.news():
        screen.line(told)
    _, health = local.parts.app.health()
    now: dict[str, str] = health.get("paused", paused)
    if now != paused:
        for line in pauses_told(now):
            screen.say(line)
    state = " · paused" if now else ""
    screen.status(f"[dim]{counted(health.get('open_runs', 0), 'open run')} · {health.get('parked', 0)} parked{state} · Ctrl-C stops[/dim]")
    return dict(now)


def pauses_told(paused: Mapping[str, str]) -> list[str]:
    """What is paused, why, and how to end it; or that nothing is any more."""
    return [
        f"Paused: {'all workflows' if name == ALL else name} ({reason}). `joinery resume{'' if name == ALL else f' {name}'}` ends it."
        for name, reason in sorted(paused.items())
    ] or ["Nothing is paused any more."]


def _announce_end(actor: Actor, local: Local, screen: Screen) -> None:
    if actor.over.is_set() and not actor.announced and not actor.trouble and is_still(local, answered=answered(actor.expected)):
        actor.announced = True
        screen.heading("That was the day: what was done, from the audit, beside what the desk holds")
        found = outcome_of(local, actor.expected)
        for line in table(found):
            screen.say(line)
        where = "" if str(local.parts.settings.data) == ".joinery" else f" --data {local.parts.settings.data}"
        for line in held_told(found, where):
            screen.say(line)
        screen.heading("Joinery keeps running, and shows whatever you change")
        person = actor.expected[0].name if actor.expected else ""
        if person:
            screen.say(f'Ask for the evidence in another terminal:  joinery audit show --person "{person}"{where}')


def outcome_of(local: Local, expected: list[Expected]) -> Outcome:
    """What became of the day: our audit beside what the pretend desk holds."""
    from simulators.driver import HaloDriver

    halo = HaloDriver(local.parts.settings.halo_url)
    try:
        return outcome(local.parts.app.reads, halo, expected, local.parts.app.held.listed())
    finally:
        halo.close()


def held_told(found: Outcome, where: str = "") -> list[str]:
    """What is held, and which commands decide about it; ``where`` is the option that names the data folder."""
    if not found.held:
        return []
    held = f"The breaker holds {counted(found.held, 'change')}: nothing was done about {'it' if found.held == 1 else 'them'}. A person decides:"
    return [
        "",
        held,
        f"  joinery held list{where}",
        f'  joinery held release --all --reason "HR confirms"{where}',
        f'  joinery held discard --all --reason "the list was wrong"{where}',
    ]


# --- when is it still? ---


def answered(expected: Collection[Expected]) -> frozenset[str]:
    """Ids of people of whom nothing waits for an answer any more."""
    return frozenset(one.person_id for one in expected if one.workflow and not one.asks)


def is_still(local: Local, *, answered: Collection[str] = ()) -> bool:
    """No message is being handled, nobody is being looked at again soon, and no run is open but those that wait for somebody's answer.

    ``answered`` are the ids of people whose runs have their answer already, whether or not we have heard of it.
    """
    if local.parts.app.queue.waiting():
        return False
    reads = local.parts.app.reads
    if any(_busy(known.head) for known in reads.people()):
        return False
    if not local.parts.app.health()[1].get("open_runs"):
        return True
    return all(waits_for_answer(view) and _id_of(view) not in answered for view in reads.runs() if view.run.closed_at is None)


def waits_for_answer(view: RunView) -> bool:
    """Somebody was asked on the desk, and the run can do nothing before they answer."""
    asking = [step for step in view.steps if step.asks == APPROVAL and step.state is StepState.RETRY]
    return view.run.due is not None and any((step.result or {}).get("number") for step in asking)


def _id_of(view: RunView) -> str:
    return view.partition.rpartition(":")[2]


def _busy(head: Head) -> bool:
    return head.look_again_at is not None


def wait_until_still(
    local: Local, stop: threading.Event, *, settled: bool = True, answered: Collection[str] = (), at_most: float = _STILL_MAX
) -> bool:
    """True once it was still for a while; without ``settled`` open runs and second looks of an earlier day do not count."""
    since: float | None = None
    ends_at = time.monotonic() + at_most
    while not stop.is_set() and time.monotonic() < ends_at:
        still = is_still(local, answered=answered) if settled else not local.parts.app.queue.waiting()
        since = (since or time.monotonic()) if still else None
        if since is not None and time.monotonic() - since >= _STILL:
            return True
        stop.wait(0.05)
    return False
