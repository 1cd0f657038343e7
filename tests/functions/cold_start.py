"""Run in a process of its own: prints, as JSON, which packages are loaded after the import, after a first notification and a first message.

The directory is a door that says no at once, so that the message goes the whole way to it and is put back.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer


def packages() -> list[str]:
    """Whatever is loaded and no part of Python; of a namespace and of ours the second name, too."""
    named = (name.split(".") for name in sys.modules)
    found = {".".join(parts[: 2 if parts[0] in ("azure", "joinery") else 1]) for parts in named}
    return sorted(name for name in found if name not in sys.stdlib_module_names)


def main() -> None:
    """Import, notification, message."""
    import function_app

    loaded = {"import": packages()}
    door = HTTPServer(("127.0.0.1", 0), _No)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    os.environ["JOINERY_GRAPH_URL"] = os.environ["JOINERY_HALO_URL"] = f"http://127.0.0.1:{door.server_port}"
    import azure.functions as func

    call = {one.get_function_name(): one.get_user_function() for one in function_app.app.get_functions()}
    person = "0b9c8e7d-1111-4222-8333-444455556666"
    one = {"clientState": os.environ["JOINERY_CLIENT_STATE"], "changeType": "updated", "resource": f"users/{person}"}
    body = json.dumps({"value": [one]}).encode()
    answer = call["notifications"](func.HttpRequest(method="POST", url="/", headers={"Content-Type": "application/json"}, body=body))
    assert answer.status_code == 202, answer.get_body()
    loaded["notification"] = packages()
    from joinery.engine.envelope import Envelope, EnvelopeKind

    look = Envelope(tenant="local", subject=f"person:{person}", kind=EnvelopeKind.LOOK, cause="test", at=datetime.now(UTC))
    call["person_messages"](func.ServiceBusMessage(body=look.encode()))
    assert _No.asked, "the message never came as far as the directory"
    loaded["message"] = packages()
    print(json.dumps(loaded))


class _No(BaseHTTPRequestHandler):
    asked = 0

    def do_POST(self) -> None:
        _No.asked += 1
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *said: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    main()
