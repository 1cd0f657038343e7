"""Names that only the directory or the desk can know: every one that is wrong is found at once, with its place."""

from __future__ import annotations

from dataclasses import replace

from joinery.cli.online import unknown_to_directory
from joinery.domain.policy import ApprovalPolicy, CutOffPolicy, Policy, RolePolicy
from joinery.engine.memory_directory import MemoryDirectory
from joinery.testing import person

POLICY = replace(
    Policy(),
    roles={
        "G": RolePolicy(role="R", approval=("manager", "owner:owner@contoso.example")),
        "H": RolePolicy(role="S", approval=("owner:gone@contoso.example",)),
    },
    approvals=ApprovalPolicy(fallback="nobody@contoso.example", away_groups=("Away",)),
)


def test_groups_and_people_that_do_not_exist_are_all_told_at_once() -> None:
    directory = MemoryDirectory()
    for number, name in enumerate(("ITSM-NewJoiner", "ITSM-BreakGlass", "G", "G")):
        directory.put_group(f"g-{number}", name=name)
    directory.put(person("owner"))
    directory.put(person("gone", account_enabled=False))
    found = [str(one) for one in unknown_to_directory(directory, POLICY, "policy.toml")]
    assert found == [
        "policy.toml: group 'G': is the name of 2 groups. Rename all but the one that is meant.",
        "policy.toml: group 'H': is not in the directory. Make it, or use the display name of one that is.",
        "policy.toml: group 'Away': is not in the directory. Make it, or use the display name of one that is.",
        "policy.toml: [roles.\"H\"] approval: names 'gone@contoso.example', whose account is disabled. Name somebody who can answer.",
        "policy.toml: [approvals] fallback: names 'nobody@contoso.example', whom the directory does not have as one live account."
        " Name the mail of somebody who works there.",
    ]


def test_a_policy_whose_names_all_exist_has_no_finding() -> None:
    directory = MemoryDirectory()
    for number, name in enumerate(Policy().watched_groups):
        directory.put_group(f"g-{number}", name=name)
    assert list(unknown_to_directory(directory, Policy(), "policy.toml")) == []


def test_a_group_that_is_to_be_kept_and_does_not_exist_is_told() -> None:
    """A slip of the pen there takes people out of what they should stay in."""
    directory = MemoryDirectory()
    for number, name in enumerate((*Policy().watched_groups, "Alumni")):
        directory.put_group(f"g-{number}", name=name)
    policy = replace(Policy(), cut_off=CutOffPolicy(remove_from_groups=True, keep_groups=("Alumni", "Alumnni")))
    assert [one.place for one in unknown_to_directory(directory, policy, "policy.toml")] == ["policy.toml: [leaver.directory] keep_groups"]
