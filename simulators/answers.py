"""Whole WSGI answers: run an app to its end, or make one up."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One HTTP answer with its whole body."""

    #: As in "404 Not Found".
    status_line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def status(self) -> int:
        """The three digits."""
        return int(self.status_line.split(" ", 1)[0])

    def send(self, start_response: "StartResponse") -> Iterable[bytes]:
        """Give it to a WSGI server."""
        start_response(self.status_line, list(self.headers))
        return [self.body]


def answer(status: int, body: object = None, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """An answer with a text or JSON body, or none when `body` is None. A Content-Type among `headers` is kept."""
    given = [(name, value) for name, value in headers if name.lower() != "content-length"]
    payload = b"" if body is None or status in (204, 304) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    if payload and "content-type" not in {name.lower() for name, _ in given}:
        given.append(("Content-Type", "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"))
    if status not in (204, 304):
        given.append(("Content-Length", str(len(payload))))
    return Answer(status_line=_line(status), headers=tuple(given), body=payload)


def run(wsgi: "WSGIApplication", environ: "WSGIEnvironment") -> Answer:
    """Run a WSGI app to its end."""
    head: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        head.append((status, headers))
        return written.append

    chunks = wsgi(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status_line, headers = head[-1]
    return Answer(status_line=status_line, headers=tuple(headers), body=b"".join(written) + body)


def _line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Status"
