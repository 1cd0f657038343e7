"""Microsoft Graph: people, groups and their changes. Importing this package opens nothing and loads no HTTP client."""
