"""Syntax and symbols of Bicep, in files as small as the mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from check_infra import symbols
from check_infra.bicep import read

SOUND = """
@description('Where.')
param location string
param tags object = {}
param places array = ['here']

var names = [{ name: 'one' }]

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: 'st${uniqueString(location)}'
  location: location
  tags: tags

  resource blobs 'blobServices' = {
    name: 'default'
    resource seals 'containers' = { name: toLower(account.name) }
  }
}

resource many 'Microsoft.Web/serverfarms@2024-04-01' = [for (one, index) in names: { name: '${one.name}${index}', kind: 'b' }]
resource more 'Microsoft.Web/serverfarms@2024-04-01' = if (length(places) > 0) { name: 'c', tags: { at: [for place in places: place] } }

module callee 'callee.bicep' = {
  name: 'callee'
  params: { needed: account::blobs::seals.id }
}

output url string = callee.outputs.url
output names array = [many[0].id, more.id]
"""
CALLEE = "param needed string\nparam spare string = 'x'\nparam perhaps string?\noutput url string = '${needed}${spare}${perhaps}'\n"


def findings(folder: Path, source: str, callee: str = CALLEE) -> list[str]:
    for name, text in (("main.bicep", source), ("callee.bicep", callee)):
        (folder / name).write_text(text)
    files = {path: read(path, folder.resolve()) for path in sorted(folder.resolve().glob("*.bicep"))}
    broken = [str(one) for file in files.values() for one in symbols.broken(file)]
    return broken or [str(one) for file in files.values() for one in symbols.findings(file, files)]


def test_what_is_sound_has_no_finding(tmp_path: Path) -> None:
    assert findings(tmp_path, SOUND) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("param location string", "param location string =", "is no Bicep|lacks"),
        ("tags: tags\n", "tags: tags }\n", "is no Bicep|lacks"),
        ("name: 'default'", "name: 'default", "is no Bicep|lacks"),
        ("location: location", "location: locatoin", "main.bicep:11: locatoin is not declared"),
        ("st${uniqueString(location)}", "st${uniqueString(region)}", "region is not declared"),
        ("${one.name}", "${won.name}", "won is not declared"),
        ("at: [for place in places: place]", "at: place", "place is not declared"),
        ("tags: tags\n", "", "param tags is not used"),
        ("in names:", "in [{ name: 'x' }]:", "var names is not used"),
        ("uniqueString(", "uniqeString(", "uniqeString is no function"),
        ("@description(", "@descripton(", "descripton is no decorator"),
        ("var names", "param places array\nvar names", "places is declared twice"),
        ("location: location", "location: location\n  location: location", "location stands twice in one object"),
        ("account::blobs::seals.id", "account::blobs::seal.id", "blobs has no child resource seal"),
        ("account::blobs::seals.id", "blobs.id", "blobs is not declared"),
        ("'callee.bicep'", "'calee.bicep'", "there is no calee.bicep"),
        ("needed: account", "neded: account", r"callee.bicep has no param neded(.|\n)*param needed is not set"),
        ("callee.outputs.url", "callee.outputs.uri", "callee.bicep has no output uri"),
    ],
)
def test_each_mistake_is_found_where_it_is(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SOUND
    found = "\n".join(findings(tmp_path, SOUND.replace(old, new, 1)))
    assert re.search(said, found), found


def test_a_param_that_a_module_gained_is_missed_by_its_callers(tmp_path: Path) -> None:
    found = findings(tmp_path, SOUND, CALLEE.replace("spare string = 'x'", "spare string"))
    assert found == ["main.bicep:23: module callee: param spare is not set. Set it: callee.bicep has no default for it."]
