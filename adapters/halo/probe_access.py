"""Steps 1 to 4 of a probe: reach the desk, sign in, see who we are there, and find what policy names."""

from __future__ import annotations

from dataclasses import fields

from adapters.halo import wire
from adapters.halo.names import APPROVAL_PROCESS, CLIENT, FIELD, OUTCOME, ROLE, SITE, STATUS, TEAM, TICKET_TYPE, Noun
from adapters.halo.probe_bench import LATE, Bench, FailedStep, SkippedStep
from joinery.errors import Refused, TryLater

#: What ``missing`` calls the outcome that leaves a note; policy does not name it, the profile does.
NOTE_OUTCOME = "outcome of a note"
#: And the two statuses.
AWAITING, CLOSING = "status that awaits", "status that closes"


def reach(bench: Bench) -> str:
    """``/authinfo`` and ``/InstanceInfo``, which need no token: the version, and where tokens come from."""
    seen = bench.client.discover("/InstanceInfo")
    # That it tells the version is known, in which member is not.
    versions = [str(value) for name, value in seen.items() if "version" in name.casefold() and value] if isinstance(seen, dict) else []
    bench.version = wire.line(versions[0], 40) if versions else ""
    told = bench.client.discover("/authinfo")
    auth_url = wire.text(told, "auth_url") if isinstance(told, dict) else ""
    where = "the one we ask" if bench.client.signs_in_at(auth_url) else "another one than JOINERY_HALO_AUTH_URL"
    return f"version {bench.version or 'unknown'}; tokens come from {where if auth_url else 'somewhere that it does not say'}"


def sign_in(bench: Bench) -> str:
    """A token, with the tenant named where this desk wants it: the profile's place first, then the other two."""
    place = bench.client.profile.tenant_in
    named = bench.client.names_tenant
    wrong: list[str] = []
    # Its own place twice: one 500 in passing would otherwise be written down as a habit.
    others = [place, *(one for one in ("query", "form", "none") if one != place)]
    for number, tried in enumerate([place, *others] if named else [place]):
        if number == 1:
            bench.pause(LATE)
        try:
            client = bench.taking(tenant_in=tried)
            lifetime = client.sign_in()
        except TryLater as error:
            wrong.append(str(error))
            continue
        bench.client, bench.signed_in = client, True
        if not named:
            return f"a token for {lifetime.total_seconds():.0f} s; no tenant is named, so where it belongs is not known"
        bench.learn(tenant_in=tried)
        return f"a token for {lifetime.total_seconds():.0f} s; the tenant is named {'nowhere' if tried == 'none' else f'in the {tried}'}"
    raise FailedStep(
        wrong[0], "Check JOINERY_HALO_AUTH_URL and JOINERY_HALO_TENANT: 500 is what a tenant that is not known or not named gets."
    )


def who_we_are(bench: Bench) -> str:
    """``/Agent/me``: the agent that the application logs in as."""
    bench.must_be_signed_in()
    me = wire.one(bench.client, "/Agent/me")
    number = wire.id_of(me, "GET /Agent/me")
    if wire.true(me, "isapiagent"):
        return f"agent {number}, which is an application's"
    return f"agent {number}, which is a person's: it takes a licence, and tickets can be given to it"


def resolve_names(bench: Bench) -> str:
    """Every name that the later steps use, and the outcome that leaves a note. Raises FailedStep with all that is missing."""
    bench.must_be_signed_in()
    desk, plan = bench.plan.desk, bench.plan
    policy = desk.tickets.get(plan.kind)
    if policy is None:
        bench.missing |= {TICKET_TYPE.title, TEAM.title}
        raise FailedStep(f"policy has no [desk.tickets.{plan.kind}]", f"Name one of: {', '.join(sorted(desk.tickets)) or 'none'}.")
    wrong: list[str] = []
    _look(bench, wrong, TICKET_TYPE, policy.ticket_type, f"[desk.tickets.{plan.kind}] ticket_type")
    _look(bench, wrong, TEAM, policy.team, f"[desk.tickets.{plan.kind}] team")
    client_id = _look(bench, wrong, CLIENT, desk.default_client, "[desk] default_client")
    if client_id is not None:
        _look(bench, wrong, SITE, desk.default_site, "[desk] default_site", client_id=client_id)
    _look(bench, wrong, STATUS, desk.awaiting_status, "[desk] awaiting_status", title=AWAITING)
    _look(bench, wrong, STATUS, desk.closed_status, "[desk] closed_status", title=CLOSING)
    _look(bench, wrong, APPROVAL_PROCESS, desk.approval_process, "[desk] approval_process")
    if plan.role and (count := bench.names.count(ROLE, plan.role)) != 1:
        bench.missing.add(ROLE.title)
        wrong.append(f"{count or 'no'} roles are called {plan.role!r}. It has: {bench.names.existing(ROLE)}")
    outcome = _note_outcome(bench)
    if not outcome:
        bench.missing.add(NOTE_OUTCOME)
        shown = bench.names.existing(OUTCOME)
        wrong.append(f"no outcome leaves a note: none has a name in [notes] outcomes, nor the id in outcome_id. It has: {shown}")
    if wrong:
        raise FailedStep(
            "; ".join(wrong), "Make them there, or correct policy, the role that was given, or [notes] outcomes of the profile."
        )
    field = bench.names.find(FIELD, plan.key_field)
    key = (
        f"custom field {field.id} holds keys" if field else f"there is no custom field {plan.key_field}, so the summary carries keys alone"
    )
    return f"all are there; {outcome}; {key}"


def _look(
    bench: Bench, wrong: list[str], noun: Noun, name: str, place: str, *, client_id: int | None = None, title: str = ""
) -> int | None:
    try:
        found = bench.names.resolve(noun, name, policy_key=place, client_id=client_id)
    except Refused as error:
        wrong.append(str(error))
        bench.missing.add(title or noun.title)
        return None
    return found.id if isinstance(found.id, int) else None


def _note_outcome(bench: Bench) -> str:
    """What leaves a note, in words; empty where nothing does. A tenant may have renamed the one with the built-in id."""
    profile = bench.client.profile
    if found := bench.names.find(OUTCOME, *profile.note_outcomes):
        bench.learn(note_outcomes=profile.note_outcomes, note_outcome_id=int(found.id))
        return f"outcome {found.id} leaves a note"
    number = profile.note_outcome_id
    if name := bench.names.name_of(OUTCOME, str(number)):
        bench.learn(note_outcomes=(name,), note_outcome_id=number)
        return f"outcome {number} leaves a note, under another name"
    return ""


def compare(bench: Bench) -> str:
    """What is another habit than the profile said that the probe began with."""
    if not bench.measured:
        raise SkippedStep("nothing was seen")
    before, now = bench.began_with, bench.client.profile
    changed = [one.metadata["key"] for one in fields(now) if getattr(before, one.name) != getattr(now, one.name)]
    told = f"another than before: {', '.join(changed)}" if changed else "all as the profile says"
    return f"{len(bench.measured)} habits were seen; {told}"
