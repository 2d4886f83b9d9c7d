"""Read a stranger's SDP offer, and say in words what is wrong with it.

Every line is checked by itself, in one pass, against the grammar of its attribute, and what WebRTC does not need is
left out. aiortc parses the description that comes out, once: its own parser compares lines with one another and
expands wildcards, so that a few kB cost it minutes and gigabytes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

MAX_BYTES = 64 * 1024
MEDIA_KINDS = ("video", "audio", "application")
NO_ADDRESS = "IN IP4 0.0.0.0"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one media section may hold. Browsers stay below half of each."""

    lines: int = 2000  # of the whole description
    line: int = 2048  # characters
    payload_types: int = 96
    feedback: int = 16  # kinds of feedback per payload type
    feedback_of_all: int = 768  # feedback lines after wildcards are expanded
    extensions: int = 64
    candidates: int = 64
    sources: int = 64  # SSRCs
    source_groups: int = 32
    fingerprints: int = 8
    layers: int = 8  # of a simulcast


LIMITS = Limits()


class BadOffer(ValueError):
    """An offer cannot be answered; the message says why, for whoever wrote the client.

    Args:
        message: may quote the offer.
        logged: what a log may say of it, where the message has an address, a password or other words of the peer.

    Attributes:
        logged: as given, or the message.
    """

    def __init__(self, message: str, logged: str = "") -> None:
        super().__init__(message)
        self.logged = logged or message


