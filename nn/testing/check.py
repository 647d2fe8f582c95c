"""Is a kernel right? `check(kernel)` runs all laws on all variants and says which broke, on which case.

    >>> from nn.testing import check
    >>> print(check(nn.kernels.qgemm))                   # all variants this machine can run
    >>> print(check(my_qgemm, like=nn.kernels.qgemm))    # your own function, held to qgemm's contract

A kernel written in C may kill the process. So its memory is checked first, in forks (nn/testing/memory.py),
and where that fails the laws are not run in this process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from .. import kernels
from . import memory, unset
from .case import for_all
from .domain import Domain, Gemm, Qgemm
from .domain_adam import AdamStep
from .domain_codebook import CodebookGemm
from .domain_contract import FromContract
from .domain_conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad
from .domain_csr import SpmmCsr
from .domain_depthwise import (
    DepthwiseConv2d,
    DepthwiseConv2dInputGrad,
    DepthwiseConv2dWeightGrad,
)
from .domain_entropy import SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad
from .domain_erf import Erf, Gelu, GeluGrad
from .domain_kmeans import Kmeans1d
from .domain_norm import BatchNorm, BatchNormGrad
from .domain_pass import Relu, ReluGrad
from .domain_pool import AvgPool2d, AvgPool2dGrad, MaxPool2d, MaxPool2dGrad
from .domain_quantized import (
    Dequantize,
    Im2col,
    Qadd,
    QavgPool2d,
    Qconv2d,
    QdepthwiseConv2d,
    QmaxPool2d,
    Quantize,
    Requantize,
    Transpose,
)
from .domain_tt import TtMatmul
from .domain_winograd import WinogradConv2d
from .laws import Implementation, Law
from .laws_adam import ADAM_LAWS
from .laws_conv import CONV2D_LAWS, DEPTHWISE, DEPTHWISE_LAWS, INPUT_GRAD_LAWS, WEIGHT_GRAD_LAWS
from .laws_float import CODEBOOK_LAWS, GEMM_LAWS, SPMM_CSR_LAWS
from .laws_kmeans import KMEANS_LAWS
from .laws_pass import (
    CONTRACT_LAWS,
    ENTROPY_LAWS,
    ERF_LAWS,
    INTEGER_LAWS,
    OVERWRITING_LAWS,
    PASS_LAWS,
    PATCHES_LAWS,
    POOL_GRAD_LAWS,
    QUANTIZE_LAWS,
    RELU_LAWS,
    clips_codes,
    commutes,
    has_the_same_bits_on_any_threads,
    keeps_constant_images,
    packs_filters,
    permutes_filters,
)
from .laws_qgemm import QGEMM_LAWS
from .laws_tt import TT_LAWS
from .laws_winograd import WINOGRAD_LAWS

DOMAINS: dict[str, Domain] = {domain.name: domain for domain in (
    Gemm(),
    Qgemm(),
    SpmmCsr(),
    TtMatmul(),
    Conv2d(),
    Conv2dInputGrad(),
    Conv2dWeightGrad(),
    DepthwiseConv2d(),
    DepthwiseConv2dInputGrad(),
    DepthwiseConv2dWeightGrad(),
    WinogradConv2d(),
    AdamStep(),
    CodebookGemm(),
    Kmeans1d(),
    Relu(),
    ReluGrad(),
    BatchNorm(),
    BatchNormGrad(),
    MaxPool2d(),
    MaxPool2dGrad(),
    AvgPool2d(),
    AvgPool2dGrad(),
    SoftmaxCrossEntropy(),
    SoftmaxCrossEntropyGrad(),
    Erf(),
    Gelu(),
    GeluGrad(),
    Quantize(),
    Dequantize(),
    Requantize(),
    Qadd(),
    QmaxPool2d(),
    QavgPool2d(),
    Im2col(),
    Transpose(),
    Qconv2d(),
    QdepthwiseConv2d(),
)}
FIRST = ("leaves_inputs", "leaves_arguments", "repeats")      # what the other laws take for granted
LAWS_OF: dict[str, tuple[Law, ...]] = {
    "gemm": GEMM_LAWS,
    "qgemm": QGEMM_LAWS,
    "spmm_csr": SPMM_CSR_LAWS,
    "tt_matmul": TT_LAWS,
    "conv2d": CONV2D_LAWS,
    "conv2d_input_grad": INPUT_GRAD_LAWS,
    "conv2d_weight_grad": WEIGHT_GRAD_LAWS,
    "depthwise_conv2d": DEPTHWISE_LAWS,
    "depthwise_conv2d_input_grad": (*INPUT_GRAD_LAWS, *DEPTHWISE),
    "depthwise_conv2d_weight_grad": (*WEIGHT_GRAD_LAWS, *DEPTHWISE),
    "winograd_conv2d": WINOGRAD_LAWS,
    "adam_step": ADAM_LAWS,
    "codebook_gemm": CODEBOOK_LAWS,
    "kmeans1d": KMEANS_LAWS,
    "relu": RELU_LAWS,
    "relu_grad": OVERWRITING_LAWS,
    "batch_norm": PASS_LAWS,
    "batch_norm_grad": OVERWRITING_LAWS,
    "max_pool2d": PASS_LAWS,
    "max_pool2d_grad": POOL_GRAD_LAWS,
    "avg_pool2d": PASS_LAWS,
    "avg_pool2d_grad": POOL_GRAD_LAWS,
    "softmax_cross_entropy": ENTROPY_LAWS,
    "softmax_cross_entropy_grad": PASS_LAWS,
    "erf": ERF_LAWS,
    "gelu": PASS_LAWS,
    "gelu_grad": PASS_LAWS,
    **dict.fromkeys(("dequantize", "qmax_pool2d"), INTEGER_LAWS),
    "quantize": QUANTIZE_LAWS,
    "requantize": (*INTEGER_LAWS, clips_codes),
    "qadd": (*INTEGER_LAWS, clips_codes, commutes),
    "qavg_pool2d": (*INTEGER_LAWS, keeps_constant_images),
    "qdepthwise_conv2d": (*INTEGER_LAWS, packs_filters, has_the_same_bits_on_any_threads),
    "im2col": PATCHES_LAWS,
    "transpose": PATCHES_LAWS,
    "qconv2d": (*PATCHES_LAWS, permutes_filters, packs_filters),
}

for _kernel in kernels.all_kernels():
    if _kernel.name not in DOMAINS:
        DOMAINS[_kernel.name], LAWS_OF[_kernel.name] = FromContract(_kernel), CONTRACT_LAWS


def forced(kernel: kernels.Kernel, what: str, steady: bool = True) -> Implementation:
    """The kernel under `with use(what)`: a variant, a backend, an instruction set."""
    domain = DOMAINS[kernel.name]
    call, pack_flat = domain.flat(kernel), kernel.pack and domain.flat_pack(kernel.pack)

    def run(*args, **options):
        with kernels.use(what):
            return call(*args, **options)

    def pack(*weight):
        with kernels.use(what):
            return pack_flat(*weight)

    name = what if what.startswith(kernel.name) else f"{kernel.name}_{what}"
    return Implementation(name, domain, run, domain.flat(kernel.reference), pack_flat and pack,
                          takes_out=domain.takes_out, steady=steady)


def of_function(function: Callable, like: kernels.Kernel) -> Implementation:
    """A function held to the contract of the kernel `like`; `out=` is tested if the function has it."""
    try:
        takes_out = "out" in inspect.signature(function).parameters
    except ValueError:                                         # some that are written in C do not say
        takes_out = False
    domain = DOMAINS[like.name]
    return Implementation(called(function), domain, domain.flat(function), domain.flat(like.reference),
                          takes_out=takes_out, steady=False)


def called(function: Callable) -> str:
    """The name of a function, or of what else can be called."""
    return getattr(function, "__name__", None) or repr(function)


def implementations(kernel: kernels.Kernel) -> list[Implementation]:
    """One Implementation for each variant of a kernel that can run here, and one that chooses among them."""
    each = [forced(kernel, v.name, steady=v.backend != "numpy") for v in kernel.variants()]
    return each + ([forced(kernel, "c", steady=False)] if kernel.call and not kernels.why_not_c() else [])


def laws_for(f: Implementation) -> list[Law]:
    """The laws that can be asked of f: those about `out` and packing only where it has them."""
    no_use = {"writes_only_out": not f.takes_out, "packs": f.pack is None}
    return [law for law in LAWS_OF[f.domain.name] if not no_use.get(law.__name__)]


def holds(law: Law, f: Implementation, examples: int | None = None, shrink: bool = True) -> None:
    """Run one law on drawn cases: as many as the Hypothesis profile says, or `examples`.

    Raises:
        AssertionError: what is wrong, and the smallest case found (with shrink=False, the first).
    """
    for_all(f.domain.cases(), lambda case: law(f, case), examples, shrink)


@dataclass(frozen=True)
class Failure:
    """One law that one implementation breaks; the message ends with the smallest case found."""

    law: str
    implementation: str
    message: str

    def __str__(self) -> str:
        return f"{self.implementation} breaks {self.law}:\n    " + self.message.replace("\n", "\n    ")


@dataclass
class Report:
    """What check() found. True if nothing failed."""

    subject: str
    passed: int = 0
    failures: list[Failure] = field(default_factory=list)

    def __bool__(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        head = f"{self.subject}: {self.passed} laws hold, {len(self.failures)} broken"
        return "\n".join([head, *map(str, self.failures)])

    def run(self, name: str, f: Implementation, test: Callable[[], None]) -> bool:
        """Run a test and write down how it went; whether it passed."""
        try:
            test()
        except AssertionError as error:
            self.failures.append(Failure(name, f.name, str(error)))
            return False
        self.passed += 1
        return True


def check(kernel: Callable, like: kernels.Kernel | None = None, examples: int = 30) -> Report:
    """Check a kernel, or a function that claims to be one.

    Args:
        kernel: a Kernel, all of whose variants are checked; or, with `like`, any function with its arguments.
        like: the Kernel whose contract and specification the function must meet.
        examples: cases per law.

    What leaves its memory, leaves part of its result unset, writes into its arguments or answers a call in
    two ways breaks nearly every law: only that is reported then, and the other laws are not asked.

    Raises:
        TypeError: `kernel` can't be called, or is no Kernel and there is no `like`; `like` is no Kernel.
    """
    known = isinstance(kernel, kernels.Kernel)
    if not known and not callable(kernel):
        raise TypeError(f"check: kernel must be a Kernel or a function, got {type(kernel).__name__}")
    if not known and like is None:
        raise TypeError(f"check: {called(kernel)} is not a Kernel; say which one it must be like, for "
                        f"example check({called(kernel)}, like=nn.kernels.gemm)")
    if like is not None and not isinstance(like, kernels.Kernel):
        raise TypeError(f"check: like must be a Kernel of nn.kernels, got {type(like).__name__}")
    subjects = implementations(kernel) if like is None else [of_function(kernel, like)]
    report = Report(kernel.name if like is None else f"{called(kernel)} as {like.name}")
    for f in subjects:
        laws = {law.__name__: partial(holds, law) for law in laws_for(f)}
        first = {} if memory.why_not() else {"stays_inside": memory.stays_inside}
        if like is not None:
            first["writes_all_of_its_result"] = unset.writes_all_of_its_result
        first |= {name: laws.pop(name) for name in FIRST if name in laws}
        if all(report.run(name, f, partial(test, f, examples)) for name, test in first.items()):
            for name, test in laws.items():
                report.run(name, f, partial(test, f, examples))
    return report
