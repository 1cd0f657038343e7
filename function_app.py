"""Azure's door: triggers only. Every function asks ``wiring`` for the App on first use and calls one method of it.

Signatures here are read by the Functions worker, which refuses ``list[...]`` and ``X | None``; keep them plain.
"""

import json

import azure.functions as func

from wiring import app_source

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="notifications", methods=["POST"])
def notifications(req: func.HttpRequest) -> func.HttpResponse:
    """Change notifications: handshake, proof of origin, one send, 202."""
    return _accept(req, lifecycle=False)


@app.route(route="lifecycle", methods=["POST"])
def lifecycle(req: func.HttpRequest) -> func.HttpResponse:
    """Lifecycle notifications of our subscriptions."""
    return _accept(req, lifecycle=True)


@app.route(route="desk-events/{secret}", methods=["POST"])
def desk_webhook(req: func.HttpRequest) -> func.HttpResponse:
    """The desk's webhook: which tickets to look at, if somebody waits for them."""
    reply = app_source().desk_event(
        req.get_body(), secret=req.route_params.get("secret", ""), authorization=req.headers.get("Authorization", "")
    )
    return func.HttpResponse(reply.body, status_code=reply.status, headers={"Content-Type": reply.content_type})


@app.service_bus_queue_trigger(
    arg_name="message",
    queue_name="%JOINERY_QUEUE_NAME%",
    connection="ServiceBusConnection",
    is_sessions_enabled=True,
    cardinality=func.Cardinality.ONE,
)
def person_messages(message: func.ServiceBusMessage) -> None:
    """One message of the session queue."""
    app_source.handle(message.get_body(), enqueued_at=message.enqueued_time_utc)


@app.timer_trigger(schedule="0 * * * * *", arg_name="timer", run_on_startup=False)
def tick(timer: func.TimerRequest) -> None:
    """Every minute: wake what a lost message left behind."""
    app_source().tick()


@app.timer_trigger(schedule="0 0 */6 * * *", arg_name="timer", run_on_startup=False)
def renew_subscriptions(timer: func.TimerRequest) -> None:
    """Every six hours: both subscriptions exist, point here, and last."""
    app_source().renew_subscriptions()


@app.timer_trigger(schedule="30 */5 * * * *", arg_name="timer", run_on_startup=False)
def sweep(timer: func.TimerRequest) -> None:
    """Every five minutes: what no notification told."""
    app_source().sweep()


@app.route(route="health", methods=["GET"])
def health(req: func.HttpRequest) -> func.HttpResponse:
    """200 when both subscriptions exist and a sweep has run, else 503; the counters, or the settings that are wrong, as JSON."""
    ready, document = app_source.health()
    return func.HttpResponse(json.dumps(document), status_code=200 if ready else 503, mimetype="application/json")


def _accept(req: func.HttpRequest, *, lifecycle: bool) -> func.HttpResponse:
    reply = app_source().accept(
        req.get_body(),
        content_type=req.headers.get("Content-Type", ""),
        validation_token=req.params.get("validationToken"),
        lifecycle=lifecycle,
    )
    return func.HttpResponse(reply.body, status_code=reply.status, headers={"Content-Type": reply.content_type})
