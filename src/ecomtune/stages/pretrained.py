"""pretrained@M: pinned weights as an ordinary transformers folder, into models/pretrained/M."""

from __future__ import annotations

import os
from pathlib import Path

from ecomtune.files import output_folder
from ecomtune.params import Params
from ecomtune.runtime import prepare
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    model = pick(params.models, name, "models")
    os.environ["HF_HUB_OFFLINE"] = "0" if model.source == "hub" else "1"
    prepare(params.train.shared.threads)
    from ecomtune.pretrained import save_pretrained  # after prepare: transformers reads HF_HUB_OFFLINE at import

    with output_folder(Path("models/pretrained") / name) as folder:
        save_pretrained(name, model, folder)
    print(f"{name}: licence {model.licence}")


if __name__ == "__main__":
    run(main)
