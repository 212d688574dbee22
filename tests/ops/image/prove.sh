#!/usr/bin/env bash
# Runs inside the booted image (tests/ops/image/boot.py): says on the console what only the inside can see.
set -uo pipefail

say() { printf 'PROVE %s\n' "$*" >/dev/console; }
check() { # what, wanted, found
    if [[ $2 == "$3" ]]; then say "ok $1 = $3"; else say "FAULT $1 = $3, wanted $2"; fi
}
eventually() { # what, wanted, command...
    local what=$1 wanted=$2 found=''
    shift 2
    for _ in $(seq 1200); do
        found=$("$@")
        [[ $found != "$wanted" ]] || break
        sleep 0.5
    done
    check "$what" "$wanted" "$found"
}
grep -E '^[a-z].* = ' /etc/sysctl.d/60-trident.conf | while IFS= read -r line; do
    key=${line%% = *}
    check "$key" "${line#* = }" "$(sysctl -n "$key" | tr '\t' ' ')"
done

# What trident-tune turned at boot, put back, turned again. The card has one queue, the machine two processors.
tune=/usr/lib/trident/tune
card=$(ip -o route show default | awk '{ print $5; exit }')
$tune --status | while IFS= read -r line; do say "note $line"; done
turned() { # every value of it, from the kernel and not from tune
    cat "/sys/class/net/$card/queues/rx-0/rps_cpus"
    for irq in "/sys/class/net/$card/device/../msi_irqs/"*; do
        [[ ! -e /proc/irq/${irq##*/} ]] || cat "/proc/irq/${irq##*/}/smp_affinity_list"
    done
    ethtool -g "$card" | sed -n 's/^RX:[[:space:]]*//p'
}
check 'tune: unit' active "$(systemctl is-active trident-tune.service)"
check 'tune: receiving in software' 2 "$(cat "/sys/class/net/$card/queues/rx-0/rps_cpus")"
tuned=$(turned)
check 'tune: again changes nothing' '' "$($tune | grep -e '->')"
$tune --off >/dev/null
# Without the two lines of the ring: no processor steered to, every interrupt anywhere.
check 'tune: undone' '0 0-1' "$(turned | head -n -2 | sort -u | tr '\n' ' ' | sed 's/ $//')"
systemctl restart trident-tune.service
check 'tune: applied again' "$tuned" "$(turned)"
# A ring that was made smaller grows to what the card allows, and the card is still there afterwards.
largest=$(ethtool -g "$card" | sed -n 's/^RX:[[:space:]]*//p' | head -n 1)
$tune --off >/dev/null
ethtool -G "$card" rx $((largest / 2))
check 'tune: a smaller ring' "$((largest / 2))" "$(turned | tail -n 1)"
systemctl restart trident-tune.service
check 'tune: ring' "$largest" "$(turned | tail -n 1)"
$tune --off >/dev/null
check 'tune: ring undone' "$((largest / 2))" "$(turned | tail -n 1)"
ethtool -G "$card" rx "$largest"
systemctl restart trident-tune.service
check 'tune: the card lives' yes "$(curl -s -o /dev/null --max-time 20 "http://$(ip -o route show default | awk '{ print $3; exit }'):1"; [[ $? == 7 ]] && echo yes)"
# docs/tuning.md says so: what every system call would pay for is off.
check 'auditing' 0 "$(python3 - <<'PYTHON'
import socket, struct
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as kernel:  # NETLINK_AUDIT
    kernel.sendto(struct.pack("=IHHII", 16, 1000, 1, 1, 0), (0, 0))  # AUDIT_GET
    print(struct.unpack_from("=II", kernel.recv(4096), 16)[1])
PYTHON
)"
pid=$(systemctl show -P MainPID trident)
check 'service' active "$(systemctl is-active trident.service)"
check 'user' trident "$(stat -c %U "/proc/$pid")"
check 'capabilities' 0000000000000000 "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")"
check 'seccomp filter' 2 "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")"
check 'descriptors' 1048576 "$(awk '/^Max open files/ { print $5 }' "/proc/$pid/limits")"
check 'backlog' 4096 "$(ss -ltnH 'sport = :8080' | awk '{ print $3 }')"
check 'interfaces of its own' lo: "$(awk 'NR > 2 { print $1 }' "/proc/$pid/net/dev" | tr '\n' ' ' | sed 's/ $//')"
check 'admin listener' 200 "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9090/metrics)"
check 'journal' persistent "$([[ -d /var/log/journal ]] && echo persistent)"
check 'failed units' '' "$(systemctl --failed --no-legend --plain | awk '{ print $1 }' | tr '\n' ' ')"
# What systemd makes of a process that dies, and of one that lives and does nothing.
restarted() { # times
    for _ in $(seq 1200); do
        [[ $(systemctl show -P NRestarts trident) -ge $1 && $(systemctl is-active trident) == active ]] && break
        sleep 0.5
    done
    systemctl is-active trident
}
# A core holds what the allocator reserved (1 GiB), written or not. An emulated machine takes longer for it than
# TimeoutAbortSec, and systemd cuts it off: here less is reserved.
mkdir -p /run/systemd/system/trident.service.d
printf '[Service]\nEnvironment=MIMALLOC_ARENA_RESERVE=64MiB\n' >/run/systemd/system/trident.service.d/core.conf
systemctl daemon-reload
kill -9 "$pid"
check 'after kill -9' active "$(restarted 1)"
kill -STOP "$(systemctl show -P MainPID trident)"
check 'after SIGSTOP, by the watchdog' active "$(restarted 2)"
# Entered into the journal after the process is gone.
cores() { coredumpctl list --no-legend --no-pager trident 2>/dev/null | grep -q SIGABRT && echo yes; }
eventually 'core of the abort' yes cores
check 'the core is whole' yes "$(journalctl -u trident -o cat --no-pager | grep -q 'code=dumped, status=6/ABRT' && echo yes)"
# One death each, and none that nobody asked for; what ended each process, for the reader of a fault.
journalctl -u trident -o short-monotonic --no-hostname --no-pager |
    grep -E 'Main process exited|Watchdog timeout|Scheduled restart|does not run|has not run|Failed with' |
    while IFS= read -r line; do say "note $line"; done
check 'restarts' 2 "$(systemctl show -P NRestarts trident)"
check 'answers after all that' 200 "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/readyz)"

# @features@
# A wrong setting: the reason in the journal, one attempt, and back as soon as it is mended. Without the drop-in that
# powers an instance off then (broken.sh).
instance=/etc/systemd/system/trident.service.d/instance.conf
mv "$instance" /run/instance.conf
systemctl daemon-reload
printf 'TRIDENT_WORKERS=many\n' >/etc/trident/trident.env
systemctl restart trident && say 'FAULT a wrong setting starts'
check 'wrong setting: exit' 64 "$(systemctl show -P ExecMainStatus trident)"
check 'wrong setting: attempts again' 0 "$(systemctl show -P NRestarts trident)"
check 'wrong setting: state' failed "$(systemctl is-active trident)"
check 'wrong setting: named in the journal' yes \
    "$(journalctl -u trident -n 20 -o cat | grep -q 'workers' && echo yes)"
rm /etc/trident/trident.env
mv /run/instance.conf "$instance"
systemctl daemon-reload
systemctl start trident
check 'mended' 200 "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/readyz)"
say "status $(systemctl show -P StatusText trident)"
say 'done'
