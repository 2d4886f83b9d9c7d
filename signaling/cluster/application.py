"""The Serve application: `serve run signaling.cluster.application:build` and `python -m signaling.cluster` start it."""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from signaling.app import load_runtime
from signaling.cluster.directory import Directory
from signaling.cluster.filters import Filter, RuntimeMaker
from signaling.cluster.gateway import Gateway
from signaling.cluster.handles import DirectoryHandle, ServeReplicas
from signaling.cluster.ingress import create_ingress
from signaling.cluster.placement import BELIEFS
from signaling.cluster.replica import DRAIN_S
from signaling.cluster.settings import ClusterSettings

REQUESTS_AT_ONCE = 256
"""Of one ingress, and of one replica: they are short, sessions are no requests."""
HEALTH_PERIOD_S, HEALTH_TIMEOUT_S = 2.0, 10.0


class Ingress:
    """The deployment of ingresses."""

    def __init__(
        self, settings: ClusterSettings, filters: DeploymentHandle[Any], directory: DeploymentHandle[Any]
    ) -> None:
        self._settings = settings
        self._filters = filters
        self._directory = DirectoryHandle(directory)

    def __serve_build_asgi_app__(self) -> Any:
        """The app, as Serve runs it."""
        gateway = Gateway(ServeReplicas(self._filters, BELIEFS), BELIEFS)
        app = create_ingress(self._settings, gateway, self._directory.find)
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=self._settings.trusted_proxies)
        return app


def application(settings: ClusterSettings, make_runtime: RuntimeMaker = load_runtime) -> serve.Application:
    """The deployments of a cluster, bound to each other.

    Args:
        settings: of the cluster.
        make_runtime: loads networks and editors in a replica.
    """
    of_replica = settings.model_copy(update={"fetch": False, "open": False})  # a download would reach one node only
    directory = serve.deployment(
        name="Directory", num_replicas=1, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0.1}
    )(Directory).bind()
    filters = serve.deployment(
        name="Filter",
        **_number(settings),
        ray_actor_options={"num_cpus": settings.replica_cpus, "num_gpus": settings.replica_gpus},
        max_ongoing_requests=REQUESTS_AT_ONCE,
        request_router_config={
            "request_router_class": "signaling.cluster.router.CapacityRouter",
            "request_routing_stats_period_s": settings.statistics_s,
        },
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=DRAIN_S + 12,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        max_surge_percent=settings.surge,
    )(Filter).bind(of_replica, directory, settings.replica_cpus, make_runtime)
    return serve.deployment(
        name="Ingress",
        num_replicas=settings.ingresses,
        ray_actor_options={"num_cpus": 0.1},
        max_ongoing_requests=REQUESTS_AT_ONCE,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        max_surge_percent=100,
    )(serve.ingress()(Ingress)).bind(settings, filters, directory)


def build(arguments: dict[str, Any]) -> serve.Application:
    """Serve's application builder.

    Args:
        arguments: settings by name, from the configuration file; the environment (`LATENTCAM_*`) has the others.

    Raises:
        pydantic.ValidationError: a setting is wrong.
    """
    return application(ClusterSettings(**arguments))


def _number(settings: ClusterSettings) -> dict[str, Any]:
    """How many filters, in Serve's terms."""
    if settings.most_replicas is None:
        return {"num_replicas": settings.replicas}
    return {
        "autoscaling_config": {
            "min_replicas": settings.replicas,
            "max_replicas": max(settings.replicas, settings.most_replicas),
            "policy": {"policy_function": "signaling.cluster.scaling:replicas_for_load"},
            "metrics_interval_s": 2.0,
            "look_back_period_s": 10.0,
            "upscale_delay_s": 10.0,
            "downscale_delay_s": 300.0,
        }
    }
