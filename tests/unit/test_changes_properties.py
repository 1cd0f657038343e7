"""What holds for every history of looks, drawn by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from joinery.domain.changes import MOVE_FIELDS, NAME_FIELDS, Episode, Known, Reading, Stage, interpret
from joinery.domain.events import Fact, Joined, Left, Returned, RolesChanged
from joinery.domain.person import Absence, Manager, Person, Sighting
from joinery.domain.policy import Policy

POLICY = Policy()
START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
GROUPS = ("ITSM-NewJoiner", "ITSM-ServiceDesk", "ITSM-Admins")

people = st.builds(
    Person,
    id=st.just("ada"),
    user_type=st.just("Member"),
    account_enabled=st.booleans(),
    department=st.sampled_from(["", "Finance", "Legal"]),
    display_name=st.sampled_from(["Ada", "Ada L."]),
    manager=st.sampled_from([None, Manager(id="bob"), Manager(id="eve")]),
    hire_date=st.sampled_from([None, START, START + timedelta(days=30)]),
    groups=st.frozensets(st.sampled_from(GROUPS)),
)
absences = st.builds(Absence, id=st.just("ada"), soft_deleted=st.booleans())
sightings: st.SearchStrategy[Sighting] = st.one_of(people, people, absences)
histories = st.lists(
    st.tuples(sightings, st.sampled_from([0, 1, 30, 60, 61, 300, 601, 90_000, 200_000]), st.integers(1, 3)), min_size=1, max_size=12
)


@dataclass(frozen=True, kw_only=True)
class Look:
    known: Known
    sighting: Sighting
    now: datetime
    reading: Reading


def lived(history: list[tuple[Sighting, int, int]]) -> list[Look]:
    """The looks of a history, remembered as the dispatcher remembers them."""
    known, now, looks = Known(), START, []
    for sighting, pause, times in history:
        for _ in range(times):
            now += timedelta(seconds=pause)
            if isinstance(sighting, Absence) and known.seen is None:
                continue
            seen = sighting if isinstance(sighting, Person) else known.seen
            known = replace(known, seen=seen)
            reading = interpret(known, sighting, POLICY, now)
            looks.append(Look(known=known, sighting=sighting, now=now, reading=reading))
            known = replace(
                known,
                baseline=reading.baseline or known.baseline,
                episode=reading.episode,
                doubts=reading.doubts,
                group_decisions=reading.group_decisions,
            )
    return looks


@given(histories)
@settings(max_examples=150, deadline=None)
def test_the_same_look_is_always_read_the_same_way(history: list[tuple[Sighting, int, int]]) -> None:
    for look in lived(history):
        assert interpret(look.known, look.sighting, POLICY, look.now) == look.reading


@given(histories)
@settings(max_examples=200, deadline=None)
def test_nobody_leaves_without_evidence_and_nobody_leaves_twice_in_an_episode(history: list[tuple[Sighting, int, int]]) -> None:
    gone_since: datetime | None = None
    left: set[int] = set()
    for look in lived(history):
        absent = isinstance(look.sighting, Absence) and not look.sighting.soft_deleted
        gone_since = (gone_since or look.now) if absent else None
        for fact in look.reading.facts:
            if isinstance(fact, Left):
                assert isinstance(look.sighting, Absence) or not look.sighting.account_enabled
                assert gone_since is None or look.now - gone_since >= POLICY.timing.second_look
                assert look.known.episode.stage is Stage.ACTIVE
                assert look.reading.episode.number not in left
                left.add(look.reading.episode.number)


@given(histories)
@settings(max_examples=200, deadline=None)
def test_joined_and_returned_at_most_once_per_episode_and_only_for_an_enabled_account(history: list[tuple[Sighting, int, int]]) -> None:
    told: set[tuple[type[Fact], int]] = set()
    for look in lived(history):
        for fact in look.reading.facts:
            if isinstance(fact, (Joined, Returned)):
                assert isinstance(look.sighting, Person) and look.sighting.account_enabled
                assert (type(fact), look.reading.episode.number) not in told
                told.add((type(fact), look.reading.episode.number))


@given(histories, sightings)
@settings(max_examples=200, deadline=None)
def test_a_look_repeated_until_nobody_asks_for_another_says_nothing_new_after_that(
    history: list[tuple[Sighting, int, int]], last: Sighting
) -> None:
    """Whatever happened before, a situation that stays comes to rest, and no fact is told twice about it."""
    looks = lived([*history, (last, 61, 1)])
    if not looks:
        return
    known, now, reading = looks[-1].known, looks[-1].now, looks[-1].reading
    facts: list[Fact] = list(reading.facts)
    for _ in range(6):
        known = replace(known, baseline=reading.baseline or known.baseline, episode=reading.episode, doubts=reading.doubts)
        known = replace(known, group_decisions=reading.group_decisions)
        now = reading.look_again_at or now + timedelta(seconds=1)
        reading = interpret(known, last, POLICY, now)
        facts += reading.facts
    assert reading.facts == () and reading.look_again_at is None
    assert len(facts) == len({repr(fact) for fact in facts})


#: What is waited for -> the fields that stay as they were meanwhile.
FIELDS = {"moved": MOVE_FIELDS, "renamed": NAME_FIELDS}


@given(histories)
@settings(max_examples=200, deadline=None)
def test_an_open_doubt_keeps_the_baseline_where_it_was_about_that_fact(history: list[tuple[Sighting, int, int]]) -> None:
    for look in lived(history):
        moved = look.reading.baseline
        for doubt in look.reading.doubts:
            direction, _, group = doubt.partition(" ")
            if direction in ("gained", "lost"):
                before = look.known.baseline
                assert moved is not None and before is not None
                assert (group in moved.groups) == (group in before.groups)
            elif doubt in FIELDS:
                before = look.known.baseline
                assert moved is not None and before is not None
                settling = {name for name in FIELDS[doubt] if name in look.reading.why.partition(" changed; settling")[0]}
                assert settling and all(getattr(moved, name) == getattr(before, name) for name in settling)
            else:
                assert moved is None
        assert (look.reading.look_again_at is not None) or not look.reading.doubts


@given(histories)
@settings(max_examples=200, deadline=None)
def test_every_doubt_is_looked_at_again_and_never_in_the_past(history: list[tuple[Sighting, int, int]]) -> None:
    for look in lived(history):
        if look.reading.look_again_at is not None:
            assert look.reading.look_again_at > look.now
        unresolved = look.known.doubts.keys() - look.reading.doubts.keys()
        decided = look.reading.facts or look.reading.look_again_at
        assert decided or not unresolved


@given(histories)
@settings(max_examples=200, deadline=None)
def test_roles_are_gained_and_lost_in_turns(history: list[tuple[Sighting, int, int]]) -> None:
    """Nobody gains a role group they were told to have, or loses one they were told not to have, while they are active."""
    held: set[str] | None = None
    for look in lived(history):
        for fact in look.reading.facts:
            if isinstance(fact, RolesChanged) and held is not None:
                assert not held & set(fact.gained) and set(fact.lost) <= held
        base = look.reading.baseline or look.known.baseline
        active = look.reading.episode.stage is Stage.ACTIVE
        held = set(base.groups & POLICY.roles.keys()) if base is not None and active else set() if base is not None else None


def test_an_episode_begins_with_nothing() -> None:
    assert Known().episode == Episode(number=1, stage=Stage.NONE, joined_at=None)
