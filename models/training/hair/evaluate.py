"""`python -m models.training.evaluate hair`: how far hair removal is from the bald heads that are really there.

Hair of one person, with its matte, is laid over a bald person of `val`: the photograph without it is the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.base import Array, Engine, TensorSpec
from engines.select import load as load_engine
from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded import EMBEDDED
from models.embedded import editor as embedded_editor
from models.embedded import hair as hair_editor
from models.embedded.attributes import read_tables
from models.embedded.body_behind_hair import BODY_NETWORK, BodyBehindHair
from models.embedded.editor import EmbeddedControls
from models.embedded.hair import HairControls
from models.embedded.lent_ears import Ear
from models.embedded.matte import MATTE, HairMatte
from models.embedded.removal import CHANNELS, continued, inpaint_without_hair, lost_hair
from models.embedded.scalp import ScalpModel, head_map, outline_features, skin_tone
from models.face.canvas import covered
from models.face.imaging import enlarge
from models.face.segmenter import Segmenter
from models.face.texture_space import FaceSpace
from models.training.apply import PAD, apply_edit, beyond_picture, inner, padded, portrait_crop
from models.training.data import FaceSet, shared_folder
from models.training.hair.mattes import Matting
from models.training.hair.networks import Removal
from models.training.hair.train import CHECKPOINT, load_partly
from models.training.panel import Cell, write_panel

DONORS = 3
"""Heads of hair that each bald person gets."""
PANEL_CELLS = 30
"""Cells of each kind on a panel."""
MALE_LABEL = "M"
"""The label of men in `sex`."""
OWN_HAIR = 0.05
"""Probability in the labels, in the surroundings too, from which a bald person may have hair."""
DETAIL_SIGMA = 3.0
"""What is finer than this Gaussian, pixels, is fine detail."""


class Composite(NamedTuple):
    """A bald person under somebody's hair.

    Attributes:
        row: of the bald person.
        picture: (256, 256, 3) uint8 RGB, with the hair.
        truth: (256, 256, 3) uint8 RGB, without.
        alpha: (256, 256) float32 in 0..1, the hair.
    """

    row: int
    picture: Image
    truth: Image
    alpha: Floats


Remove = Callable[[Composite], Image]


def main(argv: list[str]) -> int:
    """Print the table; see `--help`."""
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate hair", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/ and teachers/")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="of `python -m models.training hair`")
    parser.add_argument("--only", choices=("inpainting", "shipped", "network"), action="append")
    parser.add_argument("--sheet", type=Path, help="PNG to write: picture, each answer, truth")
    parser.add_argument("--count", type=int, default=1000, help="composites, at most")
    parser.add_argument("--panel", type=Path, help="folder for the sheets of a blind panel; nothing else is done then")
    parser.add_argument("--key", type=Path, help="JSON file for the panel's key")
    parser.add_argument("--seed", type=int, default=0, help="of the panel: who is in it, in which order")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    faces = FaceSet.load(options.shared)
    if options.panel:
        write_bald_panel(faces, Shipped(faces), options.panel, options.key or options.panel / "key.json", options.seed)
        return 0
    composites = list(make_composites(faces, options.shared / "teachers"))[: options.count]
    answers: dict[str, Remove] = {}
    wanted = options.only or ("inpainting", "shipped", "network")
    if "inpainting" in wanted:
        answers["inpainting"] = inpaint
    if "shipped" in wanted:
        answers["shipped bald=1"] = Shipped(faces)
        answers["shipped, hair kept at the sides"] = Shipped(faces, sides=1)
    if "network" in wanted and options.checkpoint.is_file():
        answers["network"] = Drawn(faces, options.checkpoint, read=True)
        answers["network, true matte"] = Drawn(faces, options.checkpoint, read=False)
    print(f"{len(composites)} composites; distances are to the real bald head, of 255")
    print("| answer | distance | where that head has no hair | fine detail / real |\n|---|---|---|---|")
    drawn = {name: [remove(each) for each in composites] for name, remove in answers.items()}
    everywhere, bare = [None] * len(composites), [_bare(faces, each) for each in composites]
    for name, pictures in drawn.items():
        whole, known = (
            np.nanmean([compare(*each) for each in zip(pictures, composites, places, strict=True)], axis=0)
            for places in (everywhere, bare)
        )
        print(f"| {name} | {whole[0]:.2f} | {known[0]:.2f} | {whole[1]:.2f} |")
    print_matte(faces, composites)
    print_dye(faces, composites)
    if options.sheet:
        shown = range(0, len(composites), max(1, len(composites) // 24))
        strips = [
            np.hstack([composites[i].picture, *(pictures[i] for pictures in drawn.values()), composites[i].truth])
            for i in shown
        ]
        cv2.imwrite(str(options.sheet), cv2.cvtColor(np.vstack(strips), cv2.COLOR_RGB2BGR))
    return 0


def make_composites(faces: FaceSet, teachers: Path) -> Iterator[Composite]:
    """Hair of `val` over bald people of `val`; always the same."""
    labels, rows = faces.labels, faces.split("val")
    rng = np.random.default_rng(17)
    plain = (labels["hat"] == 0) & (np.abs(labels["yaw"]) < 25)
    full = (np.nan_to_num(labels["hair_area"]) > 0.1) & (np.nan_to_num(labels["baldness"], nan=1.0) < 0.2)
    haired = [row for row in rows if (plain & full & (labels["crop_px"] > 190))[row]]
    bald = [row for row in rows if plain[row] and labels["baldness"][row] >= 0.75 and labels["age"][row] > 17]
    matting = Matting(faces, teachers)
    mattes: dict[int, tuple[Image, Image] | None] = {}
    for row in bald:
        fitting = [
            haired[i]
            for i in rng.permutation(len(haired))
            if labels["sex"][haired[i]] == labels["sex"][row] or rng.random() < 0.5
        ]
        for donor in fitting[:DONORS]:
            if donor not in mattes:
                mattes[donor] = matting.matte(int(donor))
            matte = mattes[donor]
            if matte is None:
                continue
            alpha = matte[0].astype(np.float32) / 255
            truth = faces.image(int(row))
            picture = truth + alpha[..., None] * (matte[1].astype(np.float32) - truth)
            yield Composite(int(row), np.clip(picture, 0, 255).astype(np.uint8), truth, np.asarray(alpha, np.float32))


def write_bald_panel(faces: FaceSet, remove: Remove, sheets: Path, key: Path, seed: int) -> None:
    """A blind panel of really bald people and of men and women made bald, all of `val`, all different people."""
    labels, rows = faces.labels, faces.split("val")
    plain = (labels["hat"] != 1) & (np.abs(labels["yaw"]) < 30) & (labels["age"] > 20) & (labels["crop_px"] > 160)
    baldness = np.nan_to_num(labels["baldness"], nan=0.5)
    haired = plain & (baldness < 0.3) & (np.nan_to_num(labels["hair_area"]) > 0.06)
    kinds = {
        "real": plain & (baldness >= 0.75),
        "man": haired & (labels["sex"] == MALE_LABEL),
        "woman": haired & (labels["sex"] != MALE_LABEL),
    }
    rng = np.random.default_rng(seed)
    cells = []
    for kind, fits in kinds.items():
        for row in rng.permutation([int(row) for row in rows if fits[row]])[:PANEL_CELLS]:
            picture = faces.image(int(row))
            if kind != "real":
                picture = remove(Composite(int(row), picture, picture, faces.mask("hair", int(row))))
            cells.append((Cell(kind, int(row), float(labels["age"][row])), picture))
    write_panel(cells, sheets, key, seed)


def print_matte(faces: FaceSet, composites: Sequence[Composite]) -> None:
    """Mean absolute error of alpha at 256 px, all over and in mixed pixels: of the matte and of the coarse reading.

    Where the bald person has hair, whose alpha nobody knows, nothing is judged.
    """
    matte, segmenter = HairMatte(_engine(EMBEDDED / MATTE)), Segmenter(_engine(EMBEDDED / "segmenter.onnx"))
    found = []
    for each in composites:
        crop = portrait_crop(each.picture, faces.points5[each.row], faces.mesh[each.row], segmenter)
        assert crop.masks is not None
        known, mixed = _known(faces, each), (each.alpha > 0.1) & (each.alpha < 0.9)
        coarse = enlarge(crop.masks.hair, (len(crop.image), len(crop.image)))
        fine = matte.read(crop.image, crop.masks.hair)
        errors = [np.abs(alpha[PAD:-PAD, PAD:-PAD] - each.alpha) for alpha in (coarse, fine)]
        found.append([error[where].mean() for error in errors for where in (known, known & mixed)])
    read, read_soft, own, own_soft = np.mean(found, axis=0)
    print(f"error of alpha: matte {own:.4f}, in soft hair {own_soft:.3f}; segmenter {read:.4f}, {read_soft:.3f}")


def print_dye(faces: FaceSet, composites: Sequence[Composite]) -> None:
    """How well the dye keeps to the hair, by the true alpha.

    Beside: mean change of pixels without hair near it, over that of pixels of hair alone. Reached: share of these that
    change by half of their median or more. Soft: mean absolute difference between the share of the change that a mixed
    pixel takes and its alpha. All three again without the places where the bald person has hair.
    """
    editor, segmenter = hair_editor.load(_engine, EMBEDDED), Segmenter(_engine(EMBEDDED / "segmenter.onnx"))
    controls = HairControls(colour="blond", amount=1)
    found = []
    for each in composites:
        crop = portrait_crop(each.picture, faces.points5[each.row], faces.mesh[each.row], segmenter)
        latent = editor.encode(crop, controls)
        edit = editor.render(crop, latent, editor.steer(latent, controls), controls)
        change = np.abs(inner(apply_edit(edit, crop.image)).astype(np.float32) - each.picture).mean(2)
        places = np.ones(change.shape, bool), _known(faces, each)
        whole, known = (dye_figures(change, each.alpha, where) for where in places)
        if whole is not None and known is not None:
            found.append((whole, known))
    for words, means in zip(("", ", own hair left out"), np.mean(found, axis=0), strict=True):
        beside, reached, soft = means
        print(f"dye (blond{words}): beside the hair {beside:.4f}, hair reached {reached:.3f}, soft hair {soft:.3f}")


def dye_figures(change: Floats, alpha: Floats, where: NDArray[np.bool_]) -> tuple[float, float, float] | None:
    """The three figures of `print_dye`; None where one of the three areas is too small.

    Args:
        change: (H, W) float32, by how much the dye changed each pixel, 0..255.
        alpha: (H, W) float32 in 0..1, the hair.
        where: (H, W), the pixels that are judged.
    """
    near = cv2.dilate((alpha > 0.5).astype(np.uint8), np.ones((41, 41), np.uint8)) > 0
    inside, beside = (alpha > 0.95) & where, (alpha < 0.02) & near & where
    mixed = (alpha > 0.1) & (alpha < 0.9) & where
    if min(inside.sum(), beside.sum(), mixed.sum()) < 50:
        return None
    usual = float(np.median(change[inside]))
    taken = np.clip(change / max(usual, 1.0), 0, 1)
    return (
        float(change[beside].mean() / max(float(change[inside].mean()), 1e-3)),
        float((change[inside] > 0.5 * usual).mean()),
        float(np.abs(taken - alpha)[mixed].mean()),
    )


def _known(faces: FaceSet, composite: Composite) -> NDArray[np.bool_]:
    """(256, 256): where the bald person surely has no hair, or another's hair hides it."""
    return np.asarray(_bare(faces, composite) | (composite.alpha > 0.95))


