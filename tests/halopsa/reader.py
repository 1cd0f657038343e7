"""Reads a Halo with the package halopsa, as its own users would, and prints what it saw as JSON.

Run as a program of its own with the address of the Halo, a mail address and ticket ids: nothing of ours imports the package, nor the other
way round. The package only knows addresses of the vendor's clouds, so requests to one of them are sent to the address given.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import requests
from requests.adapters import HTTPAdapter

CLOUD = "https://pretend.haloitsm.com"


def redirected(address: str) -> type[HTTPAdapter]:
    """What a session mounts for https, aimed at this machine."""

    class Redirected(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
            assert request.url is not None and request.url.startswith(CLOUD), request.url
            request.url = address + request.url.removeprefix(CLOUD)
            return super().send(request, *args, **options)

    return Redirected


def main(address: str, mail: str, *tickets: str) -> None:
    requests.sessions.HTTPAdapter = redirected(address)  # type: ignore[misc]
    from HaloPSA.Halo import Halo

    halo = Halo(tenant="pretend", tenant_type="itsm", clientid="local", secret="local")
    users, agents = halo.Users.search(search=mail, includeinactive=True), halo.Agents.search(search=mail, includedisabled=True)
    seen = {
        "tickets": halo.Tickets.search(count=100),
        "ticket": {number: halo.Tickets.get(id=int(number), includedetails=True) for number in tickets},
        "actions": {number: halo.Actions.search(ticket_id=int(number), excludesys=True) for number in tickets},
        "users": users,
        "user": halo.Users.get(id=users["users"][0]["id"]),
        "agents": agents,
        "agent": halo.Agents.get(id=agents["results"][0]["id"], includedetails=True),
    }
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
