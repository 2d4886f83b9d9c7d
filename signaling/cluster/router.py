"""Serve's request router, which chooses as `placement` says.

Serve takes this module's code along to wherever there is a handle, so that its globals are copies: what a process knows
is in `placement`.
"""

from __future__ import annotations

from typing import Any

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from signaling.cluster import placement


class CapacityRouter(RequestRouter):  # type: ignore[misc]
    """Orders replicas by free capacity; a request may name its replica (`target`) and those that refused (`avoid`).

    Free capacity comes with Serve's routing statistics (`Filter.record_routing_stats`), and what changes between two of
    them from the replicas' answers.
    """

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """One replica per rank, the best first; the target alone where it is there."""
        wishes: dict[str, Any] = {} if pending_request is None else pending_request.kwargs
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # when all are busy
        there = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        placement.BELIEFS.keep(there.keys())
        for id, replica in there.items():
            figures = placement.Figures.read(replica.routing_stats or replica.replica_metadata)
            if figures is not None:
                placement.BELIEFS.learn(id, figures)
        if wishes.get("target") in there:
            order = [wishes["target"]]
        else:
            avoid = wishes.get("avoid", frozenset())
            order = sorted(placement.BELIEFS.order(there.keys()), key=lambda id: id in avoid)
        if order:
            placement.BELIEFS.chosen(wishes.get("token", ""), order[0])
        return [[there[id]] for id in order]