def read_offer(sdp: str, directions: Collection[str] = ("sendrecv", "sendonly")) -> str:
    """Check an offer for what every session needs (one video), and write it anew with what aiortc needs of it.

    Candidates that browsers hide behind multicast DNS names are left out: looking one up costs a second and rarely
    works, and the peer's own checks tell its address (peer-reflexive candidate). So are other host names, which would
    be looked up on the event loop, and TCP. Candidates may come late, so the end of candidates, after which ICE would
    give up, is left out as well.

    Args:
        sdp: session description (RFC 8866) from a stranger, at most `MAX_BYTES`.
        directions: what the video may be, and the audio unless it is inactive; by default the peer sends it.

    Returns:
        The offer, for `RTCPeerConnection.setRemoteDescription`.

    Raises:
        BadOffer: it is malformed, repeats what may be said once, is longer than `LIMITS`, or holds nothing to edit.
    """
    if not sdp.startswith("v=0"):
        raise BadOffer('not an SDP session description: it must start with "v=0"')
    lines = sdp.splitlines()  # at more than line feeds, as aiortc does
    if len(lines) > LIMITS.lines:
        raise BadOffer(f"more than {LIMITS.lines} lines")
    session = _Session()
    for number, line in enumerate(lines, start=1):
        if len(line) > LIMITS.line:
            raise BadOffer(f"malformed SDP: line {number} has more than {LIMITS.line} characters")
        try:
            session.read(line)
        except _Malformed as error:
            where = f"malformed SDP: line {number}, "
            raise BadOffer(f"{where}{line[:60]!r}{error}", where + _name_of(line)) from None
    _check_media(session, directions)
    return session.written()


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a peer says about ICE after its offer: RFC 8840, section 9.

    Attributes:
        username, password: of its side of ICE; "" where it does not say them.
        candidates: as `a=candidate` says them, without those that `read_offer` leaves out.
    """

    username: str
    password: str
    candidates: tuple[str, ...]


def read_fragment(text: str) -> Fragment:
    """Check a stranger's `application/trickle-ice-sdpfrag`.

    All media are bundled, so that all candidates are of one transport.

    The end of candidates is no news: what is hidden or late may come all the same (see `read_offer`).

    Args:
        text: at most `MAX_BYTES`.

    Raises:
        BadOffer: it is malformed, or longer than `LIMITS`.
    """
    lines = text.splitlines()
    if len(lines) > LIMITS.lines:
        raise BadOffer(f"more than {LIMITS.lines} lines")
    media, said = _Media(), dict[str, str]()
    for number, line in enumerate(lines, start=1):
        if len(line) > LIMITS.line:
            raise BadOffer(f"malformed fragment: line {number} has more than {LIMITS.line} characters")
        try:
            found = ATTRIBUTE.fullmatch(line.rstrip())
            if found is None:
                if line.strip() and not re.match("[a-z]=", line):
                    raise _Malformed("")
                continue
            name, value = found[1], found[2] or ""
            if name == "candidate":
                media.read_candidate(value)
            elif name in ("ice-ufrag", "ice-pwd"):
                _match(ONCE[name], value)
                if said.setdefault(name, value) != value:
                    raise _Malformed(f": a={name} is said twice: media must be bundled")
        except _Malformed as error:
            where = f"malformed fragment: line {number}, "
            raise BadOffer(f"{where}{line[:60]!r}{error}", where + _name_of(line)) from None
    return Fragment(said.get("ice-ufrag", ""), said.get("ice-pwd", ""), tuple(media.candidates))


class _Malformed(ValueError):
    """A line does not follow its grammar."""


NUMBER = "[0-9]{1,10}"
TOKEN = "[!-~]+"
TEXT = r"[^\x00-\x1f\x7f]*"
ATTRIBUTE = re.compile(r"a=([a-z0-9-]+)(?::(.*))?", re.ASCII)
MEDIA = re.compile(rf"m=({TOKEN}) ({NUMBER}) ([A-Z/]+) ({TEXT})", re.ASCII)
CONNECTION = re.compile(rf"IN IP[46] ({TOKEN})", re.ASCII)
RTCP = re.compile(rf"({NUMBER})(?: IN IP[46] ({TOKEN}))?", re.ASCII)
CANDIDATE = re.compile(
    rf"({TOKEN}) ({NUMBER}) ({TOKEN}) ({NUMBER}) ({TOKEN}) ({NUMBER}) typ ({TOKEN})((?: {TOKEN})*) *",
    re.ASCII,
)
RTPMAP = re.compile(rf"({NUMBER}) ([!-.0-~]+)/({NUMBER})(?:/({NUMBER}))?", re.ASCII)
FMTP = re.compile(rf"({NUMBER})(?: ({TEXT}))?")
FEEDBACK = re.compile(rf"(\*|{NUMBER}) ({TOKEN})(?: ({TEXT}))?")
EXTENSION = re.compile(rf"({NUMBER})(?:/[a-z]+)? ({TOKEN})(?: {TEXT})?")
SOURCE = re.compile(rf"({NUMBER}) ([!-9;-~]+)(?::({TEXT}))?")  # RFC 5576
SOURCE_GROUP = re.compile(rf"({TOKEN})((?: {NUMBER})+)")
LAYER = re.compile(rf"([A-Za-z0-9_-]{{1,32}}) (send|recv)(?: ({TEXT}))?")  # RFC 8851
SIMULCAST = re.compile(r"(send|recv) ([A-Za-z0-9_~,;-]{1,256})(?: (send|recv) ([A-Za-z0-9_~,;-]{1,256}))?")  # RFC 8853
GROUP = re.compile(rf"({TOKEN})((?: {TOKEN})*) *")
NAME = re.compile(r"(?=.*\.)[A-Za-z0-9.-]{4,253}", re.ASCII)
CANDIDATE_TYPES = ("host", "srflx", "prflx", "relay")
SOURCE_ATTRIBUTES = ("cname", "msid", "mslabel", "label")
WHOLE_PARAMETERS = ("apt", "max-fr", "max-fs", "maxplaybackrate", "minptime", "stereo", "useinbandfec")

# Attributes that one section says once, with their grammar: RFC 8839, 8842, 8843, 8841, 8830.
ONCE = {
    "ice-ufrag": re.compile("[!-~]{1,256}"),
    "ice-pwd": re.compile("[!-~]{1,256}"),
    "setup": re.compile("actpass|active|passive"),
    "mid": re.compile("[!-~]{1,64}"),
    "msid": re.compile(TEXT),
    "sctp-port": re.compile(NUMBER),
    "max-message-size": re.compile("[0-9]{1,19}"),
}
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
OTHERS = (*DIRECTIONS, "fingerprint", "group", "msid-semantic")
"""Attributes that are read as well."""
FINGERPRINT = re.compile(f"({TOKEN}) ([0-9A-Fa-f:]+)")


def _name_of(line: str) -> str:
    """The attribute of a line, "a=candidate", or its type, "c="; nothing that a peer may choose."""
    found = ATTRIBUTE.fullmatch(line.rstrip())
    if found is not None and (found[1] in READERS or found[1] in ONCE or found[1] in OTHERS):
        return f"a={found[1]}"
    return line[:2] if line[:2] in ("a=", "c=", "m=") else "of no known type"


def _match(pattern: re.Pattern[str], value: str) -> re.Match[str]:
    if found := pattern.fullmatch(value):
        return found
    raise _Malformed("")


def _within(value: str, low: int, high: int, what: str) -> int:
    if not low <= int(value) <= high:
        raise _Malformed(f": {what} is from {low} to {high}")
    return int(value)


def _few(held: Collection[object], most: int, what: str) -> None:
    if len(held) >= most:
        raise BadOffer(f"more than {most} {what}")


def _check_host(host: str) -> None:
    """Check that a host is an IP address or a name with a dot, as multicast DNS has. Nothing is sent there.

    Raises:
        _Malformed: it is neither.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not NAME.fullmatch(host):
            raise _Malformed(f": {host[:60]!r} is no IP address, and no full name of a host") from None


