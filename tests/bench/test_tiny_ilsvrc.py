import numpy as np
import tiny_ilsvrc

import podium.data


def test_a_tiny_ilsvrc_opens_as_the_real_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "cache"))
    sizes = {"num_classes": 7, "num_train": 3, "num_val": 2, "num_test": 1, "size": (40, 30)}
    labels = tiny_ilsvrc.write_tiny(tmp_path / "tiny", **sizes)
    dataset = podium.data.open(tmp_path / "tiny", image_size=24)
    assert dataset.kind == "imagenet"
    assert dataset.classes == tuple(tiny_ilsvrc.wnids(7))
    assert dataset.train.labels.tolist() == np.repeat(np.arange(7), 3).tolist()
    means = np.stack([dataset.train.pixels[dataset.train.labels == label].mean(0) for label in range(7)])

    def nearest(images):
        return [int(np.abs(means - image).mean((1, 2, 3)).argmin()) for image in images.pixels[:]]

    assert nearest(dataset.evaluation) == dataset.evaluation.labels.tolist()  # so the classes' numbers are mapped right
    assert nearest(dataset.test) == labels
    again = tmp_path / "again"
    tiny_ilsvrc.write_tiny(again, **sizes)
    for path in again.glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "tiny" / path.name).read_bytes()
