"""World: the processes that compute together, and what they say to each other.

Everything but tensors travels as JSON; nothing that arrives is executed.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from podium import errors
from podium.errors import PodiumError, WorldError
from podium.files import storage_errors
from podium.world import silence
from podium.world.launch import Job

if TYPE_CHECKING:
    from torch import Tensor
    from torch._C._distributed_c10d import Store
    from torch.distributed import ProcessGroup, Work

__all__ = ["ALONE", "World"]

T = TypeVar("T")

_PATIENCE_SECONDS = 6 * 3600.0  # for work that some do and others needn't: reading archives
_NUM_KEPT = 4  # gloo has two threads


@dataclass(frozen=True, eq=False)
class World:
    """The processes that compute together. All of them call the same methods in the same order.

    Alone, each method gives back what it was given, at no cost.

    Attributes:
        rank: this process's, 0 … size - 1.
        size: number of processes.
        local_rank: among those of this machine.
        local_size: number of those.
        hosts: the machine's name of each rank.
        job: what outlives a restart by torchrun; None: nothing does.
        timeout: seconds for which each waits for the others.
        store: where they met.
        control: connects processors; None: what connects all devices does.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    hosts: tuple[str, ...] = ("",)
    job: Job | None = None
    timeout: float = 0.0
    store: Store | None = field(default=None, repr=False)
    control: ProcessGroup | None = field(default=None, repr=False)
    _turns: Iterator[int] = field(default_factory=itertools.count, repr=False)
    _kept: deque[Work] = field(default_factory=lambda: deque(maxlen=_NUM_KEPT), repr=False)

    def __deepcopy__(self, memo: object) -> World:
        return self  # a connection can't be copied, and networks that hold one are

    @property
    def is_first(self) -> bool:
        """Whether this process is rank 0: the one that writes and speaks."""
        return self.rank == 0

    def name(self, rank: int) -> str:
        """A rank and where it runs, in words."""
        return f"rank {rank} on {self.hosts[rank]}" if rank < len(self.hosts) else f"rank {rank}"

    # ---- tensors

    def part(self, num_all: int, rank: int | None = None) -> slice:
        """This process's part of `num_all` rows, or that of `rank`: as torch.tensor_split cuts them."""
        base, extra = divmod(num_all, self.size)
        rank = self.rank if rank is None else rank
        start = rank * base + min(rank, extra)
        return slice(start, start + base + (rank < extra))

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors of one shape, the same bits everywhere."""
        if self.size == 1:
            return tensor
        from torch import distributed  # noqa: PLC0415

        total = tensor.detach().clone()
        self._finish(distributed.all_reduce(total, group=self._group(total), async_op=True))
        return total

    def stack(self, tensor: Tensor) -> Tensor:
        """All processes' tensors, of one shape (…), in the order of ranks: (size, …)."""
        if self.size == 1:
            return tensor[None]
        import torch  # noqa: PLC0415
        from torch import distributed  # noqa: PLC0415

        mine = tensor.detach().contiguous()
        each = [torch.empty_like(mine) for _ in range(self.size)]
        self._finish(distributed.all_gather(each, mine, group=self._group(mine), async_op=True))
        return torch.stack(each)

    def gather(self, tensor: Tensor) -> Tensor:
        """All processes' rows in the order of ranks; each may have another number of them, or none."""
        if self.size == 1:
            return tensor
        import torch  # noqa: PLC0415

        counts: list[int] = self.stack(torch.tensor(len(tensor))).tolist()
        padded = tensor.new_zeros((max(counts), *tensor.shape[1:]))
        padded[: len(tensor)] = tensor.detach()
        each = self.stack(padded)
        return torch.cat([some[:count] for some, count in zip(each, counts, strict=True)])

    def spread(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrites tensors, of which all processes have the same, with rank 0's."""
        if self.size > 1:
            for tensor in tensors.values():
                self._broadcast(tensor)

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return flag
        import torch  # noqa: PLC0415

        return bool(self.sum(torch.tensor([int(flag)])).item())

    def _broadcast(self, tensor: Tensor) -> None:
        from torch import distributed  # noqa: PLC0415

        self._finish(distributed.broadcast(tensor, 0, group=self._group(tensor), async_op=True))

    def _finish(self, work: Work | None) -> None:
        """Waits for it, and keeps it a while: gloo's thread must not be the last to let go of its tensors.

        That takes Python, and where Python is ending by then, the thread aborts the process.
        """
        assert work is not None
        work.wait()
        self._kept.append(work)

    def _group(self, tensor: Tensor) -> ProcessGroup | None:
        return self.control if tensor.device.type == "cpu" else None

    # ---- words and files

    def tell_bytes(self, data: bytes | None) -> bytes:
        """Rank 0's bytes; what others give isn't looked at."""
        if self.size == 1:
            assert data is not None
            return data
        import torch  # noqa: PLC0415

        length = torch.tensor([len(data or b"")])
        self._broadcast(length)
        buffer = bytearray(data or b"") if self.is_first else bytearray(int(length))
        if buffer:
            self._broadcast(torch.frombuffer(buffer, dtype=torch.uint8))
        return bytes(buffer)

    def tell(self, value: T) -> T:
        """Rank 0's value, which JSON can hold; tuples come as lists."""
        if self.size == 1:
            return value
        told: T = json.loads(self.tell_bytes(json.dumps(value).encode() if self.is_first else None))
        return told

    def each(self, value: T) -> list[T]:
        """Every process's value, in the order of ranks; JSON's kinds only."""
        if self.size == 1:
            return [value]
        import torch  # noqa: PLC0415

        line = json.dumps(value).encode() + b"\n"
        all_lines = self.gather(torch.frombuffer(bytearray(line), dtype=torch.uint8))
        return [json.loads(one) for one in all_lines.numpy().tobytes().splitlines()]

    @contextmanager
    def borrowed(self, path: Path) -> Iterator[Path | None]:
        """Rank 0's file, as a file that this process can read while inside; None if there is none.

        No disk need be shared. Raises StorageError.
        """
        if self.size == 1:
            yield path if path.exists() else None
            return
        content: bytes | None = None
        with self.together(), storage_errors(path):
            if self.is_first and path.exists():
                content = path.read_bytes()
        if not self.tell(content is not None):
            yield None
            return
        content = self.tell_bytes(content)
        if self.is_first:
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="podium-") as folder:
            copy = Path(folder) / path.name
            with storage_errors(copy):
                copy.write_bytes(content)
            yield copy

    # ---- turns

    @contextmanager
    def together(self) -> Iterator[None]:
        """What one process can't do inside, none has done: an error of one of them is raised in all.

        All wait at the end, for hours if need be: reading an archive takes some of them long, others no time.
        """
        if self.size == 1:
            yield
            return
        mine: PodiumError | None = None
        try:
            yield
        except PodiumError as error:
            mine = error
        self._wait()
        said = self.each(None if mine is None else [type(mine).__name__, str(mine)])
        first = next((rank for rank, one in enumerate(said) if one is not None), None)
        if first is None:
            return
        if first == self.rank and mine is not None:
            raise mine
        name, text = said[first] or ("PodiumError", "")
        kind = getattr(errors, name, PodiumError)
        raise kind(text if first == 0 else f"{self.name(first).capitalize()}: {text}")

    def first(self, do: Callable[[], T]) -> T:
        """What `do` gives rank 0, the only one to call it, as JSON; its error is raised in all."""
        if self.size == 1:
            return do()
        value: T | None = None
        with self.together():
            if self.is_first:
                value = do()
        return self.tell(value)  # type: ignore[return-value]

    def in_turn(self, do: Callable[[], T]) -> T:
        """What `do` gives, done by one process of each machine first: the others find its cache filled."""
        if self.size == 1:
            return do()
        value: list[T] = []
        for is_leader in (True, False):
            with self.together():
                if (self.local_rank == 0) == is_leader:
                    value.append(do())
        return value[0]

    # ---- when something is wrong

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Says which process is missing where waiting for the others fails inside. Raises WorldError."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not silence.is_its_sign(error):
                raise
            raise WorldError(silence.explained(self)) from error

    def _wait(self) -> None:
        """Until all have come here."""
        assert self.store is not None
        turn = f"turn/{next(self._turns)}"
        if self.store.add(turn, 1) == self.size:
            self.store.set(f"{turn}/all", "")
        self.store.wait([f"{turn}/all"], timedelta(seconds=_PATIENCE_SECONDS))


ALONE = World()
"""One process."""
