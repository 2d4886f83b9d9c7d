"""Which of the faces are edited: all, the largest, or the one locked on."""

from __future__ import annotations

from stream.frame import Face
from stream.settings import Settings

LOCK_S = 2.0
"""Seconds without the locked face after which the lock moves on to the largest face."""


class Selection:
    """The choice of one stream; remembers the face that an automatic lock is on."""

    def __init__(self) -> None:
        self._locked: int | None = None
        self._seen_at = 0.0

    def __call__(self, faces: tuple[Face, ...], settings: Settings, time: float) -> tuple[Face, ...]:
        """Choose the faces to edit.

        Args:
            faces: of this frame, the largest first.
            settings: `faces` and `lock` count.
            time: of this frame, seconds.
        """
        if settings.faces == "all" or not faces:
            return faces
        if settings.faces == "largest":
            return faces[:1]
        locked = settings.lock
        if locked is None:
            if self._locked is None or time - self._seen_at > LOCK_S:
                self._locked, self._seen_at = faces[0].id, time
            locked = self._locked
        found = tuple(face for face in faces if face.id == locked)
        if found:
            self._locked, self._seen_at = locked, time
        return found
