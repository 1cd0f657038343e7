"""Agents: people who work on the desk. A leaver's agents lose their roles and are disabled."""

from __future__ import annotations

import contextlib

from adapters.halo import wire
from adapters.halo.answers import NotThere
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from adapters.halo.users import Users
from joinery.domain.tickets import AgentRef, ReadBack, RetireAgent
from joinery.errors import Refused

#: Disabled agents have to be asked for (Halo reference 6.1).
_ALL = {"includeenabled": "true", "includedisabled": "true", "includeroles": "true"}

#: A list with at most this many rows is looked at row by row where it does not show addresses.
_FEW = 10


class Agents:
    """What the desk does with agents. The directory id is not kept on an agent (reference 6.1), so the address decides."""

    def __init__(self, client: HaloClient, users: Users) -> None:
        self._client = client
        self._users = users

    def retire(self, order: RetireAgent, deadline: Deadline) -> AgentRef:
        """Empty the role list and disable, each agent in a request of its own; a repeat changes nothing.

        An agent with an address that the person only had before may be somebody else's by now: that is for a human to decide,
        so it is Refused, after all that is certain was done, until that agent has no role and is disabled.
        """
        addresses, linked = self._known_as(order, deadline)
        agents = self._of(addresses, linked, deadline)
        for agent in agents:
            address = wire.text(agent, "email").strip().casefold()
            owner = self._users.owner_of(address, order.person, deadline) if address else None
            if owner is not None:
                raise Refused(f"agent {agent['id']} has the address of user {owner}, who belongs to another directory account")
        removed = 0
        for agent in agents:
            agent_id = wire.id_of(agent, "GET /Agent")
            self._client.post("/Agent", {"id": agent_id, "roles": [], "isdisabled": True, "isagentdetails": True}, deadline=deadline)
            removed += len(_roles(agent))
        for agent in self._of(order.person.former_addresses, None, deadline):
            if agent["id"] not in {one["id"] for one in agents} and (_roles(agent) or agent.get("isdisabled") is not True):
                raise Refused(
                    f"agent {agent['id']} has an address that this person had before; if it is theirs, take its roles away and disable it"
                )
        return AgentRef(ids=tuple(str(agent["id"]) for agent in agents), roles_removed=removed)

    def check_retired(self, order: RetireAgent, result: AgentRef) -> ReadBack:
        """Every agent is disabled and has no role; where none was found, there is still none."""
        deadline = self._client.deadline()
        wrong = []
        ids = result.ids or tuple(str(agent["id"]) for agent in self._of(*self._known_as(order, deadline), deadline))
        for agent_id in ids:
            try:
                agent = self._get(wire.object_id(agent_id, "agent"), deadline)
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

    # --- below: how -----------------------------------------------------------------------------------------------

    def _known_as(self, order: RetireAgent, deadline: Deadline) -> tuple[tuple[str, ...], int | None]:
        """The addresses that the person's agents may have, and the agent that their user names. A user outlives a change of address."""
        addresses = [*order.person.addresses]
        linked = None
        if order.user_id is not None:
            with contextlib.suppress(NotThere):
                user = self._users.get(order.user_id, deadline=deadline)
                addresses += [wire.text(user, member).strip().casefold() for member in ("emailaddress", "email2", "email3")]
                linked = wire.number(user.get("linked_agent_id")) or None
        return tuple(dict.fromkeys(address for address in addresses if address)), linked

    def _get(self, agent_id: int, deadline: Deadline) -> wire.Row:
        return wire.one(self._client, f"/Agent/{agent_id}", {"includedetails": "true"}, deadline=deadline)

    def _of(self, addresses: tuple[str, ...], linked: int | None, deadline: Deadline) -> list[wire.Row]:
        """The agents with one of these addresses, and the linked one, with their roles, lowest id first; applications' agents are nobody's."""
        found: dict[int, wire.Row] = {}
        if linked is not None:
            with contextlib.suppress(NotThere):
                agent = self._get(linked, deadline)
                if not wire.true(agent, "isapiagent"):
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
                    row if "email" in row and isinstance(row.get("roles"), list) and "isapiagent" in row else self._get(agent_id, deadline)
                )
                if _is_at(agent, addresses) and not wire.true(agent, "isapiagent"):
                    found[agent_id] = agent
        return [found[agent_id] for agent_id in sorted(found)]


def _is_at(agent: wire.Row, addresses: tuple[str, ...]) -> bool:
    return any(wire.same(wire.text(agent, "email"), address) for address in addresses)


def _roles(agent: wire.Row) -> list[object]:
    roles = agent.get("roles")
    return roles if isinstance(roles, list) else []