@dataclass(slots=True)
class _Section:
    """What is said for the whole session, or for one medium."""

    once: dict[str, str] = field(default_factory=dict)
    fingerprints: list[str] = field(default_factory=list)

    def attribute(self, name: str, value: str) -> None:
        """Read an attribute that both may have; others are left out."""
        if name in ONCE:
            _match(ONCE[name], value)
            if name != "msid" or name not in self.once:  # RFC 8830: a track may be of several streams
                self.say_once(name, value)
        elif name == "fingerprint":
            _match(FINGERPRINT, value)
            _few(self.fingerprints, LIMITS.fingerprints, "fingerprints in one section")
            self.fingerprints.append(value)

    def say_once(self, name: str, value: str) -> None:
        if name in self.once:
            raise _Malformed(f": a={name} is said twice")
        self.once[name] = value


@dataclass(slots=True)
class _Media(_Section):
    kind: str = ""
    profile: str = ""
    formats: list[str] = field(default_factory=list)
    direction: str | None = None
    rtcp_mux: bool = False
    codecs: dict[int, str] = field(default_factory=dict)
    parameters: dict[int, str] = field(default_factory=dict)
    feedback: dict[int | None, list[str]] = field(default_factory=dict)  # None: of all payload types
    extensions: dict[int, str] = field(default_factory=dict)
    sources: dict[tuple[int, str], str] = field(default_factory=dict)
    source_groups: list[str] = field(default_factory=list)
    candidates: dict[str, None] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)  # direction per RID
    simulcast: dict[str, str] | None = None  # RIDs per direction

    def attribute(self, name: str, value: str) -> None:
        reader = READERS.get(name)
        if reader is not None:
            reader(self, value)
        elif name in DIRECTIONS:
            if self.direction is not None:
                raise _Malformed(": the direction is said twice")
            self.direction = name
        elif name == "rtcp-mux":
            self.rtcp_mux = True
        else:
            _Section.attribute(self, name, value)
            if name == "sctp-port":
                _within(value, 1, 65535, "an SCTP port")

    def read_candidate(self, value: str) -> None:
        found = _match(CANDIDATE, value)
        _within(found[2], 1, 256, "a component")
        _within(found[4], 0, 2**32 - 1, "a priority")
        _within(found[6], 0, 65535, "a port")
        try:
            ipaddress.ip_address(found[5])
        except ValueError:
            return
        if found[3].lower() != "udp" or found[7] not in CANDIDATE_TYPES:
            return
        named = found[8].split()
        related = dict(zip(named[::2], named[1::2], strict=False))
        written = " ".join(found[i] for i in range(1, 7)) + f" typ {found[7]}"
        if "raddr" in related and related.get("rport", "").isdecimal():
            written += f" raddr {related['raddr'][:64]} rport {_within(related['rport'][:10], 0, 65535, 'a port')}"
        if written not in self.candidates:
            _few(self.candidates, LIMITS.candidates, "a=candidate lines")
            self.candidates[written] = None

    def read_rtpmap(self, value: str) -> None:
        found = _match(RTPMAP, value)
        payload_type = _within(found[1], 0, 127, "a payload type")
        if payload_type in self.codecs:
            raise _Malformed(f": payload type {payload_type} is said twice")
        _few(self.codecs, LIMITS.payload_types, "a=rtpmap lines")
        self.codecs[payload_type] = value[len(found[1]) + 1 :]

    def read_fmtp(self, value: str) -> None:
        found = _match(FMTP, value)
        payload_type = _within(found[1], 0, 127, "a payload type")
        if payload_type in self.parameters:
            raise _Malformed(f": the parameters of payload type {payload_type} are said twice")
        parameters = found[2] or ""
        for parameter in parameters.split(";"):
            name, equals, number = parameter.partition("=")
            if equals and name in WHOLE_PARAMETERS and not re.fullmatch(NUMBER, number):
                raise _Malformed(f": {name} is not a whole number")
        self.parameters[payload_type] = parameters

    def read_feedback(self, value: str) -> None:
        found = _match(FEEDBACK, value)
        payload_type = None if found[1] == "*" else _within(found[1], 0, 127, "a payload type")
        told = self.feedback.setdefault(payload_type, [])
        what = value[len(found[1]) + 1 :]
        if what not in told:
            _few(told, LIMITS.feedback, "a=rtcp-fb lines for one payload type")
            told.append(what)

    def read_extension(self, value: str) -> None:
        found = _match(EXTENSION, value)
        number = _within(found[1], 1, 255, "the number of a header extension")
        if number in self.extensions:
            raise _Malformed(f": header extension {number} is said twice")
        _few(self.extensions, LIMITS.extensions, "a=extmap lines")
        self.extensions[number] = found[2]

    def read_source(self, value: str) -> None:
        found = _match(SOURCE, value)
        number = _within(found[1], 0, 2**32 - 1, "an SSRC")
        _few(self.sources, 4 * LIMITS.sources, "a=ssrc lines")
        if found[2] in SOURCE_ATTRIBUTES:
            self.sources[number, found[2]] = found[3] or ""

    def read_source_group(self, value: str) -> None:
        found = _match(SOURCE_GROUP, value)
        for number in found[2].split():
            _within(number, 0, 2**32 - 1, "an SSRC")
        _few(self.source_groups, LIMITS.source_groups, "a=ssrc-group lines")
        self.source_groups.append(value)

    def read_layer(self, value: str) -> None:
        found = _match(LAYER, value)
        if found[1] in self.layers:
            raise _Malformed(f": layer {found[1]} is said twice")
        _few(self.layers, LIMITS.layers, "a=rid lines")
        self.layers[found[1]] = found[2]

    def read_simulcast(self, value: str) -> None:
        found = _match(SIMULCAST, value.strip())
        if self.simulcast is not None or found[1] == found[3]:
            raise _Malformed(": the simulcast is said twice")
        self.simulcast = {found[1]: found[2]} | ({found[3]: found[4]} if found[3] else {})

    def read_rtcp(self, value: str) -> None:
        found = _match(RTCP, value)
        _within(found[1], 0, 65535, "a port")
        if found[2]:
            _check_host(found[2])

    def written(self, session: _Section) -> list[str]:
        """The section's lines, with what the whole session says put in.

        Raises:
            BadOffer: wildcards make more feedback than `LIMITS.feedback_of_all`.
        """
        once = {**session.once, **self.once}
        lines = [f"m={self.kind} 9 {self.profile} {' '.join(self.formats)}", f"c={NO_ADDRESS}"]
        lines += [f"a={self.direction or 'sendrecv'}"]  # RFC 8866 section 6.7
        lines += [f"a=extmap:{number} {uri}" for number, uri in self.extensions.items()]
        if self.kind != "application":
            lines += [f"a=rtcp:9 {NO_ADDRESS}"]  # aiortc wants it beside a=rtcp-mux
        lines += ["a=rtcp-mux"] if self.rtcp_mux else []
        lines += [f"a=ssrc-group:{group}" for group in self.source_groups]
        lines += [f"a=ssrc:{number} {name}:{value}" for (number, name), value in self.sources.items()]
        expanded = 0
        for payload_type, codec in self.codecs.items():
            lines.append(f"a=rtpmap:{payload_type} {codec}")
            told = dict.fromkeys(self.feedback.get(payload_type, []) + self.feedback.get(None, []))
            expanded += len(told)
            lines += [f"a=rtcp-fb:{payload_type} {what}" for what in told]
            if self.parameters.get(payload_type, "").strip():
                lines.append(f"a=fmtp:{payload_type} {self.parameters[payload_type]}")
        if expanded > LIMITS.feedback_of_all:
            raise BadOffer(f"more than {LIMITS.feedback_of_all} a=rtcp-fb lines, counted for each payload type")
        lines += self._simulcast_written()
        lines += [f"a=candidate:{candidate}" for candidate in self.candidates]
        lines += [f"a={name}:{once[name]}" for name in ONCE if name in once]
        lines += [f"a=fingerprint:{one}" for one in session.fingerprints + self.fingerprints]
        return lines

    def _simulcast_written(self) -> list[str]:
        """The layers that the peer sends, if they are said in full (RFC 8853, section 5.1)."""
        sent = (self.simulcast or {}).get("send", "")
        rids = [rid.removeprefix("~") for rid in re.split("[;,]", sent)] if sent else []
        if not rids or not all(self.layers.get(rid) == "send" for rid in rids):
            return []
        return [f"a=rid:{rid} send" for rid in rids] + [f"a=simulcast:send {sent}"]


