"""Desired roles: from groups, stage, grants and policy; what a grant goes through; what holds for every history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joinery.domain.approvers import Approval, ApprovalOutcome
from joinery.domain.changes import Episode, Reading, Stage
from joinery.domain.events import Joined, RolesChanged
from joinery.domain.policy import Policy, RolePolicy
from joinery.domain.roles import (
    Grant,
    GrantState,
    Membership,
    answered,
    apart,
    decided,
    expired,
    group_of,
    matter,
    next_ending,
    over,
    passed_over,
    wanted,
    with_endings,
)

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
MONTH = timedelta(days=30)
POLICY = Policy(
    roles={
        "Desk": RolePolicy(role="Technician", team="First"),
        "Desk2": RolePolicy(role="Technician", team="Second"),
        "Change": RolePolicy(role="Change Manager", approval=("manager",), lasts=MONTH),
        "Admin": RolePolicy(role="Administrator", approval=("manager", "owner:o@x.example"), administrator=True),
    }
)
ALL = ("Administrator", "Change Manager", "Technician")
YES = Approval(outcome=ApprovalOutcome.APPROVED, by="7", who="bob", how="portal", at="2026-01-05T09:00:00+00:00", why="ok")


def gained(*groups: str, before: dict[str, Grant] | None = None, now: datetime = NOW) -> dict[str, Grant]:
    return decided(RolesChanged(gained=groups), before or {}, POLICY, now)


def test_a_role_that_nobody_has_to_approve_is_wanted_at_once_and_one_that_somebody_has_to_is_asked_for() -> None:
    grants = gained("Desk", "Change")
    state = wanted({"Desk", "Change", "Elsewhere"}, Stage.ACTIVE, grants, POLICY)
    assert (state.roles, state.ours, state.team) == (("Technician",), ALL, "First")
    assert state.asked == (Membership(group="Change", nth=1, role=POLICY.roles["Change"]),)
    assert grants["Desk"].how == "no approval needed" and grants["Change"].how == ""


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.ACTIVE])
def test_whoever_is_not_active_wants_nothing_and_everything_is_ours_to_take(stage: Stage) -> None:
    state = wanted(POLICY.roles.keys(), stage, gained("Desk", "Change"), POLICY)
    assert (state.roles, state.asked, state.ours) == ((), (), ALL)


def test_what_was_there_before_us_is_wanted_where_nobody_has_to_approve_it_and_else_left_as_it_is() -> None:
    state = wanted({"Desk2", "Change"}, Stage.ACTIVE, {}, POLICY)
    assert (state.roles, state.ours, state.team, state.asked) == (("Technician",), ("Administrator", "Technician"), "Second", ())


def test_a_role_is_ours_to_give_and_take_where_one_group_gives_it_and_another_leaves_it_as_it_is() -> None:
    both = Policy(roles={"A": RolePolicy(role="R", approval=("manager",)), "B": RolePolicy(role="R")})
    state = wanted({"A", "B"}, Stage.ACTIVE, {}, both)
    assert (state.roles, state.ours) == (("R",), ("R",))


def test_an_approval_grants_for_as_long_as_policy_says_and_keeps_its_evidence() -> None:
    grant = answered(gained("Change")["Change"], POLICY.roles["Change"], YES, NOW, ticket_id="12")
    assert (grant.state, grant.until, grant.ticket_id) == (GrantState.GRANTED, NOW + MONTH, "12")
    assert (grant.by, grant.who, grant.how, grant.at) == ("7", "bob", "portal", YES.at)
    assert wanted({"Change"}, Stage.ACTIVE, {"Change": grant}, POLICY).roles == ("Change Manager",)


@pytest.mark.parametrize("outcome", [one for one in ApprovalOutcome if one is not ApprovalOutcome.APPROVED])
def test_nothing_but_an_approval_grants(outcome: ApprovalOutcome) -> None:
    grant = answered(gained("Change")["Change"], POLICY.roles["Change"], replace(YES, outcome=outcome), NOW, ticket_id="12")
    state = wanted({"Change"}, Stage.ACTIVE, {"Change": grant}, POLICY)
    assert (grant.state, grant.until, grant.how) == (GrantState.REFUSED, None, str(outcome))
    assert (state.roles, state.asked, state.refused) == ((), (), ("Change",))


def test_each_membership_has_its_own_number_and_what_was_refused_is_refused_for_one_alone() -> None:
    refused = answered(
        gained("Change")["Change"], POLICY.roles["Change"], replace(YES, outcome=ApprovalOutcome.REFUSED), NOW, ticket_id="1"
    )
    lost = decided(RolesChanged(lost=("Change",)), {"Change": refused}, POLICY, NOW)
    again = gained("Change", before=lost)
    assert (lost["Change"].state, lost["Change"].by) == (GrantState.ENDED, "7")
    assert (again["Change"].nth, again["Change"].state, again["Change"].by) == (2, GrantState.ASKED, "")


def test_a_grant_is_over_at_its_date_and_not_a_moment_before() -> None:
    grants = {"Change": answered(gained("Change")["Change"], POLICY.roles["Change"], YES, NOW, ticket_id="1"), **gained("Desk")}
    assert next_ending(grants) == NOW + MONTH
    assert expired(grants, NOW + MONTH - timedelta(seconds=1)) == ()
    assert expired(grants, NOW + MONTH) == ("Change",)
    ended = decided(RolesChanged(ended=("Change",)), grants, POLICY, NOW + MONTH)
    state = wanted({"Change", "Desk"}, Stage.ACTIVE, ended, POLICY)
    assert (next_ending(ended), state.roles, state.ended, state.asked) == (None, ("Technician",), ("Change",), ())


def reading(*facts: Joined | RolesChanged, stage: Stage = Stage.ACTIVE) -> Reading:
    return Reading(facts=facts, why="something", episode=Episode(stage=stage))


def test_an_ending_is_told_with_whatever_else_is_so() -> None:
    grants = {"Change": Grant(nth=1, state=GrantState.GRANTED, since=NOW, until=NOW)}
    assert with_endings(reading(), grants, NOW).facts == (RolesChanged(ended=("Change",)),)
    told = with_endings(reading(Joined(), RolesChanged(gained=("Desk",))), grants, NOW)
    assert told.facts == (Joined(), RolesChanged(gained=("Desk",), ended=("Change",)))
    assert told.why == "something; Change: granted until a date that has passed"


@pytest.mark.parametrize("better", [RolesChanged(lost=("Change",)), RolesChanged(gained=("Change",))])
def test_a_membership_that_is_over_has_ended_for_a_better_reason_than_its_date(better: RolesChanged) -> None:
    grants = {"Change": Grant(nth=1, state=GrantState.GRANTED, since=NOW, until=NOW)}
    assert with_endings(reading(better), grants, NOW).facts == (better,)


def test_nothing_ends_by_a_date_for_somebody_who_is_not_here() -> None:
    grants = {"Change": Grant(nth=1, state=GrantState.GRANTED, since=NOW, until=NOW)}
    assert with_endings(reading(stage=Stage.LEFT), grants, NOW).facts == ()


def test_what_waits_for_somebody_is_a_fact_of_its_own() -> None:
    fact = RolesChanged(gained=("Admin", "Change", "Desk"), lost=("Desk2",), ended=())
    assert apart(fact, POLICY) == (
        RolesChanged(gained=("Desk",), lost=("Desk2",)),
        RolesChanged(gained=("Admin",)),
        RolesChanged(gained=("Change",)),
    )
    assert apart(RolesChanged(gained=("Change",)), POLICY) == (RolesChanged(gained=("Change",)),)


def test_what_came_while_role_changes_were_off_is_as_if_it_had_been_there_before_us() -> None:
    grants = passed_over(RolesChanged(gained=("Change", "Desk")), {}, NOW)
    state = wanted({"Change", "Desk"}, Stage.ACTIVE, grants, POLICY)
    assert (state.roles, state.ours, state.asked) == (("Technician",), ("Administrator", "Technician"), ())


@pytest.mark.parametrize(("group", "nth"), [("ITSM-Admins", 1), ("Odd#name 3", 12)])
def test_a_matter_names_the_group_and_the_membership(group: str, nth: int) -> None:
    assert group_of(matter(group, nth)) == (group, nth)


@pytest.mark.parametrize("other", ["", "move#1", "role of ", "role of X", "role of X#y"])
def test_what_is_about_something_else_names_no_group(other: str) -> None:
    assert group_of(other) is None


# --- every history

ANSWERS = st.sampled_from(ApprovalOutcome)
STEPS = st.one_of(
    st.tuples(st.just("gain"), st.sampled_from(sorted(POLICY.roles))),
    st.tuples(st.just("lose"), st.sampled_from(sorted(POLICY.roles))),
    st.tuples(st.just("answer"), st.tuples(st.sampled_from(sorted(POLICY.roles)), ANSWERS)),
    st.tuples(st.just("days"), st.integers(1, 40)),
    st.tuples(st.just("leave"), st.just("")),
    st.tuples(st.just("ignore"), st.sampled_from(sorted(POLICY.roles))),
)


@given(st.lists(STEPS, max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_history_gives_a_role_without_its_approval_or_after_its_end(history: list[tuple[str, object]]) -> None:
    """An account of its own: who is in what, what was approved for the present membership, and until when."""
    groups: set[str] = set()
    approved: dict[str, datetime] = {}
    grants: dict[str, Grant] = {}
    now, stage = NOW, Stage.ACTIVE
    for what, how in history:
        if what == "days":
            now += timedelta(days=how)  # type: ignore[operator]  # a number of days
            if past := expired(grants, now):
                grants = decided(RolesChanged(ended=past), grants, POLICY, now)
        elif what == "leave":
            stage, approved, grants = Stage.LEFT, {}, over(grants)
            assert wanted(groups, stage, grants, POLICY).roles == ()
            # Whoever is back is in the same groups, and everything is gained anew.
            stage = Stage.ACTIVE
            grants = decided(RolesChanged(gained=tuple(sorted(groups))), grants, POLICY, now)
        elif what in ("gain", "ignore") and how not in groups:
            groups.add(str(how))
            fact = RolesChanged(gained=(str(how),))
            grants = decided(fact, grants, POLICY, now) if what == "gain" else passed_over(fact, grants, now)
        elif what == "lose" and how in groups:
            groups.discard(str(how))
            approved.pop(str(how), None)
            grants = decided(RolesChanged(lost=(str(how),)), grants, POLICY, now)
        elif what == "answer":
            group, outcome = how  # type: ignore[misc]  # a pair
            if group in grants and grants[group].state is GrantState.ASKED:
                grants[group] = answered(grants[group], POLICY.roles[group], replace(YES, outcome=outcome), now, ticket_id="1")
                if outcome is ApprovalOutcome.APPROVED:
                    approved[group] = now + (POLICY.roles[group].lasts or timedelta(days=100_000))
        state = wanted(groups, stage, grants, POLICY)
        free = {POLICY.roles[group].role for group in groups if not POLICY.roles[group].approval}
        bought = {POLICY.roles[group].role for group, until in approved.items() if group in groups and until > now}
        assert set(state.roles) == free | bought
        assert set(state.roles) <= set(state.ours) <= set(ALL)
        assert not {membership.role.role for membership in state.asked} & set(state.roles)
