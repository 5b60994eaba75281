"""Set the environment that launchers give to the ranks that they start, as seen under the real ones.

torchrun of PyTorch 2.13, mpirun of Open MPI 5.0.11, mpiexec of MPICH 5.0.2; srun as slurm.schedmd.com/srun.html says.
"""

from __future__ import annotations

SIZE = 4


def torchrun(rank: int, restart: int = 0, size: int = SIZE) -> dict[str, str]:
    """A worker of ``torchrun --nproc-per-node=4``."""
    every = {"GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1", "ROLE_NAME": "default", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    return {
        **every,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "ROLE_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "ROLE_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_RESTART_COUNT": str(restart),
        "TORCHELASTIC_MAX_RESTARTS": "3",
    }


def sbatch(restart: int = 0) -> dict[str, str]:
    """A batch script, which asked for four tasks."""
    again = {"SLURM_RESTART_COUNT": str(restart)} if restart else {}
    job = {"SLURM_JOB_ID": "4711", "SLURM_JOBID": "4711", "SLURM_CLUSTER_NAME": "alps", "SLURM_NTASKS": str(SIZE)}
    return {**job, "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", **again}


def srun(rank: int, restart: int = 0, size: int = SIZE) -> dict[str, str]:
    """A task of ``srun`` in that script."""
    step = {"SLURM_STEP_ID": "0", "SLURM_STEPID": "0", "SLURM_STEP_NUM_TASKS": str(size), "SLURM_NTASKS": str(size)}
    return {**sbatch(restart), **step, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}


def mpirun(rank: int, restart: int = 0, size: int = SIZE) -> dict[str, str]:
    """A process of Open MPI's ``mpirun``; there is no restart but with another mpirun."""
    return {
        "OMPI_COMM_WORLD_RANK": str(rank),
        "OMPI_COMM_WORLD_SIZE": str(size),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(rank),
        "OMPI_COMM_WORLD_LOCAL_SIZE": str(size),
        "OMPI_UNIVERSE_SIZE": str(size),
        "PMIX_NAMESPACE": f"prterun-vm-{4693 + restart}@1",
        "PMIX_RANK": str(rank),
    }


def mpiexec(rank: int, restart: int = 0, size: int = SIZE) -> dict[str, str]:
    """A process of MPICH's ``mpiexec`` in a job."""
    pmi = {"PMI_RANK": str(rank), "PMI_SIZE": str(size), "PMI_FD": "9", "HYDI_CONTROL_FD": "7"}
    return {**sbatch(restart), **pmi, "MPI_LOCALRANKID": str(rank), "MPI_LOCALNRANKS": str(size)}


ALL = {"torchrun": torchrun, "srun": srun, "mpirun": mpirun, "mpiexec": mpiexec}
