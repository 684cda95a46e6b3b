"""The search: real trials on synthetic records, resumed, shared, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from photonic.cli.main import run
from photonic.errors import ConfigError
from training.space import DEFAULT_SPACE, Choices, Range, check_space, read_space
from training.train import train
from training.workloads import workload

optuna = pytest.importorskip("optuna")

from training.tune import (  # noqa: E402
    Search,
    best_config,
    check_search,
    num_done,
    open_study,
    run_trials,
    write_best,
)

pytestmark = pytest.mark.slow
SPACE = {"lr": Range(low=1e-3, high=0.03, log=True), "batch_size": Choices(choices=(32, 64))}


@pytest.fixture(scope="module")
def given(ecg_options):
    names = sorted(file.stem for file in ecg_options["data"].glob("*.hea"))
    return {
        **ecg_options, "split": "lists", "train_records": names[:2], "val_records": names[2:3],
        "test_records": names[3:],
    }  # fmt: skip


@pytest.fixture(scope="module")
def search(given):
    kept = {name: value for name, value in given.items() if name not in SPACE}
    return Search(workload="ecg", given=kept, space=SPACE, trials=3)


def found(search, folder, name="study", **changes):
    """The study after a search, with its storage in a folder."""
    folder.mkdir(exist_ok=True)
    changed = Search(**{**{n: getattr(search, n) for n in Search.__slots__}, **changes})
    study = open_study(f"sqlite:///{folder / 'study.db'}", name, changed)
    run_trials(study, changed)
    return study


def results(study):
    return [(trial.params, trial.value, trial.state) for trial in study.trials]


@pytest.fixture(scope="module")
def studied(search, tmp_path_factory):
    return found(search, tmp_path_factory.mktemp("study"))


def test_the_best_options_train_to_the_score_of_the_search(studied, search, tmp_path):
    config = write_best(studied, search, tmp_path / "best.toml")
    again = train("ecg", config, tmp_path / "run")
    assert again.meta["selection_score"] == studied.best_value
    # And through the file, as a user would.
    out = tmp_path / "typed"
    assert run(["train", "ecg", "--config", str(tmp_path / "best.toml"), "--out", str(out)]) == 0
    name = "checkpoint.safetensors"
    assert (out / name).read_bytes() == (again.path / name).read_bytes()


def test_a_search_that_was_cut_in_two_finds_the_same(studied, search, tmp_path):
    found(search, tmp_path, trials=1)
    whole = found(search, tmp_path)
    assert len(whole.trials) == search.trials == num_done(whole)
    assert results(whole) == results(studied)


def test_test_records_change_nothing(studied, search, tmp_path):
    blind = found(search, tmp_path, given={**search.given, "test_records": ()})
    assert results(blind) == results(studied)


def test_trials_differ_and_the_best_is_the_highest(studied):
    values = [trial.value for trial in studied.trials]
    assert len({json.dumps(trial.params) for trial in studied.trials}) == len(values)
    assert studied.best_value == max(values)


def test_a_trial_below_the_median_of_its_epoch_stops(search, tmp_path):
    space = {"lr": Choices(choices=(1e-6, 0.02))}
    options = {**search.given, "batch_size": 32, "max_epochs": 3, "schedule": "constant"}
    study = found(
        search, tmp_path, space=space, given=options, trials=8, startup_trials=2, warmup_epochs=0
    )
    states = {(t.params["lr"], t.state.name) for t in study.trials}
    assert (1e-6, "PRUNED") in states
    assert (0.02, "COMPLETE") in states
    pruned = [t for t in study.trials if t.state.name == "PRUNED"]
    assert all(len(t.intermediate_values) < 3 for t in pruned)


def test_with_folds_the_score_is_that_of_out_of_fold_samples(search, ecg_options, tmp_path):
    kept = {name: value for name, value in ecg_options.items() if name not in SPACE}
    study = found(search, tmp_path, given=kept, trials=1)
    config = best_config(study, Search(workload="ecg", given=kept, space=SPACE, trials=1))
    assert train("ecg", config, tmp_path / "run").meta["selection_score"] == study.best_value


def test_a_study_of_other_options_is_not_carried_on(studied, search, tmp_path):
    found(search, tmp_path, trials=1)
    with pytest.raises(ConfigError, match="max_epochs 2 there, 3 here"):
        found(search, tmp_path, given={**search.given, "max_epochs": 3})
    with pytest.raises(ConfigError, match="another one: batch_size"):
        found(search, tmp_path, space={"lr": SPACE["lr"]})


def test_a_combination_that_training_refuses_is_no_result(search, tmp_path):
    space = {
        "kd_pause_miss": Choices(choices=(0.3,)),
        "kd_resume_miss": Choices(choices=(0.3, 0.31)),
    }
    given = {**search.given, "lr": 0.01}
    study = found(search, tmp_path, space=space, given=given, trials=6, startup_trials=6)
    for trial in study.trials:
        refused = trial.params["kd_resume_miss"] > 0.3
        assert (trial.state.name == "PRUNED") == refused
        assert ("must not exceed" in trial.user_attrs.get("reason", "")) == refused


def test_the_default_space_is_one_that_training_takes(ecg_options):
    fixed = {name: value for name, value in ecg_options.items() if name not in DEFAULT_SPACE}
    check_space(DEFAULT_SPACE, fixed, workload("ecg"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[space]\nlearning_rte = {low = 1, high = 2}", "no option of training"),
        ("[space]\nlr = {low = 2, high = 1}", "low < high"),
        ("[space]\nlr = {low = 0.0, high = 1.0, log = true}", "low > 0"),
        ("[space]\nlr = 3", "give {low"),
        ("[space]\nlr = {choices = []}", "choices"),
        ("[space]\nsplit = {choices = ['seed']}", "same samples"),
        ("[space]\nuse-kd = {choices = [true]}", "another score"),
        ("[space]\nuse_generalization_score = {choices = [true]}", "test records"),
        ("lr = 3", r"table \[space\]"),
        ("[space", "not valid TOML"),
    ],
)
def test_what_is_no_space_is_refused(tmp_path, text, message):
    file = tmp_path / "space.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_space(file, workload("ecg"))


def test_a_space_is_read_with_either_spelling(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text(
        "[space]\nlr = {low = 1e-4, high = 1e-2, log = true}\nbatch-size = {choices = [32, 64]}\n"
        "max_epochs = {low = 2, high = 4}\nmax-class-weight-ratio = {low = 1.0, high = 2.0}\n"
    )
    space = read_space(file, workload("ecg"))
    assert set(space) == {"lr", "batch_size", "max_epochs", "class_weight_max_ratio"}
    assert space["lr"] == Range(low=1e-4, high=1e-2, log=True)


def test_ends_of_a_range_and_doubled_options_are_checked_before_anything_runs(search):
    kind = workload("ecg")
    with pytest.raises(ConfigError, match="lr"):
        check_space({"lr": Range(low=0.1, high=7.0)}, search.given, kind)
    with pytest.raises(ConfigError, match="given and searched"):
        check_space(SPACE, {**search.given, "lr": 0.1}, kind)
    blended = Search(
        workload="ecg", given={**search.given, "use_generalization_score": True},
        space=SPACE, trials=1,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="never sees test records"):
        check_search(blended)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials", "0"], "0 is not in the range"),
        (["--storage", "nonsense"], "storage nonsense"),
        (["--storage", "sqlite:////nowhere/at/all.db"], "unable to open"),
        (["--space", "nowhere.toml"], "does not exist"),
        (["--lr", "0.1"], "given and searched"),
    ],
)
def test_bad_input_is_one_line(given, typed, tmp_path, capsys, more, message):
    kept = {name: value for name, value in given.items() if name != "batch_size"}
    assert run(["tune", "ecg", *typed(kept), "--out", str(tmp_path / "out"), *more]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_the_command_searches_writes_and_continues(search, typed, tmp_path, capsys):
    file = tmp_path / "space.toml"
    file.write_text("[space]\nlr = {low = 1e-3, high = 1e-2, log = true}\n")
    more = ["--space", str(file), "--out", str(tmp_path / "out"), "--batch-size", "32", "--json"]
    for trials in (1, 2):
        assert run(["tune", "ecg", *typed(search.given), *more, "--trials", str(trials)]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["trials"] == {"complete": trials}
        assert (tmp_path / "out" / "best.toml").is_file()
    # The best configuration holds a learning rate; the search is over it all the same.
    config = ["tune", "ecg", "--config", str(tmp_path / "out" / "best.toml"), *more]
    assert run([*config, "--trials", "2", "--data", str(search.given["data"])]) == 0


def test_without_optuna_the_command_says_what_to_install(
    search, typed, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "training.tune")
    assert run(["tune", "ecg", *typed(search.given), "--out", str(tmp_path / "out")]) == 2
    assert "photonic-deploy[tune]" in capsys.readouterr().err


TOGETHER = """
import sys
from pathlib import Path
from training.tune import Search, open_study
from training.workloads import workload
search = Search(workload="ecg", given={"data": Path("x")}, space={}, trials=1)
workload("ecg").resolve(search.given)
print("ready", flush=True)
sys.stdin.readline()
open_study(sys.argv[1], "study", search)
"""


def test_workers_that_start_together_make_one_study(tmp_path):
    for attempt in range(3):  # each fails without the second attempts of open_study, mostly
        command = [sys.executable, "-c", TOGETHER, f"sqlite:///{tmp_path / str(attempt)}.db"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        workers = [subprocess.Popen(command, text=True, **pipes) for _ in range(4)]
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
        said = [worker.communicate(timeout=60)[1] for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * 4, said
        assert optuna.get_all_study_names(command[-1]) == ["study"]


def test_a_storage_that_refuses_tables_is_given_up(search, monkeypatch):
    from sqlalchemy.exc import IntegrityError

    calls = []

    def refuse(**_):
        calls.append(1)
        raise IntegrityError("CREATE TABLE", None, Exception("table studies is there"))

    monkeypatch.setattr("training.tune.optuna.create_study", refuse)
    monkeypatch.setattr("training.tune.CREATE_WAIT_S", 0.0)
    with pytest.raises(ConfigError, match="table studies is there"):
        open_study("sqlite://", "study", search)
    assert len(calls) > 1


def test_two_workers_share_a_study(search, typed, tmp_path):
    command = [sys.executable, "-m", "photonic.cli.main"]
    file = tmp_path / "space.toml"
    file.write_text("[space]\nlr = {low = 1e-3, high = 1e-2, log = true}\n")
    more = [
        "--space",
        str(file),
        "--out",
        str(tmp_path / "out"),
        "--trials",
        "6",
        "--batch-size=32",
    ]
    workers = [
        subprocess.Popen(
            [*command, "tune", "ecg", *typed(search.given), *more],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    study = optuna.load_study(
        study_name="photonic", storage=f"sqlite:///{tmp_path / 'out' / 'study.db'}"
    )
    assert 6 <= len(study.trials) <= 7  # the last one may be begun by both
    assert len({trial.params["lr"] for trial in study.trials}) == len(study.trials)
    assert all("trial " in text for text in said)
