"""Properties of users and groups: names and types from the v1.0 service schema, limits from the resource pages."""

from collections.abc import Mapping
from typing import Any

from simulators.clock import parse_instant
from simulators.graph.errors import bad_request

_TEXTS = "text"
_FLAG = "flag"
_MOMENT = "moment"
_LIST = "list"
_OBJECT = "object"
_NUMBER = "number"


def _table(texts: str, flags: str, moments: str, lists: str, objects: str, numbers: str) -> dict[str, str]:
    kinds = {_TEXTS: texts, _FLAG: flags, _MOMENT: moments, _LIST: lists, _OBJECT: objects, _NUMBER: numbers}
    return {name: kind for kind, names in kinds.items() for name in names.split()}


USER_PROPERTIES = _table(
    texts="""id aboutMe ageGroup city companyName consentProvidedForMinor country creationType department displayName employeeId employeeType
    externalUserState faxNumber givenName identityParentId jobTitle legalAgeGroupClassification mail mailNickname mobilePhone mySite
    officeLocation onPremisesDistinguishedName onPremisesDomainName onPremisesImmutableId onPremisesSamAccountName
    onPremisesSecurityIdentifier onPremisesUserPrincipalName passwordPolicies postalCode preferredDataLocation preferredLanguage
    preferredName securityIdentifier state streetAddress surname usageLocation userPrincipalName userType""",
    flags="accountEnabled isManagementRestricted isResourceAccount onPremisesSyncEnabled showInAddressList",
    moments="""birthday createdDateTime deletedDateTime employeeHireDate employeeLeaveDateTime externalUserStateChangeDateTime hireDate
    lastPasswordChangeDateTime onPremisesLastSyncDateTime signInSessionsValidFromDateTime""",
    lists="""assignedLicenses assignedPlans businessPhones identities imAddresses interests licenseAssignmentStates
    onPremisesProvisioningErrors otherMails pastProjects provisionedPlans proxyAddresses responsibilities schools
    serviceProvisioningErrors skills""",
    objects="""authorizationInfo customSecurityAttributes employeeOrgData mailboxSettings onPremisesExtensionAttributes
    passwordProfile print signInActivity""",
    numbers="deviceEnrollmentLimit",
)

GROUP_PROPERTIES = _table(
    texts="""id accessType classification description displayName mail mailNickname membershipRule membershipRuleProcessingState
    onPremisesDomainName onPremisesNetBiosName onPremisesSamAccountName onPremisesSecurityIdentifier organizationId
    preferredDataLocation preferredLanguage securityIdentifier theme uniqueName visibility""",
    flags="""allowExternalSenders autoSubscribeNewMembers hasMembersWithLicenseErrors hideFromAddressLists hideFromOutlookClients
    isArchived isAssignableToRole isFavorite isManagementRestricted isSubscribedByMail mailEnabled onPremisesSyncEnabled
    securityEnabled welcomeMessageEnabled""",
    moments="createdDateTime deletedDateTime expirationDateTime onPremisesLastSyncDateTime renewedDateTime",
    lists="""assignedLabels assignedLicenses groupTypes infoCatalogs onPremisesProvisioningErrors proxyAddresses
    resourceBehaviorOptions resourceProvisioningOptions serviceProvisioningErrors""",
    objects="licenseProcessingState onPremisesExtensionAttributes",
    numbers="unseenConversationsCount unseenCount unseenMessagesCount",
)

#: Of what is no person and no group, only what a member of a group shows.
_THING = dict.fromkeys(("id", "displayName", "deviceId", "operatingSystem", "appId", "servicePrincipalType"), _TEXTS) | {
    "accountEnabled": _FLAG,
    "deletedDateTime": _MOMENT,
}

PROPERTIES: Mapping[str, Mapping[str, str]] = {
    "user": USER_PROPERTIES,
    "group": GROUP_PROPERTIES,
    "device": {name: kind for name, kind in _THING.items() if name not in ("appId", "servicePrincipalType")},
    "serviceprincipal": {name: kind for name, kind in _THING.items() if name not in ("deviceId", "operatingSystem")},
}
#: How each kind is named on the wire.
TYPES: Mapping[str, str] = {
    "user": "#microsoft.graph.user",
    "group": "#microsoft.graph.group",
    "device": "#microsoft.graph.device",
    "serviceprincipal": "#microsoft.graph.servicePrincipal",
}

