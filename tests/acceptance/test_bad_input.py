"""What must not get in through the webhook, and what a wrong setting, policy or port gets as an answer."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from product import Product, free_ports, product
from tales import joined, made

pytestmark = pytest.mark.servers

_JSON = {"Content-Type": "application/json"}


def _one(secret: str, person: str = "00000000-0000-4000-8000-000000000001", **other: Any) -> dict[str, Any]:
    """A notification about a person, as Graph posts it."""
    return {
        "subscriptionId": "9b1d4f0e-0000-4000-8000-000000000000",
        "subscriptionExpirationDateTime": "2031-03-20T11:00:00Z",
        "clientState": secret,
        "changeType": "updated",
        "resource": f"Users/{person}",
        "resourceData": {"@odata.type": "#Microsoft.Graph.User", "@odata.id": f"Users/{person}", "id": person},
        "tenantId": "local",
        **other,
    }


def _secret(it: Product) -> str:
    return (it.data / "client-state").read_text().strip()


def _post(it: Product, content: Any, *, path: str = "notifications", headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{it.url}/api/{path}", content=content, headers=headers or _JSON, trust_env=False, timeout=15)


def _queued(it: Product) -> tuple[int, int]:
    health = it.health()[1]
    return health["queued"], health["parked"]


@pytest.mark.parametrize("path", ["notifications", "lifecycle"])
@pytest.mark.parametrize("secret", ["", "wrong", None, "ä" * 100])
def test_a_wrong_client_state_is_accepted_counted_and_dropped(up: Product, path: str, secret: Any) -> None:
    dropped = sum(up.health()[1]["dropped"].values())
    answer = _post(up, json.dumps({"value": [_one(secret)]}), path=path)
    assert answer.status_code == 202
    assert answer.text == ""
    assert sum(up.health()[1]["dropped"].values()) == dropped + 1
    assert _queued(up) == (0, 0)


def _deep() -> bytes:
    return b'{"value":' * 10_000 + b"1" + b"}" * 10_000


def _too_big(secret: str) -> bytes:
    return json.dumps({"value": [_one(secret)], "padding": "x" * 300_000}).encode()


_BAD_BODIES: dict[str, Callable[[str], bytes]] = {
    "not JSON": lambda secret: b"hello",
    "empty": lambda secret: b"",
    "truncated": lambda secret: json.dumps({"value": [_one(secret)]}).encode()[:-5],
    "invalid UTF-8": lambda secret: b'{"value": [{"clientState": "\xff\xfe"}]}',
    "an array": lambda secret: b"[]",
    "a number": lambda secret: b"7",
    "value is no list": lambda secret: b'{"value": 7}',
    "no value": lambda secret: b"{}",
    "items are no objects": lambda secret: b'{"value": [1, 2]}',
    "depth 10,000": lambda secret: _deep(),
    "array depth 10,000": lambda secret: b"[" * 10_000,
    "1,001 items": lambda secret: json.dumps({"value": [{"clientState": secret, "resource": "Users/1"}] * 1001}).encode(),
    "over 256 KB": lambda secret: _too_big(secret),
    "a secret that is no text": lambda secret: b'{"value": [{"clientState": 7, "resource": "Users/1"}]}',
    "a huge number": lambda secret: b'{"value": [{"clientState": 1e999999}]}',
    "a lone surrogate": lambda secret: b'{"value": [{"clientState": "\\ud800"}]}x',
}


@pytest.mark.parametrize("body", _BAD_BODIES)
def test_a_body_that_is_no_notification_gets_a_fast_4xx_without_a_stack_trace(up: Product, body: str) -> None:
    answer = _post(up, _BAD_BODIES[body](_secret(up)))
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    _tells_nothing(up, answer)
    assert _queued(up) == (0, 0)


def test_a_body_over_256_kb_in_chunks_is_refused_too(up: Product) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"value": ['
        for _ in range(40):
            yield b" " * 10_000
        yield b"]}"

    answer = _post(up, chunks())
    assert answer.status_code == 413
    _tells_nothing(up, answer)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx"])
def test_a_wrong_content_type_is_refused(up: Product, kind: str) -> None:
    answer = _post(up, json.dumps({"value": [_one(_secret(up))]}), headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500
    _tells_nothing(up, answer)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON"])
def test_the_content_type_of_graph_is_accepted_in_every_spelling(up: Product, kind: str) -> None:
    answer = _post(up, json.dumps({"value": [_one("wrong")]}), headers={"Content-Type": kind})
    assert answer.status_code == 202


def test_two_hundred_bad_bodies_leave_no_memory_behind(up: Product) -> None:
    bodies = [make(_secret(up)) for make in _BAD_BODIES.values()]
    for body in bodies * 2:
        _post(up, body)
    before = _resident_mb(up.ours.popen.pid)
    with httpx.Client(trust_env=False, timeout=15) as client:
        for number in range(200):
            answer = client.post(f"{up.url}/api/notifications", content=bodies[number % len(bodies)], headers=_JSON)
            assert 400 <= answer.status_code < 500
    assert _resident_mb(up.ours.popen.pid) - before < 15
    assert up.health()[0] == 200


def _resident_mb(pid: int) -> float:
    statm = Path(f"/proc/{pid}/statm")
    if not statm.exists():
        pytest.skip("no /proc on this machine, so a foreign process's memory cannot be read")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _tells_nothing(it: Product, answer: httpx.Response) -> None:
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    assert len(answer.text) < 1000
    assert "Traceback" not in it.ours.output
    assert "Traceback" not in it.log()


def test_an_unknown_subscription_with_the_right_secret_is_genuine(tmp_path: Path) -> None:
    """The first look at this person is one that only our notification asked for: Graph's own are dropped."""
    with product(tmp_path) as it:
        it.world.graph_faults({"match": {}, "fault": "drop", "times": None})
        one = made(it, "Gwen Genuine")
        it.world.add(one)
        assert _post(it, json.dumps({"value": [_one(_secret(it), one.id, subscriptionId="not-even-a-guid")]})).status_code == 202
        joined(it, one)


