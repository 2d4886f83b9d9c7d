from pathlib import Path

from engines.base import Engine
from engines.select import load as load_engine
from models.embedded import EMBEDDED, hair
from models.embedded.hair import HairControls
from models.face.segmenter import Segmenter
from stream.evaluation.flicker import WARM, ClipReader, flicker


def engine(path: Path) -> Engine:
    return load_engine(path, backend="onnxruntime", precision="f32", threads=1)


def test_a_dyed_clip_is_measured_through_the_stream(shared: Path) -> None:
    reader = ClipReader()
    editor, segmenter = hair.load(engine, EMBEDDED), Segmenter(engine(EMBEDDED / "segmenter.onnx"))
    [run] = reader.segments(shared / "clips" / "LivePortrait__d8.mp4", 1)
    short = run[: WARM + 4]
    assert flicker(short, reader.tracker(), editor, segmenter, HairControls()) == 0
    assert 0.5 < flicker(short, reader.tracker(), editor, segmenter, HairControls(colour="red", amount=1)) < 1.5
