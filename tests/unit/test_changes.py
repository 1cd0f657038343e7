"""The rules of "Evidence and time": what a difference means, and when it is believed. One row per situation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from joinery.domain.changes import Episode, Known, Reading, Stage, interpret
from joinery.domain.events import Completed, Fact, Joined, Left, LeftHow, Moved, Renamed, Returned, RolesChanged
from joinery.domain.person import Absence, Manager, Person, Sighting
from joinery.domain.policy import Policy

POLICY = Policy()
JOINERS, DESK, ADMINS = "ITSM-NewJoiner", "ITSM-ServiceDesk", "ITSM-Admins"
NOW = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
SECOND = POLICY.timing.second_look

ADA = Person(
    id="ada", user_principal_name="ada@x.example", mail="ada@x.example", display_name="Ada", department="Finance", user_type="Member"
)
DISABLED = ADA.evolve(account_enabled=False)
JOINING = ADA.evolve(groups=frozenset({JOINERS}))
SOFT, GONE = Absence(id="ada", soft_deleted=True), Absence(id="ada", soft_deleted=False)


def known(
    baseline: Person | None = None, stage: Stage = Stage.NONE, *, number: int = 1, joined: datetime | None = None, **rest: object
) -> Known:
    """What is known of somebody whose last decision was made from ``baseline``."""
    episode = Episode(number=number, stage=stage, joined_at=joined)
    return Known(seen=baseline or ADA, baseline=baseline, episode=episode, **rest)  # type: ignore[arg-type]  # fields of Known


def after(before: Known, reading: Reading, sighting: Sighting) -> Known:
    """What is known once the reading was committed, as the dispatcher does it."""
    return replace(
        before,
        seen=sighting if isinstance(sighting, Person) else before.seen,
        baseline=reading.baseline or before.baseline,
        episode=reading.episode,
        doubts=reading.doubts,
        group_decisions=reading.group_decisions,
    )


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One look, ``at`` seconds after the first, and what has to come of it."""

    what: Sighting
    at: float = 0
    facts: tuple[Fact, ...] = ()
    #: Seconds from the first look to the next; None: nobody has to come back.
    again: float | None = None
    stage: Stage | None = None


LEFT_DISABLED, LEFT_SOFT, LEFT_GONE = (Left(how=how) for how in (LeftHow.DISABLED, LeftHow.SOFT_DELETED, LeftHow.GONE))
NEW, ACTIVE, WAS_JOINER = Known(seen=ADA), known(ADA, Stage.ACTIVE), known(JOINING, Stage.ACTIVE, joined=NOW)
HAS_LEFT = known(DISABLED, Stage.LEFT)
DAY = 86_400

