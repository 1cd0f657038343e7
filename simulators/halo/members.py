"""The types of body members, by the names of the published schema (`Faults`, `Actions`, `Users`, `Uname`, …).

Halo binds a body to typed objects: unknown members fall away silently, a member of the wrong type is a 400 keyed by its place
(`[0].site_id`). Integers accept numeric text (the web interface sends `new_status` so) but no decimals; nothing else is validated here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from simulators.halo.errors import HaloError, misbound
from simulators.halo.values import halo_date, is_unset, read_date

Doc = dict[str, Any]
#: A member's type: one of the words below, or the shape of the rows of a list.
Shape = Mapping[str, "str | Shape"]

_INT32 = 2**31
_INTEGER_TEXT = re.compile(r"[+-]?[0-9]+")


def words(text: str) -> tuple[str, ...]:
    """Names written as a sentence of them."""
    return tuple(text.split())


def _shape(
    *, ints: str = "", numbers: str = "", flags: str = "", texts: str = "", dates: str = "", anything: str = "", **lists: Shape
) -> Shape:
    shape: dict[str, str | Shape] = {}
    for kind, names in (("int", ints), ("number", numbers), ("flag", flags), ("text", texts), ("date", dates), ("any", anything)):
        shape.update(dict.fromkeys(names.split(), kind))
    shape.update(lists)
    return shape


CUSTOM_FIELD = _shape(ints="id", texts="name label", anything="value display")
TODO = _shape(
    ints="id ticket_id group_id group_seq sequence done_by_id addedby",
    flags="done",
    texts="text group_name done_by_name",
    dates="start_date end_date actual_start actual_end",
)
_APPROVAL_START = (
    "new_approvalprocess new_approvalprocess_agent_id new_approvalprocess_user_id new_approvalprocess_cab_id "
    "new_approvalprocess_role_id new_approvalprocess_customfieldid"
)
TICKET = _shape(
    ints="id tickettype_id status_id priority_id sla_id impact urgency categoryid_1 categoryid_2 categoryid_3 categoryid_4 client_id site_id "
    "user_id agent_id team_id parent_id template_id child_template_id third_party_id workflow_id workflow_step impactlevel risklevel merged_into_id _importid "
    + _APPROVAL_START,
    flags="flagged dontcreatechild donotapplytemplateintheapi dont_do_rules dont_do_databaselookups _dont_fire_automations _novalidate "
    "_validate_only _validate_form _validate_updates _forcereassign _isimport _recover",
    texts="summary details details_html category_1 category_2 category_3 category_4 user_name reportedby team third_party_id_string "
    "third_party_call_id client_reference supplier_reference reference matching_value justification impactdescription riskdescription "
    "backoutplan communicationplan testplan closure_note new_approvalprocess_email _importtype",
    dates="dateoccurred startdate targetdate deadlinedate planneddate planneddateend",
    anything="userlookup new_external_link",
    customfields=CUSTOM_FIELD,
    todo_list=TODO,
)
ACTION = _shape(
    ints="id ticket_id outcome_id new_status new_agent new_priority new_tickettype new_sla_id " + _APPROVAL_START,
    numbers="timetaken",
    flags="hiddenfromuser important sendemail dont_do_rules _isnotify _isimport _includeticketinresponse",
    texts="outcome note note_html private_note new_team new_category1 new_category2 new_category3 new_category4 new_approvalprocess_email who",
    dates="datetime",
    customfields=CUSTOM_FIELD,
    new_approvalprocess_users=_shape(ints="id", texts="name"),
)
USER_ROLE_LINK = _shape(ints="id", texts="name")
USER = _shape(
    ints="id site_id_int client_id web_access_level linked_agent_id delegation_user_id azure_connectionid azure_roleid",
    numbers="site_id",
    flags="inactive isserviceaccount neversendemails isheadofdept ischangeapprover ischangeapprover2 ispoapprover delegation_activated "
    "delegation_timebased isuserdetails",
    texts="name firstname surname emailaddress email2 email3 phonenumber mobilenumber mobilenumber2 department title other1 other2 other3 "
    "other4 other5 admanager manager_email relationship azureoid azure_tenant_id azure_tenant_domain azure_id third_party_id login "
    "activedirectory_dn onpremise_activedirectory_dn samaccountname third_party_guid aaduserid networklogin notes",
    dates="contract_end_date delegation_start delegation_end azure_last_login_date",
    anything="departments",
    roles=USER_ROLE_LINK,
    add_roles=USER_ROLE_LINK,
    customfields=CUSTOM_FIELD,
)
ROLE_LINK = _shape(ints="id_int", texts="id name")
TEAM_LINK = _shape(ints="team_id department_id", flags="is_manager in_section fortickets forprojects foropps", texts="team_name role_id")
AGENT = _shape(
    ints="id linemanager licence_type adconnection azure_connectionid azure_roleid useadlogin",
    flags="isdisabled is_agent isapiagent isinvite isagentdetails _force _do_reassign01 _revoke_tokens",
    texts="name firstname surname email initials jobtitle team ad activedirectory_dn third_party_guid colour",
    anything="departments claims",
    roles=ROLE_LINK,
    add_roles=ROLE_LINK,
    teams=TEAM_LINK,
    customfields=CUSTOM_FIELD,
)
APPROVAL = _shape(
    ints="ticket_id seq actionnumber result user_id agent_id",
    flags="admin_overridden _includeticketinresponse",
    texts="note approver_note emailaddress",
)
STEP = _shape(
    ints="id sequence type agent_id_or_cab_id user_id role_id customfieldid statusawaitingapproval statusafteraccept statusafterreject "
    "statusifnoapproval minapprovers",
    flags="is_mandatory autoapproveforapprovalrequestor autoapproveifnoapprovers",
    texts="name emailaddress",
)
PROCESS = _shape(ints="id type", flags="no_status_change", texts="name guid", steps=STEP)
#: What the stand-in reads of a reference row (status, site, field, …); the rest is stored as it comes.
REFERENCE = _shape(
    ints="id newstatus", numbers="client_id", flags="inactive searchable ischangeapprover2", texts="name outcome buttonname label"
)
CAB = _shape(
    ints="id approvals_needed rejection_threshold",
    flags="all_must_approve",
    texts="name",
    members=_shape(ints="id user_id agent_id", flags="is_mandatory", texts="member_name emailaddress"),
)
WEBHOOK = _shape(
    ints="method authentication_type batch_method batch_delay_seconds batch_limit infinite_loop_threshold auto_disable_attempts payload_type type "
    "log_retention_policy_days last_status",
    flags="active disabled custom_payload notify_on_failure use_lightweight_logs",
    texts="id name url content_type basic_username basic_password note",
)
CONDITION = _shape(ints="id type value_int", texts="tablename fieldname value_type value_string value_display")
NOTIFICATION = _shape(
    ints="id type delivery_method eventno filter_type agent_id user_id", texts="guid webhook_id name", conditions=CONDITION
)


def bind(row: Any, shape: Shape, place: str) -> Doc:
    """The known members of one body row, cast to their types. `place` is where the row stands (`[0]`). Raises a 400 keyed by the member."""
    if not isinstance(row, dict):
        raise misbound(place, f"Error converting value {_shown(row)} to an object.")
    bound: Doc = {}
    for name, kind in shape.items():
        value = row.get(name)
        if name not in row:
            continue
        if value is None:
            bound[name] = None
        elif isinstance(kind, str):
            bound[name] = _cast(value, kind, f"{place}.{name}")
        elif not isinstance(value, list):
            raise misbound(f"{place}.{name}", f"Error converting value {_shown(value)} to a list.")
        else:
            bound[name] = [bind(item, kind, f"{place}.{name}[{at}]") for at, item in enumerate(value)]
    return bound


def _cast(value: Any, kind: str, place: str) -> Any:
    if kind == "any":
        return value
    if kind == "flag" and isinstance(value, bool):
        return value
    if kind == "text" and isinstance(value, str):
        return value
    if kind == "date" and isinstance(value, str):
        return _date(value, place)
    if kind == "int":
        return _integer(value, place)
    if kind == "number":
        return _number(value, place)
    raise _wrong(value, {"flag": "Boolean", "text": "String", "date": "DateTime"}[kind], place)


def _integer(value: Any, place: str) -> int:
    if isinstance(value, str) and len(value) < 20 and _INTEGER_TEXT.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT32 <= value < _INT32:
        raise _wrong(value, "Int32", place)
    return value


def _number(value: Any, place: str) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(value, "Double", place) from None
    if number != number or number in (float("inf"), float("-inf")):
        raise _wrong(value, "Double", place)
    return number


def _date(value: str, place: str) -> str | None:
    if is_unset(value):
        return None
    try:
        return halo_date(read_date(value))
    except ValueError:
        raise _wrong(value, "DateTime", place) from None


def _wrong(value: Any, wanted: str, place: str) -> HaloError:
    return misbound(place, f"Error converting value {_shown(value)} to type 'System.{wanted}'.")


def _shown(value: Any) -> str:
    return repr(value)[:60]
