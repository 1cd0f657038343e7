"""What one Halo does differently, found out by trying: the 15 steps of Halo reference 13, and the profile that comes of them.

A probe makes one ticket, which it closes, and touches one test user, one test agent and one webhook, which are as they were in the end.
It says ids and what the desk calls its own lists; never who anybody is, an address or a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Literal

from adapters.halo import probe_access, probe_approvals, probe_people, probe_tickets, probe_webhook
from adapters.halo.client import HaloClient
from adapters.halo.probe_bench import Bench, FailedStep, ProbePlan, SkippedStep
from adapters.halo.tenant_profile import TenantProfile
from joinery.engine.ports import Clock
from joinery.errors import JoineryError, OutcomeUnknown, TryLater

__all__ = ["ProbePlan", "ProbeResult", "ProbeStep", "run_probe"]

State = Literal["well", "failed", "skipped"]

#: A search may be slower tomorrow: so many times what was seen, and at least the usual so many seconds: one look is no reason to wait less.
_LAG_TIMES, _LAG_MIN = 3, 60


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeStep:
    """What came of one step."""

    number: int
    name: str
    state: State
    #: What the desk did, in ids and members.
    saw: str
    #: What to do about it; empty where it went well.
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """What came of a probe."""

    steps: tuple[ProbeStep, ...]
    #: The profile that the client had, with what was measured.
    profile: TenantProfile
    #: Of Halo, as ``/InstanceInfo`` says it; empty where it did not.
    version: str
    #: Fields of the profile that were measured, whether they changed or not.
    measured: frozenset[str]
    #: What could not be put back, a sentence each, with what to do by hand.
    left: tuple[str, ...]
    #: How long a new ticket was not found; None where it was not measured.
    search_lag: timedelta | None
    #: When it began.
    at: datetime

    @property
    def suggested_lag(self) -> timedelta | None:
        """For JOINERY_SEARCH_LAG_SECONDS: more than was seen, because one look is no proof."""
        if self.search_lag is None:
            return None
        return timedelta(seconds=max(_LAG_MIN, _LAG_TIMES * ceil(self.search_lag.total_seconds())))

    @property
    def about_lag(self) -> str:
        """Both in a sentence; empty where it was not measured."""
        if self.search_lag is None or self.suggested_lag is None:
            return ""
        seen, enough = self.search_lag.total_seconds(), self.suggested_lag.total_seconds()
        return f"A new ticket was found after {seen:.0f} s; JOINERY_SEARCH_LAG_SECONDS={enough:.0f} leaves room."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    number: int
    name: str
    #: Takes it, and says what it saw. Raises SkippedStep, FailedStep or a JoineryError.
    take: Callable[[Bench], str]
    #: What to do where the desk refuses.
    remedy: str


_RIGHT = "Give the API application the permission for it, or the agent that it logs in as the right."
_STEPS = (
    _Step(number=1, name="reach the desk", take=probe_access.reach, remedy="Check JOINERY_HALO_URL."),
    _Step(
        number=2,
        name="sign in",
        take=probe_access.sign_in,
        remedy="Check JOINERY_HALO_AUTH_URL, JOINERY_HALO_TENANT, the client id, its secret and JOINERY_HALO_SCOPE.",
    ),
    _Step(number=3, name="see who we are", take=probe_access.who_we_are, remedy="Let the application log in as an agent."),
    _Step(number=4, name="resolve names", take=probe_access.resolve_names, remedy=_RIGHT),
    _Step(number=5, name="open a ticket", take=probe_tickets.open_ticket, remedy=_RIGHT),
    _Step(number=6, name="find the ticket", take=probe_tickets.find_ticket, remedy=_RIGHT),
    _Step(number=7, name="leave a note", take=probe_tickets.leave_note, remedy=f"{_RIGHT} Or name another outcome in [notes] outcomes."),
    _Step(
        number=8,
        name="start an approval",
        take=probe_approvals.start_approval,
        remedy="The approver has to be one active user; the process has to take one whom its start names.",
    ),
    _Step(number=9, name="answer the approval", take=probe_approvals.answer, remedy="The approver needs the right to approve."),
    _Step(
        number=10,
        name="catch a webhook",
        take=probe_webhook.catch_delivery,
        remedy="Give the application the permission to administer webhooks for as long as the probe runs.",
    ),
    _Step(
        number=11,
        name="give and take a role",
        take=probe_people.give_and_take_role,
        remedy="The application's agent needs the right to change agents; the address has to be one agent's.",
    ),
    _Step(
        number=12,
        name="deactivate a user and back",
        take=probe_people.deactivate_and_back,
        remedy="The application needs the right to change users; the address has to be one user's.",
    ),
    _Step(number=13, name="read the history", take=probe_tickets.read_history, remedy="Nothing depends on it: reading it takes a right."),
    _Step(number=14, name="close the ticket", take=probe_tickets.close_by_each_way, remedy="Look at which actions its workflow permits."),
    _Step(number=15, name="compare", take=probe_access.compare, remedy=""),
)


def run_probe(
    client: HaloClient, plan: ProbePlan, *, clock: Clock, pause: Callable[[float], None], tell: Callable[[ProbeStep], None] | None = None
) -> ProbeResult:
    """Take every step in order; a step is skipped only where it needs what an earlier one did not make.

    About 80 calls, a third of them writes. Whatever was made is put back, also where a step breaks off (then the exception goes on, with a
    note on what is left). ``pause`` sleeps for so many seconds; ``tell`` hears of each step when it is over.
    """
    bench, begun = Bench(client, plan, clock=clock, pause=pause), clock.now()
    steps: list[ProbeStep] = []
    try:
        with bench.putting_back("the ticket", lambda: probe_tickets.end_ticket(bench)):
            for step in _STEPS:
                steps.append(_taken(step, bench))
                if tell is not None:
                    tell(steps[-1])
    except BaseException as error:
        for one in bench.left:
            error.add_note(f"Not put back: {one}")
        raise
    return ProbeResult(
        steps=tuple(steps),
        profile=bench.client.profile,
        version=bench.version,
        measured=frozenset(bench.measured),
        left=tuple(bench.left),
        search_lag=bench.search_lag,
        at=begun,
    )


def _taken(step: _Step, bench: Bench) -> ProbeStep:
    left_before = len(bench.left)
    remedy = ""
    try:
        state: State = "well"
        saw = step.take(bench)
    except SkippedStep as skipped:
        state, saw, remedy = "skipped", str(skipped), skipped.remedy
    except FailedStep as failed:
        state, saw, remedy = "failed", str(failed), failed.remedy
    except (TryLater, OutcomeUnknown) as error:
        state, saw, remedy = "failed", str(error), "Run the probe again when the desk answers."
    except JoineryError as error:
        state, saw, remedy = "failed", str(error), step.remedy
    if left := bench.left[left_before:]:
        state, saw, remedy = "failed", f"{saw}; not put back: {'; '.join(left)}", remedy or "Put it right by hand."
    return ProbeStep(number=step.number, name=step.name, state=state, saw=saw, remedy=remedy)
