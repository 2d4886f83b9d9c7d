"""Training pictures whose hair has an exact alpha: portraits with mattes before other backdrops, hair over other heads.

A matte splits a portrait into hair, alpha times its own colours, and the rest. Both are put together anew: the hair
brighter or darker, another backdrop behind it, or on another head. Portraits without a matte (hats, children, heads
that the readers disagree about) come with their labels, judged only where these are sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from models.arrays import Floats, Rows
from models.face.imaging import smoothstep
from models.training.data import SIZE, FaceSet
from models.training.hair.mattes import Mattes
from models.training.segmenter import occluders
from models.training.matte.network import SIDE
from models.training.segmenter.train import CHANNELS, Labels, Sample, background, cover, eye_band, rarity, webcam


@dataclass(frozen=True, slots=True)
class Recipe:
    """How training pictures are drawn.

    Attributes:
        own: share of portraits with their own hair and its matte.
        lent: share of portraits under somebody else's hair; the rest comes with labels.
        moved_room: share of portraits put before another backdrop.
        covered: share of pictures with something in front of the face.
        least, most: label of hair under which there is none, and over which it is hair alone.
        shift: standard deviation of the shift of lent hair, pixels.
        scale: standard deviation of its relative size.
        gain: standard deviation of the log brightness of hair.
        tint: the same of each colour.
    """

    own: float = 0.5
    lent: float = 0.22
    moved_room: float = 0.5
    covered: float = 0.4
    least: float = 0.06
    most: float = 0.9
    shift: float = 6.0
    scale: float = 0.06
    gain: float = 0.35
    tint: float = 0.08


RECIPE = Recipe()


class Layers(NamedTuple):
    """A portrait taken apart, at 256 px.

    Attributes:
        image: (256, 256, 3) float32 RGB, 0..255.
        hair: (256, 256) float32 in 0..1.
        known: (256, 256) float32 in 0..1, where `hair` is right.
        coloured: (256, 256, 3) float32 RGB, what the hair adds to the picture: alpha times its own colours.
    """

    image: Floats
    hair: Floats
    known: Floats
    coloured: Floats


class MatteComposer:
    """Draws training pictures at `SIDE` px.

    Args:
        faces: the portraits.
        labels: of all portraits.
        mattes: of some.
        rows: those to draw from.
    """

    def __init__(self, faces: FaceSet, labels: Labels, mattes: Mattes, rows: Rows) -> None:
        # a hat between two unsure readers comes out as hair
        mattes = mattes.only(mattes.rows[faces.labels["hat"][mattes.rows] != 1])
        self.faces, self.labels, self.mattes, self.rows = faces, labels, mattes, rows
        self.glasses = np.nan_to_num(faces.labels["glasses"]) > 0
        self._of_row = {int(row): index for index, row in enumerate(mattes.rows)}
        times = rarity({name: values[rows] for name, values in faces.labels.items()})
        self._all = np.repeat(rows, times)
        self._matted = self._all[np.isin(self._all, mattes.rows)]
        baldness = np.nan_to_num(faces.labels["baldness"], nan=-1.0)
        self._bald = rows[baldness[rows] >= 0.75]
        low = np.array([faces.hair[int(row)][75:110].mean() / 255 for row in mattes.rows])
        self._short = np.intersect1d(mattes.rows[low < 0.012], rows)
        self._donors = np.intersect1d(mattes.rows, rows)

    def draw(self, rng: np.random.Generator) -> Sample:
        """Draw one sample: image and, for each class, target and weight, all at `SIDE` px."""
        which = rng.random()
        lent = RECIPE.own < which <= RECIPE.own + RECIPE.lent
        if lent:
            row = int(rng.choice(self._bald if rng.random() < 0.5 and len(self._bald) else self._short))
        elif which <= RECIPE.own:
            row = int(rng.choice(self._matted))
        else:
            row = int(rng.choice(self._all))
        layers = self._layers(row)
        label = cv2.resize(self.labels.values[row], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        face, person = np.moveaxis(label[..., 1:].astype(np.float32) / 255, -1, 0)
        layers = _tinted(rng, layers)
        if rng.random() < RECIPE.moved_room:
            layers = self._before_another_room(rng, layers, person)
        if lent:
            layers, face, person = self._under_lent_hair(rng, layers, face, person)
        image, planes, known, mesh = self._moved(rng, row, layers, face, person)
        target = np.dstack([planes[..., 0], planes[..., 1], np.zeros_like(known), planes[..., 2]])
        weight = np.repeat(known[..., None], len(CHANNELS), axis=2)
        weight[..., 0] *= planes[..., 3]
        weight[..., 2] = 1
        if self.glasses[row]:
            weight[..., 2] -= eye_band(mesh, SIDE)
        if rng.random() < RECIPE.covered:
            fabrics = [self.faces.images[self.rows[rng.integers(len(self.rows))]] for _ in range(2)]
            kind = occluders.KINDS[rng.choice(len(occluders.KINDS), p=occluders.FREQUENCY)]
            draw = occluders.draw_fine if kind in occluders.THIN else occluders.draw
            cutout = draw(rng, image, mesh, fabrics, kind)
            image, alpha = occluders.paste(rng, image, cutout)
            cover(target, weight, alpha, cutout.kind)
        return Sample(webcam(rng, image), target, weight)

    def _layers(self, row: int) -> Layers:
        image = self.faces.image(row).astype(np.float32)
        index = self._of_row.get(row)
        if index is None:
            label = self.faces.mask("hair", row)
            sure = (label < RECIPE.least) | (label > RECIPE.most)
            known = cv2.erode(sure.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
            return Layers(image, np.round(label), known, image * label[..., None])
        alpha = self.mattes.alpha[index].astype(np.float32) / 255
        colours = self.mattes.foreground[index].astype(np.float32)
        return Layers(image, alpha, np.ones_like(alpha), np.minimum(alpha[..., None] * colours, image))

    def _before_another_room(self, rng: np.random.Generator, layers: Layers, person: Floats) -> Layers:
        """The backdrop changed; what is seen through the hair of the backdrop changes with it."""
        behind = self._room(rng, layers)
        # whether skin and cloth or the backdrop lie behind soft hair is known beside it
        seen = smoothstep(1 - layers.hair, 0.7, 1.0)
        body = np.clip(person * 1.6 - 0.3, 0, 1)
        sigma = 5.0
        nearby = cv2.GaussianBlur(body * seen, (0, 0), sigma) / (cv2.GaussianBlur(seen, (0, 0), sigma) + 1e-3)
        solid = np.clip(np.where(seen > 0.5, body, nearby), 0, 1)[..., None]
        rest = layers.image - layers.coloured
        through = (1 - layers.hair)[..., None] * behind
        image = layers.coloured + solid * rest + (1 - solid) * through
        return layers._replace(image=np.asarray(image, np.float32))

    def _room(self, rng: np.random.Generator, layers: Layers) -> Floats:
        kind = rng.random()
        if kind < 0.3:
            tone = np.asarray(rng.uniform(5, 250) + rng.normal(0, 12, 3), np.float32)
            slope = rng.normal(0, 40, (2, 3)).astype(np.float32)
            axis = np.linspace(-0.5, 0.5, SIZE, dtype=np.float32)
            behind = tone + axis[:, None, None] * slope[0] + axis[None, :, None] * slope[1]
        else:
            behind = background(rng, [self.faces.images[rng.choice(self.rows)] for _ in range(3)], SIZE)
        if rng.random() < 0.25 and layers.hair.sum() > 50:
            tone = np.asarray(cv2.mean(layers.image, (layers.hair > 0.7).astype(np.uint8))[:3], np.float32)
            share = np.float32(rng.uniform(0.5, 0.9))
            behind = behind * (1 - share) + tone * np.float32(np.exp(rng.normal(0, 0.35))) * share
        return np.asarray(np.clip(behind, 0, 255), np.float32)

    def _under_lent_hair(
        self, rng: np.random.Generator, layers: Layers, face: Floats, person: Floats
    ) -> tuple[Layers, Floats, Floats]:
        index = self._of_row[int(rng.choice(self._donors))]
        alpha = self.mattes.alpha[index].astype(np.float32) / 255
        colours = self.mattes.foreground[index].astype(np.float32)
        scale = 1 + rng.normal(0, RECIPE.scale)
        shift = rng.normal(0, RECIPE.shift, 2) + (1 - scale) * SIZE / 2
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
        stack = np.dstack([colours * alpha[..., None], alpha])
        if rng.random() < 0.5:
            stack = np.ascontiguousarray(stack[:, ::-1])
        stack = cv2.warpAffine(stack, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
        alpha = np.clip(stack[..., 3], 0, 1)
        gain = np.float32(np.exp(rng.normal(0, RECIPE.gain))) * np.exp(rng.normal(0, RECIPE.tint, 3)).astype(np.float32)
        through = (1 - alpha)[..., None]
        image = np.clip(layers.image * through + np.minimum(stack[..., :3] * gain, 255 * alpha[..., None]), 0, 255)
        hair = 1 - (1 - alpha) * (1 - layers.hair)
        known = np.maximum(layers.known, alpha > 0.97).astype(np.float32)
        lent = Layers(image, hair, known, image)
        return lent, face * (1 - alpha), np.maximum(person, alpha)

    def _moved(
        self, rng: np.random.Generator, row: int, layers: Layers, face: Floats, person: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        margin = float(np.exp(rng.uniform(np.log(0.85), np.log(1.65))))
        angle = np.deg2rad(np.clip(rng.normal(0, 9), -25, 25))
        scale = SIDE / (SIZE * margin)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shear = np.array([[1.0, rng.normal(0, 0.05)], [rng.normal(0, 0.03), 1.0]])
        linear = scale * turn @ shear @ np.diag([rng.uniform(0.9, 1.08) * rng.choice((-1, 1)), rng.uniform(0.95, 1.05)])
        offset = SIDE / 2 + rng.normal(0, 0.07, 2) * SIDE - linear @ np.full(2, SIZE / 2)
        matrix = np.column_stack([linear, offset])
        border = (cv2.BORDER_REPLICATE, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_WRAP)[rng.integers(4)]
        image, planes = layers.image, np.dstack([layers.hair, face, person, layers.known])
        if scale < 0.9:
            sigma = 0.5 * float(np.sqrt(1 / scale**2 - 1))
            image, planes = cv2.GaussianBlur(image, (0, 0), sigma), cv2.GaussianBlur(planes, (0, 0), sigma)
        image = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=border)
        planes = cv2.warpAffine(planes, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = cv2.warpAffine(np.ones((SIZE, SIZE), np.float32), matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        planes[..., 3] = planes[..., 3] > 0.99
        mesh = (self.faces.mesh[row] @ linear.T + offset).astype(np.float32)
        return image.astype(np.float32), np.clip(planes, 0, 1), np.floor(inside + 0.01), mesh


def _tinted(rng: np.random.Generator, layers: Layers) -> Layers:
    """The hair brighter or darker; where it is soft, what is seen through it stays."""
    gain = np.float32(np.exp(rng.normal(0, RECIPE.gain))) * np.exp(rng.normal(0, RECIPE.tint, 3)).astype(np.float32)
    if rng.random() < 0.5:
        return layers
    coloured = np.minimum(layers.coloured * gain, 255 * layers.hair[..., None])
    return layers._replace(image=layers.image - layers.coloured + coloured, coloured=coloured)
