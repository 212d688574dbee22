# shellcheck shell=bash
# Sourced: sets python to one that has tests/ops/requirements.txt, the machine's or an environment of our own.
python=python3
has_all() { "$1" -c 'import hcl2, moto.server, yaml, cfnlint, awscli, kubernetes_validate' 2>/dev/null; }
if ! has_all "$python"; then
    python=$PWD/target/ops-venv/bin/python
    # One that is there may be of an older list.
    if ! has_all "$python"; then
        echo '== Python packages of tests/ops/requirements.txt'
        [[ -x $python ]] || python3 -m venv target/ops-venv
        "$python" -m pip install --quiet --disable-pip-version-check -r tests/ops/requirements.txt
    fi
    export PATH=$PWD/target/ops-venv/bin:$PATH
fi
