"""The report of an inspection, as data, as JSON, as Markdown and as a line for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photonic.files import atomic_write_text
from training.inspector.finding import Check, Finding
from training.inspector.history import Entry
from training.inspector.plan import Plan
from training.inspector.rules.registry import RULES
from training.inspector.verdict import Decision, Verdict

SCHEMA_VERSION = 1
JSON_NAME, MARKDOWN_NAME = "inspection.json", "inspection.md"
QUESTIONS = {rule.id: rule.question for rule in RULES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the inspector says about a run.

    Attributes:
        run: its name.
        log: the log that was read.
        findings: one per rule that the plan asks for, in order.
        not_asked: rule -> why the plan does not ask for it.
        decision: what to make of them.
        notes: what was odd about the log.
        entry: the run as it would stand in the history.
    """

    run: str
    log: str
    plan: Plan
    findings: tuple[Finding, ...]
    not_asked: Mapping[str, str]
    decision: Decision
    notes: tuple[str, ...]
    entry: Entry

    @property
    def verdict(self) -> Verdict:
        """PASS, FAIL or INCOMPLETE."""
        return self.decision.verdict

    def finding(self, rule: str) -> Finding:
        """The finding of a rule.

        Raises:
            KeyError: the plan does not ask for it.
        """
        for finding in self.findings:
            if finding.rule == rule:
                return finding
        raise KeyError(rule)

    def summary(self) -> str:
        """Verdict and reasons in one line."""
        reasons = self.decision.root_causes or tuple(
            f"{finding.rule}: {finding.message}"
            for finding in self.findings
            if finding.status == "unknown"
        )
        told = f": {'; '.join(reasons)}" if reasons and self.verdict != "PASS" else ""
        return f"{self.verdict}{told}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "schema_version": SCHEMA_VERSION,
            "run": self.run,
            "log": self.log,
            "verdict": self.verdict,
            "findings": [*map(_finding, self.findings), self._decision()],
            "root_causes": list(self.decision.root_causes),
            "advice": list(self.decision.advice),
            "technical_debt": list(self.decision.debt),
            "roll_back_to": self.decision.roll_back_to,
            "not_asked": dict(self.not_asked),
            "notes": list(self.notes),
            "plan": self.plan.model_dump(mode="json"),
            "entry": self.entry.model_dump(mode="json"),
        }

    def _decision(self) -> dict[str, Any]:
        """D as a finding like the others."""
        status = {"PASS": "ok", "FAIL": "fail", "INCOMPLETE": "unknown"}[self.verdict]
        return {
            "id": "D",
            "status": status,
            "value": self.verdict,
            "limit": "PASS",
            "message": self.summary(),
            "evidence": [],
            "checks": [],
        }

    def to_markdown(self) -> str:
        """A page for people."""
        lines = [f"# Inspection of {self.run}: {self.verdict}", ""]
        lines += _section("Root causes", self.decision.root_causes)
        if self.decision.roll_back_to is not None:
            lines += [f"Roll back to **{_cell(self.decision.roll_back_to)}**.", ""]
        lines += _section("Advice", self.decision.advice)
        lines += [
            "## Findings",
            "",
            "| id | question | status | value | limit | found | evidence |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for finding in self.findings:
            lines += [_row(finding, check) for check in finding.checks]
        lines.append("")
        lines += _section("Technical debt", self.decision.debt)
        not_asked = [f"{rule}: {reason}" for rule, reason in self.not_asked.items()]
        lines += _section("Not asked", tuple(not_asked))
        lines += _section("Notes", self.notes)
        lines.append(f"Log: {self.log}. Plan: {self.plan.name or 'defaults'}.")
        return "\n".join(lines) + "\n"


def write_report(report: Report, folder: str | Path) -> tuple[Path, Path]:
    """Write ``inspection.json`` and ``inspection.md`` into a directory, each whole or not at all.

    Returns:
        Both paths.
    """
    target = Path(folder)
    text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    atomic_write_text(target / JSON_NAME, text + "\n")
    atomic_write_text(target / MARKDOWN_NAME, report.to_markdown())
    return target / JSON_NAME, target / MARKDOWN_NAME


def _finding(finding: Finding) -> dict[str, Any]:
    deciding = finding.worst_checks[0]
    return {
        "id": finding.rule,
        "status": str(finding.status),
        "value": _plain(deciding.value),
        "limit": deciding.limit,
        "message": finding.message,
        "evidence": _sources(deciding),
        "checks": [
            {
                "subject": check.subject,
                "status": str(check.status),
                "value": _plain(check.value),
                "limit": check.limit,
                "message": check.message,
                "evidence": _sources(check),
            }
            for check in finding.checks
        ],
    }


def _sources(check: Check) -> list[dict[str, Any]]:
    return [{"file": source.file, "line": source.line} for source in check.evidence]


def _plain(value: float | int | str | None) -> float | int | str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _section(title: str, items: tuple[str, ...]) -> list[str]:
    return [f"## {title}", "", *(f"- {item}" for item in items), ""] if items else []


def _row(finding: Finding, check: Check) -> str:
    value = f"{check.value:.4g}" if isinstance(check.value, float) else check.value
    cells = (
        finding.rule,
        QUESTIONS[finding.rule],
        str(check.status),
        "" if value is None else str(value),
        check.limit,
        f"{check.subject}: {check.message}" if check.subject else check.message,
        ", ".join(str(source) for source in check.evidence),
    )
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
