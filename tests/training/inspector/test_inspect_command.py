"""The plan, the history, the report and ``photonic inspect``."""

from __future__ import annotations

import json

import pytest

from photonic.cli import main
from photonic.errors import ConfigError, DataError
from training.inspector import inspect_run, read_plan, remember, write_report
from training.inspector.history import Entry, read_history
from training.inspector.inspection import judge
from training.inspector.rules.neighbours import distance, resampled


def run_command(capsys, *argv):
    capsys.readouterr()
    status = main.run(["inspect", *map(str, argv)])
    return status, *capsys.readouterr()


@pytest.fixture
def arguments(founding):
    plan, patterns = founding / "plan.toml", founding / "patterns.toml"
    return [founding / "train.log", "--plan", plan, "--patterns", patterns]


def test_json_and_exit_status(capsys, arguments):
    status, out, err = run_command(capsys, *arguments, "--json")
    assert (status, err) == (1, "")
    assert json.loads(out)["verdict"] == "FAIL"


def test_text_names_cause_and_roll_back(capsys, arguments):
    status, out, _ = run_command(capsys, *arguments)
    assert status == 1
    assert "root cause  P1" in out
    assert "roll back to  chat0" in out
    assert "wrote" not in out


def test_reports_are_written_where_asked(capsys, arguments, tmp_path):
    run_command(capsys, *arguments, "--out", tmp_path / "new", "--remember", tmp_path / "h.jsonl")
    written = json.loads((tmp_path / "new" / "inspection.json").read_text(encoding="utf-8"))
    assert written["roll_back_to"] == "chat0"
    page = (tmp_path / "new" / "inspection.md").read_text(encoding="utf-8")
    assert page.startswith("# Inspection of train.log: FAIL")
    assert "train.log:4" in page
    entry = read_history(tmp_path / "h.jsonl")[0]
    assert (entry.id, entry.verdict, entry.curve[-1]) == ("train.log", "FAIL", 0.9672)
    assert not entry.components["curriculum"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere"], "no such run directory"),
        (["{log}"], "needs a pattern file"),
        (["{log}", "--plan", "nowhere.toml"], "cannot be read"),
        (["{log}", "--patterns", "nowhere.toml"], "cannot be read"),
        (["{log}", "--patterns", "{plan}"], "has no named group"),
        (["{log}", "--plan", "{patterns}"], "Extra inputs are not permitted"),
        (["{log}", "--patterns", "{patterns}", "--history", "nowhere"], "cannot be read"),
    ],
)
def test_bad_input_is_one_line(capsys, founding, argv, message):
    places = {
        "log": founding / "train.log",
        "plan": founding / "plan.toml",
        "patterns": founding / "patterns.toml",
    }
    status, out, err = run_command(capsys, *(word.format(**places) for word in argv))
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrics = 'x'", "metrics: Extra inputs"),
        ("[O2]\nwarn = -1", "O2.warn"),
        ("[E1]\nmin_seeds = 0", "E1.min_seeds"),
        ("[[warn_lines]]\nmetric = 'a'\nwarn = 0.9\nsevere = 0.8", "must not lie below"),
        ("[[components]]\nname = 's'\nkind = 'sampler'", "needs `expected`"),
        ("x", "not valid TOML"),
    ],
)
def test_a_bad_plan(write, text, message):
    with pytest.raises(ConfigError, match=message):
        read_plan(write("plan.toml", text))


def test_files_of_a_plan_are_found_beside_it(write, tmp_path):
    plan = read_plan(write("p.toml", 'history = "h.jsonl"\n[L1.ids]\ntest = "t.csv"\n'))
    assert plan.history == tmp_path / "h.jsonl"
    assert plan.L1.ids["test"] == tmp_path / "t.csv"


def test_a_plan_in_the_directory_is_taken(write, tmp_path):
    write("plan.toml", 'name = "mine"\n')
    write("log.csv", "epoch,loss\n1,2\n2,1\n")
    assert inspect_run(tmp_path).plan.name == "mine"


def test_history_round_trip(tmp_path):
    path = tmp_path / "h.jsonl"
    first = Entry(id="a", verdict="PASS", metric="val/f1", curve=(0.1, 0.2), config={"lr": 1e-3})
    remember(first, path)
    remember(Entry(id="b", verdict="FAIL"), path)
    remember(first.model_copy(update={"verdict": "INCOMPLETE"}), path)
    entries = read_history(path)
    assert [(entry.id, entry.verdict) for entry in entries] == [("b", "FAIL"), ("a", "INCOMPLETE")]
    assert entries[1].curve == first.curve


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x\n", "h.jsonl:1: not valid JSON"),
        ('{"id": "a"}\n', "h.jsonl:1: verdict"),
        ('{"id": "a", "verdict": "PASS", "curve": [NaN]}\n', "curve.0"),
    ],
)
def test_a_damaged_history(write, text, message):
    with pytest.raises(DataError, match=message):
        read_history(write("h.jsonl", text))


def test_distance_is_a_distance():
    a = Entry(id="a", verdict="PASS", metric="m", curve=(0.1, 0.5), config={"lr": 1, "n": 2})
    b = Entry(id="b", verdict="PASS", metric="m", curve=(0.1, 0.5, 0.9), config={"lr": 1, "n": 3})
    assert distance(a, a) == 0.0
    assert distance(a, b) == distance(b, a) > 0.0
    assert distance(a, Entry(id="c", verdict="FAIL", components={"x": True})) is None


def test_curves_of_any_length_are_compared_on_one_grid():
    assert resampled((0.0, 1.0)).tolist() == pytest.approx(resampled((0.0, 0.5, 1.0)).tolist())


def test_a_clean_report_on_paper(bench, tmp_path):
    report = judge(bench.evidence(), bench.PLAN)
    assert report.summary() == "PASS"
    paths = write_report(report, tmp_path)
    assert [path.name for path in paths] == ["inspection.json", "inspection.md"]
    assert "Root causes" not in paths[1].read_text(encoding="utf-8")
    assert json.loads(paths[0].read_text(encoding="utf-8"))["verdict"] == "PASS"


def test_the_plan_of_the_documentation_is_valid(repository, write):
    page = (repository / "docs" / "inspector.md").read_text(encoding="utf-8")
    block = page.partition("```toml\n")[2].partition("```")[0]
    plan = read_plan(write("plan.toml", block))
    assert plan.O2.fail == 0.15
    assert plan.components[1].expected == ("BalancedBatchSampler",)
