import numpy as np
import torch

from models.editor import Edit
from models.face_space import SIZE, FaceSpace
from models.training.ager import new_ager
from models.training.apply import apply_edit
from models.training.data import FaceSet
from models.training.degrade import degrade
from models.training.face_space import measure_geometry
from models.training.pairs import YOUNGER, Pairs
from models.training.reader import reader_loss


def test_apply_edit_is_exact_where_the_mask_is_zero():
    generator = np.random.default_rng(0)
    camera = generator.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    mask = np.zeros((32, 32), np.float32)
    mask[8:16] = 1
    flow = np.ones((32, 32, 2), np.float32)
    delta = np.full((32, 32, 3), 7, np.float32)
    done = apply_edit(Edit(mask=mask, flow=flow, delta=delta), camera)
    np.testing.assert_array_equal(done[mask == 0], camera[mask == 0])
    np.testing.assert_array_equal(done[8:16, :31], np.minimum(camera[9:17, 1:].astype(int) + 7, 255))


def test_degrading_repeats_with_its_seed_and_keeps_the_shape():
    picture = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    once, again = (degrade(picture, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert once.shape == picture.shape
    assert once.dtype == np.uint8


def test_pairs_survive_the_disk(tmp_path):
    pairs = Pairs(np.array([3, 4]), np.array([9, YOUNGER]), np.float32([20, -15]), np.float32([0.6, 0.7]))
    pairs.save(tmp_path / "pairs.npz")
    read = Pairs.load(tmp_path / "pairs.npz")
    np.testing.assert_array_equal(read.donor, [9, YOUNGER])
    np.testing.assert_array_equal(read.shift, pairs.shift)


def test_an_untrained_ager_draws_the_statistics_of_the_sex():
    generator = np.random.default_rng(0)
    colour = generator.normal(0, 0.1, (2, SIZE, SIZE, 3)).astype(np.float32)
    none = np.zeros((2, SIZE, SIZE), np.float32)
    network = new_ager(colour, none, none[0]).eval()
    texture = torch.rand(2, 3, SIZE, SIZE) * 255
    with torch.no_grad():
        older, younger = network(texture, torch.zeros(2, 1, SIZE, SIZE), torch.tensor([[0.0], [1.0]]))
    for sex in range(2):
        np.testing.assert_allclose(older[sex].numpy(), 0.9 * colour[sex].transpose(2, 0, 1), atol=1e-5)
        np.testing.assert_allclose(younger[sex].numpy(), -colour[sex].transpose(2, 0, 1), atol=1e-5)


def test_unknown_attributes_cost_nothing():
    read = torch.zeros(2, 8)
    wanted = torch.zeros(2, 8)
    wanted[:, [1, 4, 5]] = torch.nan
    assert reader_loss(read, wanted).item() == 0
    wanted[0, 0] = 0.5
    assert reader_loss(read, wanted).item() > 0


def test_geometry_is_measured_from_meshes_alone(shared):
    faces = FaceSet.load(shared)
    tables = measure_geometry(faces, faces.split("train")[:300])
    space = FaceSpace.from_tables(tables)
    np.testing.assert_allclose(space.weights.sum(2), 1, atol=1e-4)
    row = int(faces.split("val")[0])
    placed = space.fit(faces.mesh[row]).points[:468]
    assert np.abs(placed - faces.mesh[row, :468]).mean() < 2
