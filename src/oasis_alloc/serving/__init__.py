"""What a policy is made of: nothing here knows a solver."""
