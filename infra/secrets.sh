#!/bin/sh
# Puts the secrets into the vault. azd runs it after provisioning; what is there stays.
#   infra/secrets.sh          asks for Halo's client secret (or takes HALO_CLIENT_SECRET) and makes the others, each only where it is missing
#   infra/secrets.sh halo     Halo's client secret anew
#   infra/secrets.sh state    a new clientState; the one before stays valid beside it
#   infra/secrets.sh webhook  prints what Halo's webhook has to be set up with
set -eu
. "$(dirname "$0")/env.sh"

there() { az keyvault secret show --vault-name "$VAULT_NAME" --name "$1" --query id --output tsv >/dev/null 2>&1; }
value() { az keyvault secret show --vault-name "$VAULT_NAME" --name "$1" --query value --output tsv; }
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# Through a file: arguments are for everybody on this machine to see.
file=$(mktemp)
trap 'rm -f "$file"' EXIT
put() {
    printf %s "$2" >"$file"
    tries=1
    # A role that was just given takes a minute or two to be known.
    until az keyvault secret set --vault-name "$VAULT_NAME" --name "$1" --file "$file" --encoding utf-8 --output none; do
        [ "$tries" -lt 10 ] || { echo "secrets: $1 could not be written to $VAULT_NAME" >&2; exit 1; }
        tries=$((tries + 1))
        sleep "${RETRY_SECONDS:-20}"
    done
    echo "secrets: $1 is in $VAULT_NAME"
}
halo() {
    secret=${HALO_CLIENT_SECRET:-}
    if [ -z "$secret" ]; then
        printf 'Client secret of the API application in Halo: ' >&2
        stty -echo 2>/dev/null || true
        IFS= read -r secret
        stty echo 2>/dev/null || true
        echo >&2
    fi
    [ -n "$secret" ] || { echo "secrets: Halo's client secret is empty" >&2; exit 1; }
    put halo-client-secret "$secret"
}
restart() {
    az functionapp restart --name "$FUNCTION_APP_NAME" --resource-group "$RESOURCE_GROUP_NAME"
    echo "secrets: $FUNCTION_APP_NAME starts again and reads them"
}

case ${1:-} in
'')
    there halo-client-secret || halo
    for name in client-state client-state-previous desk-webhook-secret desk-webhook-password; do
        there "$name" || put "$name" "$(random)"
    done
    ;;
halo)
    halo
    restart
    ;;
state)
    present=$(value client-state)
    put client-state-previous "$present"
    put client-state "$(random)"
    restart
    ;;
webhook)
    secret=$(value desk-webhook-secret)
    password=$(value desk-webhook-password)
    printf 'address   %s/api/desk-events/%s\nuser      joinery\npassword  %s\n' "$JOINERY_PUBLIC_URL" "$secret" "$password"
    ;;
*)
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac
