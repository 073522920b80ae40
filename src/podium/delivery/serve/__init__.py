"""A run as a server: a page to drop pictures on, and a REST API.

It needs the extra `serve`; nothing else in podium imports it before it is used.
"""

from podium.delivery.serve.app import make_app
from podium.delivery.serve.engine import Batching
from podium.delivery.serve.limits import Limits
from podium.delivery.serve.server import open_socket, run_server, running
from podium.delivery.serve.service import Service

__all__ = ["Batching", "Limits", "Service", "make_app", "open_socket", "run_server", "running"]
