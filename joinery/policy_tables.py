"""The tables and keys that a policy file may have, each with its default; ``policy_file`` makes records of them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from joinery.domain.policy import NoApprover, OnRefused, Ring

#: A name that people gave to something: not empty, not padded.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]
#: A mail address, as far as a policy has to know one.
_MAIL = r"[^@\s:]+@[^@\s:]+"
OptionalMail = Annotated[str, StringConstraints(strip_whitespace=True, pattern=rf"^(|{_MAIL})$", max_length=256)]
Approver = Annotated[str, StringConstraints(strip_whitespace=True, pattern=rf"^(manager|owner:{_MAIL})$", max_length=256)]

Workflow = Literal["joiner", "mover", "renamer", "role_change", "leaver"]
#: The workflows that policy may switch.
WORKFLOWS: tuple[Workflow, ...] = ("joiner", "mover", "renamer", "role_change", "leaver")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _as_table(value: Any) -> Any:
    """``"GROUP" = "Role"`` is short for a table with nothing but the role."""
    return {"role": value} if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    """One approver, or none, may stand without brackets."""
    if isinstance(value, str):
        return () if value.strip() == "none" else (value,)
    return value


class Table(BaseModel):
    """A table of the file: a key that it does not know is a finding."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JoinerTable(Table):
    """``[joiner]``"""

    group: Name = "ITSM-NewJoiner"


class WorkflowTable(Table):
    """``[workflows.NAME]``"""

    ring: Ring = Ring.EVERYONE
    pilot_group: Annotated[str, StringConstraints(strip_whitespace=True, max_length=256)] = ""
    departments: tuple[Name, ...] = ()


class RoleTable(Table):
    """``[roles."GROUP"]``"""

    role: Name
    team: Name = "Service Desk"
    approval: Annotated[tuple[Approver, ...], BeforeValidator(_as_list)] = ()
    approvals: Literal["all", "any"] = "all"
    max_days: float | None = Field(default=None, gt=0, le=3_660)
    administrator: bool = False
    on_refused: OnRefused = OnRefused.REPORT


class AgentsTable(Table):
    """``[agents]``"""

    foreign_roles: Literal["report", "remove"] = "report"


class ApprovalsTable(Table):
    """``[approvals]``"""

    fallback: OptionalMail = ""
    away_groups: tuple[Name, ...] = ()
    levels: int = Field(default=5, ge=1, le=50)
    missing: NoApprover = NoApprover.FALLBACK
    disabled: NoApprover = NoApprover.NEXT
    away: NoApprover = NoApprover.NEXT
    guest: NoApprover = NoApprover.NEXT
    themself: NoApprover = NoApprover.FALLBACK
    circle: NoApprover = NoApprover.FALLBACK
    above: NoApprover = NoApprover.FALLBACK
    remind_hours: float = Field(default=8, gt=0, le=8_760)
    escalate_hours: float = Field(default=24, gt=0, le=8_760)
    gives_up_hours: float = Field(default=80, gt=0, le=8_760)
    zone: Name = "UTC"
    days: tuple[Day, ...] = DAYS[:5]
    begins: int = Field(default=9, ge=0, le=23)
    ends: int = Field(default=17, ge=1, le=24)
    holidays: tuple[date, ...] = ()


class MoverTable(Table):
    """``[mover]``"""

    old_access_days: float = Field(default=14, ge=0, le=3_660)


class LeaverDirectoryTable(Table):
    """``[leaver.directory]``"""

    revoke_sessions: bool = False
    remove_from_groups: bool = False
    keep_groups: tuple[Name, ...] = ()


class LeaverTable(Table):
    """``[leaver]``"""

    directory: LeaverDirectoryTable = LeaverDirectoryTable()


class KindTable(Table):
    """``[identity.KIND]``; a list that is left out keeps its default."""

    upn_prefixes: tuple[Name, ...] | None = None
    employee_types: tuple[Name, ...] | None = None
    groups: tuple[Name, ...] | None = None


class IdentityTable(Table):
    """``[identity]``"""

    protected: KindTable = KindTable()
    shared_mailbox: KindTable = KindTable()
    service: KindTable = KindTable()


class TimingTable(Table):
    """``[timing]``"""

    settle_seconds: float = Field(default=60, ge=0, le=86_400)
    second_look_seconds: float = Field(default=60, ge=0, le=86_400)
    flap_window_minutes: float = Field(default=10, ge=0, le=1_440)
    completion_window_hours: float = Field(default=48, ge=0, le=720)


class SiteRuleTable(Table):
    """``[[desk.site_rules]]``"""

    attribute: Literal["department", "office_location", "company_name", "job_title", "employee_type"]
    value: Name
    client: Name
    site: Name


class BreakerTable(Table):
    """``[breaker]``"""

    workflows: tuple[Workflow, ...] = ("leaver",)
    hourly_min: int = Field(default=5, ge=0, le=1_000_000)
    hourly_share: float = Field(default=0.01, ge=0, le=1)
    daily_min: int = Field(default=20, ge=0, le=1_000_000)
    daily_share: float = Field(default=0.03, ge=0, le=1)
    department_share: float = Field(default=0.25, ge=0, le=1)
    wave_min: int = Field(default=50, ge=0, le=1_000_000)
    wave_share: float = Field(default=0.25, ge=0, le=1)
    urgent_groups: tuple[Name, ...] = ()


class TicketTable(Table):
    """``[desk.tickets.KIND]``"""

    ticket_type: Name
    team: Name
    adopt_similar: bool = False


class DeskTable(Table):
    """``[desk]``"""

    default_client: Name = "Contoso"
    default_site: Name = "Head Office"
    site_rules: tuple[SiteRuleTable, ...] = ()
    approval_process: Name = "Named approver"
    awaiting_status: Name = "Awaiting Approval"
    closed_status: Name = "Closed"
    tickets: dict[Literal["onboarding", "offboarding", "move", "role", "alert"], TicketTable] = Field(default_factory=dict)


class PolicyTable(Table):
    """The whole file."""

    joiner: JoinerTable = JoinerTable()
    workflows: dict[Workflow, WorkflowTable] = Field(default_factory=dict)
    roles: dict[Name, Annotated[RoleTable, BeforeValidator(_as_table)]] | None = None
    agents: AgentsTable = AgentsTable()
    approvals: ApprovalsTable = ApprovalsTable()
    mover: MoverTable = MoverTable()
    leaver: LeaverTable = LeaverTable()
    identity: IdentityTable = IdentityTable()
    timing: TimingTable = TimingTable()
    breaker: BreakerTable = BreakerTable()
    desk: DeskTable = DeskTable()
