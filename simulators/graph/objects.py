"""Routes that know users and groups alike: /directoryObjects, /directory/deletedItems, /organization."""

from simulators.graph.directory import KINDS, Directory
from simulators.graph.errors import bad_request
from simulators.graph.render import Renderer
from simulators.graph.wire import Reply, Request
from simulators.state import Document

#: Ids in one getByIds (relied on in public code, Graph reference 3.2).
MOST_IDS = 1_000


class Objects:
    """Handlers of directory objects whatever their type."""

    def __init__(self, directory: Directory, renderer: Renderer, *, tenant_id: str, tenant: str) -> None:
        self._directory = directory
        self._renderer = renderer
        self._tenant_id = tenant_id
        self._tenant = tenant

    def read(self, request: Request) -> Reply:
        """GET /directoryObjects/{id}"""
        return self._renderer.one(request, self._directory.get(request.segments[1]), context="directoryObjects", typed=True)

    def delete(self, request: Request) -> Reply:
        """DELETE /directoryObjects/{id}: 204."""
        self._directory.delete(self._directory.get(request.segments[1]))
        return Reply(status=204)

    def by_ids(self, request: Request) -> Reply:
        """POST /directoryObjects/getByIds: those that exist, in the default properties; the others are left out without a word."""
        body = request.json_object()
        ids, types = body.get("ids"), body.get("types")
        if not isinstance(ids, list) or not ids or not all(isinstance(key, str) for key in ids):
            raise bad_request("ids is a list of ids that is not empty.")
        if len(ids) > MOST_IDS:
            raise bad_request(f"ids has {MOST_IDS} entries at most.")
        if types is not None and not (isinstance(types, list) and all(isinstance(one, str) for one in types)):
            raise bad_request("types is a list of type names.")
        wanted = {one.lower() for one in types or []}
        kinds = [kind for kind in KINDS if not wanted or kind in wanted or "directoryobject" in wanted]
        keys = dict.fromkeys(key.lower() for key in ids if "@" not in key)
        found = [each for each in (self._directory.find(key, kinds) for key in keys) if each is not None]
        rows = [self._renderer.row(request, each, typed=True) for each in found]
        return Reply(body={"@odata.context": f"{request.base}/$metadata#directoryObjects", "value": rows})

    def deleted(self, request: Request) -> Reply:
        """GET /directory/deletedItems/microsoft.graph.user (or .group)"""
        if request.cast not in KINDS:
            raise bad_request("The list of deleted items needs a cast to a type such as microsoft.graph.user.")
        places = [(int(each["n"]), each) for each in self._directory.deleted(request.cast)]
        return self._renderer.page(request, places, context=f"{request.cast}s")

    def read_deleted(self, request: Request) -> Reply:
        """GET /directory/deletedItems/{id}, with or without a cast"""
        return self._renderer.one(request, self._gone(request), context="directoryObjects", typed=True)

    def restore(self, request: Request) -> Reply:
        """POST /directory/deletedItems/{id}/restore: 200 with the object, back with its memberships."""
        restored = self._directory.restore(self._gone(request))
        return self._renderer.one(request, restored, context="directoryObjects", typed=True)

    def purge(self, request: Request) -> Reply:
        """DELETE /directory/deletedItems/{id}: 204, for good."""
        self._directory.purge(self._gone(request))
        return Reply(status=204)

    def organization(self, request: Request) -> Reply:
        """GET /organization: the one tenant."""
        row = {"id": self._tenant_id, "displayName": self._tenant, "tenantType": "AAD", "verifiedDomains": []}
        return Reply(body={"@odata.context": f"{request.base}/$metadata#organization", "value": [row]})

    def _gone(self, request: Request) -> Document:
        kinds = KINDS if request.cast is None else (request.cast,)
        return self._directory.get(request.segments[2], kinds, deleted=True)
