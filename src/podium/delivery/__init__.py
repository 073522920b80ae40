"""ROOM 6: Predictions → what people take away."""

from podium.delivery.submission import class_counts, write_submission

__all__ = ["class_counts", "write_submission"]
