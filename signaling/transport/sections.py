"""The parts of an SDP: what holds for the session, and one section for each medium."""

from __future__ import annotations

import re

_START = re.compile(r"(?m)^(?=m=)")
_MID = re.compile(r"(?m)^a=mid:(\S+)\s*$")


def sections(sdp: str) -> list[str]:
    """The session's part, and then those of the media in their order. Joined, they are the SDP again."""
    return _START.split(sdp)


def section_of(sdp: str, mid: str) -> str:
    """The section of a medium by its identification (RFC 8843); "" if there is none."""
    return next((one for one in sections(sdp)[1:] if (found := _MID.search(one)) and found[1] == mid), "")
