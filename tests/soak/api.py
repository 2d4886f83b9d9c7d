"""Requests made of the OpenAPI by schemathesis, valid and invalid ones, against a running server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.soak.abuse import HANG_S
from tests.soak.results import Result
from tests.soak.servers import Server, Watch, wait_until_empty

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
UNLIMITED = "\n".join(
    f"import signaling.{module} as m; m.{rate} = m.{burst} = 1e9"
    for module, rate, burst in (
        ("whip", "OFFERS_PER_SECOND", "OFFER_BURST"),
        ("whip", "PATCHES_PER_SECOND", "PATCH_BURST"),
        ("photos", "PHOTOS_PER_SECOND", "PHOTO_BURST"),
        ("marks", "FILES_PER_SECOND", "FILE_BURST"),
    )
)
"""All requests come from one address: without this, most would be answered by its limits."""
CONFIGURATION = f"""
hooks = "{Path(__file__).with_name("sdp_hook.py")}"
request-timeout = 60

[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
"""
"""503 with Retry-After is how a full server answers."""
RUN_S = 1800.0


def requests_of_the_schema(log: Path, examples: int, seed: int) -> Result:
    """Run schemathesis.

    Args:
        log: the server's.
        examples: of each operation and phase, at most.
        seed: number of the random sequence.
    """
    result = Result("requests of the OpenAPI (schemathesis)")
    with Server(log=log, patch=UNLIMITED) as server, Watch(server) as watch:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
            *("--checks", CHECKS, "--max-examples", str(examples), "--seed", str(seed), "--workers", "1"),
            *("--phases", "examples,coverage,fuzzing", "--no-color", "--generation-database", "none"),
            *("--exclude-path", "/metrics"),  # which this machine alone may read, and so says nothing of its own
        ]
        (log.parent / "schemathesis.toml").write_text(CONFIGURATION, encoding="utf-8")
        done = subprocess.run(command, cwd=log.parent, capture_output=True, text=True, timeout=RUN_S, check=False)
        wait_until_empty(server, 60)
        result.require(server.alive, "the server has ended")
        result.require(not watch.failures, f"the server did not answer: {watch.failures[:1]}")
        result.require(watch.busiest <= HANG_S, f"an answer took {watch.busiest:.2f} s of work")
        figures = server.figures()
    result.require(done.returncode == 0, f"schemathesis found:\n{(done.stdout + done.stderr)[-6000:]}")
    found = re.search(r"(\d[\d,]*) generated", done.stdout)
    result.figures["cases"] = found[1] if found else "?"
    result.figures["requests"] = int(sum(v for key, v in figures.items() if key[0] == "latentcam_http_requests_total"))
    result.figures |= {
        "slowest answer, s": round(watch.longest, 2),
        "most work during one, s": round(watch.busiest, 2),
    }
    return result
