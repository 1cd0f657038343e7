"""Policy from TOML: the shipped files are right, leaving something out takes no protection away, and every mistake is named."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from joinery.domain.policy import CutOffPolicy, NoApprover, OnRefused, Policy, Ring, RolePolicy, WorkflowPolicy, WorkingTime
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
    ("text", "finding"),
    [
        ('[joiner]\ngruop = "X"', "[joiner] gruop: is no key that policy knows. Did you mean group?"),
        ('[joinr]\ngroup = "X"', "[joinr]: is no table that policy knows. Did you mean joiner?"),
        (
            "colour = 1",
            "colour: is no key that policy knows. There is: joiner, workflows, roles, agents, approvals, mover, leaver, identity, timing, breaker, desk;",
        ),
        ("joiner = 3", "joiner: is 3. It should be a table;"),
        ("[joiner]\ngroup = 3", "[joiner] group: is 3. It should be a text in quotes;"),
        ('[joiner]\ngroup = " "', "[joiner] group: is ' '. It should not be empty;"),
        (f'[joiner]\ngroup = "{"x" * 300}"', "[joiner] group: is 300 characters long. It should have at most 256."),
        ('[workflows.joinor]\nring = "off"', "[workflows.joinor]: is no table that policy knows. Did you mean joiner?"),
        ('[workflows.joiner]\nrng = "off"', "[workflows.joiner] rng: is no key that policy knows. Did you mean ring?"),
        ('[workflows.joiner]\nring = "shaddow"', "[workflows.joiner] ring: is 'shaddow'. Did you mean shadow?"),
        ("[workflows.joiner]\nring = true", "[workflows.joiner] ring: is true. There is: off, shadow, pilot, departments, everyone;"),
        ("workflows = []", "workflows: is a list. It should be a table;"),
        ('[roles]\n"IT desk" = 3', '[roles] "IT desk": is 3. It should be a text in quotes, the role, or a table;'),
        ('[roles]\n"" = "Admin"', "[roles] \"\": is ''. It should not be empty;"),
        ('[roles."IT desk"]\nteam = "x"', '[roles."IT desk"] role: is missing. Add it;'),
        (
            '[roles."IT desk"]\nrole = "x"\naproval = "none"',
            '[roles."IT desk"] aproval: is no key that policy knows. Did you mean approval?',
        ),
        (
            '[roles."IT desk"]\nrole = "x"\napproval = "boss"',
            """[roles."IT desk"] approval: is 'boss'. It should be "none", "manager", "owner:MAIL", or a list of such;""",
        ),
        (
            '[roles."IT desk"]\nrole = "x"\napproval = ["manager", "owner:"]',
            """[roles."IT desk"] approval, number 2: is 'owner:'. It should be "none", "manager", "owner:MAIL",""",
        ),
        ('[roles."IT desk"]\nrole = "x"\nmax_days = 0', '[roles."IT desk"] max_days: is 0. It should be a number that is more than 0;'),
        ('[roles."IT desk"]\nrole = "x"\non_refused = "lave"', "on_refused: is 'lave'. Did you mean leave?"),
        ('[approvals]\nfallback = "the boss"', "[approvals] fallback: is 'the boss'. It should be a mail address;"),
        ('[approvals]\nfallback = "a@b"\nmissing = "nxt"', "[approvals] missing: is 'nxt'. Did you mean next?"),
        ('[approvals]\nfallback = "a@b"\ndays = ["monday"]', "[approvals] days, number 1: is 'monday'. Did you mean mon?"),
        ('[approvals]\nfallback = "a@b"\nholidays = ["Easter"]', "holidays, number 1: is 'Easter'. It should be a date: 2026-12-25;"),
        ('[identity.service]\ngroups = "x"', "[identity.service] groups: is 'x'. It should be a list of texts;"),
        ('[identity.service]\ngroups = ["x", 3]', "[identity.service] groups, number 2: is 3. It should be a text in quotes;"),
        ("[identity.servise]\ngroups = []", "[identity.servise]: is no table that policy knows. Did you mean service?"),
        ('[timing]\nsettle_seconds = "soon"', "[timing] settle_seconds: is 'soon'. It should be a number;"),
        ("[timing]\nsettle_seconds = nan", "[timing] settle_seconds: is nan. It should be a number"),
        ("[timing]\nsettle_seconds = -1", "[timing] settle_seconds: is -1. It should be a number that is at least 0;"),
        ("[timing]\nsettle_seconds = 86401", "[timing] settle_seconds: is 86401. It should be a number that is at most 86400;"),
        ("[timing]\nsettle_seconds = 2026-01-01", "[timing] settle_seconds: is 2026-01-01. It should be a number;"),
        ("[desk]\nsite_rules = 3", "[desk] site_rules: is 3. It should be a list of tables, each below [[desk.site_rules]];"),
        (
            '[[desk.site_rules]]\nattribute = "departmnt"\nvalue = "x"\nclient = "x"\nsite = "x"',
            "[[desk.site_rules]] number 1, attribute: is 'departmnt'. Did you mean department?",
        ),
        (
            '[[desk.site_rules]]\nattribute = "department"\nvalue = "x"\nclient = "x"',
            "[[desk.site_rules]] number 1, site: is missing. Add it;",
        ),
        (
            '[[desk.site_rules]]\nattribute = "department"\nvalue = "x"\nclient = "x"\nsite = "x"\nsit = "x"',
            "[[desk.site_rules]] number 1, sit: is no key that policy knows. Did you mean site?",
        ),
        ('[desk.tickets.onboarding]\nticket_type = "x"', "[desk.tickets.onboarding] team: is missing. Add it;"),
        ("[desk.tickets]\nonboarding = 3", "[desk.tickets] onboarding: is 3. It should be a table;"),
        (
            '[desk.tickets.onbording]\nticket_type = "x"\nteam = "x"',
            "[desk.tickets.onbording]: is no table that policy knows. Did you mean",
        ),
        (
            "[desk.tickets.onboarding]\nticket_type = 'x'\nteam = 'x'\nadopt_similar = 'maybe'",
            "adopt_similar: is 'maybe'. It should be true",
        ),
    ],
)
def test_a_finding_speaks_of_the_file_and_not_of_the_program(text: str, finding: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(text, place="policy.toml")
    (found,) = caught.value.findings
    assert finding in str(found) and str(found).startswith("policy.toml: ")
    assert not re.search(r"[Ff]ield|[Ii]nput|tuple|dict|instance|valid |pydantic|_[A-Z]", str(found))


def test_the_file_is_named_as_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[joiner]\ngruop = "X"', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf"^{re.escape(str(path))}: \[joiner\] gruop"):
        read_policy(path)
    with pytest.raises(ConfigurationError, match=r"^mine/policy\.toml: \[joiner\] gruop"):
        read_policy(path, place="mine/policy.toml")
    with pytest.raises(ConfigurationError, match=r"^mine/none\.toml: cannot be read"):
        read_policy(tmp_path / "none.toml", place="mine/none.toml")


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        '[workflows.returner]\nring = "everyone"',
        "[identity.protected]\nupn_prefixes = []\ngroups = []\nemployee_types = []",
        '[identity.protected]\ngroups = ["ITSM-NewJoiner"]',
        '[roles]\n"ITSM-NewJoiner" = "Service Desk"',
    ],
)
def test_what_contradicts_itself_is_refused(text: str) -> None:
    assert findings(text)


CONTRADICTIONS = {
    '[roles]\n"G" = "Administrator"': "gives the administrator role 'Administrator' to whoever is put into the group, and nobody is asked",
    '[roles."G"]\nrole = "Owner of it all"\nadministrator = true\napproval = "none"': "nobody is asked",
    '[roles]\n"G" = "Change Manager"\n[roles."H"]\nrole = "change manager"\napproval = "owner:a@b.example"': "the laxer rule opens the stricter",
    '[roles."G"]\nrole = "Change Manager"\napproval = "manager"': "is not set, and missing, themself, circle, above lead to it",
    '[roles."G"]\nrole = "R"\napproval = ["owner:a@b.example", "owner:a@b.example"]': "names somebody twice",
    '[workflows.mover]\nring = "pilot"': "is missing, and the ring is pilot",
    '[workflows.mover]\nring = "departments"': "is missing, and the ring is departments",
    '[approvals]\nfallback = "a@b"\nzone = "Mars/Olympus"': "which is no time zone",
    '[approvals]\nfallback = "a@b"\nzone = "../etc/passwd"': "which is no time zone",
    '[approvals]\nfallback = "a@b"\nbegins = 17\nends = 9': "there is no working time",
    '[approvals]\nfallback = "a@b"\ndays = []': "there is no working time",
    '[approvals]\nfallback = "a@b"\nescalate_hours = 90': "comes before the next manager up is asked",
}


@pytest.mark.parametrize("text", CONTRADICTIONS)
def test_a_rule_that_opens_a_door_or_leads_nowhere_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(text, place="policy.toml")
    (found,) = caught.value.findings
    assert CONTRADICTIONS[text] in str(found) and found.remedy


def test_contradictions_are_told_all_at_once() -> None:
    text = '[roles]\n"G" = "Admins"\n"ITSM-NewJoiner" = "Desk"\n[workflows.mover]\nring = "pilot"\n[approvals]\nzone = "Nowhere"\nends = 3'
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(text, place="policy.toml")
    assert len(caught.value.findings) == 5


def test_a_role_may_be_a_word_or_a_table_and_both_say_everything() -> None:
    policy = parse_policy(
        """
        [approvals]
        fallback = "lead@contoso.example"
        holidays = [2026-12-25, "2027-01-01"]
        days = ["sun", "mon"]
        missing = "owner"
        [roles]
        "A" = "Service Desk"
        [roles."B"]
        role = "Change Manager"
        team = "Changes"
        approval = ["manager", "owner:boss@contoso.example"]
        approvals = "any"
        max_days = 30
        on_refused = "remove"
        [workflows.mover]
        ring = "departments"
        departments = ["Finance"]
        [agents]
        foreign_roles = "remove"
        [mover]
        old_access_days = 3
        """,
        place="policy.toml",
    )
    assert policy.roles == {
        "A": RolePolicy(role="Service Desk"),
        "B": RolePolicy(
            role="Change Manager",
            team="Changes",
            approval=("manager", "owner:boss@contoso.example"),
            any_approval=True,
            lasts=timedelta(days=30),
            on_refused=OnRefused.REMOVE,
        ),
    }
    assert policy.roles_alone and policy.mover.old_access_lasts == timedelta(days=3)
    assert policy.approvals.working == WorkingTime(days=(0, 6), holidays=("2026-12-25", "2027-01-01"))
    assert (policy.approvals.missing, policy.approvals.fallback) == (NoApprover.OWNER, "lead@contoso.example")
    assert policy.workflows["mover"] == WorkflowPolicy(ring=Ring.DEPARTMENTS, departments=("Finance",))


def test_a_missing_file_and_one_that_is_no_text_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_policy(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_policy(tmp_path / "odd.toml")


def test_nothing_is_cut_off_in_the_directory_unless_the_file_says_so() -> None:
    assert not parse_policy("", place="policy.toml").cut_off.writes
    text = '[leaver.directory]\nrevoke_sessions = true\nremove_from_groups = true\nkeep_groups = ["Alumni"]'
    assert parse_policy(text, place="policy.toml").cut_off == CutOffPolicy(
        revoke_sessions=True, remove_from_groups=True, keep_groups=("Alumni",)
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("disable = true", "[leaver.directory] disable: is not offered: a leave begins with a disabled or deleted account"),
        ("disable = false", "remove this key"),
        ("revoke_session = true", "Did you mean revoke_sessions?"),
        ('revoke_sessions = "yes please"', "[leaver.directory] revoke_sessions: is 'yes please'. It should be true or false"),
        ('keep_groups = ["Alumni"]', "[leaver.directory] keep_groups: keeps groups, and nobody is taken out of any"),
        ('remove_from_groups = true\nkeep_groups = "Alumni"', "It should be a list of texts"),
    ],
)
def test_what_cannot_be_cut_off_is_named_with_its_reason(line: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(f"[leaver.directory]\n{line}", place="policy.toml")
    assert said in str(caught.value)
