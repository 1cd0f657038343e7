"""What an answer means to `joinery doctor`: tables of clocks, ends, permissions and subscriptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from joinery.doctor.checkup import State
from joinery.doctor.judging import judge_end, judge_permissions, judge_scopes, judge_skew, judge_subscription, skew
from joinery.doctor.permissions import DESK_SCOPES, PERMISSIONS, needed_to_read, needed_to_write
from joinery.domain.policy import CutOffPolicy, OnRefused, Policy, RolePolicy

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, 9, 0, 0, tzinfo=UTC)
READS = frozenset({"User.Read.All", "Group.Read.All"})
REMOVING = replace(Policy(), roles={"G": RolePolicy(role="R", on_refused=OnRefused.REMOVE)})
SIGNING_OUT = replace(Policy(), cut_off=CutOffPolicy(revoke_sessions=True))
CUTTING_OFF = replace(Policy(), cut_off=CutOffPolicy(revoke_sessions=True, remove_from_groups=True))


@pytest.mark.parametrize(
    ("ahead", "took", "surely"),
    [
        (0, 0, 0),
        # The header has whole seconds, cut off: at 9:00:00.9 somebody whose clock is right says 9:00:00.
        (0.9, 0, 0),
        (4, 0, 3),
        (-4, 0, -4),
        (90, 0, 89),
        # It was dated at some moment of the way there and back.
        (10, 4, 9),
        (-10, 4, -6),
        (-1, 4, 0),
    ],
)
def test_a_clock_is_off_by_what_neither_the_way_nor_the_whole_seconds_explain(ahead: float, took: float, surely: float) -> None:
    """``ahead``: when our question left, ours was so many seconds ahead of what the answer says."""
    assert skew(NOW, NOW + timedelta(seconds=ahead), timedelta(seconds=took)) == timedelta(seconds=surely)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, State.WELL), (5, State.WELL), (6, State.WARNING), (-60, State.WARNING), (61, State.FAILED), (-3600, State.FAILED)],
)
def test_a_clock_that_is_off_is_a_warning_from_five_seconds_and_fails_from_a_minute(seconds: int, state: State) -> None:
    found = judge_skew("Graph", timedelta(seconds=seconds))
    assert found.state is state
    if state is not State.WELL:
        assert f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} that of Graph" in found.cause


@pytest.mark.parametrize(
    ("days", "state", "words"),
    [
        (61, State.WELL, "in 61 days"),
        (59, State.WARNING, "in 59 days"),
        (29, State.WARNING, "in 29 days"),
        (6, State.FAILED, "in 6 days"),
        (1, State.FAILED, "in 1 day"),
        (-1, State.FAILED, "ended on"),
    ],
)
def test_what_ends_is_planned_at_sixty_days_renewed_at_thirty_and_fails_at_seven(days: int, state: State, words: str) -> None:
    found = judge_end("the secret", NOW + timedelta(days=days), NOW, "Make another.")
    assert (found.state, words in found.cause) == (state, True)
    assert found.remedy == {59: "Plan it: make another.", 29: "Make another.", 6: "Today: make another.", 1: "Today: make another."}.get(
        days, "Make another." if days < 0 else ""
    )


@pytest.mark.parametrize(
    ("granted", "policy", "found"),
    [
        (READS, Policy(), []),
        (READS | {"GroupMember.ReadWrite.All"}, REMOVING, []),
        ({"User.Read.All"}, Policy(), [(State.FAILED, "Group.Read.All is not granted")]),
        (READS, REMOVING, [(State.FAILED, "GroupMember.ReadWrite.All is not granted")]),
        (
            READS | {"GroupMember.ReadWrite.All"},
            Policy(),
            [(State.FAILED, "GroupMember.ReadWrite.All is granted, and nothing here needs it")],
        ),
        (READS | {"User.ReadWrite.All"}, Policy(), [(State.FAILED, "cut short, deletes the user")]),
        (READS | {"Directory.Read.All"}, Policy(), [(State.WARNING, "Directory.Read.All is granted")]),
        (
            {"Mail.Read"},
            Policy(),
            [(State.FAILED, "User.Read.All is"), (State.FAILED, "Group.Read.All is"), (State.FAILED, "Mail.Read is")],
        ),
    ],
)
def test_each_permission_too_few_or_too_many_is_named(granted: set[str], policy: Policy, found: list[tuple[State, str]]) -> None:
    judged = list(judge_permissions(frozenset(granted), needed_to_read(policy, writes_too=True)))
    assert [one.state for one in judged] == [state for state, _ in found]
    assert all(words in one.cause for one, (_, words) in zip(judged, found, strict=True)), judged
    assert all(one.remedy for one in judged)


def test_a_tolerated_permission_is_neither_missed_nor_too_many() -> None:
    needed = needed_to_read(Policy(), writes_too=True)
    assert list(judge_permissions(READS | {"Application.Read.All"}, needed, tolerates=["Application.Read.All"])) == []
    assert [one.state for one in judge_permissions(READS | {"Application.Read.All"}, needed)] == [State.FAILED]


@pytest.mark.parametrize(
    ("scopes", "words"),
    [
        (set(DESK_SCOPES), []),
        ({"all"}, []),
        ({"all:standard"}, []),
        ({"admin"}, ["may administer the desk"]),
        (set(DESK_SCOPES) - {"edit:customers"}, ["edit:customers is not granted"]),
        (set(DESK_SCOPES) | {"edit:assets", "read:reporting"}, ["edit:assets is granted", "read:reporting is granted"]),
    ],
)
def test_each_scope_on_the_desk_too_few_or_too_many_is_named(scopes: set[str], words: list[str]) -> None:
    judged = list(judge_scopes(frozenset(scopes)))
    assert len(judged) == len(words)
    assert all(one.state is State.FAILED and word in one.cause for one, word in zip(judged, words, strict=True)), judged


@pytest.mark.parametrize(
    ("days", "state"),
    [(28, State.WELL), (13.5, State.WELL), (12, State.WARNING), (2, State.FAILED), (-1, State.FAILED), (None, State.FAILED)],
)
def test_a_subscription_that_nobody_renews_is_found_before_it_ends(days: float | None, state: State) -> None:
    assert judge_subscription("/users", None if days is None else NOW + timedelta(days=days), NOW).state is state


# --- one table, and everybody who repeats it ---


def _granted_by_the_script(name: str) -> set[tuple[str, str]]:
    text = (ROOT / "infra" / "grant-graph.sh").read_text()
    block = re.search(rf"^{name}='\n(.*?)'$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    return {(role, number) for role, number in (line.split() for line in block[1].splitlines())}


def _first_cells(page: str) -> Iterator[str]:
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\| `([A-Z]\w+(?:\.\w+)+)` \|", line):
            yield found[1]


@pytest.mark.parametrize(
    ("policy", "reads", "writes"),
    [
        (Policy(), READS, set()),
        (REMOVING, READS, {"GroupMember.ReadWrite.All"}),
        (SIGNING_OUT, READS, {"User.RevokeSessions.All"}),
        (CUTTING_OFF, READS, {"GroupMember.ReadWrite.All", "User.RevokeSessions.All"}),
    ],
)
def test_whoever_reads_needs_nothing_that_writes_where_another_identity_does(policy: Policy, reads: set[str], writes: set[str]) -> None:
    assert {one.name for one in needed_to_read(policy, writes_too=False)} == reads
    assert {one.name for one in needed_to_read(policy, writes_too=True)} == reads | writes
    assert {one.name for one in needed_to_write(policy)} == writes


def test_the_script_grants_what_is_needed_and_no_more() -> None:
    assert _granted_by_the_script("grants") == {(one.name, one.role_id) for one in needed_to_read(CUTTING_OFF, writes_too=False)}
    # --remove-members gives the first to the identity that reads, --writes gives both to the one that writes.
    assert _granted_by_the_script("members") == {(one.name, one.role_id) for one in needed_to_write(REMOVING)}
    assert _granted_by_the_script("sessions") == {(one.name, one.role_id) for one in needed_to_write(SIGNING_OUT)}


@pytest.mark.parametrize("page", ["infra/README.md", "docs/edges/graph.md"])
def test_the_pages_list_each_permission_that_is_needed(page: str) -> None:
    assert {one.name for one in PERMISSIONS} <= set(_first_cells(page))


def test_the_infra_page_names_the_scopes_that_are_needed_on_the_desk() -> None:
    assert f"`{' '.join(DESK_SCOPES)}`" in (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
