"""Workflows: tasks joined by dependencies, executed in memory or under a run."""
