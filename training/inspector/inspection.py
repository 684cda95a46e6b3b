"""From a run directory or a log to a report: read everything once, judge, decide."""

from __future__ import annotations

from pathlib import Path

from training.inspector.adapters.choose import OWN_LOG, find_log, read_log
from training.inspector.adapters.table import read_columns
from training.inspector.adapters.text import read_patterns
from training.inspector.derive import plan_of_config
from training.inspector.entry import entry_of
from training.inspector.evidence import Evidence
from training.inspector.history import read_history
from training.inspector.lines import Advance, ignore
from training.inspector.plan import Plan, read_plan
from training.inspector.predictions import find_predictions
from training.inspector.probe import read_probe
from training.inspector.report import Report
from training.inspector.rules.registry import RULES
from training.inspector.rundir import find_group, read_config, read_decision, read_files
from training.inspector.verdict import decide

PLAN_NAME = "plan.toml"


def inspect_run(
    run: str | Path,
    *,
    plan: str | Path | Plan | None = None,
    patterns: str | Path | None = None,
    history: str | Path | None = None,
    advance: Advance = ignore,
) -> Report:
    """Judge a run.

    Args:
        run: a run directory, or a log file of any project.
        plan: what was promised, or its TOML file; default: ``plan.toml`` of the directory, else
            what the run's configuration promises.
        patterns: TOML file of regular expressions, for a text log.
        history: JSON lines of earlier runs; default: the plan's.
        advance: called with the number of bytes of the log that were read, now and then.

    Raises:
        DataError: no such run, no log, a damaged or empty one.
        ConfigError: a plan or pattern file that is not valid.
        RunError: a run directory with damaged files.
    """
    path = Path(run)
    log_file = find_log(path)
    folder = path if path.is_dir() else None
    resolved = resolve_plan(folder, plan)
    if history is not None:
        resolved = resolved.model_copy(update={"history": Path(history)})
    evidence = gather(path, log_file, resolved, patterns, advance)
    return judge(evidence, resolved)


def judge(evidence: Evidence, plan: Plan) -> Report:
    """The report over evidence that was read: every rule that the plan asks for, then D."""
    not_asked = {rule.id: reason for rule in RULES if (reason := rule.not_asked(plan))}
    findings = tuple(rule.judge(evidence, plan) for rule in RULES if rule.id not in not_asked)
    decision = decide(findings, evidence, plan)
    return Report(
        run=evidence.run,
        log=evidence.log.file,
        plan=plan,
        findings=findings,
        not_asked=not_asked,
        decision=decision,
        notes=evidence.log.notes,
        entry=entry_of(evidence, plan, decision.verdict),
    )


def resolve_plan(folder: Path | None, plan: str | Path | Plan | None) -> Plan:
    """The plan that was given, that lies in the directory, or that its configuration makes."""
    if isinstance(plan, Plan):
        return plan
    if plan is not None:
        return read_plan(plan)
    if folder is None:
        return Plan()
    if (folder / PLAN_NAME).is_file():
        return read_plan(folder / PLAN_NAME)
    config = read_config(folder)
    return plan_of_config(config) if config else Plan()


def gather(
    path: Path,
    log_file: Path,
    plan: Plan,
    patterns: str | Path | None = None,
    advance: Advance = ignore,
) -> Evidence:
    """Everything that the rules look at, read once."""
    expressions = None if patterns is None else read_patterns(patterns)
    log = read_log(log_file, expressions, advance)
    history = None if plan.history is None else read_history(plan.history)
    ids = {subset: read_columns(file) for subset, file in plan.L1.ids.items()}
    name = path.absolute().name
    if not path.is_dir():
        return Evidence(run=name, log=log, history=history, ids=ids)
    files = read_files(path)
    classes = tuple(str(c) for c in files.meta.get("classes", ()))
    saved = find_predictions(path, read_decision(files.meta), classes)
    return Evidence(
        run=name,
        log=log,
        own=log_file.name == OWN_LOG,
        files=files,
        predictions={predictions.subset: predictions for predictions in saved},
        probe=read_probe(path),
        group=find_group(path),
        ids=ids,
        history=history,
    )
