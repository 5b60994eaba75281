"""Tracking a command: a run around any program, with the files it leaves."""
