"""The laboratory: trajectories, measures, guards, statistics, and the report that shows them."""
