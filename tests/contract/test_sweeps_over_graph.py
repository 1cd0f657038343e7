"""Sweeps and news about groups over the pretend Graph's HTTP: what Graph does to its clients, pleasant or not, ends in the same state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from graph_company import Company

from joinery.domain.policy import BreakerPolicy
from joinery.engine.breaker import HeldBook
from joinery.engine.coverage_watch import coverage
from joinery.errors import Refused
from joinery.testing import everyone


@pytest.fixture
def company() -> Iterator[Company]:
    company = Company()
    yield company
    company.graph.close()


def left(company: Company) -> list[str]:
    return [view.partition.rpartition(":")[2] for view in company.runs() if view.run.workflow == "leaver"]


# --- sweeps ---


def test_after_a_410_everybody_is_looked_at_and_whoever_is_gone_without_a_trace_leaves(company: Company) -> None:
    ada, ben, cyd = (company.hire(name) for name in ("ada", "ben", "cyd"))
    company.sweep()
    company.live(minutes=15)
    company.purge(ada)
    company.own("POST", "/_delta/expire", {})
    here = company.mark()
    company.sweep()
    assert Counter(company.looked_at(here)) == Counter([ada, ben, cyd])
    company.live(minutes=15)
    assert left(company) == [ada]
    assert [hole.why for hole in coverage(company.store, company.clock).holes["delta-people"]] == ["the directory knew the link no more"]


def test_of_many_who_are_gone_after_a_410_the_breaker_lets_through_as_many_as_ever() -> None:
    company = Company(replace(everyone(), breaker=BreakerPolicy(hourly_min=1, hourly_share=0, daily_min=1, daily_share=0)))
    people = [company.hire(f"p{number}") for number in range(4)]
    company.sweep()
    company.live(minutes=15)
    for person in people:
        company.purge(person)
    company.own("POST", "/_delta/expire", {})
    company.sweep()
    company.live(minutes=15)
    assert len(left(company)) == 1
    assert len(HeldBook(company.store).listed()) == 3
    company.graph.close()


def test_tokens_of_eight_days_are_refused_and_everybody_is_compared(company: Company) -> None:
    ada, ben = company.hire("ada", "ITSM-Admins"), company.hire("ben")
    company.sweep()
    company.live(days=8)
    company.remove("ITSM-Admins", ada)
    company.purge(ben)
    company.calls()
    company.sweep()
    statuses = [(call["path"], call["status"]) for call in company.calls() if call["path"].endswith("/delta")]
    assert statuses == [("/v1.0/users/delta", 400), ("/v1.0/users/delta", 200), ("/v1.0/groups/delta", 400), ("/v1.0/groups/delta", 200)]
    company.live(minutes=15)
    assert company.facts(ada)[-1]["lost"] == ["ITSM-Admins"]
    assert left(company) == [ben]


def test_a_token_of_six_days_goes_on_without_a_hole(company: Company) -> None:
    ada, _ben = company.hire("ada"), company.hire("ben")
    company.sweep()
    company.live(days=6)
    company.do("PATCH", f"/users/{ada}", {"department": "Legal"})
    here = company.mark()
    company.sweep()
    assert company.looked_at(here) == [ada]
    span = coverage(company.store, company.clock).spans["delta-people"]
    assert span is not None and span.until - span.since == timedelta(days=6)


def test_empty_pages_repeated_rows_and_replayed_rounds_change_nothing(company: Company) -> None:
    company.switch(page_size=2, delta_empty_pages=2, delta_repeats=True, members_per_row=1)
    people = {company.hire(f"p{number}", "ITSM-NewJoiner") for number in range(5)}
    for _ in range(3):
        company.sweep()
        company.live(minutes=15)
    assert Counter(view.run.workflow for view in company.runs()) == {"joiner": 5}
    changed = people.pop()
    company.do("PATCH", f"/users/{changed}", {"department": "Legal"})
    here = company.mark()
    for _ in range(3):
        company.sweep()
        company.live(minutes=15)
    # A replay told it twice; it is one move.
    assert set(company.looked_at(here)) == {changed}
    assert Counter(view.run.workflow for view in company.runs()) == {"joiner": 5, "mover": 1}


def test_the_same_person_on_two_pages_is_sent_one_look_a_page(company: Company) -> None:
    company.switch(page_size=2, delta_repeats=True)
    people = [company.hire(f"p{number}") for number in range(4)]
    here = company.mark()
    company.app.sweep()
    # Rows 1 2, 2 3, 3 4: whoever comes again is looked at again, and whoever never changed starts nothing.
    assert company.looked_at(here) == [people[0], people[1], people[1], people[2], people[2], people[3]]
    company.work()
    assert company.runs() == []


def test_sixty_watched_groups_are_followed_by_two_tokens(company: Company) -> None:
    names = tuple(f"Guard {number:02d}" for number in range(60))
    identity = everyone().identity
    protected = replace(identity.protected, groups=names)
    company = Company(replace(everyone(), identity=replace(identity, protected=protected)))
    watched = len(company.policy.watched_groups)
    company.calls()
    company.sweep()
    filters = [call["query"].count("eq") for call in company.calls() if call["path"] == "/v1.0/groups/delta"]
    assert filters == [50, watched - 50]
    ada = company.hire("ada", names[0], names[59])
    here = company.mark()
    company.sweep()
    assert [call["query"].startswith("$deltatoken=") for call in company.calls() if call["path"] == "/v1.0/groups/delta"] == [True, True]
    assert ada in company.looked_at(here)
    assert set(coverage(company.store, company.clock).spans) == {"delta-people", "delta-groups-0", "delta-groups-1"}
    company.graph.close()


@pytest.mark.parametrize("name", ["@odata.nextLink", "@odata.deltaLink"])
def test_a_link_to_another_host_is_never_stored_and_never_called(company: Company, name: str) -> None:
    company.hire("ada")
    forged = {"value": [], name: "https://evil.example/v1.0/users/delta?$deltatoken=x"}
    rule = {"match": {"path": "/v1.0/users/delta"}, "fault": "status", "status": 200, "body": forged, "times": 1}
    company.own("PUT", "/_faults", [rule])
    with pytest.raises(Refused, match=r"evil\.example"):
        company.app.sweep()
    assert "evil" not in str(company.store.read_shared("delta-people"))
    company.sweep()
    assert coverage(company.store, company.clock).spans["delta-people"] is not None


def test_a_release_that_follows_other_fields_asks_for_a_new_token(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is selected is sealed into the token: an old one would never tell of the new field."""
    company.hire("ada")
    company.sweep()
    monkeypatch.setattr("adapters.graph.directory._MARK", "0ther")
    company.calls()
    company.sweep()
    asked = [call["query"] for call in company.calls() if call["path"] == "/v1.0/users/delta"]
    assert len(asked) == 1 and asked[0].startswith("$select=")


