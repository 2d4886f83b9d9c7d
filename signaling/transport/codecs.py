"""Take H264 of any profile and packetization mode, and send the one that every decoder takes.

aiortc compares profiles and modes as if they said what it can decode, and refuses a peer whose profile it does not
send. FFmpeg decodes them all, and a decoder of any profile decodes constrained baseline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiortc import RTCRtpTransceiver
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from signaling.transport.levels import HIGHEST, LEVELS, Level, level_for, level_of
from signaling.transport.sections import sections

CONSTRAINED_BASELINE = "42e01f"  # profile_idc, constraint flags, level_idc: RFC 6184, section 8.1
UNKNOWN = "000000"  # aiortc takes no such profile
PROFILES = {66, 77, 88, 100, 110, 122, 244, 44}
"""profile_idc: baseline, main, extended, high, high 10, high 4:2:2, high 4:4:4, CAVLC 4:4:4."""
DYNAMIC = range(96, 128)
"""Payload types that aiortc keeps; it answers others by numbers of its own, which are in use already."""
WITHIN_ASYMMETRY = "level-asymmetry-allowed"
RTPMAP = re.compile(r"^a=rtpmap:([0-9]+) ([^/\r\n]+)/", re.ASCII | re.MULTILINE)
FMTP = re.compile(r"a=fmtp:([0-9]+) (.*)", re.ASCII)
TAKEN = {
    "video": "H264 (any profile, packetization mode 0 or 1, payload types from 96 to 127), VP8",
    "audio": "opus, G722, PCMU, PCMA",
}


@dataclass(frozen=True, slots=True)
class H264Format:
    """What one payload type of H264 means: RFC 6184, section 8.1.

    Attributes:
        profile: the first four digits of `profile-level-id`.
        level: highest that its sender decodes.
        mode: packetization mode, 0 or 1.
        asymmetric: whether the answer may say a higher level.
        said: whether the offer names the mode and the profile.
    """

    profile: str
    level: Level
    mode: int
    asymmetric: bool
    said: bool

    @staticmethod
    def read(parameters: str) -> H264Format | None:
        """The format of an `a=fmtp` line's parameters; None if it cannot be received."""
        named = {
            name.strip().lower(): value.strip()
            for name, _, value in (one.partition("=") for one in parameters.split(";"))
        }
        mode, id = named.get("packetization-mode", "0"), named.get("profile-level-id", CONSTRAINED_BASELINE)
        if mode not in ("0", "1") or not re.fullmatch("[0-9a-fA-F]{6}", id) or int(id[:2], 16) not in PROFILES:
            return None
        level = level_of(int(id[4:], 16), bool(int(id[2:4], 16) & 0x10))
        if level is None:
            return None
        return H264Format(
            id[:4].lower(), level, int(mode), named.get(WITHIN_ASYMMETRY) == "1", bool(parameters.strip())
        )

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Sorts the best one first: without a limit on packets, and what we send by its own name."""
        return self.mode == 0, self.profile != CONSTRAINED_BASELINE[:4], not self.profile.startswith("42")

    def answer(self, ours: Level) -> dict[str, int | str | None]:
        """The parameters of the answer.

        Args:
            ours: highest level that is received here.
        """
        level = ours if self.asymmetric else min(ours, self.level, key=LEVELS.index)
        parameters: dict[str, int | str | None] = {"profile-level-id": f"{self.profile}{level.idc:02x}"}
        if self.mode or self.said:
            parameters = {"packetization-mode": str(self.mode), **parameters}
        return {WITHIN_ASYMMETRY: "1", **parameters} if self.asymmetric else parameters


def parameters_of(offer: str) -> dict[int, str]:
    """The parameters of each H264 payload type of an offer, "" where it has none.

    Args:
        offer: from `offers.read_offer`, or a section of it.
    """
    types = [int(number) for number, name in RTPMAP.findall(offer) if name.upper() == "H264"]
    said = {int(found[1]): found[2] for found in map(FMTP.fullmatch, offer.splitlines()) if found}
    return {number: said.get(number, "") for number in types}


def formats_of(offer: str) -> dict[int, H264Format | None]:
    """The H264 payload types of an offer; None for those that cannot be received.

    Args:
        offer: from `offers.read_offer`.
    """
    return {
        number: H264Format.read(said) if number in DYNAMIC else None for number, said in parameters_of(offer).items()
    }


def understandable(offer: str) -> str:
    """An offer that aiortc takes: every H264 that can be received says that it is constrained baseline.

    Args:
        offer: from `offers.read_offer`.
    """
    formats = formats_of(offer)
    lines = []
    for line in offer.splitlines():
        parameters = FMTP.fullmatch(line)
        if parameters is not None and int(parameters[1]) in formats:
            continue
        lines.append(line)
        codec = RTPMAP.match(line)
        if codec is not None and int(codec[1]) in formats:
            profile = CONSTRAINED_BASELINE if formats[int(codec[1])] is not None else UNKNOWN
            lines.append(f"a=fmtp:{codec[1]} packetization-mode=1;profile-level-id={profile}")
    return "\r\n".join(lines) + "\r\n"


def choose_codecs(transceiver: RTCRtpTransceiver, offer: str, wanted: str, largest: int) -> None:
    """Order the codecs that both sides have, best first, and give H264 back its profiles. Call it before the answer.

    Args:
        transceiver: of a video, after `understandable` was applied.
        offer: as it was before.
        wanted: "h264" or "vp8": leads if the peer has it.
        largest: macroblocks of the largest picture that is received here.
    """
    formats = formats_of(offer)
    offered = {int(number): name.upper() for number, name in RTPMAP.findall(offer)}
    # aiortc gives a payload type below 96, which browsers use when they run out of others, a number of its own.
    negotiated: list[RTCRtpCodecParameters] = [
        codec for codec in transceiver._codecs if offered.get(codec.payloadType) == codec.name.upper()
    ]

    def rank(codec: RTCRtpCodecParameters) -> tuple[bool, tuple[bool, ...]]:
        format = formats.get(codec.payloadType)
        return codec.name.lower() != wanted, format.rank if format is not None else ()

    repairs = {codec.parameters.get("apt"): codec for codec in negotiated if codec.name.lower() == "rtx"}
    ordered = []
    for codec in sorted((one for one in negotiated if one.name.lower() != "rtx"), key=rank):
        format = formats.get(codec.payloadType)
        if format is not None:
            codec.parameters = format.answer(level_for(largest))
        ordered += [codec, repairs[codec.payloadType]] if codec.payloadType in repairs else [codec]
    transceiver._codecs = ordered


def sent_format(offer: str, payload_type: int) -> H264Format:
    """How to send H264 to the peer: the mode of the payload type, the highest level of all that it offers.

    The levels of an offer are those of one decoder.
    """
    formats = {number: format for number, format in formats_of(offer).items() if format is not None}
    chosen = formats.get(payload_type)
    if chosen is None:
        return H264Format(CONSTRAINED_BASELINE[:4], HIGHEST, 1, asymmetric=True, said=True)
    highest = max((format.level for format in formats.values()), key=LEVELS.index)
    return H264Format(chosen.profile, highest, chosen.mode, chosen.asymmetric, chosen.said)


def no_common_codec(offer: str) -> str:
    """What to tell a peer none of whose codecs is taken."""
    words = []
    for section in sections(offer)[1:]:
        kind = section[2:].partition(" ")[0]
        if kind not in TAKEN:
            continue
        names = list(dict.fromkeys(name[:20] for _, name in RTPMAP.findall(section) if name.lower() != "rtx"))
        unknown = [said for said in parameters_of(section).values() if H264Format.read(said) is None]
        detail = f" ({unknown[0][:80]!r} is no H264 that can be decoded)" if unknown else ""
        words.append(f"{kind}: offered {', '.join(names[:20]) or 'nothing'}{detail}; taken {TAKEN[kind]}")
    return "no codec in common; " + "; ".join(words)
