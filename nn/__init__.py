"""nn: how a network learns. Automatic differentiation, layers and training in NumPy, over C kernels."""

from pkgutil import extend_path

# Run from a clone after `pip install .`: the source folder shadows the installed package, so
# the compiled part (nn/_kernels) is looked for along the whole of sys.path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
