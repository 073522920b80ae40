"""Labelled images as a few small files that need nothing but NumPy to be read, for a machine that has little else.

    python bench/parcel.py pack DATA FOLDER [--parts 2]      DATA: whatever podium opens
    python bench/parcel.py unpack FILE... --out FOLDER       in any order, some now and some later

Lossless: red and blue as differences from green, each pixel as the difference from its left neighbour, then Huffman
codes: CIFAR-10's 50,000 training images make 93 MiB instead of 146. `unpack` writes pixels.npy, labels.npy and
classes.txt, which gpu_speed.py and cpu_speed.py open as they are; once the last part is there it checks a SHA-256 over
all pixels.
"""

import argparse
import hashlib
import itertools
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def pack(data: Path, folder: Path, num_parts: int) -> None:
    from peers.split import labelled

    images = labelled(data)
    assert images.labels is not None
    folder.mkdir(parents=True, exist_ok=True)
    starts = np.linspace(0, len(images), num_parts + 1).astype(int).tolist()
    about = {
        "shape": images.pixels.shape,
        "classes": images.classes,
        "sha256": hashlib.sha256(np.ascontiguousarray(images.pixels)).hexdigest(),
        "num_parts": num_parts,
    }
    for number, (start, stop) in enumerate(itertools.pairwise(starts)):
        code = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
        body = code.compress(_differences(images.pixels[start:stop]).tobytes()) + code.flush()
        labels = images.labels[start:stop].tolist()
        header = json.dumps({**about, "part": number, "start": start, "stop": stop, "labels": labels}).encode()
        path = folder / f"part-{number}.parcel"
        path.write_bytes(len(header).to_bytes(8, "big") + header + body)
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


def unpack(files: list[Path], folder: Path) -> bool:
    """Writes what the files hold into `folder`; says whether all parts are there now."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        content = file.read_bytes()
        end = 8 + int.from_bytes(content[:8], "big")
        header = json.loads(content[8:end])
        start, stop, shape = header["start"], header["stop"], tuple(header["shape"])
        pixels = _array(folder / "pixels.npy", np.uint8, shape)
        labels = _array(folder / "labels.npy", np.int64, shape[:1])
        body = np.frombuffer(zlib.decompress(content[end:]), np.uint8)
        pixels[start:stop] = _summed(body.reshape(3, stop - start, *shape[1:3]))
        labels[start:stop] = header["labels"]
        pixels.flush()
        labels.flush()
        (folder / "classes.txt").write_text("\n".join(header["classes"]) + "\n", encoding="utf-8")
        (folder / f".part-{header['part']}").touch()
    missing = [number for number in range(header["num_parts"]) if not (folder / f".part-{number}").exists()]
    if missing:
        print(f"{folder}: still without part {', '.join(map(str, missing))}")
        return False
    if hashlib.sha256(np.load(folder / "pixels.npy")).hexdigest() != header["sha256"]:
        sys.exit(f"{folder}/pixels.npy isn't what was packed: unpack all parts of one packing into a new folder.")
    print(f"{folder}: {shape[0]:,} images, whole")
    return True


def _differences(pixels: Pixels) -> Pixels:
    """uint8 (N, H, W, 3) → (3, N, H, W); all arithmetic modulo 256."""
    planes = pixels.transpose(3, 0, 1, 2).copy()
    planes[0] -= planes[1]
    planes[2] -= planes[1]
    planes[..., 1:] -= planes[..., :-1].copy()
    return planes


def _summed(planes: Pixels) -> Pixels:
    """The inverse of `_differences`."""
    planes = np.cumsum(planes, axis=3, dtype=np.uint8)
    planes[0] += planes[1]
    planes[2] += planes[1]
    return planes.transpose(1, 2, 3, 0)


def _array(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    if path.exists():
        there = np.lib.format.open_memmap(path, mode="r+")
        if there.shape == shape:
            return there
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack")
    packing.add_argument("data", type=Path)
    packing.add_argument("folder", type=Path)
    packing.add_argument("--parts", type=int, default=2)
    unpacking = verbs.add_parser("unpack")
    unpacking.add_argument("files", type=Path, nargs="+")
    unpacking.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.verb == "pack":
        pack(args.data, args.folder, args.parts)
    else:
        unpack(args.files, args.out)


if __name__ == "__main__":
    main()
