"""Checks of the side where people live: Microsoft Graph and our application in Entra ID."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from joinery.doctor.checkup import Found, failed, skipped, warning, well
from joinery.doctor.judging import judge_end, judge_permissions, judge_subscription
from joinery.doctor.patient import DirectoryApp, Patient, Side, asked
from joinery.doctor.permissions import PERMISSIONS, READS_ITS_OWN_END, needed_to_read, needed_to_write
from joinery.domain.moments import from_text
from joinery.engine.health import SUBSCRIBED
from joinery.errors import Refused, TryLater

#: One each for the whole tenant.
RESOURCES = ("/users", "/groups")


def reachable(patient: Patient) -> Iterator[Found]:
    """Whether we are let in, and Graph answers."""
    app = asked(patient.directory)
    app.granted()
    # A no is an answer, too: what we may do is the next check's.
    with suppress(Refused):
        app.read_people()
    yield well(f"{patient.settings.graph_url}: gives a token, and answers")


def permissions(patient: Patient) -> Iterator[Found]:
    """What the token may do, too little and too much, and whether it works."""
    app = asked(patient.directory)
    found = []
    for what, read in (("people", app.read_people), ("groups", app.read_groups)):
        try:
            read()
        except Refused as error:
            found.append(
                failed(f"{what} cannot be read: {error}", "Run `sh infra/grant-graph.sh`, and wait for a token that has the grant.")
            )
    granted, needed = app.granted(), needed_to_read(patient.policy, writes_too=patient.writer is None)
    if granted is None:
        yield from found or [
            skipped("the token cannot be read, so what it may do is not known", "Compare by hand with infra/README.md, step 5.")
        ]
        return
    ways = (patient.settings.graph_credential, patient.settings.graph_write_credential)
    tolerates = (READS_ITS_OWN_END,) if "secret" in ways else ()
    found += judge_permissions(granted, needed, tolerates=tolerates)
    yield from found or [well(f"exactly what is needed: {', '.join(one.name for one in needed)}")]


def writer(patient: Patient) -> Iterator[Found]:
    """Whether the identity that writes is let in, and what it may do."""
    needed = needed_to_write(patient.policy)
    if patient.writer is None:
        if needed:
            # A deployment keeps who writes where it keeps who reads, and neither may be here.
            asked(patient.directory)
        who = "the identity that reads" if needed else "nobody"
        yield well(f"{who} writes to the directory: {', '.join(one.name for one in needed) or 'this policy asks for nothing'}")
        return
    granted = asked(patient.writer).granted()
    if granted is None:
        yield skipped("the token cannot be read, so what it may do is not known", "Compare by hand with infra/README.md, step 5.")
        return
    found = list(judge_permissions(granted, needed, spare=[one.name for one in PERMISSIONS if one.writes]))
    yield from found or [well(f"exactly what is needed: {', '.join(one.name for one in needed) or 'nothing'}")]


def credentials(patient: Patient) -> Iterator[Found]:
    """When what we sign in with ends, as whoever reads and as whoever writes."""
    settings = patient.settings
    yield _end("Graph", patient.directory, settings.graph_credential, settings.graph_client_secret.reveal(), patient.clock.now())
    if patient.writer is not None:
        way, secret = settings.graph_write_credential, settings.graph_write_client_secret.reveal()
        yield _end("Graph as whoever writes", patient.writer, way, secret, patient.clock.now())


def _end(whom: str, app: DirectoryApp | Side, way: str, secret: str, now: datetime) -> Found:
    """When what one application signs in with ends."""
    if isinstance(app, Side):
        return skipped(app.why, app.remedy)
    if way == "managed-identity":
        return well(f"{whom}: a managed identity, of which nothing ends")
    if way == "certificate":
        remedy = "Add the next certificate to the application in Entra, then put its file where the setting names it."
        return judge_end(f"the certificate of the sign-in to {whom}", app.certificate_end(), now, remedy)
    try:
        ends_at = app.secret_ends(secret)
    except Refused:
        remedy = (
            "Note the end date where you note others; or grant Application.Read.All, or sign in with a managed identity or a certificate."
        )
        return skipped(f"Graph does not let us read when the client secret of the sign-in to {whom} ends", remedy)
    if ends_at is None:
        return warning(f"the application in Entra shows no client secret for {whom}", "Look at Certificates & secrets there.")
    remedy = "Make the next secret in Entra (Certificates & secrets), set it, and remove the old one a day later."
    return judge_end(f"the client secret of the sign-in to {whom}", ends_at, now, remedy)


def names(patient: Patient) -> Iterator[Found]:
    """Groups and people of the policy."""
    asked(patient.directory)
    found = patient.unknown_to_directory()
    for one in found:
        yield failed(f"{one.place} {one.problem}", one.remedy)
    if not found:
        yield well(f"all {len(patient.policy.watched_groups)} groups and everybody whom the policy names are there, once")


def subscriptions(patient: Patient) -> Iterator[Found]:
    """Whether notifications are ordered, as we noted it and as Graph lists it."""
    if isinstance(patient.store, Side):
        yield skipped(patient.store.why)
        return
    now = patient.clock.now()
    noted = (patient.store.read_shared(SUBSCRIBED)[1] or {}).get("ends", {})
    remembered = {resource: from_text(moment) for resource, moment in noted.items()}
    listed = _listed(patient)
    for resource in RESOURCES:
        found = judge_subscription(resource, (remembered if listed is None else listed).get(resource), now)
        if listed is None:
            found = replace(found, cause=f"{found.cause}, as noted here: Graph's own list could not be asked")
        elif resource not in listed and resource in remembered:
            until = f"{remembered[resource]:%Y-%m-%d %H:%M}"
            found = replace(found, cause=f"the subscription to {resource} is gone at Graph, and we believed it to last until {until} UTC")
        yield found


def _listed(patient: Patient) -> Mapping[str, datetime] | None:
    """Graph's own list of what points to us; None where nobody can be asked for it."""
    if isinstance(patient.directory, Side) or not patient.public_url:
        return None
    try:
        return patient.directory.subscriptions(f"{patient.public_url}/api/notifications")
    except TryLater:
        return None
