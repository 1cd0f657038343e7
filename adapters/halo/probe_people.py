"""Steps 11 and 12 of a probe: a test agent gets a role and loses it, a test user is deactivated and comes back."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

from adapters.halo import wire
from adapters.halo.links import DirectoryLink
from adapters.halo.names import FIELD, ROLE
from adapters.halo.probe_bench import LATE, Bench, FailedStep, SkippedStep, one_of
from adapters.halo.roles import Roles
from joinery.domain.person import Person
from joinery.domain.tickets import DeactivateUser, SetRoles
from joinery.errors import Refused

_MANAGERS = ("manager_email", "admanager")
#: May hold an import's manager, or any other address that somebody noted: no reason to write there.
_OTHERS = ("other1", "other2", "other3", "other4", "other5")


def give_and_take_role(bench: Bench) -> str:
    """In the full list or, where that gives nothing, as an addition; and whether the full list takes it away again."""
    bench.must_have(ROLE.title)
    plan = bench.plan
    if not plan.agent or not plan.role:
        raise SkippedStep("no test agent and role were named", "Name the address of a test agent, and a role that it does not have.")
    agent = one_of(bench.agents().at(plan.agent, bench.client.deadline()), "agent")
    number, before = wire.id_of(agent, "GET /Agent"), _roles_of(agent)
    # Some desks list an agent's roles without their names.
    wanted = str(bench.names.resolve(ROLE, plan.role, policy_key="the role that was given").id).casefold()
    if wanted in before or any(wire.same(name, plan.role) for name in before.values()):
        raise FailedStep(f"agent {number} has the role already", "Name a role that the test agent does not have.")
    _see_match_fields(bench, agent)
    with bench.putting_back(f"agent {number}", lambda: _restore_agent(bench, number, agent)):
        mode = _give(bench, number, wanted)
        taken = _set(bench, number, mode)
        if taken:
            raise FailedStep(
                f"agent {number} got the role by {mode}, and {taken}",
                "Roles that Joinery takes away will stay: see whether an import of the desk's owns them.",
            )
    bench.learn(role_mode=mode)
    return f"agent {number} got the role by {mode} and lost it by the full list; what else it had, it kept"


def deactivate_and_back(bench: Bench) -> str:
    """``inactive`` on and off; then whether the members stay that link a user to the directory and name its manager."""
    bench.must_be_signed_in()
    if not bench.plan.user:
        raise SkippedStep("no test user was named", "Name the address of a test user.")
    user = one_of(bench.users().at(bench.plan.user, deadline=bench.client.deadline()), "user")
    number = wire.id_of(user, "GET /Users")
    with bench.putting_back(f"user {number}", lambda: _restore_user(bench, number, user)):
        order = DeactivateUser(user_id=str(number))
        bench.users().deactivate(order, bench.client.deadline())
        if not (seen := bench.users().check_deactivated(order)).ok:
            raise FailedStep(seen.detail, "Give the application's agent the right to change users of this site.")
        if wire.true(_written(bench, number, {"inactive": False}), "inactive"):
            raise FailedStep(f"user {number} is not active again", "Give the application's agent the right to change users of this site.")
        linked, managed = _see_directory_field(bench, number), _see_manager_field(bench, number, user)
    return f"user {number} was inactive and is active again; {linked}; {managed}"


# --- roles ------------------------------------------------------------------------------------------------------------


def _give(bench: Bench, number: int, wanted: str) -> str:
    """By which member the role with this GUID is given. Raises FailedStep where neither gives it."""
    wrong = tried = ""
    for mode in dict.fromkeys((bench.client.profile.role_mode, "roles", "add_roles")):
        if tried:
            # An effect that shows late is not the next one's.
            bench.pause(LATE)
            if wanted in _roles_of(bench.agents().get(number, bench.client.deadline())):
                return tried
        if not (wrong := _set(bench, number, mode, bench.plan.role)):
            return mode
        tried = mode
    raise FailedStep(wrong, "Give the application's agent the right to change agents, and see whether this role may be given at all.")


def _set(bench: Bench, number: int, mode: str, *roles: str) -> str:
    """Make the roles of the plan exactly these; what is wrong then, or nothing."""
    person = Person(id="joinery-probe", mail=bench.plan.agent)
    order = SetRoles(person=person, agent_id=str(number), roles=roles, ours=(bench.plan.role,), known_id=str(number))
    desk = Roles(bench.taking(role_mode=mode), bench.names, bench.agents())
    seen = desk.check(order, desk.set(order, bench.client.deadline()))
    return "" if seen.ok else seen.detail


def _roles_of(agent: wire.Row) -> dict[str, str]:
    """GUID -> name. Raises Refused where they are not shown: what cannot be read cannot be put back."""
    shown = agent.get("roles")
    if not isinstance(shown, list) or not all(isinstance(role, dict) and role.get("id") for role in shown):
        raise Refused(f"agent {agent.get('id')} does not show its roles")
    return {str(role["id"]).casefold(): wire.text(role, "name") for role in shown}


def _restore_agent(bench: Bench, number: int, before: wire.Row) -> None:
    """Its roles and whether it is disabled, as they were."""
    wanted, disabled = _roles_of(before), before.get("isdisabled")

    def differs() -> bool:
        now = bench.agents().get(number, bench.client.deadline())
        return _roles_of(now).keys() != wanted.keys() or now.get("isdisabled") != disabled

    if not differs():
        return
    links = [{"id": guid, "name": name} for guid, name in wanted.items()]
    row = {"id": number, "roles": links, "isdisabled": disabled is True, "isagentdetails": True}
    bench.client.post("/Agent", row, deadline=bench.client.deadline())
    if differs():
        raise Refused("its roles are not as they were: put them right by hand")


def _see_match_fields(bench: Bench, agent: wire.Row) -> None:
    """An id there that no directory gives belongs to another integration; none there says nothing."""
    held = wire.text(agent, "third_party_guid")
    if held:
        bench.learn(match_fields=("email", "third_party_guid") if _is_guid(held) else ("email",))


def _is_guid(text: str) -> bool:
    try:
        return uuid.UUID(text).int != 0
    except ValueError:
        return False


# --- users ------------------------------------------------------------------------------------------------------------


def _written(bench: Bench, number: int, members: wire.Row) -> wire.Row:
    """The user after a write, read in a request of its own."""
    users = bench.users()
    users.write({"id": number, **members}, deadline=bench.client.deadline())
    return users.get(str(number), deadline=bench.client.deadline())


def _keeps(bench: Bench, number: int, members: wire.Row, shows: Callable[[wire.Row], bool]) -> bool:
    """Whether a user keeps what is written; a no is looked at once more, because a profile would hold it for good."""
    if shows(_written(bench, number, members)):
        return True
    bench.pause(LATE)
    return shows(bench.users().get(str(number), deadline=bench.client.deadline()))


def _see_directory_field(bench: Bench, number: int) -> str:
    """The first member that keeps a directory id: the profile's, Halo's own two, then nothing is known."""
    trial = str(uuid.uuid5(uuid.NAMESPACE_OID, bench.key))
    fields = [
        name for name in dict.fromkeys((bench.client.profile.directory_field, "azureoid", "third_party_guid")) if _is_there(bench, name)
    ]
    for name in fields:
        link = DirectoryLink(name)
        if _keeps(bench, number, link.members(Person(id=trial)), partial(_is_linked, link, trial)):
            bench.learn(directory_field=name)
            return f"{name} keeps a directory id that is written"
    raise FailedStep(
        f"user {number} was inactive and is active again, but neither {' nor '.join(fields)} keeps a directory id",
        "Make a custom field of users, name it in [users] directory_field of the profile, and probe again.",
    )


def _is_linked(link: DirectoryLink, trial: str, row: wire.Row) -> bool:
    return wire.same(link.of(row), trial)


def _is_there(bench: Bench, name: str) -> bool:
    """Where the list of fields may not be read, the one that the profile names is tried all the same."""
    if not name.startswith("CF"):
        return True
    try:
        return bench.names.count(FIELD, name) > 0
    except Refused:
        return True


def _see_manager_field(bench: Bench, number: int, user: wire.Row) -> str:
    """The member that an import has filled with an address; else whether the profile's own keeps one."""
    profile = bench.client.profile
    if profile.manager_field == "none":
        return "no member is asked to hold its manager"
    filled = [name for name in dict.fromkeys((profile.manager_field, *_MANAGERS)) if "@" in wire.text(user, name)]
    if filled:
        bench.learn(manager_field=filled[0])
        return f"its manager stands in {filled[0]} already"
    own, member = wire.text(user, "emailaddress"), profile.manager_field
    kept = _keeps(bench, number, {member: own}, lambda row: wire.same(wire.text(row, member), own))
    bench.learn(manager_field=member if kept else "none")
    others = [name for name in _OTHERS if "@" in wire.text(user, name)]
    also = f"; {', '.join(others)} holds an address: where that is the manager's, name it in [users] manager_field" if others else ""
    return f"{member} {'keeps' if kept else 'does not keep'} a manager that is written{also}"


def _restore_user(bench: Bench, number: int, before: wire.Row) -> None:
    """Whether it is inactive, what links it to the directory, and its manager, as they were."""
    profile = bench.client.profile
    links = [
        DirectoryLink(name)
        for name in dict.fromkeys((bench.began_with.directory_field, profile.directory_field, "azureoid", "third_party_guid"))
    ]
    members = [name for name in dict.fromkeys((bench.began_with.manager_field, profile.manager_field)) if name != "none"]

    def wrong() -> wire.Row:
        now = bench.users().get(str(number), deadline=bench.client.deadline())
        row: wire.Row = {name: wire.text(before, name) for name in members if wire.text(now, name) != wire.text(before, name)}
        for link in links:
            if link.of(now) != link.of(before):
                row |= link.members(Person(id=link.of(before)))
        if wire.true(now, "inactive") is not wire.true(before, "inactive"):
            row["inactive"] = wire.true(before, "inactive")
        return row

    if row := wrong():
        bench.users().write({"id": number, **row}, deadline=bench.client.deadline())
        if left := wrong():
            raise Refused(f"{', '.join(left)} is not as it was: put it right by hand")
