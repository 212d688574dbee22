#!/usr/bin/env bash
# The last provisioner: a finished image, or a failed build.
set -euo pipefail

faults=0
check() { # what, command...
    local what=$1
    shift
    if "$@" >/tmp/selftest.out 2>&1; then
        printf 'ok    %s\n' "$what"
    else
        printf 'FAULT %s\n' "$what"
        sed 's/^/      /' /tmp/selftest.out
        faults=$((faults + 1))
    fi
}
nothing() { # lines that must not be there
    [[ -z $1 ]] || { printf '%s\n' "$1" && return 1; }
}
none() { # path pattern that must match nothing
    nothing "$(compgen -G "$1" || true)"
}
empty() { [[ ! -s $1 ]]; }
answers() { # query, pattern of the whole answer
    local answer
    answer=$(curl -sS --max-time 10 "http://127.0.0.1:18080$1") || return 1
    [[ $answer =~ $2 ]] || { printf '%s\n' "$answer" | head -c 300 && return 1; }
}
enabled() { [[ $(systemctl is-enabled "$1") == enabled ]]; }
logs_are_empty() { nothing "$(find /var/log -type f -size +0)"; }
glibc_fits() { ! ldd /usr/bin/trident 2>&1 | grep -q 'not found'; }

check 'binary runs' /usr/bin/trident --version
check 'libraries are there' glibc_fits
check 'configuration is valid' runuser -u trident -- /usr/bin/trident check-config
check 'units verify' systemd-analyze verify --man=no trident.service trident.socket trident-admin.socket \
    trident-userdata.service trident-lifecycle.service trident-publish.timer trident-store.service trident-store.timer \
    trident-tune.service
check 'exposure is at most 0.6' systemd-analyze security --offline=true --threshold=6 trident.service
for unit in trident.socket trident-admin.socket trident.service trident-userdata.service \
    trident-lifecycle.service trident-publish.timer trident-store.timer trident-tune.service; do
    check "$unit is enabled" enabled "$unit"
done
[[ -z ${SSM_AGENT_URL:-} ]] || check 'the agent of Session Manager is enabled' enabled amazon-ssm-agent.service
check 'versions are recorded' grep -q '"commit"' /usr/share/doc/trident/image.json
check 'the parts of the binary are recorded' grep -q '"name"' /usr/share/doc/trident/sbom.json
check 'and their licences' grep -q CDDL /usr/share/doc/trident/copyright

store=()
[[ ! -d /var/lib/trident/store ]] || store=(--twitter-store /var/lib/trident/store)
runuser -u trident -- env HOME=/tmp/selftest-home /usr/bin/trident serve --listen 127.0.0.1:18080 --admin off \
    --set drain.accept_ms=0 --set drain.quiet_ms=0 --set log.level=error \
    --team SelfTest --aws-account 123456789012 "${store[@]}" &
server=$!
trap 'kill $server 2>/dev/null || true; rm -rf /tmp/selftest.out /tmp/selftest-home' EXIT
for _ in $(seq 100); do
    curl -sf -o /dev/null --max-time 1 http://127.0.0.1:18080/readyz && break
    sleep 0.2
done
check '/readyz answers' answers /readyz '^ready'
check '/qrcode encodes' answers '/qrcode?type=encode&data=CC+Team' $'^SelfTest,123456789012\n0x66d92b80'
# An empty chain and no transaction: the answer is the first block, mined.
check '/blockchain mines' answers \
    '/blockchain?cc=eJyrVkrOSMzMU7JSiI7VUVDKSy2PL0ksSk8tAYooGSrBhCrACmoBTm4OGA==' $'^SelfTest,123456789012\n(eJ|eN|eA|eF)'
check '/blockchain refuses' answers '/blockchain?cc=x' $'^SelfTest,123456789012\nINVALID$'
check '/twitter answers' answers '/twitter?user_id=1&type=both&phrase=hello&hashtag=cmu' $'^SelfTest,123456789012'
kill "$server"
wait "$server" || true

check 'no host keys' none '/etc/ssh/ssh_host_*_key'
check 'no authorized keys' none '/*/.ssh/authorized_keys'
check 'no authorized keys of users' none '/home/*/.ssh/authorized_keys'
check 'no history' none '/root/.bash_history'
check 'no history of users' none '/home/*/.bash_history'
check 'no auth key' none '/etc/trident/auth.key'
check 'no settings of an instance' none '/etc/trident/trident.env'
check 'no state of cloud-init' none '/var/lib/cloud/instances'
check 'no machine id' empty /etc/machine-id
check 'no logs' logs_are_empty
check 'nothing of the bake is left' none '/opt/trident-bake'

((faults == 0)) || { printf '%s fault(s)\n' "$faults" >&2 && exit 1; }
echo 'the image is good'
