"""Quality of the numbers that problems are made of: calibration, uncertainty, drift and off-policy evaluation."""
