"""What the operator of a cluster can set."""

from __future__ import annotations

from pydantic import Field

from signaling.settings import ServerSettings


class ClusterSettings(ServerSettings):
    """Settings of a cluster: those of a server, whose limits of sessions and viewers are one replica's, and these."""

    ingresses: int = Field(2, ge=1, le=256, description="ingresses, which take HTTP")
    replicas: int = Field(1, ge=1, le=4096, description="replicas, which take the media; at least")
    most_replicas: int | None = Field(None, ge=1, le=4096, description="replicas at most; scales by load when set")
    replica_cpus: float = Field(1, gt=0, description="processor cores of one replica")
    replica_gpus: float = Field(0, ge=0, le=8, description="graphics processors of one replica")
    surge: int = Field(
        34, ge=0, le=100, description="percent of replicas that an update may start before it stops old ones"
    )
    statistics_s: float = Field(1, ge=0.1, le=30, description="seconds between two reports of a replica's capacity")
    trusted_proxies: str = Field(
        "127.0.0.1", description="addresses or networks whose X-Forwarded-For counts, comma separated"
    )
