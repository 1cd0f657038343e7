"""Checks of the service desk: HaloITSM and our application there."""

from __future__ import annotations

from collections.abc import Iterator

from joinery.doctor.checkup import Found, failed, skipped, warning, well
from joinery.doctor.judging import judge_scopes
from joinery.doctor.patient import Patient, asked
from joinery.errors import Refused
from joinery.setting_checks import on_loopback


def reachable(patient: Patient) -> Iterator[Found]:
    """Whether we are let in, and as an agent."""
    desk = asked(patient.desk)
    release = desk.sign_in()
    yield well(f"{patient.settings.halo_url}: a token, and we act as an agent" + (f"; release {release}" if release else ""))


def permissions(patient: Patient) -> Iterator[Found]:
    """What the token may do, too little and too much."""
    desk = asked(patient.desk)
    scopes = desk.scopes()
    found = list(judge_scopes(scopes)) if scopes is not None else []
    if on_loopback(patient.settings.halo_url) and not found:
        yield skipped("a desk on this machine: a stand-in's application may do everything")
        return
    if not found and desk.may_administer():
        found.append(
            failed(
                "the application can list webhooks, which only administrators need",
                "Untick administration in Configuration, Integrations, API, and take it from the role of the application's agent.",
            )
        )
    yield from found or [well(f"no more than is needed, as far as it can be asked: {' '.join(sorted(scopes or ['not told']))}")]


def names(patient: Patient) -> Iterator[Found]:
    """Roles, teams, types, clients and sites of the policy."""
    field, desk = patient.settings.halo_key_field, asked(patient.desk)
    found = patient.unknown_to_desk()
    for one in found:
        yield failed(f"{one.place} {one.problem}", one.remedy)
    if not desk.has_field(field):
        yield warning(
            f"there is no custom field {field} for the key, or it may not be listed: tickets are found by their summary alone",
            "Make it, a searchable text on tickets (infra/README.md, step 2), or name yours in JOINERY_HALO_KEY_FIELD.",
        )
    elif not found:
        yield well("every role, team, ticket type, status, client and site that the policy names is there, once")


def imports(patient: Patient) -> Iterator[Found]:
    """Groups that the desk's own import maps as well: two that write the same user or agent."""
    desk = asked(patient.desk)
    try:
        mapped = {name.casefold() for name in desk.imported_groups()}
    except Refused as error:
        yield skipped(
            f"the mapping of Halo's own import may not be read ({error})",
            "Look yourself: Configuration, Integrations, Microsoft Entra ID, which groups are mapped.",
        )
        return
    remedy = "Take the group out of the mapping in Configuration, Integrations, Microsoft Entra ID, or out of the policy."
    twice = [name for name in patient.policy.watched_groups if name.casefold() in mapped]
    for group in twice:
        if group in patient.policy.roles:
            yield failed(f"Halo's own import maps {group!r} too, and its next run may undo the roles that we gave", remedy)
        else:
            yield warning(f"Halo's own import maps {group!r} too: users may be made twice, or changed back", remedy)
    if not twice:
        yield well(
            f"Halo's own import maps {len(mapped)} groups, none of them a second time" if mapped else "Halo's own import maps no group"
        )
