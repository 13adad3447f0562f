"""Allocate promotions across a whole market as one concave program, with a proof and with prices for serving.

State a `Problem` over `Candidates`, `solve` it, print the `Solution`. See `docs/` for the program, the certificate and
how to add a function.
"""

import importlib
import logging
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates as Candidates
    from oasis_alloc.compare import Comparison as Comparison
    from oasis_alloc.compare import compare as compare
    from oasis_alloc.engines.ray.engine import RayEngine as RayEngine
    from oasis_alloc.errors import CertificateError as CertificateError
    from oasis_alloc.errors import CheckpointWarning as CheckpointWarning
    from oasis_alloc.errors import InputError as InputError
    from oasis_alloc.errors import LedgerUnavailableError as LedgerUnavailableError
    from oasis_alloc.errors import MissingDependencyError as MissingDependencyError
    from oasis_alloc.errors import OasisAllocError as OasisAllocError
    from oasis_alloc.errors import ProblemError as ProblemError
    from oasis_alloc.errors import SnapshotError as SnapshotError
    from oasis_alloc.errors import SolverError as SolverError
    from oasis_alloc.forecast.campaigns import CampaignForecast as CampaignForecast
    from oasis_alloc.forecast.campaigns import Forecast as Forecast
    from oasis_alloc.forecast.campaigns import ForecastPoint as ForecastPoint
    from oasis_alloc.forecast.competition import Competitor as Competitor
    from oasis_alloc.forecast.forecast import forecast as forecast
    from oasis_alloc.forecast.limit_curve import LimitCurve as LimitCurve
    from oasis_alloc.forecast.limit_curve import limit_curve as limit_curve
    from oasis_alloc.forecast.miss import Miss as Miss
    from oasis_alloc.forecast.moves import Move as Move
    from oasis_alloc.forecast.moves import Moves as Moves
    from oasis_alloc.forecast.quote import quote as quote
    from oasis_alloc.forecast.quote_request import QuoteRequest as QuoteRequest
    from oasis_alloc.forecast.quote_result import Quote as Quote
    from oasis_alloc.forecast.quote_result import Quotes as Quotes
    from oasis_alloc.forecast.reasons import Reasons as Reasons
    from oasis_alloc.forecast.reasons import reasons as reasons
    from oasis_alloc.forecast.remedies import Remedy as Remedy
    from oasis_alloc.forecast.served import Closer as Closer
    from oasis_alloc.forecast.served import Served as Served
    from oasis_alloc.forecast.served import served as served
    from oasis_alloc.forecast.what_if import WhatIf as WhatIf
    from oasis_alloc.forecast.what_if import what_if as what_if
    from oasis_alloc.frontier import Frontier as Frontier
    from oasis_alloc.frontier import frontier as frontier
    from oasis_alloc.pacing.allowance import Allowance as Allowance
    from oasis_alloc.pacing.ledger import DeliveredTotal as DeliveredTotal
    from oasis_alloc.pacing.ledger import Ledger as Ledger
    from oasis_alloc.pacing.ledger import Receipt as Receipt
    from oasis_alloc.pacing.ledger_events import Event as Event
    from oasis_alloc.pacing.ledger_events import Rejected as Rejected
    from oasis_alloc.pacing.ledger_outlook import outlook as outlook
    from oasis_alloc.pacing.outlook import Outlook as Outlook
    from oasis_alloc.pacing.pacer import Pacer as Pacer
    from oasis_alloc.pacing.plan import Plan as Plan
    from oasis_alloc.pacing.schedule import Schedule as Schedule
    from oasis_alloc.partitions import Partitions as Partitions
    from oasis_alloc.partitions import partition as partition
    from oasis_alloc.policy import Policy as Policy
    from oasis_alloc.problem import Problem as Problem
    from oasis_alloc.publish.decisions.log import DecisionLog as DecisionLog
    from oasis_alloc.publish.decisions.reading import Decisions as Decisions
    from oasis_alloc.publish.decisions.reading import read_decisions as read_decisions
    from oasis_alloc.publish.decisions.schema import Decision as Decision
    from oasis_alloc.publish.directory import PolicyDirectory as PolicyDirectory
    from oasis_alloc.publish.directory import publish as publish
    from oasis_alloc.publish.jobs.result import JobResult as JobResult
    from oasis_alloc.publish.jobs.run import run_job as run_job
    from oasis_alloc.publish.manifest import PublishedVersion as PublishedVersion
    from oasis_alloc.publish.trust import Trust as Trust
    from oasis_alloc.replay.replay import replay as replay
    from oasis_alloc.replay.requests import Requests as Requests
    from oasis_alloc.replay.result import Replay as Replay
    from oasis_alloc.replay.scenario import Scenario as Scenario
    from oasis_alloc.reproduction import Reproduction as Reproduction
    from oasis_alloc.reproduction import read_reproduction as read_reproduction
    from oasis_alloc.reproduction import write_reproduction as write_reproduction
    from oasis_alloc.results.organic import organic as organic
    from oasis_alloc.results.plots import SolutionPlots as SolutionPlots
    from oasis_alloc.results.price_list import ShadowPrice as ShadowPrice
    from oasis_alloc.results.price_list import ShadowPrices as ShadowPrices
    from oasis_alloc.results.rounding import Rounded as Rounded
    from oasis_alloc.results.saved import SavedSolution as SavedSolution
    from oasis_alloc.results.saved import load_solution as load_solution
    from oasis_alloc.serving.exploration import Exploration as Exploration
    from oasis_alloc.serving.overlay import Overlay as Overlay
    from oasis_alloc.serving.request.diversity import DPP as DPP
    from oasis_alloc.serving.request.diversity import MMR as MMR
    from oasis_alloc.serving.request.diversity import Embeddings as Embeddings
    from oasis_alloc.serving.request.sampling import Sample as Sample
    from oasis_alloc.serving.request.target_shares import TargetShares as TargetShares
    from oasis_alloc.serving.staleness import Staleness as Staleness
    from oasis_alloc.session import Reused as Reused
    from oasis_alloc.session import Session as Session
    from oasis_alloc.signals.calibration.calibration import Calibration as Calibration
    from oasis_alloc.signals.calibration.reliability import Reliability as Reliability
    from oasis_alloc.signals.calibration.selected import SelectedError as SelectedError
    from oasis_alloc.signals.drift.effects import DriftEffect as DriftEffect
    from oasis_alloc.signals.drift.effects import drift_effects as drift_effects
    from oasis_alloc.signals.drift.sketch import Sketch as Sketch
    from oasis_alloc.signals.drift.watch import Drift as Drift
    from oasis_alloc.signals.drift.watch import DriftReport as DriftReport
    from oasis_alloc.signals.drift.watch import DriftWatch as DriftWatch
    from oasis_alloc.signals.off_policy.arrays import off_policy as off_policy
    from oasis_alloc.signals.off_policy.exploration import ExplorationChoice as ExplorationChoice
    from oasis_alloc.signals.off_policy.exploration import choose_exploration as choose_exploration
    from oasis_alloc.signals.off_policy.replayed import evaluate_policy as evaluate_policy
    from oasis_alloc.signals.off_policy.result import OffPolicy as OffPolicy
    from oasis_alloc.signals.off_policy.result import OffPolicyEstimate as OffPolicyEstimate
    from oasis_alloc.signals.off_policy.slates import off_policy_slates as off_policy_slates
    from oasis_alloc.signals.off_policy.slates import pseudo_inverse_weights as pseudo_inverse_weights
    from oasis_alloc.signals.off_policy.weights import OffPolicyWeights as OffPolicyWeights
    from oasis_alloc.signals.uncertainty.difference import ValueDifference as ValueDifference
    from oasis_alloc.signals.uncertainty.difference import value_difference as value_difference
    from oasis_alloc.signals.uncertainty.draws import Draws as Draws
    from oasis_alloc.signals.uncertainty.estimate import ValueEstimate as ValueEstimate
    from oasis_alloc.signals.uncertainty.estimate import estimate_value as estimate_value
    from oasis_alloc.signals.uncertainty.information import InformationValue as InformationValue
    from oasis_alloc.signals.uncertainty.information import perfect_information as perfect_information
    from oasis_alloc.signals.uncertainty.risks import CVaR as CVaR
    from oasis_alloc.signals.uncertainty.risks import LowerQuantile as LowerQuantile
    from oasis_alloc.signals.uncertainty.solve import UncertainSolution as UncertainSolution
    from oasis_alloc.signals.uncertainty.solve import solve_uncertain as solve_uncertain
    from oasis_alloc.signals.uncertainty.splitting import split_predictions as split_predictions
    from oasis_alloc.solution import Solution as Solution
    from oasis_alloc.solve import solve as solve
    from oasis_alloc.solvers.conflicts import Conflict as Conflict
    from oasis_alloc.solvers.monitor import Progress as Progress
    from oasis_alloc.solvers.monitor import Status as Status
    from oasis_alloc.statement.functions.alpha_fair import alpha_fair as alpha_fair
    from oasis_alloc.statement.functions.entropy import entropy as entropy
    from oasis_alloc.statement.functions.gini_welfare import gini_welfare as gini_welfare
    from oasis_alloc.statement.functions.kl import kl as kl
    from oasis_alloc.statement.functions.log import log as log
    from oasis_alloc.statement.functions.reach import reach as reach
    from oasis_alloc.statement.functions.soft import soft as soft
    from oasis_alloc.statement.functions.square_deviation import square_deviation as square_deviation
    from oasis_alloc.statement.functions.worst_off import worst_off as worst_off
    from oasis_alloc.statement.measures import Measure as Measure
    from oasis_alloc.statement.measures import exposure as exposure
    from oasis_alloc.statement.measures import total as total
    from oasis_alloc.statement.slate import Slate as Slate
    from oasis_alloc.statement.stay_close import stay_close as stay_close
    from oasis_alloc.store import PolicyStore as PolicyStore

