"""Each guide, from its first command to its last, as it stands: in a new folder, with small data in place of the real.

What is shortened is in SHORTER, what can't be run here in NOT_RUN; everything else in a code block is run.
"""

import os
import re
import shlex
import subprocess
import sys
import time
import tomllib

import kaggle_fake
import pytest
import shell
import standins
from processes import answers
from torch.distributed.run import get_args_parser

from podium.cli import clock, main
from podium.data import kaggle_api
from podium.recipe import Recipe

GUIDES = shell.ROOT / "docs" / "guides"

IMAGENET = "--image-size 64 --set epochs=1 --set warmup_epochs=0.5 --set batch_size=8 --set hold_out=0.2"
SHORTER = {  # what is added to a training's command; of an option given twice the last holds
    "compete": "--set epochs=1 --set batch_size=8 --set hold_out=0.25",
    "own-pictures": "--set epochs=1 --set batch_size=8",
    "imagenet": IMAGENET,
    "cluster": "--set epochs=1 --set batch_size=8",
    "from-mxnet": "--set epochs=0.25 --set batch_size=8 --set hold_out=0.25",
}
SHORTER_STILL = {  # by an option that the command has
    "--minutes": "--minutes 0.1",
    "--resume": "",
    "hold_out=0": "--set epochs=1 --set batch_size=8",
    "imagenet_resnet50": f"{IMAGENET} --set model=resnet18",  # which is smaller
    "--init resnet18": "--image-size 64 --set form=imagenet --set epochs=1 --set batch_size=8",
}
NOT_RUN = {  # by a line's beginning, with the reason; what podium and torchrun are told in it is checked all the same
    "pip install": "needs a package index; that there is such an extra is checked",
    "#!": "a job's first line",
    "first=$(scontrol": "needs Slurm",
    "srun torchrun": "needs Slurm",
}


class Guide:
    """Runs one guide's commands, one after the other, in a folder of its own."""

    def __init__(self, name, place, monkeypatch):
        self.name, self.place, self.monkeypatch = name, place, monkeypatch
        self.server = self.address = None
        self.names = {"__name__": "guide"}
        monkeypatch.chdir(place)

    def follow(self):
        """All code blocks; those of other kinds are looked at only."""
        num_run = 0
        for block in shell.blocks(GUIDES / f"{self.name}.md"):
            if block.language == "sh":
                for line in shell.commands(block):
                    num_run += self.run(line)
            elif block.language == "python":
                exec(compile(self.here(block.text), self.name, "exec"), self.names)
                num_run += 1
            else:
                assert block.language in ("text", "ini"), f"{self.name}: who runs a block of {block.language!r}?"
        return num_run

    def here(self, text):
        """With the server's real address."""
        return text.replace("http://127.0.0.1:8000", self.address) if self.address else text

    def run(self, line):
        """Whether it was run, rather than looked at."""
        if any(line.startswith(beginning) for beginning in NOT_RUN):
            self.look_at(line)
            return False
        words = shell.podium_words(line)
        if line.startswith("torchrun "):
            self.torchrun(shlex.split(line))
        elif line.startswith("podium serve "):
            self.serve(words)
        elif words is not None:
            before, bar, _ = line.partition(" | podium ")
            self.podium(words, stdin=self.output(before) if bar else None)
        else:
            self.output(self.here(line))
        return True

    def look_at(self, line):
        words = shlex.split(line)
        if words[:2] == ["pip", "install"]:
            (extra,) = re.findall(r"podium-vision\[(\w+)\]", line)
            about = tomllib.loads((shell.ROOT / "pyproject.toml").read_text())
            assert extra in about["project"]["optional-dependencies"]
        elif "torchrun" in words:
            get_args_parser().parse_args(words[words.index("torchrun") + 1 :])
            shell.check(shell.podium_words(line))

    def shortened(self, words):
        if words[0] != "train":
            return words
        line = shlex.join(words)
        for sign, more in SHORTER_STILL.items():
            if sign in words or sign in line:
                return [*words, *shlex.split(more)]
        return [*words, *shlex.split(SHORTER[self.name])]

    def podium(self, words, stdin):
        if stdin is not None:
            words = [*words, "--files-from", str(stdin)]
        self.monkeypatch.setattr(sys, "argv", ["podium", *self.shortened(words)])
        self.monkeypatch.setattr(clock, "_BEGAN", time.monotonic())
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, f"{self.name}: podium {shlex.join(words)}"

    def output(self, line):
        """A program's, as a file."""
        done = subprocess.run(shlex.split(line), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        path = self.place / ".output"
        path.write_text(done.stdout)
        return path

    def torchrun(self, words):
        """Two processes of this machine, however many machines are meant."""
        given = get_args_parser().parse_args(words[1:])
        assert (given.module, given.training_script) == (True, "podium")
        for answer in answers(2, "command", self.shortened(given.training_script_args), str(self.place)):
            assert answer.status == 0, answer.err

    def serve(self, words):
        """On a free port."""
        command = [sys.executable, "-m", "podium", *words, "--port", "0"]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"})
        self.address = re.search(r"http://127\.0\.0\.1:\d+", self.server.stdout.readline())[0]

    def end(self):
        if self.server is not None:
            self.server.terminate()
            assert self.server.wait(120) == 0
            self.server.stdout.close()


@pytest.fixture
def guide(tmp_path, monkeypatch):
    made = []

    def make(name):
        made.append(Guide(name, tmp_path, monkeypatch))
        return made[0]

    yield make
    for one in made:
        one.end()


def test_compete(guide, tmp_path, tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(kaggle_api, "POLL_SECONDS", 0.01)
    with kaggle_fake.serving() as kaggle:
        kaggle_fake.redirect(monkeypatch, kaggle.url, home)
        kaggle.archive = standins.kaggle_zip()
        assert guide("compete").follow() == 15
    (sent,) = kaggle.submitted
    assert (sent["competitionName"], sent["submissionDescription"]) == ("cifar-10", "two sprints on all images")
    rows = (tmp_path / "submission.csv").read_text().splitlines()
    assert rows == (tmp_path / "again.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["id", *map(str, range(1, 11))]


def test_own_pictures(guide, tmp_path):
    standins.pictures(tmp_path)
    assert guide("own-pictures").follow() == 11
    assert {path.name for path in tmp_path.glob("runs/*")} == {"pictures", "mirrored", "tuned"}


def test_imagenet(guide, tmp_path):
    standins.ilsvrc(tmp_path)
    assert guide("imagenet").follow() == 9
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 4


def test_cluster(guide, tmp_path):
    standins.kaggle_folder(tmp_path / "data")
    assert guide("cluster").follow() == 5


def test_server(guide, tmp_path):
    standins.served(tmp_path)
    assert guide("server").follow() == 9


def test_from_mxnet(guide, tmp_path):
    standins.mxnet(tmp_path)
    assert guide("from-mxnet").follow() == 8
    assert (tmp_path / "third.params").read_bytes() == (tmp_path / "net.params").read_bytes()


def test_each_guide_is_followed():
    here = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in GUIDES.glob("*.md")} <= here


def test_what_mxnet_s_settings_map_to_is_a_recipe():
    text = (GUIDES / "from-mxnet.md").read_text(encoding="utf-8")
    cells = [row.split("|")[2] for row in text.splitlines() if row.startswith("| ")]
    keys = [key for cell in cells for key in re.findall(r"`([a-z_]+ = [^`]+)`", cell)]
    assert len(keys) > 15
    Recipe.from_toml("\n".join(keys), "from-mxnet.md")