def _bare(faces: FaceSet, composite: Composite) -> NDArray[np.bool_]:
    """(256, 256): where the bald person surely has no hair."""
    own = cv2.dilate(faces.mask("hair", composite.row), np.ones((9, 9), np.uint8))
    return np.asarray(own < OWN_HAIR)


def compare(picture: Image, composite: Composite, place: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Mean distance to the truth where hair was, of 255, and fine detail there over that of the truth.

    Args:
        picture: (256, 256, 3) uint8 RGB, an answer.
        composite: what it answers.
        place: (256, 256), what is compared of it; None for all.

    Returns:
        Both; NaN where nothing is compared.
    """
    where = composite.alpha > 0.5
    if place is not None:
        where = where & place
    if not where.any():
        return float("nan"), float("nan")
    given, truth = picture.astype(np.float32), composite.truth.astype(np.float32)
    fine = [each - cv2.GaussianBlur(each, (0, 0), DETAIL_SIGMA) for each in (given, truth)]
    detail = float(np.abs(fine[0])[where].std() / max(float(np.abs(fine[1])[where].std()), 1e-3))
    return float(np.abs(given - truth)[where].mean()), detail


def inpaint(composite: Composite) -> Image:
    """Plain inpainting (Telea 2004), for comparison."""
    hidden = cv2.dilate((composite.alpha > 0.05).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.inpaint(composite.picture, hidden, 5, cv2.INPAINT_TELEA), np.uint8)


class Shipped:
    """The embedded editor at `bald=1`, with its own segmenter.

    Args:
        faces: the portraits.
        sides: `bald_sides`.
    """

    def __init__(self, faces: FaceSet, *, sides: float = 0) -> None:
        self._faces = faces
        self._sides = sides
        self._editor = embedded_editor.load(_engine, EMBEDDED)
        self._segmenter = Segmenter(_engine(EMBEDDED / "segmenter.onnx"))

    def __call__(self, composite: Composite) -> Image:
        faces, row = self._faces, composite.row
        crop = portrait_crop(composite.picture, faces.points5[row], faces.mesh[row], self._segmenter)
        controls = EmbeddedControls(bald=1, bald_sides=self._sides)
        latent = self._editor.encode(crop, controls)
        edit = self._editor.render(crop, latent, self._editor.steer(latent, controls), controls)
        return inner(apply_edit(edit, crop.image))


class Drawn:
    """A removal network.

    Args:
        faces: the portraits.
        checkpoint: of `python -m models.training hair`.
        read: the hair is read by the shipped networks, as in use; otherwise the true matte is given.
    """

    def __init__(self, faces: FaceSet, checkpoint: Path, *, read: bool) -> None:
        tables = read_tables(EMBEDDED)
        self._faces = faces
        self._space, self._scalp = FaceSpace.from_tables(tables), ScalpModel.from_tables(tables)
        self._network = InTorch(checkpoint)
        self._bodies = BodyBehindHair(_engine(EMBEDDED / BODY_NETWORK))
        self._ear = Ear.from_tables(tables)
        self._matte = HairMatte(_engine(EMBEDDED / MATTE))
        self._segmenter = Segmenter(_engine(EMBEDDED / "segmenter.onnx")) if read else None

    def __call__(self, composite: Composite) -> Image:
        image = padded(composite.picture)
        points5, mesh = (each[composite.row] + np.float32(PAD) for each in (self._faces.points5, self._faces.mesh))
        if self._segmenter is not None:
            masks = self._segmenter.read(image)
            hair, person = self._matte.read(image, masks.hair), masks.person
        else:
            whole = np.maximum(self._faces.mask("person", composite.row), composite.alpha)
            hair, person = (
                np.asarray(cv2.copyMakeBorder(each, PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE), np.float32)
                for each in (composite.alpha, whole)
            )
            masks = None
        beyond = beyond_picture(len(image))
        hair = continued(hair, beyond)
        fit = self._space.fit(mesh)
        crop = Crop(image, points5, mesh, masks)
        texture, hidden = self._space.unwrap(image, fit), covered(crop, fit)
        head = head_map(fit, self._scalp.radii(outline_features(fit)), len(image))
        drawn = inpaint_without_hair(
            self._network,
            self._bodies,
            self._ear,
            self._scalp,
            image,
            hair=hair,
            person=person,
            head=head,
            light=self._scalp.light(texture, hidden),
            skin=skin_tone(texture, hidden),
            male=float(self._faces.labels["sex"][composite.row] == MALE_LABEL),
            beyond=beyond,
        )
        opacity, _ = lost_hair(hair=hair, head=head, amount=1.0)
        shown = image + opacity[..., None] * (drawn.image.astype(np.float32) - image)
        return inner(np.asarray(shown + 0.5, np.uint8))


class InTorch(Engine):
    """A removal network's checkpoint as an engine."""

    backend = "torch"
    precision = "f32"
    inputs = (TensorSpec("given", (1, CHANNELS, None, None), np.dtype(np.float32)),)
    outputs = (TensorSpec("drawn", (1, 3, None, None), np.dtype(np.float32)),)

    def __init__(self, checkpoint: Path) -> None:
        self._network = Removal().eval()
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        load_partly(self._network, state.get("average", state))

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        with torch.inference_mode():
            return {"drawn": self._network(torch.from_numpy(inputs["given"])).numpy()}


def _engine(path: Path) -> Engine:
    return load_engine(path, backend="openvino", precision="f32", threads=1)
