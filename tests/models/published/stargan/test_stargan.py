"""StarGAN: its keys, what its normalisation reads, and its editor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.editor import Editor
from models.published.stargan import editor as stargan
from models.published.stargan.editor import Domains, StarGan
from models.published.stargan.network import (
    UNUSED_KEYS,
    Discriminator,
    Generator,
    LabelReader,
    load_discriminator,
    load_generator,
)
from models.weights.checkpoints import CheckpointError
from tests.models.editing import rendered
from tests.models.translators import TorchEngine, assert_every_key, face_crop, published_keys

ALL_DOMAINS = {
    "stargan_G_c5": stargan.CELEBA_DOMAINS,
    "stargan_G_rafd_c8": stargan.RAFD_DOMAINS,
    "stargan_G_both_c15": stargan.CELEBA_AND_RAFD_DOMAINS,
    "facestyle_hair_G_c9": stargan.FACESTYLE_HAIR_DOMAINS,
}


def small_editor(domains: Domains, read: bool = False) -> StarGan:
    torch.manual_seed(0)
    size = 32
    reader = TorchEngine(
        LabelReader(Discriminator(size, domains.size, width=2, layers=3)), {"image": (3, size, size)}, ("label",)
    )
    generator = TorchEngine(
        Generator(domains.size, width=4, blocks=1),
        {"image": (3, size, size), "label": (domains.size,)},
        ("translated",),
    )
    return StarGan(generator, domains, reader if read else None)


@pytest.mark.parametrize("name", ALL_DOMAINS)
def test_generator_has_the_published_keys(shared: Path, name: str) -> None:
    keys = published_keys(shared, name)
    assert_every_key(Generator(ALL_DOMAINS[name].size), keys, UNUSED_KEYS)


def test_discriminator_has_the_published_keys(shared: Path) -> None:
    assert_every_key(Discriminator(128, 5), published_keys(shared, "stargan_D_128_c5"))


def test_stored_statistics_change_nothing() -> None:
    state = dict(Generator(5).state_dict())
    image, label = torch.rand(1, 3, 16, 16) * 2 - 1, torch.tensor([[0.0, 1, 0, 1, 1]])
    want = load_generator(state)(image, label)
    channels = {key.rsplit(".", 1)[0]: len(value) for key, value in state.items() if key.endswith(".bias")}
    for norm, count in channels.items():
        state[f"{norm}.running_mean"] = torch.full((count,), 3.0)
        state[f"{norm}.running_var"] = torch.full((count,), 9.0)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)
    assert torch.equal(load_generator(state)(image, label), want)


def test_a_missing_key_is_named() -> None:
    state = dict(Generator(5).state_dict())
    del state["main.6.weight"]
    with pytest.raises(CheckpointError, match=r"main\.6\.weight"):
        load_generator(state)


def test_the_discriminator_tells_its_own_sizes() -> None:
    network = load_discriminator(Discriminator(64, 3, width=2, layers=4).state_dict())
    patches, label = network(torch.zeros(2, 3, 64, 64))
    assert patches.shape == (2, 1, 4, 4)
    assert label.shape == (2, 3)


@pytest.mark.parametrize("domains", ALL_DOMAINS.values(), ids=ALL_DOMAINS)
def test_editor_keeps_the_contract(domains: Domains) -> None:
    editor = small_editor(domains, read=True)
    assert isinstance(editor, Editor)
    crop = face_crop(32)
    latent = editor.encode(crop, editor.Controls())
    assert latent.shape == (len(domains.fields),)
    assert latent.dtype == np.float32
    assert set(domains.Controls.model_fields) == set(domains.fields)

    untouched = rendered(editor, crop, latent, domains.Controls())
    assert untouched.delta is not None
    assert not untouched.delta.any()

    changed = rendered(editor, crop, latent, domains.Controls(**{domains.fields[0]: 1.0}))
    assert changed.delta is not None
    assert changed.delta.shape == (32, 32, 3)
    assert abs(changed.delta).max() > 0.01
    assert changed.mask.shape == (32, 32)
    assert changed.mask[0].max() == 0


def test_hair_colours_share_the_hair() -> None:
    editor = small_editor(stargan.CELEBA_DOMAINS)
    latent = np.array([0.6, 0.4, 0.0, 1.0, 0.2], np.float32)
    half = editor.steer(latent, stargan.CelebaControls(blond_hair=0.5))
    np.testing.assert_allclose(half, [0.3, 0.7, 0.0, 1.0, 0.2], atol=1e-6)
    both = editor.steer(latent, stargan.CelebaControls(blond_hair=1, brown_hair=1, young=0))
    np.testing.assert_allclose(both, [0, 0.5, 0.5, 1.0, 0.0], atol=1e-6)


def test_the_edit_is_the_way_from_the_own_label_to_the_wanted_one() -> None:
    editor = small_editor(stargan.FACESTYLE_HAIR_DOMAINS)
    crop = face_crop(32)
    latent = editor.encode(crop, editor.Controls())
    steered = editor.steer(latent, stargan.HairControls(bald=1))
    edit = editor.render(crop, latent, steered, stargan.HairControls(bald=1))
    image = torch.from_numpy(crop.image.transpose(2, 0, 1)[None] / np.float32(127.5) - 1)
    network = editor._generator.module  # type: ignore[attr-defined]
    with torch.inference_mode():
        want = network(image, torch.from_numpy(steered)[None]) - network(image, torch.from_numpy(latent)[None])
    assert edit.delta is not None
    np.testing.assert_allclose(edit.delta, want[0].numpy().transpose(1, 2, 0) * 127.5, atol=1e-3)


def test_two_sets_of_pictures_are_asked_one_after_the_other() -> None:
    editor = small_editor(stargan.CELEBA_AND_RAFD_DOMAINS)
    labels: list[np.ndarray] = []
    run = editor._generator.run

    def spy(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        labels.append(inputs["label"][1])
        return run(inputs)

    editor._generator.run = spy  # type: ignore[method-assign, assignment]
    crop = face_crop(32)
    latent = editor.encode(crop, editor.Controls())
    rendered(editor, crop, latent, stargan.CelebaAndRafdControls(happy=1, male=1))
    assert [list(label[13:]) for label in labels] == [[1, 0], [0, 1]]
    assert not labels[0][5:13].any()
    assert not labels[1][:5].any()
    assert labels[1][9] == 1
