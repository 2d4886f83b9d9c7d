"""What the operator of a server can set: by flag, by environment (LATENTCAM_*), or in a TOML file, in that order."""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from signaling.tokens import check_token, read_tokens
from stream.settings import requirement

DEFAULT_FILE = Path("latentcam.toml")


class IceServer(BaseModel):
    """A STUN or TURN server, in the terms of the WebRTC API's RTCIceServer.

    Attributes:
        secret: shared with the TURN server (coturn: static-auth-secret), in place of a username and a credential:
            `ice.with_login` makes logins that expire. Nobody is told it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: list[str] = Field(min_length=1)
    username: str | None = None
    credential: str | None = None
    secret: SecretStr | None = Field(None, min_length=12)

    @field_validator("urls")
    @classmethod
    def _known_scheme(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not url.startswith(("stun:", "stuns:", "turn:", "turns:")):
                raise ValueError(f"{url!r} is not a stun:, stuns:, turn: or turns: URL")
        return urls

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        if self.secret is not None and (self.username is not None or self.credential is not None):
            raise ValueError("a TURN server has a secret, or a username and a credential, not both")
        if self.secret is not None and not all(url.startswith(("turn:", "turns:")) for url in self.urls):
            raise ValueError("a secret is for TURN servers only")
        return self


class ServerSettings(BaseSettings):
    """Settings of one server. Nothing here reaches out to the network by default: no STUN server is set."""

    model_config = SettingsConfigDict(
        env_prefix="LATENTCAM_",
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        cli_prog_name="server.py",
        cli_kebab_case=True,
    )

    config: Path | None = Field(None, description="TOML file with settings; latentcam.toml here is read if it exists")

    host: str = Field("127.0.0.1", description="address that HTTP listens on")
    port: int = Field(8080, ge=0, le=65535, description="port that HTTP listens on; 0 takes a free one")
    open: bool = Field(False, description="open the page in a browser once the server listens")
    root_path: str = Field(
        "",
        pattern="^(/[A-Za-z0-9._~-]+)*$",
        examples=["/faces"],
        description="path that a reverse proxy takes off before it passes requests on",
    )
    token: SecretStr | None = Field(None, description="bearer token that clients must send")
    tokens: FilePath | None = Field(None, description="TOML file of tokens with names and limits")
    metrics_token: SecretStr | None = Field(
        None, description="bearer token for GET /metrics; without one, only this machine may read it"
    )
    tls_cert: FilePath | None = Field(None, description="certificate chain, PEM")
    tls_key: FilePath | None = Field(None, description="private key, PEM")
    lan: bool = Field(
        False, description="serve phones in this network: makes a certificate and a token, and shows a QR code"
    )
    insecure: bool = Field(False, description="listen beyond this machine without token and TLS")
    allowed_origins: Annotated[list[str], NoDecode] = Field(
        [], description="further web origins that may use this server, https://host[:port], comma separated"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
    log_format: Literal["text", "json"] = Field("text", description="how it is logged; json is one object a line")

    max_sessions: int = Field(4, ge=1, le=1024, description="peers at the same time")
    max_viewers: int = Field(8, ge=0, le=1024, description="peers that only watch, at the same time")
    idle_timeout: float = Field(300, gt=0, description="seconds without a video frame before a session ends")
    connect_timeout: float = Field(20, gt=0, description="seconds from the answer to a working connection")
    silence_timeout: float = Field(15, gt=0, description="seconds without any packet before a peer counts as gone")
    max_frame_pixels: int = Field(1920 * 1088, ge=2, description="larger frames end the session, width x height")

    ice_servers: Annotated[list[IceServer], NoDecode] = Field(
        [], description="STUN and TURN servers for both sides, JSON list"
    )
    turn_lifetime: int = Field(
        43_200, ge=60, le=604_800, description="seconds that a login holds which is made of a TURN server's secret"
    )
    bind_addresses: Annotated[list[str], NoDecode] = Field(
        [], description="local addresses for media, comma separated; all of this machine's when empty"
    )
    media_ports: str | None = Field(
        None,
        pattern="^[0-9]{1,5}-[0-9]{1,5}$",
        examples=["50000-50100"],
        description="UDP ports for media, first-last; any free one when not set",
    )
    advertised_address: str | None = Field(
        None, description="public address that media ports are reachable at (1:1 NAT)"
    )
    loopback_candidates: bool | None = Field(
        None,
        description="offer loopback addresses for media; on when HTTP listens on a loopback address",
    )

    codec: Literal["h264", "vp8"] = Field("h264", description="preferred video codec; H264 is cheaper to encode")
    h264_preset: Literal["ultrafast", "superfast", "veryfast"] = Field("ultrafast", description="libx264 preset")
    min_bitrate: int = Field(300_000, ge=50_000, description="floor of the video sent to a peer, bit/s")
    max_bitrate: int = Field(6_000_000, ge=50_000, description="ceiling of the video sent and asked for, bit/s")

    fetch: bool | None = Field(
        None,
        description="let clients download weights to this server; on when only this machine may use it",
    )
    pack: str = Field("embedded", description="face pack: embedded, an InsightFace pack's name, or a directory")
    backend: str = Field("auto", description="engine backend, auto takes the fastest that works here")
    precision: str = Field("auto", description="engine precision")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads per engine")

    sign: bool = Field(
        True, description="sign edited streams with this installation's key, which is made where there is none"
    )
    require_label: Literal["off", "badge", "words"] = Field(
        "off", description="visible label that every edited picture has at least: AI, or AI modified"
    )

    @field_validator("token", "metrics_token")
    @classmethod
    def _hard_to_guess(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None:
            check_token(token.get_secret_value())
        return token

    @field_validator("tokens")
    @classmethod
    def _readable(cls, file: Path | None) -> Path | None:
        if file is not None:
            read_tokens(file)
        return file

    @field_validator("bind_addresses", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return read_json(value)
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("ice_servers", mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        return read_json(value) if isinstance(value, str) else value

    @field_validator("bind_addresses")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        return [str(ipaddress.ip_address(address)) for address in value]

    @field_validator("advertised_address")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else str(ipaddress.ip_address(value))

    @field_validator("media_ports")
    @classmethod
    def _ports(cls, value: str | None) -> str | None:
        if value is not None:
            first, last = map(int, value.split("-"))
            if not 1024 <= first <= last <= 65535:
                raise ValueError("ports go from 1024 to 65535, the first before the last")
        return value

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs both a certificate (tls_cert) and a key (tls_key)")
        if not self.local and not self.insecure and (not self.protected or self.tls_cert is None):
            raise ValueError(
                f"listening on {self.host} needs a token and TLS (token or tokens, tls_cert, tls_key), "
                "or insecure to say that this network is trusted"
            )
        if self.min_bitrate > self.max_bitrate:
            raise ValueError("min_bitrate is above max_bitrate")
        return self

    @property
    def protected(self) -> bool:
        """Whether clients need a token."""
        return self.token is not None or self.tokens is not None

    @property
    def local(self) -> bool:
        """Whether HTTP listens on this machine only."""
        return is_loopback(self.host)

    @property
    def ports(self) -> range | None:
        """UDP ports that media may use; None for any."""
        if self.media_ports is None:
            return None
        first, last = map(int, self.media_ports.split("-"))
        return range(first, last + 1)

    @property
    def loopback(self) -> bool:
        """Whether loopback addresses are offered for media."""
        return self.local if self.loopback_candidates is None else self.loopback_candidates

    @property
    def fetching(self) -> bool:
        """Whether clients may have weights downloaded here: strangers must not fill the disk."""
        return (self.local and not self.allowed_origins) if self.fetch is None else self.fetch

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings

    @classmethod
    def load(cls, arguments: Sequence[str]) -> Self:
        """Read flags, environment and file.

        Args:
            arguments: the command line without the program's name.

        Raises:
            pydantic.ValidationError: a setting is wrong; the message names it.
            SystemExit: --help was asked for, or a flag is unknown.
        """

        class FromCommandLine(cls):  # type: ignore[valid-type, misc]
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,
                file_secret_settings: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                flags: CliSettingsSource[object] = CliSettingsSource(
                    settings_cls,
                    cli_parse_args=list(arguments),
                    cli_implicit_flags=True,
                    cli_hide_none_type=True,  # or what may be None gets no --no-... flag
                )
                named = flags().get("config") or os.environ.get("LATENTCAM_CONFIG")
                if named and not Path(named).is_file():
                    raise SystemExit(f"no such settings file: {named}")
                check_toml(Path(named or DEFAULT_FILE))
                return flags, env_settings, TomlConfigSettingsSource(settings_cls, Path(named or DEFAULT_FILE))

        return FromCommandLine()


def read_json(text: str) -> object:
    """What a text in JSON says.

    Raises:
        ValueError: it is no JSON; the message says where.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"must be a list in JSON: {error}") from None


