"""Microsoft's engine of the Functions worker, driven as its proxy drives it: requests in, typed data in, typed data out.

One per process, because the engine keeps its registry in a module. Typed data is a plain record with the one question that the engine asks
of a protobuf message, ``WhichOneof``; decoding, conversion to the SDK's types, threads and encoding are the engine's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import azure_functions_runtime as engine


class Typed:
    """Typed data, or any other message that holds one of several members."""

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Which member is set: the value of a parameter, or the kind of typed data."""
        return "data" if group == "rpc_data" else next(iter(self.__dict__), None)


def _message(name: str, **constants: Any) -> type:
    return type(name, (SimpleNamespace,), constants)


#: What the engine builds its replies from.
PROTOS = SimpleNamespace(
    TypedData=Typed,
    StatusResult=_message("StatusResult", Failure=0, Success=1),
    BindingInfo=_message("BindingInfo", **{"in": 0, "out": 1, "inout": 2, "undefined": 0}),
    **{
        name: _message(name)
        for name in (
            "FunctionMetadataResponse",
            "InvocationResponse",
            "ParameterBinding",
            "RpcException",
            "RpcFunctionMetadata",
            "RpcHttp",
            "RpcRetryOptions",
            "WorkerInitResponse",
            "WorkerMetadata",
        )
    },
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the host is told about one invocation. An HTTP function that failed is a 500 with an empty body to the caller."""

    ok: bool
    error: str = ""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


class WorkerEngine:
    """The engine with a loop of its own, as in the worker; every method may be called from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="worker", daemon=True).start()
        engine.start_threadpool_executor()
        self._ids: dict[str, str] = {}
        self._triggers: dict[str, str] = {}

    def index(self, folder: str, script: str = "function_app.py") -> tuple[str, dict[str, Any]]:
        """Index an app: what the engine says against it, and name -> bindings and retry policy."""
        sys.path.insert(0, folder)
        os.environ["PYTHON_SCRIPT_FILE_NAME"] = script
        asked = SimpleNamespace(worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=folder))
        begun = self._wait(engine.worker_init_request(SimpleNamespace(request=asked, properties={"protos": PROTOS, "host": "127.0.0.1"})))
        if begun.result.status != PROTOS.StatusResult.Success:
            return begun.result.exception.message, {}
        found = self._wait(engine.functions_metadata_request(None)).function_metadata_results or []
        self._ids = {one.name: one.function_id for one in found}
        bindings = {one.name: [json.loads(binding) for binding in one.raw_bindings] for one in found}
        self._triggers = {name: next(one["name"] for one in those if one["type"].endswith("Trigger")) for name, those in bindings.items()}
        retries = {one.name: {key: str(value) for key, value in vars(one.retry_options or SimpleNamespace()).items()} for one in found}
        return "", {name: {"bindings": bindings[name], "retry": retries[name]} for name in bindings}

    def http(
        self, name: str, method: str, url: str, *, headers: Mapping[str, str], params: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Outcome:
        """A request as the host hands it over: header names in lower case, the query decoded, the body as bytes."""
        asked = Typed(
            method=method,
            url=url,
            headers={key.lower(): value for key, value in headers.items()},
            params=dict(params or {}),
            query=dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)),
            body=Typed(bytes=body),
        )
        return self._invoke(name, Typed(http=asked), {})

    def message(self, name: str, body: str, *, session: str, message_id: str, deliveries: int, number: int, enqueued: str) -> Outcome:
        """A message as the extension hands it over: the body as text, moments as JSON, no time to live, no lock's end, no schedule.

        That ``UserProperties`` is among the metadata is what tells the SDK that this is one message and no batch.
        """
        texts = {"MessageId": message_id, "SessionId": session, "PartitionKey": session, "LockToken": str(uuid.uuid4())}
        others = {
            "DeliveryCount": deliveries,
            "SequenceNumber": number,
            "EnqueuedTimeUtc": enqueued,
            "ExpiresAtUtc": "9999-12-31T23:59:59.9999999Z",
            "ApplicationProperties": {},
            "UserProperties": {},
        }
        metadata = {key: Typed(string=value) for key, value in texts.items()} | {
            key: Typed(json=json.dumps(value)) for key, value in others.items()
        }
        return self._invoke(name, Typed(string=body), metadata)

    def timer(self, name: str, *, past_due: bool = False) -> Outcome:
        """A timer that is due."""
        last, following = "2026-01-02T03:00:00+00:00", "2026-01-02T03:05:00+00:00"
        status = {"Last": last, "Next": following, "LastUpdated": last}
        return self._invoke(name, Typed(json=json.dumps({"IsPastDue": past_due, "Schedule": {}, "ScheduleStatus": status})), {})

    def _invoke(self, name: str, data: Typed, metadata: Mapping[str, Typed]) -> Outcome:
        asked = SimpleNamespace(
            invocation_id=str(uuid.uuid4()),
            function_id=self._ids[name],
            input_data=[Typed(name=self._triggers[name], data=data)],
            trigger_metadata=metadata,
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        told = self._wait(engine.invocation_request(SimpleNamespace(request=SimpleNamespace(invocation_request=asked))))
        if told.result.status != PROTOS.StatusResult.Success:
            return Outcome(ok=False, error=told.result.exception.message)
        answer = told.return_value
        if answer is None or answer.WhichOneof("data") != "http":
            return Outcome(ok=True)
        body = answer.http.body
        content = getattr(body, body.WhichOneof("data") or "", b"") if body is not None else b""
        return Outcome(
            ok=True,
            status=int(answer.http.status_code),
            headers=answer.http.headers,
            body=content if isinstance(content, str) else content.decode(),
        )

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)
