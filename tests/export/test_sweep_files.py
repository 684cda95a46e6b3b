"""What a sweep writes reads back as it was, and every figure can be drawn."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from export.sweep_figures import Labels, bands, heat_maps, write_figures, yield_curve
from export.sweep_files import write_summary, write_table
from photonic.errors import ConfigError
from photonic.profile import load_profile
from photonic.scores import score
from photonic.sweep import SweepPoint

CLASSES = ("N", "A")
LABELS = Labels(
    metric="f1", reference=0.9, keep=0.98, who="20 simulated chips", num_samples=100,
    profile=load_profile("generic_8bit"),
)  # fmt: skip


def point(seed: int = 0, num_chips: int = 20, **params) -> SweepPoint:
    counts = np.random.default_rng(seed).integers(1, 50, (num_chips, 2, 2))
    return SweepPoint(
        params={key.replace("__", "."): value for key, value in params.items()},
        counts=counts,
        metric=score("f1", CLASSES),
        classes=CLASSES,
    )


def grid() -> list[SweepPoint]:
    values = [(bits, sigma) for bits in (4, 6) for sigma in (0.0, 0.05, 0.1)]
    return [
        point(i, weight__bits=bits, weight__programming_sigma=sigma)
        for i, (bits, sigma) in enumerate(values)
    ]


def test_csv_has_a_row_per_point_and_chip_and_exact_numbers(tmp_path):
    points = grid()
    with write_table(tmp_path / "new", points, "csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 20
    assert list(rows[0])[:4] == ["weight.bits", "weight.programming_sigma", "chip", "f1"]
    assert {"sensitivity", "ppv", "specificity", "accuracy"} <= set(rows[0])
    second = [float(row["f1"]) for row in rows if (row["weight.bits"], row["chip"]) == ("6", "3")]
    assert second == [p.scores[3] for p in points[3:]]


def test_parquet_holds_the_same_as_csv(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    points = [point(0, profile="ideal", weight__bits=None), point(1, profile="b", weight__bits=4)]
    table = parquet.read_table(write_table(tmp_path, points, "parquet"))
    assert table["weight.bits"].to_pylist() == [None] * 20 + [4] * 20
    assert table["profile"].to_pylist() == ["ideal"] * 20 + ["b"] * 20
    assert table["chip"].to_pylist() == [*range(20), *range(20)]
    assert np.array_equal(table["f1"].to_numpy(), np.concatenate([p.scores for p in points]))
    with write_table(tmp_path, points, "csv").open(encoding="utf-8") as file:
        assert next(csv.reader(file)) == table.column_names


def test_values_of_different_types_become_text(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    points = [point(0, key=value) for value in (0.5, "clements", True)]
    table = parquet.read_table(write_table(tmp_path, points, "parquet"))
    assert table["key"].to_pylist()[::20] == ["0.5", "clements", "True"]
    numbers = [point(0, key=value) for value in (1, 0.5)]
    table = parquet.read_table(write_table(tmp_path, numbers, "parquet"))
    assert table["key"].to_pylist()[::20] == [1.0, 0.5]


def test_an_undefined_score_is_an_empty_cell(tmp_path):
    nothing = SweepPoint(
        params={}, counts=np.zeros((1, 2, 2), int), metric=score("f1", CLASSES), classes=CLASSES
    )
    with write_table(tmp_path, [nothing], "csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["f1"] == ""
    assert nothing.summary(0.9, 0.98)["metric_mean"] == 0.0


def test_a_parameter_that_would_hide_a_column_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="would be called chip"):
        write_table(tmp_path, [point(0, chip=3)], "csv")
    assert not list(tmp_path.iterdir())


def test_the_summary_is_json(tmp_path):
    path = write_summary(tmp_path, {"points": [point().summary(0.9, 0.5)]})
    assert json.loads(path.read_text())["points"][0]["yield"] == 1.0 - np.mean(
        point().scores < 0.45
    )


@pytest.mark.parametrize(
    ("points", "names"),
    [
        ([point()], ["yield_curve.png"]),
        ([point(i, sigma=0.1 * i) for i in range(3)], ["yield_curve.png", "sweep.png"]),
        pytest.param(
            [point(i, profile=name) for i, name in enumerate("abc")],
            ["yield_curve.png"],
            marks=pytest.mark.slow,
        ),
        (grid(), ["yield_curve.png", "heatmap.png"]),
    ],
)
def test_the_grid_says_which_figures_there_are(tmp_path, points, names):
    paths = write_figures(tmp_path, points, LABELS)
    assert [path.name for path in paths] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_the_yield_curve_falls_from_all_chips_to_none_at_their_scores():
    chips = point()
    (axes,) = yield_curve([chips], LABELS).axes
    x, y = axes.lines[0].get_data()
    kept = np.sort(chips.scores) / LABELS.reference * 100
    assert np.allclose(x[1:-1], kept)
    assert list(y[:2]) == [100, 100]
    assert y[-1] == 0
    assert np.all(np.diff(y[1:]) < 0)


def test_two_parameters_stand_side_by_side_with_the_yield_of_every_line():
    points = grid()
    panels = yield_curve(points, LABELS).axes
    assert [axes.get_title() for axes in panels] == ["weight.bits = 4", "weight.bits = 6"]
    told = [text.get_text() for text in panels[1].get_legend().get_texts()]
    reached = 100 * points[4].summary(0.9, 0.98)["yield"]
    assert told[1] == f"0.05: {reached:.0f} %"
    assert panels[1].get_legend().get_title().get_text().startswith("weight.programming_sigma: ")


def test_values_stand_in_their_order_whatever_the_order_of_the_grid():
    (axes,) = yield_curve([point(i, sigma=s) for i, s in enumerate((0.2, 0.0, 0.1))], LABELS).axes
    told = [text.get_text().split(":")[0] for text in axes.get_legend().get_texts()]
    assert told == ["0", "0.1", "0.2"]
    left, _ = heat_maps(grid()[::-1], "weight.bits", "weight.programming_sigma", LABELS).axes
    assert [t.get_text() for t in left.get_xticklabels()] == ["0", "0.05", "0.1"]


def test_bands_are_the_quantiles_and_the_yield_of_the_points():
    points = [point(i, sigma=0.1 * i) for i in (2, 0, 1)]
    left, right = bands(points, "sigma", LABELS).axes
    x, median = left.lines[0].get_data()
    assert list(x) == [0.0, 0.1, 0.2]
    assert median[2] == np.median(points[0].scores)
    assert right.lines[0].get_ydata()[2] == 100 * points[0].summary(0.9, 0.98)["yield"]


def test_a_heat_map_has_every_point_in_its_cell():
    points = grid()
    left, right = heat_maps(points, "weight.bits", "weight.programming_sigma", LABELS).axes
    shown = np.asarray(left.images[0].get_array())
    assert shown.shape == (2, 3)
    assert shown[1, 2] == np.median(points[5].scores)
    assert [t.get_text() for t in left.get_xticklabels()] == ["0", "0.05", "0.1"]
    assert len(right.texts) == 6
