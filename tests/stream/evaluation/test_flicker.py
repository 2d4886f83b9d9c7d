from pathlib import Path

from engines.select import load as load_engine
from models.embedded import EMBEDDED
from models.embedded.hair import Hair, HairControls
from models.face.segmenter import Segmenter
from stream.evaluation.flicker import WARM, ClipReader, flicker


def test_a_dyed_clip_is_measured_through_the_stream(shared: Path) -> None:
    reader = ClipReader()
    segmenter = Segmenter(load_engine(EMBEDDED / "segmenter.onnx", backend="onnxruntime", precision="f32", threads=1))
    [run] = reader.segments(shared / "clips" / "LivePortrait__d8.mp4", 1)
    short = run[: WARM + 4]
    assert flicker(short, reader.tracker(), Hair(), segmenter, HairControls()) == 0
    assert 0.5 < flicker(short, reader.tracker(), Hair(), segmenter, HairControls(colour="red", amount=1)) < 1.5
