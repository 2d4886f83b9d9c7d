"""Start a cluster, or the application in one that runs: `python -m signaling.cluster --help` lists the settings."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from pydantic import ValidationError

from signaling.cluster.settings import ClusterSettings
from signaling.logs import start_logging
from signaling.settings import problems

TREE = Path(__file__).resolve().parents[2]
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported: it would send figures to its makers
os.environ.setdefault("RAY_worker_niceness", "0")  # a replica has to keep up with cameras: Ray would give it 15
PATHS = [str(TREE), os.environ.get("PYTHONPATH", "")]  # of Ray's processes
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, PATHS))

try:
    import ray
    from ray import serve

    from signaling.cluster.application import application
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "ray":
        raise
    print("a cluster needs Ray Serve: pip install 'latentcam[cluster]'", file=sys.stderr)
    sys.exit(1)

NAME = "latentcam"
REQUEST_S = 210.0
KEEP_ALIVE_S = 10


def main(arguments: list[str]) -> int:
    """Run until Ctrl+C or SIGTERM."""
    try:
        settings = ClusterSettings.load(arguments)
    except ValidationError as error:
        print("\n".join(problems(error)), file=sys.stderr)
        return 2
    start_logging(settings.log_level, settings.log_format)
    own = not os.environ.get("RAY_ADDRESS")
    if own:
        ray.init(include_dashboard=False, namespace=NAME)
    else:
        ray.init(namespace=NAME)
    serve.start(
        proxy_location="EveryNode",
        http_options={
            "host": settings.host,
            "port": settings.port,
            "request_timeout_s": REQUEST_S,
            "keep_alive_timeout_s": KEEP_ALIVE_S,
            "ssl_certfile": None if settings.tls_cert is None else str(settings.tls_cert),
            "ssl_keyfile": None if settings.tls_key is None else str(settings.tls_key),
        },
    )
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    serve.run(application(settings), name=NAME, route_prefix="/")
    print(settings.url, flush=True)
    if own:  # in a cluster of others, the application goes on: `serve shutdown` ends it
        over.wait()
        serve.shutdown()
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
