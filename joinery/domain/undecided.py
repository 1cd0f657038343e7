"""What is known once a reading came to something, to nothing yet, or to both: what is not decided must not be swallowed by the new baseline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from joinery.domain.changes import JOINING, Known, Reading, Stage
from joinery.domain.events import Completed, Fact, Joined, Moved, Renamed, Returned, RolesChanged
from joinery.domain.policy import Policy


def kept_open(reading: Reading, known: Known, still_open: Iterable[Fact], policy: Policy) -> Reading:
    """The reading with a baseline that has everything but the part of these facts: the next look tells them again, and only them.

    ``Left`` is about the whole person and stands alone; ``Returned`` is decided whatever becomes of the roles that come back with it.
    """
    baseline, before, episode = reading.baseline, known.baseline, reading.episode
    decisions, doubts = dict(reading.group_decisions), dict(reading.doubts)
    if baseline is None:
        return reading
    # Lost and gained is a membership that lasts, unless it was none when last decided; of whoever is back none has lasted.
    is_back = any(isinstance(fact, Returned) for fact in reading.facts)
    lasted = before.groups if before is not None and not is_back else frozenset()
    for fact in still_open:
        match fact:
            case Moved(fields=fields) | Renamed(fields=fields) | Completed(fields=fields) if before is not None:
                baseline = baseline.evolve(**{name: getattr(before, name) for name in fields})
            case RolesChanged(gained=gained, lost=lost):
                baseline = baseline.evolve(groups=(baseline.groups | set(lost)) - (set(gained) - (lasted & set(lost))))
                decisions = {group: at for group, at in decisions.items() if group not in (*gained, *lost)}
            case Joined():
                baseline = baseline.evolve(groups=baseline.groups - {policy.joiner_group})
                episode = replace(episode, joined_at=known.episode.joined_at)
                decisions.pop(policy.joiner_group, None)
            case _:
                continue
        # What has lasted long enough to be believed does not have to begin anew.
        doubts |= {about: since for about, since in known.doubts.items() if about in _about(fact)}
    return replace(reading, baseline=baseline, episode=episode, group_decisions=decisions, doubts=doubts)


def _about(fact: Fact) -> tuple[str, ...]:
    """The doubts that a fact had to outlast."""
    match fact:
        case Joined():
            return (JOINING,)
        case RolesChanged(gained=gained, lost=lost):
            return (*(f"gained {group}" for group in gained), *(f"lost {group}" for group in lost))
    return (fact.kind,)


def left_open(known: Known, reading: Reading) -> Known:
    """Neither a rehearsal nor a hold is the decision: the baseline stays, so that the facts can still be acted on later.

    So do its doubts: the evidence was ripe, and stays so while nothing changes. That somebody is here is not a decision but what was seen;
    without it their leave would not be one.
    """
    arrives = reading.episode.stage is Stage.ACTIVE and known.episode.stage in (Stage.NONE, Stage.PREHIRE)
    stage = Stage.ACTIVE if arrives else known.episode.stage
    return replace(known, episode=replace(known.episode, stage=stage), doubts={**known.doubts, **reading.doubts})


def decided_on(known: Known, reading: Reading, now: datetime) -> Known:
    """The reading is decided, and its baseline is what the next one is compared with."""
    moved = reading.baseline is not None and reading.baseline != known.baseline
    return replace(
        known,
        baseline=reading.baseline if reading.baseline is not None else known.baseline,
        decided_at=now if moved or reading.facts else known.decided_at,
        episode=reading.episode,
        doubts=reading.doubts,
        group_decisions=reading.group_decisions,
    )
