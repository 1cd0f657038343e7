#!/bin/sh
# Gives an identity what Joinery reads in Microsoft Graph. What it has already is left alone. Needs the Entra role Privileged Role Administrator.
#   infra/grant-graph.sh                        to the app's own identity: read users and groups
#   infra/grant-graph.sh --remove-members       and end memberships, for policies that say on_refused = "remove" and have no identity that writes
#   infra/grant-graph.sh --writes               to the identity that writes: end memberships and sessions, and nothing that reads
#   infra/grant-graph.sh --to PRINCIPAL_ID      to another service principal, by its object id
#   infra/grant-graph.sh --revoke               takes all of it away again
#   infra/grant-graph.sh --check                changes nothing: says what is missing and what is too much, and ends with 1 if anything is
set -eu
. "$(dirname "$0")/env.sh"

# Names and ids of application permissions: "permissions-reference".
grants='
User.Read.All df021288-bdef-4463-88db-98f22de89214
Group.Read.All 5b567255-7703-4780-807c-7be8301ae99b
'
members='
GroupMember.ReadWrite.All dbaae8cf-10b5-4b86-a4a1-f871c94c6695
'
sessions='
User.RevokeSessions.All 77f3a031-c388-4f99-b373-dc68676a979e
'
to=
writes=
revoke=
check=
all=$grants$members
while [ $# -gt 0 ]; do
    case $1 in
    --remove-members) grants=$grants$members ;;
    --writes)
        grants=$members$sessions
        all=$grants
        writes=yes
        ;;
    --revoke) revoke=yes ;;
    --check) check=yes ;;
    --to)
        to=${2:?--to needs the object id of a service principal}
        shift
        ;;
    *)
        sed -n '2,8s/^# //p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
[ -z "$revoke" ] || grants=$all
# Whoever is named, wherever it was named, and nobody else.
if [ -n "$to" ]; then
    principal=$to
elif [ -n "$writes" ]; then
    principal=${WRITER_PRINCIPAL_ID:?set DIRECTORY_WRITES to true and provision first}
else
    principal=${IDENTITY_PRINCIPAL_ID:-}
fi

case ${JOINERY_CLOUD:-global} in
us-gov) root=https://graph.microsoft.us ;;
us-gov-dod) root=https://dod-graph.microsoft.us ;;
china) root=https://microsoftgraph.chinacloudapi.cn ;;
*) root=https://graph.microsoft.com ;;
esac
# The tenant's own principal of Microsoft Graph.
graph=$(az ad sp show --id 00000003-0000-0000-c000-000000000000 --query id --output tsv)
url="$root/v1.0/servicePrincipals/$principal/appRoleAssignments"
held=$(az rest --method get --url "$url" --query 'value[].[appRoleId, id]' --output tsv)

if [ -n "$check" ]; then
    found=$(
        echo "$grants" | while read -r name role; do
            [ -z "$name" ] || echo "$held" | grep -q "^$role" || echo "graph: $name is not granted, and needed"
        done
        echo "$held" | while read -r role _; do
            [ -z "$role" ] || echo "$grants" | grep -q " $role\$" || {
                # Of another resource than Graph it has no name there.
                name=$(az ad sp show --id 00000003-0000-0000-c000-000000000000 --query "appRoles[?id=='$role'].value" --output tsv)
                echo "graph: ${name:-the app role $role} is granted, and not needed"
            }
        done
    )
    [ -z "$found" ] || { echo "$found"; exit 1; }
    echo "graph: exactly what is needed is granted"
    exit 0
fi

echo "$grants" | while read -r name role; do
    [ -n "$name" ] || continue
    assignment=$(echo "$held" | awk -v role="$role" '$1 == role { print $2 }')
    if [ -n "$revoke" ]; then
        [ -z "$assignment" ] || az rest --method delete --url "$url/$assignment" --output none
        echo "graph: $name is not granted"
    elif [ -n "$assignment" ]; then
        echo "graph: $name was granted already"
    else
        body="{\"principalId\": \"$principal\", \"resourceId\": \"$graph\", \"appRoleId\": \"$role\"}"
        az rest --method post --url "$url" --headers Content-Type=application/json --body "$body" --output none
        echo "graph: $name is granted"
    fi
done
