"""`oasis-alloc mcp`: checks, solves and explanations as tools for agents; docs/agents.md."""
