"""Checks of what is ours: settings, state, queue, functions, clock and coverage."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta
from urllib.parse import quote_plus

from joinery.doctor.checkup import Found, failed, skipped, warning, well
from joinery.doctor.judging import judge_skew, skew
from joinery.doctor.patient import Heard, Patient, Side, asked
from joinery.engine.coverage_watch import LATE, LATE_AFTER, coverage
from joinery.engine.health import SUBSCRIBED
from joinery.errors import TryLater
from joinery.setting_checks import on_loopback

#: How long Graph waits for the token to come back ("change-notifications-delivery-webhooks").
HANDSHAKE_MAX = timedelta(seconds=10)
FUNCTIONS_REMEDY = "Look whether the functions run, and at JOINERY_PUBLIC_URL: it is their address without /api."


def settings(patient: Patient) -> Iterator[Found]:
    """What a deployment has to name."""
    for finding in patient.missing:
        # The deployment itself may well have it: secrets stay in its vault.
        yield warning(f"{finding.place} {finding.problem}", finding.remedy)
    if not patient.missing:
        yield well(f"deployment {patient.settings.deployment}, policy {patient.settings.policy}: complete and understood")


def store(patient: Patient) -> Iterator[Found]:
    """Whether the state answers."""
    if isinstance(patient.store, Side):
        yield failed(patient.store.why, patient.store.remedy)
        return
    patient.store.read_shared(SUBSCRIBED)
    yield well(f"{patient.settings.store}: answers")


def queue(patient: Patient) -> Iterator[Found]:
    """Whether the queue answers, and what it gave up on."""
    letters = len(asked(patient.queue).dead_letters())
    if letters:
        yield warning(
            f"the queue gave up on {letters} messages", "Read `joinery parked list`; looks among them are sent again by the tick."
        )
    else:
        yield well(f"{patient.settings.queue}: answers, and gave up on nothing")


def functions(patient: Patient) -> Iterator[Found]:
    """Whether our functions answer at their public address, and are ready."""
    if not patient.public_url:
        yield skipped("no public address is known here", "Set JOINERY_PUBLIC_URL, or name the data folder of a `joinery up`.")
        return
    try:
        heard = patient.hearing.get(f"{patient.public_url}/api/health")
    except TryLater as error:
        stopped = (
            "Start `joinery up` again with this data folder: nothing of it runs." if on_loopback(patient.public_url) else FUNCTIONS_REMEDY
        )
        yield failed(f"{patient.public_url}/api/health: {error}", stopped)
        return
    document = _json(heard)
    if heard.status == 200 and document.get("ready") is True:
        yield well(f"{patient.public_url}: ready")
    elif heard.status == 503 and document:
        waiting = document.get("waiting_for") or document.get("findings") or ["something"]
        said = " and ".join(map(str, waiting)) if isinstance(waiting, list) else str(waiting)
        yield failed(f"{patient.public_url}/api/health: not ready, it waits for {said}", "Read the log: it names the timer that fails.")
    else:
        yield failed(f"{patient.public_url}/api/health answered {heard.status}, and that is not ours", FUNCTIONS_REMEDY)


def webhook(patient: Patient) -> Iterator[Found]:
    """Whether both doors for notifications return a validation token, as Graph asks them to before it makes a subscription."""
    if not patient.public_url:
        yield skipped("no public address is known here", "Set JOINERY_PUBLIC_URL.")
        return
    if on_loopback(patient.public_url) and not on_loopback(patient.settings.graph_url):
        yield failed(
            f"{patient.public_url} is this machine's own, where Microsoft Graph reaches nobody",
            "Set JOINERY_PUBLIC_URL to the https address under which Graph reaches the functions, without /api.",
        )
        return
    wrong = 0
    for door in ("notifications", "lifecycle"):
        # Like Graph's own: with blanks (as +) and a colon, so that whoever decodes twice or not at all is found out.
        token = f"Validation: reachability, asked by joinery doctor, 100%+ & {uuid.uuid4()}"
        heard = patient.hearing.post(f"{patient.public_url}/api/{door}?validationToken={quote_plus(token)}")
        for problem in _handshake(heard, token):
            wrong += 1
            yield failed(
                f"{patient.public_url}/api/{door} {problem}",
                "Let nothing between the internet and the functions answer for them, or change what they answer: Graph makes no subscription otherwise.",
            )
    if not wrong:
        yield well("both doors return the validation token, decoded, as text")


def _handshake(heard: Heard, token: str) -> Iterator[str]:
    """What is wrong with an answer to a validation request."""
    if heard.status != 200:
        yield f"answered {heard.status} to a validation token, not 200"
    elif heard.body != token:
        yield "returned something other than the validation token it was given"
    elif heard.content_type.partition(";")[0].strip().lower() != "text/plain":
        yield f"returned the validation token as {heard.content_type or 'nothing'}, not as text/plain"
    elif heard.took > HANDSHAKE_MAX:
        yield f"took {heard.took.total_seconds():.0f} s for a validation token, and Graph waits {HANDSHAKE_MAX.total_seconds():g}"


def desk_webhook(patient: Patient) -> Iterator[Found]:
    """Whether the door for the desk's webhook is open at the address that only the desk knows, and to nobody without credentials."""
    secret = patient.settings.desk_webhook_secret.reveal()
    if not secret:
        yield skipped("JOINERY_DESK_WEBHOOK_SECRET is not set here; without a webhook answers are found by asking every few minutes")
        return
    if not patient.public_url:
        yield skipped("no public address is known here", "Set JOINERY_PUBLIC_URL.")
        return
    # The last part of the address is a secret, so the findings leave it out.
    status = patient.hearing.post(f"{patient.public_url}/api/desk-events/{secret}").status
    door = f"{patient.public_url}/api/desk-events/…"
    remedy = "Set JOINERY_DESK_WEBHOOK_SECRET, _USER and _PASSWORD here and there alike (`sh infra/secrets.sh webhook` prints them)."
    if status == 401 and patient.hearing.post(f"{patient.public_url}/api/desk-events/{uuid.uuid4().hex}").status == 401:
        said = "asks for credentials whatever its secret is: something in front of the functions answers, and will not know Halo's"
        yield failed(f"{door} {said}", "Let nothing between the internet and the functions ask for a sign-in at this address.")
    elif status == 401:
        yield well(f"{door}: there, and asks for credentials")
    elif status == 404:
        yield failed(f"{door}: closed, or its secret is another one there", remedy)
    elif status < 300:
        yield failed(f"{door} lets in whoever names no credentials, so it is not ours that answers", FUNCTIONS_REMEDY)
    else:
        yield failed(f"{door} answered {status}", FUNCTIONS_REMEDY)


