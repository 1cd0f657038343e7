"""A day at Contoso, played through the public APIs of the stand-ins: people join and leave, somebody asks for a role, and an answer gets lost.

The play knows the two addresses and nothing of Joinery. Which day it is, and who is still there to leave, it reads from
the pretend Graph, so that the next start goes on with another day.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import httpx

from simulators.company import BREAK_GLASS, OFFICES, address_of, new_account
from simulators.driver import GraphDriver, HaloDriver, PortalDriver

#: Invented names; 23 and 29 share no factor, so that 667 pairs come before one repeats.
_FIRST = (
    "Amara", "Jonas", "Sana", "Tevita", "Noemi", "Arjun", "Freya", "Kwame", "Lucía", "Mikhail", "Hana", "Declan",
    "Zanele", "Matthias", "Ayşe", "Rafael", "Ngozi", "Elias", "Marama", "Kenji", "Isolde", "Omar", "Beatriz",
)  # fmt: skip
_LAST = (
    "Okafor", "Weller", "Iqbal", "Faleolo", "Bianchi", "Menon", "Halvorsen", "Boateng", "Paredes", "Sokolov", "Ito", "Keane",
    "Ndlovu", "Steiner", "Kaya", "Queiroz", "Eze", "Lindqvist", "Ngata", "Mori", "Harcourt", "Farouk", "Carvalho", "Dasgupta",
    "Vermeer", "Castillo", "Abebe", "Rahimi", "Whelan",
)  # fmt: skip
_POSTS = (
    ("Sales", "Account manager"),
    ("Operations", "Logistics planner"),
    ("Finance", "Analyst"),
    ("IT", "Service desk analyst"),
    ("People", "Recruiter"),
)
#: Marks the people of the play: the day and their place in it.
_EMPLOYEE_ID = re.compile(r"D(\d+)-\d+")
_AGENTS = "ITSM-ServiceDesk"
#: How many accounts are disabled at once on the first day, and in which department. Later days have no such wave: the company is small.
_WAVE, _STRUCK = 6, "Sales"
#: Longest wait of a manager for a question, and how often they look: seconds.
_ASKED_MAX, _LOOKS = 30.0, 0.2
#: The employee id of the head of the seeded company: with nobody who has it there is no company to play with.
_HEAD = "C1001"
_FIELDS = "id,displayName,userPrincipalName,mail,employeeId,department,jobTitle,accountEnabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a reader of the play may expect for one person: a workflow, or with None that nobody touches anything."""

    person_id: str
    name: str
    workflow: str | None
    #: Somebody has to answer a question before it ends, and has not done so yet.
    asks: bool = False
    #: Role that they have at the end, and the roles of their agents just before the answer.
    role: str = ""
    before: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """One thing that happens at the company; ``do`` makes it happen and returns what may be expected of it."""

    title: str
    do: Callable[[], list[Expected]]


