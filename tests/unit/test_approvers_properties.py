"""Over random organisations: every walk ends, and whoever comes out of it may approve."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from joinery.domain.approvers import objection, walk
from joinery.domain.identity import classify
from joinery.domain.person import Absence, Manager, Person, Sighting
from joinery.domain.policy import ApprovalPolicy, NoApprover, Policy

AWAY = "On leave"
IDS = [f"p{number}" for number in range(8)]


class Staff:
    """Counts its looks, so that an endless walk is seen."""

    def __init__(self, people: dict[str, Person]) -> None:
        self.people = people
        self.looks = 0

    def look(self, person_id: str) -> Sighting:
        self.looks += 1
        return self.people.get(person_id, Absence(id=person_id, soft_deleted=False))

    def by_address(self, address: str) -> str | None:
        found = [one.id for one in self.people.values() if one.mail == address]
        return found[0] if len(found) == 1 else None


@st.composite
def someone(draw: st.DrawFn, identity: str) -> Person:
    manager = draw(st.one_of(st.none(), st.sampled_from([*IDS, "deleted"])))
    return Person(
        id=identity,
        mail=draw(st.sampled_from([f"{identity}@x.example", f"{identity}@x.example", "shared@x.example"])),
        user_principal_name=draw(st.sampled_from(["", "", "", "breakglass@x.example", "svc-robot@x.example"])),
        manager=Manager(id=manager) if manager else None,
        account_enabled=draw(st.sampled_from([True, True, True, False])),
        user_type=draw(st.sampled_from(["Member", "Member", "Member", "Guest", ""])),
        employee_id=draw(st.sampled_from(["1", "1", "1", ""])),
        groups=frozenset(draw(st.sampled_from([(), (), (AWAY,), ("ITSM-BreakGlass",)]))),
    )


@st.composite
def organisations(draw: st.DrawFn) -> dict[str, Person]:
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True))
    return {identity: draw(someone(identity)) for identity in ids}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    rules = {cause: draw(st.sampled_from(NoApprover)) for cause in ("missing", "disabled", "away", "guest", "themself", "circle", "above")}
    fallback = draw(st.sampled_from(["", "shared@x.example", "nobody@x.example", *(f"{identity}@x.example" for identity in IDS)]))
    return Policy(approvals=ApprovalPolicy(fallback=fallback, away_groups=(AWAY,), levels=draw(st.integers(0, 6)), **rules))


places = st.sampled_from(["manager", *(f"owner:{identity}@x.example" for identity in IDS), "owner:nobody@x.example"])
addresses = st.sampled_from(["", "nobody@x.example", *(f"{identity}@x.example" for identity in IDS)])


@settings(max_examples=500, deadline=None)
@given(organisations(), policies(), places, addresses, st.frozensets(st.sampled_from(IDS)))
@example({"p0": Person(id="p0", manager=Manager(id="p0"))}, Policy(), "manager", "", frozenset())
def test_every_walk_ends_with_somebody_who_may_approve_or_with_nobody(
    people: dict[str, Person], policy: Policy, of: str, owner: str, past: frozenset[str]
) -> None:
    person = next(iter(people.values()))
    staff = Staff(people)
    found = walk(person, of, staff, policy, role_owner=owner, past=past).approver
    # Nobody is looked at twice.
    assert staff.looks <= len(IDS) + 1
    if found is not None:
        assert found.id != person.id
        assert found.id not in past
        assert found.account_enabled
        assert classify(found, policy.identity).may_be_acted_upon
        assert AWAY not in found.groups
        assert objection(person, found, policy) == ""


@settings(max_examples=300, deadline=None)
@given(organisations(), policies(), places, addresses)
def test_asking_everybody_above_ends_with_nobody(people: dict[str, Person], policy: Policy, of: str, owner: str) -> None:
    """Whoever escalates again and again runs out of people."""
    person = next(iter(people.values()))
    past: frozenset[str] = frozenset()
    for _ in range(len(IDS) + 1):
        found = walk(person, of, Staff(people), policy, role_owner=owner, past=past).approver
        if found is None:
            return
        assert found.id not in past
        past |= {found.id}
    raise AssertionError(f"asked {sorted(past)} and still goes on")