READERS: dict[str, Callable[[_Media, str], None]] = {
    "candidate": _Media.read_candidate,
    "rtpmap": _Media.read_rtpmap,
    "fmtp": _Media.read_fmtp,
    "rtcp-fb": _Media.read_feedback,
    "extmap": _Media.read_extension,
    "ssrc": _Media.read_source,
    "ssrc-group": _Media.read_source_group,
    "rtcp": _Media.read_rtcp,
    "rid": _Media.read_layer,
    "simulcast": _Media.read_simulcast,
}


@dataclass(slots=True)
class _Session(_Section):
    media: list[_Media] = field(default_factory=list)
    bundle: list[str] | None = None
    streams: str = ""
    ice_lite: bool = False

    def read(self, line: str) -> None:
        """Read one line.

        Raises:
            _Malformed: it does not follow its grammar.
            BadOffer: there are too many of its kind, or its media kind is unknown.
        """
        if line.startswith("m="):
            self.media.append(_read_media(line, len(self.media)))
        elif line.startswith("c="):
            _check_host(_match(CONNECTION, line[2:].rstrip())[1].partition("/")[0])
        elif line.startswith("a="):
            found = ATTRIBUTE.fullmatch(line.rstrip())
            if found is None:
                return  # of a standard that is not ours
            name, value = found[1], found[2] or ""
            if self.media:
                self.media[-1].attribute(name, value)
            elif name == "group":
                group = _match(GROUP, value)
                if group[1] == "BUNDLE" and self.bundle is None:
                    self.bundle = group[2].split()
            elif name == "msid-semantic":
                _match(GROUP, value.strip())
                self.streams = value.strip()
            elif name == "ice-lite":
                self.ice_lite = True
            elif name != "mid":
                self.attribute(name, value)

    def written(self) -> str:
        lines = ["v=0", f"o=- 0 0 {NO_ADDRESS}", "s=-", "t=0 0"]
        lines += ["a=ice-lite"] if self.ice_lite else []
        lines += [f"a=group:BUNDLE {' '.join(self.bundle)}"] if self.bundle else []
        lines += [f"a=msid-semantic:{self.streams}"] if self.streams else []
        for media in self.media:
            lines += media.written(self)
        return "\r\n".join(lines) + "\r\n"


