"""HairMapper: which rows move, its keys, its container, the blend of its authors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.published.hairmapper.blending import clone_face, kept_mask
from models.published.hairmapper.editor import HairMapper
from models.published.hairmapper.network import UNUSED, LevelMapper, load, remix
from models.weights.checkpoints import CheckpointError
from tests.models.translators import TorchEngine, face_crop


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    state = dict(LevelMapper().state_dict()) | {UNUSED[0]: torch.zeros(512)}
    torch.save({"alpha": 0.5, "state_dict": state}, tmp_path / "a.pt")
    return tmp_path / "a.pt"


def test_coarse_rows_move_by_the_mapper(checkpoint: Path) -> None:
    mapper = load(checkpoint)
    codes = torch.randn(2, 18, 512)
    edited = mapper.remove(codes)
    torch.testing.assert_close(edited[:, :8] - codes[:, :8], 0.6 * mapper.mapper(codes[:, :8]), atol=1e-5, rtol=1e-4)
    assert torch.equal(edited[:, 8:], codes[:, 8:])
    assert torch.equal(mapper.remove(codes, 0.0), codes)


def test_remix_gives_fine_rows_back() -> None:
    edited, original = torch.ones(1, 18, 4), torch.zeros(1, 18, 4)
    mixed = remix(edited, original)
    assert torch.all(mixed[:, :7] == 1)
    torch.testing.assert_close(mixed[:, 7:], torch.full((1, 11, 4), 0.2))


def test_a_checkpoint_without_strength_is_refused(checkpoint: Path) -> None:
    torch.save({"state_dict": torch.load(checkpoint, weights_only=True)["state_dict"]}, checkpoint)
    with pytest.raises(CheckpointError, match="no alpha"):
        load(checkpoint)


def test_keys_are_the_published_ones(shared: Path) -> None:
    lines = (shared / "facts" / "keys" / "hairmapper_levelmapper.tsv").read_text().splitlines()
    with torch.device("meta"):
        ours = {key: "x".join(map(str, value.shape)) for key, value in LevelMapper().state_dict().items()}
    assert ours | {UNUSED[0]: "512"} == {key: shape for key, shape, _ in (line.split("\t") for line in lines)}


def test_the_camera_is_kept_where_the_authors_keep_it() -> None:
    y, x = np.mgrid[:1024, :1024]
    hair = ((x - 512) ** 2 + (y - 300) ** 2 < 200**2).astype(np.float32)
    theirs = (255 * hair).astype(np.uint8)
    soft = cv2.blur(cv2.dilate(theirs, np.ones((50, 50), np.uint8)), (30, 30))
    np.testing.assert_array_equal(kept_mask(hair, 1024), 255 - (theirs + (255 - theirs) / 255 * soft).astype(np.uint8))
    half = cv2.resize(kept_mask(hair, 1024), (512, 512), interpolation=cv2.INTER_AREA)
    assert np.abs(kept_mask(hair[::2, ::2], 512).astype(int) - half).mean() < 2


def test_the_clone_has_the_cameras_texture_and_the_drawings_colour() -> None:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    hair = (y < 40).astype(np.float32)
    smooth = np.repeat((80 + 0.4 * x + 0.2 * y)[..., None], 3, 2).astype(np.uint8)
    grain = random.integers(-12, 13, (128, 128, 1))
    camera = np.where(y[..., None] < 40, 10, smooth.astype(int) + 30 + grain).astype(np.uint8)
    out = clone_face(camera, smooth, hair).astype(int)
    face = np.s_[70:118, 10:118]
    assert abs((out - smooth)[face].mean()) < 3  # 30 brighter in the camera: the edge of the drawing decides
    assert np.corrcoef((out - smooth)[face][..., 0].ravel(), grain[face].ravel())[0, 1] > 0.95
    np.testing.assert_array_equal(out[:30], smooth[:30])


@pytest.mark.parametrize(("hair", "shown"), [(0.0, "camera"), (1.0, "drawn")])
def test_without_hair_there_is_nothing_to_clone_into(hair: float, shown: str) -> None:
    pictures = {"camera": np.full((64, 64, 3), 90, np.uint8), "drawn": np.full((64, 64, 3), 30, np.uint8)}
    out = clone_face(pictures["camera"], pictures["drawn"], np.full((16, 16), hair, np.float32))
    np.testing.assert_array_equal(out, pictures[shown])


def test_paper_clones_and_needs_the_masks() -> None:
    crop = face_crop(64)
    codes = np.zeros((2, 18 * 4), np.float32)
    editor = HairMapper(flat("image", (3, 64, 64), "w_plus"), flat("w_plus", (18, 4), "bald"), Painter(), size=64)
    shown = {
        detail: editor.render(crop, codes[0], codes[1], editor.Controls(amount=1, detail=detail)).image
        for detail in ("paper", "full")
    }
    assert shown["paper"] is not None
    assert shown["full"] is not None
    face = np.s_[40:50, 28:36]
    assert np.ptp(shown["full"][face].astype(int), (0, 1)).max() == 0
    assert np.ptp(shown["paper"][face].astype(int), (0, 1)).max() > 5
    unmasked = replace(crop, masks=None)
    paper = editor.render(unmasked, codes[0], codes[1], editor.Controls(amount=1, detail="paper")).image
    np.testing.assert_array_equal(paper, shown["full"])


def flat(name: str, shape: tuple[int, ...], output: str) -> TorchEngine:
    return TorchEngine(torch.nn.Identity(), {name: shape}, (output,))


class Painter(TorchEngine):
    """Draws a grey picture of any code."""

    def __init__(self) -> None:
        super().__init__(torch.nn.Identity(), {"w_plus": (18, 4)}, ("image",))

    def _run(self, inputs):  # type: ignore[no-untyped-def]
        return {"image": np.zeros((len(inputs["w_plus"]), 3, 64, 64), np.float32)}
