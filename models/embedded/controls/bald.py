"""Hair loss: hair recedes by the head's polar map, and a network draws what lay under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import cv2
import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Floats
from models.editor import Crop, Inpainting, Masks
from models.embedded.attributes import AGE, BALD, MALE
from models.embedded.bare_head import own_hair
from models.embedded.beside_hair import replaced_beside
from models.embedded.body_behind_hair import BODY_NETWORK, BodyBehindHair
from models.embedded.carried_head import bent_to_skull
from models.embedded.control import Control, Layer, Pack, Reading, Way, bareness, hair_obstacle, towards_one
from models.embedded.controls.age import target_age
from models.embedded.drawn_edge import drawn_edge
from models.embedded.eye_axes import without_eyes
from models.embedded.hair_loss import hanging_share
from models.embedded.head_noise import hairs, noise_on
from models.embedded.latent import EmbeddedLatent
from models.embedded.lent_ears import Ear
from models.embedded.matte import MATTE, HairMatte
from models.embedded.removal import BESIDE, REMOVAL, continued, inpaint_without_hair, keeps_ring, lost_hair
from models.embedded.scalp import (
    HeadMap,
    ScalpModel,
    around_skin,
    head_map,
    outline_features,
    with_back_of_head,
    within_hair,
)
from models.embedded.single_strands import single_strands
from models.face.imaging import enlarge, smoothstep
from models.face.texture_space import Fit

LOCKS, SINGLE = np.float32(0.8), np.float32(0.25)
"""Shares of the noise along strands that are seen, and of that of single hairs."""
ROUGH = 2
"""How much smaller the picture is in which every frame's hair is read: it is hidden with a margin."""


@dataclass(frozen=True, slots=True)
class HairLoss:
    """How men lose hair with age.

    Attributes:
        ages, lost: years, and the `bald` that is due there; its rise from the age read to the one asked for is lost. By
            the reader of baldness men made 75 lose as much as parts men around 45 from those of 72 to 80.
        least: so much is not lost: a few years change nothing.
        men: probabilities of a man over which that begins.
    """

    ages: tuple[float, ...] = (25.0, 40.0, 60.0, 75.0, 90.0)
    lost: tuple[float, ...] = (0.0, 0.04, 0.42, 0.72, 0.8)
    least: float = 0.04
    men: tuple[float, float] = (0.6, 0.9)


LOSS = HairLoss()


