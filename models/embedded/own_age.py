"""The age that a face is read as, for editors that are told an age and read none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engines.base import Engine
from models.editor import Crop
from models.embedded.attributes import AGE, READER, read_attributes, read_tables
from models.embedded.editor import EmbeddedEditor
from models.face.texture_space import FaceSpace


class AgeReader:
    """Reads ages by the embedded editor's attribute encoder.

    Args:
        reader: engine of the attribute encoder.
        space: the texture square.

    Attributes:
        crop: how it wants faces cut out.
    """

    crop = EmbeddedEditor.crop

    def __init__(self, reader: Engine, space: FaceSpace) -> None:
        self._reader = reader
        self._space = space

    @classmethod
    def load(cls, load_engine: Callable[[Path], Engine], folder: Path) -> AgeReader:
        """Load it from the embedded pack. Raises what `models.embedded.editor.load` does."""
        return cls(load_engine(folder / READER), FaceSpace.from_tables(read_tables(folder)))

    def read(self, crop: Crop) -> float:
        """The age of a face in years.

        Raises:
            ValueError: the crop has no mesh.
        """
        if crop.mesh is None:
            raise ValueError("the age of a face is read with its mesh")
        return 100 * float(read_attributes(self._reader, crop.image, self._space.fit(crop.mesh))[AGE])
