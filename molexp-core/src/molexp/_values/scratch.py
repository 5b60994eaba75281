"""Files without a name, in memory where the system has such files: the disk may be full, or not be ours."""

from __future__ import annotations

import os
import sys
from typing import IO

if sys.platform == "linux" and hasattr(os, "memfd_create"):  # Python has it not if it was built for glibc 2.26 or older

    def scratch_file() -> IO[bytes]:
        """Return an empty file, to be written and read."""
        return open(os.memfd_create("molexp"), "w+b")

else:  # imported now, and not in a thread: a child that is forked meanwhile could never import it
    import tempfile

    scratch_file = tempfile.TemporaryFile
