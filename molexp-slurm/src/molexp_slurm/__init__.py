"""Runs as jobs of Slurm."""

from molexp_slurm._queue import SlurmQueue
from molexp_slurm._site import SiteOptions

__all__ = ["SiteOptions", "SlurmQueue", "__version__"]

__version__ = "0.1.0"
