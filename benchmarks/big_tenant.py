"""A thin directory of a large company in a process of its own, so that only our side is measured: tokens, delta pages, batches, and what was asked.

``python -m benchmarks.big_tenant PEOPLE CHANGED`` prints its port. It knows nobody: its answers are built once and served again and again.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

_ROOT = Path(__file__).resolve().parent.parent
#: People on a page of changes; Graph sends about as many.
PAGE = 200
#: What a page may tell of a person.
_FIELDS = {
    "userPrincipalName": "somebody.of.the.company@contoso.example",
    "mail": "somebody.of.the.company@contoso.example",
    "displayName": "Somebody Of The Company",
    "accountEnabled": True,
    "department": "Department of Customers",
    "jobTitle": "Engineer",
    "companyName": "Contoso",
    "officeLocation": "Building 7",
    "employeeId": "E0000001",
    "userType": "Member",
    "createdDateTime": "2024-01-02T03:04:05Z",
}


@contextmanager
def serving(people: int, changed: int) -> Iterator[str]:
    """The address of such a directory, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.big_tenant", str(people), str(changed)]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("the pipe is missing")
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def person_id(number: int) -> str:
    """The same id for the same number, in every process."""
    return str(uuid.UUID(int=(4 << 76) | (2 << 62) | (number + 1)))


class _Tenant(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    people, changed = 0, 0
    #: Link of a round -> its page; answered as text.
    pages: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[Counter[str]] = Counter()
    #: Set from outside: the next link that is asked for has expired.
    expired = threading.Event()

    def do_GET(self) -> None:
        at = urlsplit(self.path)
        query = parse_qs(at.query)
        if at.path == "/_asked":
            self._answer(json.dumps(self.asked).encode())
            self.asked.clear()
        elif at.path == "/_expire":
            self.expired.set()
            self._answer(b"{}")
        elif at.path == "/v1.0/users/delta":
            self._people(query)
        elif at.path == "/v1.0/groups/delta":
            self.asked["groups"] += 1
            self._answer(self._page([], f"/groups/delta?$deltatoken={self.asked['groups']}", last=True))
        else:
            self.asked[f"GET {at.path}"] += 1
            self._answer(b'{"error":{"code":"Request_ResourceNotFound","message":"there is nobody"}}', status=404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/token"):
            self.asked["tokens"] += 1
            self._answer(b'{"token_type":"Bearer","expires_in":3599,"access_token":"a-token"}')
            return
        self.asked["batches"] += 1
        items = json.loads(body)["requests"]
        self._answer(
            json.dumps({"responses": [{"id": one["id"], "status": 200, "body": self._item(one["url"])} for one in items]}).encode()
        )

    def _item(self, url: str) -> dict[str, Any]:
        if name := re.search(r"displayName eq '(.*?)'", unquote(url)):
            return {"value": [{"id": str(uuid.uuid5(uuid.NAMESPACE_URL, name[1])), "displayName": name[1]}]}
        if "checkMemberGroups" in url or "transitiveMembers" in url:
            return {"value": []}
        return {"id": url.split("/")[2].split("?")[0], **_FIELDS}

    def _people(self, query: dict[str, list[str]]) -> None:
        """All of them without a token, the changed ones with a delta token; a skip token goes on with either."""
        self.asked["pages"] += 1
        token = (query.get("$deltatoken") or query.get("$skiptoken") or ["all.0"])[0]
        if "$deltatoken" in query:
            if self.expired.is_set():
                self.expired.clear()
                root = f"http://{self.headers['Host']}/v1.0"
                said = b'{"error":{"code":"resyncRequired","message":"start again"}}'
                self._answer(said, status=410, headers={"Location": f"{root}/users/delta?$deltatoken="})
                return
            token = "some.0"
        page = self.pages.get(token)
        if page is None:
            page = self._made(token)
            self.pages[token] = page
        self._answer(page.replace(b"http://host", f"http://{self.headers['Host']}".encode()))

    def _made(self, token: str) -> bytes:
        kind, start = token.split(".")
        total, first = (self.people, int(start)) if kind == "all" else (self.changed, int(start))
        end = min(first + PAGE, total)
        rows = [{"id": person_id(number), **(_FIELDS if kind == "all" else {"jobTitle": "Lead"})} for number in range(first, end)]
        last = end >= total
        return self._page(rows, "/users/delta?$deltatoken=next" if last else f"/users/delta?$skiptoken={kind}.{end}", last=last)

    def _page(self, rows: list[dict[str, Any]], link: str, *, last: bool) -> bytes:
        return json.dumps({"value": rows, "@odata.deltaLink" if last else "@odata.nextLink": f"http://host/v1.0{link}"}).encode()

    def _answer(self, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = body.replace(b"http://host", f"http://{self.headers['Host']}".encode())
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: object) -> None:
        """Nothing."""


def main(people: str, changed: str) -> None:
    """Serve until somebody ends us."""
    _Tenant.people, _Tenant.changed = int(people), int(changed)
    for kind, total in (("all", _Tenant.people), ("some", _Tenant.changed)):
        for start in range(0, total, PAGE):
            _Tenant.pages[f"{kind}.{start}"] = _Tenant._made(_Tenant.__new__(_Tenant), f"{kind}.{start}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Tenant)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
