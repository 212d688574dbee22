"""The program that a script starts, and what it may see of the shell's environment."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Missing(Exception):
    """What this machine lacks; the text says how to get it. Scripts end with exit code 69."""


def binary():
    """Path of trident: TRIDENT, else the newest that was built."""
    if named := os.environ.get("TRIDENT"):
        return named
    # target/doc/trident is a directory: the documentation of the crate.
    built = [path for path in ROOT.glob("target/*/trident") if path.is_file()]
    if not built:
        raise Missing("no binary: cargo build makes one, TRIDENT names one")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def without_settings():
    """The environment without TRIDENT_*: the shell's settings are not the server's, and it refuses those it does not know."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TRIDENT_")}
