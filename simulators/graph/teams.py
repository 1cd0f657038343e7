"""The routes below /groups."""

from typing import Any

from simulators.graph.directory import MOST_BOUND, Directory
from simulators.graph.errors import bad_request, not_found
from simulators.graph.people import referred
from simulators.graph.render import Renderer
from simulators.graph.wire import Reply, Request
from simulators.state import Document


class Teams:
    """Handlers of /groups and of a group's members."""

    def __init__(self, directory: Directory, renderer: Renderer) -> None:
        self._directory = directory
        self._renderer = renderer

    def create(self, request: Request) -> Reply:
        """POST /groups: 201 with the group; members@odata.bind takes up to 20."""
        body = request.json_object()
        members = self._bound(request, body)
        group = self._directory.create("group", body)
        self._directory.first_members(group, members)
        reply = self._renderer.one(request, self._directory.get(group["id"]))
        return Reply(status=201, body=reply.body, headers={"Location": f"{request.base}/groups/{group['id']}"})

    def browse(self, request: Request) -> Reply:
        """GET /groups"""
        return self._renderer.page(request, self._places(), context="groups")

    def count(self, request: Request) -> Reply:
        """GET /groups/$count"""
        return self._renderer.count(request, self._places())

    def read(self, request: Request) -> Reply:
        """GET /groups/{id}"""
        return self._renderer.one(request, self._group(request))

    def update(self, request: Request) -> Reply:
        """PATCH /groups/{id}: 204; members@odata.bind adds up to 20."""
        body, group = request.json_object(), self._group(request)
        members = self._bound(request, body)
        self._directory.update(group, body)
        self._directory.add_members(self._group(request), members)
        return Reply(status=204)

    def delete(self, request: Request) -> Reply:
        """DELETE /groups/{id}: 204, to the deleted items."""
        self._directory.delete(self._group(request))
        return Reply(status=204)

    def members(self, request: Request) -> Reply:
        """GET /groups/{id}/members"""
        return self._renderer.page(request, self._directory.members(self._group(request)), context="directoryObjects", typed=True)

    def count_members(self, request: Request) -> Reply:
        """GET /groups/{id}/members/$count"""
        return self._renderer.count(request, self._directory.members(self._group(request)))

    def member_links(self, request: Request) -> Reply:
        """GET /groups/{id}/members/$ref"""
        rows = [
            {"@odata.id": f"{request.base}/directoryObjects/{member['id']}"} for _, member in self._directory.members(self._group(request))
        ]
        return Reply(body={"@odata.context": f"{request.base}/$metadata#Collection($ref)", "value": rows})

    def all_members(self, request: Request) -> Reply:
        """GET /groups/{id}/transitiveMembers"""
        found = self._directory.all_members(self._group(request))
        places = sorted(((int(each["n"]), each) for each in found), key=lambda pair: pair[0])
        return self._renderer.page(request, places, context="directoryObjects", typed=True)

    def add_member(self, request: Request) -> Reply:
        """POST /groups/{id}/members/$ref: 204."""
        member = referred(self._directory, request, request.json_object().get("@odata.id"))
        self._directory.add_members(self._group(request), [member])
        return Reply(status=204)

    def remove_member(self, request: Request) -> Reply:
        """DELETE /groups/{id}/members/{id}/$ref: 204."""
        self._directory.remove_member(self._group(request), request.segments[3])
        return Reply(status=204)

    def delete_the_member_itself(self, request: Request) -> Reply:
        """DELETE /groups/{id}/members/{id} without /$ref deletes the *object* (page "group-delete-members"): 204."""
        group, member = self._group(request), self._directory.get(request.segments[3])
        if member["id"] not in group["members"]:
            raise not_found(request.segments[3])
        self._directory.delete(member)
        return Reply(status=204)

    def _places(self) -> list[tuple[int, Document]]:
        return [(int(group["n"]), group) for group in self._directory.live("group")]

    def _group(self, request: Request) -> Document:
        return self._directory.get(request.segments[1], ("group",))

    def _bound(self, request: Request, body: dict[str, Any]) -> list[Document]:
        links = body.get("members@odata.bind") or []
        if not isinstance(links, list) or len(links) > MOST_BOUND:
            raise bad_request(f"members@odata.bind is a list of {MOST_BOUND} links at most.")
        return [referred(self._directory, request, link) for link in links]
