"""The names in a policy that only the desk can know: all findings at once, before a run meets the first of them."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.halo.client import HaloClient
from adapters.halo.names import APPROVAL_PROCESS, CLIENT, ROLE, SITE, STATUS, TEAM, TICKET_TYPE, Names, Noun
from joinery.domain.policy import Policy
from joinery.errors import Finding


def unknown_names(client: HaloClient, policy: Policy, place: str) -> list[Finding]:
    """A finding for each name that the desk does not have, or has twice. Raises TryLater or Refused where it does not answer."""
    names = Names(client)
    found = [problem for key, noun, name in _named(policy) if (problem := _problem(names, noun, name, f"{place}: {key}"))]
    return [*found, *_sites(names, policy, place)]


def _named(policy: Policy) -> Iterator[tuple[str, Noun, str]]:
    """Key, list and name of everything but sites."""
    desk = policy.desk
    for kind, ticket in desk.tickets.items():
        yield f"[desk.tickets.{kind}] ticket_type", TICKET_TYPE, ticket.ticket_type
        yield f"[desk.tickets.{kind}] team", TEAM, ticket.team
    for group, rule in policy.roles.items():
        yield f'[roles."{group}"] role', ROLE, rule.role
        yield f'[roles."{group}"] team', TEAM, rule.team
    if any(rule.approval for rule in policy.roles.values()):
        yield "[desk] approval_process", APPROVAL_PROCESS, desk.approval_process
        yield "[desk] awaiting_status", STATUS, desk.awaiting_status
        yield "[desk] closed_status", STATUS, desk.closed_status


def _sites(names: Names, policy: Policy, place: str) -> Iterator[Finding]:
    """Clients, and the sites of those that exist."""
    desk = policy.desk
    places = [("[desk] default", desk.default_client, desk.default_site)]
    places += [(f"[[desk.site_rules]] number {at}:", rule.client, rule.site) for at, rule in enumerate(desk.site_rules, start=1)]
    for key, client, site in places:
        default = key.endswith("default")
        where = f"{place}: {key}_client" if default else f"{place}: {key} client"
        if problem := _problem(names, CLIENT, client, where):
            yield problem
            continue
        owner = names.find(CLIENT, client)
        number = owner.id if owner is not None and isinstance(owner.id, int) else None
        where = f"{place}: {key}_site" if default else f"{place}: {key} site"
        if problem := _problem(names, SITE, site, where, client_id=number):
            yield problem


def _problem(names: Names, noun: Noun, name: str, place: str, *, client_id: int | None = None) -> Finding | None:
    count = names.count(noun, name, client_id=client_id)
    if count == 1:
        return None
    if count:
        return Finding(
            place=place, problem=f"is {name!r}, and {count} of the desk's {noun.title}s have this name", remedy="Rename all but one."
        )
    there = names.existing(noun, client_id=client_id)
    return Finding(place=place, problem=f"is {name!r}: the desk has no such {noun.title}", remedy=f"Make it there, or use one of: {there}.")
