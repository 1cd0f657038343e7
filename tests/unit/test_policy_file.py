"""Policy from TOML: the shipped files are right, leaving something out takes no protection away, and every mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from joinery.domain.policy import Policy, Ring
from joinery.errors import ConfigurationError
from joinery.policy_file import parse_policy, read_policy

CONFIG = Path(__file__).resolve().parents[2] / "config"


def findings(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(text, place="policy.toml")
    assert all(finding.remedy and finding.place.startswith("policy.toml") for finding in caught.value.findings)
    return [finding.place for finding in caught.value.findings]


@pytest.mark.parametrize("name", ["policy.toml", "policy.example.toml"])
def test_the_shipped_files_are_right(name: str) -> None:
    policy = read_policy(CONFIG / name)
    assert policy.joiner_group == "ITSM-NewJoiner"
    assert policy.roles == Policy().roles
    assert (policy.identity.protected.upn_prefixes, policy.identity.protected.groups) == (("breakglass",), ("ITSM-BreakGlass",))


def test_an_empty_file_is_the_default_and_protects() -> None:
    policy = parse_policy("", place="policy.toml")
    assert policy.identity == Policy().identity and policy.timing == Policy().timing
    assert policy.ring_of("joiner") is Ring.EVERYONE and policy.ring_of("unheard") is Ring.OFF


def test_naming_one_list_of_a_rule_keeps_the_other() -> None:
    policy = parse_policy('[identity.protected]\nupn_prefixes = ["emergency"]', place="policy.toml")
    assert policy.identity.protected.groups == ("ITSM-BreakGlass",)


def test_every_mistake_is_found_at_once_with_its_place() -> None:
    places = findings('[joiner]\ngruop = "X"\n[timing]\nsettle_seconds = -1\n[workflows.joiner]\nring = "all"\n[desk]\ndefault_site = ""')
    assert len(places) == 4
    assert any("gruop" in place for place in places) and any("[timing] settle_seconds" in place for place in places)


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        '[workflows.mover]\nring = "everyone"',
        "[identity.protected]\nupn_prefixes = []\ngroups = []\nemployee_types = []",
        '[identity.protected]\ngroups = ["ITSM-NewJoiner"]',
        '[roles]\n"ITSM-NewJoiner" = "Service Desk"',
    ],
)
def test_what_contradicts_itself_is_refused(text: str) -> None:
    assert findings(text)


def test_a_missing_file_and_one_that_is_no_text_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_policy(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_policy(tmp_path / "odd.toml")
