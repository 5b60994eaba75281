"""Slurm, the real one."""
