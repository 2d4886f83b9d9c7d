"""Bearer tokens with names and limits, from a TOML file that is read again when it changes.

```toml
[studio]                              # a name, for logs and limits
sha256 = "9f86d0818..."               # of the token, or: token = "..."
sessions = 2
viewers = 4
editors = ["embedded", "hair"]
expires = 2027-01-31T00:00:00Z
metrics = false                       # whether it may read GET /metrics
```

`python -m signaling.tokens studio` makes a token and prints its table.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import re
import secrets
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from stream.settings import SettingsError

logger = logging.getLogger(__name__)

SHORTEST_TOKEN = 12  # characters; shorter ones can be guessed over the network
MOST_TOKENS = 10_000
READ_AGAIN_S = 1.0  # between two looks at the file
NAME = re.compile("[A-Za-z0-9_-]{1,32}")


def check_token(secret: str) -> None:
    """Check that a token can be sent in a header and is hard to guess.

    Raises:
        ValueError: it is not.
    """
    if not (len(secret) >= SHORTEST_TOKEN and secret.isascii() and secret.isprintable()):
        raise ValueError(
            f"a token has at least {SHORTEST_TOKEN} plain characters; "
            "python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
        )


class Grant(BaseModel):
    """What the holder of a token may do. None sets no limit but the server's own.

    Attributes:
        name: of the token; "" for the one of the setting `token`, and where no token is asked for.
        digest: SHA-256 of the token, hexadecimal; "" where no token is asked for.
        sessions: at the same time.
        viewers: at the same time.
        editors: that may be used.
        expires: from when on the token is refused and its sessions end.
        metrics: whether it may read the server's figures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    digest: str = Field("", alias="sha256", pattern="^([0-9a-f]{64})?$")
    sessions: int | None = Field(None, ge=0)
    viewers: int | None = Field(None, ge=0)
    editors: tuple[str, ...] | None = Field(None, min_length=1)
    expires: AwareDatetime | None = None
    metrics: bool = False

    @model_validator(mode="before")
    @classmethod
    def _hash(cls, values: Any) -> Any:
        """Keep the token's digest only."""
        if not isinstance(values, dict) or "token" not in values:
            return values
        values = dict(values)
        token = values.pop("token")
        if "sha256" in values:
            raise ValueError("give token or sha256, not both")
        if not isinstance(token, str):
            raise ValueError("token must be text")
        check_token(token)
        return values | {"sha256": digest_of(token)}

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if name and not NAME.fullmatch(name):
            raise ValueError("a name has up to 32 letters, digits, - and _")
        return name

    def expired(self, now: float) -> bool:
        """Whether the token is refused at a time, in seconds since 1970."""
        return self.expires is not None and now >= self.expires.timestamp()

    def check(self, patch: Mapping[str, Any]) -> None:
        """Check the editors of a change of settings, of a stranger's making.

        Raises:
            SettingsError: the token may not use one of them.
        """
        for field, name in _editors_in(patch):
            self.check_editor(name, field)

    def check_editor(self, name: object, field: str = "editor") -> None:
        """Check an editor.

        Raises:
            SettingsError: the token may not use it.
        """
        if self.editors is not None and name not in self.editors:
            raise SettingsError(field, "this token may not use that editor", list(self.editors))

    def complete(self, patch: Mapping[str, Any], default: str) -> dict[str, Any]:
        """First settings of a stream, with an editor that the token may use where they name none.

        Args:
            patch: of a stranger's making.
            default: the editor of a stream that names none.

        Raises:
            SettingsError: the token may not use an editor that is named.
        """
        if self.editors is not None and default not in self.editors and "editor" not in patch:
            patch = {"editor": self.editors[0], **patch}
        self.check(patch)
        return dict(patch)


ANYBODY = Grant()
"""The grant where no token is asked for."""


class Refused(Exception):
    """A request has no token that holds; the message says why."""


