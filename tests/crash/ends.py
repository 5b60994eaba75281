"""Ways in which a run ends, and what is to be on record then; `tools/ends.py` prints what came of them."""

from __future__ import annotations

from textwrap import dedent, indent

from tests.crash.ending import End, send, terminal

BLOCK = "with exp.Run(id='one').start() as ctx:\n"
IN_A_LOOP = """
async def main():
    {how} exp.Run(id="one").start():
        tell("ready")
        await asyncio.sleep(3000)

{run}
"""
TASK = """
@wf.task({options})
def work(ctx):
{body}

wf.build().bind_to(exp)
me.entry(ws)
"""
DIRECT = """
if __name__ == "__main__":
    wf.build().execute_sync(run=exp.Run(id="one"))
"""


def block(body: str) -> str:
    return BLOCK + indent(dedent(body).strip() or "pass", "    ")


def task(body: str, options: str = "", more: str = DIRECT) -> str:
    return TASK.format(options=options, body=indent(dedent(body).strip(), "    ")) + more


def looped(how: str, run: str) -> str:
    return IN_A_LOOP.format(how=how, run=run)


ASYNCIO_RUN = "asyncio.run(main())"
LOOP = "loop = asyncio.new_event_loop(); loop.run_until_complete(main())"
GROUP = """
async def outer():
    async with asyncio.TaskGroup() as group:
        group.create_task(main()); group.create_task(asyncio.sleep(3000))
asyncio.run(outer())
"""
PROCESS = "executor='process'"
DRIVE = ("run", "script.py", "--executor", "process")
EXEC = ("exec", "p/e", "--id", "one")
SLEEP = ("--", "sh", "-c", "touch ready.tmp; echo $$ > ready.tmp; mv ready.tmp ready; exec sleep 3000")
SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_START_TIME": "1", "SLURM_JOB_END_TIME": "2"}
GONE = r"process \d+ on \S+ is (gone|a zombie)"

