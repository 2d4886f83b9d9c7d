"""High dynamic range: tone mapping to what the editors and ordinary screens know, and edits put back into it.

Two transfer functions are in use, PQ (SMPTE ST 2084) and HLG (ARIB STD-B67); ITU-R BT.2100 defines both, over the
primaries of BT.2020. Shown as if they were BT.709 they look washed out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from models.arrays import Floats, Image
from stream.frame import Region

PQ, HLG = 16, 18  # transfer characteristics: ITU-T H.273
BT2020 = 9  # matrix coefficients
LIMITED = 1  # range of samples
NAMES = {PQ: "PQ", HLG: "HLG"}
KEPT_FORMAT = "yuv420p10le"

WHITE_NITS = 203.0  # of diffuse white: ITU-R BT.2408
PEAK_NITS = 1000.0  # brightest that is told apart; of the usual mastering screen
HLG_GAMMA = 1.2  # of a screen of PEAK_NITS: BT.2100, table 5
SCREEN_GAMMA = 2.4  # of a screen for BT.709: ITU-R BT.1886
CUBE = 33  # samples a side of the table
DARKEST = 2e-3  # of SDR white: below, a change says nothing about light

TO_BT709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
"""From linear BT.2020 to linear BT.709: ITU-R BT.2087."""
LUMA2020 = np.array([0.2627, 0.6780, 0.0593])
LUMA709 = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True, slots=True)
class _Pq:
    """Constants of BT.2100, table 4."""

    m1: float = 2610 / 16384
    m2: float = 2523 / 4096 * 128
    c1: float = 3424 / 4096
    c2: float = 2413 / 4096 * 32
    c3: float = 2392 / 4096 * 32
    peak: float = 10_000.0  # nits


@dataclass(frozen=True, slots=True)
class _Hlg:
    """Constants of BT.2100, table 5."""

    a: float = 0.17883277
    b: float = 1 - 4 * 0.17883277
    c: float = 0.55991073


P, H = _Pq(), _Hlg()
Values = NDArray[np.float64]


def pq_to_nits(code: Values) -> Values:
    """Light of a screen for PQ code values of 0..1."""
    power = np.power(np.clip(code, 0, 1), 1 / P.m2)
    return P.peak * np.power(np.maximum(power - P.c1, 0) / (P.c2 - P.c3 * power), 1 / P.m1)


def nits_to_pq(nits: Values) -> Values:
    """Inverse of `pq_to_nits`."""
    power = np.power(np.clip(nits / P.peak, 0, 1), P.m1)
    return np.power((P.c1 + P.c2 * power) / (1 + P.c3 * power), P.m2)


def hlg_to_nits(code: Values) -> Values:
    """Light of a screen of `PEAK_NITS` for (..., 3) HLG code values, R'G'B', of 0..1."""
    code = np.clip(code, 0, 1)
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - H.c) / H.a) + H.b) / 12)
    luma = scene @ LUMA2020
    return PEAK_NITS * np.power(np.maximum(luma, 1e-9), HLG_GAMMA - 1)[..., None] * scene


def nits_to_hlg(nits: Values) -> Values:
    """Inverse of `hlg_to_nits`."""
    shown = np.clip(nits, 0, None) / PEAK_NITS
    luma = shown @ LUMA2020
    scene = np.power(np.maximum(luma, 1e-9), (1 - HLG_GAMMA) / HLG_GAMMA)[..., None] * shown
    high = H.a * np.log(np.maximum(12 * scene - H.b, 1e-9)) + H.c
    return np.clip(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high), 0, 1)


def to_nits(code: Values, transfer: int) -> Values:
    """Light of a screen, linear BT.2020, for (..., 3) code values of 0..1."""
    return pq_to_nits(code) if transfer == PQ else hlg_to_nits(code)


def from_nits(nits: Values, transfer: int) -> Values:
    """Inverse of `to_nits`."""
    return nits_to_pq(nits) if transfer == PQ else nits_to_hlg(nits)


def tone_map(code: Values, transfer: int) -> Values:
    """R'G'B' of BT.709, 0..1, for HDR code values.

    The brightest of the three is put through the curve of ITU-R BT.2390 (section 5.4), which leaves the darker half as
    it is and rolls off towards white; the others follow, so that hues stay.

    Args:
        code: (..., 3), 0..1.
        transfer: `PQ` or `HLG`.
    """
    light = to_nits(code, transfer) @ TO_BT709.T
    luma = (light @ LUMA709)[..., None]
    lowest = light.min(-1, keepdims=True)
    # Colours outside of BT.709 lose saturation rather than a channel.
    light = np.where(lowest < 0, luma + (light - luma) * (luma / np.maximum(luma - lowest, 1e-9)), light)
    shown = light * _gain(light, _rolled_off) / WHITE_NITS
    return np.power(np.clip(shown, 0, 1), 1 / SCREEN_GAMMA)