def _read_media(line: str, before: int) -> _Media:
    found = _match(MEDIA, line.rstrip())
    kind, formats = found[1], found[4].split()
    if kind not in MEDIA_KINDS:
        raise BadOffer(
            f"media of kind {kind[:60]!r} is not supported: offer one video, at most one audio",
            "media of an unknown kind",
        )
    if before >= len(MEDIA_KINDS):
        raise BadOffer(f"more than {len(MEDIA_KINDS)} media: offer one video, at most one audio and one data channel")
    if kind == "application":
        if found[3] == "DTLS/SCTP":  # of older clients: the format is the port
            if not formats or not re.fullmatch(NUMBER, formats[0]):
                raise _Malformed("")
            _within(formats[0], 1, 65535, "an SCTP port")
        return _Media(kind=kind, profile=found[3], formats=formats[:1])
    if len(formats) > 128:
        raise BadOffer("more than 128 payload types in one section")
    for payload_type in formats:
        if not re.fullmatch(NUMBER, payload_type):
            raise _Malformed("")
        _within(payload_type, 0, 127, "a payload type")
        if 72 <= int(payload_type) <= 76:
            raise _Malformed(": payload types 72 to 76 are RTCP's (RFC 5761)")
    return _Media(kind=kind, profile=found[3], formats=formats)


