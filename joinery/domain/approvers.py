"""Who has to approve, found by walking up from the person; and what came of asking.

No way leads from "nobody can be asked" to "approved": a walk ends with somebody who may approve, or with nobody, which is no approval.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from joinery.domain.identity import classify
from joinery.domain.person import Person, Sighting
from joinery.domain.policy import NoApprover, Policy
from joinery.domain.tickets import Answer

#: What a ``of`` may say: the manager, or ``owner:`` and a mail address.
MANAGER, OWNER = "manager", "owner:"

#: Characters of an answer's note that are quoted; whoever wants all of it reads the answer itself on the ticket.
WORDS_MAX = 500


class ApprovalOutcome(StrEnum):
    """How an approval ended. Only the first is one."""

    APPROVED = "approved"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    #: There is nobody who may approve.
    NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A decided approval, with its evidence."""

    outcome: ApprovalOutcome
    #: Desk id of who decided; empty where nobody did.
    by: str = ""
    #: Directory id of who had been asked; empty where nobody was.
    who: str = ""
    #: ``portal``, ``mail link``, ``agent``, ``delegate``; ``planned`` in a rehearsal.
    how: str = ""
    #: ISO 8601, UTC: when they answered; else when it was given up.
    at: str = ""
    #: A sentence: ids and rules, no names or addresses.
    why: str = ""
    #: What whoever decided wrote with it, as ``quoted`` gives it. Their words: for the ticket, and for what can be erased.
    words: str = ""

    @property
    def approved(self) -> bool:
        """True for an approval alone."""
        return self.outcome is ApprovalOutcome.APPROVED

    @property
    def told(self) -> str:
        """For the ticket: why, and what whoever decided wrote with it."""
        return f'{self.why} They wrote: "{self.words}"' if self.words else self.why


def quoted(words: str) -> str:
    """What somebody wrote, as a quotation for a ticket: one line, at most ``WORDS_MAX`` characters."""
    # In brackets stand the keys by which tickets and notes are found: what others write must not look like one.
    line = " ".join(words.replace("[", "(").replace("]", ")").split())
    return line if len(line) <= WORDS_MAX else f"{line[: WORDS_MAX - 1].rstrip()}…"


def discounted(answer: Answer, asked: tuple[str, ...]) -> str:
    """Why an answer in our round is none, by the row alone; empty where it may be one. ``asked`` are the desk ids of whom we asked."""
    if answer.asked not in asked:
        return "it is an answer of somebody who was not asked"
    if answer.how == "override":
        return "somebody answered in place of whoever was asked"
    if answer.how == "automatic":
        return "no person gave it"
    if answer.by not in ("", answer.asked) and answer.how != "delegate":
        return "somebody else gave it than was asked"
    if answer.how == "delegate" and not answer.by:
        return "it names no delegate"
    return ""


class People(Protocol):
    """Looks people up; every method may raise TryLater or Refused."""

    def look(self, person_id: str) -> Sighting:
        """The person now, with manager and the display names of the watched groups they are in; or their absence."""

    def by_address(self, address: str) -> str | None:
        """The directory id of the one live account with this address; None where there is none or several."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Where a walk ended: whom to ask, and why it is them. ``approver`` None: nobody can be asked."""

    approver: Person | None
    #: One sentence per person passed over, and how the walk came on: ids and rules only.
    trail: tuple[str, ...] = ()


def owner_in(of: tuple[str, ...]) -> str:
    """The address of the first owner that a list of approvers names; empty where it names none."""
    return next((one.removeprefix(OWNER) for one in of if one.startswith(OWNER)), "")


def objection(person: Person, candidate: Sighting, policy: Policy) -> str:
    """Why somebody may not approve what is about ``person``, by ids and rules; empty where they may."""
    return _objection(person, candidate, policy)[1]


