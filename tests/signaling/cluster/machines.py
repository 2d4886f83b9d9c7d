"""Three nodes of a Ray cluster on the loopback addresses of one machine, with the application of the cluster."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
NODES = 3
OBJECT_STORE = 80 << 20  # bytes, the least that Ray takes
SLOW_MACHINE = {
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING": "0",  # so that one proxy reaches every ingress
    "RAY_SERVE_LOG_TO_STDERR": "0",
}
"""Environment of Ray's processes."""


class Machines:
    """The cluster.

    Attributes:
        url: of its HTTP.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def deploy(self, replicas: int = NODES, **settings: Any) -> None:
        """Do what `serve deploy` does, without waiting; another number of replicas alone is no update."""
        from ray.serve.context import _get_global_client  # noqa: PLC0415  not installed everywhere
        from ray.serve.schema import ServeDeploySchema  # noqa: PLC0415

        arguments = {"ingresses": 2, "surge": 100, "statistics_s": 0.5, "max_sessions": 12, "sign": False, **settings}
        application = {
            "name": "latentcam",
            "route_prefix": "/",
            "import_path": "tests.signaling.cluster.small:build",
            "args": arguments,
            "deployments": [{"name": "Filter", "num_replicas": replicas}],
        }
        _get_global_client().deploy_apps(ServeDeploySchema(applications=[application]))

    def settled(self) -> bool:
        """Whether everything runs, and nothing is being started or stopped."""
        from ray import serve  # noqa: PLC0415

        deployments = serve.status().applications["latentcam"].deployments
        return len(deployments) == 3 and all(
            one.status == "HEALTHY" and set(one.replica_states) == {"RUNNING"} for one in deployments.values()
        )

    def figures(self) -> list[dict[str, Any]]:
        """What the running replicas say of themselves."""
        from ray import serve  # noqa: PLC0415

        handle = serve.get_deployment_handle("Filter", "latentcam")
        return list(handle.broadcast("record_routing_stats").results(timeout_s=60))

    def processes(self, deployment: str) -> dict[str, int]:
        """Process ids of a deployment's running replicas, by the replicas' ids."""
        from ray.serve.context import _get_global_client  # noqa: PLC0415

        details = _get_global_client().get_serve_details()
        replicas = details["applications"]["latentcam"]["deployments"][deployment]["replicas"]
        return {one["replica_id"]: one["pid"] for one in replicas if one["state"] == "RUNNING"}

    def kill(self, deployment: str, replica: str) -> None:
        """kill -9."""
        os.kill(self.processes(deployment)[replica], signal.SIGKILL)


@contextmanager
def running() -> Iterator[Machines]:
    """Start three nodes, and stop them."""
    os.environ.update(SLOW_MACHINE)
    import ray  # noqa: PLC0415  reads the environment
    from ray import serve  # noqa: PLC0415
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    nodes = [
        {"num_cpus": 4, "object_store_memory": OBJECT_STORE, "node_ip_address": f"127.0.0.{11 + i}"}
        for i in range(NODES)
    ]
    cluster = Cluster(initialize_head=True, head_node_args={**nodes[0], "include_dashboard": False})
    try:
        for node in nodes[1:]:
            cluster.add_node(**node)
        ray.init(address=cluster.address, namespace="latentcam", log_to_driver=False)
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        yield Machines(port)
    finally:
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()
