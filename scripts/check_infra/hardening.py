"""Who may do what: only roles that are known by their published id, and no door that opens to a key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from check_infra.bicep import Bicep, at, literal, text, walk
from joinery.errors import Finding

#: Id -> the name of its variable, which is the role's own name: "azure built-in roles".
ROLES = {
    "090c5cfd-751d-490a-894a-3ce6f1109419": "azureServiceBusDataOwner",
    "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39": "azureServiceBusDataSender",
    "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0": "azureServiceBusDataReceiver",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "storageTableDataContributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "storageBlobDataOwner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "storageBlobDataContributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "storageBlobDataReader",
    "4633458b-17de-408a-b874-0445c86b69e6": "keyVaultSecretsUser",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "keyVaultSecretsOfficer",
    "3913510d-42f4-4e42-8a64-420c390055eb": "monitoringMetricsPublisher",
}
#: Type of a resource -> what each one of it has to say.
REQUIRED: dict[str, dict[tuple[str, ...], str]] = {
    "Microsoft.Storage/storageAccounts": {
        ("properties", "allowSharedKeyAccess"): "false",
        ("properties", "allowBlobPublicAccess"): "false",
        ("properties", "minimumTlsVersion"): "TLS1_2",
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies": {
        ("properties", "allowProtectedAppendWrites"): "true",
    },
    "Microsoft.ServiceBus/namespaces": {("properties", "disableLocalAuth"): "true", ("properties", "minimumTlsVersion"): "1.2"},
    "Microsoft.KeyVault/vaults": {
        ("properties", "enableRbacAuthorization"): "true",
        ("properties", "enablePurgeProtection"): "true",
    },
    "Microsoft.OperationalInsights/workspaces": {("properties", "features", "disableLocalAuth"): "true"},
    "Microsoft.Insights/components": {("properties", "DisableLocalAuth"): "true"},
    "Microsoft.Web/sites": {("properties", "httpsOnly"): "true", ("properties", "siteConfig", "ftpsState"): "Disabled"},
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {("properties", "allow"): "false"},
}

#: Types with the versions in use here; each was seen in published templates. One more is added when it is needed.
VERSIONS = {
    "Microsoft.Authorization/roleAssignments@2022-04-01",
    "Microsoft.Insights/actionGroups@2023-01-01",
    "Microsoft.Insights/components@2020-02-02",
    "Microsoft.Insights/metricAlerts@2018-03-01",
    "Microsoft.Insights/scheduledQueryRules@2022-06-15",
    "Microsoft.Insights/webtests@2022-06-15",
    "Microsoft.KeyVault/vaults@2023-07-01",
    "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31",
    "Microsoft.OperationalInsights/workspaces@2023-09-01",
    "Microsoft.Resources/resourceGroups@2024-03-01",
    "Microsoft.ServiceBus/namespaces@2024-01-01",
    "Microsoft.Storage/storageAccounts@2023-05-01",
    "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2023-05-01",
    "Microsoft.Web/serverfarms@2024-04-01",
    "Microsoft.Web/sites@2024-04-01",
}

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
#: Whatever hands out a key.
_KEYS = re.compile(r"\blist(Keys|Secrets|AccountSas|ServiceSas)\b|AccountKey=|SharedAccessKey", re.IGNORECASE)


def findings(files: Sequence[Bicep]) -> Iterator[Finding]:
    """What is wrong with roles and keys."""
    for file in files:
        yield from _versions(file)
        yield from _roles(file)
        yield from _keys(file)
    types = {one.type for file in files for one in file.of_kind("resource")}
    for missing in sorted(set(REQUIRED) - types):
        yield Finding(
            place="infra", problem=f"has no {missing}", remedy="Add it, or take it off the list in scripts/check_infra/hardening.py."
        )


def _versions(file: Bicep) -> Iterator[Finding]:
    for one in file.of_kind("resource"):
        written = literal(one.node.named_children[1]) or ""
        # A resource within another has the version of the one around it.
        if written not in VERSIONS and not (one.parent and "@" not in written):
            yield file.finding(one.node, f"{written} is no type and version that is known here", "Mend it, or add it to the list.")


def _roles(file: Bicep) -> Iterator[Finding]:
    for node in walk(file.root):
        if node.type != "string_content":
            continue
        for guid in _GUID.findall(text(node)):
            role = ROLES.get(guid.lower())
            if role is None:
                yield file.finding(node, f"{guid} is no role that is known here", "Use a built-in role by its published id.")
    for one in file.of_kind("var"):
        ids = _GUID.findall(text(one.node))
        if ids and ROLES.get(ids[0].lower(), one.name) != one.name:
            yield file.finding(
                one.node, f"{one.name} is the id of {ROLES[ids[0].lower()]}", "Mend the id, or name the variable after the role."
            )
    named = {one.name for one in file.of_kind("var")} & set(ROLES.values())
    for one in file.of_kind("resource"):
        if one.type == "Microsoft.Authorization/roleAssignments":
            role = at(one.value, "properties", "roleDefinitionId")
            if role is None or text(role) not in named:
                yield file.finding(one.node, f"{one.name} grants no role by its name", "Use a variable named after the role.")
            if at(one.value, "scope") is None:
                yield file.finding(one.node, f"{one.name} grants for the whole resource group", "Name the one resource as its scope.")


def _keys(file: Bicep) -> Iterator[Finding]:
    for one in file.of_kind("resource"):
        for path, value in REQUIRED.get(one.type, {}).items():
            if literal(at(one.value, *path)) != value:
                yield file.finding(one.node, f"{one.name} does not say {'.'.join(path)}: {value}", "Say so.")
    for node in walk(file.root):
        if node.type in ("identifier", "property_identifier", "string_content") and _KEYS.search(text(node)):
            yield file.finding(node, f"uses a key: {text(node)[:40]}", "Use the identity.")