# --- who is in a group ---


def admins_lost_and_gained(company: Company, person: str) -> list[tuple[list[str], list[str]]]:
    return [(fact.get("gained", []), fact.get("lost", [])) for fact in company.facts(person) if fact["is"] == "RolesChanged"]


def settled(company: Company, *names: str) -> list[str]:
    people = [company.hire(name) for name in names]
    company.sweep()
    company.live(hours=1)
    return people


def test_devices_and_service_principals_in_a_watched_group_are_nobodys_business(company: Company) -> None:
    (ada,) = settled(company, "ada")
    device = company.do("POST", "/devices", {"displayName": "laptop"})["id"]
    app = company.do("POST", "/servicePrincipals", {"displayName": "robot", "appId": device})["id"]
    here = company.mark()
    for member in (device, app, ada):
        company.add("ITSM-Admins", member)
    company.notify("ITSM-Admins", {"id": device}, {"id": app}, {"id": ada})
    company.sweep()
    assert set(company.looked_at(here)) == {ada}
    company.do("DELETE", f"/devices/{device}")
    company.remove("ITSM-Admins", app)
    here = company.mark()
    company.notify("ITSM-Admins", {"id": app, "@removed": "deleted"})
    company.sweep()
    assert company.looked_at(here) == []


@pytest.mark.parametrize("removed", ["deleted", {"reason": "deleted"}])
def test_a_removal_counts_in_both_forms(company: Company, removed: Any) -> None:
    (ada,) = settled(company, "ada")
    company.add("ITSM-Admins", ada)
    company.notify("ITSM-Admins", {"id": ada})
    company.live(hours=1)
    company.remove("ITSM-Admins", ada)
    company.notify("ITSM-Admins", {"id": ada, "@removed": removed})
    company.live(hours=1)
    assert admins_lost_and_gained(company, ada) == [(["ITSM-Admins"], []), ([], ["ITSM-Admins"])]


@pytest.mark.parametrize("is_in", [True, False])
def test_a_person_added_and_removed_in_one_notification_is_taken_as_they_are_now(company: Company, is_in: bool) -> None:
    (ada,) = settled(company, "ada")
    company.add("ITSM-Admins", ada)
    if not is_in:
        company.remove("ITSM-Admins", ada)
    company.notify("ITSM-Admins", {"id": ada}, {"id": ada, "@removed": "deleted"})
    company.live(hours=1)
    assert admins_lost_and_gained(company, ada) == ([(["ITSM-Admins"], [])] if is_in else [])


