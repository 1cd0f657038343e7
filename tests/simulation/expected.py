"""What must, and what may, have been decided about a person: worked out from HR's story and the facts table, in words of this file alone.

A state that lasted long enough, with nobody blinded, must have been noticed. A shorter one may have been noticed, or half
noticed, or not at all. So a story gives a set of possible ends; what the engine remembers has to be one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from joinery.domain.person import Person
from tests.simulation import faults as f
from tests.simulation.faults import Fault
from tests.simulation.story import HOUR, JOINERS, MINUTE, PROTECTED, Character, scenes

#: A state that lasts this long was noticed by a sweep, looked at twice, and decided on.
CERTAIN = 12 * MINUTE
#: So long after a fault that blinds, a message may still lie in a queue for later.
RECOVERY = HOUR

#: New faces and returns are believed at a second look, so much later.
SECOND_LOOK = 60.0

#: How somebody stands in the directory: joiner, active without the group, disabled, deleted, gone; none of our business; not there yet.
JOINER, ACTIVE, DISABLED, DELETED, GONE, ALONE, UNBORN = "joiner", "active", "disabled", "deleted", "gone", "alone", "unborn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stand:
    """Where one person may stand in the engine's eyes, and how often what was decided."""

    seen: bool = False
    #: The last sighting was of an identity that may be acted upon.
    ours: bool = False
    #: none, active, left
    stage: str = "none"
    #: Joined was decided in this stay.
    joined: bool = False
    #: In the joiner group when last decided upon.
    inside: bool = False
    joins: int = 0
    leaves: int = 0
    returns: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """How somebody stood, from when to when."""

    start: float
    end: float
    how: str


def is_ours(person: Person) -> bool:
    """The identity rules: protected, guest, shared and service accounts are left alone, and so is whoever fits no rule."""
    name = person.user_principal_name.casefold()
    if name.startswith(("breakglass", "shared-", "shared.", "svc-", "svc.", "svc_")) or PROTECTED in person.groups:
        return False
    return person.user_type == "Member" and bool(person.employee_id or person.employee_type)


def stretches(character: Character, end: float) -> list[Stretch]:
    """The person's story as far as joining and leaving go."""
    found: list[Stretch] = []
    told = scenes(character)
    for scene, following in zip(told, [*(one.start for one in told[1:]), end], strict=True):
        how = _how(scene.state, scene.person)
        if found and found[-1].how == how:
            found[-1] = replace(found[-1], end=following)
        else:
            found.append(Stretch(scene.start, following, how))
    return found


def is_left_alone(character: Character, end: float) -> bool:
    """Whether they were none of our business when they were last there: an open run of theirs is held."""
    return next((one.how for one in reversed(stretches(character, end)) if one.how not in (DELETED, GONE)), UNBORN) == ALONE


def _how(state: str, person: Person | None) -> str:
    if state != "here" or person is None:
        return state
    if not is_ours(person):
        return ALONE
    if not person.account_enabled:
        return DISABLED
    return JOINER if JOINERS in person.groups else ACTIVE


def possible_ends(character: Character, faults: Iterable[Fault], end: float) -> set[Stand]:
    """Every way in which it may have been understood. One element: there is only one."""
    faults = tuple(faults)
    lags = [(fault.at, fault.end + fault.much) for fault in faults if fault.kind == f.STALE]
    blind = blind_times(faults)
    ends = {Stand()}
    jumped = any(fault.kind == f.CLOCK_JUMP for fault in faults)
    before = UNBORN
    told = stretches(character, end)
    #: When they first stood like this: what was seen then and is seen again counts as having lasted.
    first: dict[str, float] = {}
    for number, stretch in enumerate(told):
        certain = number == len(told) - 1 or is_certain(stretch, blind)
        lag = f.LAG_MAX if any(start <= stretch.end and stretch.start <= over for start, over in lags) else 0.0
        since = min(
            first.setdefault(stretch.how, stretch.start), first.get(JOINER, stretch.start) if stretch.how == ACTIVE else stretch.start
        )
        if stretch.end - since + lag < SECOND_LOOK and not jumped:
            ends = {one for stand in ends for one in (stand, _hardly(stand, stretch.how), _unless_new(stand, stretch.how))}
            before = stretch.how
            continue
        if any(start <= stretch.start <= over for start, over in lags):
            # One replica still shows what was before, after the other showed what is.
            ends = _maybe(_maybe(ends, stretch.how), before)
            ends = _maybe(ends, stretch.how)
        ends = {_fully(stand, stretch.how) for stand in ends} if certain else _maybe(ends, stretch.how)
        before = stretch.how
    return ends


def blind_times(faults: Iterable[Fault]) -> list[tuple[float, float]]:
    """From when to when a look may come late."""
    return [(fault.at, fault.end + RECOVERY) for fault in faults if fault.kind in f.BLINDING]


def is_certain(stretch: Stretch, blind: list[tuple[float, float]]) -> bool:
    """Whether it lasted so long, with nobody blinded, that it was noticed and decided on."""
    start = max(stretch.start, 0.0)
    free = sorted(over for begin, over in blind if begin < stretch.end and over > start)
    return stretch.end - max([start, *free[-1:]]) >= CERTAIN


def _unless_new(stand: Stand, how: str) -> Stand:
    """Seen, but too short to be believed where it is a new face, a return, or an absence."""
    new = (how == JOINER and _would_join(stand)) or (how in (JOINER, ACTIVE) and stand.stage == "left") or how == GONE
    return _hardly(stand, how) if new else _fully(stand, how)


def _maybe(ends: set[Stand], how: str) -> set[Stand]:
    return {one for stand in ends for one in (stand, _hardly(stand, how), _fully(stand, how))}


def _hardly(stand: Stand, how: str) -> Stand:
    """Seen once, and not believed yet."""
    if how == JOINER and stand.stage != "left" and not _would_join(stand):
        return _fully(stand, how)
    if how in (JOINER, ACTIVE) and (how == JOINER or stand.stage == "left"):
        return replace(stand, seen=True, ours=True)
    return stand if how == GONE else _fully(stand, how)


def _would_join(stand: Stand) -> bool:
    return stand.stage == "none" or not (stand.joined or stand.inside)


def _fully(stand: Stand, how: str) -> Stand:
    """The facts table."""
    if how == UNBORN:
        return stand
    if how == ALONE:
        return replace(stand, seen=True, ours=False)
    if how in (DELETED, GONE):
        if stand.seen and stand.ours and stand.stage == "active":
            return replace(stand, stage="left", leaves=stand.leaves + 1)
        return stand
    stand = replace(stand, seen=True, ours=True)
    if stand.stage == "left":
        if how == DISABLED:
            return stand
        return replace(stand, stage="active", joined=False, inside=how == JOINER, returns=stand.returns + 1)
    if how == DISABLED:
        return replace(stand, stage="left", leaves=stand.leaves + 1) if stand.stage == "active" else replace(stand, inside=False)
    if how == ACTIVE:
        return replace(stand, stage="active", inside=False)
    if _would_join(stand):
        return replace(stand, stage="active", joined=True, inside=True, joins=stand.joins + 1)
    return replace(stand, inside=True)
