"""SAM, HairMapper and BabyGAN as editors. Networks are tiny and untrained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.editor import AnyEditor, Editor
from models.latents import Direction, LatentError
from models.published.babygan.editor import BabyGan, follow
from models.published.babygan.formulas import child, grow
from models.published.drawing import to_network
from models.published.hairmapper.editor import HairMapper
from models.published.sam.editor import Sam
from models.published.stylegan.conversion import Picture
from models.published.stylegan.editor import Slider
from models.published.stylegan.stylegan2 import Generator
from tests.models.editing import delta_of, rendered
from tests.models.translators import TorchEngine, face_crop

ROWS, WIDTH, SIDE = 10, 16, 64


class Reader(nn.Module):
    """Reads a code off the picture's coarse brightness and, if it is given one, an age."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.rows = nn.Linear(3 * 4 * 4, ROWS * WIDTH)

    def forward(self, image: Tensor, age: Tensor | None = None) -> Tensor:
        code = self.rows(nn.functional.adaptive_avg_pool2d(image, 4).flatten(1)).reshape(-1, ROWS, WIDTH)
        return code if age is None else code * (age[:, None, None] / 100)


class Shift(nn.Module):
    def forward(self, w_plus: Tensor) -> Tensor:
        return w_plus + torch.arange(ROWS)[:, None] / 10


def encoder(seed: int = 1) -> TorchEngine:
    return TorchEngine(Reader(seed), {"image": (3, SIDE, SIDE)}, ("w_plus",))


def generator() -> TorchEngine:
    torch.manual_seed(0)
    network = Generator(SIDE, style_dim=WIDTH, mapping_layers=1, channel_multiplier=1 / 32, max_channels=8)
    return TorchEngine(Picture(network), {"w_plus": (ROWS, WIDTH)}, ("image",))


def way(name: str, seed: int, generator: str = "toy") -> Direction:
    vector = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return Direction(name, vector, generator).unit()


def code_of(latent: np.ndarray) -> np.ndarray:
    return latent[: ROWS * WIDTH].reshape(ROWS, WIDTH)


def sam() -> Sam:
    ageing = TorchEngine(Reader(2), {"image": (3, SIDE, SIDE), "age": ()}, ("offsets",))
    return Sam(encoder(), ageing, generator(), size=SIDE)


def hairmapper() -> HairMapper:
    mapper = TorchEngine(Shift(), {"w_plus": (ROWS, WIDTH)}, ("bald",))
    return HairMapper(encoder(), mapper, generator(), size=SIDE)


PARENT = np.random.default_rng(7).normal(size=(ROWS, WIDTH)).astype(np.float32)


def babygan(pose: tuple[Direction, ...] = ()) -> BabyGan:
    sliders = {"smile": Slider(way("smile", 1), 2.0)}
    return BabyGan(
        encoder(), generator(), "toy", parent=PARENT, age=way("age", 0), sliders=sliders, pose=pose, size=SIDE
    )


@pytest.mark.parametrize(
    ("editor", "changed"), [(sam(), {"age": 70.0}), (hairmapper(), {"amount": 1.0}), (babygan(), {"genes": 0.5})]
)
def test_neutral_is_neutral_and_a_change_is_drawn(editor: AnyEditor, changed: dict[str, float]) -> None:
    assert isinstance(editor, Editor)
    assert editor.Controls().neutral()
    assert editor.Controls(detail="delta").neutral()
    controls = editor.Controls(**changed, detail="delta")
    assert not controls.neutral()
    crop = face_crop(SIDE)
    latent = editor.encode(crop, controls)
    assert latent.dtype == np.float32
    steered = editor.steer(latent, controls)
    assert np.isfinite(steered).all()
    edit = editor.render(crop, latent, steered, controls)
    assert edit.delta is not None
    assert edit.image is None
    assert np.abs(edit.delta).max() > 1
    again = rendered(editor, crop, latent, controls)
    np.testing.assert_array_equal(again.delta, edit.delta)
    full = rendered(editor, crop, latent, editor.Controls(**changed, detail="full"))
    assert full.image is not None
    assert full.image.shape == (SIDE, SIDE, 3)


