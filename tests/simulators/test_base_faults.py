"""Fault rules: what they strike, how often, and what a wrong one is told."""

import pytest

from simulators.faults import BadRule, FaultBook


def book(*rules: dict[str, object]) -> FaultBook:
    faults = FaultBook(frozenset({"drop"}))
    faults.replace(list(rules))
    return faults


def test_a_rule_strikes_once_unless_it_says_otherwise() -> None:
    faults = book({"match": {"method": "post", "path": "/api/Tickets"}, "fault": "lost_response"})
    assert faults.take("GET", "/api/Tickets") is None
    assert faults.take("POST", "/api/Tickets/1") is None
    assert faults.take("POST", "/api/tickets") is not None
    assert faults.take("POST", "/api/Tickets") is None
    assert faults.rules()[0]["times"] == 0


def test_null_times_strike_for_ever_and_no_path_means_every_path() -> None:
    faults = book({"match": {}, "fault": "slow", "times": None})
    assert all(faults.take("GET", f"/{n}") for n in range(50))
    assert faults.rules()[0]["times"] is None


def test_after_lets_the_first_matches_pass_and_every_rule_counts_them() -> None:
    faults = book({"match": {"path": "/x"}, "fault": "lost_response"}, {"match": {"path": "/x"}, "fault": "status", "after": 1})
    struck = [faults.take("GET", "/x") for _ in range(3)]
    assert [rule and rule.fault for rule in struck] == ["lost_response", "status", None]


def test_probability_with_a_seed_strikes_the_same_calls_again() -> None:
    rule: dict[str, object] = {"match": {}, "fault": "slow", "times": None, "probability": 0.5, "seed": 7}
    one, two = book(rule), book(rule)
    pattern = [one.take("GET", "/") is not None for _ in range(40)]
    assert pattern == [two.take("GET", "/") is not None for _ in range(40)]
    assert 5 < sum(pattern) < 35


def test_a_kind_is_taken_whatever_its_match_unless_paths_are_given() -> None:
    faults = book({"match": {"path": "/users"}, "fault": "drop", "times": None})
    assert faults.take("GET", "/users") is None
    assert faults.take_kind("drop") is not None
    assert faults.take_kind("drop", "POST", "Users/1", "/users") is not None
    assert faults.take_kind("drop", "POST", "Groups/1", "/groups") is None


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("lost", "JSON object"),
        ({"fault": "explode"}, "lost_response"),
        ({"match": {}, "fault": "slow", "dealy": 3}, "dealy"),
        ({"match": {"url": "/"}, "fault": "slow"}, "method, path"),
        ({"match": [], "fault": "slow"}, "match"),
        ({"match": {"path": 3}, "fault": "slow"}, "match.path"),
        ({"fault": "slow", "times": "2"}, "times"),
        ({"fault": "slow", "times": True}, "times"),
        ({"fault": "slow", "after": -1}, "after"),
        ({"fault": "slow", "probability": 1.5}, "probability"),
        ({"fault": "slow", "delay": float("nan")}, "delay"),
        ({"fault": "slow", "seed": 1.5}, "seed"),
        ({"fault": "status", "status": 99}, "status"),
        ({"fault": "status", "headers": {"A": "b\r\nC: d"}}, "headers"),
        ({"fault": "throttle", "retry_after": []}, "retry_after"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_place_and_remedy_and_the_old_ones_stay(rule: object, words: str) -> None:
    faults = book({"fault": "slow"})
    with pytest.raises(BadRule, match="rule 1: ") as told:
        faults.replace([{"fault": "throttle"}, rule])
    assert words in str(told.value)
    assert [kept["fault"] for kept in faults.rules()] == ["slow"]


def test_the_book_takes_only_a_list() -> None:
    with pytest.raises(BadRule, match="list"):
        FaultBook().replace({"fault": "slow"})
