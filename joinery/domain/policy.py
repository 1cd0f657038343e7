"""What the organisation wants, as frozen records. ``joinery/policy_file.py`` reads them from TOML."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Ring(StrEnum):
    """How far a workflow is trusted, from least to most."""

    #: Facts are recorded; no run starts.
    OFF = "off"
    #: Runs are planned and recorded; nothing outside is touched.
    SHADOW = "shadow"
    #: Runs act for members of the pilot group; everybody else's are planned as in shadow.
    PILOT = "pilot"
    #: Runs act for the departments that policy names; everybody else's are planned as in shadow.
    DEPARTMENTS = "departments"
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
    #: Display name of the group for the ring ``pilot``.
    pilot_group: str = ""
    #: For the ring ``departments``; compared without case.
    departments: tuple[str, ...] = ()


class OnRefused(StrEnum):
    """What becomes of the membership of a group whose role was refused."""

    #: Nothing is said and nothing done.
    LEAVE = "leave"
    #: A sentence for the help desk on the ticket: whether and where the membership can be ended.
    REPORT = "report"
    #: The membership is ended, where the group can be edited; otherwise reported.
    REMOVE = "remove"


@dataclass(frozen=True, kw_only=True, slots=True)
class RolePolicy:
    """What membership of one group stands for."""

    #: Display name of the role on the desk.
    role: str
    #: Display name of the team a new agent works in.
    team: str = "Service Desk"
    #: Who has to approve: ``manager``, or ``owner:<mail>``; empty where nobody has to.
    approval: tuple[str, ...] = ()
    #: True: one approval is enough; False: all, in order.
    any_approval: bool = False
    #: The grant ends after so long; None: it lasts as long as the membership.
    lasts: timedelta | None = None
    #: May change the desk itself: not without approval.
    administrator: bool = False
    on_refused: OnRefused = OnRefused.REPORT


class NoApprover(StrEnum):
    """What to do where somebody cannot be asked."""

    #: Ask the next manager up.
    NEXT = "next"
    #: Ask the owner of the role.
    OWNER = "owner"
    #: Ask whom the policy names as fallback.
    FALLBACK = "fallback"


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkingTime:
    """When people can be expected to answer."""

    #: IANA name.
    zone: str = "UTC"
    #: Monday is 0.
    days: tuple[int, ...] = (0, 1, 2, 3, 4)
    #: Hours of the day in that zone.
    begins: int = 9
    ends: int = 17
    #: ISO dates on which nobody works.
    holidays: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalPolicy:
    """Whom to ask, and for how long. No rule leads from "nobody can be asked" to "approved"."""

    #: Mail of whoever decides where nobody else can be asked.
    fallback: str = ""
    #: Display names of groups whose members are not asked: on leave.
    away_groups: tuple[str, ...] = ()
    #: How many managers up the walk goes at most.
    levels: int = 5
    missing: NoApprover = NoApprover.FALLBACK
    disabled: NoApprover = NoApprover.NEXT
    away: NoApprover = NoApprover.NEXT
    guest: NoApprover = NoApprover.NEXT
    #: The manager is the person themself.
    themself: NoApprover = NoApprover.FALLBACK
    circle: NoApprover = NoApprover.FALLBACK
    #: Above the level.
    above: NoApprover = NoApprover.FALLBACK
    #: Working time until each reminder, until the next manager up is asked too, and until nobody is asked any more.
    remind_after: timedelta = timedelta(hours=8)
    escalate_after: timedelta = timedelta(hours=24)
    gives_up_after: timedelta = timedelta(hours=80)
    working: WorkingTime = WorkingTime()


@dataclass(frozen=True, kw_only=True, slots=True)
class MoverPolicy:
    """What a move means for access that came with the old post."""

    #: Roles that a manager had approved before the move end so long after it, unless the new manager approves them.
    old_access_lasts: timedelta = timedelta(days=14)


@dataclass(frozen=True, kw_only=True, slots=True)
class CutOffPolicy:
    """What of somebody who leaves is cut off in the directory itself: nothing, unless policy says so."""

    #: Everything that they are signed in with ends.
    revoke_sessions: bool = False
    #: They are taken out of every group that lists them and can be edited.
    remove_from_groups: bool = False
    #: Display names of groups that nobody is taken out of.
    keep_groups: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether the directory is written at all."""
        return self.revoke_sessions or self.remove_from_groups


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerPolicy:
    """How many runs may begin before a person is asked: the larger of a number and a share of the active people."""

    #: The workflows that take slots.
    workflows: tuple[str, ...] = ("leaver",)
    hourly_min: int = 5
    hourly_share: float = 0.01
    daily_min: int = 20
    daily_share: float = 0.03
    #: Of the active people of one department, where that is more than the number.
    department_share: float = 0.25
    #: So large a share of the active people within an hour is no ordinary day, whichever workflow it is: a source that went empty,
    #: or everybody changed at once. The larger of it and the number is the limit of workflows that take no slots.
    wave_min: int = 50
    wave_share: float = 0.25
    #: Display names of groups whose members pass, and count.
    urgent_groups: tuple[str, ...] = ()


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
    #: The process that asks whoever its start names, in one step.
    approval_process: str = "Named approver"
    #: The status in which that process puts a ticket until it is answered, and the one that closes a ticket.
    awaiting_status: str = "Awaiting Approval"
    closed_status: str = "Closed"
    tickets: dict[str, TicketPolicy] = field(
        default_factory=lambda: {
            "onboarding": TicketPolicy(ticket_type="Onboarding", team="Service Desk"),
            "offboarding": TicketPolicy(ticket_type="Offboarding", team="Service Desk"),
            "move": TicketPolicy(ticket_type="Mover", team="Service Desk"),
            "role": TicketPolicy(ticket_type="Change Request", team="Identity"),
        }
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Everything that policy says."""

    #: Display name of the group that makes a person a joiner.
    joiner_group: str = "ITSM-NewJoiner"
    #: Group display name -> what membership stands for.
    roles: dict[str, RolePolicy] = field(
        default_factory=lambda: {
            "ITSM-ServiceDesk": RolePolicy(role="Service Desk"),
            "ITSM-ChangeManagers": RolePolicy(role="Change Manager", approval=("manager",)),
            "ITSM-Admins": RolePolicy(role="Administrator", approval=("manager",), administrator=True),
        }
    )
    #: Roles that nobody gave through a group are taken away, not only reported.
    roles_alone: bool = False
    approvals: ApprovalPolicy = ApprovalPolicy()
    mover: MoverPolicy = MoverPolicy()
    cut_off: CutOffPolicy = CutOffPolicy()
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
        pilots = [workflow.pilot_group for workflow in self.workflows.values() if workflow.ring is Ring.PILOT and workflow.pilot_group]
        of_rules = (name for rule in rules for name in rule.groups)
        names = [self.joiner_group, *self.roles, *of_rules, *self.approvals.away_groups, *pilots, *self.breaker.urgent_groups]
        return tuple(dict.fromkeys(names))
