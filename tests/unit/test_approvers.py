"""Whom a walk asks, for each cause that lets it pass somebody over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from joinery.domain.approvers import Approval, ApprovalOutcome, Route, owner_in, walk
from joinery.domain.person import Absence, Manager, Person, Sighting
from joinery.domain.policy import ApprovalPolicy, NoApprover, Policy

FALLBACK = "board@contoso.example"
OWNER = "owner@contoso.example"


class Staff:
    """People by id; an address finds whoever has it alone."""

    def __init__(self, *people: Person) -> None:
        self.by_id = {one.id: one for one in people}
        self.looks: list[str] = []

    def look(self, person_id: str) -> Sighting:
        self.looks.append(person_id)
        return self.by_id.get(person_id, Absence(id=person_id, soft_deleted=False))

    def by_address(self, address: str) -> str | None:
        found = [one.id for one in self.by_id.values() if one.mail == address]
        return found[0] if len(found) == 1 else None


def staff(identity: str, manager: str | None = None, **fields: Any) -> Person:
    plain: dict[str, Any] = {
        "mail": f"{identity}@contoso.example",
        "user_type": "Member",
        "employee_id": identity,
        "manager": Manager(id=manager) if manager else None,
    }
    groups = frozenset(fields.pop("groups", ()))
    return Person(id=identity, **{**plain, **fields}, groups=groups)


COMPANY = (staff("ada", "bob"), staff("bob", "eve"), staff("eve", "top"), staff("top"), staff("board"), staff("owner"))


def policy(**approvals: Any) -> Policy:
    return Policy(approvals=ApprovalPolicy(**{"fallback": FALLBACK, **approvals}))


def company(*changed: Person) -> Staff:
    return Staff(*{**{one.id: one for one in COMPANY}, **{one.id: one for one in changed}}.values())


def asked(people: Staff, rules: Policy, of: str = "manager", **more: Any) -> Route:
    return walk(people.by_id["ada"], of, people, rules, **more)


def who(route: Route) -> str | None:
    return route.approver.id if route.approver else None


def test_the_manager_is_asked() -> None:
    route = asked(company(), policy())
    assert who(route) == "bob"
    assert route.trail == ("bob: is asked",)


def test_an_owner_is_asked_by_the_address_that_policy_names() -> None:
    assert who(asked(company(), policy(), of=f"owner:{OWNER}")) == "owner"


@pytest.mark.parametrize(
    ("cause", "bob", "why"),
    [
        ("disabled", {"account_enabled": False}, "bob: is disabled"),
        ("away", {"groups": ("On leave",)}, "bob: is away (in the group 'On leave')"),
        ("guest", {"user_type": "Guest"}, "bob: is a guest"),
    ],
)
def test_whoever_cannot_be_asked_is_passed_over_as_policy_says(cause: str, bob: dict[str, Any], why: str) -> None:
    people = company(staff("bob", "eve", **bob))
    for rule, expected in ((NoApprover.NEXT, "eve"), (NoApprover.OWNER, "owner"), (NoApprover.FALLBACK, "board")):
        route = asked(people, policy(away_groups=("On leave",), **{cause: rule}), role_owner=OWNER)
        assert who(route) == expected
        assert why in route.trail


def test_a_missing_manager_leads_to_the_fallback_or_the_owner() -> None:
    people = company(staff("ada"))
    assert who(asked(people, policy())) == "board"
    assert who(asked(people, policy(missing=NoApprover.OWNER), role_owner=OWNER)) == "owner"
    # Above nobody there is nobody.
    assert who(asked(people, policy(missing=NoApprover.NEXT))) == "board"


def test_a_deleted_manager_counts_as_missing() -> None:
    people = company(staff("ada", "gone"))
    route = asked(people, policy())
    assert who(route) == "board"
    assert "gone: is not in the directory" in route.trail


def test_nobody_approves_for_themself() -> None:
    people = company(staff("ada", "ada"))
    for rule in NoApprover:
        assert who(asked(people, policy(themself=rule), role_owner=OWNER)) in ("board", "owner")
    # Not even where policy names them.
    assert who(asked(company(staff("ada")), policy(fallback="ada@contoso.example"))) is None


def test_a_circle_of_managers_ends_at_the_fallback() -> None:
    people = company(staff("bob", "eve", account_enabled=False), staff("eve", "bob", account_enabled=False))
    for rule in NoApprover:
        assert who(asked(people, policy(circle=rule))) == "board"
    assert sorted(people.looks).count("bob") == 3


def test_the_walk_does_not_climb_above_its_level() -> None:
    people = company(staff("bob", "eve", account_enabled=False), staff("eve", "top", account_enabled=False))
    assert who(asked(people, policy())) == "top"
    assert who(asked(people, policy(levels=2))) == "board"


@pytest.mark.parametrize(
    "bob",
    [
        {"user_principal_name": "breakglass1@contoso.example"},
        {"user_principal_name": "svc-robot@contoso.example"},
        {"employee_id": ""},
        {"user_type": ""},
    ],
)
def test_protected_service_and_unclassified_accounts_are_never_asked(bob: dict[str, Any]) -> None:
    assert who(asked(company(staff("bob", "eve", **bob)), policy())) == "eve"
    assert who(asked(company(staff("board", None, **bob), staff("ada")), policy())) is None


def test_whoever_was_asked_already_is_climbed_past() -> None:
    assert who(asked(company(), policy(), past=frozenset({"bob"}))) == "eve"
    assert who(asked(company(), policy(), past=frozenset({"BOB", "eve", "top"}))) == "board"
    assert who(asked(company(), policy(), past=frozenset({"bob", "eve", "top", "board"}))) is None


def test_without_a_fallback_nobody_is_asked() -> None:
    route = asked(company(staff("ada")), policy(fallback=""))
    assert who(route) is None
    assert route.trail == ("no manager is named in the directory", "nobody is left who could be asked")


def test_an_address_that_two_accounts_share_names_nobody() -> None:
    people = company(staff("board", mail=FALLBACK), staff("board2", mail=FALLBACK), staff("ada"))
    assert who(asked(people, policy())) is None


def test_the_trail_holds_ids_and_rules_and_no_addresses() -> None:
    people = company(staff("bob", "eve", account_enabled=False), staff("eve", None, groups=("On leave",)))
    trail = asked(people, policy(away_groups=("On leave",)), role_owner=OWNER).trail
    assert not [line for line in trail if "@" in line]


def test_the_first_owner_of_a_list_is_the_roles_owner() -> None:
    assert owner_in(("manager", f"owner:{OWNER}", "owner:x@contoso.example")) == OWNER
    assert owner_in(("manager",)) == ""


def test_only_approved_is_an_approval() -> None:
    approved = Approval(outcome=ApprovalOutcome.APPROVED)
    assert approved.approved
    assert not any(replace(approved, outcome=outcome).approved for outcome in ApprovalOutcome if outcome is not ApprovalOutcome.APPROVED)
