"""Beat-by-beat scoring by the rules of ANSI/AAMI EC57, as PhysioNet's ``bxb`` implements them.

What is followed: ``bxb`` of the WFDB Software Package, with its rule of 24 November 2002 for beats
that stand closer than two match windows (WFDB Applications Guide, ``bxb(1)`` and ``sumstats(1)``,
physionet.org/physiotools/wag/bxb-1.htm; ANSI/AAMI EC57:1998, sections 3.5.2, 3.5.3 and 4.2).

A reference beat and a test beat match when they are at most 150 ms apart and neither has a better
partner. The first five minutes of a record are for learning and not scored. A reference beat
without a partner is missed (column ``o``, or ``x`` where the test annotator had declared itself
shut down), a test beat without one is extra (row ``O``, or ``X`` where the reference says that
the signal is unreadable). Nothing is scored inside ventricular flutter or fibrillation, and
records with paced beats are left out.
"""

from __future__ import annotations

from training.ec57.marks import CLASSES, BeatMarks, beat_marks
from training.ec57.match import LEARNING_S, MATCH_WINDOW_S, match
from training.ec57.report import Ec57Report
from training.ec57.tally import FIGURES, figures

__all__ = [
    "CLASSES",
    "FIGURES",
    "LEARNING_S",
    "MATCH_WINDOW_S",
    "BeatMarks",
    "Ec57Report",
    "beat_marks",
    "figures",
    "match",
]
