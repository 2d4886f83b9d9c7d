"""Every supported system gives the numbers of its reference implementation, under weights filled by formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from models import parity
from models.parity import check
from models.published.alae import network as alae
from models.published.pix2pix import network as pix2pix
from models.published.stargan import network as stargan
from models.published.starganv2 import network as starganv2
from models.published.stylegan import mobilestylegan, stylegan1, stylegan2
from models.weights.golden import Golden, Rule, fill

SYSTEMS = (
    "alae_celeba128",
    "alae_ffhq_encoder",
    "e4e_encoder",
    "facestyle_hair_G_c9",
    "formulas",
    "fran_unet",
    "hairmapper",
    "lats_generator",
    "mobilestylegan",
    "pix2pix_unet256_bn",
    "psp_encoder",
    "restyle_e4e",
    "restyle_psp",
    "sam",
    "sefa",
    "stargan_D_c5",
    "stargan_G_c5",
    "stargan_rafd_G_c8",
    "starganv2",
    "styleflow_modellarge",
    "stylegan1_1024",
    "stylegan2_1024",
    "stylegan2_256",
)


@pytest.mark.parametrize("system", SYSTEMS)
def test_parity(shared: Path, system: str) -> None:
    comparisons = list(check(Golden.load(shared / "parity" / f"{system}.npz")))
    assert comparisons
    assert [comparison for comparison in comparisons if not comparison.passed] == []


SEED = 41

M = TypeVar("M", bound=nn.Module)


class Variant:
    """A golden file of another seed and size than the known ones, with the outputs of our own network.

    It shows that the command follows the file; that the network is right is shown by the golden files themselves.
    """

    def __init__(self, folder: Path, system: str) -> None:
        self.folder = folder
        self.system = system
        self.rules: dict[str, Rule] = {}
        self.outputs: dict[str, NDArray[np.float32]] = {}

    def network(self, module: M, prefix: str = "", keys: Mapping[str, str] | None = None) -> M:
        """Fill a network by formula. `keys`: our name -> the file's."""
        state = {}
        for name, tensor in module.state_dict().items():
            key = prefix + (keys or {}).get(name, name)
            if name.endswith(("kernel", "num_batches_tracked", "truncation", "lod", "blur.weight", "filter")):
                self.rules[key] = Rule(tuple(tensor.shape), "fixed", 0, 0, None)
                continue
            kind = ("abs", 1.0, 0.1) if name.endswith("running_var") else ("lin", 0.0, 0.3)
            self.rules[key] = Rule(tuple(tensor.shape), *kind, None)
            state[name] = torch.from_numpy(fill(key, self.rules[key], SEED))
        module.load_state_dict(state, strict=False)
        return module.eval().requires_grad_(False)

    def input(self, name: str, *shape: int, std: float = 0.7) -> torch.Tensor:
        rule = self.rules[f"input.{name}"] = Rule(shape, "lin", 0, std, None)
        return torch.from_numpy(fill(f"input.{name}", rule, SEED))

    def image(self, name: str = "image", batch: int = 1, side: int = 64) -> torch.Tensor:
        fine = self.input(name, batch, 3, side, side, std=0.4)
        coarse = self.input(f"{name}.coarse", batch, 3, side // 16, side // 16, std=0.4)
        return (fine + coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)).clamp(-1, 1)

    def run(self, **outputs: torch.Tensor) -> int:
        """Write the files and run the command on them."""
        (self.folder / "keys").mkdir(exist_ok=True)
        (self.folder / "README.md").write_text(f"# Golden parity data, SEED {SEED}\n")
        rows = [
            f"{key}\t{'x'.join(map(str, rule.shape)) or 'scalar'}\t{rule.kind}\t{rule.a}\t{rule.b}\t-"
            for key, rule in self.rules.items()
        ]
        (self.folder / "keys" / f"{self.system}.tsv").write_text("\n".join(["key\tshape\tkind\ta\tb\tcrc", *rows]))
        arrays: dict[str, Any] = {name: values.numpy() for name, values in outputs.items()}
        np.savez(self.folder / f"{self.system}.npz", **arrays)
        return parity.main([str(self.folder)])