class Bald(Control):
    """Replaces lost hair; hats stay. Without masks hair is not touched.

    The network draws a shaved head; `bald_sides` keeps a man's short hair itself above and behind the ears. Women are
    shaved, with stubble.
    """

    fields: ClassVar = {
        "bald": (float, Field(0.0, ge=0, le=1, title="Bald", json_schema_extra={"step": 0.01})),
        "bald_sides": (
            float,
            Field(1.0, ge=0, le=1, title="Hair kept at the sides", json_schema_extra={"step": 0.01, "needs": "bald"}),
        ),
    }

    length = 1
    """Share of the places beside the face where hair hangs down: where some does, no ring may come and go."""
    lasting: ClassVar = {0: 4.0}

    def __init__(self, removal: Engine, bodies: BodyBehindHair, ear: Ear, matte: HairMatte, scalp: ScalpModel) -> None:
        self._removal = removal
        self._bodies = bodies
        self._ear = ear
        self._matte = matte
        self._scalp = scalp

    @classmethod
    def load(cls, pack: Pack) -> Self:
        """Load the networks and the statistics of scalps."""
        return cls(
            pack.network(REMOVAL),
            BodyBehindHair(pack.network(BODY_NETWORK)),
            Ear.from_tables(pack.tables),
            HairMatte(pack.network(MATTE)),
            ScalpModel.from_tables(pack.tables),
        )

    def read(self, reading: Reading) -> Floats:
        """How much hair hangs down."""
        crop = reading.crop
        if crop.masks is None:
            return np.zeros(1, np.float32)
        # masks would change the outline of the skull, which hardly matters here
        head = head_map(reading.fit, self._scalp.radii(outline_features(reading.fit)), len(crop.image))
        hair = cv2.resize(
            continued(crop.masks.hair, crop.beyond), head.distance.shape[::-1], interpolation=cv2.INTER_AREA
        )
        return np.array([hanging_share(head, hair * own_hair(hair, head))], np.float32)

    def steer(self, now: Floats, wanted: Floats, controls: Any) -> None:
        """Move baldness by a share of its way to 1, by the control or by the age asked for, whichever is more."""
        lost = controls.bald
        if controls.age is not None and controls.age_hair:
            read = float(now[AGE]) * 100
            before, due = np.interp([read, target_age(controls.age, read)], LOSS.ages, LOSS.lost)
            lost = max(lost, float(smoothstep(now[MALE], *LOSS.men)) * max(float(due - before) - LOSS.least, 0.0))
        wanted[BALD] = towards_one(now[BALD], lost * bareness(now))

    def wants_backdrop(self, controls: Any) -> bool:
        """Where hair goes, the backdrop comes."""
        return bool(controls.bald > 0 or (controls.age is not None and controls.age_hair))

    def obstacles(self, crop: Crop, own: EmbeddedLatent, controls: Any) -> Mapping[str, str]:
        """A hat, no hair to lose, or a face that loses none with age."""
        why = hair_obstacle(crop, own)
        found = {"bald": why} if why and controls.bald > 0 else {}
        if controls.age is not None and controls.age_hair:
            read = float(own.attributes[AGE]) * 100
            if target_age(controls.age, read) <= read:
                why = why or f"this face is read as {read:.0f}: no hair is lost on the way to a younger age"
            elif own.attributes[MALE] <= LOSS.men[0]:
                why = why or "this face is not read as a man's"
            if why:
                found["age_hair"] = why
        return found

    def inpaint(self, way: Way) -> Inpainting | None:
        """The head without any hair, however much of it is lost."""
        crop = way.crop
        if crop.masks is None or way.rise(BALD) == 0:
            return None
        return inpaint_without_hair(
            self._removal,
            self._bodies,
            self._ear,
            self._scalp,
            crop.image,
            hair=self._alpha(crop, crop.masks),
            person=crop.masks.person,
            head=self._head(way.fit, way.crop),
            light=way.own.light,
            skin=way.own.skin,
            male=float(way.own.attributes[MALE]),
            backdrop=crop.backdrop,
            beyond=crop.beyond,
        )

    def draw(self, way: Way, own: Floats) -> Layer | None:
        """Skin and background in place of the hair that is lost."""
        crop, amount = way.crop, way.rise(BALD)
        if crop.masks is None or amount == 0:
            return None
        drawn = crop.inpainting or self.inpaint(way)
        if drawn is None:
            return None
        alpha = self._alpha(crop, crop.masks, ROUGH)
        head = self._head(way.fit, way.crop)
        if crop.inpainting is not None:
            drawn = bent_to_skull(drawn, head, BESIDE)
        sides = way.controls.bald_sides * keeps_ring(float(way.own.attributes[MALE]))
        some_left = amount < 1 or sides > 0
        opacity, flow = lost_hair(
            hair=alpha,
            head=head,
            amount=amount,
            sides=sides,
            strands=self._strands(crop, alpha, head) if some_left else None,
            face=crop.masks.face,
            edge=drawn_edge(head, drawn.image, drawn.behind) if some_left else None,
            hanging=float(own[0]),
            beyond=crop.beyond,
        )
        opacity = replaced_beside(
            crop.image,
            drawn.image,
            opacity=opacity,
            hair=alpha,
            person=crop.masks.person,
            head=head,
            beyond=crop.beyond,
        )
        # a strand over an eye is better than a drawn eye, and mostly a shadow
        opacity = without_eyes(opacity, crop)
        changed = opacity > 0 if flow is None else (opacity > 0) | (flow[..., 0] != 0) | (flow[..., 1] != 0)
        return Layer(changed.astype(np.float32), image=drawn.image, opacity=opacity, flow=flow)

    def _strands(self, crop: Crop, alpha: Floats, head: HeadMap) -> Floats:
        """(S, S) float32, noise from strand to strand, by what is seen and by single hairs."""
        size = len(crop.image)
        part = size // ROUGH
        small, weight = (cv2.resize(each, (part, part), interpolation=cv2.INTER_AREA) for each in (crop.image, alpha))
        light = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        everywhere = slice(0, part), slice(0, part)
        locks = enlarge(single_strands(crop, everywhere, light, weight, ROUGH), (size, size))
        return LOCKS * locks + SINGLE * noise_on(head, hairs(), (slice(0, size), slice(0, size)))

    def _alpha(self, crop: Crop, masks: Masks, shrunk: int = 1) -> Floats:
        """(S, S) float32 in 0..1, alpha of the hair, read in the crop or in one that is so many times smaller."""
        size = len(crop.image)
        small = cv2.resize(crop.image, (size // shrunk, size // shrunk), interpolation=cv2.INTER_AREA)
        return enlarge(continued(self._matte.read(small, masks.hair), crop.beyond), (size, size))

    def _head(self, fit: Fit, crop: Crop) -> HeadMap:
        radii, size, masks = self._scalp.radii(outline_features(fit)), len(crop.image), crop.masks
        if masks is not None:
            hair = continued(masks.hair, crop.beyond)
            solid = np.maximum(continued(masks.person, crop.beyond), hair)
            radii = with_back_of_head(radii, fit, hair, size)
            radii = within_hair(around_skin(radii, fit, masks.face, size), fit, solid, size)
        return head_map(fit, radii, size)
