from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.base import Engine, TensorSpec
from engines.select import load as load_engine
from models.arrays import Floats, Image
from models.editor import Crop, Edit, Editor, Inpainting, Masks
from models.embedded import EMBEDDED, eyes_and_lips
from models.embedded.ageing import COMPRESSED, compress_change, decompress_change, strength_of, youth_of
from models.embedded.attributes import AGE, BALD, GREY, HAT, MALE, READER, SMILE, TABLES
from models.embedded.beard import LIPS
from models.embedded.beard_alpha import BEARD_NETWORK
from models.embedded.body_behind_hair import BODY_NETWORK
from models.embedded.controls import bald, hair_grey
from models.embedded.controls.age import target_age
from models.embedded.controls.stubble import StubbleControl
from models.embedded.creases import MOST_CREASED
from models.embedded.editor import EmbeddedControls, EmbeddedEditor, load
from models.embedded.folds import FOLDS
from models.embedded.hair_look import HAIR_LOOK, HairLook
from models.embedded.latent import COMMON_LENGTH, EmbeddedLatent
from models.embedded.matte import MATTE
from models.embedded.neck import Neck
from models.embedded.removal import CHANNELS, REMOVAL, lost_hair
from models.embedded.scalp import HeadMap
from models.embedded.strands import Lit, Look
from models.face.imaging import LUMINANCE
from models.face.texture_space import STEP, FaceSpace, Fit
from models.training.apply import apply_edit
from tests.models.beards import ToldBeard
from tests.models.bodies import ToldBody
from tests.models.editing import delta_of, flow_of, image_of, opacity_of, rendered
from tests.models.hair_looks import LevelledLook
from tests.models.matting import CoarseMatte

SIZE = 320


class Reader(Engine):
    """A reader that says: 30 years, half bald, no grey."""

    backend, precision = "stub", "f32"
    inputs = (TensorSpec("head", (None, 3, 112, 112), np.dtype(np.float32)),)
    outputs = (TensorSpec("attributes", (None, 8), np.dtype(np.float32)),)

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"attributes": np.array([[0.3, 4, 0.5, 0.0, -4, -4, 0, 0.6]], np.float32)}


class Remover(Engine):
    """Draws grey where hair was."""

    backend, precision = "stub", "f32"
    inputs = (TensorSpec("given", (None, CHANNELS, SIZE, SIZE), np.dtype(np.float32)),)
    outputs = (TensorSpec("drawn", (None, 3, SIZE, SIZE), np.dtype(np.float32)),)

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"drawn": np.zeros((1, 3, SIZE, SIZE), np.float32)}


def stub(path: Path) -> Engine:
    engines: dict[str, Callable[[], Engine]] = {
        READER: Reader,
        REMOVAL: Remover,
        BODY_NETWORK: ToldBody,
        BEARD_NETWORK: ToldBeard,
        MATTE: CoarseMatte,
        HAIR_LOOK: LevelledLook,
    }
    return engines[path.name]()


@pytest.fixture(scope="module")
def editor() -> EmbeddedEditor:
    return load(stub, EMBEDDED)


@pytest.fixture
def crop() -> Crop:
    mesh = np.zeros((478, 2), np.float32)
    mesh[:468] = FaceSpace.load(EMBEDDED / TABLES).mean + np.array([64, 88])
    image = np.random.default_rng(0).integers(90, 110, (SIZE, SIZE, 3)).astype(np.uint8)
    hair = np.zeros((128, 128), np.float32)
    hair[8:40, 30:98] = 1
    person = np.zeros_like(hair)
    person[8:, 24:104] = 1
    masks = Masks(hair, person, np.zeros_like(hair), person)
    return Crop(image, mesh[[33, 263, 4, 61, 291]], mesh, masks)


def edit(editor: EmbeddedEditor, crop: Crop, **controls: Any) -> Edit:
    latent = editor.encode(crop, editor.Controls())
    return rendered(editor, crop, latent, EmbeddedControls(**controls))


def test_it_is_an_editor(editor: EmbeddedEditor) -> None:
    assert isinstance(editor, Editor)
    assert EmbeddedControls().neutral()


def test_the_latent_holds_both_ways_of_the_skin(editor: EmbeddedEditor, crop: Crop) -> None:
    latent = editor.encode(crop, editor.Controls())
    others = eyes_and_lips.LENGTH + StubbleControl.length + bald.Bald.length
    assert latent.shape == (COMMON_LENGTH + 3 * COMPRESSED + 1 + others,)
    assert latent.dtype == np.float32
    parts = EmbeddedLatent.unpack(latent)
    older, younger = (decompress_change(half) for half in np.split(parts.details[: 2 * COMPRESSED], 2))
    assert older.shape == younger.shape == (192, 192, 3)
    assert -0.1 < np.median(older) < 0.1
    assert 0.03 < older.std() < 0.5, "creases"
    assert -0.1 < np.median(younger) < 0.1


def test_a_change_of_skin_is_remembered_with_fine_light_and_broad_colour() -> None:
    light = np.random.default_rng(0).normal(0, 0.3, (192, 192, 1)).astype(np.float32)
    colour = np.linspace(-0.1, 0.1, 192, dtype=np.float32)[:, None, None] * np.array([1, 0, -3 / 1.1], np.float32)
    change = light + colour
    assert compress_change(change).shape == (COMPRESSED,)
    np.testing.assert_allclose(decompress_change(compress_change(change)), change, atol=5e-3)


