"""``joinery doctor --probe-halo``: finds out the habits of one Halo by trying, and writes them down as a profile."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from joinery.cli.asking import agreed, can_ask
from joinery.cli.doctor import hushed, mark, wrapped
from joinery.cli.exits import NOT_WELL, WELL, finding
from joinery.cli.options import settings_from
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.doctor.checkup import State
from joinery.errors import ConfigurationError

if TYPE_CHECKING:
    from adapters.halo.probe import ProbePlan, ProbeResult, ProbeStep
    from joinery.settings import Settings

#: Columns in front of what a step saw.
_INDENT = 34


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeOrder:
    """Whom and what a probe may touch, by address and name; what is empty is left alone, and its steps are skipped."""

    profile: str = ""
    user: str = ""
    agent: str = ""
    role: str = ""
    approver: str = ""
    webhook: str = ""


def run_halo_probe(order: ProbeOrder, *, data: str | None, policy: str | None, yes: bool, as_json: bool) -> int:
    """Ask first, probe, say what came of it; NOT_WELL where a step failed or something was left. Raises ConfigurationError."""
    from adapters.halo.probe import run_probe
    from adapters.halo.probe_file import write_profile
    from adapters.system import SystemClock
    from joinery.addresses import with_addresses
    from wiring import halo_of

    settings: Settings = with_addresses(settings_from(data=data, policy=policy))
    _check(settings, order, yes=yes, as_json=as_json)
    plan = _plan(settings, order, in_person=can_ask() and not as_json)
    if not yes:
        for line in _told(settings, order):
            say(line)
        if not agreed("Probe this Halo now?"):
            say("Nothing was touched.")
            return WELL
    clock = SystemClock()
    with hushed(), closing(halo_of(settings, clock, None)) as client:
        try:
            result = run_probe(client, plan, clock=clock, pause=time.sleep, tell=None if as_json else _say_step)
        except KeyboardInterrupt as stopped:
            # What was made has been put back by now; what could not be stands in the notes.
            left = getattr(stopped, "__notes__", [])
            for line in ("stopped" if left else "stopped; what was made was put back", *left):
                print(f"joinery: {line}", file=sys.stderr, flush=True)  # noqa: T201 - a command speaks to its user
            return NOT_WELL
    if as_json:
        say(json.dumps(_document(result), indent=2, ensure_ascii=False))
    else:
        for line in _ending(result):
            say(line)
    if order.profile and not result.measured:
        if not as_json:
            say("Nothing was measured, so no profile is written.")
    elif order.profile:
        write_profile(Path(order.profile), result)
        if not as_json:
            say(f"The profile is in {order.profile}: name it in JOINERY_HALO_PROFILE.")
    return NOT_WELL if result.left or any(step.state == "failed" for step in result.steps) else WELL


def _check(settings: Settings, order: ProbeOrder, *, yes: bool, as_json: bool) -> None:
    """Whatever would be found out too late otherwise. Raises ConfigurationError with every finding."""
    found = [one for one in settings.missing() if one.place.startswith("JOINERY_HALO_")]
    if not settings.halo_url:
        found += finding("JOINERY_HALO_URL", "is not set", "Use that of a sandbox, or --data of a `joinery up` that runs.").findings
    if order.profile and Path(order.profile).exists():
        found += finding("--profile", f"{order.profile} is there already", "Name another file.").findings
    elif order.profile and not Path(order.profile).parent.is_dir():
        found += finding("--profile", f"{order.profile} is in no folder that exists", "Make the folder first.").findings
    if as_json and not yes:
        found += finding("--json", "leaves no room for a question", "Add --yes: the probe writes into this Halo.").findings
    if bool(order.agent) != bool(order.role):
        found += finding("--probe-agent", "and --probe-role belong together", "Name an agent, and a role that it does not have.").findings
    if found:
        raise ConfigurationError(found)


def _plan(settings: Settings, order: ProbeOrder, *, in_person: bool) -> ProbePlan:
    from adapters.halo.probe import ProbePlan
    from wiring import policy_of

    return ProbePlan(
        desk=policy_of(settings).desk,
        key_field=settings.halo_key_field,
        user=order.user,
        agent=order.agent,
        role=order.role,
        approver=order.approver,
        answer=_by_hand(order.approver) if in_person and order.approver else None,
        webhook_url=order.webhook,
        webhook_members=settings.desk_webhook_paths,
    )


def _by_hand(approver: str) -> Callable[[int, bool], None]:
    """Asks whoever sits here to have the approval answered; nobody else can."""

    def answer(ticket_id: int, approve: bool) -> None:
        verb = "approve" if approve else "reject"
        say(f"Ticket {ticket_id}: let {approver} {verb} it in Halo now, then press Enter.")
        sys.stdin.readline()

    return answer


def _told(settings: Settings, order: ProbeOrder) -> Iterator[str]:
    """What will be touched."""
    yield f"This writes into {settings.halo_url}, best a sandbox. About 80 calls, a minute or two:"
    yield "  one ticket is opened, changed and closed; it stays there, closed"
    if order.approver:
        yield f"  {order.approver} is asked to approve it"
    if order.user:
        yield f"  the user {order.user} is set inactive and active again"
    if order.agent:
        yield f"  the agent {order.agent} is given the role {order.role}, and loses it again"
    if order.webhook:
        yield "  a webhook is registered and removed"
    yield "Everything but the ticket is put back. docs/edges/halo.md tells of each step."


def _say_step(step: ProbeStep) -> None:
    """A step as soon as it is over: a probe takes a minute or two."""
    first, *rest = wrapped(step.saw if step.state == "well" else f"{step.state}: {step.saw}", _INDENT)
    say(f"{mark(State(step.state))} {step.number:>2} {step.name:<{_INDENT - 6}} {first}")
    for line in (*rest, *(wrapped(step.remedy, _INDENT, "  → ", "    ") if step.remedy else ())):
        say(" " * _INDENT + line)


def _ending(result: ProbeResult) -> Iterator[str]:
    """What stands behind the steps."""
    yield ""
    for left in result.left:
        yield f"Not put back: {left}"
    if result.about_lag:
        yield result.about_lag
    well = sum(step.state == "well" for step in result.steps)
    yield f"{well} of {counted(len(result.steps), 'step')} well; {counted(len(result.measured), 'habit')} measured."


def _document(result: ProbeResult) -> dict[str, object]:
    return {
        "version": result.version,
        "steps": [
            {"number": one.number, "name": one.name, "state": one.state, "saw": one.saw, "remedy": one.remedy} for one in result.steps
        ],
        "measured": sorted(result.measured),
        "not_put_back": list(result.left),
        "search_lag_seconds": result.search_lag.total_seconds() if result.search_lag is not None else None,
    }
