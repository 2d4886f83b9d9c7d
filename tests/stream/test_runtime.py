"""The shared runtime on the weights that ship with the project, and a real face from an installed package."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import requests
from skimage import data

from engines.base import EngineError
from models import catalog
from models.arrays import Image
from models.editor import AnyEditor
from models.embedded.own_age import AgeReader
from models.face.detector import Detector, PackError
from models.locking import LockedEditor
from stream.frame import Frame
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings, SettingsError
from tests.models.matting import coarse_hair
from tests.stream.conftest import noise
from tests.stream.test_own_age import Aged, AgedControls


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    runtime = Runtime.load(
        RuntimeSettings(backend="onnxruntime", threads=1, cache_dir=tmp_path_factory.mktemp("cache"))
    )
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def portrait() -> Image:
    """NASA's portrait of Eileen Collins, (512, 512, 3) uint8 BGR; the face is around (224, 110)."""
    return np.ascontiguousarray(data.astronaut()[..., ::-1])  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("editor", "controls"),
    [
        ("embedded", {"age": 75}),
        ("embedded", {"age": 20}),
        ("embedded", {"bald": 1.0}),
        ("hair", {"colour": "red", "amount": 1.0}),
    ],
)
def test_a_real_face_is_edited_and_the_rest_is_not(
    runtime: Runtime, portrait: Image, editor: str, controls: dict[str, object]
) -> None:
    look = runtime.look(Settings(), {"editor": editor, "controls": controls})
    output = runtime.pipeline().process(Frame(portrait, 0.0), look)
    (face,) = output.faces
    centre = (face.box[:2] + face.box[2:]) / 2
    assert np.hypot(*(centre - (224, 110))) < 20
    change = np.abs(output.image.astype(int) - portrait).max(2)
    assert change[40:170, 150:300].mean() > 3
    assert (change[300:] == 0).all()


def test_neutral_controls_return_the_very_frame(runtime: Runtime, portrait: Image) -> None:
    output = runtime.pipeline().process(Frame(portrait, 0.0), runtime.look(Settings(), {}))
    assert output.image is portrait
    assert len(output.faces) == 1, "files and photos count their faces"
    with closing(runtime.pipeline(live=True)) as live:
        output = live.process(Frame(portrait, 0.0), runtime.look(Settings(), {}))
    assert output.image is portrait
    assert output.faces == (), "nobody asks where the faces are"


@pytest.mark.parametrize("shape", [(1, 1, 3), (17, 33, 3), (33, 17, 3), (2, 900, 3), (720, 1280, 3)])
def test_pictures_without_a_face(runtime: Runtime, shape: tuple[int, ...]) -> None:
    look = runtime.look(Settings(), {"controls": {"age": 75}})
    for picture in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), noise(0, shape)):
        pipeline = runtime.pipeline()
        for k in range(2):
            assert pipeline.process(Frame(picture, k / 30), look).image.shape == shape


def test_sessions_do_not_share_state(runtime: Runtime, portrait: Image) -> None:
    old = runtime.look(Settings(), {"controls": {"age": 75}})
    young = runtime.look(Settings(), {"controls": {"age": 20}})
    alone = runtime.pipeline().process(Frame(portrait, 0.0), old).image
    one, other = runtime.pipeline(), runtime.pipeline()
    other.process(Frame(portrait, 0.0), young)
    np.testing.assert_array_equal(one.process(Frame(portrait, 0.0), old).image, alone)


def test_every_preset_is_allowed(runtime: Runtime) -> None:
    for entry in runtime.entries.values():
        if entry.state == "ready":
            for preset in entry.presets:
                runtime.look(Settings(), {"editor": entry.name, "controls": preset.controls})
    assert {engine.network for engine in runtime.engines()} >= {"landmarks.onnx", "segmenter.onnx"}


