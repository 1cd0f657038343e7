"""How many calls each flow costs at a pretend Halo, beside the least that is possible.

The least is one look before each create, the write, and its read-back. A user whom the desk does not know is looked for by two questions, by
directory id and by address, because no one question of the vendor's asks for both. Whatever is called besides has its reason here.
Tokens, and the lists of names that are read once an hour, are counted apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import ndiff
from typing import Any

import pytest
from offices import ADA, BOB, Office

DESK = "ITSM-ServiceDesk"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call, and what it is for. ``besides``: why it is made although it is not among the least."""

    call: str
    what: str
    besides: str = ""


def least(what: str, *calls: str) -> list[Call]:
    return [Call(call=call, what=what) for call in calls]


def besides(call: str, what: str, why: str) -> list[Call]:
    return [Call(call=call, what=what, besides=why)]


def new_user(whose: str, number: int) -> list[Call]:
    return [
        *least(f"look for {whose}, by directory id", "GET /Users"),
        *least(f"look for {whose}, by address", "GET /Users"),
        *least(f"make {whose}", "POST /Users"),
        *least(f"read back {whose}", f"GET /Users/{number}"),
    ]


def ticket(number: int = 1) -> list[Call]:
    return least("the ticket: look, create, read back", "GET /Tickets", "POST /Tickets", f"GET /Tickets/{number}")


NOTE = least("the note of what was done: look, create, read back", "GET /Actions", "POST /Actions", "GET /Actions")
QUESTION = least("the question, and who is asked: look, create, read back", "GET /Actions", "POST /Actions", "GET /Tickets/1")
END = least("what came of it, and the end of the ticket: look, create, read back", "GET /Actions", "POST /Actions", "GET /Tickets/1")
ANSWER = least("the one list of all that wait, and the answer", "GET /Tickets", "GET /Tickets/1")
STILL_THEIRS = "the user who is known"
NEW_AGENT = [
    *least("look for an agent", "GET /Agent"),
    *besides("GET /Users", "whose address it is", "an address may have gone to somebody else since, and the role would be theirs"),
    *least("make the agent, disabled and without a role, and read it back", "POST /Agent", "GET /Agent/4"),
]
ROLES = least("the roles: write, read back", "POST /Agent", "GET /Agent/4")

JOINER = [*new_user("the person's user", 4), *ticket(), *NOTE]
MOVER = [
    *besides("GET /Users/4", STILL_THEIRS, "it has to be theirs still, and active; the ticket needs its site"),
    *ticket(2),
    *least("the user in line: write, read back", "POST /Users", "GET /Users/4"),
    *NOTE,
]
RENAMER = [
    *besides("GET /Users/4", STILL_THEIRS, "only what differs is sent, and nobody else's user is renamed"),
    *least("the user in line: write, read back", "POST /Users", "GET /Users/4"),
]
LEAVER = [
    *besides("GET /Users", STILL_THEIRS, "nobody else's user is deactivated, and a second active one of theirs is an objection"),
    *ticket(2),
    *least("the user inactive: write, read back", "POST /Users", "GET /Users/4"),
    *least("no agent: look, read back", "GET /Agent", "GET /Agent"),
    *NOTE,
]
LEAVER_WITH_AGENT = [
    *LEAVER[:6],
    *least("the agent without roles and disabled: look, write, read back", "GET /Agent", "POST /Agent", "GET /Agent/4"),
    *NOTE,
]
ROLE_AT_ONCE = [*NEW_AGENT, *ROLES]
ROLE_LOST = [*least("look for the agent", "GET /Agent"), *ROLES]
ROLE_AGAIN = [
    *least("look for the agent", "GET /Agent"),
    *besides("GET /Agent/4", "the agent who is known", "a list may be behind, and the roles that are not ours are sent back whole"),
    *ROLES,
]
ROLE_ASKED = [*new_user("the person's user", 4), *ticket(), *new_user("the approver's user", 5), *QUESTION]
ROLE_APPROVED = [*ANSWER, *NEW_AGENT, *ROLES, *END]
ROLE_REFUSED = [*ANSWER, *END]


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    made.calls()
    yield made
    made.halo.stop()


def becomes(office: Office, *, minutes: int = 5, **fields: Any) -> None:
    """Ada changes, and what follows of it happens."""
    office.world.put(ADA.evolve(**fields))
    office.world.look("ada")
    office.world.pass_time(minutes=minutes)


def assert_costs(office: Office, *flow: Call) -> None:
    """Exactly these calls, and at most one that is not among the least."""
    made, wanted = office.calls(), [call.call for call in flow]
    names = {call.call: call.what for call in flow}
    told = [f"{line}   ({names[line[2:]]})" if line[2:] in names else line for line in ndiff(wanted, made)]
    assert made == wanted, "- was not called, + was called though nobody says what for:\n" + "\n".join(told)
    assert sum(bool(call.besides) for call in flow) <= 1, [call for call in flow if call.besides]
    assert {str(view.run.status) for view in office.world.runs()} <= {"verified", "open"}


