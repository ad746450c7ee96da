"""Seeds that derive from names, so that a draw never depends on how many draws came before it."""

import hashlib


def derive_seed(*names: str | int) -> int:
    """A seed in [0, 2**63) that is a pure function of the names.

    Every random draw of a replica is seeded by what it is for, as ``derive_seed(0, "shuffle", epoch)``. A
    replica that goes on after an interruption therefore draws what it would have drawn without one, and no
    generator state has to be stored.
    """
    digest = hashlib.blake2b("\x1f".join(str(name) for name in names).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
