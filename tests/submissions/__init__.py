"""Submissions: runs that a queue executes, whoever is killed meanwhile."""
