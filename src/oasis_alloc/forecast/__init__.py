"""Forecasts and quotes: what a campaign can still get, what that costs, and who gives way."""
