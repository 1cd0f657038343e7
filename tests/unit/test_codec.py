"""Records survive the store; what cannot be stored says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import UnionType
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joinery.domain import events, tickets
from joinery.domain.person import Absence, Manager, Person
from joinery.engine import codec
from joinery.engine.envelope import Envelope, EnvelopeKind, decode
from joinery.engine.journal import Head, effect_key, run_id

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["null", "true", "0", "1e5", "None", "2026-01-05"]
)
moments = st.datetimes(timezones=st.just(UTC))
people = st.builds(
    Person,
    id=texts,
    display_name=texts,
    department=texts,
    hire_date=st.none() | moments,
    manager=st.none() | st.builds(Manager, id=texts, display_name=texts),
    groups=st.frozensets(texts, max_size=4),
    account_enabled=st.booleans(),
)


@given(people)
@settings(max_examples=150, deadline=None)
def test_a_person_comes_back_from_json_as_they_were(person: Person) -> None:
    stored = json.loads(codec.to_bytes(codec.tag(person)))
    assert codec.untag(stored) == person
    assert codec.to_bytes(codec.tag(codec.untag(stored))) == codec.to_bytes(stored)


@given(texts, st.none() | texts)
@settings(max_examples=100, deadline=None)
def test_an_order_comes_back_as_it_was_whatever_stands_in_it(text: str, user: str | None) -> None:
    order = tickets.OpenTicket(kind="onboarding", person=Person(id="x"), user_id=user, summary=text, details=text, to_do=())
    assert codec.untag(json.loads(codec.to_bytes(codec.tag(order)))) == order


def test_every_fact_order_and_result_can_be_stored() -> None:
    unions: tuple[UnionType | object, ...] = (events.Fact, tickets.Order, tickets.Result)
    for union in unions:
        for one in get_args(union):
            assert codec._TAGGED[one.__name__] is one
    assert codec._TAGGED["Absence"] is Absence


def test_an_unknown_record_says_so() -> None:
    with pytest.raises(ValueError, match="'Nonsense'"):
        codec.untag({"is": "Nonsense"})


def test_a_member_that_a_later_version_added_is_ignored_and_a_missing_one_takes_its_default() -> None:
    assert codec.from_document({"runs": 3, "invented": {"a": 1}}, Head) == Head(runs=3)


def test_equal_sets_give_equal_bytes() -> None:
    left, right = (Person(id="x", groups=frozenset(names)) for names in (("a", "b", "c"), ("c", "b", "a")))
    assert codec.to_bytes(codec.to_document(left)) == codec.to_bytes(codec.to_document(right))


def test_an_envelope_is_small_and_comes_back() -> None:
    envelope = Envelope(
        tenant="t" * 36,
        subject=f"group:{'a' * 36}",
        kind=EnvelopeKind.LOOK_GROUP,
        cause="notification",
        at=datetime(2026, 1, 5, tzinfo=UTC),
    )
    full = Envelope(**{**{name: getattr(envelope, name) for name in Envelope.__slots__}, "members": tuple(f"{n:036}" for n in range(20))})
    assert decode(full.encode()) == full and len(full.encode()) < 2048
    assert (full.session_id, full.subject_id) == (f"{'t' * 36}|group:{'a' * 36}", "a" * 36)
    assert full.repeated().attempt == 1


def test_keys_and_run_ids_differ_with_each_of_their_parts() -> None:
    parts = {"deployment": "d", "partition": "p", "episode": 1, "workflow": "joiner", "ordinal": 1, "mode": "live"}
    ids = {run_id(**{**parts, name: 2 if isinstance(value, int) else f"{value}x"}) for name, value in parts.items()}  # type: ignore[arg-type]
    assert len(ids | {run_id(**parts)}) == len(parts) + 1  # type: ignore[arg-type]
    keys = {effect_key(deployment=d, run=r, step=s) for d in "ab" for r in "ab" for s in "ab"}
    assert len(keys) == 8 and all(len(key) == 18 for key in keys)
