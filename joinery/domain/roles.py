"""Desired state: which roles on the desk a person is to have, from the watched groups they are in and what was decided about them.

A **grant** is one membership of one group, from the moment it was decided on to its end, with what became of it. The next membership
of the same group is another grant, so what was refused is refused for one membership and asked again for the next. A role is wanted
while at least one grant gives it. A membership that began before we decided on anybody's roles has no grant: its role is wanted where
nobody has to approve it, and otherwise left as it is on the desk, for there is no evidence either way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from joinery.domain.approvers import Approval
from joinery.domain.changes import Reading, Stage
from joinery.domain.events import Returned, RolesChanged
from joinery.domain.policy import Policy, RolePolicy


class GrantState(StrEnum):
    """What became of a membership."""

    #: It waits for an approval; nothing is given.
    ASKED = "asked"
    GRANTED = "granted"
    #: Refused, or nobody answered in time, or nobody could be asked: remembered until the membership ends.
    REFUSED = "refused"
    #: The membership is over, or the date is past until which it was granted.
    ENDED = "ended"
    #: It began while role changes were not acted upon: as one that was there before us. Or somebody said that nothing starts.
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """One membership of one group and its evidence: ids only."""

    #: Which membership of this group it is in this partition, counted from 1.
    nth: int
    state: GrantState
    #: When it was decided on.
    since: datetime
    #: Display name of the role that the group stood for then; empty in records from before it was kept, and where nothing was decided.
    role: str = ""
    #: When it ends by itself; None: with the membership.
    until: datetime | None = None
    #: Where it was asked; empty where nobody had to be.
    ticket_id: str = ""
    #: Desk id of who decided, and their id in the directory where it is known.
    by: str = ""
    who: str = ""
    #: How it was decided: ``no approval needed``, ``DROPPED``, or as the approval tells.
    how: str = ""
    #: ISO 8601, UTC.
    at: str = ""


#: How it came that a membership is undecided about which somebody said that nothing starts: its role is left as it is, whoever has to approve it.
DROPPED = "dropped"

#: How every matter of ours begins.
_MATTER = "role of "


class Removal(StrEnum):
    """What came of a membership that was to end, or why it is not ours to end."""

    REMOVED = "removed"
    #: It could be ended by whoever may edit the group; policy says to report it.
    EDITABLE = "editable"
    #: A rule decides who is in it.
    DYNAMIC = "dynamic"
    #: Mastered on premises.
    SYNCED = "synced"
    ROLE_ASSIGNABLE = "role-assignable"
    #: A distribution list.
    MAIL_ENABLED = "mail-enabled"
    #: Still a member, through another group.
    NESTED = "nested"
    #: There is no such group any more.
    GONE = "gone"
    #: The directory said no, or said nothing for days.
    REFUSED = "refused"


#: The matter of an order for the person's roles as a whole: it always asks for what is wanted at the moment of the call.
DESIRED = "desired roles"


def matter(group: str, nth: int) -> str:
    """What everything done about one membership is about, whichever run does it: ``role of ITSM-Admins#1``."""
    return f"{_MATTER}{group}#{nth}"


def group_of(about: str) -> tuple[str, int] | None:
    """Group and number of the membership that a matter is about; None where it is about something else."""
    group, _, nth = about.removeprefix(_MATTER).rpartition("#")
    return (group, int(nth)) if about.startswith(_MATTER) and nth.isdecimal() else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Membership:
    """A membership with what policy says about its role."""

    group: str
    nth: int
    role: RolePolicy

    @property
    def matter(self) -> str:
        """What everything done about it is about."""
        return matter(self.group, self.nth)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What an agent's roles are to be."""

    #: Display names of roles, sorted.
    roles: tuple[str, ...] = ()
    #: The allow-list: the roles that we give and take; what is in neither list is nobody's business of ours.
    ours: tuple[str, ...] = ()
    #: Team of a new agent: of the first group in the order of policy that gives a role; empty where none does.
    team: str = ""
    #: What waits for an approval, in the order of policy.
    asked: tuple[Membership, ...] = ()
    #: Memberships that were decided on and give their role.
    given: tuple[Membership, ...] = ()
    #: Roles of memberships from before us that somebody would have to approve: an agent who has them keeps them.
    as_they_are: tuple[str, ...] = ()
    #: Groups whose role was refused; of those in neither list, or in ``ended``, the role is given or left as it is.
    refused: tuple[str, ...] = ()
    #: Groups they are in whose grant ended by its date.
    ended: tuple[str, ...] = ()


