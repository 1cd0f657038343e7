"""``joinery audit show``, ``joinery parked list`` and ``joinery settings``."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from joinery.cli.exits import NOT_WELL, WELL, WRONG, finding, print_findings
from joinery.cli.options import flags, settings_from
from joinery.cli.stored import stored
from joinery.cli.timeline import name_of
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.domain.moments import to_text
from joinery.engine import codec
from joinery.engine.operations import operator_partition
from joinery.engine.pauses import ALL
from joinery.errors import ConfigurationError, Finding

if TYPE_CHECKING:
    from joinery.engine.audit import AuditRecord
    from joinery.engine.readside import AuditLine, KnownPerson
    from joinery.settings import Settings

#: What the switches that are no settings mean.
_SWITCHES = {"JOINERY_EMPTY": "1: `joinery up` seeds no people and plays nothing", "JOINERY_NO_PLAY": "1: `joinery up` plays nothing"}


# --- audit show ---


def show_audit(data: str | None, who: str | None, *, operator: bool, as_json: bool) -> int:
    """One person's audit, or what operators did; several people who fit are listed instead. Raises ConfigurationError for neither or both."""
    if (who is None) is not operator:
        raise finding("audit show", "takes either --person or --operator", 'For example: joinery audit show --person "Amara Okafor"')
    with stored(data) as opened:
        if who is None:
            return _show_operators(list(opened.reads.audit(operator_partition(opened.tenant))), as_json=as_json)
        found = opened.reads.find(who.strip())
        if len(found) != 1:
            say_who_fits(who, found)
            return NOT_WELL
        lines = list(opened.reads.audit(found[0].partition))
    if as_json:
        say(json.dumps([_as_document(line) for line in lines], indent=2, ensure_ascii=False))
        return WELL
    for line in (*_card(found[0]), "", *(text for each in lines for text in _entry(each.record, each.personal))):
        say(line)
    return WELL


def _show_operators(lines: list[AuditLine], *, as_json: bool) -> int:
    if as_json:
        say(json.dumps([_as_document(line) for line in lines], indent=2, ensure_ascii=False))
        return WELL
    say("What operators did (times are UTC)\n" if lines else "No operator has done anything yet.")
    for line in lines:
        who, detail = (line.personal or {}).get("by") or "somebody", line.record.detail
        what = detail.get("workflow") or detail.get("person", "")
        subject = f"{'all workflows' if what == ALL else what}, by {who}"
        for text in _hanging(line.record, "; ".join(part for part in (subject, line.record.why) if part)):
            say(text)
    return WELL


def say_who_fits(who: str, found: Sequence[KnownPerson]) -> None:
    """Nobody, or several people: to standard error, with their ids."""
    problem = f"{len(found)} people are known as {who!r}; give one of these ids" if found else f"nobody is known as {who!r}"
    lines = [
        f"joinery: {problem}",
        *(f"  {_id(known)}  {name_of(known)}  {known.person.address if known.person else ''}" for known in found),
    ]
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201 - a command speaks to its user


def _id(known: KnownPerson) -> str:
    return known.partition.rpartition(":")[2]


def _card(known: KnownPerson) -> list[str]:
    head, person = known.head, known.person
    lines = [name_of(known), f"  directory id  {_id(known)}"]
    if person is not None:
        lines += [f"  signs in as   {person.user_principal_name}", f"  department    {person.department or 'not set'}"]
    if head.identity is not None:
        lines.append(f"  identity      {head.identity.kind}: {head.identity.proof}")
    entries = "1 audit entry" if head.audit_seq == 1 else f"{head.audit_seq} audit entries"
    return [
        *lines,
        f"  episode       {head.episode.number}, {head.episode.stage}; {counted(head.runs, 'run')}, {entries} (times are UTC)",
    ]


def _entry(record: AuditRecord, personal: Mapping[str, object] | None) -> list[str]:
    """When and what; then step, why, the desk's own words and run, each where there is one."""
    fact = record.detail.get("fact")
    words = f'it said "{personal["said"]}"' if personal and personal.get("said") else ""
    rest = "; ".join(part for part in (record.step, str(fact["is"]) if isinstance(fact, dict) else "", record.why, words) if part)
    if record.run:
        rest = f"{rest} [{record.run}]" if rest else f"[{record.run}]"
    return _hanging(record, rest)


