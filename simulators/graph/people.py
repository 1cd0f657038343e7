"""The routes below /users."""

from typing import Any
from urllib.parse import unquote, urlsplit

from simulators.graph.directory import KINDS, Directory
from simulators.graph.errors import bad_request, not_found
from simulators.graph.render import Renderer
from simulators.graph.wire import Reply, Request
from simulators.state import Document

#: Ids in one checkMemberGroups.
MOST_CHECKED = 20


class People:
    """Handlers of /users and of what hangs on one user."""

    def __init__(self, directory: Directory, renderer: Renderer) -> None:
        self._directory = directory
        self._renderer = renderer

    def create(self, request: Request) -> Reply:
        """POST /users: 201 with the user; also with manager@odata.bind."""
        body = request.json_object()
        user = self._directory.create("user", body)
        if body.get("manager@odata.bind") is not None:
            self._directory.set_manager(user, referred(self._directory, request, body["manager@odata.bind"]))
            user = self._directory.get(user["id"])
        reply = self._renderer.one(request, user)
        return Reply(status=201, body=reply.body, headers={"Location": f"{request.base}/users/{user['id']}"})

    def browse(self, request: Request) -> Reply:
        """GET /users"""
        return self._renderer.page(request, _placed(self._directory.live("user")), context="users")

    def count(self, request: Request) -> Reply:
        """GET /users/$count"""
        return self._renderer.count(request, _placed(self._directory.live("user")))

    def read(self, request: Request) -> Reply:
        """GET /users/{id or principal name}"""
        return self._renderer.one(request, self._user(request))

    def update(self, request: Request) -> Reply:
        """PATCH /users/{id}: 204."""
        body, user = request.json_object(), self._user(request)
        self._directory.update(user, body)
        if body.get("manager@odata.bind") is not None:
            self._directory.set_manager(self._user(request), referred(self._directory, request, body["manager@odata.bind"]))
        return Reply(status=204)

    def delete(self, request: Request) -> Reply:
        """DELETE /users/{id}: 204, to the deleted items."""
        self._directory.delete(self._user(request))
        return Reply(status=204)

    def manager(self, request: Request) -> Reply:
        """GET /users/{id}/manager; 404 without one."""
        key = self._user(request)["manager"]
        boss = None if key is None else self._directory.find(key, ("user",))
        if boss is None:
            raise not_found("manager")
        return self._renderer.one(request, boss, context="directoryObjects", typed=True)

    def set_manager(self, request: Request) -> Reply:
        """PUT /users/{id}/manager/$ref: 204."""
        boss = referred(self._directory, request, request.json_object().get("@odata.id"))
        if boss["kind"] != "user":
            raise bad_request("A manager has to be a user.")
        self._directory.set_manager(self._user(request), boss)
        return Reply(status=204)

    def remove_manager(self, request: Request) -> Reply:
        """DELETE /users/{id}/manager/$ref: 204; 404 without one."""
        user = self._user(request)
        if user["manager"] is None:
            raise not_found("manager")
        self._directory.set_manager(user, None)
        return Reply(status=204)

    def reports(self, request: Request) -> Reply:
        """GET /users/{id}/directReports"""
        found = self._directory.reports(self._user(request)["id"])
        return self._renderer.page(request, _placed(found), context="directoryObjects", typed=True)

    def revoke(self, request: Request) -> Reply:
        """POST /users/{id}/revokeSignInSessions: 200 with true; from this moment on sign-ins count, whoever masters the account."""
        self._directory.revoke_sessions(self._user(request))
        return Reply(body={"@odata.context": f"{request.base}/$metadata#Edm.Boolean", "value": True})

    # the same for users, groups and directory objects

    def groups_of(self, request: Request) -> Reply:
        """GET …/memberOf"""
        found = self._directory.groups_of(self._any(request)["id"])
        return self._renderer.page(request, _placed(found), context="directoryObjects", typed=True)

    def all_groups_of(self, request: Request) -> Reply:
        """GET …/transitiveMemberOf"""
        found = self._directory.all_groups_of(self._any(request)["id"])
        return self._renderer.page(request, _placed(found), context="directoryObjects", typed=True)

    def check_groups(self, request: Request) -> Reply:
        """POST …/checkMemberGroups and …/checkMemberObjects: those of at most 20 ids that hold the object, directly or nested."""
        body = request.json_object()
        ids = body.get("groupIds", body.get("ids"))
        if not isinstance(ids, list) or not all(isinstance(key, str) for key in ids):
            raise bad_request("groupIds is a list of ids.")
        if len(ids) > MOST_CHECKED:
            raise bad_request(f"The number of group ids cannot be more than {MOST_CHECKED}.")
        held = {group["id"] for group in self._directory.all_groups_of(self._any(request)["id"])}
        return _ids(request, [key.lower() for key in ids if key.lower() in held])

    def group_ids(self, request: Request) -> Reply:
        """POST …/getMemberGroups and …/getMemberObjects: ids of all groups, direct and nested."""
        only_security = isinstance(request.body, dict) and request.body.get("securityEnabledOnly") is True
        groups = self._directory.all_groups_of(self._any(request)["id"])
        return _ids(request, [group["id"] for group in groups if not only_security or group["props"].get("securityEnabled")])

    def _user(self, request: Request) -> Document:
        return self._directory.get(request.segments[1], ("user",))

    def _any(self, request: Request) -> Document:
        kinds = {"users": ("user",), "groups": ("group",)}.get(request.segments[0].lower(), ("user", "group"))
        return self._directory.get(request.segments[1], kinds)


def referred(directory: Directory, request: Request, link: Any) -> Document:
    """The live object that an @odata.id names: a URL of this very host ending in /users, /groups or /directoryObjects and a key. 400 or 404."""
    wrong = bad_request("Invalid URL format specified in @odata.id. Specify a URL of this service, ending in /directoryObjects/{id}.")
    if not isinstance(link, str) or not request.is_own(link):
        raise wrong
    path = [unquote(part) for part in urlsplit(link).path.replace("('", "/").replace("')", "").split("/") if part]
    kinds: dict[str, tuple[str, ...]] = {"users": ("user",), "groups": ("group",), "directoryobjects": KINDS}
    if len(path) != 3 or path[0].lower() not in ("v1.0", "beta") or path[1].lower() not in kinds:
        raise wrong
    return directory.get(path[2], kinds[path[1].lower()])


def _placed(found: list[Document]) -> list[tuple[int, Document]]:
    return sorted(((int(each["n"]), each) for each in found), key=lambda pair: pair[0])


def _ids(request: Request, ids: list[str]) -> Reply:
    return Reply(body={"@odata.context": f"{request.base}/$metadata#Collection(Edm.String)", "value": ids})
