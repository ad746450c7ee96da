"""What a dry run says of DFR: which networks are refitted, how much space their features take; and what it refuses."""

import pytest

from scale_tune.errors import UserError
from scale_tune.spec import usercode
from scale_tune.workflows.rehearsal import rehearse
from tests.support.runs import fast_spec


def said(**options) -> list[str]:
    lines: list[str] = []
    rehearse(fast_spec(**options), lines.append)
    return lines[lines.index("trying a step …") + 1 + len(options["methods"]) :]


def test_all_completed_erm_trials_are_refitted_on_features_of_this_size():
    # 400 + 1,000 + 2,000 images of 256 numbers and two labels, for each of two seeds; three trials.
    of_erm, size, pretrained = said(methods=["erm", "scale"])
    assert of_erm == "DFR        every erm trial that runs to its end, 2 seeds each; those stopped early have none"
    assert (
        "features of 3,400 images (target, val, test, some of train) and seed: 7.07 MB a trial, at most 21.2 MB in all"
        in size
    )
    assert "no pretrained baseline: small_cnn has no pretrained weights" in pretrained


def test_every_dataset_of_a_grid_counts_and_the_largest_is_told():
    space = {"lr": 0.01, "batch_size": 32, "dataset.target_size": {"type": "choice", "values": [10, 2000]}}
    grid = {"space": space, "sampler": "grid", "scheduler": {"name": "none"}}
    for splits in ("shared", "per_seed"):
        of_erm, size, _ = said(methods=["erm"], splits=splits, **grid)
        assert of_erm == "DFR        every erm trial that runs to its end on each of the 2 datasets, 2 seeds each"
        assert "features of 5,000 images" in size


def test_without_erm_nothing_is_refitted_but_a_pretrained_network():
    none, pretrained = said(methods=["erm_target"], model={"name": "resnet18"})
    assert none == "DFR        none: no method here is refitted, as erm is"
    assert pretrained == "           and resnet18 with the weights imagenet, untrained"


def test_without_the_datasets_files_the_size_is_told_by_image():
    lines = said(methods=["erm"], dataset={"name": "dominoes"}, model={"name": "resnet18"})
    assert "keeps 2.06 kB of features for each image of target, val, test and some of train, and seed" in lines[1]


OWN = """
from scale_tune import Method, Step, descend
from torch.nn.functional import cross_entropy

class Mine(Method):
    learns_from = ("train",)

    def setup(self):
        self.network = self.new_network()
        self.optimizer = self.sgd(self.network.parameters())
        {in_setup}

    def begin_epoch(self, epoch):
        {in_epoch}

    def step(self, batches):
        descend(cross_entropy(self.network(batches["train"].images), batches["train"].labels), self.optimizer)
        return Step()
"""


@pytest.mark.parametrize(
    ("in_setup", "in_epoch", "message"),
    [
        ("self.seen = set()", "pass", "the method's attribute seen can't be saved, a set"),
        ("self.seen = None", "self.seen = {1: 2}", "attribute seen can't be saved, a dict .* another value"),
        ("pass", "self.second = self.new_network()", "they differ in .*module/second/"),
    ],
    ids=["a set", "keys that are numbers", "a network that setup does not make"],
)
def test_a_method_whose_state_could_not_be_saved_or_taken_up_is_refused(in_setup, in_epoch, message):
    usercode.provide({"mine.py": OWN.format(in_setup=in_setup, in_epoch=in_epoch)})
    with pytest.raises(UserError, match=f"the method mine can't .*{message}"):
        rehearse(fast_spec(methods={"mine": {"file": "mine.py"}}), lambda line: None)


def refusal(**options) -> str:
    with pytest.raises(UserError) as error:
        rehearse(fast_spec(**options), lambda line: None)
    return str(error.value)


def test_a_network_that_cannot_train_on_such_images_is_named_first():
    said = refusal(methods=["scale"], model={"name": "densenet121"})
    assert said.startswith("the model densenet121 can't train on digits's images of 3 x 16 x 8: RuntimeError(")
    assert said.endswith("; choose another model.name")


OWN_NETWORK = """
from torch import nn

class Wrong(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(384, 4)

    def forward(self, images):
        {forward}

def small():
    return Wrong(), 4
"""


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        ("return self.layer(images)", "shapes cannot be multiplied"),
        ("self.late = nn.Linear(2, 2); return self.layer(images.flatten(1))", "Unexpected key"),
    ],
    ids=["it fails", "its state can't be taken up"],
)
def test_a_network_of_ones_own_is_named_first_with_its_file(forward, message):
    usercode.provide({"net.py": OWN_NETWORK.format(forward=forward)})
    said = refusal(methods=["erm"], model={"name": "net.py:small"})
    first, *trace = said.splitlines()
    assert first.startswith("the model net.py:small can't train on digits's images of 3 x 16 x 8: ")
    assert message in said
    assert "mend your file net.py" in said
    assert trace, "an own file's error has its traceback"


@pytest.mark.parametrize(
    ("in_setup", "in_epoch", "doing"),
    [
        ("self.seen = set()", "pass", "be saved and taken up again"),
        ("pass", "self.seen = 1 / 0", "take a step"),
        ("self.seen = 1 / 0", "pass", "take a step"),
    ],
)
def test_a_method_of_ones_own_is_named_first_with_its_file(in_setup, in_epoch, doing):
    usercode.provide({"mine.py": OWN.format(in_setup=in_setup, in_epoch=in_epoch)})
    said = refusal(methods={"mine": {"file": "mine.py"}})
    assert said.startswith(f"the method mine can't {doing} with the model small_cnn: ")
    assert "; mend your file mine.py\n" in said
    assert "choose another model" not in said