def test_rendering_reads_nothing_anew(crop: Crop) -> None:
    class Counted(Reader):
        calls = 0

        def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            self.calls += 1
            return super()._run(inputs)

    reader = Counted()
    editor = load(lambda path: reader if path.name == READER else stub(path), EMBEDDED)
    latent = editor.encode(crop, editor.Controls())
    calls = reader.calls
    assert calls
    rendered(editor, crop, latent, EmbeddedControls(age=75, bald=1))
    assert reader.calls == calls


def test_removed_hair_is_drawn_by_what_was_inpainted(editor: EmbeddedEditor, crop: Crop) -> None:
    """A video inpaints a few times a second; every other frame renders without the removal network."""

    class Refusing(Remover):
        def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            raise AssertionError("the network ran")

    latent, controls = editor.encode(crop, editor.Controls()), EmbeddedControls(bald=1)
    steered = editor.steer(latent, controls)
    drawn = editor.inpaint(crop, latent, steered, controls)
    assert drawn is not None
    without = load(lambda path: Refusing() if path.name == REMOVAL else stub(path), EMBEDDED)
    done = without.render(replace(crop, inpainting=drawn), latent, steered, controls)
    np.testing.assert_array_equal(image_of(done), drawn.image)
    alone = editor.render(crop, latent, steered, controls)
    np.testing.assert_array_equal(image_of(alone), drawn.image)
    np.testing.assert_array_equal(opacity_of(alone), opacity_of(done))
    # the scene goes on behind the head
    assert np.abs(drawn.behind[100:140, 140:180].astype(int) - np.median(crop.image)).max() < 30
    assert drawn.head[150, 160] == 1
    assert drawn.head[4, 4] == 0


def test_nothing_is_inpainted_where_no_hair_goes(editor: EmbeddedEditor, crop: Crop) -> None:
    latent = editor.encode(crop, editor.Controls())
    for controls, shown in ((EmbeddedControls(age=75), crop), (EmbeddedControls(bald=1), replace(crop, masks=None))):
        assert editor.inpaint(shown, latent, editor.steer(latent, controls), controls) is None


def test_hair_that_is_gone_is_not_greyed(editor: EmbeddedEditor, crop: Crop) -> None:
    assert edit(editor, crop, hair_grey=1, grey_brows=False).delta is not None
    assert edit(editor, crop, hair_grey=1, grey_brows=False, bald=1, bald_sides=0.5).delta is not None
    assert edit(editor, crop, hair_grey=1, grey_brows=False, bald=1, bald_sides=0).delta is None
    assert editor.wants_steady_light(EmbeddedControls(hair_grey=1, bald=0.9, bald_sides=0))
    assert editor.wants_steady_light(EmbeddedControls(hair_grey=1, bald=1))
    assert editor.wants_steady_light(EmbeddedControls(hair_grey=1, bald=1, bald_sides=0))
    assert not editor.wants_steady_light(EmbeddedControls(hair_grey=1, bald=1, bald_sides=0, grey_brows=False))


