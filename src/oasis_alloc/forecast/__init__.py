"""Quotes, changed plans, what serving makes of a plan, and what campaigns will have delivered in the end."""
