"""How fast a machine is at what podium spends its time on: products of matrices, moving memory, decoding images."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from podium import limits
from podium.checkup.advice import Finding, Level
from podium.checkup.machine import Machine
from podium.data.decode import decode, decode_all

__all__ = ["Speeds", "advise_on_speed", "measure"]

SECONDS = 0.6  # for each measurement
_CPU_SIDE, _GPU_SIDE = 1024, 8192
_COPY_BYTES = 512 << 20  # more than caches hold


@dataclass(frozen=True)
class Speeds:
    """What was measured, each the best of some repetitions.

    Attributes:
        device: that multiplied and moved.
        num_threads: on a processor.
        matmul_bf16_gflops, matmul_fp32_gflops: 10⁹ multiplications and additions a second, of square matrices.
        memory_gb_per_second: 10⁹ bytes read and written a second, copying.
        jpeg_bytes: size of the JPEG file that is decoded, of 500×375 pixels.
        jpegs_per_second: on one core.
        pngs_per_second: PNG files of 32×32 pixels, on one core.
    """

    device: str
    num_threads: int
    matmul_bf16_gflops: float
    matmul_fp32_gflops: float
    memory_gb_per_second: float
    jpeg_bytes: int
    jpegs_per_second: float
    pngs_per_second: float


def measure(device: str = "auto", *, num_threads: int | None = None) -> Speeds:
    """Measures for some seconds.

    Args:
        device: "auto": a GPU where there is one.
        num_threads: None: podium's own choice.
    """
    import torch  # noqa: PLC0415

    place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if num_threads is not None:
        torch.set_num_threads(num_threads)

    def finished() -> None:
        if place.type == "cuda":
            torch.cuda.synchronize(place)

    side = _CPU_SIDE if place.type == "cpu" else _GPU_SIDE
    gflops = {}
    for dtype in (torch.bfloat16, torch.float32):
        left, right = (torch.rand(side, side, device=place).to(dtype) for _ in range(2))
        product = torch.empty_like(left)

        def multiply(left: torch.Tensor = left, right: torch.Tensor = right, out: torch.Tensor = product) -> None:
            torch.mm(left, right, out=out)
            finished()

        gflops[dtype] = 2 * side**3 / _best_seconds(multiply) / 1e9
    num_bytes = min(_COPY_BYTES, max(1 << 20, limits.memory().available // 8))
    source = torch.zeros(num_bytes, dtype=torch.uint8, device=place)
    target = torch.ones_like(source)

    def copy() -> None:
        target.copy_(source)
        finished()

    bandwidth = 2 * num_bytes / _best_seconds(copy) / 1e9
    jpeg, pngs = _photograph(), [_icon(seed) for seed in range(64)]
    jpeg_seconds = _best_seconds(lambda: decode(jpeg, "a photograph"))
    png_seconds = _best_seconds(lambda: list(decode_all(pngs, ["an icon"] * len(pngs)))) / len(pngs)
    return Speeds(
        device=str(place),
        num_threads=torch.get_num_threads(),
        matmul_bf16_gflops=round(gflops[torch.bfloat16], 1),
        matmul_fp32_gflops=round(gflops[torch.float32], 1),
        memory_gb_per_second=round(bandwidth, 1),
        jpeg_bytes=len(jpeg),
        jpegs_per_second=round(1 / jpeg_seconds),
        pngs_per_second=round(1 / png_seconds),
    )


def advise_on_speed(speeds: Speeds, machine: Machine) -> Iterator[Finding]:
    """What the measured speeds say."""
    if speeds.matmul_bf16_gflops < speeds.matmul_fp32_gflops:
        has_it = bool(machine.bf16) or any(gpu.has_bf16 for gpu in machine.gpus)
        yield Finding(
            Level.SLOW if has_it else Level.HINT,
            f"bf16 is slower here than fp32 ({speeds.matmul_bf16_gflops:g} against {speeds.matmul_fp32_gflops:g} "
            "GFLOP/s).",
            "Train with --set precision=fp32." if has_it else "podium takes fp32 by itself.",
        )


def _best_seconds(do: Callable[[], object]) -> float:
    """The least that one of some calls took; the first doesn't count."""
    do()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while True:
        began = time.perf_counter()
        do()
        now = time.perf_counter()
        best = min(best, now - began)
        if now > end:
            return best


def _photograph() -> bytes:
    """A JPEG file as large as ImageNet's are on average: 500×375 pixels, about 110 kB."""
    rng = np.random.default_rng(0)
    scene = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
    noisy = np.asarray(scene, np.int16) + rng.normal(0, 13, (375, 500, 1)).astype(np.int16)
    buffer = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _icon(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    return buffer.getvalue()
