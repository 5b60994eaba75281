"""The queue that comes with MolExp: jobs of this machine, which go on after you have logged out.

`local` is its class, `files` the folder through which a submitter and the runner talk, `runner` the process that starts jobs.
"""
