"""StyleFlow, live: one attribute changes, the others stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.ages import Difference
from models.arrays import Floats, Latent
from models.editor import Controls, Crop, Edit
from models.published.stylegan.wplus import WPlusEditor, read_w_plus

LIGHTS = 9
"""The first nine conditions are spherical-harmonic lighting coefficients; the attributes follow."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One condition of the flow.

    Attributes:
        low, high: range of the authors' slider.
        degree: by how much a change is exaggerated.
        rows: first and last row of W+ that the change may touch.
    """

    low: float
    high: float
    degree: float
    rows: tuple[int, int]


ATTRIBUTES = {
    "gender": Attribute(0, 1, 1.5, (0, 7)),
    "glasses": Attribute(0, 1, 2.5, (2, 3)),
    "yaw": Attribute(-20, 20, 1, (0, 3)),
    "pitch": Attribute(-20, 20, 1, (0, 3)),
    "baldness": Attribute(0, 1, 2, (0, 5)),
    "beard": Attribute(0, 1, 1.7, (5, 9)),
    "age": Attribute(0, 65, 0.93, (4, 7)),
    "expression": Attribute(0, 1, 1, (4, 5)),
}
"""Conditions 9 to 16, in order."""

LIGHT_ROWS = (7, 11)
"""First and last row of W+ that another light may touch."""

LIGHT_SAMPLES = {
    "light_left": 8,
    "light_right": 33,
    "light_below": 641,
    "light_above": 547,
    "light_off": 28,
    "light_front": 34,
}
"""Control -> row of the authors' `light.npy` whose light it is."""

CONDITIONS = LIGHTS + len(ATTRIBUTES)


MOST_SAMPLE = max(LIGHT_SAMPLES.values())


class StyleFlowControls(Controls):
    """Target of each attribute; what is not set stays.

    Lights are shares of six published ones, added to the face's own light.
    """

    gender: float | None = Field(None, ge=0, le=1, title="Female to male")
    glasses: float | None = Field(None, ge=0, le=1, title="Glasses")
    yaw: float | None = Field(None, ge=-20, le=20, title="Yaw", json_schema_extra={"unit": "degrees"})
    pitch: float | None = Field(None, ge=-20, le=20, title="Pitch", json_schema_extra={"unit": "degrees"})
    baldness: float | None = Field(None, ge=0, le=1, title="Baldness")
    beard: float | None = Field(None, ge=0, le=1, title="Beard")
    age: Annotated[float, Field(ge=0, le=65)] | Difference | None = Field(
        None, title="Age", json_schema_extra={"unit": "years", "lifespan": True}
    )
    expression: float | None = Field(None, ge=0, le=1, title="Expression")
    light_left: float = Field(0.0, ge=0, le=1, title="Light from the left")
    light_right: float = Field(0.0, ge=0, le=1, title="Light from the right")
    light_below: float = Field(0.0, ge=0, le=1, title="Light from below")
    light_above: float = Field(0.0, ge=0, le=1, title="Light from above")
    light_off: float = Field(0.0, ge=0, le=1, title="Hardly any light")
    light_front: float = Field(0.0, ge=0, le=1, title="Light from the front")
    detail: Literal["delta", "full"] = Field("delta", title="Detail")

    def neutral(self) -> bool:
        """No slider is off its middle, whatever the detail."""
        return self.model_copy(update={"detail": "delta"}) == type(self)()


ASSUMED = {
    "gender": 0.5,
    "glasses": 0.0,
    "yaw": 0.0,
    "pitch": 0.0,
    "baldness": 0.05,
    "beard": 0.1,
    "age": 30.0,
    "expression": 0.5,
}
"""Attributes taken for a face's own where nothing reads them."""


