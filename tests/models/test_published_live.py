"""Editors on StyleGAN over a real face, through the whole stream.

Their networks have random weights, as no published ones are at hand: this is about where an edit lands and how
steadily, not about how it looks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from skimage import data

from models import catalog
from models.editor import Editor
from models.editors.latent import LatentEditor, Slider
from models.entry import Entry
from stream.frame import Frame, Image
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings
from tests.models.test_stylegan_editors import babygan, encoder, generator, hairmapper, sam, way


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    runtime = Runtime.load(
        RuntimeSettings(backend="onnxruntime", threads=1, cache_dir=tmp_path_factory.mktemp("cache"))
    )
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def portrait() -> Image:
    """NASA's portrait of Eileen Collins, (512, 512, 3) uint8 BGR; the face is around (224, 110)."""
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def directions() -> LatentEditor:
    return LatentEditor(encoder(), generator(), "toy", {"age": Slider(way("age", 0), 3.0)}, size=64)


CASES = [
    pytest.param(editor, controls | {"detail": detail}, id=f"{editor.name}-{detail}")
    for editor, controls in (
        (directions(), {"age": 1.0}),
        (sam(), {"age": 80}),
        (hairmapper(), {"amount": 1.0}),
        (babygan(), {"genes": 0.5}),
    )
    for detail in ("delta", "full")
]


@pytest.mark.parametrize(("editor", "controls"), CASES)
def test_an_edit_lands_on_the_head_and_stands_still(
    monkeypatch: pytest.MonkeyPatch,
    runtime: Runtime,
    portrait: Image,
    editor: Editor,
    controls: dict[str, object],
) -> None:
    name = f"{editor.name}-test"
    row = Entry(name, "Test", "A test.", lambda: editor.Controls, lambda _: editor)
    monkeypatch.setitem(catalog.ENTRIES, name, row)
    settings = runtime.changed(Settings(), {"editor": name, "controls": controls})
    pipeline = runtime.pipeline()
    outputs = [pipeline.process(Frame(portrait, frame / 25), settings) for frame in range(6)]
    assert all(len(output.edited) == 1 for output in outputs)
    change = np.abs(outputs[-1].image.astype(int) - portrait).max(2)
    assert change[60:160, 180:270].mean() > 3
    assert not change[400:].any()
    assert not change[:, 420:].any()
    flicker = np.abs(outputs[-1].image.astype(int) - outputs[-2].image).max(2)
    assert flicker.mean() < 0.05 * change[change > 0].mean()
    pipeline.close()
