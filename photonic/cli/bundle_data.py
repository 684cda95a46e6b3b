"""Real inputs for a bundle: its reference sample, or the data it was trained on read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from photonic.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np

    from export.bundle import Bundle

CommandT = TypeVar("CommandT", bound=Callable[..., object])


class BundleData(NamedTuple):
    """Program inputs ``(n, tokens, channels)`` by name, their labels, and in words what they are.

    ``inputs`` is ``None`` for the bundle's own reference sample.
    """

    inputs: Mapping[str, np.ndarray] | None
    label: np.ndarray | None
    source: str

    def labelled(self, bundle: Bundle) -> tuple[Mapping[str, np.ndarray], np.ndarray]:
        """Inputs and labels to score against, those of the reference sample where it is meant.

        Raises:
            ConfigError: a reference sample without labels.
        """
        sample = bundle.reference
        inputs = sample.inputs if self.inputs is None else self.inputs
        label = sample.label if self.inputs is None else self.label
        if label is None:
            raise ConfigError(
                f"{bundle.path}: its reference sample has no labels to score against; give --data"
            )
        return inputs, label


def data_options(command: CommandT) -> CommandT:
    """``--data DIR`` and ``--subset NAME``."""
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        default=None,
        help="Folder of the data; without it the bundle's reference sample is used.",
    )
    subset = click.option(
        "--subset",
        type=click.Choice(["train", "val", "test", "all"]),
        default=None,
        help="Samples of the data to use; test if left out.",
    )
    return data(subset(command))


def bundle_data(bundle: Bundle, data: Path | None, subset: str | None) -> BundleData:
    """Inputs from ``data``, cut and labelled as the bundle's manifest says, or the sample.

    Raises:
        ConfigError: a subset without data to choose it from, or data that gives other inputs.
        DataError: data that is missing or damaged, or no samples in the subset.
    """
    if data is None:
        if subset is not None:
            raise ConfigError(f"--subset {subset}: give the folder with --data, too")
        return BundleData(None, None, "reference sample of the bundle")
    from training.workloads import workload

    manifest, subset = bundle.manifest, subset or "test"
    spec = workload(manifest.workload)
    given = {"data": data.absolute(), "labels": manifest.label_map, "seed": manifest.seed}
    given |= {"split": manifest.split["name"], "lead": manifest.preprocessing.get("lead", "MLII")}
    given["centre"] = manifest.preprocessing.get("centre", "r-peak")
    given["template"] = manifest.preprocessing.get("template", "mean")
    if any(entry.name == "rhythm" for entry in manifest.inputs):
        given["student"] = "patch"  # the only one that takes rhythm tokens
        given["causal"] = manifest.preprocessing.get("causal", False)
    dataset = spec.load(spec.resolve(given), lambda source: None)
    index = dataset.subset(subset)
    if not len(index):
        raise DataError(f"split {dataset.split.name} has no {subset} samples in {data}")
    names = [spec.name for spec in manifest.inputs]
    if sorted(names) != sorted(dataset.inputs):
        raise ConfigError(
            f"the bundle takes {', '.join(names)}; the data gives {', '.join(dataset.inputs)}"
        )
    inputs = {name: dataset.inputs[name][index] for name in names}
    return BundleData(inputs, dataset.label[index], f"{subset} samples of {data}")
