"""pretrained@M: pinned weights as an ordinary transformers folder, into models/pretrained/M."""

from __future__ import annotations

import os

from ecomtune.core.config.params import Params
from ecomtune.core.files import output_folder
from ecomtune.core.paths import PRETRAINED
from ecomtune.models.process import prepare
from ecomtune.stages.runner import pick, run


def main(params: Params, name: str) -> None:
    model = pick(params.models, name, "models")
    os.environ["HF_HUB_OFFLINE"] = "0" if model.source == "hub" else "1"
    prepare(params.train.shared.threads)
    from ecomtune.models.sources import save_pretrained  # after prepare: importing transformers reads HF_HUB_OFFLINE

    with output_folder(PRETRAINED / name) as folder:
        save_pretrained(name, model, folder)
    print(f"{name}: licence {model.licence}")


if __name__ == "__main__":
    run(main)
