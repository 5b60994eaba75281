"""Runs and tasks on Dask clusters, which are processes of this machine."""
