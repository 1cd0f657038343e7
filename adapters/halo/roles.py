"""Roles of agents: the full list is computed here and sent whole, because what a partial list means is not documented (Halo reference 6.2)."""

from __future__ import annotations

from adapters.halo import wire
from adapters.halo.agents import Agents
from adapters.halo.answers import NotThere
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from adapters.halo.names import ROLE, Names
from joinery.domain.tickets import ReadBack, RolesRef, SetRoles
from joinery.errors import Refused


class Roles:
    """Makes an agent's roles what they should be, as far as they are ours."""

    def __init__(self, client: HaloClient, names: Names, agents: Agents) -> None:
        self._client = client
        self._names = names
        self._agents = agents

    def set(self, order: SetRoles, deadline: Deadline) -> RolesRef:
        """One read, and one write where something differs: the wanted roles, and those that are not ours to take.

        Raises Refused for a role that the desk does not have or policy does not name, and where the agent may be somebody else's.
        """
        if stray := [role for role in order.roles if not _among(role, order.ours)]:
            raise Refused(f"the role {stray[0]} is not among those that policy names")
        wanted = [self._names.resolve(ROLE, role, policy_key="[roles] role", deadline=deadline) for role in order.roles]
        agent = self._agent(order, deadline)
        if agent is None:
            if wanted:
                raise Refused("there is no agent with this person's address to give a role to")
            return RolesRef(id=None)
        agent_id = wire.id_of(agent, "GET /Agent")
        held = self._held(agent, deadline)
        kept = {guid: name for guid, name in held.items() if not _is_ours_to_take(name, order)}
        target = kept | {str(role.id).casefold(): role.name for role in wanted}
        disabled = not wanted and (not target or agent.get("isdisabled") is True)
        if held.keys() != target.keys() or disabled is not agent.get("isdisabled"):
            row = {"id": agent_id, **self._changes(held, target), "isdisabled": disabled, "isagentdetails": True}
            answer = self._client.post("/Agent", row, deadline=deadline)
            # What the desk says it made of it; where it says nothing, what was sent.
            target = self._held(answer, deadline) if isinstance(answer.get("roles"), list) else target
        names = tuple(sorted(target.values()))
        known = (*order.ours, *order.as_they_are)
        return RolesRef(id=str(agent_id), roles=names, foreign=tuple(name for name in names if not _among(name, known)))

    def check(self, order: SetRoles, result: RolesRef) -> ReadBack:
        """Every wanted role is there, every other one of ours is gone, and whoever has none is disabled."""
        deadline = self._client.deadline()
        if result.id is None:
            agent = self._agents.one(order.person, deadline, known_id=order.known_id)
            return ReadBack(ok=agent is None, detail=f"agent {agent['id']} has this person's address" if agent else "there is no agent")
        try:
            agent = self._agents.get(wire.object_id(result.id, "agent"), deadline)
        except NotThere:
            return ReadBack(ok=False, detail=f"agent {result.id} is not there")
        held = sorted(self._held(agent, deadline).values())
        wrong = [f"still has the role {role}" for role in held if _unwanted(role, order)]
        wrong += [f"does not have the role {role}" for role in sorted(order.roles) if not _among(role, tuple(held))]
        if order.roles and agent.get("isdisabled") is not False:
            wrong.append("is still disabled")
        if not held and agent.get("isdisabled") is not True:
            wrong.append("is still enabled")
        shown = ", ".join(wrong or [f"has the roles {', '.join(held)}" if held else "has no role and is disabled"])
        return ReadBack(ok=not wrong, detail=f"agent {result.id} {shown}")

    def _changes(self, held: dict[str, str], target: dict[str, str]) -> wire.Row:
        """The full list; where the profile says so, and none is taken away, only what is new, which leaves rows that are an import's own alone."""
        if self._client.profile.role_mode == "add_roles" and held.keys() <= target.keys():
            return {"add_roles": [{"id": guid, "name": name} for guid, name in target.items() if guid not in held]}
        return {"roles": [{"id": guid, "name": name} for guid, name in target.items()]}

    def _agent(self, order: SetRoles, deadline: Deadline) -> wire.Row | None:
        if order.agent_id is not None:
            return self._agents.of_id(order.agent_id, order.person, deadline, known_id=order.known_id)
        return self._agents.one(order.person, deadline, known_id=order.known_id)

    def _held(self, agent: wire.Row, deadline: Deadline) -> dict[str, str]:
        """GUID -> name of the roles that the agent has. A list that is not shown cannot be sent back whole."""
        roles = agent.get("roles")
        if not isinstance(roles, list):
            raise Refused(f"agent {agent.get('id')} does not show its roles")
        held = {}
        for role in roles:
            guid = str(role.get("id") or "").casefold() if isinstance(role, dict) else ""
            if not guid:
                raise Refused(f"agent {agent.get('id')} has a role without an id")
            held[guid] = wire.text(role, "name") or self._names.name_of(ROLE, guid, deadline=deadline)
        return held


def _among(role: str, roles: tuple[str, ...]) -> bool:
    return any(wire.same(role, one) for one in roles)


def _unwanted(role: str, order: SetRoles) -> bool:
    return not _among(role, order.roles) and _is_ours_to_take(role, order)


def _is_ours_to_take(role: str, order: SetRoles) -> bool:
    return _among(role, order.ours) or (order.alone and not _among(role, order.as_they_are))
