"""From frames to faces with stable ids: the tracker, one track, and which face belongs to which track."""

from stream.tracking.tracker import Tracker

__all__ = ["Tracker"]
