"""The rebalancing policy: one state machine, ``step(state, metrics, options) -> (state, actions)``.

    WARMUP ──> RAMP ──> ACTIVE          a collapse leaves any of the three
                 ^         │
                 │         v
                 └────── COOLDOWN ──> LOCKED     at collapse number ``collapse_lock_after``

The functions are pure and know nothing of models or data: a list of metrics drives them, and a
state written as JSON resumes them. ``start`` gives the actions of epoch 0, ``step`` takes the
metrics of the epoch just trained and gives the actions of the next one.

Strength of rebalancing per phase, f being the share of the ramp that is done:

| phase | alpha (class weights) | weight_scale, sampler_boost | sampler_strength |
| --- | --- | --- | --- |
| WARMUP | 0 → 1 over the weight warm-up | base, 1 | 1 |
| RAMP | as in warm-up; f after a cool-down | base → target with f | 1; f after a cool-down |
| ACTIVE | as in warm-up; 1 after a cool-down | target | 1 |
| COOLDOWN, LOCKED | 0 | 0, 1 | 0 |

A recall rescue acts at once, in the ramp too. After a cool-down there is a ramp even where none was
asked for (``imbalance_ramp_epochs`` 0): full strength at once is what the net collapsed under.

Learning without weights does not revive units that died, so a collapse goes back to the weights
after the last epoch that was none, or to the first ones where a net collapsed to the rare classes
before it ever was healthy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from photonic.errors import DataError
from training.options import ImbalanceOptions
from training.policy_rules import (
    EpochMetrics,
    adaptive_boost,
    count_never_predicted,
    find_collapse,
    flag_classes,
    rescue_reason,
    updated_miss_ema,
)


class Phase(StrEnum):
    """Where the policy stands."""

    WARMUP = "warmup"
    RAMP = "ramp"
    ACTIVE = "active"
    COOLDOWN = "cooldown"
    LOCKED = "locked"


_OFF = (Phase.COOLDOWN, Phase.LOCKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """Everything the policy remembers.

    ``epoch`` counts the epochs trained, ``phase_epochs`` those in this phase. ``direction`` is
    where the model was collapsed to in the last epoch (``""`` if it was not), ``flagged`` the
    classes last named as dead.
    """

    phase: Phase = Phase.WARMUP
    epoch: int = 0
    phase_epochs: int = 0
    restarted: bool = False
    healthy_seen: bool = False
    collapses: int = 0
    direction: str = ""
    rescues: int = 0
    rescue_factor: float = 1.0
    boost_floor: float = 1.0
    adaptive: float = 1.0
    miss_ema: float | None = None
    never_predicted: tuple[int, ...] = ()
    flagged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyActions:
    """What the next epoch does. ``messages`` say why, for the log and the terminal.

    ``remember_weights``: those of the epoch just trained are good to come back to;
    ``restore_weights``: come back to the last such ones, or to those that training began with.
    """

    phase: Phase
    alpha: float
    weight_scale: float
    sampler_on: bool
    sampler_boost: float
    sampler_strength: float
    kd_paused: bool
    reset_early_stopping: bool = False
    remember_weights: bool = False
    restore_weights: bool = False
    messages: tuple[str, ...] = ()


def start(options: ImbalanceOptions) -> tuple[PolicyState, PolicyActions]:
    """State before the first epoch and the actions of epoch 0, whose alpha is 0 by construction."""
    state = PolicyState()
    return state, actions_for(state, options)


def step(
    state: PolicyState, metrics: EpochMetrics, options: ImbalanceOptions
) -> tuple[PolicyState, PolicyActions]:
    """One transition.

    Args:
        state: from ``start`` or the last ``step``.
        metrics: validation figures of the epoch just trained, at the threshold in force.
        options: the complete configuration.

    Returns:
        The new state and the actions for the next epoch.
    """
    policy = options.policy
    never = count_never_predicted(state.never_predicted, metrics)
    miss_ema = updated_miss_ema(state.miss_ema, metrics, policy)
    collapse = find_collapse(metrics, never, policy)
    flags = flag_classes(metrics)
    messages = [] if flags == state.flagged else list(flags)
    counted = collapse is not None and _counts(state, collapse.direction, options)
    if collapse is not None and not counted and collapse.direction != state.direction:
        messages.append(f"{collapse.reason}: noted, the model has not settled yet")
    is_new = collapse is not None and counted and collapse.direction != state.direction
    following = replace(
        state,
        epoch=state.epoch + 1,
        phase_epochs=state.phase_epochs + 1,
        healthy_seen=state.healthy_seen or collapse is None,
        direction=collapse.direction if collapse is not None and counted else "",
        adaptive=adaptive_boost(miss_ema, metrics, policy),
        miss_ema=miss_ema,
        never_predicted=never,
        flagged=flags,
    )
    if state.phase is Phase.LOCKED:
        return following, actions_for(following, options, messages)
    if collapse is not None and is_new:
        following, message = _collapsed(following, collapse.reason, options)
        # A net that was never healthy and calls nothing abnormal may just be slow: it goes on.
        good = following.healthy_seen or collapse.direction == "rare"
        restores = good and policy.collapse_restore
        back = "; back to the last good weights" if restores else ""
        actions = actions_for(following, options, [*messages, message + back])
        return following, replace(actions, reset_early_stopping=True, restore_weights=restores)
    following, change = _advanced(following, options)
    messages += change
    if collapse is None and following.phase in (Phase.RAMP, Phase.ACTIVE):
        reason = rescue_reason(metrics, following.rescues, policy)
        if reason:
            following = _rescued(following, options)
            messages.append(f"{reason}: {_rescue_effect(following, options)}")
    actions = actions_for(following, options, messages)
    return following, replace(actions, remember_weights=collapse is None)


def actions_for(
    state: PolicyState,
    options: ImbalanceOptions,
    messages: list[str] | tuple[str, ...] = (),
) -> PolicyActions:
    """The actions that a state asks for; a pure function of the state."""
    off = state.phase in _OFF
    ramp = _ramp_share(state, options)
    sampler = options.sampler
    base = options.weights.class_weight_scale
    scale = base * state.rescue_factor * (1.0 + ramp * (state.adaptive - 1.0))
    boost_base = sampler.sampler_abnormal_boost if sampler.sampler_method == "boost" else 1.0
    boost = max(1.0 + ramp * (boost_base * state.adaptive - 1.0), state.boost_floor)
    strength = 0.0 if off else (ramp if state.restarted else 1.0)
    asked = sampler.use_weighted_sampler or sampler.force_balanced_batches
    # Batches of half and half cannot be phased in: after a cool-down they wait for the full ramp.
    needed = 1.0 if sampler.force_balanced_batches else 1e-12
    return PolicyActions(
        phase=state.phase,
        alpha=_alpha(state, options, ramp),
        weight_scale=0.0 if off else scale,
        sampler_on=asked and strength >= needed,
        sampler_boost=1.0 if off else boost,
        sampler_strength=strength,
        kd_paused=off,
        messages=tuple(messages),
    )


def state_to_dict(state: PolicyState) -> dict[str, Any]:
    """JSON-ready form of a state, for resuming."""
    data = asdict(state)
    return data | {
        "phase": state.phase.value,
        "never_predicted": list(state.never_predicted),
        "flagged": list(state.flagged),
    }


def state_from_dict(data: Mapping[str, Any]) -> PolicyState:
    """Inverse of ``state_to_dict``.

    Raises:
        DataError: missing or unknown fields, or an unknown phase.
    """
    try:
        return PolicyState(
            **{
                **data,
                "phase": Phase(data["phase"]),
                "never_predicted": tuple(data["never_predicted"]),
                "flagged": tuple(data["flagged"]),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"saved policy state cannot be read ({error}): start the run again without resuming"
        ) from None


def _alpha(state: PolicyState, options: ImbalanceOptions, ramp: float) -> float:
    if state.phase in _OFF:
        return 0.0
    if state.restarted:
        return ramp
    policy = options.policy
    length = policy.weight_warmup_epochs or policy.imbalance_warmup_epochs
    return min(1.0, state.epoch / max(1, length))


def _ramp_share(state: PolicyState, options: ImbalanceOptions) -> float:
    if state.phase is Phase.ACTIVE:
        return 1.0
    if state.phase is Phase.RAMP:
        return state.phase_epochs / _ramp_epochs(state, options)
    return 0.0


def _ramp_epochs(state: PolicyState, options: ImbalanceOptions) -> int:
    policy = options.policy
    if state.restarted and not policy.imbalance_ramp_epochs:
        return policy.collapse_cooldown_epochs
    return policy.imbalance_ramp_epochs


def _counts(state: PolicyState, direction: str, options: ImbalanceOptions) -> bool:
    """Whether a collapse is one, or a net that has not started to learn.

    In the first epochs any constant answer is normal, and as long as the warm-up lasts a net that
    has never left the common classes has not collapsed to them.
    """
    if state.epoch < options.policy.collapse_grace_epochs:
        return False
    started = state.healthy_seen or state.phase is not Phase.WARMUP
    return started or direction == "rare"


def _collapsed(
    state: PolicyState, reason: str, options: ImbalanceOptions
) -> tuple[PolicyState, str]:
    policy = options.policy
    collapses = state.collapses + 1
    locks = collapses >= policy.collapse_lock_after
    state = replace(
        state,
        phase=Phase.LOCKED if locks else Phase.COOLDOWN,
        phase_epochs=0,
        restarted=True,
        collapses=collapses,
        rescue_factor=1.0,
        boost_floor=1.0,
    )
    if locks:
        return state, f"{reason}: collapse {collapses}, rebalancing and KD locked off for good"
    return state, (
        f"{reason}: class weights and sampler off, KD paused, early stopping reset; cool-down of "
        f"{policy.collapse_cooldown_epochs} epochs, then the ramp restarts from 0"
    )


def _advanced(state: PolicyState, options: ImbalanceOptions) -> tuple[PolicyState, list[str]]:
    """Moves on when the phase has had its epochs."""
    policy = options.policy
    lengths = {
        Phase.WARMUP: policy.imbalance_warmup_epochs,
        Phase.RAMP: _ramp_epochs(state, options),
        Phase.COOLDOWN: policy.collapse_cooldown_epochs,
    }
    if state.phase not in lengths or state.phase_epochs < lengths[state.phase]:
        return state, []
    if state.phase is Phase.COOLDOWN and state.direction == "rare":
        return state, ["still collapsed to the rare classes: rebalancing stays off"]
    skip_ramp = _ramp_epochs(state, options) == 0
    target = Phase.ACTIVE if state.phase is Phase.RAMP or skip_ramp else Phase.RAMP
    message = f"policy: {state.phase} → {target}"
    return replace(state, phase=target, phase_epochs=0), [message]


def _rescued(state: PolicyState, options: ImbalanceOptions) -> PolicyState:
    policy = options.policy
    return replace(
        state,
        rescues=state.rescues + 1,
        rescue_factor=state.rescue_factor * policy.recall_rescue_factor,
        boost_floor=max(state.boost_floor, policy.recall_rescue_boost),
    )


def _rescue_effect(state: PolicyState, options: ImbalanceOptions) -> str:
    effects = []
    if options.weights.use_class_weights:
        effects.append(f"weight scale × {options.policy.recall_rescue_factor:g}")
    if options.sampler.use_weighted_sampler:
        effects.append(f"sampler boost ≥ {state.boost_floor:g}")
    if not effects:
        return "nothing to strengthen, switch on use_class_weights or use_weighted_sampler"
    return f"recall rescue {state.rescues}, {', '.join(effects)}"
