"""Choosing epochs, weights and a decision: from learners to a trained student.

With a random validation share there is one learner, and the weights of its best epoch are kept.
With patient-wise folds there is one learner per fold; in every epoch their out-of-fold scores are
pooled and choose epoch and decision, and a last learner then replays the same plans on all
selection samples up to the chosen epoch. One epoch is one :meth:`Fit.step`; between two steps the
whole state can be written down and read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from photonic.decision import Decision
from photonic.errors import ConfigError
from photonic.students import Student
from training.advice import EpochFigures, advise_after_epoch, advise_before_training
from training.epochs import Phase, check_finite, learned_record, plan_epoch
from training.judge import (
    Scored,
    judge,
    miss_score,
    policy_to_log,
    scores_to_dict,
    teacher_figures,
)
from training.loop import EpochPlan, EpochStats, Learner
from training.optim import Plateau
from training.policy import PolicyState, actions_for, start
from training.policy_kd import KdState, judge_teacher, start_kd, step_kd
from training.problem import (
    BATCHES,
    NOISE,
    WEIGHTS,
    Problem,
    Progress,
    Stage,
    seeded,
    stream_seed,
)
from training.rebalancing import plan_rebalancing
from training.samplers import record_weights


class Fit:
    """Training as a sequence of epochs.

    Args:
        problem: what to learn.
        advance: called with 1 after every optimiser step.
    """

    def __init__(self, problem: Problem, advance: Callable[[int], None] = lambda _: None) -> None:
        self.problem, self.advance = problem, advance
        split = problem.split
        self.label = problem.samples.label.cpu().numpy()
        self.folds = split.folds or (split.val,)
        self.validation = np.concatenate(self.folds)
        learned = split.learned
        counts = np.bincount(self.label[learned], minlength=len(problem.classes))
        self.rebalancing = plan_rebalancing(counts, problem.classes, problem.imbalance)
        advice = advise_before_training(self.rebalancing, problem.imbalance)
        self.messages = (*self.rebalancing.messages, *(f"advice: {a.message}" for a in advice))
        self.chosen: list[Progress] = []
        self.finished: list[tuple[list[Tensor], np.ndarray]] = []
        self.refitted: list[Tensor] = []
        self.history: list[EpochFigures] = []
        self.advised: set[str] = set()
        self.refitting, self.done = False, False
        self._enter(refitting=False, policy=start(problem.imbalance)[0])
        self._rehearse()

    @property
    def stage(self) -> Stage:
        """The stage that the next epoch belongs to."""
        return self.problem.stages[self.number]

    @property
    def phase(self) -> Phase:
        """Whether the next epoch takes part in choosing."""
        return "refit" if self.refitting else "choose"

    @property
    def student(self) -> Student:
        """The trained student, once done."""
        return self.learners[0].student

    @property
    def decision(self) -> Decision:
        """The chosen decision, once done."""
        decision = self.chosen[-1].decision
        assert decision is not None
        return decision

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch, all learners together."""
        return sum(learner.steps for learner in self.learners)

    def step(self) -> dict[str, Any]:
        """One epoch; returns what the log says about it."""
        begun = perf_counter()
        stats = [learner.train_epoch(plan, self.advance) for learner, plan in self.work()]
        return self.conclude(stats, begun)

    def work(self) -> list[tuple[Learner, EpochPlan]]:
        """What the next epoch is: who learns by which plan, from good weights if it goes back."""
        plan = self._next_plan()
        if plan.begins_after is not None:
            for learner, weights in zip(self.learners, self.good, strict=True):
                learner.restart(weights)
        return [(learner, plan) for learner in self.learners]

    def conclude(self, stats: list[EpochStats], begun: float) -> dict[str, Any]:
        """Judge the epoch that was just learned; returns what the log says about it.

        Args:
            stats: of every learner of :meth:`work`.
            begun: when the epoch began, by ``perf_counter``.

        Raises:
            Diverged: a weight or a loss is not finite.
        """
        plan = self._next_plan()
        for learner, each in zip(self.learners, stats, strict=True):
            check_finite(learner, plan, each, stage=self.stage, phase=self.phase)
        finished = self._replayed_epoch if self.refitting else self._chosen_epoch
        record = finished(plan, stats)
        return {**record, "seconds": perf_counter() - begun}

    def first_batch(self) -> np.ndarray:
        """The samples that the first step of the next epoch learns from, by the first learner."""
        learner, state = self.learners[0], self.learners[0].generator.get_state()
        batches = learner.draw(self._next_plan())
        learner.generator.set_state(state)
        return batches[0].cpu().numpy()

    def _rehearse(self) -> None:
        """A verdict on a student that knows nothing: what it would refuse is refused at once.

        Raises:
            ConfigError: test records are to be looked at, but there are none.
            DataError: the figures that choose are not defined on the selection samples.
        """
        options, test = self.problem.imbalance, self.problem.split.test
        if options.uses_unseen_records and not len(test):
            raise ConfigError(
                f"split {self.problem.split.name} has no test records, but an option is on that "
                "looks at them while training (use_generalization_score, "
                "use_generalization_rescue, use_blended_thresholds, kd_gen_mix_ratio): leave it off"
            )

        def unknowing(index: np.ndarray) -> Scored:
            return np.zeros((len(index), len(self.problem.classes))), self.label[index]

        judge(self.problem, unknowing(self.validation), unknowing(test), self.progress.policy)

    def _next_plan(self) -> EpochPlan:
        if self.refitting:
            return self.chosen[self.number].plans[self.progress.epoch]
        actions = actions_for(self.progress.policy, self.problem.imbalance)
        return plan_epoch(self.problem, self.rebalancing, self.stage, self.progress, actions)

    def _chosen_epoch(self, plan: EpochPlan, stats: list[EpochStats]) -> dict[str, Any]:
        progress, optim, options = self.progress, self.problem.optim, self.problem.imbalance
        messages = list(self._gate()[1]) if self.stage.teaches and not progress.epoch else []
        logits = np.concatenate(
            [m.predict(fold) for m, fold in zip(self.learners, self.folds, strict=True)]
        )
        seen, unseen = (logits, self.label[self.validation]), self._unseen()
        verdict = judge(self.problem, seen, unseen, progress.policy)
        score, distill = verdict.score, options.distill
        if self.stage.by_miss:
            score = miss_score(verdict, distill.kd_fpr_weight)
        if progress.kd is not None:
            kd, actions = step_kd(
                progress.kd, verdict.miss, distill, policy_paused=verdict.actions.kd_paused
            )
            progress = replace(progress, kd=kd)
            messages += actions.messages
        record = {
            **self._learned(plan, stats, verdict.decision, unseen),
            "val": scores_to_dict(verdict.decision, seen),
            **policy_to_log(verdict),
            "selection_score": score,
        }
        messages += [*verdict.actions.messages, *self._advice(record)]
        record["messages"] = messages
        newest = options.selection.kept_epoch == "last"
        if (newest or score > progress.best_score) and progress.epoch >= self.stage.first_choice:
            self.best = [learner.weights() for learner in self.learners]
            self.pooled = logits
            progress = replace(
                progress,
                best_epoch=progress.epoch,
                best_score=score,
                decision=verdict.decision,
                waited=-1,
            )
        if verdict.actions.remember_weights:
            self.good = [learner.weights() for learner in self.learners]
            progress = replace(progress, good_epoch=progress.epoch)
        in_warmup = progress.epoch < self.stage.first_choice
        waits_anew = verdict.actions.reset_early_stopping or in_warmup
        self.progress = replace(
            progress,
            epoch=progress.epoch + 1,
            waited=0 if waits_anew else progress.waited + 1,
            plateau=progress.plateau.after(
                verdict.loss, patience=optim.plateau_patience, factor=optim.plateau_factor
            ),
            policy=verdict.policy,
            plans=(*progress.plans, plan),
            restores=verdict.actions.restore_weights,
        )
        if self._stops():
            self._choose()
        return record

    def _advice(self, record: Mapping[str, Any]) -> list[str]:
        """Advice whose condition was just seen for the first time."""
        rows = record["val"]["per_class"].values()
        figures = EpochFigures(
            recalls=tuple(row["sensitivity"] for row in rows),
            rare_f1=record["val"]["rare_f1"],
            train_loss=record["train_loss"],
        )
        self.history.append(figures)
        found = advise_after_epoch(self.history, self.problem.imbalance, already=self.advised)
        self.advised |= {advice.code for advice in found}
        return [f"advice: {advice.message}" for advice in found]

    def _replayed_epoch(self, plan: EpochPlan, stats: list[EpochStats]) -> dict[str, Any]:
        plans, number = self.chosen[self.number].plans, self.progress.epoch
        record = self._learned(plan, stats, self.decision, self._unseen())
        self.progress = replace(self.progress, epoch=number + 1)
        if any(later.begins_after == number for later in plans[number + 1 :]):
            self.good = [self.learners[0].weights()]
        if number + 1 == len(plans):
            self.best = [self.learners[0].weights()]
            self.refitted.append(self.best[0])
            self._next_stage()
        return record

    def _learned(
        self, plan: EpochPlan, stats: list[EpochStats], decision: Decision, unseen: Scored | None
    ) -> dict[str, Any]:
        return learned_record(
            self.learners[0],
            self.label,
            plan,
            stats,
            decision,
            unseen,
            stage=self.stage,
            phase=self.phase,
        )

    def _stops(self) -> bool:
        progress, patience = self.progress, self.problem.imbalance.selection.early_stop_patience
        if progress.epoch >= self.stage.max_epochs:
            return True
        return progress.epoch >= self.stage.min_epochs and progress.waited >= patience

    def _choose(self) -> None:
        """End a stage of choosing: its plans up to the best epoch are what counts."""
        progress = self.progress
        self.chosen.append(replace(progress, plans=progress.plans[: progress.best_epoch + 1]))
        self.finished.append((self.best, self.pooled))
        self._next_stage()

    def _next_stage(self) -> None:
        if self.number + 1 < len(self.problem.stages):
            self._begin(self.number + 1)
        elif self.problem.split.folds and not self.refitting:
            self._enter(refitting=True, policy=self.progress.policy)
        else:
            for learner, weights in zip(self.learners, self.best, strict=True):
                learner.parameters.load(weights)
            self.done = True

    def _enter(self, *, refitting: bool, policy: PolicyState) -> None:
        """Fresh learners for choosing or for the refit, at the first stage."""
        problem, split = self.problem, self.problem.split
        self.refitting = refitting
        if refitting:
            indices = [split.learned]
        elif split.folds:
            indices = [split.fold(k).train for k in range(len(split.folds))]
        else:
            indices = [split.train]
        self.learners = [
            Learner(
                problem.build(seeded(problem.seed, WEIGHTS)).to(problem.samples.label.device),
                problem.samples,
                index,
                problem.objective_of(part),
                problem.optim,
                seeded(problem.seed, BATCHES, part),
                transform=problem.transform,
                sample_weights=self._sample_weights(index),
            )
            for part, index in enumerate(indices, len(split.folds) if refitting else 0)
        ]
        self.best = [learner.weights() for learner in self.learners]
        self.progress = Progress(plateau=Plateau(lr=0.0), policy=policy)
        self._begin(0)

    def _stream(self, k: int) -> int:
        """Number of the random streams of learner ``k``; the refit has one of its own."""
        return len(self.problem.split.folds) if self.refitting else k

    def _sample_weights(self, index: np.ndarray) -> np.ndarray | None:
        record, power = self.problem.record, self.problem.imbalance.sampler.record_balance
        if record is None or not power:
            return None
        return record_weights(self.label[index], record[index], power)

    def _begin(self, number: int) -> None:
        """Begin stage ``number`` from the best weights of the one it starts from."""
        self.number = number
        start = self.stage.start
        if start is not None:
            self.best = [self.refitted[start]] if self.refitting else self.finished[start][0]
        stage, problem = self.stage, self.problem
        for k, (learner, weights) in enumerate(zip(self.learners, self.best, strict=True)):
            part = self._stream(k) * len(problem.stages) + number
            seed = stream_seed(problem.seed, NOISE, part)
            learner.enter(
                stage.core(),
                stage.noise,
                noise_seed=seed,
                overflow_weight=stage.overflow_weight,
            )
            learner.restart(weights)
        self.good = self.best
        self.progress = Progress(
            plateau=Plateau(lr=self.stage.lr),
            policy=self.progress.policy,
            kd=self._gate()[0] if self.stage.teaches else None,
        )

    def _gate(self) -> tuple[KdState, tuple[str, ...]]:
        """Whether the teacher may teach, judged against the student of the first stage."""
        teaching, distill = self.problem.teaching, self.problem.imbalance.distill
        decision, pooled = self.chosen[0].decision, self.finished[0][1]
        assert teaching is not None
        assert decision is not None
        student = teacher_figures(decision, (pooled, self.label[self.validation]))
        state, actions = start_kd(judge_teacher(teaching.figures, student, distill), distill)
        return state, actions.messages

    def _unseen(self) -> Scored | None:
        """Logits (mean over the learners) and labels of the test samples, for the trace."""
        test = self.problem.split.test
        several = len(self.learners) > 1 and not self.problem.imbalance.uses_unseen_records
        if several or not len(test):
            return None
        logits = np.mean([learner.predict(test) for learner in self.learners], axis=0)
        return logits, self.label[test]

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Everything that the next epoch depends on, as JSON and as tensors."""
        tensors = (
            {"pooled": torch.from_numpy(self.pooled.copy())} if hasattr(self, "pooled") else {}
        )
        for k, learner in enumerate(self.learners):
            tensors |= {f"{k}.{name}": x for name, x in learner.state().items()}
            tensors |= {f"{k}.best": self.best[k], f"{k}.good": self.good[k]}
        for j, (weights, pooled) in enumerate(self.finished):
            tensors[f"finished.{j}.pooled"] = torch.from_numpy(pooled)
            tensors |= {f"finished.{j}.{k}": value for k, value in enumerate(weights)}
        tensors |= {f"refitted.{j}": weights for j, weights in enumerate(self.refitted)}
        plain = {
            "refitting": self.refitting,
            "number": self.number,
            "done": self.done,
            "progress": self.progress.to_dict(),
            "chosen": [progress.to_dict() for progress in self.chosen],
            "history": [asdict(figures) for figures in self.history],
            "advised": sorted(self.advised),
        }
        return plain, tensors

    def load_state(self, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state`."""
        self.chosen = [Progress.from_dict(data) for data in plain["chosen"]]
        progress = Progress.from_dict(plain["progress"])
        self.history = [
            EpochFigures(**{**figures, "recalls": tuple(figures["recalls"])})
            for figures in plain["history"]
        ]
        self.advised = set(plain["advised"])
        self.finished = []
        for j in range(len(self.chosen)):
            names = [n for n in tensors if n.startswith(f"finished.{j}.") and n[-1].isdigit()]
            weights = [tensors[f"finished.{j}.{k}"] for k in range(len(names))]
            self.finished.append((weights, tensors[f"finished.{j}.pooled"].numpy()))
        done = sum(name.startswith("refitted.") for name in tensors)
        self.refitted = [tensors[f"refitted.{j}"] for j in range(done)]
        self._enter(refitting=plain["refitting"], policy=progress.policy)
        self._begin(plain["number"])
        self.progress, self.done = progress, plain["done"]
        self.best = [tensors[f"{k}.best"] for k in range(len(self.learners))]
        # States of earlier releases have none.
        self.good = [tensors.get(f"{k}.good", best) for k, best in enumerate(self.best)]
        for k, learner in enumerate(self.learners):
            prefix = f"{k}."
            learner.load_state(
                {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}
            )
        if "pooled" in tensors:
            self.pooled = tensors["pooled"].numpy()
