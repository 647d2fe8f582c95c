"""Everything that `compress` offers by name: what is imported here, and every technique there is."""
# ruff: noqa: F401

from .certificate import Certificate, CertificateError, certify, certify_weights
from .chain import Chain
from .convert import convert
from .distribution import global_sparsity, scanned_sparsity, uniform_sparsity
from .lloyd import Lloyd, lloyd
from .overflow import largest_k
from .prepare import prepare, unprepare
from .program.bound import Bound
from .program.files import load, save
from .program.program import Program
from .program.value import ProgramError
from .proximal import Proximal
from .pruning.oracle import oracle
from .rate import rate
from .recipe import Recipe
from .reconstruct import reconstruct
from .regret import rank_scores
from .report import report, weight_errors
from .retraining import dense_sparse_dense, lottery_ticket, rewound
from .saturation import saturating_qgemm
from .schedule import Cubic, Iterative, Linear, Once
from .search.front import additive, pareto_front
from .search.goal import Goal
from .search.halving import successive_halving
from .sensitivity import Sensitivity, sensitivity_scan
from .stored import Stored
from .surgery.choice import prune_channels
from .surgery.compacting import compact
from .surgery.cut import Surgery
from .surgery.groups import ChannelGroup, ChannelGroups, channel_groups
from .surgery.recalibration import recalibrate
from .surgery.removal import remove_channels
from .techniques import *  # noqa: F403
from .transform import Context, Invariant, Transform

__all__ = [_name for _name in dir() if not _name.startswith("_")]
