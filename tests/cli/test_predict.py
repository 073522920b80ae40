"""podium predict: pictures of every kind, from everywhere, answered one after the other."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

from podium import api
from podium.api import pictures as pictures_module
from podium.cli import app
from podium.errors import DataError


def invoke(*words, status=0, stdin=None):
    result = CliRunner().invoke(app, ["predict", *map(str, words)], catch_exceptions=False, input=stdin)
    assert result.exit_code == status, result.output
    return result


def answers(*words, **more):
    return json.loads(invoke(*words, "--json", **more).stdout)


def picture(number, size=(40, 30)):
    """Mostly of one colour."""
    pixels = np.random.default_rng(number).integers(0, 120, (*size[::-1], 3), np.uint8)
    pixels[..., number % 3] += 120
    return Image.fromarray(pixels)


@pytest.fixture
def run(tiny_run):
    return ("--run", tiny_run.path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    for number, name in enumerate(["b.png", "a.jpg", "deeper/c.WEBP", "deeper/d.bmp"]):
        picture(number).save(tmp_path / "in" / name)
    (tmp_path / "in" / "note.txt").write_text("no picture, and not looked at")
    (tmp_path / "in" / ".hidden.png").write_bytes(b"nor this")
    return tmp_path / "in"


def test_right_after_install_without_a_run(folder):
    out = invoke(folder / "b.png").stdout
    assert out.startswith(f"{folder / 'b.png'}\n")
    assert out.count("%") == 5
    (found,) = answers(folder / "b.png", "--top", 10)
    assert {"airplane", "truck"} < found["classes"].keys()
    assert sum(found["classes"].values()) == pytest.approx(1, abs=1e-4)
    assert isinstance(found["known"], bool)


def test_files_folders_patterns_and_lists_come_in_their_order(folder, run, tmp_path, monkeypatch):
    whole = [str(folder / name) for name in ("a.jpg", "b.png", "deeper/c.WEBP", "deeper/d.bmp")]
    assert [one["image"] for one in answers(folder, *run)] == whole
    assert [one["image"] for one in answers(folder / "b.png", folder / "deeper", *run)] == whole[1:]
    assert [one["image"] for one in answers(folder / "*.*g", *run)] == whole[:2]
    assert [one["image"] for one in answers(folder / "**" / "*.bmp", *run)] == whole[3:]
    (tmp_path / "list.txt").write_text("\n".join([whole[2], "", whole[0]]) + "\n")
    assert [one["image"] for one in answers("--files-from", tmp_path / "list.txt", *run)] == [whole[2], whole[0]]
    assert [one["image"] for one in answers("--files-from", "-", *run, stdin=f"{whole[1]}\r\n")] == [whole[1]]


def test_stdin_is_a_picture(folder, run):
    (found,) = answers("-", *run, stdin=(folder / "b.png").read_bytes())
    (same,) = answers(folder / "b.png", *run)
    assert found == same | {"image": "stdin"}


MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"]


@pytest.mark.parametrize("mode", MODES)
def test_every_colour_mode(run, tmp_path, mode):
    path = tmp_path / ("x.tif" if mode in ("CMYK", "YCbCr", "PA", "LA") else "x.png")
    image = picture(1)
    if mode == "PA":
        image = image.convert("P").convert("LA")
    image = (
        image.convert("I").point(lambda level: level * 256).convert("I;16") if mode == "I;16" else image.convert(mode)
    )
    image.save(path)
    (found,) = answers(path, *run)
    assert "error" not in found


def test_the_orientation_tag_is_obeyed(run, tmp_path):
    image = picture(2, (24, 40))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(tmp_path / "tagged.png", exif=exif)
        ImageOps.exif_transpose(Image.open(tmp_path / "tagged.png")).save(tmp_path / "upright.png", exif=b"")
        tagged, upright = answers(tmp_path / "tagged.png", tmp_path / "upright.png", *run)
        assert tagged["classes"] == upright["classes"], orientation


def test_of_an_animation_the_first_frame(run, tmp_path):
    frames = [picture(0).quantize(), picture(1).quantize()]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "still.gif")
    moving, still = answers(tmp_path / "moving.gif", tmp_path / "still.gif", *run)
    assert moving["classes"] == still["classes"]


def bomb():
    """A PNG that says it has a billion pixels."""
    buffer = io.BytesIO()
    Image.new("1", (64, 64)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    import struct
    import zlib

    data[16:24] = struct.pack(">II", 40_000, 40_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def test_those_that_cannot_be_read_are_named_and_the_others_answered(folder, run, tmp_path):
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "cut.png").write_bytes((folder / "b.png").read_bytes()[:300])
    given = [folder / name for name in ("a.jpg", "bad.png", "bomb.png", "gone.png", "cut.png", "b.png")]
    result = invoke(*given, *run, "--json", status=2)
    found = json.loads(result.stdout)
    assert [one["image"] for one in found] == list(map(str, given))
    assert ["error" in one for one in found] == [False, True, True, True, True, False]
    said = [line for line in result.stderr.splitlines() if line.startswith("podium: ")]
    assert len(said) == 4
    assert "is no image that can be read" in said[0]
    assert "pixels" in said[1]
    assert "No such file" in said[2]
    assert "damaged" in said[3]
    good = [one for one in found if "error" not in one]
    assert good == answers(folder / "a.jpg", folder / "b.png", *run)


def test_as_a_table(folder, run, tmp_path):
    invoke(folder, *run, "--csv", tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    expected = answers(folder, *run, "--top", 1)
    assert [row["image"] for row in rows] == [one["image"] for one in expected]
    assert [{row["label"]: float(row["probability"])} for row in rows] == [one["classes"] for one in expected]
    assert {row["known"] for row in rows} <= {"true", "false"}
    assert invoke(folder, *run, "--csv", "-").stdout == (tmp_path / "out.csv").read_text()
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_a_table_that_cannot_be_whole_is_not_there(folder, run, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(api, "predict_each", fails)
    result = CliRunner().invoke(app, ["predict", str(folder), *map(str, run), "--csv", str(tmp_path / "out.csv")])
    assert result.exit_code != 0
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_what_is_wrong_with_the_question(folder, run, tmp_path):
    (tmp_path / "empty").mkdir()
    for given, said in [
        ([], "Predict what"),
        ([tmp_path / "empty"], "There is no picture in"),
        ([folder / "*.nothing"], "There is no picture in"),
        (["--files-from", tmp_path / "gone.txt"], "can't be read as a list of paths"),
        ([folder, "--json", "--csv", "x.csv"], "can't both be"),
    ]:
        with pytest.raises(DataError, match=said):
            invoke(*given, *run)


def test_an_answer_does_not_depend_on_the_others(folder, run, monkeypatch):
    """Nor on how many are decoded and predicted together."""
    many = [path for path in (folder / "a.jpg", folder / "b.png") for _ in range(9)]
    (first,), (second,) = answers(many[0], *run), answers(many[-1], *run)
    for chunk in (1, 4, 100):
        monkeypatch.setattr(pictures_module, "_CHUNK_PIXELS", 1)
        monkeypatch.setattr(pictures_module, "_LEAST_CHUNK", chunk)
        found = answers(*many, *run)
        assert len(found) == 18
        for one, expected in zip(found, [first] * 9 + [second] * 9, strict=True):
            assert one["classes"].keys() == expected["classes"].keys()
            assert list(one["classes"].values()) == pytest.approx(list(expected["classes"].values()), abs=1e-4)


def test_no_more_are_decoded_than_are_asked_for(folder, tiny_run, monkeypatch):
    monkeypatch.setattr(pictures_module, "_CHUNK_PIXELS", 1)
    monkeypatch.setattr(pictures_module, "_LEAST_CHUNK", 4)
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield folder / "b.png"

    found = api.predict_each(tiny_run, endless())
    assert [next(found).name for _ in range(6)] == [str(folder / "b.png")] * 6
    assert len(taken) <= 12  # the chunk under way and the next
    found.close()


def test_a_closed_pipe_is_no_fault(folder, run):
    """Such as `podium predict folder | head -1`."""
    command = [sys.executable, "-m", "podium", "predict", *[str(folder / "b.png")] * 5, *map(str, run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
