"""What an operator does beside a running product: plan, promote what shadow saw, apply an edit, check names, take in the first day."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from product import ROOT, Product, product, wait_until
from tales import joined, made

pytestmark = pytest.mark.servers

SETTINGS = {
    "JOINERY_HALO_CLIENT_ID": "local",
    "JOINERY_HALO_CALLS": "0",
    "JOINERY_CALL_DEADLINE_SECONDS": "1",
    "JOINERY_SEARCH_LAG_SECONDS": "0.3",
    "JOINERY_TWIN_CHECK_SECONDS": "6",
}


def write_policy(path: Path, *, leaver: str = "everyone", more: str = "") -> None:
    text = (ROOT / "config" / "policy.toml").read_text(encoding="utf-8")
    text = re.sub(r'(\[workflows\.leaver\]\nring = )"\w+"', rf'\1"{leaver}"', text)
    path.write_text(text + more, encoding="utf-8")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is edited."""
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    write_policy(path)
    return path


@pytest.fixture(scope="module")
def up(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One product with that policy; tests restart it with an edit, and put the file back."""
    with product(tmp_path_factory.mktemp("operators"), settings={**SETTINGS, "JOINERY_POLICY": str(policy)}) as it:
        yield it


def run(up: Product, *arguments: str, code: int = 0) -> str:
    done = up.command(*arguments)
    assert done.returncode == code and "Traceback" not in done.stderr, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_a_plan_says_what_would_happen_and_what_happens_then_is_what_it_said(up: Product) -> None:
    one = made(up, "Petra Planned")
    up.world.add(one)
    joined(up, one)
    said = run(up, "plan", "--person", one.id, "--disable")
    assert "leaver would run" in said and "ticket   Offboarding: Petra Planned" in said and "[ ] Hand over" in said
    planned = json.loads(run(up, "plan", "--person", one.mail, "--disable", "--json"))
    assert up.world.users_of(one)[0]["inactive"] is False, "it only looked"
    up.world.disable(one)
    (ticket,) = wait_until("the ticket", lambda: up.world.tickets_of(one, "Offboarding"), explain=up.story)
    (run_of,) = planned["runs"]
    order = next(step["order"] for step in run_of["steps"] if step["asks"] == "OpenTicket")
    assert ticket["summary"].startswith(order["summary"])
    assert "is 'shoe=3'" in run(up, "plan", "--person", one.id, "--set", "shoe=3", code=2)
    assert "in no rule of the policy" in run(up, "plan", "--person", one.id, "--add-group", "Choir", code=2)
    assert "nobody is known" in run(up, "plan", "--person", "nobody@contoso.example", code=1)


@pytest.mark.timeout(300)  # it waits for two ticks, each a minute away at most
def test_what_shadow_saw_runs_when_it_is_promoted_and_exactly_that(up: Product, policy: Path) -> None:
    write_policy(policy, leaver="shadow")
    up.restart()
    people = [made(up, name) for name in ("Rita Ring", "Rolf Ring")]
    for one in people:
        up.world.add(one)
        joined(up, one)
        up.world.disable(one)
        wait_until("it was rehearsed", lambda one=one: "run planned" in up.tale(one), explain=up.story)  # type: ignore[misc]  # bound per turn
    write_policy(policy)
    up.restart()
    assert "leaver       everyone; shadow saw 2" in run(up, "rings", "list")
    listed = run(up, "rings", "promote", "leaver")
    assert "Rita Ring" in listed and "open the offboarding ticket" in listed and "Nothing was chosen" in listed
    run(up, "rings", "promote", "leaver", "--person", people[0].id, "--yes")
    wait_until("she has left", lambda: up.world.tickets_of(people[0], "Offboarding"), within=120, explain=up.story)
    assert "shadow saw 1" in run(up, "rings", "list")
    run(up, "rings", "drop", "leaver", "--all", "--reason", "done by hand", "--yes")
    wait_until("nothing waits", lambda: "shadow saw" not in run(up, "rings", "list"), within=120, explain=up.story)
    up.wait_quiet()
    assert not up.world.tickets_of(people[1], "Offboarding") and len(up.world.tickets_of(people[0], "Offboarding")) == 1
    assert "rehearsal promoted" in run(up, "audit", "show", "--operator")


def test_a_new_role_group_waits_until_it_is_applied(up: Product, policy: Path) -> None:
    one = made(up, "Nora Newrole")
    up.world.graph(
        "POST", "/groups", {"displayName": "ITSM-Problems", "mailEnabled": False, "mailNickname": "problems", "securityEnabled": True}
    )
    up.world.add(one, "ITSM-Problems")
    write_policy(policy, more='\n[roles."ITSM-Problems"]\nrole = "Service Desk"\n')
    assert "was started with another policy file" in run(up, "policy", "diff", code=1)
    up.restart()
    wait_until("it sees her in the group", lambda: "roles-changed +ITSM-Problems" in run(up, "policy", "diff", code=1), explain=up.story)
    assert up.world.agents_of(one) == []
    assert "Applied" in run(up, "policy", "apply", "--yes")
    wait_until("she has the role", lambda: up.world.roles_of(one) == ["Service Desk"], within=120, explain=up.story)
    assert "Nothing waits" in run(up, "policy", "diff")
    write_policy(policy)
    up.restart()


def test_names_that_nobody_knows_are_all_found_at_once(up: Product, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    write_policy(wrong, more='\n[roles."ITSM-Nowhere"]\nrole = "King"\nteam = "Court"\napproval = "owner:nobody@contoso.example"\n')
    said = run(up, "settings", "--online", "--policy", str(wrong), code=2)
    for problem in (
        "group 'ITSM-Nowhere': is not in the directory",
        "names 'nobody@contoso.example', whom the directory does not have",
        "role: is 'King': the desk has no such role",
        "team: is 'Court': the desk has no such team",
    ):
        assert problem in said, problem


def test_the_first_day_starts_nothing_and_the_next_change_exactly_what_changed(tmp_path: Path) -> None:
    it = Product.lay_out(tmp_path, apart=True, settings=SETTINGS)
    try:
        it.start_stand_ins()
        old = it.world.person("Olga Old")
        it.world.add(old)
        it.world.add(old, "ITSM-ServiceDesk")
        done = it.command("baseline", JOINERY_GRAPH_URL=it.world.graph_url)
        assert done.returncode == 0 and "Taken in as they are: 1 account, 1 of them in a watched group" in done.stdout, done.stderr
        it.start()
        late = it.world.person("Lena Late")
        it.world.add(late)
        wait_until("the late one joins", lambda: it.world.tickets_of(late, "Onboarding"), explain=it.story)
        it.wait_quiet()
        assert not it.world.tickets_of(old) and not it.world.agents_of(old)
        it.world.disable(old)
        wait_until("the old one leaves", lambda: it.world.tickets_of(old, "Offboarding"), explain=it.story)
    finally:
        it.end()