class Play:
    """One day. Raises httpx.HTTPError where a stand-in does not answer."""

    def __init__(
        self,
        graph_url: str,
        halo_url: str,
        *,
        joiner_group: str = "ITSM-NewJoiner",
        role_group: str = "ITSM-ChangeManagers",
        role: str = "Change Manager",
    ) -> None:
        """``role_group`` stands for ``role``, which the manager has to approve; nobody asks for one where it is empty."""
        self._graph = GraphDriver(graph_url)
        self._halo = HaloDriver(halo_url)
        self._joiner_group = joiner_group
        self._role_group, self._role = role_group, role
        self._people = self._read_people()
        #: 1 for the first day.
        self.day = 1 + max((self._day_of(one) for one in self._people), default=0)
        self._made: dict[str, str] = {}
        self.acts: list[Act] = list(self._todays_acts()) if self.has_company else []

    @property
    def has_company(self) -> bool:
        """Whether the pretend Graph holds the seeded company."""
        return any(one.get("employeeId") == _HEAD for one in self._people)

    @property
    def title(self) -> str:
        """What the day is called."""
        return "A first day" if self.day == 1 else f"Day {self.day}"

    def perform(self, tell: Callable[[str], None], pause: Callable[[list[Expected]], bool]) -> list[Expected]:
        """Play every act: its title goes to ``tell``, then it happens, then ``pause`` (True ends the play).

        Returns what may be expected at the end; what a later act says of the same takes the place of what an earlier one said.
        """
        expected: dict[tuple[str, str | None], Expected] = {}
        for act in self.acts:
            tell(act.title)
            happened = act.do()
            expected |= {(one.person_id, one.workflow): one for one in happened}
            if pause(happened):
                break
        return list(expected.values())

    def close(self) -> None:
        """Close the connections."""
        self._graph.close()
        self._halo.close()

    # --- who is there ---

    def _read_people(self) -> list[dict[str, Any]]:
        path = f"/users?$select={_FIELDS}&$top=999"
        found: list[dict[str, Any]] = []
        while path:
            page = self._graph.call("GET", path)
            found += page["value"]
            path = str(page.get("@odata.nextLink", "")).partition("/v1.0")[2]
        return found

    @staticmethod
    def _day_of(person: dict[str, Any]) -> int:
        match = _EMPLOYEE_ID.fullmatch(person.get("employeeId") or "")
        return int(match[1]) if match else 0

    def _head_of(self, department: str) -> dict[str, Any]:
        """The head of a department, or whoever leads the company where that one has left."""
        active = [one for one in self._people if one["accountEnabled"]]
        heads = [one for one in active if one.get("department") == department and str(one.get("jobTitle")).startswith("Head of")]
        return (heads or [one for one in active if one.get("employeeId") == _HEAD] or active)[0]

    def _may_leave(self) -> list[dict[str, Any]]:
        """Enabled employees that nobody reports to."""
        return [
            one
            for one in self._people
            if one["accountEnabled"] and one.get("employeeId") and not re.match("Head of|Chief|Service desk lead", str(one.get("jobTitle")))
        ]

    def _new_names(self) -> Iterator[str]:
        taken = {str(one["userPrincipalName"]).lower() for one in self._people}
        start = (self.day - 1) * 3
        for k in count(start):
            name = f"{_FIRST[k % len(_FIRST)]} {_LAST[k % len(_LAST)]}"
            if k - start > len(_FIRST) * len(_LAST):
                # Everybody has worked here by now; a number keeps addresses apart.
                name = f"{name} {k}"
            if address_of(name) not in taken:
                yield name

    # --- the acts ---

    def _todays_acts(self) -> Iterator[Act]:
        first, second, third = islice(self._new_names(), 3)
        posts = [_POSTS[(self.day + at) % len(_POSTS)] for at in (-1, 0, 1)]
        heads = [self._head_of(department) for department, _ in posts]
        yield Act(
            title=f"HR: {first} starts on Monday as {_a(posts[0][1])}; {heads[0]['displayName']} is the manager",
            do=lambda: [self._join(first, 1, posts[0], manager=heads[0]["id"])],
        )
        yield Act(
            title=f"HR: {second} starts too, as {_a(posts[1][1])}; nobody has named a manager yet",
            do=lambda: [self._join(second, 2, posts[1], manager=None)],
        )
        leavers = self._may_leave()
        agents = self._members(_AGENTS)
        agent = next((one for one in leavers if one["id"] in agents), None)
        if agent is not None:
            yield Act(
                title=f"HR: {agent['displayName']} has left, an agent of the service desk; the account is disabled",
                do=lambda: self._disable(agent),
            )
        broken = next((one for one in self._people if one["userPrincipalName"] == BREAK_GLASS), None)
        if broken is not None:
            change = "disables" if broken["accountEnabled"] else "enables"
            yield Act(
                title=f"Security: somebody {change} the break-glass account; nobody may touch that one", do=lambda: self._toggle(broken)
            )
        yield Act(
            title=f"Network: the desk's next answer will get lost. HR: {third} starts on Monday; does a second ticket appear?",
            do=lambda: self._join_with_a_lost_answer(third, posts[2], heads[2]["id"]),
        )
        yield Act(
            title=f"HR: {second}'s manager is known now: {heads[1]['displayName']}; there is a phone number, too",
            do=lambda: self._name_manager(second, heads[1]["id"]),
        )
        ordinary = [one for one in leavers if one is not agent and one["id"] not in agents]
        # Whoever joined on an earlier day stays as long as somebody else is there to leave.
        staff = [one for one in ordinary if not self._day_of(one)] or ordinary
        gone = staff[self.day * 11 % len(staff)] if staff else None
        ordinary = [one for one in ordinary if one is not gone]
        yield from self._request(ordinary)
        if gone is not None:
            yield Act(title=f"IT: {gone['displayName']} has left; the account is deleted", do=lambda: self._delete(gone))
        struck = [one for one in ordinary if one["department"] == _STRUCK][:_WAVE] if self.day == 1 else []
        if len(struck) == _WAVE:
            yield Act(
                title=f"HR: a wrong list disables {len(struck)} accounts of {_STRUCK} at once; how many of these people shall leave?",
                do=lambda: [leaver for one in struck for leaver in self._disable(one)],
            )

    def _request(self, ordinary: list[dict[str, Any]]) -> Iterator[Act]:
        """Somebody without a role is to get one, and their manager is asked; takes them off the list."""
        found = self._candidate(ordinary) if self._role_group else None
        if found is None:
            return
        one, manager = found
        ordinary.remove(one)
        yield Act(
            title=f"IT: {one['displayName']} is added to {self._role_group}; the role has to be approved first",
            do=lambda: [self._ask_for_role(one)],
        )
        yield Act(
            title=f"Halo: {manager['displayName']}, the manager, signs in and approves",
            do=lambda: self._approve(one, manager),
        )

    def _candidate(self, ordinary: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Somebody who is no agent, and their manager; people of IT come first."""
        members = self._members(self._role_group)
        there = [one for one in ordinary if one["department"] != _STRUCK and one["id"] not in members]
        for one in sorted(there, key=lambda one: bool(one["department"] != "IT")):
            manager = self._manager_of(one)
            if manager is not None and not self._halo.roles_of(str(one["mail"])):
                return one, manager
        return None

    def _members(self, group: str) -> set[str]:
        group_id = self._graph.group_id(group)
        if group_id is None:
            return set()
        return {str(member["id"]) for member in self._graph.call("GET", f"/groups/{group_id}/members?$select=id&$top=999")["value"]}

    def _manager_of(self, person: dict[str, Any]) -> dict[str, Any] | None:
        """Their manager, if that one works here."""
        answer = self._graph.call("GET", f"/users/{person['id']}?$select=id&$expand=manager")
        manager = (answer.get("manager") or {}).get("id")
        return next((one for one in self._people if one["id"] == manager and one["accountEnabled"]), None)

    def _join(self, name: str, place: int, post: tuple[str, str], *, manager: str | None) -> Expected:
        body = new_account(
            name,
            employeeId=f"D{self.day:03d}-{place}",
            employeeType="Employee",
            department=post[0],
            jobTitle=post[1],
            officeLocation=OFFICES[(self.day + place) % len(OFFICES)],
        )
        person_id = str(self._graph.call("POST", "/users", body)["id"])
        self._made[name] = person_id
        if manager is not None:
            self._graph.set_manager(person_id, manager)
        group_id = self._graph.group_id(self._joiner_group)
        if group_id is None:
            raise LookupError(f"the pretend Graph has no group {self._joiner_group}")
        self._graph.add_member(group_id, person_id)
        return Expected(person_id=person_id, name=name, workflow="joiner")

    def _join_with_a_lost_answer(self, name: str, post: tuple[str, str], manager: str) -> list[Expected]:
        rule = {"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "lost_response", "times": 1}
        # Rules that somebody set by hand stay in force; those that are used up go.
        standing = httpx.get(f"{self._halo.url}/_faults", trust_env=False).raise_for_status().json()
        self._halo.faults([*(one for one in standing if one["times"] != 0), rule])
        return [self._join(name, 3, post, manager=manager)]

    def _name_manager(self, name: str, manager: str) -> list[Expected]:
        person_id = self._made[name]
        self._graph.set_manager(person_id, manager)
        # A new manager alone notifies nobody ("change-notifications-overview" lists no relationship of users); the next
        # sweep would find it. A phone number in the same breath shows it at once.
        self._graph.call("PATCH", f"/users/{person_id}", {"mobilePhone": "+1 425 555 0109"})
        return []

    def _disable(self, person: dict[str, Any]) -> list[Expected]:
        self._graph.call("PATCH", f"/users/{person['id']}", {"accountEnabled": False})
        return [Expected(person_id=person["id"], name=person["displayName"], workflow="leaver")]

    def _delete(self, person: dict[str, Any]) -> list[Expected]:
        self._graph.call("DELETE", f"/users/{person['id']}")
        return [Expected(person_id=person["id"], name=person["displayName"], workflow="leaver")]

    def _ask_for_role(self, person: dict[str, Any]) -> Expected:
        group_id = self._graph.group_id(self._role_group)
        if group_id is None:
            raise LookupError(f"the pretend Graph has no group {self._role_group}")
        self._graph.add_member(group_id, person["id"])
        return Expected(person_id=person["id"], name=person["displayName"], workflow="role_change", asks=True)

    def _approve(self, person: dict[str, Any], manager: dict[str, Any]) -> list[Expected]:
        """The manager waits for the question about this person and says yes; nothing where nobody asks."""
        portal = PortalDriver(self._halo.url, str(manager["mail"]))
        ends_at = time.monotonic() + _ASKED_MAX
        try:
            while time.monotonic() < ends_at:
                for row in portal.waiting_for_me():
                    if person["displayName"] in self._halo.call("GET", f"/Tickets/{row['ticket_id']}")["summary"]:
                        before = tuple(self._halo.roles_of(str(person["mail"])))
                        portal.approve(row)
                        name = person["displayName"]
                        return [Expected(person_id=person["id"], name=name, workflow="role_change", role=self._role, before=before)]
                time.sleep(_LOOKS)
        finally:
            portal.close()
        return []

    def _toggle(self, person: dict[str, Any]) -> list[Expected]:
        self._graph.call("PATCH", f"/users/{person['id']}", {"accountEnabled": not person["accountEnabled"]})
        return [Expected(person_id=person["id"], name=person["displayName"], workflow=None)]


def _a(title: str) -> str:
    words = title[0].lower() + title[1:]
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
