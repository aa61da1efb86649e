"""Make torchvision importable beside a CPU build of torch.

The torchvision wheel of the public index is built for CUDA torch. Beside a CPU torch its import dies with
``operator torchvision::nms does not exist``, and takes timm and torchmetrics with it. Declaring the schemas of the
missing operators is enough for everything Sentry uses (timm's models); ``torchvision.ops.nms`` itself and
``torchvision.io`` stay out of reach. A machine with a matching pair never gets that far.
"""

from __future__ import annotations

import importlib
import sys

import torch

_MISSING_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[torch.library.Library] = []  # a Library undoes its definitions when it is collected


def ensure_torchvision() -> None:
    """Import torchvision, repairing a CUDA wheel beside a CPU torch. Call before importing timm.

    Raises:
        RuntimeError: torchvision fails for another reason than the missing ``nms`` operator.
        ImportError: torchvision is not installed.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        _drop_half_imported()
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for schema in _MISSING_SCHEMAS:
            library.define(schema)  # type: ignore[no-untyped-call]
        _libraries.append(library)
        importlib.import_module("torchvision")


def _drop_half_imported() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
