"""What a program that a script starts may see of the shell's environment."""
import os


def without_settings():
    """The environment without TRIDENT_*: the shell's settings are not the server's, and it refuses those it does not know."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TRIDENT_")}
