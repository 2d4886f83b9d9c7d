"""No silent no-op: a control that a face keeps from acting says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.arrays import Floats
from models.editor import NO_HAIR, Crop, Masks
from models.embedded.attributes import AGE, ATTRIBUTES, HAT
from models.embedded.control import hair_obstacle
from models.embedded.controls.age import Age
from models.embedded.controls.bald import Bald
from models.embedded.controls.hair_grey import HairGrey
from models.embedded.controls.smile import SmileControl
from models.embedded.editor import EmbeddedControls
from models.embedded.hair import LENGTH, HairControls
from models.embedded.latent import SIZES, EmbeddedLatent
from models.published.hairmapper.editor import HairMapper, HairMapperControls
from tests.models.matting import coarse_hair

HATTED = "a hat seems to be worn: hair stays as it is"


def crop(hair: float = 0.2) -> Crop:
    """A crop of which this share is hair."""
    empty = np.zeros((50, 50), np.float32)
    masks = Masks(np.full_like(empty, hair), empty, empty, empty)
    return Crop(np.zeros((64, 64, 3), np.uint8), np.zeros((5, 2), np.float32), masks=masks)


def face(**attributes: float) -> EmbeddedLatent:
    values: Floats = np.zeros(len(ATTRIBUTES), np.float32)
    for name, value in attributes.items():
        values[ATTRIBUTES.index(name)] = value
    light, skin, lit, hair = (np.zeros(size, np.float32) for size in SIZES[1:])
    return EmbeddedLatent(values, light, skin, lit, hair, np.zeros(0, np.float32))


def met(control: Any, crop: Crop, own: EmbeddedLatent, **values: Any) -> dict[str, str]:
    controls = EmbeddedControls.model_validate(values)
    return dict(control.obstacles(object.__new__(control), crop, own, controls))


def test_hair_is_changed_where_it_is_seen() -> None:
    assert hair_obstacle(crop(), face()) == ""
    assert hair_obstacle(crop(0.001), face()) == NO_HAIR
    assert hair_obstacle(crop(), face(hat=0.6)) == HATTED
    assert hair_obstacle(replace(crop(), masks=None), face())


def test_bald_says_what_it_lacks() -> None:
    assert met(Bald, crop(), face(), bald=1) == {}
    assert met(Bald, crop(0), face(), bald=1) == {"bald": NO_HAIR}
    assert met(Bald, crop(), face(hat=0.9), bald=0.5) == {"bald": HATTED}
    assert met(Bald, crop(0), face(hat=0.9), bald=0) == {}, "a control at rest lacks nothing"


def test_hair_loss_with_age_says_what_it_lacks() -> None:
    man, woman = face(male=0.9, age=0.35), face(male=0.2, age=0.35)
    assert met(Bald, crop(), man, age=75, age_hair=True) == {}
    assert met(Bald, crop(), woman, age=75, age_hair=False) == {}
    assert "not read as a man" in met(Bald, crop(), woman, age=75, age_hair=True)["age_hair"]
    assert "younger" in met(Bald, crop(), man, age=25, age_hair=True)["age_hair"]
    assert met(Bald, crop(0), man, age=75, age_hair=True) == {"age_hair": NO_HAIR}


def test_grey_says_what_it_lacks() -> None:
    assert met(HairGrey, crop(), face(), hair_grey=1) == {}
    assert met(HairGrey, crop(), face(hat=0.9), hair_grey=1) == {"hair_grey": HATTED}
    assert met(HairGrey, crop(0), face(), hair_grey=1, grey_brows=False) == {"hair_grey": NO_HAIR}
    alone = "brows and beard alone turn grey"
    assert met(HairGrey, crop(0), face(), hair_grey=1) == {"hair_grey": f"{NO_HAIR}: {alone}"}
    assert met(HairGrey, crop(), face(), hair_grey=1, bald=1) == {}
    shaved = met(HairGrey, crop(), face(), hair_grey=1, bald=1, bald_sides=0)
    assert shaved == {"hair_grey": f"Bald takes all hair off: {alone}"}


@pytest.mark.parametrize(("read", "age", "said"), [(0.9, "+20", "oldest"), (0.1, "-20", "youngest")])
def test_a_difference_beyond_the_ends_says_so(read: float, age: str, said: str) -> None:
    assert said in met(Age, crop(), face(age=read), age=age)["age"]
    assert met(Age, crop(), face(age=0.4), age=age) == {}
    assert met(Age, crop(), face(age=read), age=50) == {}


def test_a_smile_needs_nothing() -> None:
    assert met(SmileControl, crop(0), face(hat=1), smile=1) == {}


def test_dye_and_hairmapper_want_hair() -> None:
    none, some = np.zeros(LENGTH, np.float32), np.full(LENGTH, 0.2, np.float32)
    red = HairControls(colour="red")
    assert coarse_hair().obstacles(crop(), none, red) == {"colour": NO_HAIR}
    assert coarse_hair().obstacles(crop(), some, red) == {}
    assert coarse_hair().obstacles(crop(), none, HairControls()) == {}
    mapper = object.__new__(HairMapper)
    assert mapper.obstacles(crop(0), none, HairMapperControls(amount=1)) == {"amount": NO_HAIR}
    assert mapper.obstacles(crop(), none, HairMapperControls(amount=1)) == {}


def test_attributes_stand_where_this_test_puts_them() -> None:
    own = face(hat=0.5, age=0.3)
    assert (own.attributes[HAT], own.attributes[AGE]) == pytest.approx((0.5, 0.3))