def _check_media(offer: _Session, directions: Collection[str]) -> None:
    kinds = [media.kind for media in offer.media]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise BadOffer(f"more than one {kind} section: offer one video, at most one audio and one data channel")
    if "video" not in kinds:
        raise BadOffer("there is no video section: nothing to edit")
    mids = [media.once.get("mid", "") for media in offer.media]
    if not all(mids) or len(set(mids)) != len(mids):
        raise BadOffer("every media section needs its own a=mid")
    bundled = mids[:1] if offer.bundle is None else offer.bundle
    if sorted(bundled) != sorted(mids):
        raise BadOffer("all media sections must be bundled (a=group:BUNDLE with every a=mid)")
    for media in offer.media:
        said = {**offer.once, **media.once}
        if not ("ice-ufrag" in said and "ice-pwd" in said):
            raise BadOffer(f"the {media.kind} section has no ICE credentials (a=ice-ufrag, a=ice-pwd)")
        if "setup" not in said or not (offer.fingerprints or media.fingerprints):
            raise BadOffer(f"the {media.kind} section has no DTLS fingerprint or setup (a=fingerprint, a=setup)")
        if media.kind != "application" and not media.rtcp_mux:
            raise BadOffer(f"the {media.kind} section does not multiplex RTCP (a=rtcp-mux)")
        if media.kind == "application" and media.profile != "DTLS/SCTP" and "sctp-port" not in media.once:
            raise BadOffer("the application section has no a=sctp-port")
        for payload_type in media.parameters.keys() - media.codecs.keys():
            raise BadOffer(f"malformed SDP: a=fmtp of payload type {payload_type}, which has no a=rtpmap")
        allowed = {"video": directions, "audio": (*directions, "inactive")}.get(media.kind)
        direction = media.direction or "sendrecv"
        if allowed is not None and direction not in allowed:
            raise BadOffer(f"the {media.kind} is {direction}: offer {' or '.join(directions)} here")
