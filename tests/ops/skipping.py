"""What a test may leave out, as scripts/lib/skip.sh says: what TRIDENT_SKIP names, and without CI and root what cannot run."""
import os
import sys
import unittest


def is_skipped(name):
    return name in os.environ.get("TRIDENT_SKIP", "").split(",")


def must_run():
    return bool(os.environ.get("CI")) or os.geteuid() == 0


def skip(name, why):
    """Ends a test that cannot run here: as a failure where it must."""
    if must_run() and not is_skipped(name):
        raise AssertionError(f"{why}; to go without, name {name} in TRIDENT_SKIP")
    # unittest itself only counts.
    print(f"skipped: {why}", file=sys.stderr)
    raise unittest.SkipTest(why)
