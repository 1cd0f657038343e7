"""The names of Halo's published schema (September 2024) that this stand-in understands: query parameters by path, body members by path.

The real product ignores every other name in silence, so a misspelt filter returns everything (`HaloITSM reference 2.2`). The switch
`strict` refuses them. The members themselves stand in `members.py`; what real tenants take although the schema lacks it stands here.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulators.halo import members
from simulators.halo.members import Shape, words

_PAGES = words("pageinate page_no page_size count order order2 order3 order4 order5 orderdesc orderdesc2 orderdesc3 orderdesc4 orderdesc5")

#: Path of a GET in lower case, ids as `{id}` -> its parameters.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "/api/tickets": (
        *_PAGES,
        *words(
            "advanced_search agent agent_id client_id client_ids client_ref closed_only datesearch deleted enddate includeapproval "
            "includechildids lastupdatefromdate lastupdatetodate open_only parent_id priority requesttype requesttype_id search "
            "search_details search_id search_reportedby search_summary search_user_name searchactions site_id startdate status status_id "
            "team ticketidonly ticketids user_id username"
        ),
    ),
    "/api/tickets/{id}": words(
        "include_auditing includechildids includedetails includelastaction includelinkedobjects nocache ticketidonly"
    ),
    "/api/actions": words(
        "agentonly conversationonly count datesearch enddate excludeprivate excludesys importantonly includeattachments includehtmlnote "
        "startdate ticket_id"
    ),
    "/api/actions/{id}": words("includedetails ticket_id"),
    "/api/ticketapproval": words("action_number includeapprovaldetails mine ticket_id"),
    "/api/ticketapproval/{id}": words("includedetails"),
    "/api/users": (
        *_PAGES,
        *words(
            "activeinactive advanced_search approvers_only client_id department_id exclude_agents exclude_defaultsiteusers "
            "exclude_generaluser idonly includeactive includeinactive integration_type role search site_id"
        ),
    ),
    "/api/users/{id}": words("includedetails"),
    "/api/agent": words(
        "activeinactive department_id includeapiagents includedisabled includeenabled includenamedcount includeroles includeunassigned role "
        "search showall team team_id"
    ),
    "/api/agent/{id}": words("includedetails isagentconfig"),
    "/api/client": (*_PAGES, *words("activeinactive idonly includeactive includeinactive search")),
    "/api/client/{id}": words("includedetails"),
    "/api/site": (*_PAGES, *words("activeinactive client_id idonly includeactive includeinactive search")),
    "/api/site/{id}": words("includedetails"),
    "/api/status": words("domain showall type"),
    "/api/tickettype": words("showall showinactive"),
    "/api/tickettype/{id}": words("includedetails"),
    "/api/outcome": words("showhidden showsystemactions"),
    "/api/outcome/{id}": words("includedetails"),
    "/api/fieldinfo": words("includevalues typeid"),
    "/api/fieldinfo/{id}": words("includedetails"),
    "/api/team": words("includedisabled includeenabled showall"),
    "/api/team/{id}": words("includedetails"),
    "/api/roles": words("agentid isconfig"),
    "/api/roles/{id}": words("includedetails"),
    "/api/approvalprocess": words("access_control_level"),
    "/api/approvalprocess/{id}": words("includedetails"),
    "/api/lookup": words("lookupid"),
    "/api/webhook": words("type"),
    "/api/webhook/{id}": words("includedetails"),
    "/api/notification": words("agent_id showall type webhook_id"),
    "/api/notification/{id}": words("includedetails"),
    "/api/webhookevent": (*_PAGES, "webhook_id"),
    "/api/webhookevent/{id}": words("includedetails"),
    "/api/userchange": (*_PAGES, "idonly"),
}

#: Path of a POST in lower case -> the schema's name of its rows, and their members.
BODIES: Mapping[str, tuple[str, Shape]] = {
    "/api/tickets": ("Faults", members.TICKET),
    "/api/tickets/object": ("Faults", members.TICKET),
    "/api/actions": ("Actions", members.ACTION),
    "/api/ticketapproval": ("FaultApproval", members.APPROVAL),
    "/api/users": ("Users", members.USER),
    "/api/agent": ("Uname", members.AGENT),
    "/api/approvalprocess": ("ApprovalProcess", members.PROCESS),
    "/api/cab": ("CabHeader", members.CAB),
    "/api/webhook": ("Webhook", members.WEBHOOK),
    "/api/notification": ("UnameNotification", members.NOTIFICATION),
}

#: What a user's row in a list shows of the members that this stand-in has, by the schema of the list; tenants were seen to show all.
USER_ROW = frozenset(
    words(
        "activedirectory_dn azure_id client_id client_name contract_end_date customfields emailaddress firstname id inactive isserviceaccount "
        "linked_agent_id login mobilenumber mobilenumber2 name neversendemails notes onpremise_activedirectory_dn other1 other2 other3 other4 "
        "other5 phonenumber site_id site_id_int site_name surname title"
    )
)

#: Taken by real tenants although the schema of September 2024 lacks them: seen in clients, or added later. No call of ours needs one.
UNPUBLISHED: Mapping[str, frozenset[str]] = {
    "Faults": frozenset(words("userlookup team_id")),
    "Actions": frozenset({"who"}),
    "Users": frozenset(words("relationship aaduserid networklogin")),
    "Webhook": frozenset(
        words(
            "batch_method batch_delay_seconds batch_limit infinite_loop_threshold auto_disable_attempts notify_on_failure "
            "use_lightweight_logs"
        )
    ),
    "UnameNotification": frozenset({"filter_type"}),
}
