"""A run as it stands in the history: curve, configuration, promised components."""

from __future__ import annotations

from typing import Literal

import numpy as np

from training.inspector.evidence import Evidence
from training.inspector.finding import Status
from training.inspector.history import Entry, public
from training.inspector.plan import Plan
from training.inspector.rules.common import judged_metric
from training.inspector.rules.promises import promises

MOST_POINTS = 64


def entry_of(
    evidence: Evidence, plan: Plan, verdict: Literal["PASS", "FAIL", "INCOMPLETE"] = "INCOMPLETE"
) -> Entry:
    """The history entry of a run that was judged."""
    metric = judged_metric(evidence.log, plan)
    curves = [] if metric is None else [curve for _, curve in evidence.log.curves(metric)]
    values = curves[-1].values if curves else np.zeros(0)
    shown = np.unique(np.linspace(0, max(len(values) - 1, 0), MOST_POINTS).astype(np.int64))
    components = promises(evidence, plan).checks if plan.components else ()
    return Entry(
        id=evidence.run,
        verdict=verdict,
        metric=metric if len(values) else None,
        curve=tuple(float(values[i]) for i in shown) if len(values) else (),
        config=public(evidence.files.config),
        components={check.subject: check.status is Status.OK for check in components},
    )
