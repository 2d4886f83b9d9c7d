"""NVIDIA's network pickles: read without running them, or refused; never numpy's or torch's own crash."""

from __future__ import annotations

import contextlib
import pickle
import sys
import tempfile
import types
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.weights import pickles
from models.weights.checkpoints import CheckpointError

WORDS = (
    *(b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"ccollections\nOrderedDict\n", b"ctorch\nSize\n", b"csystem\nx\n"),
    *(
        b"b",
        b"R",
        b"\x81",
        b")",
        b"(",
        b"t",
        b"\x85",
        b"\x86",
        b"\x87",
        b"}",
        b"s",
        b"r\xff\xff\xff\x7f",
        b"\x88",
        b"N",
    ),
    *(b"f4", b"f8", b"O8", b"V8", b">", b"<", b"J\xff\xff\xff\xff", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
)
MOST = 1 << 22
"""Bytes of tensors that the small seeds may become."""


def seeds() -> list[bytes]:
    """Small pickles as NVIDIA's programs write them: TensorFlow's variables in three protocols, PyTorch's modules."""
    with _programs() as (network, persistent):
        variables = {
            "4x4/Const/const": np.arange(12, dtype=np.float32).reshape(1, 3, 4),
            "dlatent_avg": np.asfortranarray(np.ones((2, 3))),
            "lod": np.float32(2.5),
            "big": np.array([1, 2], ">i4"),
        }
        part = network({"variables": list(variables.items()), "components": {}})
        whole = (network({}), network({}), network({"variables": [], "components": {"synthesis": part}}))
        tensor = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
        child = persistent({"_parameters": {"weight": tensor}, "_buffers": OrderedDict(), "_modules": {}})
        module = persistent({"_parameters": {}, "_buffers": {}, "_modules": {"fc": child}})
        return [pickle.dumps(whole, protocol) for protocol in (2, 3, 4)] + [pickle.dumps({"G_ema": module}, 2)]


@contextlib.contextmanager
def _programs() -> Iterator[tuple[Any, Any]]:
    """Classes that pickle like NVIDIA's, importable while they are written."""
    names = ("dnnlib.tflib.network", "torch_utils.persistence")
    found = [sys.modules.setdefault(name, types.ModuleType(name)) for name in (*names, "dnnlib", "torch_utils")]
    network = type("Network", (), {"__module__": names[0], "__init__": lambda self, state: self.__dict__.update(state)})

    def rebuild(meta: object) -> None:
        """Named in the pickle only."""

    rebuild.__module__, rebuild.__qualname__ = names[1], "_reconstruct_persistent_obj"
    parts: dict[str, Any] = {
        "__init__": lambda self, state: setattr(self, "state", state),
        "__reduce__": lambda self: (rebuild, ({"type": "class", "state": self.state},)),
    }
    persistent = type("P", (), parts)
    found[0].Network, found[1]._reconstruct_persistent_obj = network, rebuild  # type: ignore[attr-defined]
    try:
        yield network, persistent
    finally:
        for module in found:
            del sys.modules[module.__name__]


PATH = Path(tempfile.mkdtemp(prefix="fuzz-pickles-")) / "network.pkl"


def target(data: bytes) -> None:
    """Read a pickle as both programs' and look at every value.

    Raises:
        AssertionError: it became larger than a file of that size can be.
        Exception: anything but a refusal.
    """
    PATH.write_bytes(data)
    try:
        for index in (-1, 0):
            variables = pickles.read_tensorflow(PATH, index)
            assert sum(value.nbytes for value in variables.values()) <= MOST
            assert all(value.dtype == np.float32 and value.sum() is not None for value in variables.values())
    except CheckpointError:
        pass
    with contextlib.suppress(CheckpointError):
        tensors = pickles.read_ada(PATH)
        assert sum(value.numel() for value in tensors.values()) <= MOST
        for value in tensors.values():
            value.clone()
