"""`podium serve` under load, beside the same network in a bare FastAPI handler without batching.

python bench/serve_load.py RUN [--requests 100000] [--clients 32] [--slices 10]

On loopback, the client in a process of its own. The servers are asked in turn, a slice of the requests each, so that
all see the same machine; the bare ones get a tenth as many. Memory is what a server's process holds after each slice.
Processor time, which a busy machine changes less, is the server's alone.
"""

import argparse
import base64
import io
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from common import summary, write_result
from PIL import Image

from podium.models import Classifier
from podium.run import Run

HERE = Path(__file__).parent
NUM_PICTURES = 64
SERVED = "podium"


def pictures(size: tuple[int, int]) -> list[bytes]:
    """PNG files of smooth colours, of the size that the network takes."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(NUM_PICTURES):
        small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
        buffer = io.BytesIO()
        small.resize((size[1], size[0]), Image.Resampling.BICUBIC).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return found


class Server:
    """A process that answers on a port of its own."""

    def __init__(self, command: list[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        words = [word.replace("PORT", str(self.port)) for word in command]
        self.process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
        for _ in range(1200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except ConnectionError:
                if self.process.poll() is not None:
                    sys.exit(f"{' '.join(words)} ended before it answered.")
                time.sleep(0.1)

    def ask(self, body: bytes) -> list[dict[str, Any]]:
        """What it says of one picture."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/predict", body, {"Content-Type": "image/png"})
        with urllib.request.urlopen(request) as answer:
            said = json.load(answer)
        return said["images"][0]["classes"] if "images" in said else said["classes"]

    def load(self, num_clients: int, num_requests: int, bodies: str) -> dict[str, Any]:
        """Requests from many clients at once, each waiting for its answer; with the processor time they cost."""
        command = [sys.executable, str(HERE / "serve_client.py"), str(self.port), str(num_clients), str(num_requests)]
        before = self.cpu_seconds()
        done = subprocess.run(command, input=bodies, capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        if found["statuses"].get("200") != num_requests:
            sys.exit(f"Not all were answered with 200: {found['statuses']}")
        return found | {"cpu_seconds": self.cpu_seconds() - before}

    def cpu_seconds(self) -> float:
        """Processor time of its process so far."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """What its process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+)", status)
        assert match is not None
        return int(match[1]) / 1024

    def mean_batch(self) -> float:
        """Images that went through the network at once, of podium's server."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = answer.read().decode()
        total, count = (
            float(re.search(rf"^podium_batch_images_{part} (\S+)", text, re.MULTILINE)[1])  # type: ignore[index]
            for part in ("sum", "count")
        )
        return total / count


def largest_difference(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> float:
    """Of the probabilities of classes that both name."""
    known = {entry["name"]: entry["probability"] for entry in other}
    both = [(entry["probability"], known[entry["name"]]) for entry in one if entry["name"] in known]
    return max(abs(a - b) for a, b in both) if both else 1.0


def figures_of(slices: list[dict[str, Any]], memory: list[float]) -> dict[str, Any]:
    latencies = np.array([one for some in slices for one in some["latencies"]])
    rates = [len(some["latencies"]) / some["seconds"] for some in slices]
    return {
        "num_requests": len(latencies),
        "num_hung_up": sum(some["statuses"].get("hung up", 0) for some in slices),
        "cpu_ms_a_request": round(1000 * sum(some["cpu_seconds"] for some in slices) / len(latencies), 2),
        "requests_per_second": summary(rates, digits=1),
        "latency_ms": {f"p{part}": round(1000 * float(np.percentile(latencies, part)), 1) for part in (50, 99)},
        "memory_mib": {
            "after_first_slice": round(memory[0], 1),
            "after_last_slice": round(memory[-1], 1),
            "highest": round(max(memory), 1),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--slices", type=int, default=10)
    args = parser.parse_args()
    run = Run.open(args.run)
    classifier = Classifier.load(run.model_path)
    bodies = pictures(classifier.preprocessing.image_size)
    packed = json.dumps([base64.b64encode(body).decode() for body in bodies])
    bare = str(HERE / "serve_bare.py")
    commands = {
        SERVED: ["-m", "podium", "serve", str(args.run), "--port", "PORT", "--tta", "none"],
        "bare, in the event loop": [bare, str(args.run), "PORT", "async"],
        "bare, in FastAPI's threads": [bare, str(args.run), "PORT", "threads"],
    }
    servers = {name: Server(command) for name, command in commands.items()}
    try:
        expected = servers[SERVED].ask(bodies[0])
        for name, server in servers.items():
            if largest_difference(expected, server.ask(bodies[0])) > 0.02:
                sys.exit(f"{name} says something else of the same picture: {server.ask(bodies[0])}, not {expected}.")
            server.load(args.clients, 20 * args.clients, packed)  # the first requests are slower
        slices: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
        memory: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(args.slices):
            for name, server in servers.items():
                share = args.requests // args.slices
                count = share if name == SERVED else max(2 * args.clients, share // 10)
                slices[name].append(server.load(args.clients, count, packed))
                memory[name].append(server.memory_mib())
                rate = count / slices[name][-1]["seconds"]
                print(
                    f"{number + 1}/{args.slices}  {name}: {rate:.0f} requests/s, {memory[name][-1]:.0f} MiB", flush=True
                )
        alone = servers[SERVED].load(1, max(50, args.requests // 200), packed)
        mean_batch = servers[SERVED].mean_batch()
    finally:
        for server in servers.values():
            server.process.terminate()
            server.process.wait(30)
    figures: dict[str, Any] = {name: figures_of(slices[name], memory[name]) for name in servers}
    best = max(figures[name]["requests_per_second"]["median"] for name in servers if name != SERVED)
    figures = {
        "recipe": run.recipe.name,
        "num_clients": args.clients,
        "picture": f"PNG, {classifier.preprocessing.image_size[0]}×{classifier.preprocessing.image_size[1]}",
        "servers": figures,
        "times_the_better_bare_one": round(figures[SERVED]["requests_per_second"]["median"] / best, 2),
        "mean_images_a_batch": round(mean_batch, 1),
        "one_client_latency_ms": round(1000 * statistics.median(alone["latencies"]), 1),
    }
    command = f"python bench/serve_load.py RUN --requests {args.requests} --clients {args.clients}"
    print(write_result("serve-load", f"{command} --slices {args.slices}", figures).read_text())


if __name__ == "__main__":
    main()
