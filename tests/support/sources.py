"""Source files in the datasets' own formats, made up."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def write_idx(path: Path, array: np.ndarray, *, compress: bool = False) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + ".gz" * compress).write_bytes(gzip.compress(content, 1) if compress else content)


def make_mnist(root: Path, n_train: int, n_test: int, *, compress: bool = False) -> dict[str, np.ndarray]:
    """MNIST in torchvision's layout. The first pixel of a digit is its class; classes are of unequal size."""
    rng = np.random.default_rng(1)
    labels = {}
    for part, n in (("train", n_train), ("t10k", n_test)):
        labels[part] = rng.choice(10, n, p=np.array([98, 112, 99, 102, 98, 90, 98, 104, 98, 101]) / 1000).astype(
            np.uint8
        )
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        images[:, 0, 0] = labels[part]
        write_idx(root / f"MNIST/raw/{part}-images-idx3-ubyte", images, compress=compress)
        write_idx(root / f"MNIST/raw/{part}-labels-idx1-ubyte", labels[part], compress=compress)
    return labels


def make_cifar(root: Path, n_train: int, n_test: int) -> dict[str, np.ndarray]:
    """CIFAR-10's python version in torchvision's layout. The first byte of an image is its class."""
    rng = np.random.default_rng(2)
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    labels = {"train": rng.permutation(np.arange(n_train) % 10), "test": rng.permutation(np.arange(n_test) % 10)}
    batches = {f"data_batch_{i + 1}": part for i, part in enumerate(np.split(labels["train"], 5))}
    for name, of_batch in (batches | {"test_batch": labels["test"]}).items():
        data = rng.integers(0, 256, (len(of_batch), 3072), dtype=np.uint8)
        data[:, 0] = of_batch
        content = {"batch_label": name, "labels": of_batch.tolist(), "data": data, "filenames": ["x.png"]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return labels


def celeba_table(per_group: dict[int, tuple[int, int, int, int]]) -> pd.DataFrame:
    """Filename, split, male, blond. ``per_group``: for each split, pictures of (male, blond) 00, 01, 10, 11."""
    rows = [
        (split, male, blond)
        for split, counts in per_group.items()
        for (male, blond), n in zip([(0, 0), (0, 1), (1, 0), (1, 1)], counts, strict=True)
        for _ in range(n)
    ]
    table = pd.DataFrame(rows, columns=["split", "male", "blond"]).sample(frac=1, random_state=0, ignore_index=True)
    table.insert(0, "filename", [f"{i + 1:06d}.jpg" for i in range(len(table))])
    return table


def make_celeba(root: Path, table: pd.DataFrame, layout: str, *, pictures: bool = True) -> Path:
    """CelebA's lists in one of the three layouts, and small pictures whose colour tells their number."""
    folder = root / "celeba"
    images = folder / "img_align_celeba"
    if layout == "kaggle":
        images /= "img_align_celeba"
        attributes = pd.DataFrame(
            {"image_id": table["filename"], "Male": 2 * table["male"] - 1, "Blond_Hair": 2 * table["blond"] - 1}
        )
        folder.mkdir(parents=True)
        attributes.to_csv(folder / "list_attr_celeba.csv", index=False)
        partition = table[["filename", "split"]].rename(columns={"filename": "image_id", "split": "partition"})
        partition.to_csv(folder / "list_eval_partition.csv", index=False)
    elif layout == "torchvision":
        folder.mkdir(parents=True)
        lines = [f"{r.filename}  {2 * r.blond - 1:2d} {2 * r.male - 1:2d}" for r in table.itertuples()]
        (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(table)), "Blond_Hair Male", *lines]) + "\n")
        lines = [f"{r.filename} {r.split}" for r in table.itertuples()]
        (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    else:
        folder.mkdir(parents=True)
        metadata = table.rename(columns={"blond": "y", "male": "a"}).rename_axis("id").reset_index()
        metadata[["id", "filename", "split", "y", "a"]].to_csv(folder / "metadata_celeba.csv", index=False)
    images.mkdir(parents=True, exist_ok=True)
    for number, filename in enumerate(table["filename"] if pictures else table["filename"][:1]):
        picture = Image.new("RGB", (178, 218), (number % 256, number // 256, 100))
        picture.save(images / filename, quality=95)
    return images


def make_waterbirds(root: Path, per_group: dict[int, tuple[int, int, int, int]]) -> Path:
    """Waterbirds' list and small pictures. ``per_group``: for each split, pictures of (y, place) 00, 01, 10, 11."""
    folder = root / "waterbird_complete95_forest2water2"
    table = celeba_table(per_group).rename(columns={"male": "y", "blond": "place", "filename": "img_filename"})
    table["img_filename"] = "001.Bird/" + table["img_filename"]
    (folder / "001.Bird").mkdir(parents=True)
    table.rename_axis("img_id").reset_index().to_csv(folder / "metadata.csv", index=False)
    for number, filename in enumerate(table["img_filename"]):
        Image.new("RGB", (300, 260), (number % 256, number // 256, 100)).save(folder / filename)
    return folder


def table_rows(counts: dict[str, dict[tuple[str, str], int]]) -> pd.DataFrame:
    """A list for ``table``: of each split, so many pictures of (label, attribute); paths in folders of a label each."""
    rows = [
        (label, attribute, split)
        for split, cells in counts.items()
        for (label, attribute), n in cells.items()
        for _ in range(n)
    ]
    table = pd.DataFrame(rows, columns=["label", "attribute", "split"]).sample(
        frac=1, random_state=0, ignore_index=True
    )
    table.insert(0, "path", [f"{row.label}/{number:03d}.png" for number, row in enumerate(table.itertuples())])
    return table


def make_table(root: Path, table: pd.DataFrame, name: str = "list.csv") -> Path:
    """A list and its small pictures, whose colour tells their row."""
    for number, path in enumerate(table["path"]):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16), (number % 256, number // 256, 100)).save(root / path)
    table.to_csv(root / name, index=False)
    return root / name
