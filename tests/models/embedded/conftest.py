"""A head that several modules draw on."""

from __future__ import annotations

import numpy as np
import pytest

from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.scalp import HeadMap, ScalpModel, head_map, outline_features
from models.face.texture_space import FaceSpace


@pytest.fixture(scope="session")
def head() -> HeadMap:
    """The mean face's, in a crop of 320 pixels."""
    tables = read_tables(EMBEDDED)
    space = FaceSpace.from_tables(tables)
    fit = space.fit(space.mean + np.array([64, 88], np.float32))
    return head_map(fit, ScalpModel.from_tables(tables).radii(outline_features(fit)), 320)
