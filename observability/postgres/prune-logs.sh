#!/bin/bash
# Keeps PostgreSQL's log directory below a bound: PostgreSQL rotates its files but never deletes one.
# Runs beside the server as the same user. Deletes the oldest closed files first; never the file of a kind that is being
# written (the newest by name and the newest by time), so that a clock that jumps cannot make it delete a live one.
#
#   prune-logs.sh            watch for ever
#   prune-logs.sh --alive    exit 0 if the watcher made a round within the last 30 seconds (the health check)
set -uo pipefail

directory=${LOG_DIRECTORY:-/var/log/postgresql}
max_bytes=${LOG_MAX_BYTES:-83886080}    # 80 MiB: leaves room below 100 MB for what is written between two rounds
interval=${LOG_PRUNE_INTERVAL:-2}       # seconds; an eighth of it while more than half of the bound is taken
heartbeat=${LOG_PRUNE_HEARTBEAT:-/tmp/prune-logs.alive}

if [[ ${1:-} == --alive ]]; then
    [[ -n $(find "$heartbeat" -newermt '-30 seconds' 2>/dev/null) ]]
    exit
fi

if ! [[ $max_bytes =~ ^[1-9][0-9]*$ && $interval =~ ^[0-9]*\.?[0-9]+$ ]]; then
    echo "prune-logs: LOG_MAX_BYTES and LOG_PRUNE_INTERVAL must be positive numbers, not '$max_bytes' and '$interval'" >&2
    exit 2
fi

# One round: what stands in the directory, oldest first; delete until the rest is below the bound. Leaves the sum in total.
prune() {
    local -a files=()
    local -A newest_name=() newest_time=()
    local size name kind line
    total=0
    # Modification time, size, name; a file that vanished while it was listed is skipped.
    mapfile -t files < <(cd "$directory" && stat --format='%.9Y %s %n' -- *.json *.log *.csv 2>/dev/null | sort -n)
    for line in "${files[@]}"; do
        read -r _ size name <<<"$line"
        kind=${name##*.}
        total=$((total + size))
        newest_time[$kind]=$name
        [[ $name > ${newest_name[$kind]:-} ]] && newest_name[$kind]=$name
    done
    for line in "${files[@]}"; do
        ((total > max_bytes)) || break
        read -r _ size name <<<"$line"
        kind=${name##*.}
        [[ $name == "${newest_time[$kind]}" || $name == "${newest_name[$kind]}" ]] && continue
        if rm -f -- "$directory/$name"; then
            total=$((total - size))
            echo "prune-logs: deleted $name ($size bytes), $total bytes left"
        fi
    done
}

# A signal ends the wait at once; without the trap a shell that is process 1 would ignore it.
trap 'exit 0' TERM INT
# A storm of lines writes 20 MB/s, so the directory is watched closely once it fills.
closely=$(awk "BEGIN { print $interval / 8 }")
while true; do
    prune
    : >"$heartbeat"
    if ((total * 2 > max_bytes)); then sleep "$closely" & else sleep "$interval" & fi
    wait $!
done
