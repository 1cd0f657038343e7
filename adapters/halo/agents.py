"""Agents: people who work on the desk. A leaver's agents lose their roles and are disabled."""

from __future__ import annotations

import contextlib

from adapters.halo import wire
from adapters.halo.answers import NotThere
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from adapters.halo.names import TEAM, Names
from adapters.halo.users import Users, profile_of
from joinery.domain.person import Person
from joinery.domain.tickets import AgentRef, EnsureAgent, ReadBack, RetireAgent
from joinery.errors import Refused

#: Disabled agents have to be asked for (Halo reference 6.1).
_ALL = {"includeenabled": "true", "includedisabled": "true", "includeroles": "true"}

#: A list with at most this many rows is looked at row by row where it does not show addresses.
_FEW = 10


#: The agent that stands for nobody; applications have agents of their own (``isapiagent``).
_UNASSIGNED = 1

#: Seconds for which the look before a create counts for the create itself, and for which an agent is known to be the person's.
_FIND_COUNTS, _THEIRS_COUNTS = 2.0, 60.0
#: So many people can be between the two at the same time.
_KEPT = 100


class Agents:
    """What the desk does with agents. The directory id is not kept on an agent (reference 6.1), so the address decides."""

    def __init__(self, client: HaloClient, names: Names, users: Users) -> None:
        self._client = client
        self._names = names
        self._users = users
        #: What the look before an ``ensure`` has just found: person id -> (until when it counts, agents).
        self._just_found: dict[str, tuple[float, list[wire.Row]]] = {}
        #: What the read-back of an ``ensure`` has just read: agent id -> (until when it counts, agent).
        self._just_read: dict[int, tuple[float, wire.Row]] = {}
        #: (agent, person) -> until when it is known that the agent's address belongs to nobody else.
        self._theirs: dict[tuple[int, str], float] = {}

    def find(self, order: EnsureAgent, *, ours: str | None = None) -> tuple[AgentRef, ...]:
        """The agents that are this person's, disabled ones too; none where one is somebody else's, for ``ensure`` to say so."""
        deadline = self._client.deadline()
        agents = self._of(order.person.addresses, None, deadline)
        if len(self._just_found) >= _KEPT:
            self._just_found.clear()
        self._just_found[order.person.id] = (self._client.clock.monotonic() + _FIND_COUNTS, agents)
        try:
            for agent in agents:
                self.check_theirs(agent, order.person, deadline, known_id=ours or order.known_id)
        except Refused:
            return ()
        return tuple(AgentRef(ids=(str(agent["id"]),)) for agent in agents)

    def ensure(self, order: EnsureAgent, deadline: Deadline) -> AgentRef:
        """The person's agent, made where there is none: with their team, and disabled until it gets a role.

        Raises Refused where it is not clear which agent is this person's, or the address is somebody else's.
        """
        person = order.person
        agent = self.one(person, deadline, known_id=order.known_id)
        if agent is not None:
            return AgentRef(ids=(str(agent["id"]),))
        if not person.address:
            raise Refused("the person has no address, and an agent is known by one")
        for address in person.addresses:
            if (owner := self._users.owner_of(address, person, deadline)) is not None:
                raise Refused(f"user {owner}, who belongs to another directory account, has this person's address")
        profile = profile_of(person)
        row: wire.Row = {
            "name": profile["name"],
            "firstname": profile["firstname"],
            "surname": profile["surname"],
            "email": profile["emailaddress"],
            "jobtitle": profile["title"],
        }
        if order.team:
            row["team"] = self._names.resolve(TEAM, order.team, policy_key="[roles] team", deadline=deadline).name
        row = {member: value for member, value in row.items() if value} | {"isdisabled": True, "isagentdetails": True}
        agent_id = wire.id_of(self._client.post("/Agent", row, deadline=deadline), "POST /Agent")
        self._remember_theirs(agent_id, person)
        return AgentRef(ids=(str(agent_id),))

    def check_ensured(self, order: EnsureAgent, result: AgentRef) -> ReadBack:
        """There, a person's, and with one of this person's addresses."""
        agent_id = wire.object_id(result.id or "", "agent")
        try:
            agent = self.get(agent_id, self._client.deadline())
        except NotThere:
            return ReadBack(ok=False, detail=f"agent {result.id} is not there")
        if len(self._just_read) >= _KEPT:
            self._just_read.clear()
        self._just_read[agent_id] = (self._client.clock.monotonic() + _FIND_COUNTS, agent)
        theirs = _is_at(agent, order.person.addresses) and _is_a_person(agent)
        return ReadBack(ok=theirs, detail=f"agent {result.id} {'is there' if theirs else 'does not have the address of this person'}")

    def take_along(self, old: str, person: Person, deadline: Deadline) -> None:
        """Give the agent with the address ``old``, which the person's user has had until now, the person's new address and name.

        Where it is not clear whose agent that is, or another one has the new address already, it stays as it is: ``one`` will say so.
        """
        agents = self._of((old.casefold(),), None, deadline)
        if len(agents) != 1 or self._users.owner_of(old, person, deadline) is not None or self._of((person.address,), None, deadline):
            return
        profile = profile_of(person)
        agent_id = wire.id_of(agents[0], "GET /Agent")
        row = {"id": agent_id, "name": profile["name"], "firstname": profile["firstname"], "surname": profile["surname"]}
        written = self._client.post("/Agent", {**row, "email": profile["emailaddress"], "isagentdetails": True}, deadline=deadline)
        if "email" in written and not _is_at(written, (person.address,)):
            raise Refused(f"agent {agent_id} did not take its person's new address")

    def one(self, person: Person, deadline: Deadline, *, known_id: str | None = None) -> wire.Row | None:
        """The person's agent; None where there is none. Raises Refused where several could be, or it may be somebody else's."""
        until, agents = self._just_found.pop(person.id, (0.0, []))
        if self._client.clock.monotonic() >= until:
            agents = self._of(person.addresses, None, deadline)
        for agent in agents:
            self.check_theirs(agent, person, deadline, known_id=known_id)
        if len(agents) > 1:
            ids = ", ".join(str(agent["id"]) for agent in agents)
            raise Refused(f"agents {ids} share this person's address: leave it to one of them")
        if agents:
            return agents[0]
        for agent in self._of(person.former_addresses, None, deadline):
            address = wire.text(agent, "email").strip().casefold()
            if self._users.owner_of(address, person, deadline) is not None:
                continue
            if str(agent["id"]) != known_id and not self._is_named(agent, person):
                raise Refused(f"agent {agent['id']} has an address that this person had before; if it is theirs, give it the new one")
            # Without a user nobody has taken it along when they got the new one.
            self.take_along(address, person, deadline)
            return self.get(wire.id_of(agent, "GET /Agent"), deadline)
        return None

    def of_id(self, agent_id: str, person: Person, deadline: Deadline, *, known_id: str | None = None) -> wire.Row:
        """The agent with this id, if it may be the person's; what was read a moment ago is not read again. Raises Refused; NotThere is one."""
        number = wire.object_id(agent_id, "agent")
        until, agent = self._just_read.pop(number, (0.0, {}))
        if self._client.clock.monotonic() >= until:
            agent = self.get(number, deadline)
        if not _is_a_person(agent):
            raise Refused(f"agent {agent_id} is no person's: it belongs to the desk or to an application")
        self.check_theirs(agent, person, deadline, known_id=known_id)
        return agent

    def check_theirs(self, agent: wire.Row, person: Person, deadline: Deadline, *, known_id: str | None = None) -> None:
        """Raise Refused where the agent's address belongs to another directory account's user; asked again after a minute.

        Not asked of an agent that is known to be the person's and has an address of theirs.
        """
        agent_id = wire.id_of(agent, "GET /Agent")
        if (str(agent_id) == known_id and _is_at(agent, person.addresses)) or self._is_named(agent, person):
            return
        if self._client.clock.monotonic() < self._theirs.get((agent_id, person.id), 0.0):
            return
        address = wire.text(agent, "email").strip().casefold()
        owner = self._users.owner_of(address, person, deadline) if address else None
        if owner is not None:
            raise Refused(f"agent {agent_id} has the address of user {owner}, who belongs to another directory account")
        self._remember_theirs(agent_id, person)

    def _is_named(self, agent: wire.Row, person: Person) -> bool:
        """Whether the agent carries the person's directory id. Another id there says nothing: other integrations may use the member."""
        return "third_party_guid" in self._client.profile.match_fields and wire.same(wire.text(agent, "third_party_guid"), person.id)

    def _remember_theirs(self, agent_id: int, person: Person) -> None:
        if len(self._theirs) >= _KEPT:
            self._theirs.clear()
        self._theirs[agent_id, person.id] = self._client.clock.monotonic() + _THEIRS_COUNTS

    def retire(self, order: RetireAgent, deadline: Deadline) -> AgentRef:
        """Empty the role list and disable, each agent in a request of its own; a repeat changes nothing.

        An agent with an address that the person only had before may be somebody else's by now, unless it is known to have been theirs and
        nobody else has that address: that is for a human to decide, so it is Refused, after all that is certain was done, until that agent
        has no role and is disabled.
        """
        addresses, linked = self._known_as(order, deadline)
        agents = self._of(addresses, linked, deadline)
        former = self._of(order.person.former_addresses, None, deadline)
        there = {one["id"] for one in agents}
        agents += [agent for agent in former if agent["id"] not in there and self._stayed_theirs(agent, order, deadline)]
        for agent in agents:
            self.check_theirs(agent, order.person, deadline, known_id=order.known_id)
        removed = 0
        for agent in agents:
            agent_id = wire.id_of(agent, "GET /Agent")
            self._client.post("/Agent", {"id": agent_id, "roles": [], "isdisabled": True, "isagentdetails": True}, deadline=deadline)
            removed += len(_roles(agent))
        for agent in former:
            if agent["id"] not in {one["id"] for one in agents} and (_roles(agent) or agent.get("isdisabled") is not True):
                raise Refused(
                    f"agent {agent['id']} has an address that this person had before; if it is theirs, take its roles away and disable it"
                )
        return AgentRef(ids=tuple(str(agent["id"]) for agent in agents), roles_removed=removed)

    def _stayed_theirs(self, agent: wire.Row, order: RetireAgent, deadline: Deadline) -> bool:
        if self._is_named(agent, order.person):
            return True
        address = wire.text(agent, "email").strip().casefold()
        return str(agent["id"]) == order.known_id and self._users.owner_of(address, order.person, deadline) is None

    def check_retired(self, order: RetireAgent, result: AgentRef) -> ReadBack:
        """Every agent is disabled and has no role; where none was found, there is still none."""
        deadline = self._client.deadline()
        wrong = []
        ids = result.ids or tuple(str(agent["id"]) for agent in self._of(*self._known_as(order, deadline), deadline))
        for agent_id in ids:
            try:
                agent = self.get(wire.object_id(agent_id, "agent"), deadline)
            except NotThere:
                wrong.append(f"agent {agent_id} is not there")
                continue
            roles = agent.get("roles")
            if agent.get("isdisabled") is not True:
                wrong.append(f"agent {agent_id} is still enabled")
            if not isinstance(roles, list):
                wrong.append(f"agent {agent_id} does not show its roles")
            elif roles:
                wrong.append(f"agent {agent_id} still has {len(roles)} role{'s' if len(roles) > 1 else ''}")
        if wrong:
            return ReadBack(ok=False, detail="; ".join(wrong))
        return ReadBack(ok=True, detail=f"disabled and without roles: {', '.join(ids)}" if ids else "there is no agent")

    def get(self, agent_id: int, deadline: Deadline) -> wire.Row:
        """One agent in full. Raises NotThere."""
        return wire.one(self._client, f"/Agent/{agent_id}", {"includedetails": "true"}, deadline=deadline)

    def at(self, address: str, deadline: Deadline) -> list[wire.Row]:
        """The agents with this address, disabled ones too, with their roles, lowest id first."""
        return self._of((address.casefold(),), None, deadline)

    # --- below: how -----------------------------------------------------------------------------------------------

    def _known_as(self, order: RetireAgent, deadline: Deadline) -> tuple[tuple[str, ...], int | None]:
        """The addresses that the person's agents may have, and the agent that their user names. A user outlives a change of address."""
        addresses = [*order.person.addresses]
        linked = None
        if order.user_id is not None:
            with contextlib.suppress(NotThere):
                user = self._users.lately(order.user_id, deadline=deadline)
                addresses += [wire.text(user, member).strip().casefold() for member in ("emailaddress", "email2", "email3")]
                linked = wire.number(user.get("linked_agent_id")) or None
        return tuple(dict.fromkeys(address for address in addresses if address)), linked

    def _of(self, addresses: tuple[str, ...], linked: int | None, deadline: Deadline) -> list[wire.Row]:
        """The agents with one of these addresses, and the linked one, with their roles, lowest id first; applications' agents are nobody's."""
        found: dict[int, wire.Row] = {}
        if linked is not None:
            with contextlib.suppress(NotThere):
                agent = self.get(linked, deadline)
                if _is_a_person(agent):
                    found[linked] = agent
        for address in addresses:
            rows = wire.rows_of(self._client.get("/Agent", {**_ALL, "search": address}, deadline=deadline), "/Agent")
            for row in rows:
                agent_id = wire.number(row.get("id"))
                if agent_id is None or agent_id in found:
                    continue
                if "email" not in row and len(rows) > _FEW:
                    continue
                if "email" in row and not _is_at(row, addresses):
                    continue
                agent = (
                    row if "email" in row and isinstance(row.get("roles"), list) and "isapiagent" in row else self.get(agent_id, deadline)
                )
                if _is_at(agent, addresses) and _is_a_person(agent):
                    found[agent_id] = agent
        return [found[agent_id] for agent_id in sorted(found)]


def _is_at(agent: wire.Row, addresses: tuple[str, ...]) -> bool:
    return any(wire.same(wire.text(agent, "email"), address) for address in addresses)


def _is_a_person(agent: wire.Row) -> bool:
    return not wire.true(agent, "isapiagent") and (wire.number(agent.get("id")) or 0) > _UNASSIGNED


def _roles(agent: wire.Row) -> list[object]:
    roles = agent.get("roles")
    return roles if isinstance(roles, list) else []
