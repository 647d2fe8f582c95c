"""Everything that `compress` offers by name: what stands here, and every technique there is."""

from .certificate import Certificate, CertificateError, certify, certify_weights
from .chain import Chain
from .convert import convert
from .distribution import global_sparsity, scanned_sparsity, uniform_sparsity
from .overflow import largest_k
from .prepare import prepare, unprepare
from .program.bound import Bound
from .program.files import load, save
from .program.program import Program
from .program.value import ProgramError
from .proximal import Proximal
from .pruning.oracle import oracle
from .recipe import Recipe
from .reconstruct import reconstruct
from .regret import rank_scores
from .report import report, weight_errors
from .retraining import dense_sparse_dense, lottery_ticket, rewound
from .saturation import saturating_qgemm
from .schedule import Cubic, Iterative, Linear, Once
from .sensitivity import Sensitivity, sensitivity_scan
from .stored import Stored
from .techniques import *  # noqa: F403
from .techniques import __all__ as _techniques
from .transform import Context, Invariant, Transform

__all__ = ["Bound", "Certificate", "CertificateError", "Chain", "Context", "Cubic", "Invariant", "Iterative",
           "Linear", "Once", "Program", "ProgramError", "Proximal", "Recipe", "Sensitivity", "Stored",
           "Transform", "certify", "certify_weights", "convert", "dense_sparse_dense", "global_sparsity",
           "largest_k", "load", "lottery_ticket", "oracle", "prepare", "rank_scores", "reconstruct", "report",
           "rewound", "saturating_qgemm", "save", "scanned_sparsity", "sensitivity_scan", "uniform_sparsity",
           "unprepare", "weight_errors", *_techniques]