def wanted(groups: Collection[str], stage: Stage, grants: Mapping[str, Grant], policy: Policy) -> Wanted:
    """Desired state. ``groups``: display names of the watched groups somebody is in, by what was last decided. Whoever is not active wants nothing."""
    allowed = {role.role for role in policy.roles.values()}
    if stage is not Stage.ACTIVE:
        return Wanted(ours=tuple(sorted(allowed)))

    def memberships(names: Iterable[str]) -> Iterator[Membership]:
        return (Membership(group=name, nth=grants[name].nth, role=policy.roles[name]) for name in names if name in grants)

    given: dict[str, str] = {}
    as_it_is: set[str] = set()
    sorts: dict[GrantState, list[str]] = {state: [] for state in GrantState}
    for group, role in policy.roles.items():
        if group not in groups:
            continue
        state = _state(grants.get(group), role)
        sorts[state].append(group)
        if state is GrantState.GRANTED:
            given.setdefault(role.role, role.team)
        elif state is GrantState.UNDECIDED:
            as_it_is.add(role.role)
    return Wanted(
        roles=tuple(sorted(given)),
        ours=tuple(sorted(allowed - (as_it_is - given.keys()))),
        team=next(iter(given.values()), ""),
        asked=tuple(memberships(sorts[GrantState.ASKED])),
        given=tuple(memberships(sorts[GrantState.GRANTED])),
        as_they_are=tuple(sorted(as_it_is - given.keys())),
        refused=tuple(sorts[GrantState.REFUSED]),
        ended=tuple(sorts[GrantState.ENDED]),
    )


def _state(grant: Grant | None, role: RolePolicy) -> GrantState:
    """How a membership that stands counts under the policy of today."""
    # What was decided about another role says nothing about this one.
    state = grant.state if grant and not _gives_another(grant, role) else GrantState.UNDECIDED
    dropped = grant is not None and grant.state is GrantState.UNDECIDED and grant.how == DROPPED
    if state in (GrantState.ASKED, GrantState.UNDECIDED) and not role.approval and not role.administrator and not dropped:
        return GrantState.GRANTED
    return state


def decided(fact: RolesChanged, grants: Mapping[str, Grant], policy: Policy, now: datetime) -> dict[str, Grant]:
    """The grants once a run is to act on this: gained ones begin, lost and ended ones are over."""
    after = _without(fact, grants)
    for group in fact.gained:
        role = policy.roles.get(group)
        if role is None:
            continue
        begun = Grant(nth=_next(grants, group), state=GrantState.ASKED, since=now, role=role.role)
        free = not role.approval and not role.administrator
        after[group] = granted(begun, role, now, how="no approval needed") if free else begun
    return after


def passed_over(fact: RolesChanged, grants: Mapping[str, Grant], now: datetime, *, how: str = "") -> dict[str, Grant]:
    """The grants where the fact is only recorded, because role changes are switched off; or ``DROPPED``, because somebody said so."""
    begun = {group: Grant(nth=_next(grants, group), state=GrantState.UNDECIDED, since=now, how=how) for group in fact.gained}
    return {**_without(fact, grants), **begun}


def over(grants: Mapping[str, Grant]) -> dict[str, Grant]:
    """The grants of somebody who is not active any more."""
    return {group: replace(grant, state=GrantState.ENDED) for group, grant in grants.items()}


def granted(grant: Grant, role: RolePolicy, now: datetime, *, how: str) -> Grant:
    """It was granted now, for as long as policy says."""
    return replace(grant, state=GrantState.GRANTED, until=now + role.lasts if role.lasts is not None else None, how=how)


def answered(grant: Grant, role: RolePolicy, approval: Approval, now: datetime, *, ticket_id: str) -> Grant:
    """What an approval came to, with its evidence. Nothing but an approval grants."""
    told = replace(grant, ticket_id=ticket_id, by=approval.by, who=approval.who, at=approval.at)
    if approval.approved:
        return granted(told, role, now, how=approval.how)
    return replace(told, state=GrantState.REFUSED, how=str(approval.outcome))