def test_bald_tells_all_that_it_knows_of_the_hair(
    editor: EmbeddedEditor, crop: Crop, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = dict[str, Any]()

    def lose(**known: Any) -> tuple[Floats, Floats | None]:
        told.update(known)
        return lost_hair(**known)

    compared = list[Image]()

    def find(head: HeadMap, drawn: Image, behind: Image) -> Floats:
        compared.extend([drawn, behind])
        return np.full(head.distance.shape, 2, np.float32)

    monkeypatch.setattr(bald, "lost_hair", lose)
    monkeypatch.setattr(bald, "drawn_edge", find)
    beyond = np.zeros((SIZE, SIZE), np.float32)
    beyond[:20] = 1
    done = edit(editor, replace(crop, beyond=beyond), bald=0.6)
    assert told["beyond"] is beyond
    assert told["edge"].min() == 2
    assert compared[0] is image_of(done)
    assert compared[1] is not compared[0]
    strands = told["strands"]
    assert 0.3 < strands[told["hair"] > 0.5].std() < 1.5
    moved = np.abs(flow_of(done)).sum(2) > 0
    assert moved.any()
    assert done.mask[moved].min() == 1
    told.clear()
    edit(editor, crop, bald=1, bald_sides=0)
    assert told["strands"] is None


@pytest.mark.parametrize(
    ("male", "bald", "raised"), [(0.9, 0.0, True), (0.1, 0.0, False), (0.9, 1.0, False)], ids=["man", "woman", "bald"]
)
def test_a_mans_forehead_grows_with_age(
    editor: EmbeddedEditor, crop: Crop, male: float, bald: float, raised: bool
) -> None:
    controls = EmbeddedControls(age=75, bald=bald, bald_sides=0)
    latent = EmbeddedLatent.unpack(editor.encode(crop, controls))
    attributes = latent.attributes.copy()
    attributes[MALE] = male
    flow = rendered(editor, crop, latent.with_attributes(attributes).pack(), controls).flow
    assert flow is not None
    hairline = flow[88 + 52 - 66, 64 + 96, 1]
    assert (hairline > 4) == raised


def test_skin_that_is_nearly_white_becomes_no_lighter(editor: EmbeddedEditor, crop: Crop) -> None:
    """What is lighter than the camera shows is a white patch; grey skin has room."""
    lighter = []
    for level in (150, 240):
        image = np.full_like(crop.image, level) + crop.image % 3
        delta = delta_of(edit(editor, replace(crop, image=image), age=75, grey_brows=False))
        face = delta[120:260, 110:210].mean(axis=2) / (level + 8)
        lighter.append(float(np.quantile(face, 0.98)))
    assert lighter[0] > 0.05
    assert lighter[1] < 0.025


@pytest.mark.parametrize(
    ("controls", "larger"),
    [
        ({"bald": 0.5}, True),
        ({"hair_grey": 0.5}, True),
        ({"age": 70}, True),
        ({"age": 33}, False),
        ({"smile": 1, "stubble": 1}, False),
        ({}, False),
    ],
)
def test_hair_that_changes_wants_a_crop_that_holds_it(
    editor: EmbeddedEditor, crop: Crop, controls: dict[str, Any], larger: bool
) -> None:
    assert crop.masks is not None
    hair = crop.masks.hair.copy()
    hair[8:, 30:60] = 1
    long = replace(crop, masks=replace(crop.masks, hair=hair))
    chosen = EmbeddedControls(**controls)
    latent = editor.encode(crop, chosen)
    given = latent, editor.steer(latent, chosen), chosen
    assert (editor.wanted_side(long, *given) > SIZE) == larger
    assert editor.wanted_side(crop, *given) <= SIZE
    assert editor.wanted_side(replace(crop, masks=None), *given) == 0


def test_hair_and_face_are_moved_together(editor: EmbeddedEditor, crop: Crop) -> None:
    face, hair, both = (
        flow_of(edit(editor, crop, **controls)) for controls in ({"smile": 1}, {"bald": 0.6}, {"smile": 1, "bald": 0.6})
    )
    assert np.abs(face).max() > 1
    assert np.abs(hair).max() > 1
    np.testing.assert_allclose(both, face + hair, atol=1e-4)


def test_hair_that_was_seen_at_times_turns_as_grey_as_that_which_was_seen_always(
    editor: EmbeddedEditor, crop: Crop
) -> None:
    """Averaged with nothing, the look of hair goes to 0, which is black: its strands would be taken for white."""
    controls = EmbeddedControls(hair_grey=1, grey_brows=False)
    always = EmbeddedLatent.unpack(editor.encode(crop, controls))
    at_times, never = (replace(always, hair=np.float32(share) * always.hair) for share in (0.3, 0.01))
    first, second = (delta_of(rendered(editor, crop, each.pack(), controls)) for each in (always, at_times))
    np.testing.assert_allclose(second, first, atol=0.2)
    assert rendered(editor, crop, never.pack(), controls).delta is None


def test_grey_goes_with_the_hair_that_is_moved(editor: EmbeddedEditor, crop: Crop) -> None:
    """Hair that lies down on the skull comes from further out, and brings its colour."""
    grey = edit(editor, crop, hair_grey=1, grey_brows=False).delta
    both = edit(editor, crop, hair_grey=1, grey_brows=False, bald=0.8)
    assert grey is not None
    assert both.delta is not None
    flow = flow_of(both)
    far = np.hypot(flow[..., 0], flow[..., 1]) > 4
    assert far.sum() > 50
    rows, columns = np.nonzero(far)
    places = (np.column_stack([columns, rows]) + flow[far]).astype(np.float32)
    there = cv2.remap(grey, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]
    np.testing.assert_allclose(both.delta[far], there, atol=2)
    assert np.abs(both.delta[far] - grey[far]).max() > 5


def test_the_warp_fades_out_below_the_chin_and_never_folds_over(editor: EmbeddedEditor, crop: Crop) -> None:
    assert crop.mesh is not None
    chin = int(crop.mesh[152, 1])
    beyond = np.zeros(crop.image.shape[:2], np.float32)
    beyond[chin + 12 :] = 1
    for controls in ({"age": 85, "smile": 1}, {"age": 75}, {"age": 15, "smile": 1}):
        for own_age in (0.15, 0.3, 0.7):
            for shown in (crop, replace(crop, beyond=beyond)):
                wanted = EmbeddedControls.model_validate(controls)
                latent = editor.encode(shown, wanted)
                latent[AGE] = own_age
                flow = flow_of(editor.render(shown, latent, editor.steer(latent, wanted), wanted))
                down, across = np.diff(flow[..., 1], axis=0), np.diff(flow[..., 0], axis=1)
                # where a row would be drawn of a place above that of the row before, the picture would be upside down
                assert min(down.min(), across.min()) > -0.95
                if shown is crop:
                    assert np.abs(np.diff(np.linalg.norm(flow, axis=2), axis=0))[chin:].max() < 0.75


def test_towards_youth_a_fold_is_filled_once(editor: EmbeddedEditor, crop: Crop) -> None:
    """By the camera's pixels; filled by the texture as well, it would be a bright line."""
    assert crop.mesh is not None
    nodes = FaceSpace.load(EMBEDDED / TABLES).fit(crop.mesh).nodes.astype(np.float32)
    image, line = np.full_like(crop.image, 150), np.zeros(crop.image.shape[:2], np.uint8)
    for side in (-1, 1):
        places = np.stack([95.5 + side * np.array(FOLDS.away), FOLDS.rows], -1)[None, :2]
        at = cv2.remap(nodes, ((places + 0.5) / STEP - 0.5).astype(np.float32), None, cv2.INTER_LINEAR)[0]
        cv2.polylines(line, [np.rint(at).astype(np.int32)], False, 1, 2)
    line[200:236, 130:190] = 0
    image[line > 0] = 80
    folded = replace(crop, image=image)
    latent = editor.encode(folded, editor.Controls())
    latent[AGE] = 0.7
    wanted = EmbeddedControls(age=25)
    delta = editor.render(folded, latent, editor.steer(latent, wanted), wanted).delta
    assert delta is not None
    added = delta[line > 0].mean(1)
    assert 25 < np.median(added) < 75
    assert np.percentile(added, 98) < 85


def test_hair_is_greyed_where_the_change_of_shape_puts_it(editor: EmbeddedEditor, crop: Crop) -> None:
    striped = crop.image.copy()
    striped[:] = np.where(np.arange(SIZE) // 3 % 2, 30, 90).astype(np.uint8)[:, None, None]
    masks = replace(crop.masks, hair=np.ones_like(crop.masks.hair)) if crop.masks else None
    shown = replace(crop, image=striped, masks=masks)
    latent = editor.encode(shown, editor.Controls())
    own, due = latent[GREY], editor.steer(latent, EmbeddedControls(age=75))[GREY]
    edited, still = edit(editor, shown, age=75), edit(editor, shown, hair_grey=float((due - own) / (1 - own)))
    flow, delta = flow_of(edited), delta_of(edited)
    rows, columns = np.nonzero(np.abs(flow[..., 1]) > 2)
    assert len(rows) > 100
    here = delta_of(still)[rows, columns] - delta[rows, columns]
    moved = np.clip(np.rint(rows + flow[rows, columns, 1]), 0, SIZE - 1).astype(int)
    there = delta_of(still)[moved, columns] - delta[rows, columns]
    assert np.abs(there).mean() < 0.9 * np.abs(here).mean()


def test_controls_off_render_nothing(editor: EmbeddedEditor, crop: Crop) -> None:
    done = edit(editor, crop)
    assert not done.mask.any()
    assert all(part is None for part in (done.flow, done.delta, done.image, done.opacity))


def test_age_moves_and_colours_the_face_only(editor: EmbeddedEditor, crop: Crop) -> None:
    done = edit(editor, crop, age=38)
    face = np.zeros((SIZE, SIZE), bool)
    face[180:230, 130:190] = True
    assert np.abs(delta_of(done)[face]).mean() > 0.5
    assert np.abs(flow_of(done)).max() > 0.3
    assert done.mask[:30].max() == 0
    assert done.image is None


def test_younger_is_the_other_way(editor: EmbeddedEditor, crop: Crop) -> None:
    older, younger = edit(editor, crop, age=60), edit(editor, crop, age=15)
    assert np.abs(delta_of(older)).max() > 0
    assert np.abs(delta_of(younger)).max() > 0
    grown = edit(editor, crop, age=25)
    assert (flow_of(older) * flow_of(grown)).sum() < 0
    assert np.abs(flow_of(younger) - flow_of(grown)).max() > 0.5


def test_between_15_and_25_faces_grow() -> None:
    assert youth_of(40, 15) == 1
    assert youth_of(40, 30) == 0
    assert youth_of(20, 15) == pytest.approx(0.5)
    assert youth_of(15, 60) == -1


def test_more_years_change_more(editor: EmbeddedEditor, crop: Crop) -> None:
    change = [np.abs(delta_of(edit(editor, crop, age=age))).sum() for age in (35, 50, 65, 80)]
    assert change == sorted(change)


def test_skin_under_an_occluder_stays(editor: EmbeddedEditor, crop: Crop) -> None:
    assert crop.masks is not None
    hand = crop.masks.face * 0
    hand[60:100] = 1
    hidden = Crop(crop.image, crop.points5, crop.mesh, Masks(crop.masks.hair, crop.masks.face, hand, crop.masks.person))
    assert np.abs(delta_of(edit(editor, hidden, age=75))[165:235]).max() < 1


def test_a_smile_lifts_the_corners_of_the_mouth(editor: EmbeddedEditor, crop: Crop) -> None:
    smile, frown = edit(editor, crop, smile=1), edit(editor, crop, smile=-1)
    assert crop.mesh is not None
    left, right = (tuple(crop.mesh[vertex].astype(int)[::-1]) for vertex in (61, 291))
    for x, y in (left, right):
        assert flow_of(smile)[x, y, 1] > 3  # from below
        assert flow_of(frown)[x, y, 1] < -1
    assert flow_of(smile)[left][0] > 1 > -1 > flow_of(smile)[right][0]
    assert delta_of(smile).min() < -5
    assert not delta_of(frown).any()


def test_a_smile_parts_no_lips(editor: EmbeddedEditor, crop: Crop) -> None:
    flow = flow_of(edit(editor, crop, smile=1))[..., 1]
    assert crop.mesh is not None
    (x, above), (_, below) = crop.mesh[13].astype(int), crop.mesh[14].astype(int)
    assert abs(flow[above, x] - flow[below, x]) < 0.5


def test_a_smile_and_age_add_up(editor: EmbeddedEditor, crop: Crop) -> None:
    smile, age, both = (
        edit(editor, crop, **controls) for controls in ({"smile": 1}, {"age": 60}, {"smile": 1, "age": 60})
    )
    np.testing.assert_allclose(flow_of(both), flow_of(smile) + flow_of(age), atol=0.02)
    cheeks = slice(170, 230), slice(110, 210)
    done = delta_of(both)[cheeks]
    parts = [delta_of(each)[cheeks] for each in (smile, age)]
    off = [float(np.abs(done - expected).mean()) for expected in (parts[0] + parts[1], *parts)]
    assert off[0] < 0.8 * min(off[1:])


def test_faces_that_smile_may_smile_more(editor: EmbeddedEditor, crop: Crop) -> None:
    latent = editor.encode(crop, editor.Controls())
    once = rendered(editor, crop, latent, EmbeddedControls(smile=0.5))
    latent[SMILE] = 1
    again = rendered(editor, crop, latent, EmbeddedControls(smile=0.5))
    np.testing.assert_allclose(flow_of(once), flow_of(again), atol=1e-3)


def test_bald_replaces_and_starts_from_the_reading(editor: EmbeddedEditor, crop: Crop) -> None:
    done = edit(editor, crop, bald=1, bald_sides=0)
    assert opacity_of(done).max() > 0.95
    assert done.mask[opacity_of(done) > 0].min() == 1
    assert done.flow is None
    latent = editor.encode(crop, editor.Controls())
    assert latent[BALD] == pytest.approx(0.5)
    assert editor.steer(latent, EmbeddedControls(bald=0.5))[BALD] == pytest.approx(0.75)


def test_bald_draws_no_eyes(editor: EmbeddedEditor, crop: Crop) -> None:
    """A fringe that is read over an eye is mostly its shadow."""
    assert crop.masks is not None
    assert crop.mesh is not None
    hair = crop.masks.hair.copy()
    hair[40:64, 30:98] = 1
    opacity = opacity_of(edit(editor, replace(crop, masks=replace(crop.masks, hair=hair)), bald=1, bald_sides=0))
    for lids in ((159, 145, 33, 133), (386, 374, 263, 362)):
        column, row = crop.mesh[list(lids)].mean(axis=0).astype(int)
        assert opacity[row, column] < 0.01
    column, row = crop.mesh[[133, 362]].mean(axis=0).astype(int)
    assert opacity[row - 30, column] > 0.95


def test_a_hat_stays(editor: EmbeddedEditor, crop: Crop) -> None:
    latent = editor.encode(crop, editor.Controls())
    latent[HAT] = 0.95
    assert editor.steer(latent, EmbeddedControls(bald=1))[BALD] == latent[BALD]
    latent[HAT] = 0.1
    assert editor.steer(latent, EmbeddedControls(bald=1))[BALD] == 1


def test_age_greys_hair(editor: EmbeddedEditor, crop: Crop) -> None:
    latent = editor.encode(crop, editor.Controls())
    assert 0.2 < editor.steer(latent, EmbeddedControls(age=55))[GREY] < 0.4
    assert 0.9 < editor.steer(latent, EmbeddedControls(age=80))[GREY] < 0.99
    assert editor.steer(latent, EmbeddedControls(age=35))[GREY] == latent[GREY]
    assert editor.steer(latent, EmbeddedControls(age=75))[AGE] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("face", "controls", "lost"),
    [
        ((0.95, 0.35), {"age": 75}, (0.5, 0.75)),
        ((0.95, 0.35), {"age": 55}, (0.1, 0.4)),
        ((0.95, 0.35), {"age": 75, "bald": 0.9}, (0.9, 0.9)),
        ((0.95, 0.35), {"age": "+40"}, (0.5, 0.75)),
        ((0.95, 0.35), {"age": 37}, (0, 0)),
        ((0.95, 0.75), {"age": 25}, (0, 0)),
        ((0.95, 0.35), {"age": 75, "age_hair": False}, (0, 0)),
        ((0.55, 0.35), {"age": 75}, (0, 0)),
    ],
)
def test_men_lose_hair_with_age_where_that_is_asked_for(
    editor: EmbeddedEditor,
    crop: Crop,
    face: tuple[float, float],
    controls: dict[str, Any],
    lost: tuple[float, float],
) -> None:
    """Of a face with so much of a man and so many centuries."""
    wanted = EmbeddedControls(**{"age_hair": True, **controls})
    latent = editor.encode(crop, wanted)
    latent[MALE], latent[AGE] = face
    latent[BALD] = 0.0
    least, most = lost
    assert least - 1e-5 <= editor.steer(latent, wanted)[BALD] <= most + 1e-5
    latent[HAT] = 0.95
    assert editor.steer(latent, wanted)[BALD] == 0
    assert editor.wants_backdrop(wanted) == (wanted.age_hair or wanted.bald > 0)
    assert not EmbeddedControls(age=75).age_hair


def test_a_camera_without_colour_gets_none(editor: EmbeddedEditor, crop: Crop) -> None:
    grey = replace(crop, image=np.repeat(crop.image[..., :1], 3, axis=2))
    for controls in ({"age": 75}, {"hair_grey": 1}, {"age": 20}):
        assert np.ptp(delta_of(edit(editor, grey, **controls)), axis=2).max() < 1e-3
    coloured = np.clip(crop.image * np.array([1.2, 0.9, 0.7]), 0, 255).astype(np.uint8)
    assert np.ptp(delta_of(edit(editor, replace(crop, image=coloured), age=75)), axis=2).max() > 3


def test_skin_that_shows_no_colour_gets_none_with_age(editor: EmbeddedEditor, crop: Crop) -> None:
    """Beside a face that a filter made white there are colours: it is no camera without any."""
    stains = []
    for skin in ((250, 250, 250), (230, 180, 150)):
        image = np.zeros_like(crop.image) + np.array([60, 120, 200], np.uint8)
        image[90:300, 60:260] = skin
        image = image - (crop.image % 4)
        delta = delta_of(edit(editor, replace(crop, image=image), age=75, grey_brows=False))[120:260, 110:210]
        stains.append(float(np.ptp(delta / (image[120:260, 110:210] + 8.0), axis=2).mean()))
    assert stains[0] < 0.35 * stains[1]


def test_youth_gives_grey_hair_its_pigment_back(editor: EmbeddedEditor, crop: Crop) -> None:
    latent = editor.encode(crop, editor.Controls())
    latent[AGE], latent[GREY], latent[BALD] = 0.7, 0.8, 0.0
    assert editor.steer(latent, EmbeddedControls(age=30))[GREY] == 0
    assert 0 < editor.steer(latent, EmbeddedControls(age=60))[GREY] < 0.8
    assert editor.steer(latent, EmbeddedControls(age=30, hair_grey=1))[GREY] == 1
    light = Crop(np.full_like(crop.image, 190), crop.points5, crop.mesh, crop.masks)
    done = rendered(editor, light, latent, EmbeddedControls(age=30))
    assert delta_of(done)[40:80, 120:200].mean() < -60
    assert done.mask[40:80, 120:200].min() == 1


def test_youth_leaves_blond_hair_its_colour(editor: EmbeddedEditor, crop: Crop) -> None:
    light = Crop(np.full_like(crop.image, 190), crop.points5, crop.mesh, crop.masks)
    latent = editor.encode(light, editor.Controls())
    latent[AGE], latent[GREY], latent[BALD] = 0.7, 0.4, 0.0
    own = EmbeddedLatent.unpack(latent)

    def changed(warm: float, level: float) -> float:
        colour = np.array([1.2, 0.97, 0.74], np.float32)
        seen = replace(
            own,
            hair=replace(Look.unpack(own.hair), level=level, colour=colour).pack(),
            lit=Lit(0.0, np.ones(3, np.float32)).pack(),
            skin=np.array([5.1 + warm, 4.8, 4.64], np.float32),
        ).pack()
        return -float(delta_of(rendered(editor, light, seen, EmbeddedControls(age=30)))[40:80, 120:200].mean())

    assert changed(warm=0.0, level=4.9) < 1
    assert changed(warm=0.5, level=4.9) > 40, "grey hair in the light of a candle"
    assert changed(warm=0.0, level=4.3) > 15, "light brown hair"


def test_youth_leaves_thin_hair_its_colour(editor: EmbeddedEditor, crop: Crop) -> None:
    latent = editor.encode(crop, editor.Controls())
    latent[AGE], latent[GREY], latent[BALD] = 0.7, 0.8, 0.9
    assert editor.steer(latent, EmbeddedControls(age=30))[GREY] == pytest.approx(0.8)
    latent[BALD] = 0.3  # a receding hairline
    assert editor.steer(latent, EmbeddedControls(age=30))[GREY] < 0.1


def test_the_matte_is_read_only_where_hair_changes(crop: Crop) -> None:
    engine = CoarseMatte()
    editor = load(lambda path: engine if path.name == MATTE else stub(path), EMBEDDED)
    for controls, calls in (({"bald": 1}, 2), ({"age": 33}, 0), ({"smile": 1}, 0), ({"hair_grey": 0.5}, 1)):
        engine.calls = 0
        edit(editor, crop, **controls)
        assert engine.calls == calls, controls


def test_without_masks_hair_stays(editor: EmbeddedEditor, crop: Crop) -> None:
    bare = Crop(crop.image, crop.points5, crop.mesh)
    assert not edit(editor, bare, bald=1).mask.any()
    grey = edit(editor, bare, hair_grey=1)
    assert not grey.mask[:40].any()


def test_brows_and_beard_stay_where_that_is_asked_for(editor: EmbeddedEditor, crop: Crop) -> None:
    bare = Crop(crop.image, crop.points5, crop.mesh)
    assert edit(editor, bare, hair_grey=1).mask.any()
    assert not edit(editor, bare, hair_grey=1, grey_brows=False).mask.any()


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ((1.0, True, 30, 0.0), True),
        ((1.0, True, 30, 0.9), True),
        ((0.0, True, 30, 0.0), False),
        ((1.0, False, 30, 0.0), False),
        ((1.0, True, 80, 0.0), False),
    ],
)
def test_a_mans_beard_gets_its_pigment_with_his_hair(
    editor: EmbeddedEditor,
    crop: Crop,
    monkeypatch: pytest.MonkeyPatch,
    asked: tuple[float, bool, int, float],
    drawn: bool,
) -> None:
    """However bald he is."""
    male, brows, age, bald = asked
    shares = []

    def restored(look: HairLook, crop: Crop, *, skin: Floats, light: Lit, amount: float) -> tuple[Floats, Floats]:
        shares.append(amount)
        return np.zeros(crop.image.shape, np.float32), np.zeros(crop.image.shape[:2], np.float32)

    monkeypatch.setattr(hair_grey, "restore_beard", restored)
    light = Crop(np.full_like(crop.image, 190), crop.points5, crop.mesh, crop.masks)
    latent = editor.encode(light, editor.Controls())
    latent[AGE], latent[GREY], latent[BALD], latent[MALE] = 0.7, 0.8, bald, male
    rendered(editor, light, latent, EmbeddedControls(age=age, grey_brows=brows))
    assert shares == pytest.approx([1.0] if drawn else [])


