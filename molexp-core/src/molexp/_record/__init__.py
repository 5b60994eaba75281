"""The record: hierarchy, runs, assets and catalog. It knows nothing of workflows."""
