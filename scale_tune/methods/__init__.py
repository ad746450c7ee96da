"""How a network is trained: one file and one line of the registry per method.

``method`` says what a method is made of; ``saving`` saves and restores one, whatever it holds.
"""

from scale_tune.methods.method import Batch, Method, MethodOptions, PooledOptions, Samples, Setting, Step, descend
from scale_tune.methods.method_registry import (
    class_of,
    is_refitted,
    method_class,
    registered_methods,
    shares_preparation,
)

__all__ = [
    "Batch",
    "Method",
    "MethodOptions",
    "PooledOptions",
    "Samples",
    "Setting",
    "Step",
    "class_of",
    "descend",
    "is_refitted",
    "method_class",
    "registered_methods",
    "shares_preparation",
]