def test_a_crop_without_mesh_is_refused(editor: EmbeddedEditor, crop: Crop) -> None:
    with pytest.raises(ValueError, match="mesh"):
        editor.encode(Crop(crop.image, crop.points5), editor.Controls())


def test_camera_noise_changes_an_edit_no_more_than_the_camera(editor: EmbeddedEditor, crop: Crop) -> None:
    still = crop.image.astype(np.float32)
    generator = np.random.default_rng(0)
    frames = [np.clip(still + generator.normal(0, 3, still.shape), 0, 255).astype(np.uint8) for _ in range(3)]
    latent = editor.encode(crop, editor.Controls())
    for controls in ({"age": 75}, {"age": 20}, {"bald": 1}, {"hair_grey": 1}):
        wanted = EmbeddedControls(**controls)
        steered = editor.steer(latent, wanted)
        # the stream gives it where it is wanted
        light = still @ LUMINANCE if editor.wants_steady_light(wanted) else None
        shown = [
            apply_edit(
                editor.render(replace(crop, image=frame, steady_light=light), latent, steered, wanted), frame
            ).astype(np.float32)
            for frame in frames
        ]
        where = np.abs(shown[0] - frames[0]).max(2) > 2
        ours = np.mean([np.abs(a - b)[where].mean() for a, b in pairwise(shown)])
        camera = np.mean([np.abs(a.astype(np.float32) - b)[where].mean() for a, b in pairwise(frames)])
        assert ours < 1.15 * camera, controls


