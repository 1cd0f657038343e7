"""What a desk user says about a person: name, addresses, department, title, manager, client and site."""

from __future__ import annotations

from adapters.halo import wire
from adapters.halo.agents import Agents
from adapters.halo.answers import NotThere
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from adapters.halo.names import Names
from adapters.halo.places import Place, place_of
from adapters.halo.users import Users, profile_of
from joinery.domain.policy import DeskPolicy
from joinery.domain.tickets import ReadBack, UpdateUser, UserRef
from joinery.errors import Refused

#: What a user cannot be without: an empty one in the directory is no reason to empty it.
_NEVER_EMPTY = ("name", "firstname", "surname", "emailaddress", "login")


class Profiles:
    """Brings users in line with the people they stand for."""

    def __init__(self, client: HaloClient, names: Names, users: Users, agents: Agents, policy: DeskPolicy) -> None:
        self._client = client
        self._names = names
        self._users = users
        self._agents = agents
        self._policy = policy

    def update(self, order: UpdateUser, deadline: Deadline) -> UserRef:
        """Send what differs, in one request; nothing where nothing does. Raises Refused where the user is somebody else's.

        An agent with the old address comes first: once the user has the new one, nothing would say any more whose agent that is.
        """
        if order.person.erased:
            raise Refused(
                f"what is known of the person of user {order.user_id} was erased; there is nothing to bring the user in line with"
            )
        row = self._users.lately(order.user_id, deadline=deadline)
        linked = self._users.link.of(row)
        if linked and not wire.same(linked, order.person.id):
            raise Refused(f"user {order.user_id} belongs to another directory account")
        changes = self._differences(order, row, deadline)
        user_id = wire.object_id(order.user_id, "user")
        old = wire.text(row, "emailaddress")
        if linked and old and "emailaddress" in changes and not wire.same(old, changes["emailaddress"]):
            self._agents.take_along(old, order.person, deadline)
        if changes:
            self._users.write({"id": user_id, **changes}, deadline=deadline)
        return UserRef(id=str(user_id), how="updated" if changes else "found")

    def check(self, order: UpdateUser) -> ReadBack:
        """Every member is as it was asked for."""
        deadline = self._client.deadline()
        try:
            row = self._users.get(order.user_id, deadline=deadline)
        except NotThere:
            return ReadBack(ok=False, detail=f"user {order.user_id} is not there")
        differs = ", ".join(sorted(self._differences(order, row, deadline)))
        return ReadBack(ok=not differs, detail=f"user {order.user_id} {f'still has another {differs}' if differs else 'is in line'}")

    def _differences(self, order: UpdateUser, row: wire.Row, deadline: Deadline) -> wire.Row:
        place = place_of(order.person, self._policy, self._names, deadline=deadline)
        wanted = {
            member: value
            for member, value in profile_of(order.person, self._client.profile.manager_field).items()
            if value or member not in _NEVER_EMPTY
        }
        changes: wire.Row = {member: value for member, value in wanted.items() if wire.text(row, member) != value}
        if _place_in(row) != place:
            changes |= {"client_id": place.client_id, "site_id": place.site_id}
        return changes


def _place_in(row: wire.Row) -> Place:
    site_id = wire.number(row.get("site_id_int")) or wire.number(row.get("site_id")) or 0
    return Place(client_id=wire.number(row.get("client_id")) or 0, site_id=site_id)