class StyleFlow(WPlusEditor[StyleFlowControls]):
    """StyleFlow as a live editor. Its latent is the condition, then the W+ code.

    Args:
        encoder: engine of an encoder into W+ of the FFHQ StyleGAN2 (e4e), input "image", output "w_plus".
        generator: engine of that StyleGAN2, input "w_plus" of any batch, output "image".
        flow: engine of `Relabel`, inputs "w", "condition" and "wanted", output "edited".
        lights: (N, 9) the lights of the authors' samples (`light.npy`). Six of them (`LIGHT_SAMPLES`) are what the
            controls ask for. None: no light can be asked for.
        condition: reads the light and the attributes of a face, (17,), the attributes in the order of `ATTRIBUTES`;
            None, or a crop without a mesh, takes the mean of `lights`, the pose of the five points and `ASSUMED`.
        size: side of the crop; by default the generator's, at most 512.

    Raises:
        ValueError: the lights are something else.
    """

    name = "styleflow"
    Controls = StyleFlowControls
    code_start = CONDITIONS

    def __init__(
        self,
        encoder: Engine,
        generator: Engine,
        flow: Engine,
        lights: Floats | None = None,
        condition: Callable[[Crop], Floats] | None = None,
        *,
        size: int | None = None,
    ) -> None:
        super().__init__(encoder, generator, size=size)
        self._flow = flow
        if lights is not None and (lights.ndim != 2 or lights.shape[1] != LIGHTS or len(lights) <= MOST_SAMPLE):
            raise ValueError(f"lights of shape {lights.shape} are not the authors' samples")
        self._light = np.zeros(LIGHTS, np.float32) if lights is None else lights.mean(0, dtype=np.float32)
        self._presets = None if lights is None else lights[list(LIGHT_SAMPLES.values())]
        self._condition = condition

    def encode(self, crop: Crop, controls: StyleFlowControls) -> Latent:
        """(17 + rows * features,) float32."""
        if self._condition is None or crop.mesh is None:
            condition = np.concatenate([self._light, assumed_attributes(crop)])
        else:
            condition = self._condition(crop)
        return np.concatenate([condition, read_w_plus(self.encoder, crop)]).astype(np.float32)

    def steer(self, latent: Latent, controls: StyleFlowControls) -> Latent:
        """Change the light, then one attribute after the other, each in its own rows of W+, as the authors do.

        Raises:
            ValueError: a light is asked for and the published ones are not there.
        """
        features = self._flow.inputs[0].shape[-1]
        condition, w = latent[:CONDITIONS], latent[CONDITIONS:].reshape(-1, features or 1)
        shares = np.array([getattr(controls, name) for name in LIGHT_SAMPLES], np.float32)
        if shares.any():
            if self._presets is None:
                raise ValueError("the published lights (light.npy) are not there")
            condition, w = self._under(condition, w, light_condition(condition, self._presets, shares), LIGHT_ROWS)
        for name, attribute in ATTRIBUTES.items():
            target = getattr(controls, name)
            current = float(condition[LIGHTS + list(ATTRIBUTES).index(name)])
            if target is None or target == current:
                continue
            wanted = target_condition(condition, name, current, target)
            condition, w = self._under(condition, w, wanted, attribute.rows)
        return np.concatenate([condition, w.ravel()]).astype(np.float32)

    def _under(self, condition: Floats, w: Floats, wanted: Floats, rows: tuple[int, int]) -> tuple[Floats, Floats]:
        edited = self._flow.run({"w": w[None], "condition": condition[None], "wanted": wanted[None]})["edited"][0]
        return wanted, keep_rows(edited, w, rows)

    def steer_code(self, code: Floats, controls: StyleFlowControls) -> Floats:
        """The code itself: the flow needs the condition, see `steer`."""
        return code

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: StyleFlowControls) -> Edit:
        """What changes between the drawings of the two codes, or the second drawing itself."""
        return super().render(crop, latent[CONDITIONS:], steered[CONDITIONS:], controls)


def assumed_attributes(crop: Crop) -> Floats:
    """(8,) float32: `ASSUMED`, with yaw and pitch in degrees from the five points.

    A coarse measure: the nose tip's offset from between eyes and mouth, on a head with a nose of the length `NOSE`.
    """
    eyes, mouth = crop.points5[:2].mean(0), crop.points5[3:].mean(0)
    across, down = crop.points5[1] - crop.points5[0], mouth - eyes
    span, height = max(float(np.hypot(*across)), 1.0), max(float(np.hypot(*down)), 1.0)
    nose = crop.points5[2] - (eyes + 0.55 * down)
    values = dict(ASSUMED)
    values["yaw"] = float(np.degrees(np.arcsin(np.clip(nose @ across / span / (NOSE * span), -0.7, 0.7))))
    values["pitch"] = float(-np.degrees(np.arcsin(np.clip(nose @ down / height / (NOSE * span), -0.5, 0.5))))
    return np.array([values[name] for name in ATTRIBUTES], np.float32)


NOSE = 0.6
"""Length of a nose in eye distances."""


def target_condition(condition: Floats, name: str, current: float, target: float) -> Floats:
    """The condition (17,) that asks the flow for a change of one attribute, exaggerated by its degree."""
    wanted = condition.copy()
    index = LIGHTS + list(ATTRIBUTES).index(name)
    wanted[index] = current + ATTRIBUTES[name].degree * (target - current)
    return wanted


def light_condition(condition: Floats, presets: Floats, strengths: Floats) -> Floats:
    """The condition (17,) under mixed lights: `presets` (K, 9) reached to the shares `strengths` (K,) in 0..1."""
    wanted = condition.copy()
    own = condition[:LIGHTS]
    wanted[:LIGHTS] = own + strengths @ (presets - own)
    return wanted


def keep_rows(edited: Floats, current: Floats, rows: tuple[int, int]) -> Floats:
    """W+ (18, features) whose rows outside `rows` (inclusive) are the current ones: the edit stays in its layers."""
    index = np.arange(len(current))[:, None]
    return np.where((index >= rows[0]) & (index <= rows[1]), edited, current)
