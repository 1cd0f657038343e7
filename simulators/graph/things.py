"""The routes below /devices and /servicePrincipals: neither is a person, and both may be members of groups."""

from simulators.graph.directory import Directory
from simulators.graph.render import Renderer
from simulators.graph.wire import Reply, Request

_KINDS = {"devices": "device", "serviceprincipals": "serviceprincipal"}


class Things:
    """Handlers of both collections."""

    def __init__(self, directory: Directory, renderer: Renderer) -> None:
        self._directory = directory
        self._renderer = renderer

    def create(self, request: Request) -> Reply:
        """POST /devices, /servicePrincipals: 201 with the object."""
        made = self._directory.create(self._kind(request), request.json_object())
        return Reply(status=201, body=self._renderer.one(request, made, context=request.segments[0]).body)

    def read(self, request: Request) -> Reply:
        """GET /devices/{id}, /servicePrincipals/{id}"""
        found = self._directory.get(request.segments[1], (self._kind(request),))
        return self._renderer.one(request, found, context=request.segments[0])

    def delete(self, request: Request) -> Reply:
        """DELETE /devices/{id}, /servicePrincipals/{id}: 204, for good."""
        self._directory.purge(self._directory.get(request.segments[1], (self._kind(request),)))
        return Reply(status=204)

    @staticmethod
    def _kind(request: Request) -> str:
        return _KINDS[request.segments[0].lower()]