def _gain(light: Values, curve: Callable[[Values], Values]) -> Values:
    """What (..., 3) light is multiplied with so that its brightest component follows a curve: (..., 1)."""
    brightest = np.maximum(light.max(-1, keepdims=True), 1e-6)
    return curve(brightest) / brightest


def _brightened(nits: Values) -> Values:
    """Inverse of `_rolled_off`; what is brighter than SDR white becomes the peak."""
    light = np.geomspace(1e-6, PEAK_NITS, 2048)
    return np.interp(nits, _rolled_off(light), light)


def _rolled_off(nits: Values) -> Values:
    source, target = (float(code) for code in nits_to_pq(np.array([PEAK_NITS, WHITE_NITS])))
    relative, most = np.minimum(nits_to_pq(nits) / source, 1), target / source
    knee = 1.5 * most - 0.5
    t = np.clip((relative - knee) / (1 - knee), 0, 1)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return pq_to_nits(np.where(relative < knee, relative, curve) * source)


def write_cube(path: Path, transfer: int) -> None:
    """Write `tone_map` as a table that FFmpeg's filter `lut3d` reads."""
    axis = np.linspace(0, 1, CUBE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red changes fastest
    table = tone_map(np.stack([red, green, blue], -1).reshape(-1, 3), transfer)
    path.write_text(f"LUT_3D_SIZE {CUBE}\n" + "".join(f"{r:.6f} {g:.6f} {b:.6f}\n" for r, g, b in table))


class HdrMerge:
    """Puts what was edited in a tone-mapped picture back into the HDR frame that it was made from.

    Args:
        transfer: `PQ` or `HLG`.
    """

    def __init__(self, transfer: int) -> None:
        self._transfer = transfer
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, before: Image, after: Image, regions: Sequence[Region]) -> av.VideoFrame:
        """The frame with its light changed as the picture's was.

        Args:
            frame: yuv420p10le, even size.
            before: (H, W, 3) uint8 BGR, its tone-mapped picture.
            after: the same, edited.
            regions: where they differ. Samples of pixels that are alike in both stay bit for bit.

        Returns:
            A new yuv420p10le frame.
        """
        height, width = frame.height, frame.width
        planes = np.array(frame.to_ndarray(), np.uint16)
        chroma = planes[height:].reshape(2, height // 2, width // 2)
        span = frame.color_range or LIMITED
        codes = self._reformatter.reformat(
            frame, format="rgb48le", src_colorspace=BT2020, src_color_range=span, threads=1
        ).to_ndarray()
        for region in regions:
            x0, y0 = region.x0 & ~1, region.y0 & ~1
            x1, y1 = min(region.x1 + 1 & ~1, width), min(region.y1 + 1 & ~1, height)
            place = np.s_[y0:y1, x0:x1]
            changed = self._relit(codes[place] / 65535, before[place], after[place])
            samples = np.ascontiguousarray(np.round(65535 * changed).astype(np.uint16))
            part = av.VideoFrame.from_ndarray(samples, "rgb48le")
            yuv = self._reformatter.reformat(
                part, format=KEPT_FORMAT, dst_colorspace=BT2020, dst_color_range=span, threads=1
            ).to_ndarray()
            rows, columns = y1 - y0, x1 - x0
            differs = (before[place] != after[place]).any(-1)
            planes[place] = np.where(differs, yuv[:rows], planes[place])
            quads = np.s_[:, y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
            coarse = differs.reshape(rows // 2, 2, columns // 2, 2).any((1, 3))
            chroma[quads] = np.where(coarse, yuv[rows:].reshape(2, rows // 2, columns // 2), chroma[quads])
        merged = av.VideoFrame.from_ndarray(planes, KEPT_FORMAT)
        merged.pts, merged.time_base = frame.pts, frame.time_base
        merged.colorspace, merged.color_range = frame.colorspace, frame.color_range
        merged.color_primaries, merged.color_trc = frame.color_primaries, frame.color_trc
        return merged

    def _relit(self, codes: Values, before: Image, after: Image) -> Values:
        light = to_nits(codes, self._transfer) @ TO_BT709.T
        shown = light * _gain(light, _rolled_off)
        shown *= np.maximum(_linear(after), DARKEST) / np.maximum(_linear(before), DARKEST)
        light = shown * _gain(shown, _brightened)
        same = (before == after).all(-1, keepdims=True)
        return np.where(same, codes, from_nits(np.maximum(light @ np.linalg.inv(TO_BT709).T, 0), self._transfer))


def _linear(image: Image) -> Floats:
    """Linear RGB of a BT.709 picture, (H, W, 3) uint8 BGR."""
    return np.power(image[..., ::-1].astype(np.float32) / 255, SCREEN_GAMMA)