def test_many_threads_render_alike(editor: EmbeddedEditor, crop: Crop) -> None:
    latent = editor.encode(crop, editor.Controls())
    steered = editor.steer(latent, EmbeddedControls(age=75, bald=1))
    expected = editor.render(crop, latent, steered, EmbeddedControls(age=75, bald=1))
    with ThreadPoolExecutor(4) as pool:
        for done in pool.map(
            lambda _: editor.render(crop, latent, steered, EmbeddedControls(age=75, bald=1)), range(8)
        ):
            np.testing.assert_array_equal(delta_of(done), delta_of(expected))
            np.testing.assert_array_equal(image_of(done), image_of(expected))


def test_the_shipped_network_runs() -> None:
    engine = load_engine(EMBEDDED / READER, backend="onnxruntime", precision="f32", threads=1)
    generator = np.random.default_rng(0)
    given = {
        spec.name: generator.random([size or 2 for size in spec.shape]).astype(np.float32) for spec in engine.inputs
    }
    for value in engine.run(given).values():
        assert value.shape[0] == 2
        assert np.isfinite(value).all()


@pytest.mark.parametrize(
    ("wanted", "own", "shown"),
    [
        (60.0, 30, 60),
        ("+20", 30, 50),
        ("+20", 80, 85),
        ("-20", 30, 15),
        ("-20", 12, 12),
        ("+5", 90, 90),
        ("-9", 50, 41),
    ],
)
def test_a_difference_of_ages_is_from_the_own_age(wanted: float | str, own: float, shown: float) -> None:
    assert target_age(wanted, own) == shown


