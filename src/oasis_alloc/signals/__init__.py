"""The quality of signals: what is fitted to outcomes and watched in requests; the results serve as small tables."""
