"""The pipeline over PyAV's video frames: pictures are converted here, at the edge, and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable

import av
import numpy as np

from stream.frame import Frame, Output
from stream.look import Look
from stream.pipeline import Pipeline
from stream.yuv import VideoConverter

DEFAULT_FRAME_S = 1 / 30
"""Seconds from a frame to the next one where frames have no time."""


class VideoPipeline:
    """Edits the video frames of one stream. Called from one thread."""

    def __init__(self, pipeline: Pipeline, clock: Callable[[], float] = time.perf_counter) -> None:
        """Wrap a pipeline, which belongs to this object from now on.

        Args:
            pipeline: of this stream.
            clock: seconds, for the trace.
        """
        self._pipeline = pipeline
        self._clock = clock
        self._converter = VideoConverter()
        self._time = 0.0

    def process(
        self, video: av.VideoFrame, look: Look, interval: float = 0.0, waited: float = 0.0
    ) -> tuple[av.VideoFrame, Output]:
        """Edit a video frame of any pixel format.

        Args:
            video: a decoded frame; its `pts` and `time_base` are the clock.
            look: as for `Pipeline.process`.
            interval: seconds between two frames of the camera, as far as known: a live pipeline leaves out work that
                does not fit in.
            waited: seconds for which the stream waited for its turn among others.

        Returns:
            The very frame that came in when nothing was edited, else a yuv420p frame with its time; and what was done.
        """
        self._time = self._time + DEFAULT_FRAME_S if video.time is None else float(video.time)
        started = self._clock()
        image = np.empty((0, 0, 3), np.uint8) if look.settings.bypass else self._converter.to_bgr(video)
        converted = self._clock()
        output = self._pipeline.process(Frame(image, self._time), look)
        processed = self._clock()
        edited = self._converter.with_regions(video, output.image, output.regions) if output.regions else video
        ended = self._clock()
        output.trace.add("convert", started, converted)
        output.trace.add("convert", processed, ended)
        self._pipeline.adapt(waited + ended - started, interval)
        return edited, output

    @property
    def load(self) -> float:
        """Share of the time between two camera frames that the mean frame's work takes."""
        return self._pipeline.load

    def close(self) -> None:
        """Forget every face and frame."""
        self._pipeline.close()
