"""The commands of an installed Latentcam.

latentcam [FLAGS]                 the server (python server.py)
latentcam doctor                  what this machine can do, and what to install
latentcam MODULE [FLAGS]          any documented command of the tree: latentcam models.fetch stylegan2
latentcam-files, latentcam-camera python -m stream.files, python -m stream.camera
"""

from __future__ import annotations

import importlib.util
import runpy
import sys

from latentcam import enter_tree


def main() -> int:
    """The server, the doctor, or a command by the name of its module.

    Returns:
        The exit status.
    """
    enter_tree()
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first == "doctor":
        from latentcam import doctor  # noqa: PLC0415  only where it is asked for

        return doctor.main(sys.argv[2:])
    if first and not first.startswith("-"):
        return _run_module(first)
    import server  # noqa: PLC0415  heavy

    return server.main(sys.argv[1:])


def files() -> int:
    """`python -m stream.files`."""
    enter_tree()
    from stream import files as command  # noqa: PLC0415  heavy, and importable only now

    return command.main(sys.argv[1:])


def camera() -> int:
    """`python -m stream.camera`."""
    enter_tree()
    from stream import camera as command  # noqa: PLC0415  heavy, and importable only now

    return command.main(sys.argv[1:])


def _run_module(name: str) -> int:
    known = name.split(".", maxsplit=1)[0] in ("engines", "models", "stream", "signaling")
    try:
        spec = importlib.util.find_spec(name) if known else None
        if spec is not None and spec.submodule_search_locations is not None:  # a package runs by its __main__
            spec = importlib.util.find_spec(f"{name}.__main__")
        found = spec is not None
    except ImportError:
        found = False
    if not found:
        commands = "doctor, models.catalog, models.fetch, stream.files, stream.camera, stream.strip, engines.bench"
        print(f"there is no command {name!r}; there are: {commands}; without one, the server starts", file=sys.stderr)
        return 2
    sys.argv = sys.argv[1:]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
