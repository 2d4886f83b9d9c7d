"""Which crop a face is given: the usual one of its editor, or a larger one that holds what changes, as long hair."""

from __future__ import annotations

import math

from models.editor import AnyEditor

STAYS_S = 4.0
"""Seconds for which a larger crop is kept that is not needed any more: what is drawn anew may look different."""
ROOM = 0.85
"""Share of a smaller crop within which what changes has to be for that: else it would be too small soon."""
AGAIN = 3
"""How often in a row a larger crop has to be wanted, but for the first frame: readings of hair are noisy."""


class CropChoice:
    """The side of one face's crop under one editor.

    Attributes:
        side: pixels; the scale is that of the usual crop.
    """

    def __init__(self, editor: AnyEditor) -> None:
        """Start with the editor's usual crop."""
        self._sides = (editor.crop.size, *editor.wider)
        self.side = editor.crop.size
        self._filled_at = -math.inf  # seconds, when this side was wanted
        self._wanted = AGAIN  # times in a row that a larger one was wanted, enough at first

    def fits(self, editor: AnyEditor) -> bool:
        """Whether an editor has the crops that this one chooses from."""
        return self._sides == (editor.crop.size, *editor.wider)

    def update(self, wanted: int, time: float) -> bool:
        """Choose by what a face wants.

        Args:
            wanted: side in pixels that holds what changes; more than that of the crop where it goes on beyond.
            time: seconds.

        Returns:
            Whether a larger crop is chosen than before.
        """
        at = self._sides.index(self.side)
        self._wanted = self._wanted + 1 if wanted > self.side else 0
        larger = self._wanted >= AGAIN and at + 1 < len(self._sides)
        if larger:
            self.side = self._sides[at + 1]
        if at == 0 or larger or wanted > ROOM * self._sides[at - 1]:
            self._filled_at = time
        elif time - self._filled_at > STAYS_S:
            self.side, self._filled_at = self._sides[at - 1], time
        return larger
