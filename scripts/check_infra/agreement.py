"""What infra/ makes is what the code is written for: the queue, the settings, the functions and the messages that alarms ask for."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import function_app
from adapters.queues.ledger import PERSON_MESSAGES
from check_infra.bicep import Bicep, Declared, Node, at, literal, properties, text, walk
from joinery.errors import ConfigurationError, Finding
from joinery.local import registered
from joinery.settings import Settings

#: The code that is checked against, wherever the copy of infra/ lies that is checked.
_ROOT = Path(__file__).resolve().parents[2]

#: What the platform and the SDKs read beside the connections of bindings ("functions-app-settings", azure-identity).
PLATFORM = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "PYTHON_THREADPOOL_THREAD_COUNT",
}
#: Without these two the app runs, and nobody sees it.
NEEDED = {"APPLICATIONINSIGHTS_CONNECTION_STRING", "PYTHON_THREADPOOL_THREAD_COUNT"}
#: The connection of the host itself, and what a connection by identity is made of, for each kind of it.
HOST = "AzureWebJobsStorage"
ADDRESSES = {"AzureWebJobsStorage": "accountName", "serviceBusTrigger": "fullyQualifiedNamespace"}
BY_IDENTITY = ("credential", "clientId")
#: Settings that must not be set on Flex Consumption ("flex-consumption-plan").
FORBIDDEN = re.compile(
    r"FUNCTIONS_(EXTENSION_VERSION|WORKER_\w+|MAX_HTTP_CONCURRENCY)|WEBSITE_(RUN_FROM_PACKAGE|CONTENT\w+|TIME_ZONE)|ENABLE_ORYX_BUILD"
    r"|SCM_DO_BUILD_DURING_DEPLOYMENT|linuxFxVersion"
)


def findings(files: Sequence[Bicep]) -> Iterator[Finding]:
    """Where infra/ and the code do not agree."""
    resources = [(file, one) for file in files for one in file.of_kind("resource")]
    for file, one in resources:
        if one.type == "Microsoft.ServiceBus/namespaces/queues":
            yield from _queue(file, one)
        elif one.type == "Microsoft.Web/sites/config" and literal(at(one.value, "name")) == "appsettings":
            yield from _settings(file, one, [_passed(files, branch) for branch in ("alternative", "consequence")])
    for wanted in ("Microsoft.ServiceBus/namespaces/queues", "Microsoft.Web/sites/config"):
        if sum(one.type == wanted for _, one in resources) != 1:
            yield Finding(place="infra", problem=f"does not have exactly one {wanted}", remedy="The code knows one.")
    for file in files:
        yield from _questions(file)


# --- the queue


def queue_properties() -> dict[str, object]:
    """The queue that the code assumes, in the words of the service."""
    rules = PERSON_MESSAGES
    window = {} if rules.duplicate_window is None else {"duplicateDetectionHistoryTimeWindow": rules.duplicate_window}
    lives = {} if rules.default_time_to_live is None else {"defaultMessageTimeToLive": rules.default_time_to_live}
    return {
        "requiresSession": rules.requires_session,
        "lockDuration": rules.lock_duration,
        "maxDeliveryCount": rules.max_delivery_count,
        "requiresDuplicateDetection": rules.duplicate_window is not None,
        "deadLetteringOnMessageExpiration": rules.dead_letter_on_expiry,
        **window,
        **lives,
    }


def _queue(file: Bicep, queue: Declared) -> Iterator[Finding]:
    given = properties(at(queue.value, "properties"))
    wanted = queue_properties()
    for name, value in wanted.items():
        if name not in given:
            yield file.finding(queue.node, f"queue: {name} is not set", f"The code assumes {value}.")
        elif _meant(given[name]) != value:
            remedy = f"The code assumes {value}: change both, or neither (adapters/queues/ledger.py, PERSON_MESSAGES)."
            yield file.finding(given[name], f"queue: {name} is {text(given[name])}", remedy)
    for name in sorted(set(given) - set(wanted)):
        yield file.finding(given[name], f"queue: {name} is nothing that the code knows of", "Remove it, or teach the code.")


def _meant(node: Node) -> object:
    value = literal(node) or ""
    if node.type == "string":
        found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", value)
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds) if found else value
    return value == "true" if node.type == "boolean" else int(value) if value.isdecimal() else value


# --- the settings


def _passed(files: Sequence[Bicep], branch: str) -> dict[str, str]:
    """Param of a module -> what its caller passes, where that is known here: a literal, or a param with a default.

    Of two, separated by a condition, the one of this branch.
    """
    found = {}
    for file in files:
        defaults = {one.name: literal(one.value) for one in file.of_kind("param")}
        for module in file.of_kind("module"):
            for name, node in properties(at(module.value, "params")).items():
                node = (node.child_by_field_name(branch) or node) if node.type == "ternary_expression" else node
                value = literal(node) if node.type != "identifier" else defaults.get(text(node))
                if value is not None:
                    found[name] = value
    return found


def _settings(file: Bicep, config: Declared, ways: Sequence[Mapping[str, str]]) -> Iterator[Finding]:
    """``ways``: what is passed without and with what a deployment may choose."""
    given = properties(at(config.value, "properties"))
    connections = _connections()
    known = {one.metadata["env"] for one in fields(Settings)} | PLATFORM | connections
    for name in given:
        if FORBIDDEN.fullmatch(name):
            yield file.finding(given[name], f"{name} must not be set on Flex Consumption", "Remove it; functionAppConfig says it.")
        elif name not in known:
            yield file.finding(given[name], f"nobody reads {name}", "Mend the name, or remove it.")
    named = set(re.findall(r"%(\w+)%", str(_bindings())))
    for name in sorted((NEEDED | connections | named) - set(given)):
        yield file.finding(config.node, f"{name} is not set, and the platform or a binding needs it", "Set it.")
    for finding in dict.fromkeys(finding for passed in ways for finding in _refused(given, passed)):
        yield file.finding(config.node, f"the code refuses these settings: {finding.place} {finding.problem}", finding.remedy)
    yield from _threads(file, given)


def _bindings() -> list[dict[str, object]]:
    return [binding.get_dict_repr() for one in registered(function_app.app) for binding in one.get_bindings()]


def _connections() -> set[str]:
    """Every setting that a connection by identity is made of: the host's own and those that bindings name."""
    prefixes = {HOST: ADDRESSES[HOST]}
    for binding in _bindings():
        if prefix := binding.get("connection"):
            prefixes[str(prefix)] = ADDRESSES[str(getattr(binding["type"], "value", binding["type"]))]
    return {f"{prefix}__{part}" for prefix, address in prefixes.items() for part in (address, *BY_IDENTITY)}


