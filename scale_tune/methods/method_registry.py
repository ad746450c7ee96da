"""The methods of the package by name, a line for each; and any method's class."""

from collections.abc import Iterator
from importlib import import_module

from scale_tune.errors import UserError
from scale_tune.methods.method import Method, MethodOptions
from scale_tune.spec import usercode
from scale_tune.spec.config import Hyperparameters, TrialConfig
from scale_tune.spec.frozen import nearest
from scale_tune.spec.parameters import FloatRange, IntRange
from scale_tune.spec.space import RunSpec

METHODS = {
    "erm": "scale_tune.methods.erm:Erm",
    "erm_target": "scale_tune.methods.erm_target:ErmTarget",
    "erm_all": "scale_tune.methods.erm_all:ErmAll",
    "finetune": "scale_tune.methods.finetune:Finetune",
    "rwg": "scale_tune.methods.rwg:Rwg",
    "rwy": "scale_tune.methods.rwy:Rwy",
    "subg": "scale_tune.methods.subg:Subg",
    "suby": "scale_tune.methods.suby:Suby",
    "group_dro": "scale_tune.methods.group_dro:GroupDro",
    "jtt": "scale_tune.methods.jtt:Jtt",
    "afr": "scale_tune.methods.afr:Afr",
    "mixup": "scale_tune.methods.mixup:Mixup",
    "lisa": "scale_tune.methods.lisa:Lisa",
    "scale": "scale_tune.methods.scale:ScaleMethod",
    "projection": "scale_tune.methods.projection:Projection",
}
"""Where each one's class is; it is imported when it is asked for."""


def method_class(name: str, file: str | None = None) -> type[Method]:
    """The class of a method.

    Args:
        name: of one of the package, or what a search calls its own.
        file: the user's file that holds it.

    Raises:
        UserError: there is no such method, or the file does not hold one.
    """
    if file is not None:
        if name in METHODS:
            raise UserError(f"{name} is a method of the package; give the one in {file} another name")
        return _checked(usercode.load_class(file, Method), file)
    if name not in METHODS:
        raise UserError(
            f"there is no method {name!r}; {nearest(name, METHODS)} (one of your own is named with its file)"
        )
    module, _, attribute = METHODS[name].partition(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found


def class_of(config: TrialConfig) -> type[Method]:
    """The class that trains a trial.

    Raises:
        UserError: as :func:`method_class`.
    """
    return method_class(config.variant_of or config.method, config.file)


def is_refitted(config: TrialConfig) -> bool:
    """Whether a trial keeps the features of its networks, and an analysis refits their last layer on them (DFR)."""
    return config.file is None and config.variant_of is None and class_of(config).refit_by_dfr


def shares_preparation(spec: RunSpec, method: str) -> bool:
    """Whether trials of a method may have one first stage: there is one, and nothing it depends on is a range.

    Trials that draw from a range never agree in it, and what they had prepared would fill the disk for nobody.
    """
    second_stage = method_class(*spec.algorithm(method)).second_stage
    ranges = {name for name, p in spec.method_space(method).items() if isinstance(p, FloatRange | IntRange)}
    return bool(second_stage) and not ranges - set(second_stage)


def registered_methods() -> Iterator[tuple[str, type[Method]]]:
    """Every method of the package, with its name."""
    for name in METHODS:
        yield name, method_class(name)


def _checked(cls: type[Method], file: str) -> type[Method]:
    """A user's class, if what the package reads of it is there."""
    splits = getattr(cls, "learns_from", ())
    if not splits or not set(splits) <= {"train", "target"}:
        raise UserError(f"{file}: {cls.__name__}.learns_from must be some of ('train', 'target'), got {splits!r}")
    if not set(cls.attributes_of) <= set(splits):
        raise UserError(f"{file}: {cls.__name__}.attributes_of must be some of {splits}, got {cls.attributes_of!r}")
    if missing := sorted(cls.__abstractmethods__):
        raise UserError(f"{file}: {cls.__name__} must define {', '.join(missing)}")
    if not (isinstance(cls.Options, type) and issubclass(cls.Options, MethodOptions)):
        raise UserError(f"{file}: {cls.__name__}.Options must be derived from scale_tune.MethodOptions")
    if unknown := sorted(set(cls.second_stage) - set(cls.Options.model_fields)):
        raise UserError(f"{file}: {cls.__name__}.second_stage names {', '.join(unknown)}, which Options doesn't have")
    if clash := sorted(set(cls.Options.model_fields) & set(Hyperparameters.model_fields)):
        raise UserError(f"{file}: every method has {', '.join(clash)} anyway; rename that option of {cls.__name__}")
    for name, other in registered_methods():  # the tables have one column for both
        for option, theirs in other.Options.model_fields.items():
            own = cls.Options.model_fields.get(option)
            if own is not None and own.annotation != theirs.annotation:
                raise UserError(f"{file}: {name} has an option {option} of another type; rename that of {cls.__name__}")
    return cls
