"""What a dry run says of DFR: which networks are refitted, and how much space their features take."""

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