ENDS = (
    End("a block", block("pass"), "succeeded", None, quick=True),
    End("an exception", block("raise ValueError('no')"), "failed", "exception", "ValueError: no", quick=True),
    End("sys.exit(3)", block("sys.exit(3)"), "failed", "exception", "SystemExit: 3"),
    End("sys.exit(0)", block("sys.exit(0)"), "succeeded", None),
    End(
        "a memory limit (ulimit -v)",
        block("resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))\nfill()"),
        "failed",
        "out_of_memory",
        "MemoryError",
    ),
    End("a memory limit (control group)", block("fill()"), "interrupted", "out_of_memory", GONE, needs="memory"),
    End("left behind", "ctx = exp.Run(id='one').start()", "interrupted", "owner_died", "its process ended", quick=True),
    End("os._exit", block("os._exit(0)"), "interrupted", "owner_died", GONE),
    End("Ctrl-C", block("wait()"), "cancelled", "cancel", "KeyboardInterrupt", terminal("SIGINT"), quick=True),
    End("kill", block("wait()"), "interrupted", "signal", "received SIGTERM", send("SIGTERM"), quick=True),
    End("kill -HUP", block("wait()"), "interrupted", "signal", "received SIGHUP", send("SIGHUP")),
    End("kill -USR1", block("wait()"), "interrupted", "signal", "received SIGUSR1", send("SIGUSR1")),
    End("kill -XCPU", block("wait()"), "interrupted", "signal", "received SIGXCPU", send("SIGXCPU")),
    End("kill -9", block("wait()"), "interrupted", "owner_died", GONE, send("SIGKILL"), quick=True),
    End(
        "cancel",
        block("me.Workspace.load(os.environ['LAB']).run('p/e/one').cancel('too expensive')\nwait()"),
        "cancelled",
        "cancel",
        "too expensive",
        environment={"MOLEXP_LEASE_BEAT": "0.1"},
    ),
    End(
        "the time limit of a Slurm job",
        block("wait()"),
        "interrupted",
        "walltime",
        "received SIGTERM",
        send("SIGTERM"),
        environment=SLURM,
    ),
    End(
        "a Slurm job that is started again",
        block("wait()"),
        "interrupted",
        "superseded",
        "job 7 was requeued",
        send("SIGKILL"),
        environment={"SLURM_JOB_ID": "7"},
        reader={"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"},
    ),
    *(
        End(f"{word} under {name}", looped(how, run), status, cause, reason, act)
        for name, how, run in (
            ("asyncio.run, async with", "async with", ASYNCIO_RUN),
            ("asyncio.run, with", "with", ASYNCIO_RUN),
            ("run_until_complete", "async with", LOOP),
            ("a task group", "async with", GROUP),
        )
        for word, act, status, cause, reason in (
            ("Ctrl-C", send("SIGINT"), "cancelled", "cancel", "CancelledError|KeyboardInterrupt"),
            ("kill", send("SIGTERM"), "interrupted", "signal", "received SIGTERM"),
        )
    ),
    End(
        "a cancelled task of an event loop",
        looped("async with", "async def outer():\n    await asyncio.wait_for(main(), 2.0)\nasyncio.run(outer())"),
        "cancelled",
        "cancel",
        "CancelledError",
    ),
    End("a task's exception", task("raise ValueError('no')"), "failed", "exception", "task 'work' failed: ValueError"),
    End(
        "a task's MemoryError", task("raise MemoryError"), "failed", "out_of_memory", "task 'work' failed: MemoryError"
    ),
    End(
        "a task's time-out (thread)", task("time.sleep(2)", "timeout=0.1"), "failed", "timeout", "ran longer than 0.1 s"
    ),
    End(
        "a task's time-out (process)",
        task("wait()", f"timeout=1.0, {PROCESS}"),
        "failed",
        "timeout",
        "ran longer than 1 s",
        quick=True,
    ),
    End(
        "a command's time-out",
        task("ctx.shell(['sleep', '3000'], timeout=0.2)"),
        "failed",
        "timeout",
        "longer than 0.2 s",
    ),
    End("a command's kill", task("ctx.shell('kill -9 $$')"), "failed", "signal", "CommandError"),
    End("Ctrl-C, a task in a thread", task("wait()"), "cancelled", "cancel", "", terminal("SIGINT")),
    End(
        "Ctrl-C, a task in a worker", task("wait()", PROCESS), "cancelled", "cancel", "", terminal("SIGINT"), quick=True
    ),
    End(
        "kill, a task in a worker",
        task("wait()", PROCESS),
        "interrupted",
        "signal",
        "received SIGTERM",
        send("SIGTERM"),
    ),
    End("kill -9, a task in a worker", task("wait()", PROCESS), "interrupted", "owner_died", GONE, send("SIGKILL")),
    End(
        "KeyboardInterrupt in a worker",
        task("raise KeyboardInterrupt", PROCESS),
        "cancelled",
        "cancel",
        "KeyboardInterrupt",
    ),
    End(
        "kill of a worker",
        task("wait()", PROCESS),
        "failed",
        "signal",
        "was killed by SIGTERM",
        send("SIGTERM", to="ready"),
    ),
    End(
        "kill of a worker in a command",
        task("ctx.shell('echo $PPID > tmp; mv tmp ready; exec sleep 3000', cwd='.')", PROCESS),
        "failed",
        "signal",
        "was killed by SIGTERM",
        send("SIGTERM", to="ready"),
    ),
    End(
        "kill -9 of a worker",
        task("wait()", PROCESS),
        "failed",
        "signal",
        "was killed by SIGKILL",
        send("SIGKILL", to="ready"),
        quick=True,
    ),
    End(
        "a worker's memory limit (control group)",
        task("fill()", PROCESS),
        "failed",
        "out_of_memory",
        "because the memory was full",
        needs="memory",
    ),
    *(
        End(f"{word}, runs in {name}", task("wait()", more=""), status, cause, reason, act, command)
        for name, command in (("molexp run", ("run", "script.py")), ("workers of molexp run", DRIVE))
        for word, act, status, cause, reason in (
            ("Ctrl-C", terminal("SIGINT"), "cancelled", "cancel", ""),
            ("kill", send("SIGTERM"), "interrupted", "signal", "received SIGTERM"),
            ("kill -9", send("SIGKILL"), "interrupted", "owner_died", GONE),
        )
    ),
    End(
        "kill of a worker of molexp run",
        task("wait()", more=""),
        "interrupted",
        "signal",
        "received SIGTERM",
        send("SIGTERM", to="ready"),
        DRIVE,
    ),
    End(
        "kill -9 of a worker of molexp run",
        task("wait()", more=""),
        "interrupted",
        "signal",
        r"process \d+ was killed by SIGKILL",
        send("SIGKILL", to="ready"),
        DRIVE,
        quick=True,
    ),
    End(
        "the memory limit of a worker of molexp run",
        task("fill()", more=""),
        "interrupted",
        "out_of_memory",
        "because the memory was full",
        command=DRIVE,
        needs="memory",
    ),
    End("molexp exec, exit 3", "", "failed", "exception", "exit code 3", command=(*EXEC, "--", "sh", "-c", "exit 3")),
    End(
        "molexp exec, a killed command",
        "",
        "failed",
        "signal",
        "SIGKILL",
        command=(*EXEC, "--", "sh", "-c", "kill -9 $$"),
    ),
    End(
        "molexp exec, time-out",
        "",
        "failed",
        "timeout",
        "ran longer than 0.5 s",
        command=(*EXEC, "--timeout", "0.5", "--", "sleep", "3000"),
    ),
    End("molexp exec, Ctrl-C", "", "cancelled", "cancel", "", terminal("SIGINT"), (*EXEC, *SLEEP)),
    End("molexp exec, kill", "", "interrupted", "signal", "received SIGTERM", send("SIGTERM"), (*EXEC, *SLEEP)),
    End("molexp exec, kill -9", "", "interrupted", "owner_died", GONE, send("SIGKILL"), (*EXEC, *SLEEP)),
)
