"""`oasis-alloc board`: a solved problem, a saved solution or a policy as an interactive page on this machine."""