def _objection(person: Person, candidate: Sighting, policy: Policy) -> tuple[NoApprover, str]:
    rules = policy.approvals
    if candidate.id.lower() == person.id.lower():
        return rules.themself, "is the person themself"
    if not isinstance(candidate, Person):
        return rules.missing, "is not in the directory"
    if not candidate.account_enabled:
        return rules.disabled, "is disabled"
    identity = classify(candidate, policy.identity)
    if candidate.user_type.casefold() == "guest":
        return rules.guest, "is a guest"
    if not identity.may_be_acted_upon:
        return NoApprover.NEXT, f"is {identity.kind}, and nothing touches such an account ({identity.proof})"
    if away := sorted(candidate.groups & frozenset(rules.away_groups)):
        return rules.away, f"is away (in the group {away[0]!r})"
    return NoApprover.NEXT, ""


def walk(person: Person, of: str, people: People, policy: Policy, *, role_owner: str = "", past: frozenset[str] = frozenset()) -> Route:
    """Find whom to ask: ``of`` is ``manager`` or ``owner:<mail>``.

    Whoever may not approve is passed over as policy says for the cause. ``past`` (directory ids) were asked already: the next manager
    above them is wanted. It always ends: a climb takes at most ``levels`` steps and nobody twice, and each of the three places to start
    from (``of``, the role's owner, the fallback) is begun at once.

    Raises:
        TryLater, Refused: from ``people``.
    """
    return _Walk(person, people, policy, past).go(of, role_owner)


class _Walk:
    """One walk: whom it met, and what it says about them."""

    def __init__(self, person: Person, people: People, policy: Policy, past: frozenset[str]) -> None:
        self._person = person
        self._people = people
        self._policy = policy
        self._past = frozenset(one.lower() for one in past)
        self._met: set[str] = set()
        self._trail: list[str] = []

    def go(self, of: str, role_owner: str) -> Route:
        fallback = self._policy.approvals.fallback
        begun = of.removeprefix(OWNER) if of.startswith(OWNER) else ""
        starts = [("the role's owner", role_owner), ("the fallback", fallback)]
        if begun:
            found, rule = self._climb(self._named(begun, "the owner"))
        else:
            manager = self._person.manager
            if manager is None:
                self._trail.append("no manager is named in the directory")
            found, rule = self._climb(manager.id) if manager else (None, self._policy.approvals.missing)
        for place, address in starts:
            if found is not None:
                break
            if not address or address.casefold() == begun.casefold() or (place == "the role's owner" and rule is not NoApprover.OWNER):
                continue
            self._trail.append(f"{place} is asked instead")
            found, _ = self._climb(self._named(address, place))
        if found is None:
            self._trail.append("nobody is left who could be asked")
        return Route(approver=found, trail=tuple(self._trail))

    def _named(self, address: str, place: str) -> str | None:
        found = self._people.by_address(address)
        if found is None:
            self._trail.append(f"{place} that policy names is not exactly one live account of the directory")
        return found

    def _climb(self, start: str | None) -> tuple[Person | None, NoApprover]:
        """From one person up, as long as the rules say so; returns who may be asked, else what the last rule said."""
        rules = self._policy.approvals
        current, level = start, 1
        while current is not None:
            if current.lower() in self._met:
                self._trail.append(f"{current}: was met before, so this goes round in a circle")
                return None, rules.circle
            if level > rules.levels:
                self._trail.append(f"{current}: is more than {rules.levels} levels up")
                return None, rules.above
            self._met.add(current.lower())
            sighting = self._people.look(current)
            rule, why = _objection(self._person, sighting, self._policy)
            if not why and current.lower() in self._past:
                rule, why = NoApprover.NEXT, "was asked already"
            if not why and isinstance(sighting, Person):
                self._trail.append(f"{current}: is asked")
                return sighting, rule
            self._trail.append(f"{current}: {why}")
            if rule is not NoApprover.NEXT:
                return None, rule
            manager = sighting.manager if isinstance(sighting, Person) else None
            if manager is None:
                self._trail.append(f"{current}: has no manager in the directory")
            current, level = (manager.id if manager else None), level + 1
        return None, rules.missing
