"""What kind of identity an account is, and the proof. This question comes before every other rule."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from joinery.domain.person import Person
from joinery.domain.policy import IdentityPolicy, KindRule


class Kind(StrEnum):
    """Only a ``MEMBER`` is ever acted upon."""

    MEMBER = "member"
    GUEST = "guest"
    SHARED_MAILBOX = "shared mailbox"
    SERVICE = "service"
    PROTECTED = "protected"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityKind:
    """The kind and the sentence that proves it. The proof names rules and attributes, never a person's data."""

    kind: Kind
    proof: str

    @property
    def may_be_acted_upon(self) -> bool:
        """True for members alone."""
        return self.kind is Kind.MEMBER


def classify(person: Person, policy: IdentityPolicy) -> IdentityKind:
    """Ask the rules in a fixed order: protected, guest, shared mailbox, service, member; whoever fits none is unknown."""
    if proof := _proof(person, policy.protected):
        return IdentityKind(kind=Kind.PROTECTED, proof=proof)
    if person.user_type.casefold() == "guest":
        return IdentityKind(kind=Kind.GUEST, proof="userType is Guest")
    if proof := _proof(person, policy.shared_mailbox):
        return IdentityKind(kind=Kind.SHARED_MAILBOX, proof=proof)
    if proof := _proof(person, policy.service):
        return IdentityKind(kind=Kind.SERVICE, proof=proof)
    if person.user_type.casefold() == "member":
        if person.employee_id:
            return IdentityKind(kind=Kind.MEMBER, proof="userType is Member with an employeeId")
        if person.employee_type:
            return IdentityKind(kind=Kind.MEMBER, proof="userType is Member with an employeeType")
        return IdentityKind(kind=Kind.UNKNOWN, proof="neither employeeId nor employeeType is set")
    return IdentityKind(kind=Kind.UNKNOWN, proof=f"userType is {person.user_type or 'empty'}")


def _proof(person: Person, rule: KindRule) -> str:
    """The first condition of the rule that holds, as a sentence; empty if none does."""
    upn = person.user_principal_name.casefold()
    for prefix in rule.upn_prefixes:
        if upn.startswith(prefix.casefold()):
            return f"userPrincipalName starts with {prefix!r}"
    for employee_type in rule.employee_types:
        if person.employee_type.casefold() == employee_type.casefold():
            return f"employeeType is {employee_type!r}"
    for group in rule.groups:
        if group in person.groups:
            return f"member of the group {group!r}"
    return ""
