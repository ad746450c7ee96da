"""How a trained classifier is built where this package is not: a file of Python, and the names of weights in it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a source of networks says of one of its own."""

    code: str
    """Of a Python module with a function ``build()``, which returns the classifier with weights of no meaning."""
    backbone: str
    """What stands before the names of the backbone's weights in its state dict."""
    head: str
    """The name of its last layer, linear."""

    @classmethod
    def in_sequence(cls, code: str, num_features: int, num_classes: int) -> "Recipe":
        """Of a backbone and a linear layer, one after the other.

        Args:
            code: the lines that end with the name ``backbone`` for a module that gives features.
            num_features: that the last layer takes.
            num_classes: that it tells apart.
        """
        build = f'''def build():
    """The classifier, to be given weights."""
    return nn.Sequential(backbone(), nn.Linear({num_features}, {num_classes}))
'''
        return cls(code=f"{code}\n\n{build}", backbone="0.", head="1")
