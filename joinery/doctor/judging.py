"""What an answer means: pure, so that a table can test it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from joinery.doctor.checkup import Found, failed, warning, well
from joinery.doctor.permissions import DANGERS, DESK_SCOPES, TOLERATED, Permission

#: Skew from which a person should look, and from which things fail.
SKEW_NOTICED, SKEW_MAX = timedelta(seconds=5), timedelta(seconds=60)
#: A ``Date`` header has whole seconds, cut off.
_DATE_STEP = timedelta(seconds=1)

#: How long before the end of a secret or certificate: plan it, do it, too late to plan.
PLAN_WITHIN, RENEW_WITHIN, ENDS_WITHIN = timedelta(days=60), timedelta(days=30), timedelta(days=7)

#: Subscriptions are renewed below 14 days; with less than this, two weeks of renewals have failed.
SUBSCRIPTION_WARNS, SUBSCRIPTION_FAILS = timedelta(days=13), timedelta(days=3)


def skew(theirs: datetime, sent_at: datetime, took: timedelta) -> timedelta:
    """By how much our clock is surely ahead of theirs (negative: behind): half the round trip and the cut-off second are allowed for."""
    offset = sent_at + took / 2 - (theirs + _DATE_STEP / 2)
    unsure = took / 2 + _DATE_STEP / 2
    if abs(offset) <= unsure:
        return timedelta(0)
    return offset - unsure if offset > timedelta(0) else offset + unsure


def judge_skew(whose: str, ahead: timedelta) -> Found:
    """One clock against ours."""
    size, direction = abs(ahead), "ahead of" if ahead > timedelta(0) else "behind"
    if size <= SKEW_NOTICED:
        return well(f"{whose}: within {SKEW_NOTICED.total_seconds():g} s of ours")
    said = f"this machine's clock is {size.total_seconds():.0f} s {direction} that of {whose}"
    if size <= SKEW_MAX:
        return warning(said, "Let the machine keep time (NTP, chrony); other machines are right.")
    return failed(said, "Let the machine keep time (NTP, chrony): tokens and scheduled messages go wrong by so much.")


def judge_end(what: str, ends_at: datetime, now: datetime, remedy: str) -> Found:
    """A secret or a certificate that ends."""
    left = ends_at - now
    if left <= timedelta(0):
        return failed(f"{what} ended on {ends_at:%Y-%m-%d}", remedy)
    said = f"{what} ends on {ends_at:%Y-%m-%d}, in {left.days} {'day' if left.days == 1 else 'days'}"
    if left <= ENDS_WITHIN:
        return failed(said, f"Today: {remedy[:1].lower()}{remedy[1:]}")
    if left <= RENEW_WITHIN:
        return warning(said, remedy)
    if left <= PLAN_WITHIN:
        return warning(said, f"Plan it: {remedy[:1].lower()}{remedy[1:]}")
    return well(said)


def judge_permissions(
    granted: frozenset[str], permissions: Iterable[Permission], *, tolerates: Iterable[str] = (), spare: Iterable[str] = ()
) -> Iterator[Found]:
    """What a token of ours may do, against what it has to: each permission too few and too many is one finding.

    ``tolerates`` is not looked at; ``spare`` is what another policy would need, and only a warning.
    """
    needed = {one.name: one for one in permissions}
    for one in needed.values():
        if one.name not in granted:
            yield failed(f"{one.name} is not granted, and it is needed for {one.purpose}", one.remedy)
    for name in sorted(granted - needed.keys() - frozenset(tolerates)):
        if name in spare:
            yield warning(f"{name} is granted, and this policy does not need it", "Take it away until a policy does.")
        elif name in TOLERATED:
            yield warning(f"{name} is granted: {TOLERATED[name]}", "Take it away, if your tenant does without.")
        else:
            why = f": {DANGERS[name]}" if name in DANGERS else ""
            yield failed(
                f"{name} is granted, and nothing here needs it{why}",
                "Take it away: Entra admin center, Enterprise applications, this application, Permissions.",
            )


def judge_scopes(scopes: frozenset[str]) -> Iterator[Found]:
    """The scopes of a token on the desk, where they say more than *all that was ticked*."""
    if scopes & {"all", "all:standard", "admin"}:
        if "admin" in scopes:
            yield failed(
                "the token may administer the desk (scope admin), and nothing here needs that",
                "Untick it in Configuration, Integrations, API, and name the scopes in JOINERY_HALO_SCOPE.",
            )
        return
    for name in sorted(DESK_SCOPES.keys() - scopes):
        yield failed(
            f"the scope {name} is not granted, and it is needed for {DESK_SCOPES[name]}",
            "Tick it in Configuration, Integrations, API, and name it in JOINERY_HALO_SCOPE.",
        )
    for name in sorted(scopes - DESK_SCOPES.keys()):
        yield failed(f"the scope {name} is granted, and nothing here needs it", "Untick it, and leave it out of JOINERY_HALO_SCOPE.")


def judge_subscription(resource: str, ends_at: datetime | None, now: datetime) -> Found:
    """One of our standing orders for notifications, by when it ends; None: there is none."""
    remedy = (
        "Start the timer renew_subscriptions (infra/README.md, step 6) and read what the log says of it; `joinery up` needs only a restart."
    )
    if ends_at is None:
        return failed(f"notifications of {resource} are not ordered", remedy)
    left = ends_at - now
    if left <= timedelta(0):
        return failed(f"notifications of {resource} ended on {ends_at:%Y-%m-%d %H:%M} UTC", remedy)
    said = f"notifications of {resource} are ordered until {ends_at:%Y-%m-%d %H:%M} UTC"
    if left <= SUBSCRIPTION_FAILS:
        return failed(f"{said}, and nobody renews them", remedy)
    if left <= SUBSCRIPTION_WARNS:
        return warning(f"{said}; they are renewed below 14 days, so renewals fail", remedy)
    return well(said)
