"""Reads ami/stack.yaml, and the Terraform module that scripts/generate-terraform makes of it."""
import pathlib
import sys

import hcl2

AMI = pathlib.Path(__file__).resolve().parents[2] / "ami"
sys.path.insert(0, str(AMI / "generator"))

from template import load_stack, snake  # noqa: E402  (the path above comes first)

__all__ = ["AMI", "Module", "load_stack", "snake"]


def unquoted(value):
    if isinstance(value, dict):
        return {unquoted(k): unquoted(v) for k, v in value.items() if k not in ("__is_block__", "__comments__")}
    if isinstance(value, list):
        return [unquoted(v) for v in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


class Module:
    """The Terraform module: `resources` maps names to bodies, `variables` and `outputs` likewise."""

    def __init__(self, directory=AMI / "terraform"):
        self.resources, self.variables, self.outputs, self.locals = {}, {}, {}, {}
        for path in sorted(directory.glob("*.tf")):
            with path.open() as file:
                parsed = unquoted(hcl2.load(file))
            for block in parsed.get("resource", []):
                for named in block.values():
                    for name, body in named.items():
                        assert name not in self.resources, f"two resources called {name}"
                        self.resources[name] = body
            for kind, into in (("variable", self.variables), ("output", self.outputs), ("locals", self.locals)):
                for block in parsed.get(kind, []):
                    into.update(block)
