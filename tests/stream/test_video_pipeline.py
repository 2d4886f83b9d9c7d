"""Video frames of any format through the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest

from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.video_pipeline import VideoPipeline
from tests.stream.conftest import Person, World, look_of

Make = Callable[[World], Pipeline]


def video_frame(world: World, pts: int, pixel_format: str = "yuv420p") -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(world.picture(), format="bgr24").reformat(format=pixel_format)
    frame.pts, frame.time_base = pts, Fraction(1, 90000)
    return frame


def test_an_untouched_video_frame_is_the_same_object(make_pipeline: Make, world: World) -> None:
    frame = video_frame(world, 3000)
    edited, _ = VideoPipeline(make_pipeline(world)).process(frame, look_of(Settings(editor="tint")))
    assert edited is frame


def test_video_samples_outside_the_edit_are_bit_exact_and_time_is_kept(
    make_pipeline: Make, world: World, tint: Settings
) -> None:
    frame = video_frame(world, 3000)
    edited, output = VideoPipeline(make_pipeline(world)).process(frame, look_of(tint))
    assert (edited.pts, edited.time_base) == (frame.pts, frame.time_base)
    before, after = frame.to_ndarray()[:240], edited.to_ndarray()[:240]
    assert (before != after).any()
    (region,) = output.regions
    same = np.ones_like(before, bool)
    same[region.y0 & ~1 : region.y1 + 1, region.x0 & ~1 : region.x1 + 1] = False
    np.testing.assert_array_equal(before[same], after[same])


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuvj420p", "yuv444p", "nv12", "rgb24", "rgba", "gray", "yuv420p10le"]
)
def test_every_pixel_format_is_taken(make_pipeline: Make, world: World, tint: Settings, pixel_format: str) -> None:
    edited, output = VideoPipeline(make_pipeline(world)).process(video_frame(world, 0, pixel_format), look_of(tint))
    assert output.edited
    assert edited.format.name == "yuv420p"


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (2, 400), (33, 17)])
def test_odd_sizes_pass(make_pipeline: Make, tint: Settings, size: tuple[int, int]) -> None:
    world = World(size=size, people=[Person((size[1] / 2, size[0] / 2), 12)])
    edited, _ = VideoPipeline(make_pipeline(world)).process(video_frame(world, 0), look_of(tint))
    assert (edited.height, edited.width) == size
