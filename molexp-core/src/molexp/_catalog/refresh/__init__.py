"""Bringing the index up to date from journals, snapshots and a walk of the names."""
