"""Which client and site a person belongs to, by the rules in policy with an explicit fallback."""

from __future__ import annotations

from dataclasses import dataclass, fields

from adapters.halo import wire
from adapters.halo.deadline import Deadline
from adapters.halo.names import CLIENT, SITE, Names
from joinery.domain.person import Person
from joinery.domain.policy import DeskPolicy
from joinery.errors import Refused

_PERSON_FIELDS = frozenset(field.name for field in fields(Person))


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A site on the desk and the client it belongs to."""

    client_id: int
    site_id: int


def place_of(person: Person, policy: DeskPolicy, names: Names, *, deadline: Deadline | None = None) -> Place:
    """The place of the first rule that fits, else the default. Raises Refused where a name does not resolve, or TryLater."""
    client, site, client_key, site_key = policy.default_client, policy.default_site, "[desk] default_client", "[desk] default_site"
    for number, rule in enumerate(policy.site_rules, start=1):
        if wire.same(_value(person, rule.attribute, number), rule.value):
            client, site = rule.client, rule.site
            client_key, site_key = (f"[[desk.site_rules]] number {number}, {member}" for member in ("client", "site"))
            break
    client_id = names.resolve(CLIENT, client, policy_key=client_key, deadline=deadline).id
    site_id = names.resolve(SITE, site, policy_key=site_key, client_id=int(client_id), deadline=deadline).id
    return Place(client_id=int(client_id), site_id=int(site_id))


def _value(person: Person, attribute: str, number: int) -> str:
    """A text field of the person."""
    value = getattr(person, attribute, None) if attribute in _PERSON_FIELDS else None
    if not isinstance(value, str):
        raise Refused(f"policy.toml: [[desk.site_rules]] number {number}, attribute = {attribute!r}: not a text field of a person")
    return value
