"""The job: tables, checks, solve, policy, gates, publication; docs/jobs.md."""
