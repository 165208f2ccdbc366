"""Measurements of how fast and how large: what `hybridwm bench` runs."""
