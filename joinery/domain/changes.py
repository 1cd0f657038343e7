"""``interpret``: what the difference between what we last decided on and what we see now means.

Two rules stand behind all of it. Evidence: a disabled or soft-deleted account is believed at once, absence and quick
reversals only when a second look says the same, because the directory's replicas lag. And nothing is swallowed: the
baseline moves only when something was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter

from joinery.domain.events import Completed, Fact, Joined, Left, LeftHow, Moved, Renamed, Returned, RolesChanged
from joinery.domain.person import Absence, Manager, Person, Sighting
from joinery.domain.policy import Policy

#: A change of one of these is a move; filled for the first time soon after joining it completes the joiner.
MOVE_FIELDS = ("department", "job_title", "manager", "company_name", "office_location")
#: A change of one of these is a new name for the same person.
NAME_FIELDS = ("display_name", "given_name", "surname", "user_principal_name", "mail")
#: Reads all of them at once: most looks change none.
_ALL_OF: Mapping[tuple[str, ...], attrgetter[tuple[str | Manager | None, ...]]] = {
    fields: attrgetter(*fields) for fields in (MOVE_FIELDS, NAME_FIELDS)
}
#: The doubt of whoever has entered the joiner group and settles.
JOINING = "joining"
#: The doubt about whoever has left and is enabled again.
RETURNING = "returned"
#: A look that asks for another one never asks for this very moment.
_SHORTEST = timedelta(seconds=1)


class Stage(StrEnum):
    """Where a person stands in their present episode."""

    #: Known, but never enabled in this episode.
    NONE = "none"
    #: Not enabled yet, with a first day ahead.
    PREHIRE = "prehire"
    ACTIVE = "active"
    LEFT = "left"


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """One stay with the organisation; a return begins the next."""

    number: int = 1
    stage: Stage = Stage.NONE
    #: When ``Joined`` was decided in this episode; None if it was not.
    joined_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What we remember of somebody."""

    #: The last read that found them.
    seen: Person | None = None
    #: What the last decision was made from.
    baseline: Person | None = None
    decided_at: datetime | None = None
    episode: Episode = Episode()
    #: What is not believed yet -> since when it is seen without interruption.
    doubts: Mapping[str, datetime] = field(default_factory=dict)
    #: Watched group -> when a change of its membership was last decided.
    group_decisions: Mapping[str, datetime] = field(default_factory=dict)
    #: Their account was made while we watched: what they are in at first sight was not there before us.
    newcomer: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What ``interpret`` concludes. ``baseline`` None leaves the baseline where it was."""

    facts: tuple[Fact, ...] = ()
    look_again_at: datetime | None = None
    why: str = ""
    baseline: Person | None = None
    episode: Episode
    doubts: Mapping[str, datetime] = field(default_factory=dict)
    group_decisions: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def in_doubt(self) -> bool:
        """It says nothing yet; a later look will. Until then whatever waits for a person's word may still be so."""
        return bool(self.doubts) and not self.facts


class _Patience:
    """Which doubts are still open, since when, and when the next one is ripe."""

    def __init__(self, before: Mapping[str, datetime], now: datetime) -> None:
        self._before = before
        self._now = now
        self._asked: set[str] = set()
        self.doubts: dict[str, datetime] = {}
        self.look_again_at: datetime | None = None

    def ripe(self, about: str, wait: timedelta) -> bool:
        """True once the doubt has lasted; until then it is remembered with the moment of the next look."""
        self._asked.add(about)
        since = self._before.get(about, self._now)
        ripe_at = since + wait
        if self._now >= ripe_at:
            return True
        self.doubts[about] = since
        self.look_again_at = ripe_at if self.look_again_at is None else min(self.look_again_at, ripe_at)
        return False

    @property
    def vanished(self) -> bool:
        """A doubt was open that this look does not share: one of the two may have been a replica that lags."""
        return not self._before.keys() <= self._asked


def interpret(known: Known, sighting: Sighting, policy: Policy, now: datetime) -> Reading:
    """Compare what is known with a sighting and say what it means. Pure: the same arguments give the same reading."""
    patience = _Patience(known.doubts, now)
    if isinstance(sighting, Absence):
        reading = _absent(known, sighting, policy, patience)
    else:
        reading = _present(known, sighting, policy, now, patience)
    left = any(isinstance(fact, Left) for fact in reading.facts)
    if patience.vanished and reading.look_again_at is None and not left:
        # No news may come any more about what the doubt was about, so we ask once more ourselves.
        return replace(reading, look_again_at=now + max(policy.timing.second_look, _SHORTEST))
    return reading