#: What a read without $select gives (Graph reference 3.1; resource page "user").
USER_DEFAULTS = [
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
]
GROUP_DEFAULTS = [
    "id",
    "deletedDateTime",
    "classification",
    "createdDateTime",
    "description",
    "displayName",
    "groupTypes",
    "isAssignableToRole",
    "mail",
    "mailEnabled",
    "mailNickname",
    "membershipRule",
    "membershipRuleProcessingState",
    "onPremisesSyncEnabled",
    "proxyAddresses",
    "securityEnabled",
    "visibility",
]
DEFAULTS: Mapping[str, list[str]] = {
    "user": USER_DEFAULTS,
    "group": GROUP_DEFAULTS,
    "device": list(PROPERTIES["device"]),
    "serviceprincipal": list(PROPERTIES["serviceprincipal"]),
}

RELATIONS: Mapping[str, frozenset[str]] = {
    "user": frozenset({"manager", "directReports", "memberOf", "transitiveMemberOf"}),
    "device": frozenset({"memberOf", "transitiveMemberOf"}),
    "serviceprincipal": frozenset({"memberOf", "transitiveMemberOf"}),
    "group": frozenset({"members", "memberOf", "transitiveMembers", "transitiveMemberOf", "owners"}),
}

#: Given by the service alone.
READ_ONLY = frozenset({"id", "createdDateTime", "deletedDateTime", "securityIdentifier", "signInSessionsValidFromDateTime"})
#: Never told to anybody.
SECRET = frozenset({"passwordProfile"})

#: Characters (Graph reference 3.1).
LIMITS: Mapping[str, int] = {
    "displayName": 256,
    "givenName": 64,
    "surname": 64,
    "jobTitle": 128,
    "department": 64,
    "companyName": 64,
    "employeeId": 16,
}


def known_name(kind: str, name: str) -> str:
    """The property's name in its own case; 400 with Graph's sentence for a name that the type does not have."""
    properties = PROPERTIES[kind]
    if name in properties:
        return name
    for known in properties:
        if known.lower() == name.lower():
            return known
    raise bad_request(f"Could not find a property named '{name}' on type 'microsoft.graph.{kind}'.")


def checked(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that a body sets, with their types checked; annotations and secrets are left out. 400 for what Graph would not take."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        if "@" in name:
            continue
        known = PROPERTIES[kind].get(name)
        if known is None:
            raise bad_request(
                f"One or more property values specified are invalid: Could not find a property named '{name}' on type 'microsoft.graph.{kind}'."
            )
        if name in READ_ONLY:
            raise bad_request(f"Property '{name}' is read-only and cannot be set.")
        if value is not None and not _fits(known, value):
            raise _invalid(kind, name)
        if name not in SECRET:
            found[name] = _normal(kind, name, known, value)
    return found


def shown(kind: str, properties: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The named properties as a read gives them: null, or an empty list, where nothing was ever set."""
    empty: dict[str, list[Any]] = {name: [] for name in names if PROPERTIES[kind].get(name) == _LIST}
    return {name: properties.get(name) if properties.get(name) is not None else empty.get(name) for name in names}


def _fits(known: str, value: Any) -> bool:
    if known == _FLAG:
        return isinstance(value, bool)
    if known == _NUMBER:
        return isinstance(value, int) and not isinstance(value, bool)
    wanted = {_LIST: list, _OBJECT: dict}.get(known, str)
    return isinstance(value, wanted)


def _normal(kind: str, name: str, known: str, value: Any) -> Any:
    if value is None:
        return None
    if known == _TEXTS and (value == "" or len(value) > LIMITS.get(name, 4096)):
        raise _invalid(kind, name)
    if known == _MOMENT:
        try:
            return parse_instant(value).strftime("%Y-%m-%dT%H:%M:%SZ")
        except ValueError:
            raise _invalid(kind, name) from None
    if name == "userType" and value not in ("Member", "Guest"):
        raise _invalid(kind, name)
    return value


def _invalid(kind: str, name: str) -> Exception:
    return bad_request(f"Invalid value specified for property '{name}' of resource '{kind.capitalize()}'.")
