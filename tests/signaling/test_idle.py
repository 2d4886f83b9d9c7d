"""What nobody asked for costs nothing: an idle server, a stream without an edit, one that nobody watches; no pool is
larger than the processor quota.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from skimage import data

from engines import cores
from engines.backends import onnxruntime, openvino, torch_cuda
from engines.onnx_file import open_network
from signaling.transport import decoders, encoders
from stream.runtime import LANDMARKS, Runtime, RuntimeSettings
from stream.settings import Settings
from tests.test_server import running

IDLE_S = 2.0


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    cache = tmp_path_factory.mktemp("cache")
    runtime = Runtime.load(RuntimeSettings(backend="onnxruntime", threads=1, cache_dir=cache))
    yield runtime
    runtime.close()


def camera(count: int) -> Iterator[av.VideoFrame]:
    """A face at 30 fps."""
    picture = np.ascontiguousarray(data.astronaut()[..., ::-1])  # type: ignore[no-untyped-call]
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index * 3000, Fraction(1, 90_000)
        yield frame


@pytest.mark.parametrize(
    ("settings", "runs"),
    [({}, False), ({"bypass": True, "controls": {"age": 75}}, False), ({"controls": {"age": 75}}, True)],
    ids=["no control moved", "bypass", "an edit"],
)
def test_a_stream_runs_networks_for_an_edit_only(runtime: Runtime, settings: dict[str, Any], runs: bool) -> None:
    pipeline = runtime.video_pipeline()
    look = runtime.look(Settings(), settings)
    before = sum(load.requests for load in runtime.loads().values())
    for frame in camera(4):
        edited, _ = pipeline.process(frame, look, 1 / 30)
        assert runs or edited is frame
    pipeline.close()
    assert (sum(load.requests for load in runtime.loads().values()) > before) is runs


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's account of processor time")
def test_a_server_without_sessions_hardly_wakes() -> None:
    """A thousandth of a second each time that it wakes; some virtual machines take two for waking alone."""
    with running() as (process, url):
        assert httpx.get(f"{url}/livez").status_code == 200
        threads = Path(f"/proc/{process.pid}/task")

        def used() -> float:
            return sum(int((each / "schedstat").read_text().split()[0]) for each in threads.iterdir()) / 1e9

        def woken() -> int:
            status = "".join((each / "status").read_text() for each in threads.iterdir())
            return sum(int(times) for times in re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE))

        time.sleep(0.3)  # what the request left behind
        before, since = (used(), woken()), time.monotonic()
        time.sleep(IDLE_S)
        seconds = time.monotonic() - since
        assert (woken() - before[1]) / seconds <= 15
        assert (used() - before[0]) / seconds <= 0.05


@pytest.mark.parametrize("quota", [1, 2])
def test_no_pool_is_larger_than_the_quota(monkeypatch: pytest.MonkeyPatch, quota: int) -> None:
    for module in (encoders, decoders, openvino, onnxruntime, torch_cuda):
        assert module.usable_cores is cores.usable_cores  # the quota of this process, which the next line replaces
        monkeypatch.setattr(module, "usable_cores", lambda: quota)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    for threads in (None, 1, 64):
        assert openvino._settings("f32", threads)["INFERENCE_NUM_THREADS"] <= quota
        assert _onnxruntime_pool(threads) <= quota
        assert _torch_pool(threads) <= quota
    for codec in ("H264", "VP8"):
        decoder = decoders.bounded(RTCRtpCodecParameters(f"video/{codec}", 90_000, payloadType=97), 1920 * 1080)
        assert decoder.codec.thread_count == quota
    frame = av.VideoFrame.from_ndarray(np.zeros((720, 1280, 3), np.uint8), format="bgr24")
    frame.pts, frame.time_base = 0, Fraction(1, 90_000)
    both: tuple[Any, ...] = (
        encoders.LiveH264Encoder("ultrafast", 300_000, 3_000_000),
        encoders.LiveVp8Encoder(300_000, 3_000_000),
    )
    for encoder in both:
        encoder.encode(frame.reformat(format="yuv420p"))
        assert encoder.codec is not None
        assert encoder.codec.thread_count <= quota


def _onnxruntime_pool(threads: int | None) -> int:
    """Threads of a session."""
    engine = onnxruntime.OnnxRuntimeEngine(open_network(LANDMARKS), "f32", None, threads)
    size: int = engine._session.get_session_options().intra_op_num_threads
    assert size > 0, "0 leaves it to the library"
    return size


def _torch_pool(threads: int | None) -> int:
    """Threads of the process's pool."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    before = torch.get_num_threads()
    try:
        torch_cuda.TorchEager(open_network(LANDMARKS), threads)
        return int(torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
