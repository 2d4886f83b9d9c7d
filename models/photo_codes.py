"""Codes of photos that users gave for reference, in memory only."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Any

from pydantic import Field

from models.arrays import Floats

MOST = 64
"""Codes that are kept; the one not used longest goes first."""


def photo_field(title: str) -> Any:
    """A control that holds the id of what was read of a photo, "" for none; see `models.editor.Controls`."""
    return Field(
        "",
        pattern="^[0-9a-f]{0,64}$",
        title=title,
        json_schema_extra={"format": "photo", "photo": "Choose a photo…"},
    )


class References:
    """What an editor read of reference photos, by an id that only who gave the photo knows. Thread-safe."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._codes: OrderedDict[str, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, code: Floats) -> str:
        """Keep a code. Returns its id, 32 hexadecimal digits: the same photo has the same."""
        id = hashlib.sha256(code.tobytes()).hexdigest()[:32]
        with self._lock:
            self._codes[id] = code
            self._codes.move_to_end(id)
            while len(self._codes) > self._most:
                self._codes.popitem(last=False)
        return id

    def get(self, id: str) -> Floats | None:
        """The code of an id; None if there is none, or none any more."""
        with self._lock:
            code = self._codes.get(id)
            if code is not None:
                self._codes.move_to_end(id)
            return code

    def items(self) -> list[tuple[str, Floats]]:
        """Ids and codes, the one not used longest first."""
        with self._lock:
            return list(self._codes.items())

    def __contains__(self, id: str) -> bool:
        with self._lock:
            return id in self._codes