def _hanging(record: AuditRecord, rest: str) -> list[str]:
    """When, what and the rest, in columns: what does not fit goes on below the rest."""
    start = f"{record.at:%Y-%m-%d %H:%M:%S}  {record.action:<15}  "
    width = max(60, min(shutil.get_terminal_size((120, 40)).columns, 140))
    first, *more = textwrap.wrap(rest, width - len(start), break_on_hyphens=False) or [""]
    return [f"{start}{first}".rstrip(), *(f"{' ' * len(start)}{part}" for part in more)]


def _as_document(line: AuditLine) -> dict[str, object]:
    return {"partition": line.partition, **codec.to_document(line.record), "at": to_text(line.record.at), "personal": line.personal}


# --- parked list ---


def list_parked(data: str | None, *, as_json: bool) -> int:
    """Everything that is parked, oldest first."""
    with stored(data) as opened:
        parked = opened.reads.parked()
    if as_json:
        say(json.dumps([{**codec.to_document(one), "at": to_text(one.at)} for one in parked], indent=2, ensure_ascii=False))
        return WELL
    if not parked:
        say("Nothing is parked.")
    for one in parked:
        body = one.body if len(one.body) <= 200 else f"{one.body[:200]}…"
        say(f"{one.at:%Y-%m-%d %H:%M:%S}  {one.reason}")
        say(f"  remedy  {one.remedy}")
        say(f"  body    {body.encode('unicode_escape').decode('ascii') if not body.isprintable() else body}")
    return WELL


# --- alerts list ---


def list_alerts(data: str | None, *, as_json: bool) -> int:
    """Every cause of alerts, the latest first."""
    with stored(data) as opened:
        known = opened.causes()
        tickets = {cause.cause: opened.ticket_of(cause) for cause in known}
    if as_json:
        rows = [
            {
                "cause": cause.cause,
                "count": cause.count,
                "first_at": to_text(cause.first_at),
                "last_at": to_text(cause.last_at),
                "about": list(cause.about),
                "ticket": tickets[cause.cause],
            }
            for cause in known
        ]
        say(json.dumps(rows, indent=2, ensure_ascii=False))
        return WELL
    if not known:
        say("No alerts.")
    for cause in known:
        ticket = f", ticket {tickets[cause.cause]}" if tickets[cause.cause] else ""
        say(f"{cause.last_at:%Y-%m-%d %H:%M:%S}  {cause.cause}")
        say(f"  {counted(cause.count, 'time')} since {cause.first_at:%Y-%m-%d %H:%M:%S}{ticket}")
        say(f"  about {', '.join(about.partition('#')[0] for about in cause.about[-5:])}")
    return WELL


# --- settings ---


def show_settings(*, policy: str | None, data: str | None, online: bool = False) -> int:
    """Every setting, and whether settings and policy are sound; ``online`` asks the directory and the desk for what only they know."""
    from wiring import policy_of, profile_of

    findings: list[Finding] = flags(empty=None, no_play=None)[1]
    settings: Settings | None = None
    try:
        settings = settings_from(policy=policy, data=data)
        findings += settings.missing()
        profile_of(settings)
    except ConfigurationError as error:
        findings += error.findings
    try:
        rules = policy_of(settings or _with_policy_alone(policy))
        if settings is not None:
            findings += [one for one in settings.missing(writes=rules.cut_off.writes) if one not in findings]
        if online and settings is not None:
            from joinery.cli.online import check_online

            findings += check_online(settings, rules)
    except ConfigurationError as error:
        findings += error.findings
    if settings is not None:
        _say_settings(settings.shown())
    if findings:
        print_findings(findings)
        return WRONG
    say("\nSettings and policy are sound.")
    return WELL


def _with_policy_alone(policy: str | None) -> Settings:
    """Defaults, but for the policy file: so that its findings are told beside those of the settings."""
    from joinery.settings import Settings

    environ = {name: value for name, value in os.environ.items() if name == "JOINERY_POLICY"}
    return Settings.from_environment(environ, policy=policy)


def _say_settings(shown: Sequence[tuple[str, str, str]]) -> None:
    switches = [(name, os.environ.get(name) or "(not set)", meaning) for name, meaning in _SWITCHES.items()]
    for name, value, meaning in (*shown, *switches):
        say(f"{name} = {value}")
        say(f"    {meaning}")
