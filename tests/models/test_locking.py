"""Locking: the inverted code draws the snapshot, and later frames move it by what the encoder reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pytest

from engines import select
from models import catalog
from models.entry import weights_folder
from models.locking import LockedEditor, LockError, invert_snapshot, latent_networks
from models.published.styleflow.editor import CONDITIONS, StyleFlow
from tests.models import tiny
from tests.models.translators import face_crop


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tiny.shrink(monkeypatch)
    yield
    shutil.rmtree(weights_folder(), ignore_errors=True)


def test_the_inverted_code_draws_the_snapshot_and_frames_move_it(small: None, tmp_path: Path) -> None:
    row = tiny.ready("stylegan1")
    editor = row.load(lambda path: select.load(path, backend="onnxruntime", threads=1, cache_dir=tmp_path))
    crop = face_crop(editor.crop.size)
    steps: list[tuple[int, int]] = []
    offset = invert_snapshot(row, crop.image, lambda step, of: steps.append((step, of)), 12)
    assert steps[-1] == (12, 12)
    assert offset.shape == (tiny.ROWS * tiny.WIDTH,)

    locked = LockedEditor(editor, offset)
    controls = editor.Controls()
    own, moved = editor.encode(crop, controls), locked.encode(crop, controls)
    np.testing.assert_allclose(moved - own, offset, atol=1e-5)
    target = crop.image.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1

    def error(code: np.ndarray) -> float:
        drawn = cast(Any, editor).generator.run({"w_plus": code.reshape(1, tiny.ROWS, tiny.WIDTH)})["image"][0]
        return float(np.abs(drawn - target).mean())

    assert error(moved) < error(own)
    other = face_crop(editor.crop.size)
    other.image[:] = other.image[:, ::-1]
    frame = editor.encode(other, controls)
    np.testing.assert_allclose(locked.encode(other, controls) - moved, frame - own, atol=1e-4)  # pose and expression


def test_the_code_of_a_longer_latent_is_moved() -> None:
    assert StyleFlow.code_start == CONDITIONS

    class Flow(StyleFlow):
        lasting = MappingProxyType({2: 4.0})

        def __init__(self) -> None:
            self.crop = None  # type: ignore[assignment]

        def encode(self, crop: object, controls: object) -> np.ndarray:
            return np.zeros(CONDITIONS + 4, np.float32)

    locked = LockedEditor(Flow(), np.ones(4, np.float32))
    assert locked.lasting == {2: 4.0}
    latent = locked.encode(None, None)  # type: ignore[arg-type]
    assert not latent[:CONDITIONS].any()
    assert latent[CONDITIONS:].all()


def test_which_editors_can_be_locked() -> None:
    lockable = {name for name, row in catalog.ENTRIES.items() if latent_networks(row)}
    assert {
        "stylegan1",
        "e4e",
        "psp",
        "mobilestylegan",
        "alae",
        "sam",
        "hairmapper",
        "styleflow",
        "babygan",
    } <= lockable
    assert not lockable & {"embedded", "hair", "lats", "stargan-celeba", "starganv2", "pix2pix", "fran"}
    with pytest.raises(LockError, match="moves no latent"):
        invert_snapshot(catalog.ENTRIES["fran"], np.zeros((8, 8, 3), np.uint8), lambda *_: None)
