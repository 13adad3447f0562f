"""Drift: sketches of what requests bring, compared with the data that a policy was built from."""
