"""The tables of docs/SCALE.md, from the figures that scale_model.py works out."""

import re
from typing import Any

__all__ = ["placed", "tables"]


def tables(figures: dict[str, Any]) -> dict[str, str]:
    """The tables of docs/SCALE.md, by the name of their marks."""
    training_rows = [
        [
            f"{row['num_gpus']}",
            f"{row['batch_size']:,}",
            f"{row['compute_ms']:g}",
            f"{row['sum_ms']:g}",
            f"{row['norms_ms']:g}",
            f"{row['images_per_second']:,.0f}",
            f"{row['without_sync_norm']:,.0f}",
            f"{row['hours']:g}",
            f"{row['network_gbit_a_gpu']:g}",
            f"{row['read_gb_per_second']:g}",
            "–" if row["decoding_cores_a_gpu"] is None else f"{row['decoding_cores_a_gpu']:g}",
            row["binding"],
        ]
        for row in figures["training"]
    ]
    heading = "GPUs|batch|compute, ms|sum, ms|norms, ms|images/s|apart|hours|Gb/s a GPU|GB/s read|cores a GPU|binds"
    found = {"training": _table(heading, training_rows), "inputs": _inputs_table(figures["inputs"])}
    for name in ("classifying_224", "classifying_32"):
        terms = list(figures[name][0]["limits"])
        rows = [
            [
                f"{row['num_gpus']}",
                *(f"{row['limits'][term]:,.0f}" for term in terms),
                f"{row['images_per_second']:,.0f}",
                f"{row['hours']:g}",
                row["binding"],
            ]
            for row in figures[name]
        ]
        found[name] = _table("|".join(["GPUs", *terms, "images/s", "hours", "binds"]), rows)
    rows = [
        [
            f"{row['num_classes']:,}",
            f"{row['gigabytes']:,g}",
            f"{row['most_millions_a_run']:,g}",
            f"{row['num_runs']:,}",
        ]
        for row in figures["outputs"]
    ]
    found["outputs"] = _table("classes|logits, GB|millions of images a run|runs", rows)
    left_out = "; ".join(figures["left_out"])
    if figures["days_here"] is not None:
        speed = next(row["value"] for row in figures["inputs"] if row["name"] == "trained_here")
        found["here"] = f"On the two cores that podium is made on, measured: {speed:g} images/s, "
        found["here"] += f"so {figures['days_here']:g} days for these 90 epochs.\n"
    said = f"Left out, since bench/results doesn't have it yet: {left_out}." if left_out else "Nothing is left out."
    found["left_out"] = f"{said}\n"
    return found


def placed(document: str, parts: dict[str, str]) -> str:
    """The document with what stands between its marks put anew."""
    for name, text in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        document, count = re.subn(
            pattern, lambda match, text=text: match[1] + text + match[2], document, flags=re.DOTALL
        )
        assert count == 1, name
    return document


def _inputs_table(rows: list[dict[str, Any]]) -> str:
    cells = [
        [row["kind"], f"`{row['name']}`", f"{row['value']:,.5g} {row['unit']}".strip(), row["source"]] for row in rows
    ]
    return _table("kind|input|value|source", cells)


def _table(heading: str, rows: list[list[str]]) -> str:
    names = heading.split("|")
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
