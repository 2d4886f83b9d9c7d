"""ONNX graphs: export, rewriting, counting, and running them in PyTorch. The modules need the `onnx` package."""

VERSION = "2"
"""Version of our rewriting of graphs. It is part of the keys of what is built from them: another one builds again."""