def _refused(given: Mapping[str, Node], passed: Mapping[str, str]) -> list[Finding]:
    """What the code says to these settings; where only the deployment knows a value, something of its kind stands for it."""
    environ = {name: passed[text(node)] if text(node) in passed else _example(name, node) for name, node in given.items()}
    try:
        Settings.from_environment(environ).check_complete()
    except ConfigurationError as error:
        return list(error.findings)
    return []


def _example(name: str, node: Node) -> str:
    value = literal(node)
    if value is not None:
        return value
    if "@Microsoft.KeyVault" in text(node):
        return "0" * 64
    if name.endswith(("_URL", "_AUTHORITY")):
        return "https://contoso.example/seals" if "SEALS" in name else "https://contoso.example"
    if name.endswith("__fullyQualifiedNamespace"):
        return "contoso.example"
    if name.endswith("_WRITE_IDENTITY"):
        return "00000000-0000-4000-8000-000000000001"
    return "00000000-0000-4000-8000-000000000000" if name.endswith(("_CLIENT_ID", "__clientId")) else "contoso"


def _threads(file: Bicep, given: Mapping[str, Node]) -> Iterator[Finding]:
    """One process works on its sessions and on what comes by HTTP at once; see docs/functions.md."""
    sessions = json.loads((_ROOT / "host.json").read_text("utf-8"))["extensions"]["serviceBus"]["maxConcurrentSessions"]
    threads = _number(file, given.get("PYTHON_THREADPOOL_THREAD_COUNT"))
    if threads is not None and threads < sessions:
        yield file.finding(
            given["PYTHON_THREADPOOL_THREAD_COUNT"], f"{threads} threads for {sessions} sessions", "Raise it: see host.json."
        )
    for one in file.of_kind("resource"):
        calls = at(one.value, "properties", "functionAppConfig", "scaleAndConcurrency", "triggers", "http", "perInstanceConcurrency")
        if calls is not None and threads is not None and (_number(file, calls) or 0) > threads:
            yield file.finding(
                calls, f"more calls at once than the {threads} threads", "Lower it, or raise PYTHON_THREADPOOL_THREAD_COUNT."
            )


def _number(file: Bicep, node: Node | None) -> int | None:
    """A number, a text that is one, string(…) of one, or a variable of the file that is one."""
    if node is None:
        return None
    if node.type == "call_expression" and text(node).startswith("string("):
        node = node.named_children[-1].named_children[0]
    if node.type == "identifier":
        node = next((one.value for one in file.of_kind("var") if one.name == text(node)), None)
    value = literal(node) or ""
    return int(value) if value.isdecimal() else None


# --- the alarms


@functools.cache
def logged() -> frozenset[str]:
    """Every constant message that the product logs."""
    found = set()
    for path in [path for folder in ("joinery", "adapters") for path in sorted((_ROOT / folder).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="info" | "warning" | "error"), args=[ast.Constant(value=str(message)), *_]):
                    found.add(message)
    return frozenset(found)


def _questions(file: Bicep) -> Iterator[Finding]:
    """Log queries that name a function or a message."""
    functions, messages = {one.get_function_name() for one in registered(function_app.app)}, logged()
    for node in walk(file.root):
        if node.type != "object_property" or text(node.named_children[0]) != "query":
            continue
        query = literal(node.named_children[-1])
        if query is None:
            continue
        for name in _functions_named(query):
            if name not in functions:
                yield file.finding(node, f"the query asks for {name!r}, which is no function", "Mend the query.")
        for message in re.findall(r'\bMessage startswith "([^"]*)"', query):
            if message not in messages:
                yield file.finding(node, f"the query asks for {message!r}, which is no message that is logged", "Mend the query.")
        if re.search(r"\bMessage (?!startswith )", query):
            yield file.finding(node, "the query compares whole lines, and a line carries its fields behind its message", "Use startswith.")
        if "found =" not in query:
            yield file.finding(node, "the query has no column found", "End it with summarize found = ….")


def _functions_named(query: str) -> list[str]:
    """What the name of a request is compared with, by == and != and in (…)."""
    values = re.findall(r'\bName (?:==|!=) "([^"]*)"', query)
    for several in re.findall(r"\bName (?:in|!in) \(([^)]*)\)", query):
        values += re.findall(r'"([^"]*)"', several)
    return values