def _absent(known: Known, absence: Absence, policy: Policy, patience: _Patience) -> Reading:
    episode, baseline = known.episode, known.baseline
    if baseline is None and episode.stage is Stage.ACTIVE:
        # Only rehearsed until now: what was seen last has to do.
        baseline = known.seen
    if baseline is None:
        return _nothing(known, "not in the directory, and never decided on")
    if episode.stage is not Stage.ACTIVE:
        return _nothing(known, "not in the directory; there was no active account to leave")
    gone_from = baseline.evolve(account_enabled=False)
    left = Episode(number=episode.number, stage=Stage.LEFT, joined_at=episode.joined_at)
    if absence.soft_deleted:
        return _decided(known, gone_from, left, "found among the deleted accounts", Left(how=LeftHow.SOFT_DELETED))
    if patience.ripe("absent", policy.timing.second_look):
        return _decided(known, gone_from, left, "neither alive nor among the deleted, at two looks", Left(how=LeftHow.GONE))
    return _waiting(known, patience, "not in the directory; absence is believed at the second look")


def _present(known: Known, person: Person, policy: Policy, now: datetime, patience: _Patience) -> Reading:
    stage = known.episode.stage
    if stage is Stage.LEFT:
        return _after_leaving(known, person, policy, now, patience)
    if stage is Stage.ACTIVE and not person.account_enabled:
        left = Episode(number=known.episode.number, stage=Stage.LEFT, joined_at=known.episode.joined_at)
        return _decided(known, person, left, "the account was disabled", Left(how=LeftHow.DISABLED))
    if not person.account_enabled:
        stage = Stage.PREHIRE if person.hire_date and person.hire_date > now else Stage.NONE
        why = "not enabled yet; taken in as it is" if known.baseline is None else "not enabled yet"
        return _decided(known, person, Episode(number=known.episode.number, stage=stage), why)
    if _enters(known, person, policy):
        return _joining(known, person, policy, now, patience)
    if known.baseline is None and not known.newcomer:
        why = f"first sight, not in {policy.joiner_group}: taken in as they are"
        return _decided(known, person, Episode(number=known.episode.number, stage=Stage.ACTIVE), why)
    if known.baseline is None or not _was_active(known):
        first = "first sight of an account made since we watch" if known.baseline is None else "enabled"
        why = f"{first}, not in {policy.joiner_group}{'' if person.groups & policy.roles.keys() else ': nothing to start'}"
        return _with_roles(known, person, policy, now, Episode(number=known.episode.number, stage=Stage.ACTIVE), why)
    return _active(known, known.baseline, person, policy, now, patience)


def _enters(known: Known, person: Person, policy: Policy) -> bool:
    """Enabled and in the joiner group now, and was not both when we last decided; once per episode."""
    if policy.joiner_group not in person.groups or known.episode.joined_at:
        return False
    before = known.baseline
    return before is None or not _was_active(known) or policy.joiner_group not in before.groups


def _was_active(known: Known) -> bool:
    """When we last decided. Whoever was enabled since, and only rehearsed or held, is here, and nothing has been decided about it."""
    return known.episode.stage is Stage.ACTIVE and known.baseline is not None and known.baseline.account_enabled


def _joining(known: Known, person: Person, policy: Policy, now: datetime, patience: _Patience) -> Reading:
    if not patience.ripe(JOINING, policy.timing.settle_time):
        return _waiting(known, patience, f"in {policy.joiner_group}; settling, so that a half-made account can be completed")
    episode = Episode(number=known.episode.number, stage=Stage.ACTIVE, joined_at=now)
    why = f"entered {policy.joiner_group}"
    if known.baseline is not None and _was_active(known):
        # They were here already: what else changed is told as well, or the new baseline would swallow it. What was merely
        # empty until now is part of joining: the run begins with it.
        joining = replace(known, episode=replace(known.episode, joined_at=now))
        also = _active(joining, known.baseline, person, policy, now, patience, settled=True)
        facts = (Joined(), *(fact for fact in also.facts if not isinstance(fact, Completed)))
        reading = replace(also, facts=facts, why=why, episode=episode)
        return _with_group_decisions(reading, {policy.joiner_group: now})
    reading = _with_roles(known, person, policy, now, episode, why, Joined())
    return _with_group_decisions(reading, {policy.joiner_group: now})


def _with_roles(known: Known, person: Person, policy: Policy, now: datetime, episode: Episode, why: str, *facts: Fact) -> Reading:
    """Active from now on: whoever was not wanted no roles, so every group that stands for one is a gain, however long they are in it."""
    gained = tuple(sorted(person.groups & policy.roles.keys()))
    roles = (RolesChanged(gained=gained),) if gained else ()
    reading = _decided(known, person, episode, why, *facts, *roles)
    return _with_group_decisions(reading, dict.fromkeys(gained, now))


