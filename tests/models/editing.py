"""What the tests of all editors do."""

from __future__ import annotations

from typing import Any

from models.arrays import Floats, Image, Latent
from models.editor import AnyEditor, Controls, Crop, Edit
from models.entry import LoadEngine


def rendered(editor: AnyEditor, crop: Crop, latent: Latent, controls: Controls) -> Edit:
    """The edit of a crop that was read as `latent`."""
    return editor.render(crop, latent, editor.steer(latent, controls), controls)


def delta_of(edit: Edit) -> Floats:
    """The residual of an edit that has one."""
    assert edit.delta is not None
    return edit.delta


def flow_of(edit: Edit) -> Floats:
    """The warp of an edit that has one."""
    assert edit.flow is not None
    return edit.flow


def opacity_of(edit: Edit) -> Floats:
    """The opacity of an edit that has one."""
    assert edit.opacity is not None
    return edit.opacity


def image_of(edit: Edit) -> Image:
    """The picture of an edit that has one."""
    assert edit.image is not None
    return edit.image


def controls_of(editor: AnyEditor, **values: Any) -> Controls:
    """Controls of an editor whose fields are made at run time."""
    controls: Controls = editor.Controls.model_validate(values)
    return controls


def no_editor(load_engine: LoadEngine) -> AnyEditor:
    """Stand in for `Entry.load` in rows whose editor is never loaded."""
    raise NotImplementedError
