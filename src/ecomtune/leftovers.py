"""Stage outputs that params.yaml no longer names: a stage that reads a whole folder would read them too."""

from __future__ import annotations

from pathlib import Path

from ecomtune.params import Params


def left_overs(params: Params, root: Path) -> list[Path]:
    """Folders among the stage outputs that no stage of ``params`` writes, relative to ``root``, sorted."""
    written = {
        *(f"data/raw/{name}" for name in params.datasets),
        *(f"data/examples/{name}" for name in params.tasks),
        *(f"data/predictions/{name}" for name in params.systems),
        *(f"models/pretrained/{name}" for name in params.models),
        *(f"models/adapters/{adapter.out}" for adapter in params.train.adapters.values()),
        *(f"models/adapters/merged/{name}" for name in params.merge.recipes),
        *(f"models/baselines/{baseline.out}" for baseline in params.baselines.values()),
    }
    parents = {parent.as_posix() for folder in written for parent in Path(folder).parents}
    collections = sorted({"/".join(folder.split("/")[:2]) for folder in written} | {"models/adapters", "models/baselines"})
    found = []
    for collection in collections:
        waiting = [root / collection]
        while waiting:
            for folder in sorted(each for each in waiting.pop().glob("*/")):
                name = folder.relative_to(root).as_posix()
                if name in parents:
                    waiting.append(folder)
                elif name not in written:
                    found.append(Path(name))
    return sorted(found)
