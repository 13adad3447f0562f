"""The snapshot file of a policy."""
