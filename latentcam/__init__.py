"""Latentcam as an installed package: it carries the tree of the repository, and puts nothing else beside itself.

In a wheel, the folders `engines`, `models`, `stream`, `signaling` and `web` lie in this package, so that nothing of
these common names lands in site-packages. `enter_tree` makes them importable by their own names for the running
process; the commands do so first of all. In a checkout they lie beside this package.
"""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
TREE = _HERE if (_HERE / "engines").is_dir() else _HERE.parent
"""The folder that holds `engines`, `models`, `stream`, `signaling`, `web` and `server.py`."""


def enter_tree() -> None:
    """Make the folders of the tree importable by their own names, before those of other packages."""
    if str(TREE) not in sys.path:
        sys.path.insert(0, str(TREE))