def check_toml(file: Path) -> None:
    """Check that a file of settings, if it exists, is TOML.

    Raises:
        SystemExit: it is not, or may not be read; the message says where.
    """
    if not file.is_file():
        return
    try:
        tomllib.loads(file.read_text("utf-8"))
    except UnicodeDecodeError:
        raise SystemExit(f"{file} is no TOML file: it is no text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SystemExit(f"{file} is no TOML file: {error}") from None
    except OSError as error:
        raise SystemExit(f"{file} cannot be read: {error.strerror}") from None


def problems(error: ValidationError) -> list[str]:
    """What is wrong with settings of the server, one line each, in words for its operator."""
    schema = ServerSettings.model_json_schema()
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"])
        wanted = _schema_at(schema, problem["loc"])
        if problem["type"] == "value_error":
            said = str(problem["ctx"]["error"])
        elif problem["type"] == "path_not_file":
            said = "there is no such file"
        elif wanted is None:
            said = "there is no such setting"
        elif problem["type"] == "missing":
            said = "has to be set"
        else:
            said = requirement(wanted)
        lines.append(f"{name}: {said}" if name else said)
    return lines


def _schema_at(schema: dict[str, Any], place: Sequence[int | str]) -> dict[str, Any] | None:
    """The JSON schema of what lies at a place in what `schema` describes; None where there is nothing of that name."""
    at: dict[str, Any] | None = schema
    for part in place:
        at = at and (at.get("items") if isinstance(part, int) else at.get("properties", {}).get(part))
        if at and "$ref" in at:
            at = schema["$defs"][at["$ref"].rpartition("/")[2]]
    return at


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
