"""The rules: pure functions ``(evidence, plan) -> Finding``, and when a plan does not ask for one.

Whether a rule is asked depends on the plan alone, never on what was logged: a gap in the log makes
a finding ``unknown``, it does not make the question go away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from training.inspector.evidence import Evidence
from training.inspector.finding import Finding
from training.inspector.plan import Plan
from training.inspector.rules.collapse import collapse
from training.inspector.rules.convergence import convergence, efficiency, gradients
from training.inspector.rules.evaluation import complete
from training.inspector.rules.leakage import leakage
from training.inspector.rules.neighbours import neighbours
from training.inspector.rules.numbers import finite, jumps
from training.inspector.rules.outputs import outputs
from training.inspector.rules.overfit import capacity, generalisation_gap, warn_lines
from training.inspector.rules.path import one_path
from training.inspector.rules.promises import promises
from training.inspector.rules.target import reached


def _always(plan: Plan) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One question to a run.

    Attributes:
        id: as in reports.
        question: what it asks.
        judge: the answer.
        not_asked: why a plan does not ask, or an empty text where it does.
    """

    id: str
    question: str
    judge: Callable[[Evidence, Plan], Finding]
    not_asked: Callable[[Plan], str] = _always


RULES: tuple[Rule, ...] = (
    Rule("C1", "does the loss converge?", convergence),
    Rule("C2", "does the metric grow at a believable pace?", efficiency),
    Rule("C3", "do gradients reach every module?", gradients),
    Rule(
        "O1",
        "are training figures too good?",
        warn_lines,
        lambda plan: "" if plan.warn_lines else "the plan sets no warn line",
    ),
    Rule("O2", "how far is validation behind training?", generalisation_gap),
    Rule("O3", "how many parameters per sample?", capacity),
    Rule("M1", "does the model tell classes apart?", collapse),
    Rule("N1", "is everything finite?", finite),
    Rule("N2", "does the loss jump?", jumps),
    Rule("N3", "are the outputs spread and calibrated?", outputs),
    Rule(
        "P1",
        "is everything that was promised there and active?",
        promises,
        lambda plan: "" if plan.components else "the plan promises no component",
    ),
    Rule("P2", "do training and prediction take one path?", one_path),
    Rule(
        "H1",
        "which earlier runs look like this one?",
        neighbours,
        lambda plan: "" if plan.history else "no history was given",
    ),
    Rule("E1", "is the evaluation complete?", complete),
    Rule(
        "E2",
        "are target and baselines beaten?",
        reached,
        lambda plan: "" if plan.targets or plan.E2.beat_baselines else "the plan sets no target",
    ),
    Rule("L1", "does anything leak between splits?", leakage),
)
