"""A run as one page that opens from disk: figures, charts and pictures, and nothing that is fetched or executed."""

from podium.delivery.report.page import Looked, Measured, write_report
from podium.delivery.report.pictures import Fetch

__all__ = ["Fetch", "Looked", "Measured", "write_report"]
