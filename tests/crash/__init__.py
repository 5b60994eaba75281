"""Processes race, stall and die, and the record holds: real processes, real signals, no stand-ins."""
