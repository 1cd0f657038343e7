"""``joinery settings --online``: the names in a policy that only the directory and the desk can know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from joinery.errors import Finding, Refused, TryLater

if TYPE_CHECKING:
    from joinery.domain.policy import Policy
    from joinery.engine.ports import Directory
    from joinery.settings import Settings


def check_online(settings: Settings, policy: Policy) -> list[Finding]:
    """Every name that neither side knows, all at once; a side that does not answer is a finding, too."""
    from adapters.graph.directory import GraphDirectory
    from adapters.halo.policy_check import unknown_names
    from adapters.system import SystemClock
    from joinery.addresses import with_addresses
    from wiring import graph_of, halo_of

    settings, clock, place = with_addresses(settings), SystemClock(), str(settings.policy)
    findings: list[Finding] = []
    with ExitStack() as stack:
        if settings.graph_url:
            _, tokens, graph = graph_of(settings, clock)
            stack.callback(tokens.close)
            stack.callback(graph.close)
            findings += _answers("JOINERY_GRAPH_URL", lambda: list(unknown_to_directory(GraphDirectory(graph, clock=clock), policy, place)))
        else:
            findings.append(_nowhere("JOINERY_GRAPH_URL", "https://graph.microsoft.com"))
        if settings.halo_url:
            halo = halo_of(settings, clock, None)
            stack.callback(halo.close)
            findings += _answers("JOINERY_HALO_URL", lambda: unknown_names(halo, policy, place))
        else:
            findings.append(_nowhere("JOINERY_HALO_URL", "https://YOURS.haloitsm.com"))
    return findings


def unknown_to_directory(directory: Directory, policy: Policy, place: str) -> Iterator[Finding]:
    """Groups that do not exist or exist twice, and people whom the policy names and nobody is. Raises TryLater or Refused."""
    there = Counter(group.name for group in directory.resolve_groups(policy.watched_groups))
    for group in policy.watched_groups:
        where = f"{place}: group {group!r}"
        if not there[group]:
            yield Finding(place=where, problem="is not in the directory", remedy="Make it, or use the display name of one that is.")
        elif there[group] > 1:
            yield Finding(place=where, problem=f"is the name of {there[group]} groups", remedy="Rename all but the one that is meant.")
    known = {group.name for group in directory.resolve_groups(policy.cut_off.keep_groups)}
    for group in policy.cut_off.keep_groups:
        if group not in known:
            problem = f"names {group!r}, which is not in the directory"
            yield Finding(
                place=f"{place}: [leaver.directory] keep_groups", problem=problem, remedy="Use the display name of a group that is there."
            )
    owners = {
        one.removeprefix("owner:"): group for group, rule in policy.roles.items() for one in rule.approval if one.startswith("owner:")
    }
    named = {mail: f'[roles."{group}"] approval' for mail, group in owners.items()}
    if policy.approvals.fallback:
        named.setdefault(policy.approvals.fallback, "[approvals] fallback")
    for mail, key in named.items():
        person = directory.by_address(mail)
        if person is None:
            problem = f"names {mail!r}, whom the directory does not have as one live account"
            yield Finding(place=f"{place}: {key}", problem=problem, remedy="Name the mail of somebody who works there.")
        elif not person.account_enabled:
            problem = f"names {mail!r}, whose account is disabled"
            yield Finding(place=f"{place}: {key}", problem=problem, remedy="Name somebody who can answer.")


def _answers(place: str, ask: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return ask()
    except (TryLater, Refused) as error:
        return [Finding(place=place, problem=f"gave no answer: {error}", remedy="Look at the address and the credentials, then try again.")]


def _nowhere(place: str, example: str) -> Finding:
    return Finding(
        place=place, problem="is not set, so there is nobody to ask", remedy=f"Use {example}, or --data of a `joinery up` that runs."
    )
