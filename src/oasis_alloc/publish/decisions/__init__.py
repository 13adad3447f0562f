"""Logged decisions: their schema, the log of a service, and readers; docs/decision-logs.md."""
