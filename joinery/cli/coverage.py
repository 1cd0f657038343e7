"""``joinery coverage``: which span of time is covered by which delta link, and what only the sweep found."""

from __future__ import annotations

import json
from datetime import datetime

from joinery.cli.exits import NOT_WELL, WELL
from joinery.cli.stored import Stored, stored
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.domain.moments import to_text
from joinery.engine.coverage import Hole
from joinery.engine.coverage_watch import Coverage, coverage
from joinery.engine.health import SUBSCRIBED


def show_coverage(data: str | None, *, as_json: bool) -> int:
    """Every span and every hole; NOT_WELL while one is open."""
    with stored(data) as opened:
        found, ends = coverage(opened.store, opened.clock), _ends(opened)
    if as_json:
        say(json.dumps(_as_document(found, ends), indent=2))
    else:
        for line in (*_links(found), *_troubles(found), *_finds(found), *_subscriptions(ends)):
            say(line)
    return NOT_WELL if found.open_troubles else WELL


def _ends(opened: Stored) -> dict[str, str]:
    return dict((opened.store.read_shared(SUBSCRIBED)[1] or {}).get("ends", {}))


def _links(found: Coverage) -> list[str]:
    if found.swept_at is None:
        return ["No sweep has ended yet: nothing is covered."]
    lines = [f"The latest sweep ended at {_time(found.swept_at)} (times are UTC).", ""]
    for row, span in found.spans.items():
        if span is None:
            lines.append(f"{row}: broken; the next sweep compares everybody")
        else:
            lines.append(f"{row}: from {_time(span.since)} to {_time(span.until)} in {counted(span.rounds, 'round')}, link {span.token}")
        lines += [
            f"  hole from {_time(hole.since)} to {_time(hole.until)}: {hole.why}; everybody was compared" for hole in found.holes[row]
        ]
    return lines


def _troubles(found: Coverage) -> list[str]:
    since = ((one.what, f"since {_time(one.since)}" if one.since else "since a time that is not known") for one in found.open_troubles)
    lines = [f"  {what}: {text}" for what, text in since]
    return ["", "Not covered now:", *lines] if lines else ["", "No hole is open."]


def _finds(found: Coverage) -> list[str]:
    if not found.found:
        return ["In seven days a sweep found nobody of whom no notification had told."]
    days = ", ".join(f"{day}: {count}" for day, count in sorted(found.found.items()))
    return [f"In seven days a sweep was the first to tell of {counted(sum(found.found.values()), 'person')} ({days})."]


def _subscriptions(ends: dict[str, str]) -> list[str]:
    return [f"Notifications of {resource} are ordered until {moment[:19].replace('T', ' ')}." for resource, moment in sorted(ends.items())]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _as_document(found: Coverage, ends: dict[str, str]) -> dict[str, object]:
    return {
        "swept_at": to_text(found.swept_at) if found.swept_at else None,
        "links": {
            row: {
                "since": to_text(span.since) if span else None,
                "until": to_text(span.until) if span else None,
                "rounds": span.rounds if span else 0,
                "link": span.token if span else "",
                "holes": [_hole(hole) for hole in found.holes[row]],
            }
            for row, span in found.spans.items()
        },
        "open": [{"what": one.what, "since": to_text(one.since) if one.since else None} for one in found.open_troubles],
        "found_by_sweep": found.found,
        "subscriptions_end_at": ends,
    }


def _hole(hole: Hole) -> dict[str, str]:
    return {"since": to_text(hole.since), "until": to_text(hole.until), "why": hole.why}
