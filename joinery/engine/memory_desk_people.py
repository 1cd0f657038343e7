"""What the desk in memory does with users and agents."""

from __future__ import annotations

from joinery.domain.person import Person
from joinery.domain.policy import DeskPolicy
from joinery.domain.tickets import (
    AgentRef,
    EnsureAgent,
    EnsureApprover,
    EnsureUser,
    FindUser,
    RetireAgent,
    RolesRef,
    SetRoles,
    UpdateUser,
    UserRef,
)
from joinery.engine.memory_desk_things import DeskAgent, DeskThings, DeskUser, has_address, same
from joinery.errors import Refused


class DeskUsers:
    """Users: one for each person, linked by directory id."""

    def __init__(self, things: DeskThings, policy: DeskPolicy) -> None:
        self._things = things
        self._policy = policy

    def found(self, order: EnsureUser | EnsureApprover) -> tuple[UserRef, ...]:
        """Users that need nothing more."""
        may = [user for user in self._linked(order.person) if user.active and (user.approver or isinstance(order, EnsureUser))]
        return tuple(UserRef(id=user.id) for user in may)

    def ensure(self, order: EnsureUser | EnsureApprover) -> UserRef:
        """Create, adopt or reactivate; an approver may approve afterwards."""
        person = order.person
        user = self.pick(person)
        if user is None:
            if taken := [user for user in self._things.users if has_address(user.address, person)]:
                raise Refused(f"user {taken[0].id} has this person's address and another directory id")
            made = self._things.put_user(directory_id=person.id, approver=isinstance(order, EnsureApprover), **self._fields(person))
            return UserRef(id=made.id, how="created")
        complete = bool(user.directory_id) and (user.approver or isinstance(order, EnsureUser))
        how = "reactivated" if not user.active else "found" if complete else "adopted"
        user.active, user.directory_id = True, person.id
        user.approver = user.approver or isinstance(order, EnsureApprover)
        return UserRef(id=user.id, how=how)

    def update(self, order: UpdateUser) -> UserRef:
        """Name, address, department, title, manager and place as the person has them."""
        user = self._things.user(order.user_id)
        if user.directory_id and not same(user.directory_id, order.person.id):
            raise Refused(f"user {user.id} belongs to another directory account")
        wanted = self._fields(order.person)
        if user.directory_id and user.address and order.person.address and not same(user.address, order.person.address):
            self._take_agent_along(user.address, order.person)
        how = "updated" if any(getattr(user, name) != value for name, value in wanted.items()) else "found"
        for name, value in wanted.items():
            setattr(user, name, value)
        return UserRef(id=user.id, how=how)

    def _take_agent_along(self, old: str, person: Person) -> None:
        agents = [agent for agent in self._things.agents if same(agent.address, old)]
        if (
            len(agents) == 1
            and self.owner_of(old, person) is None
            and not any(same(a.address, person.address) for a in self._things.agents)
        ):
            agents[0].address, agents[0].name = person.address, person.name

    def look_up(self, order: FindUser) -> DeskUser | None:
        """The person's user, or whom an earlier run knew."""
        known = next((user for user in self._linked(order.person) if user.id == order.known_id), None)
        return self.pick(order.person) or known

    def pick(self, person: Person) -> DeskUser | None:
        """By directory id, active ones first, then by address among those that nobody linked."""
        linked = self._linked(person)
        if linked:
            return min(linked, key=lambda user: (not user.active, int(user.id)))
        free = [user for user in self._things.users if not user.directory_id and has_address(user.address, person)]
        free = [user for user in free if user.active] or free
        if len(free) > 1:
            raise Refused(f"users {', '.join(user.id for user in free)} share this person's address")
        return free[0] if free else None

    def wrong_ensured(self, order: EnsureUser | EnsureApprover, result: UserRef) -> str:
        """What is not as it was asked for; empty where all is well."""
        user = next((user for user in self._things.users if user.id == result.id), None)
        if user is None or not user.active:
            return f"user {result.id} is {'still inactive' if user else 'not there'}"
        if not same(user.directory_id, order.person.id):
            return f"user {user.id} is not linked to the directory account"
        return f"user {user.id} may not approve" if isinstance(order, EnsureApprover) and not user.approver else ""

    def wrong_updated(self, order: UpdateUser) -> str:
        """The fields that differ."""
        user = next((user for user in self._things.users if user.id == order.user_id), None)
        if user is None:
            return f"user {order.user_id} is not there"
        differs = sorted(name for name, value in self._fields(order.person).items() if getattr(user, name) != value)
        return f"user {user.id} still has another {', '.join(differs)}" if differs else ""

    def owner_of(self, address: str, person: Person) -> DeskUser | None:
        """The user with this address who belongs to another directory account."""
        others = (user for user in self._things.users if user.directory_id and not same(user.directory_id, person.id))
        return next((user for user in others if same(user.address, address)), None)

    def _linked(self, person: Person) -> list[DeskUser]:
        return sorted((user for user in self._things.users if same(user.directory_id, person.id)), key=lambda user: int(user.id))

    def _fields(self, person: Person) -> dict[str, str | bool]:
        client, site = next(
            ((rule.client, rule.site) for rule in self._policy.site_rules if same(getattr(person, rule.attribute, ""), rule.value)),
            (self._policy.default_client, self._policy.default_site),
        )
        manager = person.manager
        return {
            "name": person.name,
            "address": person.address,
            "department": person.department,
            "title": person.job_title,
            "manager_address": (manager.mail or manager.user_principal_name) if manager else "",
            "client": client,
            "site": site,
        }


