"""What the organisation wants, as frozen records. ``joinery/policy_file.py`` reads them from TOML."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Ring(StrEnum):
    """How far a workflow is trusted."""

    #: Facts are recorded; no run starts.
    OFF = "off"
    #: Runs are planned and recorded; nothing outside is touched.
    SHADOW = "shadow"
    #: Runs act.
    EVERYONE = "everyone"


@dataclass(frozen=True, kw_only=True, slots=True)
class KindRule:
    """How to recognise one kind of identity. Any match is enough; texts are compared without case."""

    upn_prefixes: tuple[str, ...] = ()
    employee_types: tuple[str, ...] = ()
    #: Display names of groups.
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityPolicy:
    """Which accounts are not people to onboard, in the order in which they are asked."""

    protected: KindRule = KindRule(upn_prefixes=("breakglass",), groups=("ITSM-BreakGlass",))
    shared_mailbox: KindRule = KindRule(upn_prefixes=("shared-", "shared."), employee_types=("Shared Mailbox",))
    service: KindRule = KindRule(upn_prefixes=("svc-", "svc.", "svc_"), employee_types=("Service", "Service Account"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How long evidence has to last."""

    #: A new joiner waits this long, so that a half-made account can be completed.
    settle_time: timedelta = timedelta(seconds=60)
    #: Absence and reversals are believed at the second look, this much later.
    second_look: timedelta = timedelta(seconds=60)
    #: A group change that reverses a decision younger than this needs the second look.
    flap_window: timedelta = timedelta(minutes=10)
    #: An empty field filled this soon after joining completes the joiner; later it is a move.
    completion_window: timedelta = timedelta(hours=48)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkflowPolicy:
    """One workflow's switch."""

    ring: Ring = Ring.EVERYONE


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerPolicy:
    """How many people may leave before a person is asked: the larger of a number and a share of the active people."""

    #: The workflows that take slots.
    workflows: tuple[str, ...] = ("leaver",)
    hourly_min: int = 5
    hourly_share: float = 0.01
    daily_min: int = 20
    daily_share: float = 0.03


@dataclass(frozen=True, kw_only=True, slots=True)
class TicketPolicy:
    """How tickets of one kind are filed. Names, not ids: they are resolved on the desk."""

    ticket_type: str
    team: str
    #: Adopt a ticket that a human or another tool opened for the same person and kind.
    adopt_similar: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteRule:
    """People whose directory field ``attribute`` has this value (without case) belong to this site."""

    attribute: str
    value: str
    client: str
    site: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskPolicy:
    """Where people and tickets go on the desk."""

    #: The explicit fallback: the client and site of everybody whom no rule names.
    default_client: str = "Contoso"
    default_site: str = "Head Office"
    site_rules: tuple[SiteRule, ...] = ()
    tickets: dict[str, TicketPolicy] = field(
        default_factory=lambda: {
            "onboarding": TicketPolicy(ticket_type="Onboarding", team="Service Desk"),
            "offboarding": TicketPolicy(ticket_type="Offboarding", team="Service Desk"),
        }
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Everything that policy says."""

    #: Display name of the group that makes a person a joiner.
    joiner_group: str = "ITSM-NewJoiner"
    #: Group display name -> role name on the desk; recognised and recorded as role changes.
    roles: dict[str, str] = field(
        default_factory=lambda: {
            "ITSM-ServiceDesk": "Service Desk",
            "ITSM-ChangeManagers": "Change Manager",
            "ITSM-Admins": "Administrator",
        }
    )
    identity: IdentityPolicy = IdentityPolicy()
    timing: Timing = Timing()
    breaker: BreakerPolicy = BreakerPolicy()
    workflows: dict[str, WorkflowPolicy] = field(default_factory=dict)
    desk: DeskPolicy = field(default_factory=DeskPolicy)

    def ring_of(self, workflow: str) -> Ring:
        """The ring of a workflow; one that policy does not name is off."""
        named = self.workflows.get(workflow)
        return named.ring if named else Ring.OFF

    @property
    def watched_groups(self) -> tuple[str, ...]:
        """Display names of all groups that any rule mentions, each once, in a stable order."""
        rules = (self.identity.protected, self.identity.shared_mailbox, self.identity.service)
        names = [self.joiner_group, *self.roles, *(name for rule in rules for name in rule.groups)]
        return tuple(dict.fromkeys(names))
