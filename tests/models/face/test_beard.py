"""The sign of a beard: upper lip and chin count, the shadow along the jaw does not."""

from __future__ import annotations

import numpy as np
import pytest

from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.face.beard import MEASURE, beard_darkness
from models.face.texture_space import FaceSpace


@pytest.mark.parametrize(("points", "share"), [(MEASURE.grown, 1.0), ((164, 165, 391), 0.5), ((202, 422), 0.0)])
def test_where_a_beard_is_looked_for(points: tuple[int, ...], share: float) -> None:
    mean = FaceSpace.from_tables(read_tables(EMBEDDED)).mean
    luminance = np.full((192, 192), 5.0, np.float32)
    for column, row in np.round(mean[list(points)]).astype(int):
        luminance[row - 4 : row + 5, column - 4 : column + 5] = 4.2
    assert beard_darkness(luminance, mean) == pytest.approx(0.8 * share, abs=0.16)
