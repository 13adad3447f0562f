"""The quality of the numbers: calibration, uncertainty, drift, and what logs say of another policy."""
