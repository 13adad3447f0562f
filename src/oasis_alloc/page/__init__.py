"""A solved problem as one HTML page."""
