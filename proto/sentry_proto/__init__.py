"""The contract between Sentry's services."""
