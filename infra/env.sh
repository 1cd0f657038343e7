# Sourced by the scripts beside it: what azd knows of this deployment, where azd itself has not set it already.
if [ -z "${VAULT_NAME:-}" ]; then
    set -a
    eval "$(azd env get-values)"
    set +a
fi
