"""The tables of a job file in addition to those of a statement."""

from __future__ import annotations

from oasis_alloc.problem_file.entries import FLAG, NUMBER, NUMBERS, TABLE, TEXT, TEXTS, WHOLE, Entry, Tables

JOB_ENTRIES: Tables = {
    "": {
        "run": Entry(TABLE, "Where runs are kept."),
        "checks": Entry(TABLE, "Thresholds of the input; a check that is not named is not made."),
        "gates": Entry(TABLE, "Thresholds of the result; a gate that is not named is not there."),
        "policy": Entry(TABLE, "Arguments of Solution.policy."),
        "publish": Entry(TABLE, "Where the policy is published."),
        "mlflow": Entry(TABLE, "Logs each run to MLflow."),
    },
    "run": {
        "directory": Entry(TEXT, "A folder for the runs, or an address; by default the name of the file with -runs."),
        "keep": Entry(WHOLE, "Number of finished runs that stay; by default 60."),
    },
    "checks": {
        "fresh": Entry(TEXTS, "Tables that must differ from those of the last run: pairs, users, items."),
        "rows": Entry(NUMBERS, "[lowest, highest] ratio of rows to the last run, for each table."),
        "users_without_candidates": Entry(NUMBER, "Maximum share of users without candidates."),
        "missing_labels": Entry(TABLE, "{key: maximum share of users or items without a label}."),
        "new_labels": Entry(TABLE, "{key: maximum share of users or items whose label the last run did not have}."),
        "drift": Entry(NUMBER, "Maximum distance of a column's distribution from the last run, 0 to 1."),
        "without_supply": Entry(WHOLE, "Maximum number of groups with a floor that no candidate can serve."),
        "promised": Entry(NUMBER, "Maximum ratio of a floor to what slates can reach, for each group."),
        "range": Entry(TABLE, "{column: [lowest, highest]}."),
    },
    "gates": {
        "gap": Entry(NUMBER, "Maximum relative gap."),
        "violation": Entry(NUMBER, "Maximum violation of a limit."),
        "churn": Entry(NUMBER, "Maximum share of slots that the last run did not have."),
        "promised": Entry(NUMBER, "Minimum ratio of what is planned to a floor, for each group."),
        "prices_at_bounds": Entry(NUMBER, "Maximum share of soft limits whose price is the penalty."),
        "relevance": Entry(TABLE, "Minimum shares of a column that slates keep."),
        "canary": Entry(TABLE, "The policy on requests of the last run."),
    },
    "gates.relevance": {
        "column": Entry(TEXT, "The column; by default relevance."),
        "mean": Entry(NUMBER, "Minimum mean over users."),
        "worst": Entry(NUMBER, "Minimum mean over the worst 5 % of users."),
        "by": Entry(TEXT, "A key of users."),
        "lowest": Entry(NUMBER, "Minimum of the means by that key."),
    },
    "gates.canary": {
        "requests": Entry(WHOLE, "Number of requests that each run keeps for the next one; by default 500."),
        "changed": Entry(NUMBER, "Maximum share of slates that change."),
    },
    "policy": {
        "valid_for": Entry(NUMBER, "Seconds after which the policy expires."),
        "organic": Entry(TEXT, "The column by which the host ranks."),
        "users": Entry(FLAG, "Whether requests may give users by number."),
        "exploration": Entry(TABLE, "{share, smoothing}: how much Policy.sample explores."),
        "unproven": Entry(FLAG, "true publishes prices of a solve that ended early."),
    },
    "publish": {
        "directory": Entry(TEXT, "The directory of published policies."),
        "keep": Entry(WHOLE, "Number of policies that stay; by default 14."),
        "sign": Entry(TEXT, "A private key: a PEM file, or env:NAME."),
        "name": Entry(TEXT, "Names what is published."),
        "redis": Entry(TEXT, "Also writes the slates of all users to a Redis: its address, or env:NAME."),
        "redis_prefix": Entry(TEXT, "Of the keys there; by default oasis_alloc."),
        "redis_grace": Entry(NUMBER, "Seconds for which slates of the version before stay there; by default 60."),
    },
    "mlflow": {
        "experiment": Entry(TEXT, "The experiment; by default the name of the file."),
        "tracking": Entry(TEXT, "Address of the server, or env:NAME; by default what MLflow finds."),
    },
}  # fmt: skip
GATES = tuple(JOB_ENTRIES["gates"])
CHECKS = tuple(JOB_ENTRIES["checks"])
