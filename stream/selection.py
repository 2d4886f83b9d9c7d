"""Which of the faces are edited: all, the largest, or the one locked on."""

from __future__ import annotations

from stream.frame import Face
from stream.settings import Settings
from stream.tracking.association import area

LOCK_S = 2.0
"""Seconds without the locked face, or the largest one, after which another has its place for good."""
LARGER = 1.3
"""How many times as large as the largest face so far another must be to take its place: two people side by side are
about as large, and the edit would leap between them.
"""


class Selection:
    """The choice of one stream; remembers the largest face, and the one that an automatic lock is on."""

    def __init__(self) -> None:
        self._largest: int | None = None
        self._largest_at = 0.0
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
            same = next((face for face in faces if face.id == self._largest), None)
            if same is None and self._largest is not None and time - self._largest_at <= LOCK_S:
                return faces[:1]
            largest = faces[0] if same is None or area(faces[0].box) > LARGER * area(same.box) else same
            self._largest, self._largest_at = largest.id, time
            return (largest,)
        locked = settings.lock
        if locked is None:
            if self._locked is None or time - self._seen_at > LOCK_S:
                self._locked, self._seen_at = faces[0].id, time
            locked = self._locked
        found = tuple(face for face in faces if face.id == locked)
        if found:
            self._locked, self._seen_at = locked, time
        return found
