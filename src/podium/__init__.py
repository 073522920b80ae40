"""podium: small-image classification, from a competition's raw files to a leaderboard submission.

    import podium

    data = podium.open("cifar-10")                      # the competition's folder, archives as they are
    run = podium.train(data, "sprint", seed=0)          # a folder with weights, metrics, manifest
    print(podium.evaluate(run, data).accuracy)          # on the hold-out
    podium.submit(run, data, "submission.csv")

Names are loaded when they are first used, so that `import podium` takes milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podium.api import (
        Comparison,
        Verification,
        compare,
        evaluate,
        export_onnx,
        open,
        predict,
        predict_files,
        report,
        reproduce,
        resume,
        serve,
        submit,
        train,
        tune,
        verify,
    )
    from podium.api.downloading import download
    from podium.checkup import Checkup, doctor
    from podium.data import Dataset, Images
    from podium.errors import PodiumError
    from podium.evaluation import Evaluation, Predictions
    from podium.recipe import Recipe, load_recipe
    from podium.run import Run
    from podium.standings import leaderboard

__all__ = [
    "Checkup",
    "Comparison",
    "Dataset",
    "Evaluation",
    "Images",
    "PodiumError",
    "Predictions",
    "Recipe",
    "Run",
    "Verification",
    "compare",
    "doctor",
    "download",
    "evaluate",
    "export_onnx",
    "leaderboard",
    "load_recipe",
    "open",
    "predict",
    "predict_files",
    "report",
    "reproduce",
    "resume",
    "serve",
    "submit",
    "train",
    "tune",
    "verify",
]

_HOMES = {
    "Checkup": "podium.checkup",
    "Dataset": "podium.data",
    "Evaluation": "podium.evaluation",
    "Images": "podium.data",
    "PodiumError": "podium.errors",
    "Predictions": "podium.evaluation",
    "Recipe": "podium.recipe",
    "Run": "podium.run",
    "doctor": "podium.checkup",
    "leaderboard": "podium.standings",
    "load_recipe": "podium.recipe",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'podium' has no attribute '{name}'")
    value = getattr(import_module(_HOMES.get(name, "podium.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