def images(name: str, picture: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """An image without itself, as most are stored."""
    yield f"{name}_mean", picture.double().mean()
    yield f"{name}_std", picture.double().std(correction=0)
    yield f"{name}_first64", picture.flatten()[:64]


def test_stargan_of_other_labels_width_side_and_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    variant = Variant(tmp_path, "stargan_both_G_c3")
    network = variant.network(stargan.Generator(3, width=8, blocks=2))
    image = variant.image(batch=2)
    label = torch.tensor([[0.0, 1.0, 0.5]])
    out = network(image, label.expand(2, -1))
    outputs = {"label_half": label, **dict(images("out_half", out))}
    assert variant.run(**outputs) == 0
    assert "out_half_first64" in capsys.readouterr().out
    assert variant.run(**outputs, out_other=out) == 1
    assert "out_other (not checked)" in capsys.readouterr().out
    assert variant.run(**outputs | {"out_half_mean": out.mean() * 1.01}) == 1


def test_a_discriminator_of_another_side(tmp_path: Path) -> None:
    variant = Variant(tmp_path, "facestyle_mouth_D_c2")
    network = variant.network(stargan.Discriminator(128, 2, width=4))
    patches, logits = network(variant.image(side=128))
    assert variant.run(out_src=patches, out_cls=logits) == 0
    assert variant.run(out_src=patches, out_cls=logits * 1.01) == 1


def test_a_small_stylegan2_with_another_truncation(tmp_path: Path) -> None:
    variant = Variant(tmp_path, "stylegan2_32")
    network = variant.network(stylegan2.Generator(32, 16, channel_multiplier=0.03125, max_channels=16))
    average = variant.input("latent_avg", 16)
    variant.rules["latent_avg"] = variant.rules.pop("input.latent_avg")
    average = torch.from_numpy(fill("latent_avg", variant.rules["latent_avg"], SEED))
    codes, z = variant.input("w_plus", 2, network.rows, 16), variant.input("z", 1, 16)
    w = network.mapping(z)
    outputs = {
        "out": network(codes),
        "w": w,
        "w_truncated": average + 0.5 * (w - average),
        "out_z_trunc05": network(network.repeat(average + 0.5 * (w - average))),
    }
    assert variant.run(**outputs) == 0
    assert variant.run(**outputs | {"w_truncated": average + 0.7 * (w - average)}) == 1


def test_a_small_stylegan1(tmp_path: Path) -> None:
    variant = Variant(tmp_path, "stylegan_256")
    network = variant.network(stylegan1.Generator(32, 16, max_channels=16, base_channels=256))
    codes = variant.input("w_plus", 1, network.rows, 16)
    assert variant.run(out_w_plus=network(codes)) == 0


def test_a_small_alae_without_its_encoder(tmp_path: Path) -> None:
    config = alae.Config(3, 4, 8)
    variant = Variant(tmp_path, "alae_small_decoder")
    decoder = variant.network(alae.Decoder(config), "models/generator_s/")
    mapping = variant.network(alae.MappingNetwork(8, layers=3), "models/mapping_fl_s/")
    w, z = variant.input("w", 2, 1, 8), variant.input("z", 2, 8)
    assert variant.run(dec_noise_false=decoder(w.expand(-1, 6, -1)), w_mapping=mapping(z)) == 0


def test_pix2pix_with_instance_norm(tmp_path: Path) -> None:
    network = pix2pix.UNet(width=4, inputs=1, norm="instance")
    names = {"down": ("model.0", "model.1"), "up": ("model.3", "model.5")}
    keys = {}
    for kind, level, part in (key.split(".") for key in network.state_dict()):
        depth = int(level)
        outermost = names[kind][0] if depth in (0, 7) and (kind == "up" or depth == 0) else names[kind][1]
        path = "model." + ("model.1." + "model.3." * (depth - 1) if depth else "")
        keys[f"{kind}.{level}.{part}"] = f"{path}{outermost}.{part}"
    variant = Variant(tmp_path, "pix2pix_unet256_in")
    variant.network(network, keys=keys)
    fine, coarse = variant.input("image", 1, 1, 256, 256), variant.input("image.coarse", 1, 1, 16, 16)
    image = (fine + coarse.repeat_interleave(16, 2).repeat_interleave(16, 3)).clamp(-1, 1)
    assert variant.run(out_eval=network(image)) == 0


def test_a_small_mobilestylegan(tmp_path: Path) -> None:
    variant = Variant(tmp_path, "mobilestylegan_32")
    student = variant.network(mobilestylegan.Student((16, 16, 8)), "student.")
    mapping = variant.network(mobilestylegan.MappingNetwork(), "mapping_net.")
    w, z, codes = variant.input("w", 1, 512), variant.input("z", 1, 512), variant.input("w_plus8", 1, 8, 512)
    noise = [variant.input(f"noise_{side}", 1 if side == 4 else 2, 1, side, side) for side in (4, 8, 16)]
    outputs = {
        "w": mapping(z),
        "out_w": student(w[:, None].expand(-1, 8, -1), noise),
        "out_w_plus8": student(codes, noise),
    }
    assert variant.run(**outputs) == 0


def test_starganv2_with_other_domains_and_high_pass_blocks(tmp_path: Path) -> None:
    variant = Variant(tmp_path, "starganv2_afhq")
    generator = variant.network(starganv2.Generator(256, 1.0, style=8), "generator/")
    mapping = variant.network(starganv2.MappingNetwork(3, 4, 8), "mapping_network/")
    encoder = variant.network(starganv2.StyleEncoder(256, 3, 8), "style_encoder/")
    image, reference, z = variant.image(side=256), variant.image("reference", side=256), variant.input("z", 1, 4)
    outputs = {
        "style_map_y2": mapping(z)[:, 2],
        "style_ref_y0": encoder(reference)[:, 0],
        **dict(images("out_map_y2", generator(image, mapping(z)[:, 2]))),
    }
    assert variant.run(**outputs) == 0
