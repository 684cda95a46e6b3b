"""The training inspector: is this run what its plan promised, and may its figures be believed?"""

from training.inspector.history import remember
from training.inspector.inspection import inspect_run
from training.inspector.plan import Plan, read_plan
from training.inspector.report import Report, write_report

__all__ = ["Plan", "Report", "inspect_run", "read_plan", "remember", "write_report"]
