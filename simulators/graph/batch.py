"""$batch: up to twenty calls in one (page "json-batching")."""

from collections.abc import Callable, Mapping
from typing import Any

from simulators.graph.errors import bad_request
from simulators.graph.wire import Reply, Request

MOST_CALLS = 20

Run = Callable[[str, str, Mapping[str, str], Any, Request], tuple[Reply, Any]]
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def run_batch(request: Request, run: Run) -> Reply:
    """Run every call in its turn; `run(method, url, headers, body, outer)` answers a reply and its JSON body. 400 for a batch that is none."""
    calls = _checked(request.json_object())
    done: dict[str, dict[str, Any]] = {}
    waiting = list(calls)
    while waiting:
        ready = [call for call in waiting if all(name.lower() in done for name in call.get("dependsOn") or [])]
        if not ready:
            raise bad_request("The requests of the batch depend on one another in a circle.", "BadRequest")
        for call in ready:
            done[call["id"].lower()] = _run_one(call, done, run, request)
            waiting.remove(call)
    return Reply(body={"responses": [done[call["id"].lower()] for call in calls]})


def _run_one(call: Mapping[str, Any], done: Mapping[str, Mapping[str, Any]], run: Run, outer: Request) -> dict[str, Any]:
    if any(done[name.lower()]["status"] >= 400 for name in call.get("dependsOn") or []):
        error = {"error": {"code": "FailedDependency", "message": "A request that this one depends on failed."}}
        return {"id": call["id"], "status": 424, "headers": {"Content-Type": "application/json"}, "body": error}
    headers = {str(name).lower(): str(value) for name, value in (call.get("headers") or {}).items()}
    reply, body = run(call["method"].upper(), call["url"], headers, call.get("body"), outer)
    answer: dict[str, Any] = {"id": call["id"], "status": reply.status, "headers": dict(reply.headers)}
    if body is not None:
        answer["headers"].setdefault("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        answer["body"] = body
    return answer


def _checked(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = body.get("requests")
    if not isinstance(calls, list) or not calls:
        raise bad_request("Invalid batch payload format.", "BadRequest")
    if len(calls) > MOST_CALLS:
        raise bad_request(f"Number of batch request steps exceeds the maximum value of {MOST_CALLS}.", "BadRequest")
    ids: set[str] = set()
    for call in calls:
        _check_call(call, ids)
    for call in calls:
        if any(name.lower() not in ids or name.lower() == call["id"].lower() for name in call.get("dependsOn") or []):
            raise bad_request(f"Request {call['id']} depends on a request that is not in the batch.", "BadRequest")
    return calls


def _check_call(call: Any, ids: set[str]) -> None:
    if not isinstance(call, dict) or not all(isinstance(call.get(name), str) and call[name] for name in ("id", "method", "url")):
        raise bad_request("Every request of a batch has id, method and url.", "BadRequest")
    if call["id"].lower() in ids:
        raise bad_request(f"Request id {call['id']} is repeated; ids have to be unique and are compared without case.", "BadRequest")
    ids.add(call["id"].lower())
    if call["method"].upper() not in _METHODS or "://" in call["url"].split("?")[0]:
        raise bad_request(f"Request {call['id']} has a method or URL that cannot be batched.", "BadRequest")
    headers, needs = call.get("headers") or {}, call.get("dependsOn") or []
    if not isinstance(headers, dict) or not isinstance(needs, list) or not all(isinstance(name, str) for name in needs):
        raise bad_request(f"Request {call['id']}: headers is an object and dependsOn a list of ids.", "BadRequest")
    if call.get("body") is not None and "content-type" not in {str(name).lower() for name in headers}:
        raise bad_request(f"Write request id : {call['id']} does not contain Content-Type header or body.", "BadRequest")
