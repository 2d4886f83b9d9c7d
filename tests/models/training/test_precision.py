from __future__ import annotations

import pytest
import torch

from models.training.precision import autocast, has_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [("DEFAULT", torch.float32), ("AVX2", torch.float32), ("AVX512", torch.bfloat16), ("AVX512_VNNI", torch.bfloat16)],
)
def test_a_processor_without_bfloat16_trains_in_float32(
    monkeypatch: pytest.MonkeyPatch, capability: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    with autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_a_gpu_trains_in_bfloat16() -> None:
    assert has_bfloat16(torch.device("cuda"))