def test_a_difference_follows_each_person(editor: EmbeddedEditor, crop: Crop) -> None:
    latent = editor.encode(crop, EmbeddedControls())
    controls = EmbeddedControls(age="+20")
    for own in (0.25, 0.45):
        other = latent.copy()
        other[AGE] = own
        assert editor.steer(other, controls)[AGE] == pytest.approx(own + 0.2)


@pytest.mark.parametrize("age", ["+0", "+200", "older", "+1.5"])
def test_other_differences_are_refused(age: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        EmbeddedControls(age=age)


def test_a_number_as_text_is_a_number() -> None:
    assert EmbeddedControls(age="20").age == 20


def with_red_lips(crop: Crop) -> tuple[Crop, NDArray[np.bool_]]:
    assert crop.mesh is not None
    lips = np.zeros(crop.image.shape[:2], np.uint8)
    cv2.fillPoly(lips, [np.rint(crop.mesh[list(LIPS)]).astype(np.int32)], (1,))
    image = crop.image.copy()
    image[lips > 0] = (190, 90, 90)
    return replace(crop, image=image), cv2.erode(lips, np.ones((3, 3), np.uint8)) > 0


def test_age_pales_lips_and_leaves_hidden_ones(editor: EmbeddedEditor, crop: Crop) -> None:
    red, lips = with_red_lips(crop)
    latent = editor.encode(red, editor.Controls())
    latent[MALE] = 0.0
    done = rendered(editor, red, latent, EmbeddedControls(age=75))
    delta = delta_of(done)[lips]
    assert done.mask[lips].min() == 1
    assert (delta[:, 0] - delta[:, 1]).mean() < -8
    assert red.masks is not None
    hand = np.ones_like(red.masks.occluder)
    hidden = rendered(editor, replace(red, masks=replace(red.masks, occluder=hand)), latent, EmbeddedControls(age=75))
    assert hidden.delta is None or np.abs(hidden.delta[lips]).max() < 1


def test_the_latent_of_age_holds_the_contrast_of_creases_before_eyes_and_lips(
    editor: EmbeddedEditor, crop: Crop, monkeypatch: pytest.MonkeyPatch
) -> None:
    depths = list[float]()

    def draw(self: Neck, crop: Crop, *, depth: float, **_: Any) -> tuple[Floats, Floats]:
        depths.append(depth)
        size = len(crop.image)
        return np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)

    monkeypatch.setattr(Neck, "draw", draw)
    latent = editor.encode(crop, editor.Controls())
    rendered(editor, crop, latent, EmbeddedControls(age=75))
    contrast = EmbeddedLatent.unpack(latent).details[2 * COMPRESSED]
    assert MOST_CREASED[0] <= contrast <= MOST_CREASED[1]
    assert depths[0] == pytest.approx(strength_of(45) * contrast, rel=0.2)


