"""The parts of a policy; nothing here imports a solver."""
