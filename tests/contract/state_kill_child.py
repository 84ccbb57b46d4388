"""Applies effects for ever and says which are durable; killed from outside at any moment."""

import sys
from pathlib import Path

from state_samples import effect

from aiops.store.state import SqliteStateStore


def main() -> None:
    store = SqliteStateStore(Path(sys.argv[1]))
    seq = store.high_water()[0]
    while True:
        seq += 1
        store.apply([effect(seq, k) for k in range(3)])
        sys.stdout.write(f"{seq} 2\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
