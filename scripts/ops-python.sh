# shellcheck shell=bash
# Sourced: sets python to one that has tests/ops/requirements.txt, the machine's or an environment of our own.
python=python3
if ! "$python" -c 'import hcl2, moto.server, yaml, cfnlint, awscli' 2>/dev/null; then
    python=$PWD/target/ops-venv/bin/python
    if [[ ! -x $python ]]; then
        echo '== Python packages of tests/ops/requirements.txt'
        python3 -m venv target/ops-venv
        "$python" -m pip install --quiet --disable-pip-version-check -r tests/ops/requirements.txt
    fi
    export PATH=$PWD/target/ops-venv/bin:$PATH
fi
