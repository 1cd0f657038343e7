"""A cold instance: the import of the function app, its first notification, and the first answer from Graph, each in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.big_tenant import person_id, serving
from benchmarks.figure import Figure
from benchmarks.pretend_bus import pretend_bus

_ROOT = Path(__file__).resolve().parent.parent
#: How often each is started; they take turns, so that a busy moment strikes all.
_ROUNDS = 9

_BARE = "import azure.functions, azure.servicebus, httpx"
#: What nobody could do without: the SDK of Functions, a policy, an HTTP client, a file, and an answer.
_NOTIFICATION = """
import json, function_app
import azure.functions as func
call = {one.get_function_name(): one.get_user_function() for one in function_app.app.get_functions()}
one = {"clientState": "c" * 64, "changeType": "updated", "resource": "users/%s"}
body = json.dumps({"value": [one]}).encode()
answer = call["notifications"](func.HttpRequest(method="POST", url="/", headers={"Content-Type": "application/json"}, body=body))
if answer.status_code != 202:
    raise SystemExit(answer.get_body())
"""
_ON_THE_BUS = """
import os
os.environ |= {"JOINERY_QUEUE": "servicebus", "ServiceBusConnection": "%s"}
"""
_BARE_MESSAGE = """
import azure.functions, azure.servicebus, httpx
client = azure.servicebus.ServiceBusClient.from_connection_string("%s")
client.get_queue_sender("person-messages").send_messages(azure.servicebus.ServiceBusMessage(b"{}", session_id="s"))
"""
_BARE_ANSWER = """
import httpx
client = httpx.Client()
form = {"grant_type": "client_credentials", "client_id": "c", "client_secret": "s", "scope": "%(url)s/.default"}
token = client.post("%(url)s/local/oauth2/v2.0/token", data=form).json()["access_token"]
requests = [
    {"id": "user", "method": "GET", "url": "/users/%(person)s?$select=id,mail"},
    {"id": "groups", "method": "POST", "url": "/users/%(person)s/checkMemberGroups", "headers": {"Content-Type": "application/json"},
     "body": {"groupIds": ["%(person)s"]}},
]
answer = client.post("%(url)s/v1.0/$batch", json={"requests": requests}, headers={"Authorization": "Bearer " + token})
if answer.json()["responses"][0]["body"]["id"] != "%(person)s":
    raise SystemExit("somebody else")
"""
_OUR_ANSWER = """
from adapters.graph.client import GraphClient
from adapters.graph.directory import GraphDirectory
from adapters.graph.token import ClientCredentials
tokens = ClientCredentials(authority="%(url)s", tenant="local", client_id="c", client_secret="s", scope="%(url)s/.default")
person = GraphDirectory(GraphClient("%(url)s/v1.0", tokens)).look("%(person)s", ["%(person)s"])
if person.id != "%(person)s":
    raise SystemExit("somebody else")
"""


def measure() -> Iterator[Figure]:
    """Seconds within the process, from the first import on; the interpreter's own start is left out."""
    with tempfile.TemporaryDirectory() as folder, serving(0, 0) as url, pretend_bus() as connection:
        at = {"url": url, "person": person_id(1)}
        environment = os.environ | {
            "JOINERY_DATA": folder,
            "JOINERY_GRAPH_URL": url,
            "JOINERY_HALO_URL": url,
            "JOINERY_PUBLIC_URL": "https://joinery.example",
            "JOINERY_CLIENT_STATE": "c" * 64,
        }
        codes = {
            "bare": _BARE,
            "import": "import function_app",
            "notification": _NOTIFICATION % person_id(1),
            "bare message": _BARE_MESSAGE % connection,
            "notification on the bus": _ON_THE_BUS % connection + _NOTIFICATION % person_id(1),
            "bare answer": _BARE_ANSWER % at,
            "our answer": _OUR_ANSWER % at,
        }
        seconds: dict[str, list[float]] = {name: [] for name in codes}
        for _ in range(_ROUNDS):
            for name, code in codes.items():
                seconds[name].append(_seconds(code, environment))
    # The quickest: whatever else runs on the machine only adds.
    seen = {name: min(those) for name, those in seconds.items()}
    bare = "azure.functions, azure.servicebus and httpx bare"
    yield Figure(name="import of function_app", value=seen["import"], unit="s", peer=seen["bare"], peer_name=bare)
    yield Figure(name="first notification from cold, answered", value=seen["notification"], unit="s", peer=seen["bare"], peer_name=bare)
    told, over = seen["notification on the bus"], "those, and one message sent over AMQP"
    yield Figure(name="first notification from cold, on the bus", value=told, unit="s", peer=seen["bare message"], peer_name=over)
    yield Figure(
        name="first person from Graph from cold", value=seen["our answer"], unit="s", peer=seen["bare answer"], peer_name="httpx bare"
    )


def _seconds(code: str, environment: dict[str, str]) -> float:
    timed = f"import time\nbegan = time.perf_counter()\n{code}\nprint(time.perf_counter() - began)"
    ran = subprocess.run([sys.executable, "-c", timed], cwd=_ROOT, env=environment, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    return float(ran.stdout)
