"""`python -m tests.e2e.hasty FLAGS`: `python server.py FLAGS`, but a snapshot is read in a few steps, not minutes."""

from __future__ import annotations

import sys
from functools import partial

import server
from models.locking import invert_snapshot
from stream import snapshots

STEPS = 6

if __name__ == "__main__":
    snapshots.invert_snapshot = partial(invert_snapshot, steps=STEPS)  # type: ignore[attr-defined]
    sys.exit(server.main(sys.argv[1:]))
