"""The embedded editor: age, baldness, grey hair and smiles, from weights that ship with the project.

A reader network tells what the face looks like now; the modules of `models.embedded.controls` say what becomes of it.
Changes of skin and shape happen in the face's texture square (`models.face.texture_space`) and are drawn together, as
a warp and a residual: the camera's own pixels stay underneath. Only lost hair is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from pydantic import create_model

from engines.base import Engine
from models.arrays import Floats, Image, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor, Inpainting
from models.embedded.attributes import BALD, GREY, HAT, LASTING, READER, read_attributes, read_tables
from models.embedded.control import HAIR_ON_TOP, Control, Pack, Reading, Way, hair_on_top
from models.embedded.controls import find_controls
from models.embedded.hair_reach import side_of_hair
from models.embedded.latent import COMMON_LENGTH, EmbeddedLatent
from models.embedded.monochrome import faded, shown_colour
from models.embedded.pigment import hair_look
from models.embedded.scalp import ScalpModel, skin_tone
from models.embedded.strands import LOOK_LENGTH, measure_light
from models.face.canvas import NECK_NODES, Canvas, covered, without_overlap
from models.face.imaging import LOG_OFFSET, box_of, smoothstep
from models.face.texture_space import SIZE, STEP, FaceSpace, Fit


def controls_model(controls: Sequence[type[Control]]) -> type[Controls]:
    """The model with the fields of all controls, in their order."""
    fields: dict[str, Any] = {name: field for control in controls for name, field in control.fields.items()}
    return create_model("EmbeddedControls", __base__=Controls, **fields)


EmbeddedControls: Any = controls_model(find_controls())
"""Age, baldness, grey hair, a smile: whatever `models.embedded.controls` holds."""


class EmbeddedEditor(Editor[Any]):
    """An editor made of controls.

    Args:
        reader: engine of the attribute encoder.
        space: the texture square.
        canvas: draws on it; its reach covers that of all controls.
        scalp: reads the light on a face.
        controls: in the order in which they steer and draw.
    """

    name = "embedded"
    crop = CropSpec(convention="ffhq", size=320, margin=1.25, edge="repeated")
    wider = (384, 416)
    Controls = EmbeddedControls
    encode_seconds = 0.2
    inpaint_seconds = 0.2
    reads_age = True

    def __init__(
        self, reader: Engine, *, space: FaceSpace, canvas: Canvas, scalp: ScalpModel, controls: Sequence[Control]
    ) -> None:
        self._reader = reader
        self._space = space
        self._canvas = canvas
        self._scalp = scalp
        self._controls = tuple(controls)
        self._ends = np.cumsum([control.length for control in controls])
        starts = COMMON_LENGTH + np.append(0, self._ends)
        of_controls = (
            (int(start) + place, seconds)
            for control, start in zip(controls, starts, strict=False)
            for place, seconds in control.lasting.items()
        )
        self.lasting = MappingProxyType({**LASTING, **dict(of_controls)})
        self._still = np.zeros((SIZE // STEP + NECK_NODES, SIZE // STEP, 2), np.float32)

    def encode(self, crop: Crop, controls: Any) -> Latent:
        """Read the face.

        Args:
            crop: one face, with its mesh.
            controls: of no influence.

        Returns:
            One-dimensional float32 of a fixed length, a packed `EmbeddedLatent`.

        Raises:
            ValueError: the crop has no mesh.
        """
        fit = self._fit(crop)
        attributes = read_attributes(self._reader, crop.image, fit)
        if crop.masks is not None:
            attributes[HAT] *= 1 - smoothstep(np.asarray(hair_on_top(crop)), *HAIR_ON_TOP)
        texture = self._space.unwrap(crop.image, fit)
        hidden = covered(crop, fit)
        reading = Reading(attributes, texture, hidden, skin_tone(texture, hidden), fit, crop)
        hair = None if crop.masks is None else hair_look(crop.image, crop.masks.hair)
        return EmbeddedLatent(
            attributes=attributes,
            light=self._scalp.light(texture, hidden),
            skin=reading.skin,
            lit=measure_light(crop.image, np.exp(reading.skin) - np.float32(LOG_OFFSET)).pack(),
            hair=np.zeros(LOOK_LENGTH, np.float32) if hair is None else hair.pack(),
            details=np.concatenate([control.read(reading) for control in self._controls]),
        ).pack()

    def steer(self, latent: Latent, controls: Any) -> Latent:
        """Move the attributes towards the controls; what is off stays as read."""
        own = EmbeddedLatent.unpack(latent)
        wanted = own.attributes.copy()
        for control in self._controls:
            control.steer(own.attributes, wanted, controls)
        return own.with_attributes(wanted).pack()

    def inpaint(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Inpainting | None:
        """What the first control that inpaints draws; None where none does."""
        way = self._way(crop, latent, steered, controls)
        drawn = (control.inpaint(way) for control in self._controls)
        return next((each for each in drawn if each is not None), None)

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
        """Render the way from `latent` to `steered`.

        Args:
            crop: the face, with its mesh; without masks hair is not touched.
            latent: what `encode` read, smoothed or not.
            steered: what `steer` made of it.
            controls: those that `steer` was given.

        Returns:
            A warp and a residual for age, smile and grey hair, a replacement for lost hair; the mask is 0
            where nothing changes.

        Raises:
            ValueError: the crop has no mesh.
        """
        size = crop.image.shape[0]
        mask = np.zeros((size, size), np.float32)
        way = self._way(crop, latent, steered, controls)
        delta = drawn = flow = image = opacity = None
        parts = list(zip(self._controls, np.split(way.own.details, self._ends[:-1]), strict=True))
        changes = [change for control, of_it in parts if (change := control.skin(way, of_it)) is not None]
        if changes:
            moves = reduce(np.add, [each.moves for each in changes if each.moves is not None] or [self._still])
            moves = without_overlap(moves)
            colour = reduce(np.add, [each.colour for each in changes])
            features = [each.features for each in changes if each.features is not None]
            flow, delta, mask = self._canvas.draw(
                self._space,
                way.fit,
                crop,
                moves=moves,
                change=colour,
                features=reduce(np.add, features) if features else None,
                tone=way.own.skin,
            )
        for control, of_it in parts:
            layer = control.draw(way, of_it)
            if layer is None:
                continue
            mask = np.maximum(mask, layer.mask)
            if layer.delta is not None:
                drawn = layer.delta if drawn is None else cv2.add(drawn, layer.delta)
            if layer.flow is not None:
                flow = layer.flow if flow is None else cv2.add(flow, layer.flow)
            if layer.image is not None and layer.opacity is not None:
                image, opacity = _over(layer.image, layer.opacity, image, opacity)
        if drawn is not None:
            drawn = drawn if flow is None else _carried(drawn, flow)
            delta = drawn if delta is None else cv2.add(delta, drawn, dst=delta)
        if delta is not None:
            delta = faded(delta, shown_colour(crop.image))
        return Edit(mask=mask, image=image, opacity=opacity, delta=delta, flow=flow)

    def obstacles(self, crop: Crop, latent: Latent, controls: Any) -> Mapping[str, str]:
        """Those of all controls."""
        own = EmbeddedLatent.unpack(latent)
        return {name: why for each in self._controls for name, why in each.obstacles(crop, own, controls).items()}

    def wanted_side(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> int:
        """As far as the hair reaches, where it goes or changes its colour."""
        own, wanted = (EmbeddedLatent.unpack(each).attributes for each in (latent, steered))
        if crop.masks is None or (wanted[BALD] == own[BALD] and wanted[GREY] == own[GREY]):
            return 0
        return side_of_hair(crop.masks.hair, len(crop.image), crop.beyond)

    def wants_steady_light(self, controls: Any) -> bool:
        """Whether one of the controls does."""
        return any(control.wants_steady_light(controls) for control in self._controls)

    def wants_backdrop(self, controls: Any) -> bool:
        """Whether one of the controls does."""
        return any(control.wants_backdrop(controls) for control in self._controls)

    def _way(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Way:
        own, wanted = EmbeddedLatent.unpack(latent), EmbeddedLatent.unpack(steered).attributes
        return Way(crop, self._fit(crop), own, wanted, controls)

    def _fit(self, crop: Crop) -> Fit:
        if crop.mesh is None:
            raise ValueError("the embedded editor needs the face mesh")
        return self._space.fit(crop.mesh)


def load(load_engine: Callable[[Path], Engine], folder: Path) -> EmbeddedEditor:
    """Load the editor.

    Args:
        load_engine: makes an engine of an ONNX file, e.g. `engines.select.load`.
        folder: the embedded pack.

    Raises:
        FileNotFoundError: a file of the pack is missing.
        ValueError: its tables do not fit this version.
    """
    tables = read_tables(folder)
    pack = Pack(tables, lambda name: load_engine(folder / name))
    controls = [control.load(pack) for control in find_controls()]
    return EmbeddedEditor(
        pack.network(READER),
        space=FaceSpace.from_tables(tables),
        canvas=Canvas.from_tables(tables, *(moves for control in controls for moves in control.reach())),
        scalp=ScalpModel.from_tables(tables),
        controls=controls,
    )


def _carried(delta: Floats, flow: Floats) -> Floats:
    """A residual of the camera's pixels, for those that the flow puts in their place."""
    box = box_of((flow[..., 0] != 0) | (flow[..., 1] != 0))
    if box is None:
        return delta
    where = flow[box].copy()
    where[..., 0] += np.arange(box[1].start, box[1].stop, dtype=np.float32)
    where[..., 1] += np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None]
    carried = delta.copy()
    carried[box] = cv2.remap(delta, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return carried


def _over(image: Image, opacity: Floats, below: Image | None, shown: Floats | None) -> tuple[Image, Floats]:
    """Lay one replacement over another: its picture and its opacity."""
    if below is None or shown is None:
        return image, opacity
    rest = (1 - opacity) * shown
    both = opacity + rest
    share = (opacity / np.maximum(both, np.float32(1e-6)))[..., None]
    return np.rint(share * image + (1 - share) * below).astype(np.uint8), both
