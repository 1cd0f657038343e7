"""Ring on or off, shadow, pause."""

from __future__ import annotations

from joinery.domain.guard import Pauses, Verdict, guard
from joinery.domain.person import Person
from joinery.domain.policy import Policy, Ring, WorkflowPolicy


def test_each_ring_has_its_verdict_and_what_is_not_named_is_off() -> None:
    policy = Policy(workflows={ring.value: WorkflowPolicy(ring=ring) for ring in Ring})
    verdicts = {name: guard(name, policy).verdict for name in ("off", "shadow", "everyone", "unheard of")}
    assert verdicts == {"off": Verdict.RECORD, "shadow": Verdict.SHADOW, "everyone": Verdict.ACT, "unheard of": Verdict.RECORD}


def test_in_the_pilot_runs_act_for_the_group_and_everybody_elses_are_rehearsed() -> None:
    policy = Policy(workflows={"mover": WorkflowPolicy(ring=Ring.PILOT, pilot_group="Pilot")})
    inside, outside = Person(id="a", groups=frozenset({"Pilot"})), Person(id="a")
    assert guard("mover", policy, inside).verdict is Verdict.ACT
    assert guard("mover", policy, outside).verdict is Verdict.SHADOW
    assert guard("mover", policy, outside, inside).verdict is Verdict.ACT, "leaving the group is no way around it"
    assert guard("mover", policy).verdict is Verdict.SHADOW


def test_departments_are_compared_without_case_and_an_empty_one_is_nobodys() -> None:
    policy = Policy(workflows={"mover": WorkflowPolicy(ring=Ring.DEPARTMENTS, departments=("Finance",))})
    assert guard("mover", policy, Person(id="a", department="finance ")).verdict is Verdict.ACT
    assert guard("mover", policy, Person(id="a", department="")).verdict is Verdict.SHADOW
    assert guard("mover", policy, Person(id="a", department="Sales"), Person(id="a", department="Finance")).verdict is Verdict.ACT


def test_a_fact_without_a_recipe_is_recorded_as_such() -> None:
    decision = guard(None, Policy())
    assert (decision.verdict, decision.why) == (Verdict.RECORD, "no recipe")


def test_a_pause_of_everything_comes_before_a_pause_of_one() -> None:
    assert Pauses(reasons={"*": "all", "joiner": "one"}).reason_for("joiner") == "all"
    assert Pauses(reasons={"joiner": "one"}).reason_for("joiner") == "one"
    assert Pauses(reasons={"joiner": "one"}).reason_for("leaver") is None
    assert Pauses(reasons={"*": ""}).reason_for("leaver") == "", "a pause without a reason is a pause"
