"""The worker's rules for a function app, one check each, with tiny apps that break it and what the worker itself says to those.

Where the worker refuses, every function of the app is absent. What it accepts, and what only fails with the first call, is worse: it is
deployed. So each rule is stricter than the worker, never laxer.
"""

from __future__ import annotations

import ast
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import azure.functions as func

#: Trigger -> the one class that its parameter is annotated with, and what its function returns.
TRIGGERS: dict[str, tuple[type, type]] = {
    "httpTrigger": (func.HttpRequest, func.HttpResponse),
    "serviceBusTrigger": (func.ServiceBusMessage, type(None)),
    "timerTrigger": (func.TimerRequest, type(None)),
}
#: Attributes of a message that the extension never fills: they are always None in a function.
NEVER_SENT = {
    "time_to_live",
    "locked_until",
    "scheduled_enqueue_time_utc",
    "state",
    "dead_letter_reason",
    "dead_letter_error_description",
    "enqueued_sequence_number",
}


@dataclass(kw_only=True, slots=True)
class Read:
    """A function app as its source and as the SDK sees it."""

    tree: ast.Module
    #: Why it cannot be imported, or its functions cannot be listed.
    error: str = ""
    apps: list[Any] = field(default_factory=list)
    functions: list[Any] = field(default_factory=list)

    def handlers(self) -> Iterator[tuple[str, dict[str, Any], Callable[..., Any]]]:
        """(name, its trigger, what it calls)."""
        for one in self.functions:
            yield one.get_function_name(), one.get_trigger().get_dict_repr(), one.get_user_function()

    def definition(self, handler: Callable[..., Any]) -> ast.FunctionDef | ast.AsyncFunctionDef:
        """The source of a handler."""
        named = [node for node in self.tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        return next(node for node in named if node.name == handler.__name__)


def read(source: str, *, functions: list[Any] | None = None) -> Read:
    """Import an app from its source. ``functions`` are its functions where somebody asked it already: it tells them once."""
    found = Read(tree=ast.parse(source))
    module = types.ModuleType("app_under_test")
    try:
        exec(compile(source, "app_under_test.py", "exec"), module.__dict__)
        found.apps = [one for one in vars(module).values() if isinstance(one, func.FunctionRegister)]
        found.functions = list(found.apps[0].get_functions()) if functions is None and found.apps else list(functions or ())
    except Exception as error:
        found.error = f"{type(error).__name__}: {error}"
    return found


def _hints(handler: Callable[..., Any]) -> dict[str, Any] | None:
    """Annotations as the worker evaluates them; None where it cannot."""
    try:
        return typing.get_type_hints(handler)
    except NameError:
        return None


def imports_and_lists(app: Read) -> Iterator[str]:
    """Whatever is raised at import, or by two functions with one name or two triggers on one function, takes the whole app away."""
    if app.error:
        yield app.error


def one_app(app: Read) -> Iterator[str]:
    """Exactly one attribute of the module is a function app."""
    if not app.error and len(app.apps) != 1:
        yield f"{len(app.apps)} function apps"


def some_function(app: Read) -> Iterator[str]:
    """An app without functions starts without an error."""
    if not app.error and len(app.apps) == 1 and not app.functions:
        yield "no function"


def annotations_exist_at_runtime(app: Read) -> Iterator[str]:
    """The worker evaluates annotations: what is imported for the type checker alone is not there."""
    for name, _, handler in app.handlers():
        if inspect.isfunction(handler) and _hints(handler) is None:
            yield f"{name}: an annotation is not there at runtime"


def plain_functions(app: Read) -> Iterator[str]:
    """No callable object, no partial, and no coroutine, which around blocking clients stalls every other function of the process."""
    for name, _, handler in app.handlers():
        if not inspect.isfunction(handler) or inspect.iscoroutinefunction(handler):
            yield f"{name}: no plain function"


def only_the_trigger(app: Read) -> Iterator[str]:
    """One parameter, the trigger: no second one, not even with a default, no ``**``, no context, which has one name and one type only."""
    for name, trigger, handler in app.handlers():
        parameters = inspect.signature(handler).parameters
        if list(parameters) != [trigger["name"]] or parameters[trigger["name"]].default is not inspect.Parameter.empty:
            yield f"{name}: takes {', '.join(map(str, parameters.values()))}"


def trigger_types(app: Read) -> Iterator[str]:
    """The parameter is annotated with the SDK's own class: no ``list[…]``, no ``X | None``, no dict, no class of ours."""
    for name, trigger, handler in app.handlers():
        hints = _hints(handler) or {}
        if hints.get(trigger["name"]) is not TRIGGERS[trigger["type"]][0]:
            yield f"{name}: {trigger['name']} is a {hints.get(trigger['name'])}"


def return_types(app: Read) -> Iterator[str]:
    """HTTP returns a response, always; the others return None, always: any other value makes each call a failed one."""
    for name, trigger, handler in app.handlers():
        returned = (_hints(handler) or {}).get("return")
        if returned is not TRIGGERS[trigger["type"]][1]:
            yield f"{name}: returns {returned}"
        statements = [node for node in ast.walk(app.definition(handler)) if isinstance(node, ast.Return)]
        http = trigger["type"] == "httpTrigger"
        if any((node.value is None) is http for node in statements) or (http and not statements):
            yield f"{name}: a return that does not fit"


def no_output_binding(app: Read) -> Iterator[str]:
    """An output binding sets no session id, and its errors cannot be caught."""
    for one in app.functions:
        for binding in one.get_bindings():
            if binding.name != "$return" and binding is not one.get_trigger():
                yield f"{one.get_function_name()}: {binding.type} {binding.name}"


def no_retry_for_messages(app: Read) -> Iterator[str]:
    """The host's retry policies do not cover the queue; the decorator is accepted all the same."""
    for one in app.functions:
        if one.get_trigger().type == "serviceBusTrigger" and one.get_setting("retry_policy") is not None:
            yield f"{one.get_function_name()}: a retry policy"


def retry_names_both_intervals(app: Read) -> Iterator[str]:
    """An exponential policy without them is refused by one generation of the worker alone."""
    for one in app.functions:
        policy = one.get_settings_dict("retry_policy") or {}
        if policy.get("strategy") == "exponential_backoff" and not {"minimum_interval", "maximum_interval"} <= set(policy):
            yield f"{one.get_function_name()}: an interval is missing"


def messages_one_by_one_in_sessions(app: Read) -> Iterator[str]:
    """A batch is one session at a time, its locks are not renewed, and its fields lose their alignment; nobody here settles by hand."""
    for name, trigger, _ in app.handlers():
        if trigger["type"] != "serviceBusTrigger":
            continue
        cardinality = getattr(trigger.get("cardinality"), "value", trigger.get("cardinality"))
        if trigger.get("isSessionsEnabled") is not True or cardinality != "one" or trigger.get("autoCompleteMessages", True) is not True:
            yield f"{name}: not one message of a session at a time, completed by returning"


def only_what_arrives(app: Read) -> Iterator[str]:
    """Nothing is read from a message that the extension does not send."""
    for name, trigger, handler in app.handlers():
        if trigger["type"] != "serviceBusTrigger" or not inspect.isfunction(handler):
            continue
        for node in ast.walk(app.definition(handler)):
            if isinstance(node, ast.Attribute) and node.attr in NEVER_SENT:
                yield f"{name}: {node.attr} is always None"


def timers_wait_for_their_time(app: Read) -> Iterator[str]:
    """Else every scale-out, restart and deployment would fire them."""
    for name, trigger, _ in app.handlers():
        if trigger["type"] == "timerTrigger" and trigger.get("runOnStartup"):
            yield f"{name}: runs at every start of an instance"


class Verdict(Enum):
    """What Microsoft's engine says to an app that breaks a rule."""

    REFUSED = "the app is not indexed"
    FAILS = "every call fails"
    ACCEPTED = "no complaint, so that only we say it"


REFUSED, FAILS, ACCEPTED = Verdict.REFUSED, Verdict.FAILS, Verdict.ACCEPTED

_IMPORTS = "from typing import List, Optional, TYPE_CHECKING\nimport functools\nimport azure.functions as func\n"
_APP = f"{_IMPORTS}app = func.FunctionApp()\n"
_HTTP = '@app.route(route="x", methods=["POST"])\n'
_BUS = '@app.service_bus_queue_trigger(arg_name="message", queue_name="q", connection="C", is_sessions_enabled=True, cardinality="one")\n'
_OUT = '@app.service_bus_queue_output(arg_name="out", queue_name="q", connection="C")\n'
_TIMER = '@app.timer_trigger(schedule="0 * * * * *", arg_name="timer", run_on_startup=False)\n'
_OK = "return func.HttpResponse('ok')"


def _bus(signature: str, body: str = "pass", decorators: str = _BUS) -> str:
    return f"{_APP}{decorators}def f{signature}:\n    {body}\n"


def _http(signature: str, body: str = _OK) -> str:
    return f"{_APP}{_HTTP}def f{signature}:\n    {body}\n"


def _timer(signature: str, body: str = "pass", decorators: str = _TIMER) -> str:
    return f"{_APP}{decorators}def f{signature}:\n    {body}\n"


#: Check -> apps that break its rule, with the engine's own verdict.
RULES: dict[Callable[[Read], Iterator[str]], list[tuple[str, Verdict]]] = {
    imports_and_lists: [
        (f"{_APP}raise KeyError('JOINERY_GRAPH_URL')\n", REFUSED),
        (f"{_APP}import a_package_that_is_not_in_requirements\n", REFUSED),
        (_timer("(timer: func.TimerRequest) -> None") + f"{_TIMER}def f(timer: func.TimerRequest) -> None:\n    pass\n", REFUSED),
        (_timer("(timer: func.TimerRequest) -> None", decorators=_TIMER + _BUS), REFUSED),
        (f"{_APP}f = {_TIMER.strip()[1:]}(functools.partial(print))\n", REFUSED),
        (f"{_APP}class Call:\n    def __call__(self, timer):\n        pass\nf = {_TIMER.strip()[1:]}(Call())\n", REFUSED),
    ],
    one_app: [(f"{_APP}other = func.FunctionApp()\n", REFUSED), (f"{_IMPORTS}def make():\n    return func.FunctionApp()\n", REFUSED)],
    some_function: [(_APP, ACCEPTED)],
    annotations_exist_at_runtime: [
        (
            f"from __future__ import annotations\n{_IMPORTS}if TYPE_CHECKING:\n    from azure.functions import TimerRequest\n"
            f"app = func.FunctionApp()\n{_TIMER}def f(timer: TimerRequest) -> None:\n    pass\n",
            REFUSED,
        )
    ],
    plain_functions: [
        (f"{_APP}{_TIMER}async def f(timer: func.TimerRequest) -> None:\n    pass\n", ACCEPTED),
    ],
    only_the_trigger: [
        (_timer("(timer: func.TimerRequest, clock: str = 'x') -> None"), REFUSED),
        (_timer("(timer: func.TimerRequest, **rest: str) -> None"), REFUSED),
        (_timer("(timer: func.TimerRequest, ctx: func.Context) -> None"), REFUSED),
        (_timer("(timer: func.TimerRequest, context: func.Context | None) -> None"), REFUSED),
    ],
    trigger_types: [
        (_bus("(message: list[func.ServiceBusMessage]) -> None"), REFUSED),
        (_bus("(message: Optional[func.ServiceBusMessage]) -> None"), REFUSED),
        (_bus("(message: func.ServiceBusMessage | None) -> None"), REFUSED),
        (_bus("(message: dict) -> None"), REFUSED),
        (f"{_APP}class Ours:\n    pass\n{_BUS}def f(message: Ours) -> None:\n    pass\n", REFUSED),
        (_bus("(message: List[func.ServiceBusMessage]) -> None"), ACCEPTED),
    ],
    return_types: [
        (_http("(req: func.HttpRequest) -> Optional[func.HttpResponse]"), REFUSED),
        (_http("(req: func.HttpRequest) -> func.HttpResponse | None"), REFUSED),
        (_http("(req: func.HttpRequest) -> dict"), REFUSED),
        (_http("(req: func.HttpRequest) -> func.HttpResponse", "return"), FAILS),
        (_http("(req: func.HttpRequest) -> func.HttpResponse", "pass"), FAILS),
        (_bus("(message: func.ServiceBusMessage) -> None", "return 'done'"), FAILS),
        (_timer("(timer: func.TimerRequest) -> None", "return 1"), FAILS),
    ],
    no_output_binding: [
        (_bus("(message: func.ServiceBusMessage, out: func.Out[List[str]]) -> None", decorators=_BUS + _OUT), REFUSED),
        (_bus("(message: func.ServiceBusMessage, out: func.Out[dict]) -> None", decorators=_BUS + _OUT), REFUSED),
        (_bus("(message: func.ServiceBusMessage, out: func.Out[func.ServiceBusMessage]) -> None", decorators=_BUS + _OUT), REFUSED),
        (_bus("(message: func.ServiceBusMessage, out: func.Out[str]) -> None", decorators=_BUS + _OUT), ACCEPTED),
    ],
    no_retry_for_messages: [
        (
            _bus(
                "(message: func.ServiceBusMessage) -> None",
                decorators='@app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:00:10")\n' + _BUS,
            ),
            ACCEPTED,
        )
    ],
    retry_names_both_intervals: [
        (
            _timer(
                "(timer: func.TimerRequest) -> None",
                decorators='@app.retry(strategy="exponential_backoff", max_retry_count="3", minimum_interval="00:00:10")\n' + _TIMER,
            ),
            ACCEPTED,
        )
    ],
    messages_one_by_one_in_sessions: [
        (_bus("(message: func.ServiceBusMessage) -> None", decorators=_BUS.replace("is_sessions_enabled=True, ", "")), ACCEPTED),
        (_bus("(message: func.ServiceBusMessage) -> None", decorators=_BUS.replace('"one"', '"many"')), ACCEPTED),
        (_bus("(message: func.ServiceBusMessage) -> None", decorators=_BUS.replace(")", ", auto_complete_messages=False)")), ACCEPTED),
    ],
    only_what_arrives: [(_bus("(message: func.ServiceBusMessage) -> None", "print(message.time_to_live)"), ACCEPTED)],
    timers_wait_for_their_time: [
        (_timer("(timer: func.TimerRequest) -> None", decorators=_TIMER.replace("startup=False", "startup=True")), ACCEPTED)
    ],
}
#: An app that breaks none of them.
GOOD = (
    _timer("(timer: func.TimerRequest) -> None")
    + f"{_BUS}def g(message: func.ServiceBusMessage) -> None:\n    pass\n"
    + f"{_HTTP}def h(req: func.HttpRequest) -> func.HttpResponse:\n    {_OK}\n"
)
