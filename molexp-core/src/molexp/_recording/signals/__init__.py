"""Signals: what asks this process to end, and how a request to cancel interrupts it.

Begin with `handlers`, which turns a signal into an exception, and sends one to the main thread for a request to cancel.
`schedulers` asks Slurm why a signal came, and `event_loops` wakes an event loop for one.
"""