class DeskAgents:
    """Agents: known by address, since no directory id is kept on them."""

    def __init__(self, things: DeskThings, users: DeskUsers) -> None:
        self._things = things
        self._users = users

    def found(self, order: EnsureAgent) -> tuple[AgentRef, ...]:
        """The agents that are certainly this person's, disabled ones too."""
        mine = [agent for agent in self._at(order.person) if self._owner_of(agent, order) is None]
        return tuple(AgentRef(ids=(agent.id,)) for agent in mine)

    def ensure(self, order: EnsureAgent) -> AgentRef:
        """The person's agent; a new one is disabled until it gets a role."""
        person = order.person
        agent = self._one(order)
        if agent is not None:
            return AgentRef(ids=(agent.id,))
        if not person.address:
            raise Refused("the person has no address, and an agent is known by one")
        if owner := self._users.owner_of(person.address, person):
            raise Refused(f"user {owner.id}, who belongs to another directory account, has this person's address")
        if order.team in self._things.no_such_teams:
            raise Refused(f"policy.toml: [roles] team = {order.team!r}: the desk has no such team")
        made = self._things.put_agent(person.address, enabled=False, name=person.name, team=order.team)
        return AgentRef(ids=(made.id,))

    def set_roles(self, order: SetRoles) -> RolesRef:
        """Exactly the wanted ones of ours; others stay unless ``alone``."""
        agent = self._meant(order)
        if agent is None:
            return RolesRef(id=None)
        kept, wanted = self._target(order, agent)
        roles = tuple(sorted((*kept, *wanted)))
        enabled = bool(wanted) or (agent.enabled and bool(roles))
        licensed = sum(one.enabled for one in self._things.agents)
        if enabled and not agent.enabled and self._things.licences is not None and licensed >= self._things.licences:
            raise Refused(f"the licence allows {self._things.licences} agents")
        agent.roles, agent.enabled = roles, enabled
        return self.roles_of(order, agent)

    def retire(self, order: RetireAgent) -> AgentRef:
        """No roles, and disabled."""
        agents = self.of(order)
        for agent in agents:
            self._refuse_if_anothers(agent, order)
        removed = sum(len(agent.roles) for agent in agents)
        for agent in agents:
            agent.roles, agent.enabled = (), False
        for agent in self._things.agents:
            if agent not in agents and agent.address in order.person.former_addresses and (agent.roles or agent.enabled):
                raise Refused(f"agent {agent.id} has an address that this person had before")
        return AgentRef(ids=tuple(agent.id for agent in agents), roles_removed=removed)

    def of(self, order: RetireAgent) -> list[DeskAgent]:
        """By the person's addresses, and by the address that their user on the desk has."""
        users = [user.address for user in self._things.users if user.id == order.user_id]
        return [
            agent
            for agent in self._things.agents
            if has_address(agent.address, order.person)
            or any(same(agent.address, user) for user in users)
            or (agent.id == order.known_id and self._at_former(order.person, agent))
        ]

    def roles_of(self, order: SetRoles, agent: DeskAgent) -> RolesRef:
        """The agent as it is."""
        foreign = tuple(sorted(role for role in agent.roles if not _among(role, (*order.ours, *order.as_they_are))))
        return RolesRef(id=agent.id, roles=tuple(sorted(agent.roles)), foreign=foreign)

    def wrong_ensured(self, result: AgentRef) -> str:
        """What is not as it was asked for; empty where all is well."""
        return "" if any(agent.id == result.id for agent in self._things.agents) else f"agent {result.id} is not there"

    def wrong_roles(self, order: SetRoles, result: RolesRef) -> str:
        """Roles that would not come or go."""
        agent = next((agent for agent in self._things.agents if agent.id == result.id), None)
        if agent is None:
            return "" if result.id is None and not self._at(order.person) else f"agent {result.id or 'of this person'} is not as it was"
        has = [f"still has the role {role}" for role in sorted(agent.roles) if _unwanted(role, order)]
        lacks = [f"does not have the role {role}" for role in sorted(order.roles) if not _among(role, agent.roles)]
        state = ["is still disabled"] if order.roles and not agent.enabled else []
        state += ["is still enabled"] if not agent.roles and agent.enabled else []
        return f"agent {agent.id} {', '.join((*has, *lacks, *state))}" if has or lacks or state else ""

    def wrong_retired(self, order: RetireAgent, result: AgentRef) -> str:
        """Agents that are not as a leaver's should be."""
        agents = [agent for agent in self._things.agents if agent.id in result.ids] or self.of(order)
        enabled = [f"agent {agent.id} is still enabled" for agent in agents if agent.enabled]
        roles = [f"agent {agent.id} still has {len(agent.roles)} roles" for agent in agents if agent.roles]
        return "; ".join(enabled + roles)

    def _meant(self, order: SetRoles) -> DeskAgent | None:
        if stray := [role for role in order.roles if not _among(role, order.ours)]:
            raise Refused(f"the role {stray[0]} is not among those that policy names")
        if missing := [role for role in order.roles if role in self._things.no_such_roles]:
            raise Refused(f"policy.toml: [roles] role = {missing[0]!r}: the desk has no such role")
        if order.agent_id is None:
            agent = self._one(order)
            if agent is None and order.roles:
                raise Refused("nobody on the desk has this person's address")
            return agent
        agent = next((agent for agent in self._things.agents if agent.id == order.agent_id), None)
        if agent is None:
            raise Refused(f"there is no agent {order.agent_id}")
        self._refuse_if_anothers(agent, order)
        return agent

    @staticmethod
    def _target(order: SetRoles, agent: DeskAgent) -> tuple[list[str], list[str]]:
        """The roles that stay although no rule gives them, and the wanted ones."""
        return [role for role in agent.roles if not _is_ours_to_take(role, order)], list(order.roles)

    def _one(self, order: EnsureAgent | SetRoles) -> DeskAgent | None:
        person = order.person
        agents = self._at(person)
        for agent in agents:
            self._refuse_if_anothers(agent, order)
        if len(agents) > 1:
            raise Refused(f"agents {', '.join(agent.id for agent in agents)} share this person's address")
        former = [agent for agent in self._things.agents if self._at_former(person, agent)]
        if not agents and former and former[0].id == order.known_id:
            # Without a user nobody has taken it along when they got the new one.
            former[0].address, former[0].name = person.address, person.name
            return former[0]
        if not agents and former:
            raise Refused(f"agent {former[0].id} has an address that this person had before; if it is theirs, give it the new one")
        return agents[0] if agents else None

    def _at_former(self, person: Person, agent: DeskAgent) -> bool:
        """At an address that the person had before, and that nobody else has."""
        return agent.address.casefold() in person.former_addresses and self._users.owner_of(agent.address, person) is None

    def _at(self, person: Person) -> list[DeskAgent]:
        return [agent for agent in self._things.agents if has_address(agent.address, person)]

    def _refuse_if_anothers(self, agent: DeskAgent, order: EnsureAgent | SetRoles | RetireAgent) -> None:
        if owner := self._owner_of(agent, order):
            raise Refused(f"agent {agent.id} has the address of user {owner.id}, who belongs to another directory account")

    def _owner_of(self, agent: DeskAgent, order: EnsureAgent | SetRoles | RetireAgent) -> DeskUser | None:
        """Another directory account's user with the agent's address; nobody's claim counts where the agent is known to be the person's."""
        known = agent.id == order.known_id and has_address(agent.address, order.person)
        return None if known else self._users.owner_of(agent.address, order.person)


def _among(role: str, roles: tuple[str, ...]) -> bool:
    return any(same(role, one) for one in roles)


def _unwanted(role: str, order: SetRoles) -> bool:
    return not _among(role, order.roles) and _is_ours_to_take(role, order)


def _is_ours_to_take(role: str, order: SetRoles) -> bool:
    return _among(role, order.ours) or (order.alone and not _among(role, order.as_they_are))
