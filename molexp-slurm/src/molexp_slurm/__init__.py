"""Runs as jobs of Slurm."""

from molexp_slurm._executor import SlurmExecutor
from molexp_slurm._queue import SlurmQueue
from molexp_slurm._site import SiteOptions
from molexp_slurm.errors import JobEndedError

__all__ = ["JobEndedError", "SiteOptions", "SlurmExecutor", "SlurmQueue", "__version__"]

__version__ = "0.1.0"