class Tokens:
    """All tokens of a server. Every method may be called from any thread.

    Args:
        single: a token without a name and limits.
        file: with further ones.
        clock: seconds since 1970.
        ticks: monotonic seconds.

    Raises:
        ValueError: the file cannot be read; the message says why.
    """

    def __init__(
        self,
        single: str | None = None,
        file: Path | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._single = None if single is None else Grant(sha256=digest_of(single))
        self._file = file
        self._clock, self._ticks = clock, ticks
        self._seen = self._stamp()
        self._grants = {} if file is None else read_tokens(file)
        self._looked_at = ticks()

    @classmethod
    def of(cls, single: SecretStr | None, file: Path | None) -> Self:
        """The tokens that the settings `token` and `tokens` name.

        Raises:
            ValueError: as for the constructor.
        """
        return cls(None if single is None else single.get_secret_value(), file)

    @property
    def asked_for(self) -> bool:
        """Whether a request needs a token."""
        return self._single is not None or self._file is not None

    def find(self, authorization: str | None) -> Grant:
        """The grant of a request.

        Args:
            authorization: the header's value, "Bearer <token>" (RFC 6750), or None when there is none.

        Raises:
            Refused: there is no token, a wrong one, or one that has expired.
        """
        if not self.asked_for:
            return ANYBODY
        self._refresh()
        scheme, _, given = (authorization or "").partition(" ")
        digest = digest_of(given.strip()) if scheme.lower() == "bearer" else ""
        known = [*self._grants.values(), *([self._single] if self._single is not None else [])]
        found = [grant for grant in known if secrets.compare_digest(grant.digest, digest)]  # no early end: no timing
        if not found:
            raise Refused("this server needs its token: Authorization: Bearer <token>")
        if found[0].expired(self._clock()):
            raise Refused("this token has expired")
        return found[0]

    def holds(self, grant: Grant) -> bool:
        """Whether a grant still holds: its token is in the file as it was, and has not expired."""
        if not grant.name:
            return True
        self._refresh()
        return self._grants.get(grant.name) == grant and not grant.expired(self._clock())

    def _refresh(self) -> None:
        """Read the file again if it changed; one that cannot be read leaves all as it was."""
        if self._file is None or self._ticks() - self._looked_at < READ_AGAIN_S:
            return
        self._looked_at = self._ticks()
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._grants = read_tokens(self._file)
        except ValueError as error:
            logger.error("the tokens stay as they were: %s", error)
        else:
            logger.info("read %d tokens again", len(self._grants))

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat() if self._file is not None else None
        except OSError:
            return None
        return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


def read_tokens(file: Path) -> dict[str, Grant]:
    """The tokens of a file by their names.

    Raises:
        ValueError: the file cannot be read, or a table of it is wrong; the message names it and holds no token.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ValueError(f"{file} is no TOML file") from None
    if len(tables) > MOST_TOKENS:
        raise ValueError(f"{file} has more than {MOST_TOKENS} tokens")
    grants = {}
    for name, table in tables.items():
        if not isinstance(table, dict) or not NAME.fullmatch(name) or "name" in table:
            raise ValueError(f"{file}: [{name}] is no table with a name of up to 32 letters, digits, - and _")
        try:
            grants[name] = Grant.model_validate({**table, "name": name})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{file}: [{name}] {where}: {first['msg']}") from None
        if not grants[name].digest:
            raise ValueError(f"{file}: [{name}] needs token or sha256")
    if len({grant.digest for grant in grants.values()}) < len(grants):
        raise ValueError(f"{file} has one token under two names")
    return grants


def digest_of(token: str) -> str:
    """SHA-256 of a token, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def _editors_in(patch: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The editors that a change of settings names, with the fields that name them."""
    if "editor" in patch:
        yield "editor", patch["editor"]
    layers = patch.get("layers")
    if isinstance(layers, Mapping):
        for name in layers:
            yield f"layers.{name}", name


def main(arguments: Sequence[str]) -> int:
    """Print a new token, and the table that goes into the file."""
    parser = argparse.ArgumentParser(prog="python -m signaling.tokens", description="Make a token for tokens.toml.")
    parser.add_argument("name", help="up to 32 letters, digits, - and _")
    parser.add_argument("--sessions", type=int, help="sessions at the same time")
    parser.add_argument("--viewers", type=int, help="viewers at the same time")
    parser.add_argument("--editors", help="editors that may be used, comma separated")
    parser.add_argument("--expires", type=datetime.fromisoformat, help="2027-01-31, or with a time, here local")
    options = parser.parse_args(arguments)
    if not NAME.fullmatch(options.name):
        parser.error("a name has up to 32 letters, digits, - and _")
    print("\n".join(_table(options, token := secrets.token_urlsafe())))
    print(f"the token, which is shown this once: {token}", file=sys.stderr)
    return 0


def _table(options: argparse.Namespace, token: str) -> Iterator[str]:
    yield f"[{options.name}]"
    yield f'sha256 = "{digest_of(token)}"'
    for limit in ("sessions", "viewers"):
        if getattr(options, limit) is not None:
            yield f"{limit} = {getattr(options, limit)}"
    if options.editors:
        yield f"editors = {[name.strip() for name in options.editors.split(',')]}".replace("'", '"')
    if options.expires:
        yield f"expires = {options.expires.astimezone().isoformat()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
