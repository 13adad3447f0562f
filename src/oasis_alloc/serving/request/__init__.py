"""One request: read, scored, selected."""
