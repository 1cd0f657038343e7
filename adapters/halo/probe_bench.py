"""What the steps of a probe share: the plan, the client with what is known of its Halo so far, and the promise to put things back."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from adapters.halo.agents import Agents
from adapters.halo.approvals import Approvals
from adapters.halo.client import HaloClient
from adapters.halo.names import Names
from adapters.halo.notes import Notes
from adapters.halo.tenant_profile import TenantProfile
from adapters.halo.tickets import Tickets
from adapters.halo.users import Users
from joinery.domain.moments import to_text
from joinery.domain.policy import DeskPolicy
from joinery.engine.ports import Clock
from joinery.errors import JoineryError, OutcomeUnknown, Refused, TryLater

#: Seconds before what could not be put back is tried again, and again; what the desk or our budget asks for counts up to five minutes.
_TRIES = (2.0, 10.0)
_AFTER_MAX = 300.0
#: Seconds after which an effect that did not show is looked for once more, before it counts as a habit that there is none.
LATE = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbePlan:
    """What a probe may touch in a tenant, best a sandbox. Whatever is left empty is not touched, and its step is skipped."""

    #: Where its ticket is filed: client and site, type and team of ``kind``, the process that asks, the statuses.
    desk: DeskPolicy
    #: Which of ``desk.tickets``.
    kind: str = "role"
    #: Stands in the key of the ticket, as JOINERY_DEPLOYMENT does in every other.
    deployment: str = "probe"
    #: JOINERY_HALO_KEY_FIELD.
    key_field: str = "CFjoineryKey"
    #: Address of a test user, who is deactivated and reactivated.
    user: str = field(default="", repr=False)
    #: Address of a test agent, and the display name of a role that it does not have: it is given and taken away.
    agent: str = field(default="", repr=False)
    role: str = ""
    #: Address of a user who may approve, and is asked.
    approver: str = field(default="", repr=False)
    #: Has the approver answer on the ticket with this id: True to approve, False to reject. None: nobody answers, and the codes are not known.
    answer: Callable[[int, bool], None] | None = None
    #: Where the desk posts one change of the ticket; empty: no webhook is registered. Nothing needs to answer there.
    webhook_url: str = field(default="", repr=False)
    #: JOINERY_DESK_WEBHOOK_MEMBERS, in which the ticket's id is looked for.
    webhook_members: tuple[str, ...] = ("object_id", "ticket_id", "id", "ticket.id", "faultid")
    #: How long a new ticket is looked for, and how long a delivery is waited for.
    wait_max: timedelta = timedelta(seconds=60)


class SkippedStep(Exception):
    """The step was not taken; the text says why. ``remedy`` is what would let it be taken."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy


class FailedStep(Exception):
    """The desk answered, and what it did is not what Joinery needs; the text says what was seen."""

    def __init__(self, saw: str, remedy: str) -> None:
        super().__init__(saw)
        self.remedy = remedy