def clock(patient: Patient) -> Iterator[Found]:
    """Our clock against everybody else's."""
    if not patient.clocks:
        yield skipped("nobody is configured whose clock could be asked")
    for whose, url in patient.clocks.items():
        try:
            heard = patient.hearing.get(url)
        except TryLater as error:
            yield skipped(f"{whose}: {error}")
            continue
        if heard.date is None:
            yield skipped(f"{whose}: the answer has no date")
        else:
            yield judge_skew(whose, skew(heard.date, heard.sent_at, heard.took))


def covered(patient: Patient) -> Iterator[Found]:
    """Up to when every change was told."""
    if isinstance(patient.store, Side):
        yield skipped(patient.store.why)
        return
    found, now = coverage(patient.store, patient.clock), patient.clock.now()
    remedy = "Read `joinery coverage`, and the log of the timer `sweep`."
    if found.swept_at is None:
        yield failed("no sweep of the directory has ended yet", remedy)
        return
    late = now - found.swept_at
    # A sweep that has ended is late no more; the next tick strikes it out.
    troubles = [one for one in found.open_troubles if one.what != LATE or late > LATE_AFTER]
    for trouble in troubles:
        since = f"since {trouble.since:%Y-%m-%d %H:%M} UTC" if trouble.since else "for a time that is not known"
        what = (
            "no sweep has ended" if trouble.what == LATE else f"the delta link {trouble.what} is lost, and not everybody was compared yet"
        )
        yield failed(f"{what} {since}", remedy)
    if late > LATE_AFTER and not any(one.what == LATE for one in troubles):
        yield failed(f"the last sweep ended {late // timedelta(minutes=1)} minutes ago; they come every five", remedy)
    elif not troubles:
        yield well(f"swept {_ago(late)} ago, no hole is open, {_links(found.spans)}")


def _ago(span: timedelta) -> str:
    minutes = max(span, timedelta(0)) // timedelta(minutes=1)
    return f"{minutes} min" if minutes else "less than a minute"


def _links(spans: Iterable[str]) -> str:
    count = len(list(spans))
    return f"{count} delta {'link' if count == 1 else 'links'}"


def _json(heard: Heard) -> dict[str, object]:
    try:
        document = json.loads(heard.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
