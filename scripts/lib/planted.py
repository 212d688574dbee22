"""Faults that are planted in a copy of the sources, each asleep until a program is started with its number.

A list of them is a TOML file: `from` stands once in `file`, and `to` takes its place, where PLANTED is true in runs with
this fault.
"""
import pathlib
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read(path, below):
    """The faults of a list whose files lie below a folder of the repository. Ends the program if one fits no longer."""
    faults = tomllib.loads((ROOT / path).read_text())["fault"]
    for fault in faults:
        fault["path"] = pathlib.Path(below) / fault["file"]
        replace((ROOT / fault["path"]).read_text(), fault, "", path)
    return faults


def replace(text, fault, here, path):
    if text.count(fault["from"]) != 1:
        sys.exit(f'{fault["path"]} has {text.count(fault["from"])} times what stands once: {fault["from"]!r}; '
                 f"mend the list in {path}")
    return text.replace(fault["from"], fault["to"].replace("PLANTED", here))


def plant(faults, path, copy, here, folders=(".",)):
    """Makes a copy of the repository's folders with all faults; `here` says in Rust whether one is awake, by its {number}."""
    shutil.rmtree(copy, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders], cwd=ROOT,
                            stdout=subprocess.PIPE, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for number, fault in enumerate(faults):
        file = copy / fault["path"]
        file.write_text(replace(file.read_text(), fault, here.format(number=number), path))
