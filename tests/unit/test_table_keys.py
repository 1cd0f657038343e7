"""Keys of the Table service: reversible, ASCII, in the order of the names."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from adapters.stores.table_keys import AFTER_ALL, key_of, name_of

#: All that is special in the spelling stands close together; everything else is text.
NAMES = st.text(alphabet=" !\"#$%&'./0>?@[\\]}~1af\x00\x1f\x7f\x85\u00a0\u00e9\ud7ff\ue000\uff5e\U00010000\U0001f600\U0010ffff") | st.text()


@given(NAMES)
def test_a_key_gives_its_name_back_and_holds_nothing_that_the_service_refuses(name: str) -> None:
    key = key_of(name)
    assert name_of(key) == name
    assert re.fullmatch(r"[ -~]*", key)
    assert not re.search(r"[/\\#?%]", key)


@given(NAMES, NAMES)
@example("\uff5e", "\U0001f600")
@example(".~", "/")
@example(". ", "/")
@example(" \x1f", "!")
def test_keys_sort_as_their_names_do(left: str, right: str) -> None:
    assert (key_of(left) < key_of(right)) == (left < right)


@given(NAMES, NAMES)
@example("a.", "~~")
@example("a.", "\U0010ffff")
def test_what_starts_with_a_prefix_lies_between_its_key_and_its_end(prefix: str, rest: str) -> None:
    assert key_of(prefix) <= key_of(prefix + rest) < key_of(prefix) + AFTER_ALL


@given(NAMES, NAMES)
@example("a.", "a/b")
@example("a ", "a\x00")
def test_what_does_not_start_with_a_prefix_does_not(prefix: str, other: str) -> None:
    within = key_of(prefix) <= key_of(other) < key_of(prefix) + AFTER_ALL
    assert within == other.startswith(prefix)


def test_the_names_in_use_stay_readable() -> None:
    assert key_of("run.000001.step.003") == "run.000001.step.003"
    assert key_of("local|person:3f2c") == "local|person:3f2c"
    assert key_of("~audit.000000000001") == "~!audit.000000000001"
