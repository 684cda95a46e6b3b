"""A run on a GPU: the whole fit, its noise, its bits, and the state that it resumes from.

Needs what ``pip install photonic-deploy[train]`` brings; no data.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("wfdb")
pytest.importorskip("sklearn")
pytest.importorskip("brevitas")

from training.data.synthetic import write_records
from training.fit import Fit
from training.run import load_run
from training.setup import build_problem
from training.train import train
from training.workloads import workload

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def options(tmp_path_factory, device):
    folder = tmp_path_factory.mktemp("records") / "records"
    write_records(folder, num_records=4, minutes=0.75, seed=0)
    return {
        "data": folder, "labels": "aami-binary", "split": "by-record", "batch_size": 32,
        "max_epochs": 2, "min_epochs": 1, "device": device,
    }  # fmt: skip


@pytest.mark.parametrize(
    "extra",
    [
        {"student": "segment", "profile": "lab_ecg_5bit", "qat_epochs": 2},
        {"student": "segment", "profile": "shen_2017_mzi", "qat_epochs": 1},
        {"student": "patch", "weight_noise": 0.05, "activation_noise": 0.05},
    ],
    ids=["segment on chips", "segment on a mesh", "patch on plain noise"],
)
def test_a_run_trains_on_the_device(options, extra, tmp_path):
    train("ecg", workload("ecg").resolve({**options, **extra}), tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert np.isfinite(run.predictions("test").logits).all()
    assert 0.0 <= run.meta["metrics"]["test"]["auroc"] <= 1.0


def test_a_state_carries_the_noise_of_the_device(options):
    config = workload("ecg").resolve({**options, "weight_noise": 0.05, "dropout": 0.1})
    data = workload("ecg").load(config, lambda name: None)
    problem = replace(build_problem("ecg", config, data))
    fit = Fit(problem)
    fit.step()
    plain, tensors = fit.state()
    tensors = {name: x.cpu().clone() for name, x in tensors.items()}
    fit.step()
    other = Fit(build_problem("ecg", config, data))
    other.load_state(plain, {name: x.to(config.optim.device) if x.dtype.is_floating_point else x
                             for name, x in tensors.items()})  # fmt: skip
    other.step()
    one, two = (f.learners[0].parameters.value.detach() for f in (fit, other))
    assert torch.allclose(one, two, atol=1e-5)