def test_during_rotation_both_secrets_are_valid_and_a_third_is_not(tmp_path: Path) -> None:
    with product(tmp_path, settings={"JOINERY_CLIENT_STATE": "new" * 20, "JOINERY_CLIENT_STATE_PREVIOUS": "old" * 20}) as it:
        it.world.graph_faults({"match": {}, "fault": "drop", "times": None})
        for secret, name in (("new" * 20, "Nina New"), ("old" * 20, "Olaf Old")):
            one = made(it, name)
            it.world.add(one)
            assert _post(it, json.dumps({"value": [_one(secret, one.id)]})).status_code == 202
            joined(it, one)
        assert not it.health()[1]["dropped"]
        assert _post(it, json.dumps({"value": [_one("other")]})).status_code == 202
        assert sum(it.health()[1]["dropped"].values()) == 1


@pytest.mark.parametrize("path", ["notifications", "lifecycle"])
def test_the_handshake_answers_with_the_decoded_token_as_plain_text(up: Product, path: str) -> None:
    token = "Validation: Testing <b>client</b> application reachability for subscription Request-Id: 4a+b%20c & ü"
    answer = httpx.post(f"{up.url}/api/{path}", params={"validationToken": token}, trust_env=False)
    assert answer.status_code == 200
    assert answer.text == token
    assert answer.headers["content-type"].startswith("text/plain")


def test_unknown_routes_and_methods_are_refused(up: Product) -> None:
    assert httpx.get(f"{up.url}/api/nothing", trust_env=False).status_code == 404
    assert httpx.get(f"{up.url}/", trust_env=False).status_code == 404
    assert httpx.get(f"{up.url}/api/notifications", trust_env=False).status_code == 405
    assert httpx.delete(f"{up.url}/api/health", trust_env=False).status_code == 405


def test_a_genuine_notification_that_names_nobody_sensible_does_no_harm(up: Product) -> None:
    values = [
        _one(_secret(up), "../../etc/passwd"),
        _one(_secret(up), "x" * 5000),
        _one(_secret(up), "'; drop table users; --"),
        _one(_secret(up), resource="Devices/1", resourceData={"@odata.type": "#Microsoft.Graph.Device", "id": "1"}),
        _one(_secret(up), resourceData=None),
        {"clientState": _secret(up)},
        {"clientState": _secret(up), "lifecycleEvent": "missed"},
        _one(_secret(up), "00000000-0000-4000-8000-00000000dead"),
    ]
    for value in values:
        answer = _post(up, json.dumps({"value": [value]}))
        assert answer.status_code < 500, (value, answer.text)
    one = made(up, "Ada Afterharm")
    up.world.add(one)
    joined(up, one)
    assert "Traceback" not in up.log()


def test_a_sender_that_never_finishes_does_not_hold_up_the_others(up: Product) -> None:
    with socket.create_connection(("127.0.0.1", up.port)) as slow:
        slow.sendall(b"POST /api/notifications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
        assert up.health()[0] == 200


# --- settings, policy, ports ---


def test_wrong_settings_are_all_told_at_once_and_the_command_ends_with_2(tmp_path: Path) -> None:
    it = Product.lay_out(tmp_path)
    done = it.command(
        "up", "--no-play", JOINERY_PORT="many", JOINERY_STORE="cosmos", JOINERY_HALO_URL="http://elsewhere.example", JOINERY_PROT="1"
    )
    it.end()
    assert done.returncode == 2
    for name in ("JOINERY_PORT", "JOINERY_STORE", "JOINERY_HALO_URL", "JOINERY_PROT"):
        assert name in done.stderr, done.stderr
    assert "sqlite" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_policy_is_told_with_file_table_key_and_remedy(tmp_path: Path) -> None:
    policy = tmp_path / "wrong.toml"
    policy.write_text('[joiner]\ngruop = "X"\n\n[workflows.joiner]\nring = "everybody"\n\n[desk]\ndefault_client = 7\n')
    it = Product.lay_out(tmp_path)
    done = it.command("up", "--no-play", "--policy", str(policy))
    it.end()
    assert done.returncode == 2
    for said in ("wrong.toml", "gruop", "ring", "everyone", "default_client"):
        assert said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["[joiner\n", "\x00", "joiner = 3"], ids=["broken", "binary", "wrong shape"])
def test_a_policy_that_cannot_be_read_ends_the_command_with_2(tmp_path: Path, text: str) -> None:
    policy = tmp_path / "wrong.toml"
    policy.write_text(text)
    it = Product.lay_out(tmp_path)
    for done in (
        it.command("up", "--no-play", "--policy", str(policy)),
        it.command("up", "--no-play", "--policy", str(tmp_path / "none.toml")),
    ):
        assert done.returncode == 2
        assert ".toml" in done.stderr
        assert "Traceback" not in done.stderr
    it.end()


def test_a_taken_port_is_told_and_the_command_ends_with_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        graph, halo = free_ports(2)
        it = Product.lay_out(tmp_path)
        arguments = ["up", "--empty", "--no-play", "--port", str(number), "--graph-port", str(graph), "--halo-port", str(halo)]
        done = it.command(*arguments)
        it.end()
    assert done.returncode == 2
    assert str(number) in done.stderr
    assert "Traceback" not in done.stderr