def test_an_editor_that_cannot_be_loaded_is_a_refused_setting(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(load_engine: object) -> AnyEditor:
        raise EngineError("broken.onnx is cut short")

    row = dataclasses.replace(catalog.ENTRIES["hair"], name="broken", load=broken)
    monkeypatch.setitem(catalog.ENTRIES, "broken", row)
    with pytest.raises(SettingsError, match="cut short") as refused:
        runtime.look(Settings(), {"editor": "broken"})
    assert refused.value.field == "editor"


def test_what_reads_ages_is_loaded_with_the_look_and_not_on_a_frame(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> AgeReader:
        raise EngineError("ager.onnx is cut short")

    row = dataclasses.replace(
        catalog.ENTRIES["hair"], name="aged", controls=lambda: AgedControls, load=lambda _: Aged()
    )
    monkeypatch.setitem(catalog.ENTRIES, "aged", row)
    monkeypatch.setattr(runtime, "_ages", None)
    monkeypatch.setattr(AgeReader, "load", broken)
    runtime.look(Settings(), {"editor": "aged", "controls": {"age": 60}})
    with pytest.raises(SettingsError, match="cut short") as refused:
        runtime.look(Settings(), {"editor": "aged", "controls": {"age": "+20"}})
    assert refused.value.field == "editor"


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"editor": "nobody"}, "editor"),
        ({"controls": {"age": 300}}, "controls.age"),
        ({"controls": {"wings": 1}}, "controls.wings"),
        ({"controls": {"bald": "very"}}, "controls.bald"),
        ({"controls": {"bald": None}}, "controls.bald"),
        ({"controls": 7}, "controls"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_refused_change_names_its_field(runtime: Runtime, patch: dict[str, object], field: str) -> None:
    with pytest.raises(SettingsError) as refused:
        runtime.look(Settings(), patch)
    assert refused.value.field == field


def test_another_editor_starts_at_its_defaults(runtime: Runtime) -> None:
    aged = runtime.look(Settings(), {"controls": {"age": 70}})
    assert aged.active
    hair = runtime.look(aged.settings, {"editor": "hair"})
    assert hair.layers[0].controls.neutral()
    assert not hair.active


def test_a_damaged_pack_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=str(tmp_path)):
        Detector(str(tmp_path))
    (tmp_path / "detector.onnx").write_bytes(b"not a network")
    with pytest.raises(PackError, match="fetch the pack"):
        Detector(str(tmp_path))


