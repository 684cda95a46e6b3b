"""Figures computed by hand from one matrix, and what each rule forgives."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.ec57.hand import matrix
from training.ec57 import FIGURES, figures
from training.ec57.tally import called_abnormal

BY_HAND = matrix(
    Nn=100, Ns=4, Nv=3, Sn=0, Ss=10, Sv=2, So=1, Vn=5, Vv=40, Vo=1, Fs=1, Fv=7, Qs=2, Qv=1, Ov=1,
    Xv=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("event", "name", "part", "whole"),
    [
        ("qrs", "sensitivity", 175, 175 + 2),
        ("qrs", "ppv", 175, 175 + 2),
        ("veb", "sensitivity", 40, 40 + 5 + 1),
        ("veb", "ppv", 40, 40 + 3 + 2 + 1 + 1),
        ("veb", "fpr", 7, 7 + 100 + 4 + 10 + 1 + 2),
        ("sveb", "sensitivity", 10, 10 + 2 + 1),
        ("sveb", "ppv", 10, 10 + 4 + 1),
        ("sveb", "fpr", 5, 5 + 100 + 3 + 40 + 5 + 7 + 1 + 1 + 1),
        ("abnormal", "sensitivity", 63, 63 + 5 + 1 + 1),
        ("abnormal", "ppv", 63, 63 + 3 + 4 + 1 + 1),
        ("abnormal", "fpr", 9, 9 + 100),
    ],
)
def test_figures_by_hand(event, name, part, whole):
    assert figures(BY_HAND)[event][name] == pytest.approx(part / whole, rel=1e-12)


@pytest.mark.parametrize(
    ("pair", "event", "alarm"),
    [
        ("Nv", "veb", True),
        ("Sv", "veb", True),
        ("Ov", "veb", True),
        ("Xv", "veb", True),
        ("Fv", "veb", False),
        ("Qv", "veb", False),
        ("Ns", "sveb", True),
        ("Vs", "sveb", True),
        ("Fs", "sveb", True),
        ("Os", "sveb", True),
        ("Xs", "sveb", True),
        ("Qs", "sveb", False),
    ],
)
def test_what_is_a_false_positive_and_what_is_forgiven(pair, event, alarm):
    before = matrix(Nn=10, Vv=10, Ss=10)
    after = figures(before + matrix(**{pair: 5}))[event]
    assert (after["ppv"] < 1.0) == alarm
    assert (after["fpr"] > 0.0) == alarm


@pytest.mark.parametrize("lost", ["Vn", "Vs", "Vf", "Vq", "Vo", "Vx"])
def test_every_v_that_is_not_called_v_is_missed(lost):
    found = figures(matrix(Vv=3) + matrix(**{lost: 1}))["veb"]["sensitivity"]
    assert found == 0.75


def test_what_is_undefined_is_nan_and_never_zero():
    found = figures(matrix(Nn=10))
    assert np.isnan(found["veb"]["sensitivity"])
    assert np.isnan(found["veb"]["ppv"])
    assert found["veb"]["fpr"] == 0.0
    assert all(np.isnan(figures(matrix())[event][n]) for event in FIGURES for n in FIGURES[event])


def test_many_matrices_at_once_are_each_their_own():
    stack = np.stack([BY_HAND, matrix(Nn=10), BY_HAND + matrix(Vo=9)])
    together = figures(stack)
    for event, names in FIGURES.items():
        for name in names:
            alone = [figures(one)[event][name] for one in stack]
            np.testing.assert_array_equal(together[event][name], alone)


def test_share_of_each_class_that_was_called_abnormal():
    shares = called_abnormal(BY_HAND)
    assert shares["S"] == pytest.approx(12 / 13)
    assert shares["V"] == pytest.approx(40 / 46)
    assert (shares["F"], shares["Q"]) == (1.0, 1.0)