@pytest.fixture
def joined(office: Office) -> Office:
    """Ada has joined, and the desk has her user 4 and ticket 1."""
    becomes(office, minutes=30, groups=frozenset({"ITSM-NewJoiner"}))
    office.calls()
    return office


JOINED = frozenset({"ITSM-NewJoiner"})


def test_a_joiner(office: Office) -> None:
    becomes(office, groups=JOINED)
    assert_costs(office, *JOINER)


def test_a_mover(joined: Office) -> None:
    becomes(joined, groups=JOINED, department="Sales")
    assert_costs(joined, *MOVER)


def test_a_new_name(joined: Office) -> None:
    becomes(joined, groups=JOINED, display_name="Ada King")
    assert_costs(joined, *RENAMER)


def test_a_leaver_who_is_no_agent(joined: Office) -> None:
    becomes(joined, groups=JOINED, account_enabled=False)
    assert_costs(joined, *LEAVER)


def test_a_leaver_who_is_an_agent(joined: Office) -> None:
    becomes(joined, minutes=30, groups=JOINED | {DESK})
    joined.calls()
    becomes(joined, groups=JOINED | {DESK}, account_enabled=False)
    assert_costs(joined, *LEAVER_WITH_AGENT)


def test_a_role_that_nobody_has_to_approve_and_its_end(office: Office) -> None:
    office.gains(DESK, minutes=5)
    assert_costs(office, *ROLE_AT_ONCE)
    office.world.pass_time(minutes=25)
    office.calls()
    office.loses(DESK, minutes=5)
    assert_costs(office, *ROLE_LOST)
    office.world.pass_time(minutes=25)
    office.calls()
    office.gains(DESK, minutes=5)
    assert_costs(office, *ROLE_AGAIN)


def test_a_role_with_approval_of_people_whom_the_desk_does_not_know(office: Office) -> None:
    office.gains(minutes=5)
    asked = office.calls()
    assert asked == [call.call for call in ROLE_ASKED]
    office.answers(1, minutes=5)
    assert_costs(office, *ROLE_APPROVED)
    assert office.agents() == [(ADA.mail, ["Change Manager"], True)]
    assert not [call for call in ROLE_ASKED if call.besides], "one besides for the whole flow"


def test_each_flow_looks_at_people_so_often_and_each_look_is_one_call(office: Office) -> None:
    """The least is one look at the person, and for an approval one at whoever is asked, at each of its two ends. What is looked at besides:
    whoever settles, when they have settled; a leaver, whether they are back already; and right before somebody is asked, and before their answer is believed, whether they still may.
    """
    looks = office.world.directory.looks

    def seen(act: Callable[[], None]) -> dict[str, int]:
        looks.clear()
        act()
        return dict(looks)

    joined = JOINED | {"ITSM-ChangeManagers"}
    assert seen(lambda: becomes(office, groups=JOINED)) == {"ada": 2}
    assert seen(lambda: becomes(office, groups=JOINED, department="Sales")) == {"ada": 2}
    office.world.pass_time(minutes=30)
    assert seen(lambda: becomes(office, groups=joined, department="Sales")) == {"ada": 2, "bob": 2}
    [request] = [row["id"] for row in office.get("/Tickets")["tickets"] if row["summary"].startswith("Role")]
    office.says(request, 1)
    assert seen(lambda: office.hears(minutes=5)) == {"ada": 1, "bob": 2}
    office.world.pass_time(minutes=30)
    assert seen(lambda: becomes(office, groups=joined, department="Sales", account_enabled=False)) == {"ada": 2}


def test_what_is_looked_at_once_more_a_quarter_of_an_hour_after_each_create(office: Office) -> None:
    """Not among the least: a call that lands later than every deadline cannot be prevented, only found. What was read is not read again."""
    office.gains(minutes=5)
    office.calls()
    office.world.pass_time(minutes=20)
    assert sorted(office.calls()) == ["GET /Actions", *["GET /Tickets"] * 3, *["GET /Users"] * 2]
    office.answers(1, minutes=5)
    office.calls()
    office.world.pass_time(minutes=20)
    assert sorted(office.calls()) == ["GET /Actions", "GET /Agent"]


def test_a_role_that_is_refused(office: Office) -> None:
    office.gains(minutes=5)
    office.answers(2, minutes=5)
    assert_costs(office, *ROLE_REFUSED)


def test_a_role_with_approval_of_people_whom_the_desk_knows(joined: Office) -> None:
    """Their users are read once each; the approver's has to be found."""
    joined.http.post(
        "/api/Users", json=[{"name": "Bob", "emailaddress": BOB.mail, "site_id": 18, "azureoid": "bob", "ischangeapprover2": True}]
    )
    joined.calls()
    becomes(joined, groups=JOINED | {"ITSM-ChangeManagers"})
    assert_costs(
        joined,
        *besides("GET /Users/4", STILL_THEIRS, "it has to be theirs still, and active; the ticket needs its site"),
        *ticket(2),
        *least("look for the approver's user, and read it", "GET /Users", "GET /Users/5"),
        *least("the question, and who is asked: look, create, read back", "GET /Actions", "POST /Actions", "GET /Tickets/2"),
    )
