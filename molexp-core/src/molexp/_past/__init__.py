"""Recording runs that were executed before anybody recorded them. Begin with `recording`."""