STORIES: dict[str, tuple[Known, list[Seen]]] = {
    "first sight of an enabled account in the joiner group settles, then has joined": (
        NEW,
        [Seen(what=JOINING, again=60), Seen(what=JOINING, at=60, facts=(Joined(),), stage=Stage.ACTIVE)],
    ),
    "an early look while it settles changes neither the moment nor the outcome": (
        NEW,
        [Seen(what=JOINING, again=60), Seen(what=JOINING, at=30, again=60), Seen(what=JOINING, at=60, facts=(Joined(),))],
    ),
    "first sight outside the joiner group is taken in": (NEW, [Seen(what=ADA, stage=Stage.ACTIVE), Seen(what=ADA, at=DAY)]),
    "first sight of an account made while we watch: a role group was gained, and never was there before us": (
        replace(NEW, newcomer=True),
        [
            Seen(what=ADA.evolve(groups=frozenset({DESK})), facts=(RolesChanged(gained=(DESK,)),), stage=Stage.ACTIVE),
            Seen(what=ADA.evolve(groups=frozenset({DESK})), at=DAY),
        ],
    ),
    "first sight of an account made while we watch, in no role group: nothing": (
        replace(NEW, newcomer=True),
        [Seen(what=ADA, stage=Stage.ACTIVE), Seen(what=ADA, at=DAY)],
    ),
    "first sight of a disabled account is taken in, joiner group or not": (
        NEW,
        [Seen(what=JOINING.evolve(account_enabled=False), stage=Stage.NONE)],
    ),
    "first sight of a disabled account with a first day ahead is a prehire": (
        NEW,
        [Seen(what=DISABLED.evolve(hire_date=NOW + timedelta(days=7)), stage=Stage.PREHIRE)],
    ),
    "first sight of an absence decides nothing": (NEW, [Seen(what=GONE), Seen(what=SOFT, at=60)]),
    "taken in disabled, then enabled in the joiner group: joins": (
        known(JOINING.evolve(account_enabled=False)),
        [Seen(what=JOINING, again=60), Seen(what=JOINING, at=60, facts=(Joined(),))],
    ),
    "taken in disabled, then enabled outside the joiner group: nothing": (known(DISABLED), [Seen(what=ADA, stage=Stage.ACTIVE)]),
    "taken in active, then enters the joiner group: joins": (
        ACTIVE,
        [Seen(what=JOINING, again=60), Seen(what=JOINING, at=60, facts=(Joined(),))],
    ),
    "enabled in the joiner group, and only rehearsed: joins, and the role groups of before count": (
        known(JOINING.evolve(account_enabled=False, groups=JOINING.groups | {DESK}), Stage.ACTIVE),
        [
            Seen(what=JOINING.evolve(groups=JOINING.groups | {DESK}), again=60),
            Seen(what=JOINING.evolve(groups=JOINING.groups | {DESK}), at=60, facts=(Joined(), RolesChanged(gained=(DESK,)))),
        ],
    ),
    "enabled in a role group, and only rehearsed: it was gained": (
        known(DISABLED.evolve(groups=frozenset({DESK})), Stage.ACTIVE),
        [Seen(what=ADA.evolve(groups=frozenset({DESK})), facts=(RolesChanged(gained=(DESK,)),))],
    ),
    "disabled is believed at once": (ACTIVE, [Seen(what=DISABLED, facts=(LEFT_DISABLED,), stage=Stage.LEFT), Seen(what=DISABLED, at=60)]),
    "soft-deleted is believed at once": (ACTIVE, [Seen(what=SOFT, facts=(LEFT_SOFT,), stage=Stage.LEFT), Seen(what=SOFT, at=60)]),
    "leaving a second after joining is believed at once": (WAS_JOINER, [Seen(what=DISABLED, at=1, facts=(LEFT_DISABLED,))]),
    "absence is believed at the second look": (
        ACTIVE,
        [
            Seen(what=GONE, again=60),
            Seen(what=GONE, at=59, again=60),
            Seen(what=GONE, at=60, facts=(LEFT_GONE,), stage=Stage.LEFT),
            Seen(what=GONE, at=120),
        ],
    ),
    "absence at one look alone is a replica that lags": (
        ACTIVE,
        [Seen(what=GONE, again=60), Seen(what=ADA, at=60, again=120), Seen(what=ADA, at=120)],
    ),
    "two absences with a sighting between are not two in a row": (
        ACTIVE,
        [
            Seen(what=GONE, again=60),
            Seen(what=ADA, at=50, again=110),
            Seen(what=GONE, at=60, again=120),
            Seen(what=GONE, at=120, facts=(LEFT_GONE,)),
        ],
    ),
    "doubted absence, then found among the deleted: at once": (
        ACTIVE,
        [Seen(what=GONE, again=60), Seen(what=SOFT, at=10, facts=(LEFT_SOFT,))],
    ),
    "doubted absence, then disabled: at once": (ACTIVE, [Seen(what=GONE, again=60), Seen(what=DISABLED, at=10, facts=(LEFT_DISABLED,))]),
    "who left and is deleted later leaves no second time": (HAS_LEFT, [Seen(what=SOFT), Seen(what=GONE, at=60), Seen(what=GONE, at=120)]),
    "who never was active and is deleted does not leave": (known(DISABLED), [Seen(what=SOFT), Seen(what=GONE, at=60)]),
    "a return is believed at the second look": (
        HAS_LEFT,
        [Seen(what=ADA, again=60), Seen(what=ADA, at=60, facts=(Returned(),), stage=Stage.ACTIVE), Seen(what=ADA, at=120)],
    ),
    "enabled for a moment and disabled again is no return": (
        HAS_LEFT,
        [Seen(what=ADA, again=60), Seen(what=DISABLED, at=60, again=120), Seen(what=DISABLED, at=120)],
    ),
    "leaving the joiner group is nothing": (WAS_JOINER, [Seen(what=ADA, at=DAY, stage=Stage.ACTIVE)]),
    "entering the joiner group again in one episode is nothing": (
        WAS_JOINER,
        [Seen(what=ADA, at=DAY), Seen(what=JOINING, at=2 * DAY), Seen(what=JOINING, at=2 * DAY + 60)],
    ),
    "leaving the joiner group while settling means that nobody joined, after one more look": (
        NEW,
        [Seen(what=JOINING, again=60), Seen(what=ADA, at=60, again=120), Seen(what=ADA, at=120)],
    ),
    "a stale look without the joiner group does not swallow a joiner": (
        NEW,
        [
            Seen(what=JOINING, again=60),
            Seen(what=ADA, at=60, again=120),
            Seen(what=JOINING, at=120, again=180),
            Seen(what=JOINING, at=180, facts=(Joined(),)),
        ],
    ),
    "a stale absence does not swallow a joiner who settles": (
        NEW,
        [
            Seen(what=JOINING, again=60),
            Seen(what=GONE, at=60, again=120),
            Seen(what=JOINING, at=120, again=180),
            Seen(what=JOINING, at=180, facts=(Joined(),)),
        ],
    ),
    "a stale absence does not swallow a return": (
        HAS_LEFT,
        [
            Seen(what=ADA, again=60),
            Seen(what=GONE, at=60, again=120),
            Seen(what=ADA, at=120, again=180),
            Seen(what=ADA, at=180, facts=(Returned(),)),
        ],
    ),
    "another department is a move once it settled": (
        ACTIVE,
        [
            Seen(what=ADA.evolve(department="Legal"), again=60),
            Seen(what=ADA.evolve(department="Legal"), at=60, facts=(Moved(fields=("department",)),)),
            Seen(what=ADA.evolve(department="Legal"), at=120),
        ],
    ),
    "a post that changes in several writes is one move": (
        ACTIVE,
        [
            Seen(what=ADA.evolve(department="Legal"), again=60),
            Seen(what=ADA.evolve(department="Legal", job_title="Counsel"), at=30, again=60),
            Seen(
                what=ADA.evolve(department="Legal", job_title="Counsel", manager=Manager(id="eve")),
                at=60,
                facts=(Moved(fields=("department", "job_title", "manager")),),
            ),
        ],
    ),
    "a department that is put back before it settled is no move, after one more look": (
        ACTIVE,
        [Seen(what=ADA.evolve(department="Legal"), again=60), Seen(what=ADA, at=30, again=90), Seen(what=ADA, at=90)],
    ),
    "whoever leaves while a move settles leaves": (
        ACTIVE,
        [
            Seen(what=ADA.evolve(department="Legal"), again=60),
            Seen(what=DISABLED.evolve(department="Legal"), at=10, facts=(LEFT_DISABLED,)),
        ],
    ),
    "another manager is a move": (
        known(ADA.evolve(manager=Manager(id="bob")), Stage.ACTIVE),
        [
            Seen(what=ADA.evolve(manager=Manager(id="eve")), again=60),
            Seen(what=ADA.evolve(manager=Manager(id="eve")), at=60, facts=(Moved(fields=("manager",)),)),
        ],
    ),
    "the manager's new name is not a move": (
        known(ADA.evolve(manager=Manager(id="bob", display_name="Bob")), Stage.ACTIVE),
        [Seen(what=ADA.evolve(manager=Manager(id="bob", display_name="Robert")))],
    ),
    "another name is a rename": (
        ACTIVE,
        [
            Seen(what=ADA.evolve(display_name="Ada L."), again=60),
            Seen(what=ADA.evolve(display_name="Ada L."), at=60, facts=(Renamed(fields=("display_name",)),)),
        ],
    ),
    "moved and renamed at once are two facts": (
        ACTIVE,
        [
            Seen(what=ADA.evolve(display_name="Ada L.", department="Legal"), again=60),
            Seen(
                what=ADA.evolve(display_name="Ada L.", department="Legal"),
                at=60,
                facts=(Moved(fields=("department",)), Renamed(fields=("display_name",))),
            ),
        ],
    ),
    "an empty field filled within 48 hours of joining completes": (
        WAS_JOINER,
        [Seen(what=JOINING.evolve(manager=Manager(id="bob")), at=2 * DAY, facts=(Completed(fields=("manager",)),))],
    ),
    "an empty field filled later is a move": (
        WAS_JOINER,
        [
            Seen(what=JOINING.evolve(manager=Manager(id="bob")), at=2 * DAY + 1, again=2 * DAY + 61),
            Seen(what=JOINING.evolve(manager=Manager(id="bob")), at=2 * DAY + 61, facts=(Moved(fields=("manager",)),)),
        ],
    ),
    "a field changed, not filled, within 48 hours is a move": (
        WAS_JOINER,
        [
            Seen(what=JOINING.evolve(department="Legal"), at=60, again=120),
            Seen(what=JOINING.evolve(department="Legal"), at=120, facts=(Moved(fields=("department",)),)),
        ],
    ),
    "an empty field of somebody who never joined is a move": (
        ACTIVE,
        [
            Seen(what=ADA.evolve(job_title="CFO"), again=60),
            Seen(what=ADA.evolve(job_title="CFO"), at=60, facts=(Moved(fields=("job_title",)),)),
        ],
    ),
    "a role group gained is believed at once": (
        ACTIVE,
        [Seen(what=ADA.evolve(groups=frozenset({DESK})), facts=(RolesChanged(gained=(DESK,)),))],
    ),
    "a role group lost is believed at once": (
        known(ADA.evolve(groups=frozenset({DESK})), Stage.ACTIVE),
        [Seen(what=ADA, facts=(RolesChanged(lost=(DESK,)),))],
    ),
    "a group that stands for no role is nothing": (ACTIVE, [Seen(what=ADA.evolve(groups=frozenset({"ITSM-BreakGlass"})))]),
    "a group lost again within the flap window needs a second look": (
        ACTIVE,
        [
            Seen(what=ADA.evolve(groups=frozenset({DESK})), facts=(RolesChanged(gained=(DESK,)),)),
            Seen(what=ADA, at=30, again=90),
            Seen(what=ADA, at=90, facts=(RolesChanged(lost=(DESK,)),)),
        ],
    ),
    "a group lost and back within the flap window is nothing, after one more look": (
        ACTIVE,
        [
            Seen(what=ADA.evolve(groups=frozenset({DESK})), facts=(RolesChanged(gained=(DESK,)),)),
            Seen(what=ADA, at=30, again=90),
            Seen(what=ADA.evolve(groups=frozenset({DESK})), at=90, again=150),
            Seen(what=ADA.evolve(groups=frozenset({DESK})), at=150),
        ],
    ),
    "a group lost after the flap window is believed at once": (
        ACTIVE,
        [
            Seen(what=ADA.evolve(groups=frozenset({DESK})), facts=(RolesChanged(gained=(DESK,)),)),
            Seen(what=ADA, at=600, facts=(RolesChanged(lost=(DESK,)),)),
        ],
    ),
    "one group flaps, another does not": (
        known(ADA, Stage.ACTIVE, group_decisions={DESK: NOW}),
        [
            Seen(what=ADA.evolve(groups=frozenset({DESK, ADMINS})), at=10, facts=(RolesChanged(gained=(ADMINS,)),), again=70),
            Seen(what=ADA.evolve(groups=frozenset({DESK, ADMINS})), at=70, facts=(RolesChanged(gained=(DESK,)),)),
        ],
    ),
    "a joiner who holds a role group gains it with the first day": (
        NEW,
        [
            Seen(what=JOINING.evolve(groups=frozenset({JOINERS, DESK})), again=60),
            Seen(what=JOINING.evolve(groups=frozenset({JOINERS, DESK})), at=60, facts=(Joined(), RolesChanged(gained=(DESK,)))),
        ],
    ),
    "who was disabled wanted no roles, so they are gained with the first day": (
        known(DISABLED.evolve(groups=frozenset({DESK}))),
        [
            Seen(what=JOINING.evolve(groups=frozenset({JOINERS, DESK})), again=60),
            Seen(what=JOINING.evolve(groups=frozenset({JOINERS, DESK})), at=60, facts=(Joined(), RolesChanged(gained=(DESK,)))),
        ],
    ),
    "who was disabled and is enabled without the joiner group gains the roles of the groups they are in": (
        known(DISABLED.evolve(groups=frozenset({DESK}))),
        [Seen(what=ADA.evolve(groups=frozenset({DESK})), facts=(RolesChanged(gained=(DESK,)),), stage=Stage.ACTIVE)],
    ),
    "whoever is back gains the roles of the groups they are in, old ones too": (
        known(DISABLED.evolve(groups=frozenset({ADMINS})), Stage.LEFT, joined=NOW - timedelta(days=400)),
        [
            Seen(what=ADA.evolve(groups=frozenset({ADMINS, DESK})), again=60),
            Seen(what=ADA.evolve(groups=frozenset({ADMINS, DESK})), at=60, facts=(Returned(), RolesChanged(gained=(ADMINS, DESK)))),
            Seen(what=ADA.evolve(groups=frozenset({ADMINS, DESK})), at=120),
        ],
    ),
    "somebody active who joins, moves and loses a role in one look: nothing is swallowed": (
        known(ADA.evolve(groups=frozenset({DESK})), Stage.ACTIVE),
        [
            Seen(what=JOINING.evolve(department="Legal"), again=60),
            Seen(
                what=JOINING.evolve(department="Legal"), at=60, facts=(Joined(), Moved(fields=("department",)), RolesChanged(lost=(DESK,)))
            ),
        ],
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_evidence_and_time(story: str) -> None:
    """Each look gives these facts and asks for this next look; a second opinion never differs."""
    memory, looks = STORIES[story]
    for look in looks:
        now = NOW + timedelta(seconds=look.at)
        reading = interpret(memory, look.what, POLICY, now)
        assert reading.facts == look.facts, look
        assert reading.look_again_at == (None if look.again is None else NOW + timedelta(seconds=look.again)), look
        assert look.stage in (None, reading.episode.stage), look
        assert reading.why
        memory = after(memory, reading, look.what)


def test_a_return_begins_the_next_episode_and_the_joiner_group_counts_anew() -> None:
    first = interpret(HAS_LEFT, ADA, POLICY, NOW)
    back = interpret(after(HAS_LEFT, first, ADA), ADA, POLICY, NOW + SECOND)
    assert back.episode == Episode(number=2, stage=Stage.ACTIVE)
    memory = after(HAS_LEFT, back, ADA)
    memory = after(memory, interpret(memory, JOINING, POLICY, NOW + SECOND), JOINING)
    assert interpret(memory, JOINING, POLICY, NOW + 2 * SECOND).facts == (Joined(),)


def test_without_a_settle_time_the_first_look_is_enough() -> None:
    policy = replace(POLICY, timing=replace(POLICY.timing, settle_time=timedelta(0), second_look=timedelta(0)))
    assert interpret(NEW, JOINING, policy, NOW).facts == (Joined(),)
    assert interpret(ACTIVE, GONE, policy, NOW).facts == (LEFT_GONE,)


def test_while_a_doubt_is_open_the_baseline_stays() -> None:
    for memory, sighting in ((NEW, JOINING), (ACTIVE, GONE), (HAS_LEFT, ADA), (ACTIVE, JOINING)):
        assert interpret(memory, sighting, POLICY, NOW).baseline is None


def test_a_group_in_doubt_stays_in_the_baseline_as_it_was_while_the_rest_moves_on() -> None:
    memory = known(ADA.evolve(groups=frozenset({DESK})), Stage.ACTIVE, group_decisions={DESK: NOW}, doubts={"moved": NOW - SECOND})
    reading = interpret(memory, ADA.evolve(department="Legal"), POLICY, NOW)
    assert reading.facts == (Moved(fields=("department",)),)
    assert reading.baseline is not None
    assert (reading.baseline.department, reading.baseline.groups) == ("Legal", frozenset({DESK}))


def test_a_post_that_settles_stays_in_the_baseline_as_it_was_while_the_rest_moves_on() -> None:
    reading = interpret(ACTIVE, ADA.evolve(department="Legal", groups=frozenset({DESK})), POLICY, NOW)
    assert reading.facts == (RolesChanged(gained=(DESK,)),)
    assert reading.baseline is not None
    assert (reading.baseline.department, reading.baseline.groups) == ("Finance", frozenset({DESK}))


def test_no_reason_names_a_person() -> None:
    for memory, looks in STORIES.values():
        for look in looks:
            why = interpret(memory, look.what, POLICY, NOW + timedelta(seconds=look.at)).why
            assert not any(word in why for word in ("Ada", "x.example", "Finance", "Legal"))
