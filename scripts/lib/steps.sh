# shellcheck shell=bash
# Sourced by scripts/test: steps one after another and beside each other, and a last line that tells of all of them.
#
#     run NAME COMMAND...      waits for it
#     begin NAME COMMAND...    goes on; what it says is shown when it has ended, and if it fails the run ends at once
#     finish NAME...           waits for these
#
# Whatever ends the run, nothing that a step has started is left running.
# shellcheck source=scripts/lib/skip.sh
source scripts/lib/skip.sh

# How long what an aborted run leaves has to put its things away before it is killed, and then to be gone.
: "${END_SECONDS:=15}"

ran='' left_out='' now=start pid='' status=0
# Of the steps beside, by process: name, output, beginning. And what has ended and is not shown yet: name, output, ….
declare -A beside=() output=() began=()
unshown=()
# Stands in the environment of every process of every step: they are found by it, whatever sessions they have made.
mark=$$-$(date +%s%N)
marked() { { grep -lsz "^STEP_OF_TEST=$mark\$" /proc/[0-9]*/environ || true; } | cut -d / -f 3; }
end_all() {
    local left signal=TERM deadline=$((SECONDS + END_SECONDS))
    while mapfile -t left < <(marked) && ((${#left[@]})); do
        kill -s "$signal" "${left[@]}" 2>/dev/null || true
        sleep 1
        ((SECONDS < deadline)) || signal=KILL
        if ((SECONDS > deadline + END_SECONDS)); then
            printf 'still running, and no signal ends them: %s\n' "${left[*]}"
            return
        fi
    done
}
show() { # what has ended beside the step that has just ended
    set -- ${unshown[@]+"${unshown[@]}"}
    unshown=()
    while (($#)); do
        printf '\n== %s (beside the steps above)\n' "$1"
        cat "$2"
        rm -f "$2"
        shift 2
    done
}
tell() { # as the last line, whatever happens
    local ended_with=$? process
    trap '' INT TERM
    end_all
    show
    for process in "${!beside[@]}"; do
        printf '\n== %s, ended before its time\n' "${beside[$process]}"
        tail -n 50 "${output[$process]}"
        rm -f "${output[$process]}"
    done
    printf '\nscripts/test: ran%s; left out%s' "${ran:- nothing}" "${left_out:- nothing}"
    [[ -z ${TRIDENT_SKIP:-} ]] || printf ' (TRIDENT_SKIP=%s)' "$TRIDENT_SKIP"
    printf '; %s s' "$SECONDS"
    if ((ended_with)); then
        printf '; FAILED at %s\n' "$now"
    else
        printf '; all passed\n'
    fi
}
trap tell EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# A line for each step that has ended: its process, its status.
pipe=$(mktemp -u)
mkfifo "$pipe"
exec {events}<>"$pipe"
rm "$pipe"
launch() { # command...: in a session of its own; its process is $launched
    {
        code=0
        STEP_OF_TEST=$mark setsid "$@" {events}>&- || code=$?
        printf '%s %s\n' "$BASHPID" "$code" >&"$events"
    } &
    launched=$!
}
over() { # name, seconds: counts a step by its $status
    # 69: not on this machine; the step has said why.
    if ((status == 69)) && ! must_run; then
        left_out+=" $1"
    elif ((status)); then
        now=$1
        exit "$status"
    else
        ran+=" $1($2 s)"
    fi
}
wait_for_one() { # until one has ended, which is $pid, with $status
    local name took
    read -r pid status <&"$events"
    [[ -n ${beside[$pid]:-} ]] || return 0
    name=${beside[$pid]} took=$((SECONDS - began[$pid]))
    unshown+=("$name" "${output[$pid]}")
    unset "beside[$pid]" "output[$pid]" "began[$pid]"
    over "$name" "$took"
}
run() { # name, command...
    local name=$1 start=$SECONDS
    shift
    if is_skipped "$name"; then
        left_out+=" $name"
        return
    fi
    printf '\n== %s\n' "$name"
    launch "$@"
    pid=''
    until now=$name && [[ $pid == "$launched" ]]; do wait_for_one; done
    over "$name" $((SECONDS - start))
    show
}
begin() { # name, command...: beside the steps that follow, at the latest until `finish`
    local name=$1 log
    shift
    if is_skipped "$name"; then
        left_out+=" $name"
        return
    fi
    log=$(mktemp)
    launch "$@" >"$log" 2>&1
    beside[$launched]=$name output[$launched]=$log began[$launched]=$SECONDS
}
finish() { # name...: waits for them
    local name
    for name in "$@"; do
        now=$name
        while [[ " ${beside[*]} " == *" $name "* ]]; do wait_for_one; done
    done
    show
}
