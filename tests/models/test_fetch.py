"""Downloads from a server on this machine that cuts, lies, moves and comes back."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from filelock import FileLock

from models import catalog, fetch
from models.editor import Controls
from models.entry import Entry, Weights, weights_folder
from models.fetch import FetchError, LicenceNotAccepted
from models.weights.checkpoints import CheckpointError
from tests.file_server import DATA, SHA256, Server, listening
from tests.models.editing import no_editor

LATER = 1e9


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch, "BACKOFF_SECONDS", 0.0)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with listening() as state:
        yield state


def weights(folder: Path, server: Server, **facts: object) -> Weights:
    facts = {"urls": (server.url,)} | facts
    return Weights(folder / "net" / "weights.bin", "CC0-1.0", "a test", **facts)  # type: ignore[arg-type]


def get(wanted: Weights) -> fetch.Fetched:
    return fetch.fetch(wanted, accept_licence=True)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_file_arrives_whole_with_progress(tmp_path: Path, server: Server) -> None:
    seen: list[tuple[int, int | None]] = []
    wanted = weights(tmp_path, server, sha256=SHA256)
    fetched = fetch.fetch(wanted, accept_licence=True, report=lambda done, total: seen.append((done, total)))
    assert wanted.path.read_bytes() == DATA
    assert fetched == fetch.Fetched(wanted.path, SHA256, first_use=False)
    assert seen[0] == (0, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))
    assert files(tmp_path) == {"weights.bin"}


def test_nothing_moves_before_the_licence_is_accepted(tmp_path: Path, server: Server) -> None:
    with pytest.raises(LicenceNotAccepted, match="CC0"):
        fetch.fetch(weights(tmp_path, server), accept_licence=False)
    assert server.ranges == []
    assert files(tmp_path) == set()


def test_a_cut_transfer_is_continued(tmp_path: Path, server: Server) -> None:
    server.cut = [100_000, 300_000]
    wanted = weights(tmp_path, server, sha256=SHA256)
    get(wanted)
    assert wanted.path.read_bytes() == DATA
    assert server.ranges == ["", "bytes=100000-", "bytes=400000-"]


def test_a_cut_file_never_gets_its_name_and_is_continued_the_next_time(tmp_path: Path, server: Server) -> None:
    server.cut = [10_000] * fetch.ATTEMPTS
    wanted = weights(tmp_path, server, sha256=SHA256)
    with pytest.raises(FetchError, match="could not be fetched"):
        get(wanted)
    assert not wanted.path.exists()
    assert files(tmp_path) == {"weights.bin.part", "weights.bin.part.json"}

    get(wanted)
    assert server.ranges[-1] == f"bytes={10_000 * fetch.ATTEMPTS}-"
    assert wanted.path.read_bytes() == DATA
    assert files(tmp_path) == {"weights.bin"}


def test_a_new_version_starts_again(tmp_path: Path, server: Server) -> None:
    server.cut = [10_000] * fetch.ATTEMPTS
    wanted = weights(tmp_path, server)
    with pytest.raises(FetchError):
        get(wanted)
    server.body, server.tag = DATA[::-1], '"2"'
    get(wanted)
    assert wanted.path.read_bytes() == DATA[::-1]


def test_without_a_version_nothing_is_continued(tmp_path: Path, server: Server) -> None:
    server.tag = ""
    server.cut = [10_000]
    wanted = weights(tmp_path, server)
    get(wanted)
    assert server.ranges == ["", ""]
    assert wanted.path.read_bytes() == DATA


def test_a_part_longer_than_the_file_starts_again(tmp_path: Path, server: Server) -> None:
    wanted = weights(tmp_path, server, sha256=SHA256)
    server.body = DATA + b"longer"
    server.cut = [len(DATA) + 3] * fetch.ATTEMPTS
    with pytest.raises(FetchError):
        get(wanted)
    server.body, server.cut = DATA, []
    get(wanted)
    assert wanted.path.read_bytes() == DATA


def test_a_wrong_hash_is_refused_and_the_next_mirror_asked(tmp_path: Path, server: Server) -> None:
    with listening(Server(body=b"something else")) as other:
        wrong = other.url.replace("127.0.0.1", "localhost")
        only_wrong = weights(tmp_path, server, urls=(wrong,), sha256=SHA256)
        with pytest.raises(FetchError, match=f"localhost: sha256 is .*published is {SHA256}"):
            get(only_wrong)
        assert files(tmp_path) == set()
        both = weights(tmp_path, server, urls=(wrong, server.url), sha256=SHA256)
        get(both)
        assert both.path.read_bytes() == DATA


def test_md5_is_kept_to(tmp_path: Path, server: Server) -> None:
    with pytest.raises(FetchError, match="md5"):
        get(weights(tmp_path, server, md5="0" * 32))
    fetched = get(weights(tmp_path, server, md5=hashlib.md5(DATA).hexdigest()))
    assert not fetched.first_use


def test_the_first_hash_is_recorded_and_kept_to(tmp_path: Path, server: Server) -> None:
    wanted = weights(tmp_path, server)
    assert get(wanted).first_use
    assert (wanted.path.parent / "weights.bin.sha256").read_text() == f"{SHA256}  weights.bin\n"
    assert not get(wanted).first_use
    assert len(server.ranges) == 1

    wanted.path.write_bytes(b"tampered")
    with pytest.raises(FetchError, match="not the published file, or has changed since"):
        get(wanted)
    wanted.path.unlink()
    server.body = b"moved on"
    with pytest.raises(FetchError, match="recorded at the first download"):
        get(wanted)
    assert not wanted.path.exists()


def test_server_errors_are_tried_again_and_others_are_not(tmp_path: Path, server: Server) -> None:
    server.status = [503, 429]
    get(weights(tmp_path, server))
    assert len(server.ranges) == 3
    server.status = [404]
    missing = Weights(tmp_path / "other.bin", "CC0-1.0", "a test", urls=(server.url,))
    with pytest.raises(FetchError, match="HTTP 404"):
        get(missing)
    assert len(server.ranges) == 4


def test_a_web_page_is_no_network(tmp_path: Path, server: Server) -> None:
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(FetchError, match="web page instead of the file"):
        get(weights(tmp_path, server))
    assert files(tmp_path) == set()


def test_an_end_that_nobody_announced_needs_a_hash(tmp_path: Path, server: Server) -> None:
    server.length = False
    with pytest.raises(FetchError, match="does not say how long"):
        get(weights(tmp_path, server))
    server.cut = [1000]
    with pytest.raises(FetchError, match="sha256"):
        get(weights(tmp_path, server, sha256=SHA256))
    get(weights(tmp_path, server, sha256=SHA256))


def test_a_cut_chunk_is_noticed(tmp_path: Path, server: Server) -> None:
    server.chunked = True
    server.cut = [1000]
    wanted = weights(tmp_path, server)
    get(wanted)
    assert wanted.path.read_bytes() == DATA


def test_far_more_than_announced_is_refused(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "CHUNK", 1 << 10)
    with pytest.raises(FetchError, match="where about 100000 were expected"):
        get(weights(tmp_path, server, size=100_000))
    server.chunked = True
    with pytest.raises(FetchError, match="more than the"):
        get(weights(tmp_path, server, size=100_000))
    assert files(tmp_path) == set()


def test_a_full_disk_is_said_before_the_download(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SPARE", 1 << 62)
    with pytest.raises(FetchError, match="not enough disk space"):
        get(weights(tmp_path, server))


def test_https_does_not_lead_to_http(tmp_path: Path, server: Server) -> None:
    def redirect(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://example.test/weights.bin"})
        return httpx.Response(200, content=DATA)

    client = httpx.Client(transport=httpx.MockTransport(redirect), follow_redirects=True)
    wanted = weights(tmp_path, server, urls=("https://example.test/weights.bin",))
    with client, pytest.raises(FetchError, match="unprotected address"):
        fetch.fetch(wanted, accept_licence=True, client=client)
    assert files(tmp_path) == set()


def test_a_redirect_is_followed(tmp_path: Path, server: Server) -> None:
    with listening(Server(location=server.url)) as elsewhere:
        get(weights(tmp_path, server, urls=(elsewhere.url,), sha256=SHA256))


def test_a_proxy_of_the_environment_is_used(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url.rsplit("/", 1)[0])
    get(weights(tmp_path, server, urls=("http://weights.test/weights.bin",), sha256=SHA256))
    assert len(server.ranges) == 1


def test_two_fetches_of_one_file_do_not_mix(tmp_path: Path, server: Server) -> None:
    wanted = weights(tmp_path, server)
    wanted.path.parent.mkdir()
    lock = wanted.path.with_name("weights.bin.lock")
    with FileLock(lock), pytest.raises(FetchError, match="being fetched by another process"):
        get(wanted)
    lock.touch()  # as a process leaves it that was killed
    get(wanted)


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, DATA + name.encode())
    return stream.getvalue()


def members(folder: Path, server: Server, *names: str) -> tuple[Weights, ...]:
    return tuple(
        Weights(folder / f"{i}.ckpt", "CC0-1.0", "a test", urls=(server.url,), member=name)
        for i, name in enumerate(names)
    )


def entry(*needed: Weights) -> Entry:
    return Entry(name="test", title="Test", description="", controls=lambda: Controls, load=no_editor, weights=needed)


def test_files_of_one_archive_come_in_one_download(tmp_path: Path, server: Server) -> None:
    server.body = zipped("models/200000-G.ckpt", "models/200000-D.ckpt", "../../evil.py")
    fetched = fetch.fetch_entry(entry(*members(tmp_path, server, "*-G.ckpt", "*-D.ckpt")), accept_licence=True)
    assert [one.path.read_bytes()[len(DATA) :] for one in fetched] == [b"models/200000-G.ckpt", b"models/200000-D.ckpt"]
    assert len(server.ranges) == 1
    assert {name for name in files(tmp_path) if not name.endswith(".sha256")} == {"0.ckpt", "1.ckpt"}
    assert not list(tmp_path.parent.glob("evil.py"))


def test_an_archive_without_the_file_is_refused(tmp_path: Path, server: Server) -> None:
    server.body = zipped("a/1-G.ckpt", "b/2-G.ckpt")
    with pytest.raises(FetchError, match=r"2 files called \*-G.ckpt"):
        get(*members(tmp_path, server, "*-G.ckpt"))


def test_a_damaged_archive_leaves_nothing(tmp_path: Path, server: Server) -> None:
    body = bytearray(zipped("1-G.ckpt"))
    body[200] ^= 0xFF
    server.body = bytes(body)
    with pytest.raises(FetchError, match="damaged"):
        get(*members(tmp_path, server, "*-G.ckpt"))
    assert {name for name in files(tmp_path) if not name.endswith(".sha256")} == set()
    server.body = b"not a zip at all"
    (tmp_path / "weights.bin.zip.sha256").unlink()
    with pytest.raises(FetchError, match="no zip archive"):
        get(*members(tmp_path, server, "*-G.ckpt"))


def test_what_cannot_be_downloaded_is_asked_for(tmp_path: Path) -> None:
    wanted = Weights(tmp_path / "mine.pth", "your own", "your own training")
    with pytest.raises(FetchError, match=r"your own training; put it at .*mine\.pth"):
        get(wanted)


def test_command_line(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(catalog.ENTRIES, "test", entry(weights(tmp_path, server)))
    assert fetch.main(["test"]) == 2
    said = capsys.readouterr()
    assert "--accept-licence" in said.err
    assert f"The files lie in {weights_folder()}" in said.out
    assert server.ranges == []
    assert fetch.main(["test", "--accept-licence"]) == 0
    assert "no official hash is published" in capsys.readouterr().out
    assert fetch.main(["test"]) == 0
    assert fetch.main(["nobody"]) == 2
    server.status = [404]
    (tmp_path / "net" / "weights.bin").unlink()
    assert fetch.main(["test", "--accept-licence"]) == 1


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("", 2), ("no", 2), (None, 2)])
def test_who_sits_at_a_terminal_is_asked(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, answer: str | None, status: int
) -> None:
    def input_(_: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setitem(catalog.ENTRIES, "test", entry(weights(tmp_path, server)))
    monkeypatch.setattr("builtins.input", input_)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert fetch.main(["test"]) == status
    assert (tmp_path / "net" / "weights.bin").is_file() == (status == 0)


def test_files_that_nobody_sends_are_asked_for_before_the_others_come(tmp_path: Path, server: Server) -> None:
    own = Weights(tmp_path / "mine.pth", "your own", "your own training")
    with pytest.raises(FetchError, match=r"mine\.pth cannot be downloaded: your own training"):
        fetch.fetch_entry(entry(weights(tmp_path, server), own), accept_licence=True)
    assert server.ranges == []


def test_what_networks_were_made_of_may_be_deleted(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tmp_path / "network.onnx"
    network.touch()
    made: list[str] = []
    row = replace(entry(weights(tmp_path, server)), networks=(network,), convert=lambda: made.append("again"))
    monkeypatch.setitem(catalog.ENTRIES, "test", row)
    assert fetch.main(["test"]) == 0
    assert "test is ready" in capsys.readouterr().out
    assert server.ranges == []
    assert made == []


def test_a_file_that_cannot_be_converted_is_said_in_a_line(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def convert() -> None:
        raise CheckpointError("weights.bin is damaged")

    row = replace(entry(weights(tmp_path, server)), networks=(tmp_path / "network.onnx",), convert=convert)
    monkeypatch.setitem(catalog.ENTRIES, "test", row)
    assert fetch.main(["test", "--accept-licence"]) == 1
    assert "error: weights.bin is damaged" in capsys.readouterr().err


def test_the_packages_that_make_networks_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetch, "find_spec", lambda name: None if name == "onnx" else object())
    done: list[int] = []
    assert fetch._convert(catalog.ENTRIES["fran"], lambda: done.append(1)) == 1
    assert "pip install onnx, then" in capsys.readouterr().out
    assert not done
