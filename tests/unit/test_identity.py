"""What kind of identity an account is: the rules, their order, and proofs that name no person."""

from __future__ import annotations

import pytest

from joinery.domain.identity import Kind, classify
from joinery.domain.person import Person
from joinery.domain.policy import IdentityPolicy, KindRule

MEMBER = Person(id="1", user_principal_name="lovelace@x", user_type="Member", employee_id="E1", display_name="Ada Lovelace")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, Kind.MEMBER),
        ({"employee_id": "", "employee_type": "Employee"}, Kind.MEMBER),
        ({"user_type": "member"}, Kind.MEMBER),
        ({"employee_id": ""}, Kind.UNKNOWN),
        ({"user_type": ""}, Kind.UNKNOWN),
        ({"user_type": "Robot"}, Kind.UNKNOWN),
        ({"user_type": "Guest"}, Kind.GUEST),
        ({"user_type": "guest", "employee_id": "E1"}, Kind.GUEST),
        ({"user_principal_name": "shared-room@x"}, Kind.SHARED_MAILBOX),
        ({"employee_type": "shared mailbox"}, Kind.SHARED_MAILBOX),
        ({"user_principal_name": "SVC-backup@x"}, Kind.SERVICE),
        ({"employee_type": "Service Account"}, Kind.SERVICE),
        ({"user_principal_name": "BreakGlass1@x"}, Kind.PROTECTED),
        ({"groups": frozenset({"ITSM-BreakGlass"})}, Kind.PROTECTED),
        ({"groups": frozenset({"ITSM-BreakGlass"}), "user_type": "Guest"}, Kind.PROTECTED),
        ({"user_principal_name": "breakglass@x", "employee_type": "Service"}, Kind.PROTECTED),
        ({"user_principal_name": "x-breakglass@x"}, Kind.MEMBER),
    ],
)
def test_what_kind_of_identity_it_is(changes: dict[str, object], kind: Kind) -> None:
    identity = classify(MEMBER.evolve(**changes), IdentityPolicy())
    assert identity.kind is kind
    assert identity.may_be_acted_upon is (kind is Kind.MEMBER)
    assert identity.proof and "ovelace" not in identity.proof and "E1" not in identity.proof


def test_a_rule_without_conditions_fits_nobody() -> None:
    nothing = IdentityPolicy(protected=KindRule(), shared_mailbox=KindRule(), service=KindRule())
    assert classify(MEMBER.evolve(user_principal_name="breakglass@x"), nothing).kind is Kind.MEMBER
