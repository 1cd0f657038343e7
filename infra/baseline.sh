#!/bin/sh
# The first day: takes in everybody who is in the directory, and starts nothing. Give it before Joinery itself may read the directory.
# Only the function app can be its identity, so this makes an app registration for the moment, with the same rights to read, and removes it again.
set -eu
cd "$(dirname "$0")/.."
. infra/env.sh

app=$(az ad app create --display-name "joinery baseline $JOINERY_DEPLOYMENT" --query appId --output tsv)
trap 'az ad app delete --id "$app" && echo "baseline: the app registration is removed"' EXIT
principal=$(az ad sp create --id "$app" --query id --output tsv)
sh infra/grant-graph.sh --to "$principal"
ends=$(python3 -c 'import datetime as d; print((d.datetime.now(d.timezone.utc) + d.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"))')
JOINERY_GRAPH_CLIENT_ID=$app
JOINERY_GRAPH_CLIENT_SECRET=$(az ad app credential reset --id "$app" --end-date "$ends" --query password --output tsv 2>/dev/null)
export JOINERY_GRAPH_CLIENT_ID JOINERY_GRAPH_CLIENT_SECRET

tries=1
# An application that was just made is not known everywhere for a minute or two. What was taken in stays taken in.
until "${JOINERY:-.venv/bin/joinery}" baseline; do
    [ "$tries" -lt 6 ] || exit 1
    tries=$((tries + 1))
    echo "baseline: once more in half a minute"
    sleep "${RETRY_SECONDS:-30}"
done
