"""A day at Contoso, played through the public APIs of the stand-ins: people join and leave, and one answer gets lost.

The play knows the two addresses and nothing of Joinery. Which day it is, and who is still there to leave, it reads from
the pretend Graph, so that the next start goes on with another day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import httpx

from simulators.company import BREAK_GLASS, OFFICES, address_of, new_account
from simulators.driver import GraphDriver, HaloDriver

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
#: The employee id of the head of the seeded company: with nobody who has it there is no company to play with.
_HEAD = "C1001"
_FIELDS = "id,displayName,userPrincipalName,employeeId,department,jobTitle,accountEnabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a reader of the play may expect for one person: a workflow, or with None that nobody touches anything."""

    person_id: str
    name: str
    workflow: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """One thing that happens at the company; ``do`` makes it happen and returns what may be expected of it."""

    title: str
    do: Callable[[], list[Expected]]


class Play:
    """One day. Raises httpx.HTTPError where a stand-in does not answer."""

    def __init__(self, graph_url: str, halo_url: str, *, joiner_group: str = "ITSM-NewJoiner") -> None:
        self._graph = GraphDriver(graph_url)
        self._halo = HaloDriver(halo_url)
        self._joiner_group = joiner_group
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
        """Play every act: its title goes to ``tell``, then it happens, then ``pause`` (True ends the play). Returns what may be expected."""
        expected: list[Expected] = []
        for act in self.acts:
            tell(act.title)
            happened = act.do()
            expected += happened
            if pause(happened):
                break
        return expected

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
        if ordinary:
            gone = ordinary[self.day * 11 % len(ordinary)]
            yield Act(title=f"IT: {gone['displayName']} has left; the account is deleted", do=lambda: self._delete(gone))

    def _members(self, group: str) -> set[str]:
        group_id = self._graph.group_id(group)
        if group_id is None:
            return set()
        return {str(member["id"]) for member in self._graph.call("GET", f"/groups/{group_id}/members?$select=id&$top=999")["value"]}

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

    def _toggle(self, person: dict[str, Any]) -> list[Expected]:
        self._graph.call("PATCH", f"/users/{person['id']}", {"accountEnabled": not person["accountEnabled"]})
        return [Expected(person_id=person["id"], name=person["displayName"], workflow=None)]


def _a(title: str) -> str:
    words = title[0].lower() + title[1:]
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
