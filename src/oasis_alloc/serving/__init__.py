"""What a policy is made of when it serves; nothing here imports a solver."""