def _after_leaving(known: Known, person: Person, policy: Policy, now: datetime, patience: _Patience) -> Reading:
    if not person.account_enabled:
        return _decided(known, person, known.episode, "already left")
    if not patience.ripe(RETURNING, policy.timing.second_look):
        return _waiting(known, patience, "enabled again after leaving; a return is believed at the second look")
    episode = Episode(number=known.episode.number + 1, stage=Stage.ACTIVE)
    return _with_roles(known, person, policy, now, episode, "enabled again after leaving, at two looks", Returned())


def _active(
    known: Known, before: Person, person: Person, policy: Policy, now: datetime, patience: _Patience, *, settled: bool = False
) -> Reading:
    """Somebody who was active and is: names, posts and role groups may have changed. ``settled``: the looks before this one waited."""
    facts: list[Fact] = []
    moved, completed = _changed(MOVE_FIELDS, known, before, person, policy, now)
    renamed, filled = _changed(NAME_FIELDS, known, before, person, policy, now)
    if completed or filled:
        facts.append(Completed(fields=(*completed, *filled)))
    settling: list[str] = []
    # A post or a name rarely changes in one write: what belongs together is waited for, and is one fact.
    for kind, changed in ((Moved, moved), (Renamed, renamed)):
        if changed and (settled or patience.ripe(kind.kind, policy.timing.settle_time)):
            facts.append(kind(fields=changed))
        else:
            settling.extend(changed)

    recent = {group: at for group, at in known.group_decisions.items() if now - at < policy.timing.flap_window}
    decided, unripe = [], []
    for group in sorted((before.groups ^ person.groups) & policy.roles.keys()):
        direction = "gained" if group in person.groups else "lost"
        if group not in recent or patience.ripe(f"{direction} {group}", policy.timing.second_look):
            decided.append(group)
        else:
            unripe.append(group)
    if decided:
        gained, lost = (tuple(g for g in decided if (g in person.groups) is now_in) for now_in in (True, False))
        facts.append(RolesChanged(gained=gained, lost=lost))

    baseline = person
    if settling or unripe:
        held_back = frozenset(unripe)
        as_before = {name: getattr(before, name) for name in settling}
        baseline = person.evolve(groups=(person.groups - held_back) | (before.groups & held_back), **as_before)
    why = ", ".join(fact.kind for fact in facts) or ("" if settling else "nothing that matters changed")
    if settling:
        why = f"{why}; " if why else ""
        why += f"{', '.join(settling)} changed; settling, so that what belongs together is one change"
    if unripe:
        why += f"; {', '.join(unripe)} changed again so soon that it is believed at the second look"
    return Reading(
        facts=tuple(facts),
        look_again_at=patience.look_again_at,
        why=why,
        baseline=baseline,
        episode=known.episode,
        doubts=patience.doubts,
        group_decisions=recent | dict.fromkeys(decided, now),
    )


def _changed(
    fields: tuple[str, ...], known: Known, before: Person, person: Person, policy: Policy, now: datetime
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that changed, and apart from them those that were empty and were filled soon after joining."""
    then, here = _ALL_OF[fields](before), _ALL_OF[fields](person)
    if then == here or before.erased:
        # Of whoever was erased nobody knows any more what was there before; this sighting is the new picture.
        return (), ()
    joined_at = known.episode.joined_at
    fresh = joined_at is not None and now - joined_at <= policy.timing.completion_window
    changed: list[str] = []
    filled: list[str] = []
    for name, old, new in zip(fields, then, here, strict=True):
        if _comparable(old) != _comparable(new):
            (filled if fresh and not old and new else changed).append(name)
    return tuple(changed), tuple(filled)


def _comparable(value: str | Manager | None) -> str:
    """A manager who has a new name is still the same manager."""
    return value.id if isinstance(value, Manager) else value or ""


def _nothing(known: Known, why: str) -> Reading:
    return Reading(why=why, episode=known.episode, group_decisions=known.group_decisions)


def _waiting(known: Known, patience: _Patience, why: str) -> Reading:
    return Reading(
        why=why,
        look_again_at=patience.look_again_at,
        episode=known.episode,
        doubts=patience.doubts,
        group_decisions=known.group_decisions,
    )


def _decided(known: Known, baseline: Person, episode: Episode, why: str, *facts: Fact) -> Reading:
    return Reading(facts=facts, why=why, baseline=baseline, episode=episode, group_decisions=known.group_decisions)


def _with_group_decisions(reading: Reading, fresh: Mapping[str, datetime]) -> Reading:
    return replace(reading, group_decisions={**reading.group_decisions, **fresh})