def apart(fact: RolesChanged, policy: Policy) -> tuple[RolesChanged, ...]:
    """One fact for everything that can be done at once, and one for each group whose role somebody has to approve.

    So an approval waits alone, and nothing waits for it.
    """
    waiting = [group for group in fact.gained if (role := policy.roles.get(group)) and (role.approval or role.administrator)]
    at_once = RolesChanged(
        gained=tuple(group for group in fact.gained if group not in waiting),
        lost=tuple(group for group in fact.lost if group not in waiting),
        ended=fact.ended,
    )
    # What a group gave under another rule is taken away in the same run that asks about what it gives now.
    parts = (at_once, *(RolesChanged(gained=(group,), lost=(group,) if group in fact.lost else ()) for group in waiting))
    return tuple(part for part in parts if part != RolesChanged())


def expired(grants: Mapping[str, Grant], now: datetime) -> tuple[str, ...]:
    """Groups whose grant is past its date, sorted."""
    return tuple(sorted(group for group, grant in grants.items() if (ends := _ends(grant)) is not None and ends <= now))


def next_ending(grants: Mapping[str, Grant]) -> datetime | None:
    """When the next grant ends by its date; None: none does."""
    return min((ends for grant in grants.values() if (ends := _ends(grant)) is not None), default=None)


def with_what_stands_no_more(reading: Reading, grants: Mapping[str, Grant], policy: Policy) -> Reading:
    """The reading of somebody active, told also of grants that are no evidence any more: what they gave is lost, however it stands on the desk.

    A group may stand for another role than the one that was decided about: what it gives is gained, as for a new membership. Its rule may
    have been gone for a while: a membership that began or ended meanwhile told no fact. And whoever is back may still have what nobody had
    taken by then: all of it goes, and what their groups give is given anew.
    """
    if reading.episode.stage is not Stage.ACTIVE:
        return reading
    told = _roles_changed(reading)
    is_back = any(isinstance(fact, Returned) for fact in reading.facts)
    here = reading.baseline.groups if reading.baseline is not None else None
    gained, lost = set(told.gained), set(told.lost)
    whys = []
    for group, grant in sorted(grants.items()):
        role = policy.roles.get(group)
        if role is None or group in lost or (grant.state is GrantState.ENDED and not is_back):
            continue
        is_out = here is not None and group not in here
        if is_back or is_out or group in gained:
            lost.add(group)
            whys.append(f"{group}: what was decided about it before stands no more")
        elif _gives_another(grant, role):
            lost.add(group)
            gained.add(group)
            whys.append(f"{group}: stands for another role now")
    if is_back:
        lost |= gained
    fact = replace(told, gained=tuple(sorted(gained)), lost=tuple(sorted(lost)))
    if fact == told:
        return reading
    return _telling(reading, fact, *whys)


def with_endings(reading: Reading, grants: Mapping[str, Grant], now: datetime) -> Reading:
    """The reading of somebody active, told also which grants have ended by their date."""
    past = expired(grants, now)
    if not past or reading.episode.stage is not Stage.ACTIVE:
        return reading
    told = _roles_changed(reading)
    # A membership that is over, or over and there again, has ended for a better reason.
    ended = tuple(group for group in past if group not in (*told.lost, *told.gained))
    if not ended:
        return reading
    return _telling(reading, replace(told, ended=ended), f"{', '.join(ended)}: granted until a date that has passed")


def _roles_changed(reading: Reading) -> RolesChanged:
    """What the reading says of role groups; nothing lost or gained where it says nothing."""
    return next((fact for fact in reading.facts if isinstance(fact, RolesChanged)), RolesChanged())


def _telling(reading: Reading, roles: RolesChanged, *whys: str) -> Reading:
    """The reading with this in place of what it says of role groups, and why; a reading without facts has no reason of its own to keep."""
    others = tuple(fact for fact in reading.facts if not isinstance(fact, RolesChanged))
    return replace(reading, facts=(*others, roles), why="; ".join((*((reading.why,) if reading.facts else ()), *whys)))


def _ends(grant: Grant) -> datetime | None:
    return grant.until if grant.state is GrantState.GRANTED else None


def _gives_another(grant: Grant, role: RolePolicy | None) -> bool:
    decided_about = grant.state in (GrantState.ASKED, GrantState.GRANTED, GrantState.REFUSED)
    return role is not None and decided_about and bool(grant.role) and grant.role != role.role


def _next(grants: Mapping[str, Grant], group: str) -> int:
    return grants[group].nth + 1 if group in grants else 1


def _without(fact: RolesChanged, grants: Mapping[str, Grant]) -> dict[str, Grant]:
    gone: Iterable[str] = (*fact.lost, *fact.ended)
    return {group: replace(grant, state=GrantState.ENDED) if group in gone else grant for group, grant in grants.items()}
