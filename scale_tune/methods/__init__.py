"""How a network is trained: one file and one line of the registry per method.

``method`` says what a method is made of; ``saving`` saves and restores one, whatever it holds.
"""

from scale_tune.methods.method import Batch, Method, MethodOptions, Samples, Setting, Step, descend
from scale_tune.methods.method_registry import is_refitted, method_class, registered_methods

__all__ = [
    "Batch",
    "Method",
    "MethodOptions",
    "Samples",
    "Setting",
    "Step",
    "descend",
    "is_refitted",
    "method_class",
    "registered_methods",
]
