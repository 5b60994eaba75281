"""What happens to the record when processes race, stall and die: real processes, real signals, no stand-ins."""