def test_a_nested_group_brings_its_people_and_takes_them_along(company: Company) -> None:
    ada, ben = settled(company, "ada", "ben")
    inner = company.group("Night shift", ada, ben)
    company.add("ITSM-Admins", inner)
    company.notify("ITSM-Admins", {"id": inner})
    company.live(hours=1)
    assert admins_lost_and_gained(company, ada) == admins_lost_and_gained(company, ben) == [(["ITSM-Admins"], [])]
    company.remove("ITSM-Admins", inner)
    company.sweep()
    company.live(hours=1)
    assert admins_lost_and_gained(company, ada)[1:] == admins_lost_and_gained(company, ben)[1:] == [([], ["ITSM-Admins"])]


@pytest.mark.parametrize("told", [True, False])
def test_who_enters_or_leaves_a_group_inside_a_watched_one_is_looked_at(company: Company, told: bool) -> None:
    """Graph names only the group whose own list changed, so those that lie inside are followed too."""
    ada, ben = settled(company, "ada", "ben")
    innermost = company.group("Fire watch")
    inner = company.group("Night shift", innermost)
    company.add("ITSM-Admins", inner)
    company.notify("ITSM-Admins", {"id": inner})
    company.sweep()
    company.live(hours=1)
    for group, person in ((inner, ada), (innermost, ben)):
        company.add(group, person)
        if told:
            company.notify(group, {"id": person})
    if not told:
        company.sweep()
    company.live(hours=1)
    assert admins_lost_and_gained(company, ada) == admins_lost_and_gained(company, ben) == [(["ITSM-Admins"], [])]
    company.remove(inner, innermost)
    if told:
        company.notify(inner, {"id": innermost, "@removed": "deleted"})
    else:
        company.sweep()
    company.live(hours=1)
    assert admins_lost_and_gained(company, ben)[1:] == [([], ["ITSM-Admins"])]
    assert len(admins_lost_and_gained(company, ada)) == 1
    assert company.app.hints.groups.inner() == (inner,)


def test_a_group_that_comes_to_lie_inside_lists_nobody_anew_who_is_directly_in_a_watched_one(company: Company) -> None:
    people = settled(company, "ada", "ben", "cyd")
    for person in people:
        company.add("ITSM-Admins", person)
    company.sweep()
    company.live(hours=1)
    inner = company.group("Night shift", company.hire("new"))
    company.add("ITSM-Admins", inner)
    here = company.mark()
    company.sweep()
    company.sweep()
    assert not set(company.looked_at(here)) & set(people)
    assert set(coverage(company.store, company.clock).spans) == {"delta-people", "delta-groups-0", "delta-inner-0"}
    assert not any(coverage(company.store, company.clock).holes.values())


def test_all_watched_groups_are_compared_once_a_day_whatever_nobody_told(company: Company) -> None:
    (ada,) = settled(company, "ada")
    company.add("ITSM-Admins", ada)
    # Graph never told: both tokens are past the change.
    stored = {row: company.store.read_shared(row) for row in ("delta-people", "delta-groups-0")}
    groups = (stored["delta-groups-0"][1] or {})["about"]
    links = {
        "delta-people": company.directory.people_delta(None).delta_link,
        "delta-groups-0": company.directory.groups_delta(groups, None).delta_link,
    }
    for row, (etag, document) in stored.items():
        company.store.replace_shared(row, {**(document or {}), "link": links[row]}, expected=etag)
    company.sweep()
    company.live(hours=1)
    assert admins_lost_and_gained(company, ada) == []
    company.live(days=1)
    company.sweep()
    company.live(hours=1)
    assert admins_lost_and_gained(company, ada) == [(["ITSM-Admins"], [])]


def test_a_watched_group_that_is_deleted_and_restored_gives_and_takes_its_people(company: Company) -> None:
    (ada,) = settled(company, "ada")
    company.add("ITSM-Admins", ada)
    company.sweep()
    company.live(hours=1)
    group = company.groups["ITSM-Admins"]
    company.do("DELETE", f"/groups/{group}")
    company.sweep()
    company.live(hours=2)
    assert "ITSM-Admins" in company.app.hints.groups.missing()
    company.do("POST", f"/directory/deletedItems/{group}/restore")
    company.sweep()
    company.live(hours=1)
    assert admins_lost_and_gained(company, ada) == [(["ITSM-Admins"], []), ([], ["ITSM-Admins"]), (["ITSM-Admins"], [])]
    assert company.app.hints.groups.missing() == ()