__version__ = "0.1.0"

# What is logged goes where the program that uses the package says, and nowhere by itself.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# The module of every public name, which is imported when the name is first used: importing the package costs next to
# nothing, who scores loads no solver, and who solves no store and no pacer.
_LATER = {
    "Candidates": "candidates",
    "Comparison": "compare",
    "compare": "compare",
    "RayEngine": "engines.ray.engine",
    "CertificateError": "errors",
    "CheckpointWarning": "errors",
    "InputError": "errors",
    "LedgerUnavailableError": "errors",
    "MissingDependencyError": "errors",
    "OasisAllocError": "errors",
    "ProblemError": "errors",
    "SnapshotError": "errors",
    "SolverError": "errors",
    "quote": "forecast.quote",
    "QuoteRequest": "forecast.quote_request",
    "Quote": "forecast.quote_result",
    "Quotes": "forecast.quote_result",
    "CampaignForecast": "forecast.campaigns",
    "Forecast": "forecast.campaigns",
    "ForecastPoint": "forecast.campaigns",
    "Competitor": "forecast.competition",
    "forecast": "forecast.forecast",
    "LimitCurve": "forecast.limit_curve",
    "limit_curve": "forecast.limit_curve",
    "Miss": "forecast.miss",
    "Move": "forecast.moves",
    "Moves": "forecast.moves",
    "Reasons": "forecast.reasons",
    "reasons": "forecast.reasons",
    "Remedy": "forecast.remedies",
    "Closer": "forecast.served",
    "Served": "forecast.served",
    "served": "forecast.served",
    "WhatIf": "forecast.what_if",
    "what_if": "forecast.what_if",
    "Frontier": "frontier",
    "frontier": "frontier",
    "Allowance": "pacing.allowance",
    "DeliveredTotal": "pacing.ledger",
    "Ledger": "pacing.ledger",
    "Receipt": "pacing.ledger",
    "Event": "pacing.ledger_events",
    "Rejected": "pacing.ledger_events",
    "outlook": "pacing.ledger_outlook",
    "Outlook": "pacing.outlook",
    "Pacer": "pacing.pacer",
    "Plan": "pacing.plan",
    "Schedule": "pacing.schedule",
    "Partitions": "partitions",
    "partition": "partitions",
    "Policy": "policy",
    "Problem": "problem",
    "DecisionLog": "publish.decisions.log",
    "Decisions": "publish.decisions.reading",
    "read_decisions": "publish.decisions.reading",
    "Decision": "publish.decisions.schema",
    "PolicyDirectory": "publish.directory",
    "publish": "publish.directory",
    "JobResult": "publish.jobs.result",
    "run_job": "publish.jobs.run",
    "PublishedVersion": "publish.manifest",
    "Trust": "publish.trust",
    "replay": "replay.replay",
    "Requests": "replay.requests",
    "Replay": "replay.result",
    "Scenario": "replay.scenario",
    "Reproduction": "reproduction",
    "read_reproduction": "reproduction",
    "write_reproduction": "reproduction",
    "organic": "results.organic",
    "SolutionPlots": "results.plots",
    "ShadowPrice": "results.price_list",
    "ShadowPrices": "results.price_list",
    "Rounded": "results.rounding",
    "SavedSolution": "results.saved",
    "load_solution": "results.saved",
    "Exploration": "serving.exploration",
    "Overlay": "serving.overlay",
    "DPP": "serving.request.diversity",
    "Embeddings": "serving.request.diversity",
    "MMR": "serving.request.diversity",
    "TargetShares": "serving.request.target_shares",
    "Sample": "serving.request.sampling",
    "Staleness": "serving.staleness",
    "Reused": "session",
    "Session": "session",
    "off_policy": "signals.off_policy.arrays",
    "ExplorationChoice": "signals.off_policy.exploration",
    "choose_exploration": "signals.off_policy.exploration",
    "evaluate_policy": "signals.off_policy.replayed",
    "OffPolicy": "signals.off_policy.result",
    "OffPolicyEstimate": "signals.off_policy.result",
    "off_policy_slates": "signals.off_policy.slates",
    "pseudo_inverse_weights": "signals.off_policy.slates",
    "OffPolicyWeights": "signals.off_policy.weights",
    "Calibration": "signals.calibration.calibration",
    "SelectedError": "signals.calibration.selected",
    "Reliability": "signals.calibration.reliability",
    "Drift": "signals.drift.watch",
    "DriftEffect": "signals.drift.effects",
    "drift_effects": "signals.drift.effects",
    "DriftReport": "signals.drift.watch",
    "DriftWatch": "signals.drift.watch",
    "Sketch": "signals.drift.sketch",
    "Draws": "signals.uncertainty.draws",
    "split_predictions": "signals.uncertainty.splitting",
    "perfect_information": "signals.uncertainty.information",
    "InformationValue": "signals.uncertainty.information",
    "estimate_value": "signals.uncertainty.estimate",
    "ValueEstimate": "signals.uncertainty.estimate",
    "value_difference": "signals.uncertainty.difference",
    "ValueDifference": "signals.uncertainty.difference",
    "CVaR": "signals.uncertainty.risks",
    "LowerQuantile": "signals.uncertainty.risks",
    "solve_uncertain": "signals.uncertainty.solve",
    "UncertainSolution": "signals.uncertainty.solve",
    "Solution": "solution",
    "solve": "solve",
    "Conflict": "solvers.conflicts",
    "Progress": "solvers.monitor",
    "Status": "solvers.monitor",
    "alpha_fair": "statement.functions.alpha_fair",
    "entropy": "statement.functions.entropy",
    "gini_welfare": "statement.functions.gini_welfare",
    "kl": "statement.functions.kl",
    "log": "statement.functions.log",
    "reach": "statement.functions.reach",
    "soft": "statement.functions.soft",
    "square_deviation": "statement.functions.square_deviation",
    "worst_off": "statement.functions.worst_off",
    "Measure": "statement.measures",
    "exposure": "statement.measures",
    "total": "statement.measures",
    "Slate": "statement.slate",
    "stay_close": "statement.stay_close",
    "PolicyStore": "store",
}

__all__ = list(_LATER)  # for `from oasis_alloc import *`, which would find none of them otherwise


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


class _Package(types.ModuleType):
    """This package, in which `solve` and `replay` are functions, also once the modules of these names are loaded."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _LATER and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