def test_sam_adds_what_the_age_adds() -> None:
    editor, crop = sam(), face_crop(SIDE)
    controls = editor.Controls(age=60.0)
    latent = editor.encode(crop, controls)
    edit = rendered(editor, crop, latent, controls)
    image = to_network(crop.image)
    offsets = editor._ageing.run({"image": image, "age": np.array([60], np.float32)})["offsets"][0]
    own, aged = editor.generator.run({"w_plus": np.stack([code_of(latent), code_of(latent) + offsets])})["image"]
    want = (aged.clip(-1, 1) - own.clip(-1, 1)).transpose(1, 2, 0) * 127.5
    np.testing.assert_allclose(delta_of(edit), want, atol=1e-3)


def test_sam_asks_the_ageing_half_for_the_age() -> None:
    editor, crop = sam(), face_crop(SIDE)
    deltas = []
    for age in (10.0, 90.0):
        controls = editor.Controls(age=age)
        latent = editor.encode(crop, controls)
        deltas.append(rendered(editor, crop, latent, controls).delta)
        np.testing.assert_array_equal(code_of(latent), code_of(editor.encode(crop, editor.Controls())))
        assert not rendered(editor, crop, latent, editor.Controls()).mask.any()
    young, old = deltas
    assert young is not None
    assert old is not None
    assert np.abs(old).mean() > np.abs(young).mean()


def test_hairmapper_goes_by_its_amount() -> None:
    editor = hairmapper()
    latent = editor.encode(face_crop(SIDE), editor.Controls())
    half = code_of(editor.steer(latent, editor.Controls(amount=0.5))) - code_of(latent)
    np.testing.assert_allclose(half, np.broadcast_to(np.arange(ROWS)[:, None] / 20, half.shape), atol=1e-5)


def test_babygan_mixes_and_ages() -> None:
    editor = babygan()
    latent = editor.encode(face_crop(SIDE), editor.Controls())
    mixed = child(code_of(latent), PARENT, 0.3, "mother")
    got = code_of(editor.steer(latent, editor.Controls(genes=0.3, resemblance="mother")))
    np.testing.assert_allclose(got, mixed, atol=1e-6)
    grown = editor.Controls.model_validate({"genes": 0.3, "resemblance": "mother", "age": 10, "smile": -0.5})
    aged = code_of(editor.steer(latent, grown))
    want = 4 * way("age", 0).vector - way("smile", 1).vector
    np.testing.assert_allclose((aged - mixed)[:8], np.tile(want, (8, 1)), atol=1e-5)
    assert np.array_equal(aged[8:], got[8:])


def test_the_child_looks_where_the_live_face_looks() -> None:
    pose = (way("yaw", 3),)
    editor = babygan(pose)
    latent = editor.encode(face_crop(SIDE), editor.Controls())
    got = code_of(editor.steer(latent, editor.Controls(genes=0.5)))
    np.testing.assert_allclose(got @ pose[0].vector, code_of(latent) @ pose[0].vector, atol=1e-5)
    np.testing.assert_allclose(follow(PARENT, PARENT, pose), PARENT)


def test_parents_and_directions_of_other_generators_are_refused() -> None:
    with pytest.raises(LatentError, match="takes another shape"):
        BabyGan(encoder(), generator(), "toy", parent=PARENT[:3], age=way("age", 0), sliders={})
    with pytest.raises(LatentError, match="belongs to other"):
        BabyGan(encoder(), generator(), "toy", parent=PARENT, age=way("age", 0, "other"), sliders={})


def test_a_second_parent_comes_from_a_photo() -> None:
    editor = BabyGan(encoder(), generator(), "toy", parent=None, age=way("age", 0), sliders={}, size=SIDE)
    assert editor.Controls.takes_photo()
    latent = editor.encode(face_crop(SIDE), editor.Controls())
    alone = editor.Controls(genes=0.5)
    np.testing.assert_array_equal(editor.steer(latent, alone), latent)  # no second parent, no child
    photo = replace(face_crop(SIDE), image=np.full((SIDE, SIDE, 3), 250, np.uint8))
    controls = editor.Controls(**editor.read_photo(photo), detail="delta")
    assert editor.knows_photo(controls.photo)
    mother = editor.encode(photo, editor.Controls()).reshape(ROWS, WIDTH)
    father = latent.reshape(ROWS, WIDTH)
    half = grow(child(father, mother, 0.5), way("age", 0), controls.age)
    np.testing.assert_allclose(editor.steer(latent, controls), half.ravel(), rtol=1e-5, atol=1e-5)
