"""Calibration: maps from predictions to outcomes, how good they are, and what selection does to them."""
