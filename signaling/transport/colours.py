"""What the numbers of a picture mean: in H264's own headers, and beside VP8, which cannot say it.

VP8 knows one colour space, BT.601 in limited range. Browsers say what else a picture is in an RTP header extension,
http://www.webrtc.org/experiments/rtp-hdrext/color-space: primaries, transfer, matrix (a byte each, the code points of
ITU-T H.273), and a byte with the range in bits 4 and 5. The last packet of a frame carries it where something changes;
a key frame without it takes it back.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import av
from aiortc import RTCRtpSender, RTCRtpTransceiver
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap, pack_header_extensions, unpack_header_extensions
from av.video.codeccontext import VideoCodecContext

from signaling.transport.sections import section_of

COLOUR_SPACE = "http://www.webrtc.org/experiments/rtp-hdrext/color-space"
ONE_BYTE_IDS = range(1, 15)  # RFC 8285, section 4.2
LENGTHS = (4, 28)  # bytes of the extension; the longer one has HDR metadata after the same four

UNSPECIFIED = 2
BT709 = 1
BT601 = 6  # SMPTE 170M, as primaries, transfer and matrix
LIMITED_RANGE, FULL_RANGE = 1, 2
PRIMARIES = frozenset({1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22})
TRANSFERS = frozenset({1, 2, *range(4, 19)})
MATRICES = frozenset({1, 2, 4, 5, 6, 7, 9})
"""Those of YUV that FFmpeg converts."""


class Colours(NamedTuple):
    """What the numbers of a picture mean, in the code points of ITU-T H.273.

    Attributes:
        primaries, transfer, matrix: colour primaries, transfer characteristics, matrix coefficients.
        range: 1 limited, 2 full.
    """

    primaries: int
    transfer: int
    matrix: int
    range: int

    @staticmethod
    def of(frame: av.VideoFrame) -> Colours:
        """The colours of a YUV frame.

        An unspecified matrix counts as BT.601, unspecified primaries and transfer as those that go with the matrix.
        """
        matrix = BT601 if frame.colorspace in (0, UNSPECIFIED) else int(frame.colorspace)
        usual = BT709 if matrix == BT709 else BT601
        primaries, transfer = (
            usual if code in (0, UNSPECIFIED) else int(code) for code in (frame.color_primaries, frame.color_trc)
        )
        return Colours(primaries, transfer, matrix, int(frame.color_range) or LIMITED_RANGE)

    @staticmethod
    def unpack(data: bytes) -> Colours | None:
        """The colours that a header extension says; None where it says nothing that can be converted."""
        if len(data) not in LENGTHS:
            return None
        primaries, transfer, matrix, kinds = data[:4]
        said = Colours(primaries, transfer, matrix, kinds >> 4 & 3)
        known = primaries in PRIMARIES and transfer in TRANSFERS and matrix in MATRICES
        return said if known and said.range in (LIMITED_RANGE, FULL_RANGE) else None

    def pack(self) -> bytes:
        """The header extension that says them. Where chroma samples lie is left unspecified."""
        return bytes([self.primaries, self.transfer, self.matrix, self.range << 4])

    def tag(self, target: VideoCodecContext | av.VideoFrame) -> None:
        """Write them into a frame, or into the stream that an encoder is about to open."""
        target.color_primaries, target.color_trc = self.primaries, self.transfer
        target.colorspace, target.color_range = self.matrix, self.range


PLAIN_VP8 = Colours(BT601, BT601, BT601, LIMITED_RANGE)
"""What VP8 means that comes without the header extension."""


class ColourSpaceMap(HeaderExtensionsMap):  # type: ignore[misc]
    """aiortc's map of header extensions, which also reads and writes the colour space.

    Attributes:
        sent: what outgoing packets say; None for nothing. Every packet says it: seven bytes.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.sent: Colours | None = None

    def get(self, extension_profile: int, extension_value: bytes) -> HeaderExtensions:
        values = super().get(extension_profile, extension_value)
        for number, value in unpack_header_extensions(extension_profile, extension_value):
            if number == self._number:
                values.colour_space = Colours.unpack(value)
        return values

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        profile, packed = super().set(values)
        if self.sent is None:
            return profile, packed
        return pack_header_extensions([*unpack_header_extensions(profile, packed), (self._number, self.sent.pack())])


class ReceivedColours:
    """Follows what the frames of one VP8 stream say of their colours, and tags the decoded ones."""

    def __init__(self) -> None:
        self._current: Colours | None = None

    def hear(self, said: Colours | None, *, key: bool) -> None:
        """Take what the next frame to be decoded says."""
        if said is not None or key:
            self._current = said

    def tag(self, frame: av.VideoFrame) -> None:
        if self._current is not None:
            self._current.tag(frame)


def take_colour_space(offer: str, transceiver: RTCRtpTransceiver) -> None:
    """Take the header extension for colours where an offer has it for a video. Before the answer.

    Args:
        offer: from `offers.read_offer`.
        transceiver: of a video, negotiated; nothing has started.
    """
    own = section_of(offer, transceiver.mid)
    found = re.search(rf"(?m)^a=extmap:([0-9]{{1,2}}) {re.escape(COLOUR_SPACE)}\s*$", own)
    if found is None or int(found[1]) not in ONE_BYTE_IDS:
        return
    number = int(found[1])
    transceiver._headerExtensions.append(RTCRtpHeaderExtensionParameters(id=number, uri=COLOUR_SPACE))
    transceiver.receiver.transport._rtp_header_extensions_map = ColourSpaceMap(number)
    transceiver.sender._RTCRtpSender__rtp_header_extensions_map = ColourSpaceMap(number)


def say_colours(sender: RTCRtpSender, colours: Colours) -> None:
    """Have the packets that follow say what their picture's colours are, once they are not VP8's own.

    Args:
        sender: of a video that goes out as VP8.
        colours: of the picture.
    """
    extensions = sender._RTCRtpSender__rtp_header_extensions_map
    if isinstance(extensions, ColourSpaceMap) and (extensions.sent is not None or colours != PLAIN_VP8):
        extensions.sent = colours