class Bench:
    """One probe under way."""

    def __init__(self, client: HaloClient, plan: ProbePlan, *, clock: Clock, pause: Callable[[float], None]) -> None:
        self.client = client
        self.began_with = client.profile
        self.plan = plan
        self.clock = clock
        self.pause = pause
        digest = hashlib.sha256(f"{plan.deployment} {to_text(clock.now())} {clock.monotonic()}".encode()).digest()
        #: Of the probe's ticket and of everything on it.
        self.key = f"{plan.deployment}-{base64.b32encode(digest[:10]).decode()}"
        self.version = ""
        self.signed_in = False
        #: Titles of what policy names and the desk does not have.
        self.missing: set[str] = set()
        #: The probe's ticket, the status that it began with, and whether one may have been made that nobody saw.
        self.ticket_id: int | None = None
        self.first_status: int | None = None
        self.ticket_lost = False
        self.approver_id: str | None = None
        self.round = ""
        self.search_lag: timedelta | None = None
        #: Our application as the desk names it.
        self.application = ""
        #: Fields of the profile that were seen, whether they changed or not.
        self.measured: set[str] = set()
        #: What could not be put back, for people.
        self.left: list[str] = []

    # --- what the steps need of each other ---

    def must_be_signed_in(self) -> None:
        """SkippedStep where no token was given."""
        if not self.signed_in:
            raise SkippedStep("there is no token: step 2")

    def must_have(self, *titles: str) -> None:
        """SkippedStep where policy names one of these and the desk does not have it."""
        self.must_be_signed_in()
        for title in titles:
            if title in self.missing:
                raise SkippedStep(f"the {title} was not found: step 4")

    def ticket(self) -> int:
        """The probe's ticket. SkippedStep where there is none."""
        self.must_be_signed_in()
        if self.ticket_id is None:
            raise SkippedStep("there is no ticket: step 5")
        return self.ticket_id

    # --- what is known ---

    def learn(self, **habits: Any) -> None:
        """Habits that were seen; from here on the client goes by them. FailedStep where a profile cannot hold one."""
        for one in fields(TenantProfile):
            value, rule = habits.get(one.name), one.metadata["rule"]
            if one.name in habits and not rule.fits(list(value) if isinstance(value, tuple) else value):
                raise FailedStep(f"what the desk has for {one.metadata['key']} is not {rule.words}", "Give it another name there.")
        self.measured |= habits.keys()
        self.client = self.client.with_profile(replace(self.client.profile, **habits))

    def taking(self, **habits: Any) -> HaloClient:
        """The client as if its Halo had these habits."""
        return self.client.with_profile(replace(self.client.profile, **habits)) if habits else self.client

    # --- the adapter's own nouns ---

    @cached_property
    def names(self) -> Names:
        """Name -> id, kept for the whole probe."""
        return Names(self.client)

    def users(self) -> Users:
        """Users, by what is known so far; nothing is remembered from step to step."""
        return Users(self.client, self.names, self.plan.desk)

    def agents(self) -> Agents:
        """Agents, likewise."""
        return Agents(self.client, self.names, self.users())

    def notes(self, **habits: Any) -> Notes:
        """Notes, as if the desk had these habits."""
        return Notes(self.taking(**habits), self.names)

    def tickets(self, **habits: Any) -> Tickets:
        """Tickets, as if the desk had these habits."""
        plan, client = self.plan, self.taking(**habits)
        return Tickets(client, self.names, self.users(), plan.desk, deployment=plan.deployment, key_field=plan.key_field)

    def approvals(self, **habits: Any) -> Approvals:
        """Approvals and how tickets end, as if the desk had these habits."""
        return Approvals(self.taking(**habits), self.names, self.notes(**habits), self.tickets(**habits), self.plan.desk)

    # --- putting back ---

    @contextmanager
    def putting_back(self, what: str, how: Callable[[], None]) -> Iterator[None]:
        """Whatever happens inside, even the end of the process by hand: ``how`` makes it as it was. It may be called again."""
        try:
            yield
        finally:
            self._put_back(what, how)

    def _put_back(self, what: str, how: Callable[[], None]) -> None:
        for wait in (*_TRIES, None):
            try:
                return how()
            except (TryLater, OutcomeUnknown) as error:
                if wait is None:
                    self.left.append(f"{what}: {error}")
                    return None
                asked = error.after if isinstance(error, TryLater) else None
                try:
                    self.pause(max(wait, min(asked.total_seconds() if asked else 0.0, _AFTER_MAX)))
                except BaseException:
                    self.left.append(f"{what}: {error}")
                    raise
            except JoineryError as error:
                self.left.append(f"{what}: {error}")
                return None
            except BaseException as error:
                # A second Ctrl-C, or a defect: nobody knows how far it came.
                self.left.append(f"{what}: broken off while it was put back ({type(error).__name__}): look at it by hand")
                raise
        return None

    def waits(self) -> Iterator[float]:
        """Pauses that grow from a second until ``wait_max`` is used up; each gives the seconds since the first look, which comes at once."""
        begun, pause = self.clock.monotonic(), 1.0
        while True:
            since = self.clock.monotonic() - begun
            yield since
            rest = self.plan.wait_max.total_seconds() - (self.clock.monotonic() - begun)
            if rest <= 0:
                return
            self.pause(min(pause, rest))
            pause = min(pause * 2, 15.0)


def one_of(rows: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """The only one of them. Raises Refused where there is none or several."""
    if len(rows) != 1:
        ids = ", ".join(str(row.get("id")) for row in rows)
        raise Refused(f"{len(rows) or 'no'} {what}s have the address that was given{f': {ids}' if ids else ''}")
    return rows[0]
