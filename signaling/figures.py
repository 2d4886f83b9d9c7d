"""What a session tells whoever steers it: its settings to begin with, and its figures now and then."""

from __future__ import annotations

from collections.abc import Iterable

from signaling import control
from signaling.peer import Peer
from signaling.settings import ServerSettings
from signaling.stats import Bitrate
from signaling.video import EditedTrack, VideoFilter
from stream.frame import Output


def hello_of(session: str, video: VideoFilter, settings: ServerSettings) -> control.Hello:
    """The first message on a control channel.

    Args:
        session: its id.
        video: what is steered.
        settings: of the server.
    """
    return control.Hello(
        session=session,
        settings=video.look.settings.model_dump(),
        idle=video.look.idle,
        limits=control.Limits(max_frame_pixels=settings.max_frame_pixels, idle_timeout=settings.idle_timeout),
    )


class Figures:
    """The figures of one video, as one peer is told them.

    Args:
        peer: who is told; its bitrates are among them.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._bitrate_in, self._bitrate_out = Bitrate(), Bitrate()

    def of(self, video: VideoFilter, track: EditedTrack) -> control.Stats:
        """The figures now.

        Args:
            video: what is edited.
            track: on which the peer gets it.
        """
        output = video.last_output
        return control.Stats(
            fps_in=video.received.value(),
            fps_out=track.sent.value(),
            received=video.frames,
            dropped=video.dropped,
            edited=video.edited,
            edits_dropped=video.edits_dropped,
            left_out=self._peer.left_out,
            faces=_faces_of(output, video.size) if output and video.size else [],
            size=video.size,
            stages=video.stages.all(),
            layers=video.layers.all(),
            beside=video.beside.means(),
            server_ms=video.output.delays.of("server"),
            bitrate_in=self._bitrate_in.since_last(self._peer.bytes_in),
            bitrate_out=self._bitrate_out.since_last(self._peer.bytes_out),
            reduced=output.reduced if output else "",
            badge=_badge_of(output, video.size) if output and video.size else None,
            obstacles={name: dict(found) for name, found in output.obstacles.items()} if output else {},
        )


def _faces_of(output: Output, size: tuple[int, int]) -> list[control.FaceSeen]:
    return [
        control.FaceSeen(id=face.id, box=_in_picture(face.box, size), edited=face.id in output.edited)
        for face in output.faces
    ]


def _badge_of(output: Output, size: tuple[int, int]) -> control.Box | None:
    badge = output.badge
    return None if badge is None else _in_picture((badge.x0, badge.y0, badge.x1, badge.y1), size)


def _in_picture(box: Iterable[float], size: tuple[int, int]) -> control.Box:
    """A box in pixels as parts of the picture."""
    x0, y0, x1, y1 = (float(value) for value in box)
    width, height = size
    return x0 / width, y0 / height, x1 / width, y1 / height
