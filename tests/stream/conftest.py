"""Stand-ins for the networks, so that the stream's own logic is tested alone and exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import Field

from models.arrays import Floats, Image, Latent
from models.crops import CropSpec, Quad
from models.editor import AnyEditor, Controls, Crop, Edit, Editor
from models.face.detector import Detection
from stream.look import Layer, Look
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.tracking import Tracker

MESH_SIZE = 478


def unit_mesh() -> Floats:
    """A mesh of a face of size 1 around (0, 0): random points with the ones that alignment reads in their places."""
    mesh = np.random.default_rng(0).uniform(-0.45, 0.45, (MESH_SIZE, 2)).astype(np.float32)
    mesh[[33, 160, 158, 133, 153, 144]] = (-0.2, -0.15)
    mesh[[362, 385, 387, 263, 373, 380]] = (0.2, -0.15)
    mesh[1], mesh[61], mesh[291] = (0.0, 0.05), (-0.15, 0.25), (0.15, 0.25)
    mesh[10], mesh[152] = (0.0, -0.5), (0.0, 0.5)
    mesh[234], mesh[454] = (-0.5, 0.0), (0.5, 0.0)
    return mesh


@dataclass
class Person:
    """A face of the stand-in world: a disc of one colour."""

    centre: tuple[float, float]
    size: float = 60.0
    colour: tuple[int, int, int] = (40, 90, 200)

    @property
    def mesh(self) -> Floats:
        return unit_mesh() * np.float32(self.size) + np.array(self.centre, np.float32)

    @property
    def box(self) -> Floats:
        return np.concatenate([self.mesh.min(0), self.mesh.max(0)])


@dataclass
class World:
    """People in front of a camera; nearer ones come later in the list. Stands in for detector and landmark network."""

    size: tuple[int, int] = (240, 320)
    people: list[Person] = field(default_factory=list)
    background: int = 120
    detections: int = 0

    def picture(self) -> Image:
        image = np.full((*self.size, 3), self.background, np.uint8)
        image[:, ::7] += 20
        for person in self.people:
            centre = (round(person.centre[0]), round(person.centre[1]))
            cv2.circle(image, centre, round(person.size / 2), person.colour, -1)
            cv2.circle(
                image, (centre[0], centre[1] - round(person.size / 4)), round(person.size / 8), (255, 255, 255), -1
            )
        return image

    def visible(self) -> list[Person]:
        """Those whose centre is in the picture and not behind a nearer one."""
        height, width = self.size
        seen: list[Person] = []
        for person in reversed(self.people):
            hidden = any(np.hypot(*np.subtract(person.centre, other.centre)) < other.size / 2 for other in seen)
            if 0 <= person.centre[0] < width and 0 <= person.centre[1] < height and not hidden:
                seen.append(person)
        return seen

    def detect(self, image: Image) -> list[Detection]:
        self.detections += 1
        return [Detection(person.box, person.mesh[[33, 263, 1, 61, 291]], 0.9) for person in self.visible()]

    def landmarks(self, image: Image, region: Quad) -> tuple[Floats, float]:
        near = [p for p in self.visible() if np.hypot(*(region.centre - np.array(p.centre))) < region.side / 3]
        if not near:
            return np.zeros((MESH_SIZE, 2), np.float32), 0.0
        best = min(near, key=lambda p: float(np.hypot(*(region.centre - np.array(p.centre)))))
        return best.mesh, 0.99


class TintControls(Controls):
    """One slider."""

    amount: float = Field(0.0, ge=0, le=1)


class Tint(Editor[TintControls]):
    """Adds red on a disc in the middle of the crop."""

    name = "tint"
    crop = CropSpec("ffhq", 64)
    Controls = TintControls

    def encode(self, crop: Crop, controls: TintControls) -> Latent:
        return np.array([crop.image.mean() / 255], np.float32)

    def steer(self, latent: Latent, controls: TintControls) -> Latent:
        return latent + np.float32(controls.amount)

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: TintControls) -> Edit:
        size = self.crop.size
        y, x = np.mgrid[:size, :size]
        mask = (np.hypot(x - size / 2, y - size / 2) < size / 3).astype(np.float32)
        delta = np.zeros((size, size, 3), np.float32)
        delta[..., 0] = 80 * float(steered[0] - latent[0])
        return Edit(mask=mask, delta=delta, flow=np.zeros((size, size, 2), np.float32))


def look_of(settings: Settings, editor: AnyEditor | None = None) -> Look:
    """What `Runtime.look` makes of these settings, with an editor of the tests."""
    controls = TintControls.model_validate(settings.controls)
    return Look(settings, (Layer(settings.editor, editor or Tint(), controls),))


@pytest.fixture
def world() -> World:
    return World(people=[Person((160, 120))])


@pytest.fixture
def make_pipeline() -> Callable[[World], Pipeline]:
    def make(world: World) -> Pipeline:
        return Pipeline(Tracker(world.detect, world.landmarks))

    return make


@pytest.fixture
def tint() -> Settings:
    return Settings(editor="tint", controls={"amount": 1.0}, smoothing=0.0)


def noise(seed: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