def test_bald_sees_the_skin_of_the_face(editor: EmbeddedEditor, crop: Crop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It widens the skull, and ears stay."""
    seen = list[Floats]()

    def widen(radii: Floats, fit: Fit, face: Floats, size: int) -> Floats:
        seen.append(face)
        return radii

    def lose(*, face: Floats, **rest: Any) -> tuple[Floats, Floats | None]:
        seen.append(face)
        return lost_hair(face=face, **rest)

    monkeypatch.setattr(bald, "around_skin", widen)
    monkeypatch.setattr(bald, "lost_hair", lose)
    edit(editor, crop, bald=1)
    assert crop.masks is not None
    assert len(seen) >= 2
    assert all(np.array_equal(each, crop.masks.face) for each in seen)


def test_women_keep_no_ring_of_hair(editor: EmbeddedEditor, crop: Crop) -> None:
    read = EmbeddedLatent.unpack(editor.encode(crop, editor.Controls()))
    opacities = []
    for male in (0.0, 1.0):
        attributes = read.attributes.copy()
        attributes[MALE] = male
        latent = read.with_attributes(attributes).pack()
        shown = [rendered(editor, crop, latent, EmbeddedControls(bald=1, bald_sides=sides)) for sides in (0, 1)]
        opacities.append([opacity_of(edit) for edit in shown])
    (shaved, woman), (_, man) = opacities
    np.testing.assert_array_equal(woman, shaved)
    assert man.sum() < 0.95 * shaved.sum()


def test_what_hardly_changes_lasts(editor: EmbeddedEditor, crop: Crop) -> None:
    """Age, sex and how long the hair is are those of some seconds; a smile is that of now."""
    assert {AGE, MALE} <= set(editor.lasting)
    assert SMILE not in editor.lasting
    long = cv2.dilate(crop.masks.hair, np.ones((61, 61), np.uint8)) if crop.masks is not None else None
    assert long is not None
    assert crop.masks is not None
    hanging = replace(crop, masks=replace(crop.masks, hair=long))
    short, other = (editor.encode(each, EmbeddedControls()) for each in (crop, hanging))
    (place,) = (place for place in editor.lasting if place >= COMMON_LENGTH)
    assert short[place] < 0.17
    assert other[place] > 0.2


def test_a_ring_comes_and_goes_with_what_was_read_of_the_hair(editor: EmbeddedEditor, crop: Crop) -> None:
    """Hair of middle length hangs down in one frame and not in the next: its reading lasts."""
    controls = EmbeddedControls(bald=1)
    latent = editor.encode(crop, controls)
    latent[MALE] = 1
    (place,) = (place for place in editor.lasting if place >= COMMON_LENGTH)
    left = []
    for hanging in (0.0, 1.0):
        latent[place] = hanging
        done = editor.render(crop, latent, editor.steer(latent, controls), controls)
        assert done.opacity is not None
        left.append(float(done.opacity.sum()))
    assert left[1] > 1.02 * left[0]


def test_a_drawing_that_was_carried_is_bent_to_the_skull(editor: EmbeddedEditor, crop: Crop) -> None:
    controls = EmbeddedControls(bald=1)
    latent = editor.encode(crop, controls)
    steered = editor.steer(latent, controls)
    drawn = editor.inpaint(crop, latent, steered, controls)
    assert drawn is not None
    smaller = Inpainting(drawn.image, cv2.erode(drawn.head, np.ones((21, 21), np.uint8)), drawn.behind)
    same, bent = (
        image_of(editor.render(replace(crop, inpainting=each), latent, steered, controls)) for each in (drawn, smaller)
    )
    assert same is drawn.image
    assert not np.array_equal(bent, smaller.image)
