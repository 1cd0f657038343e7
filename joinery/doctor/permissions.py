"""What each permission is for: the one table that the examination, ``infra/grant-graph.sh`` and the pages agree with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from joinery.domain.policy import OnRefused, Policy

_GRANT = "Run `sh infra/grant-graph.sh`; a managed identity's token may lack a new grant for a day."
_GRANT_WRITES = (
    "Run `sh infra/grant-graph.sh --writes`, or --remove-members where the identity that reads also writes; or let the policy ask for less."
)


def _always(policy: Policy) -> bool:
    return True


def _ends_memberships(policy: Policy) -> bool:
    return policy.cut_off.remove_from_groups or any(rule.on_refused is OnRefused.REMOVE for rule in policy.roles.values())


def _ends_sessions(policy: Policy) -> bool:
    return policy.cut_off.revoke_sessions


@dataclass(frozen=True, kw_only=True, slots=True)
class Permission:
    """An application permission of Microsoft Graph ("permissions-reference") and who wants it."""

    name: str
    #: The id of the app role, which an assignment names.
    role_id: str
    purpose: str
    needed: Callable[[Policy], bool] = _always
    #: It belongs to the identity that writes, where there is one.
    writes: bool = False

    @property
    def remedy(self) -> str:
        """How it is granted."""
        return _GRANT_WRITES if self.writes else _GRANT


PERMISSIONS = (
    Permission(
        name="User.Read.All",
        role_id="df021288-bdef-4463-88db-98f22de89214",
        purpose="who somebody is, their manager, who was deleted, the sweep over users and the subscription to them",
    ),
    Permission(
        name="Group.Read.All",
        role_id="5b567255-7703-4780-807c-7be8301ae99b",
        purpose="who is in the groups of the policy, the sweep over groups and the subscription to them",
    ),
    Permission(
        name="GroupMember.ReadWrite.All",
        role_id="dbaae8cf-10b5-4b86-a4a1-f871c94c6695",
        purpose='ending memberships, which on_refused = "remove" or remove_from_groups asks for',
        needed=_ends_memberships,
        writes=True,
    ),
    Permission(
        name="User.RevokeSessions.All",
        role_id="77f3a031-c388-4f99-b373-dc68676a979e",
        purpose="ending sessions, which revoke_sessions asks for",
        needed=_ends_sessions,
        writes=True,
    ),
)

#: Lets an application with a secret read when the secret ends, and a little more: neither missed nor held against it.
READS_ITS_OWN_END = "Application.Read.All"

#: Far-reaching, and some tenants want it all the same.
TOLERATED = {
    "Directory.Read.All": "it reads the whole directory, which only tenants that answer 403 to getByIds need",
}

#: What makes a permission worse than superfluous.
DANGERS = {
    "User.ReadWrite.All": "a membership is ended at an address that, cut short, deletes the user",
    "Directory.ReadWrite.All": "it may change and delete users and groups",
    "RoleManagement.ReadWrite.Directory": "it may make itself an administrator",
    "AppRoleAssignment.ReadWrite.All": "it may grant itself anything",
    "Application.ReadWrite.All": "it may add a secret to any application and act as that one",
}

#: Scopes on the desk; reading users and agents needs none of its own.
DESK_SCOPES = {
    "read:tickets": "finding tickets again, and reading back what was done",
    "edit:tickets": "tickets, notes, tasks and approvals",
    "read:customers": "clients, sites and users",
    "edit:customers": "making users, and setting them inactive",
}


def needed_to_read(policy: Policy, *, writes_too: bool) -> tuple[Permission, ...]:
    """What this policy asks of the identity that reads; ``writes_too`` where there is none of its own for writing."""
    return tuple(one for one in PERMISSIONS if one.needed(policy) and (writes_too or not one.writes))


def needed_to_write(policy: Policy) -> tuple[Permission, ...]:
    """What this policy asks of the identity that writes."""
    return tuple(one for one in PERMISSIONS if one.needed(policy) and one.writes)