def test_a_pack_that_cannot_be_fetched_is_refused_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library's own error was shown, and where it downloads from in the command's output."""

    def without_network(**_: object) -> None:
        print("Downloading")
        raise requests.exceptions.ConnectionError("HTTPSConnectionPool(...)")

    monkeypatch.setattr("insightface.app.FaceAnalysis", without_network)
    with pytest.raises(PackError, match="'nobody' can be neither read here nor fetched"):
        Detector("nobody")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Downloading\n")


def test_the_default_needs_no_torch() -> None:
    code = "import sys, server, stream.files; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=120)


def test_a_session_goes_on_while_another_loads_an_editor(
    runtime: Runtime, portrait: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, go_on = threading.Event(), threading.Event()

    def slow(load_engine: object) -> AnyEditor:
        loading.set()
        go_on.wait(timeout=60)
        return coarse_hair()

    monkeypatch.setitem(catalog.ENTRIES, "slow", dataclasses.replace(catalog.ENTRIES["hair"], name="slow", load=slow))
    loader = threading.Thread(target=runtime.editor, args=("slow",))
    loader.start()
    try:
        assert loading.wait(timeout=60)
        look = runtime.look(Settings(), {"controls": {"bald": 1.0}})
        edited = threading.Thread(target=runtime.pipeline().process, args=(Frame(portrait, 0.0), look))
        edited.start()
        edited.join(timeout=60)
        assert not edited.is_alive()
    finally:
        go_on.set()
        loader.join(timeout=60)


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({}, "no control is moved"),
        ({"controls": {"age": "+20"}}, ""),
        ({"controls": {"age": "+20"}, "bypass": True}, "editing is switched off"),
        ({"editor": "hair", "controls": {"colour": "red", "amount": 0}}, "Amount is 0"),
        ({"editor": "child"}, "choose a photo of the second parent"),
    ],
)
def test_a_look_that_edits_nothing_says_why(runtime: Runtime, patch: dict[str, object], why: str) -> None:
    assert runtime.look(Settings(), patch).idle == why


RED = {"controls": {"colour": "red"}}


def test_looks_combine_in_their_order_whichever_is_chosen(runtime: Runtime) -> None:
    both = runtime.look(Settings(), {"editor": "hair", **RED, "layers": {"embedded": {"controls": {"age": "+20"}}}})
    other = runtime.look(Settings(), {"controls": {"age": "+20"}, "layers": {"hair": {**RED, "amount": 0.5}}})
    assert both.names == other.names == ("embedded", "hair")
    assert [layer.amount for layer in other.layers] == [1.0, 0.5]
    assert other.settings.layers["hair"].controls["colour"] == "red"
    assert other.settings.layers["hair"].controls["amount"] == 1.0, "all controls are written out"
    assert runtime.entries["child"].place < runtime.entries["embedded"].place < runtime.entries["hair"].place


def test_a_snapshot_that_is_forgotten_is_refused(runtime: Runtime) -> None:
    with pytest.raises(SettingsError, match="latent_lock: that snapshot is forgotten"):
        runtime.look(Settings(), {"latent_lock": "0" * 32})
    with pytest.raises(SettingsError, match="latent_lock"):
        runtime.look(Settings(), {"latent_lock": "no id"})
    forgotten = Settings(latent_lock="0" * 32)
    assert runtime.look(forgotten, {"smoothing": 0.3}).settings.latent_lock == ""


def test_a_snapshot_is_its_sessions_own(runtime: Runtime) -> None:
    lock = runtime.locks.start("mine", "embedded", lambda step: np.ones(4, np.float32))
    while lock.id not in runtime.locks:
        time.sleep(0.001)
    mine = runtime.look(Settings(), {"latent_lock": lock.id}, "mine")
    assert mine.settings.latent_lock == lock.id
    assert isinstance(mine.layers[0].editor, LockedEditor)
    for session in ("another's", ""):
        with pytest.raises(SettingsError, match="latent_lock: that snapshot is forgotten"):
            runtime.look(Settings(), {"latent_lock": lock.id}, session)
        assert runtime.look(mine.settings, {"smoothing": 0.3}, session).settings.latent_lock == ""
    runtime.locks.forget(lock.id)


def test_an_editor_is_one_layer(runtime: Runtime) -> None:
    """Whoever chooses an editor that was a further layer has its controls, not two of it."""
    first = runtime.look(Settings(), {"layers": {"hair": RED}})
    chosen = runtime.look(first.settings, {"editor": "hair", "controls": {"colour": "blond"}})
    assert chosen.names == ("hair",)
    assert chosen.settings.layers == {}
    kept = runtime.look(first.settings, {"controls": {"bald": 1.0}})
    assert kept.names == ("embedded", "hair")


def test_a_layer_that_changes_nothing_is_not_drawn(runtime: Runtime) -> None:
    look = runtime.look(Settings(), {"controls": {"age": 60}, "amount": 0.0, "layers": {"hair": {**RED, "amount": 0}}})
    assert look.active == ()
    assert look.idle == "its amount is 0"


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ({"nobody": {}}, "layers.nobody"),
        ({"hair": {"controls": {"wings": 1}}}, "layers.hair.controls.wings"),
        ({"hair": {"controls": {"colour": "green"}}}, "layers.hair.controls.colour"),
        ({"hair": {"amount": 2}}, "layers.hair"),
        ({"hair": 7}, "layers.hair"),
        ({"child": {"controls": {"photo": "ab"}}}, "layers.child.controls.photo"),
        (7, "layers"),
        ({f"editor{k}": {} for k in range(7)}, "layers"),
    ],
)
def test_a_refused_layer_is_named(runtime: Runtime, layers: object, field: str) -> None:
    with pytest.raises(SettingsError) as refused:
        runtime.look(Settings(), {"layers": layers})
    assert refused.value.field == field


def test_controls_and_editor_of_a_look_are_of_the_same_files(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that change all the time: whatever a look is made of, it is made of one reading of the stamp."""
    readings = iter(range(100))
    stamps: list[int] = []

    def stamp() -> int:
        stamps.append(next(readings))
        return stamps[-1]

    row = dataclasses.replace(catalog.ENTRIES["hair"], name="changing", load=lambda _: coarse_hair(), stamp=stamp)
    monkeypatch.setitem(catalog.ENTRIES, "changing", row)
    first = runtime.look(Settings(), {"editor": "changing"})
    assert stamps == [0]
    second = runtime.look(first.settings, {"amount": 0.5})
    assert stamps == [0, 1]
    assert first.layers[0].editor is not second.layers[0].editor, "the files have changed"
    monkeypatch.setitem(catalog.ENTRIES, "changing", dataclasses.replace(row, stamp=lambda: stamps[-1]))
    assert runtime.look(first.settings, {}).layers[0].editor is second.layers[0].editor, "they have not"


def test_an_older_stamp_does_not_replace_a_newer_one(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reader of the stamp stands still until a second one has had the time to overtake it."""
    stamps: list[int] = []
    first_reads, second_came = threading.Event(), threading.Event()

    def stamp() -> int:
        mine = len(stamps)
        stamps.append(mine)
        if mine == 0:
            first_reads.set()
            second_came.wait(timeout=0.2)  # it never comes in here where stamps are compared one after the other
        else:
            second_came.set()
        return mine

    row = dataclasses.replace(catalog.ENTRIES["hair"], name="raced", load=lambda _: coarse_hair(), stamp=stamp)
    monkeypatch.setitem(catalog.ENTRIES, "raced", row)
    reader = threading.Thread(target=runtime.editor, args=("raced",))
    reader.start()
    assert first_reads.wait(timeout=60)
    newest = runtime.editor("raced")
    reader.join(timeout=60)
    monkeypatch.setitem(catalog.ENTRIES, "raced", dataclasses.replace(row, stamp=lambda: 1))
    assert runtime.editor("raced") is newest
