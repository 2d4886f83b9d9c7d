"""Between PyAV's video frames and the pipeline's pictures, without a second generation where nothing was edited."""

from __future__ import annotations

from collections.abc import Sequence

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from models.arrays import Image
from stream.frame import Region

BT601 = (0, 2, 5, 6)  # AVColorSpace: RGB, unspecified, BT.470BG, SMPTE 170M
FULL_RANGE = 2  # AVColorRange JPEG


class VideoConverter:
    """Converts the frames of one stream; its reformatter is reused, as a new one for every frame loses memory."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def to_bgr(self, frame: av.VideoFrame) -> Image:
        """The picture of a video frame of any pixel format, as (H, W, 3) uint8 BGR; transparent parts over black."""
        converted = self._reformatter.reformat(frame, format="bgr24", src_color_range=frame.color_range, threads=1)
        return np.asarray(converted.to_ndarray(), np.uint8)

    def with_regions(self, frame: av.VideoFrame, image: Image, regions: Sequence[Region]) -> av.VideoFrame:
        """A copy of a video frame with some regions replaced.

        Args:
            frame: the frame as it came.
            image: (H, W, 3) uint8 BGR, its edited picture.
            regions: where they differ. For planar 4:2:0 frames the samples outside (grown to even
                pixels) are copied bit for bit.

        Returns:
            A yuv420p frame with the time of `frame`; a bgr24 one, without loss, where that is what came.
        """
        if frame.format.name == "bgr24":
            edited = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        elif frame.format.name == "yuv420p" and frame.width % 2 == 0 and frame.height % 2 == 0:
            edited = av.VideoFrame.from_ndarray(self._paste(frame, image, regions), format="yuv420p")
        else:
            whole = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
            edited = self._to_yuv(whole, frame)
        edited.colorspace, edited.color_range = frame.colorspace, frame.color_range
        edited.color_primaries, edited.color_trc = frame.color_primaries, frame.color_trc
        edited.pts, edited.time_base = frame.pts, frame.time_base
        return edited

    def _paste(self, frame: av.VideoFrame, image: Image, regions: Sequence[Region]) -> Image:
        width, height = frame.width, frame.height
        planes = np.asarray(frame.to_ndarray(), np.uint8)
        luma = planes[:height]
        chroma = planes[height:].reshape(2, height // 2, width // 2)
        for region in regions:
            x0, y0 = region.x0 & ~1, region.y0 & ~1
            x1, y1 = min(region.x1 + 1 & ~1, width), min(region.y1 + 1 & ~1, height)
            part = self._to_i420(np.ascontiguousarray(image[y0:y1, x0:x1]), frame)
            rows = y1 - y0
            luma[y0:y1, x0:x1] = part[:rows]
            chroma[:, y0 // 2 : y1 // 2, x0 // 2 : x1 // 2] = part[rows:].reshape(2, rows // 2, (x1 - x0) // 2)
        return planes

    def _to_i420(self, image: Image, frame: av.VideoFrame) -> Image:
        if _matrix(frame) is None and frame.color_range != FULL_RANGE:
            return cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
        part = av.VideoFrame.from_ndarray(image, format="bgr24")
        return np.asarray(self._to_yuv(part, frame).to_ndarray(), np.uint8)

    def _to_yuv(self, picture: av.VideoFrame, like: av.VideoFrame) -> av.VideoFrame:
        return self._reformatter.reformat(
            picture,
            format="yuv420p",
            dst_colorspace=_matrix(like),
            dst_color_range=like.color_range,
            interpolation=Interpolation.AREA,
            threads=1,
        )


def _matrix(frame: av.VideoFrame) -> int | None:
    """The colour matrix a frame names, or None for BT.601, which is what an unnamed one means in a video call."""
    return None if frame.colorspace in BT601 else int(frame.colorspace)
