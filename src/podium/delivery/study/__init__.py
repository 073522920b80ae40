"""A study as one page that opens from disk: its trials, what mattered, and the winner."""

from podium.delivery.study.page import StudyFacts, write_study

__all__ = ["StudyFacts", "write_study"]
