"""Messages of the data channel "control", version 1: JSON text, settings in, stats out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from signaling.stats import Percentiles

VERSION: Literal[1] = 1
LABEL = "control"
MAX_MESSAGE = 16_384  # characters
MESSAGES_PER_SECOND = 30.0
MESSAGE_BURST = 60.0

Box = tuple[float, float, float, float]
Id = Annotated[int, Field(ge=0, le=2**53)] | None


class ControlError(ValueError):
    """A message was refused; the session goes on.

    Attributes:
        code: what kind of refusal.
        id: the message's own id, if it could be read.
    """

    def __init__(self, code: Literal["bad_message", "too_large"], reason: str, id: int | None = None) -> None:
        super().__init__(reason)
        self.code: Literal["bad_message", "too_large"] = code
        self.id = id


class FromClient(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    v: Annotated[int, Field(ge=VERSION, le=VERSION)]  # a Literal[1] would be true as well
    id: Id = None


class ChangeSettings(FromClient):
    """Change some settings; `controls`, if given, replaces all controls."""

    type: Literal["settings"]
    settings: dict[str, Any] = Field(max_length=64)


class Ping(FromClient):
    """Asks for a `Pong` with the same `t`."""

    type: Literal["ping"]
    t: float


class WantStats(FromClient):
    """How often stats are wanted, in seconds; 0 turns them off."""

    type: Literal["stats"]
    every: float = Field(ge=0, le=10)

    @property
    def interval(self) -> float | None:
        """Seconds between stats, at least 0.2; None when they are off."""
        return max(0.2, self.every) if self.every else None


class WantOverlay(FromClient):
    """How often an `Overlay` is wanted, in seconds; 0 turns it off."""

    type: Literal["overlay"]
    every: float = Field(ge=0, le=10)

    @property
    def interval(self) -> float | None:
        """Seconds between overlays, at least 0.1; None when they are off."""
        return max(0.1, self.every) if self.every else None


AnyMessage = ChangeSettings | Ping | WantStats | WantOverlay
ClientMessage = Annotated[AnyMessage, Field(discriminator="type")]
_CLIENT_MESSAGE: TypeAdapter[AnyMessage] = TypeAdapter(ClientMessage)


class ToClient(BaseModel):
    model_config = ConfigDict(frozen=True)

    v: Literal[1] = VERSION


class Limits(BaseModel):
    """What the server takes."""

    max_message: int = MAX_MESSAGE
    messages_per_second: float = MESSAGES_PER_SECOND
    max_frame_pixels: int
    idle_timeout: float


class Hello(ToClient):
    type: Literal["hello"] = "hello"
    session: str
    settings: dict[str, Any]
    limits: Limits
    idle: str = ""


class SettingsNow(ToClient):
    """The answer to `ChangeSettings`: all settings, as they are now, and why they change nothing, empty if they do."""

    type: Literal["settings"] = "settings"
    id: Id
    settings: dict[str, Any]
    idle: str = ""


class Refused(ToClient):
    """A message was refused; everything stays as it was."""

    type: Literal["error"] = "error"
    id: Id = None
    code: Literal["bad_setting", "bad_message", "too_large", "too_many"]
    field: str | None = None
    reason: str
    allowed: Any = None


class Pong(ToClient):
    type: Literal["pong"] = "pong"
    id: Id
    t: float


class FaceSeen(BaseModel):
    """A face of the newest frame, and whether it is edited; box x0, y0, x1, y1 in 0..1 of the picture."""

    id: int
    box: Box
    edited: bool = False


class Stats(ToClient):
    """Rates a second, delays in milliseconds, bitrates in bit/s. `server_ms` is from decoder to encoder; `reduced` says
    what is left out to keep up with the camera, and is empty when nothing is. `edits_dropped` counts edits and readings
    that came to nothing because other sessions kept the engines busy, `left_out` packets of streams that are not shown
    (smaller layers of a simulcast). `badge` is where the visible mark stands: a mirrored view turns it back.
    `layers` is what each layer takes of a frame's time, `beside` the mean of what it takes for each beside the stream.
    `obstacles` says which controls change no face now, and why: by the editor, then by the control.
    """

    type: Literal["stats"] = "stats"
    fps_in: float
    fps_out: float
    received: int
    dropped: int
    edited: int
    edits_dropped: int = 0
    left_out: int = 0
    faces: list[FaceSeen]
    size: tuple[int, int] | None
    stages: dict[str, Percentiles]
    layers: dict[str, Percentiles] = {}
    beside: dict[str, float] = {}
    server_ms: Percentiles | None
    bitrate_in: int
    bitrate_out: int
    reduced: str = ""
    badge: Box | None = None
    obstacles: dict[str, dict[str, str]] = {}


class OutlineDrawn(BaseModel):
    """The edge of a part of a mask, closed; points as of `FaceDrawn`."""

    mask: str
    points: str


class FaceDrawn(BaseModel):
    """Lines over a face. Points are packed by `signaling.overlay.pack_points`; "" for none.

    `mesh` has the 478 points of the face mesh, `quad` the corners of the crop that an editor is given.
    """

    id: int
    edited: bool
    mesh: str
    quad: str
    outlines: list[OutlineDrawn]


class Overlay(ToClient):
    """What lies behind the newest frame, and milliseconds of its stages; `detected` if the detector ran on it."""

    type: Literal["overlay"] = "overlay"
    faces: list[FaceDrawn]
    stages: dict[str, float]
    detected: bool


class Claimed(ToClient):
    """What the newest frames say of themselves: a signed statement (COSE_Sign1) in base64, every two seconds.

    In H264 the same statement is in the stream; VP8 has no place for it.
    """

    type: Literal["claim"] = "claim"
    claim: str


class Bye(ToClient):
    """The server ends the session, or, with the reason "ended", what a viewer watches has ended.

    With the reason "moving" it ends in a few seconds: whoever posts an offer meanwhile goes on at another replica.
    """

    type: Literal["bye"] = "bye"
    reason: Literal["idle", "shutdown", "error", "ended", "moving"]
    detail: str | None = None


def parse(text: str | bytes) -> AnyMessage:
    """Read one message from a stranger.

    Raises:
        ControlError: it is too large, not text, not JSON, or not a message of this version.
    """
    if len(text) > MAX_MESSAGE:
        raise ControlError("too_large", f"a message has at most {MAX_MESSAGE} characters")
    if isinstance(text, bytes):
        raise ControlError("bad_message", "messages are JSON text, not binary")
    try:
        return _CLIENT_MESSAGE.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = WORDS.get(first["type"], "this is of another type")
        raise ControlError("bad_message", f"{where}: {said}" if where else said, _id_of(text)) from None


WORDS = {
    "json_invalid": "this is not JSON",
    "missing": "this is missing",
    "extra_forbidden": "there is no such field",
    "union_tag_invalid": "a message's type is settings, ping, stats or overlay",
    "union_tag_not_found": "a message's type is settings, ping, stats or overlay",
    "too_long": "this is too long",
    "greater_than_equal": "this number is out of range",
    "less_than_equal": "this number is out of range",
    "finite_number": "this number is out of range",
}
"""What is wrong with a message or a part of it, by pydantic's kind of error."""


def _id_of(text: str) -> int | None:
    """The id of a message that is otherwise wrong, so that its sender can tell which one it was."""
    try:
        return _OnlyId.model_validate_json(text).id
    except ValidationError:
        return None


class _OnlyId(BaseModel):
    model_config = ConfigDict(strict=True)

    id: Id = None
