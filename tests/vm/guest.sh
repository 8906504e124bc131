# The gateway in the virtual machine: agent and devices start, then go on with the story where `said` on the disk says that they are. Lines that begin with
# VM are read outside. Words in @ are put in when the machine is made.
export PATH=/bin
world=@WORLD@
say() { echo "VM $*" >/dev/ttyS0; }
end() {
    say "$@"
    [ "$1" = END ] || { tail -n 40 /tmp/*.log >/dev/ttyS0; }
    killall mdfm-agent mdfm-sim 2>/dev/null
    sleep 1
    sync
    mount -o remount,ro "$world"
    poweroff -f
}
mkdir -p "$world"
mount -t ext4 /dev/vda "$world" || end FAILED "the file system cannot be mounted"
agent() { mdfm-agent --config "$world/agent-001.toml" "$@"; }
agent run >/tmp/agent.log 2>&1 &
@DEVICES@

# What the agent says of a device: its state and what it runs.
seen() {
    shown=$(agent --json device "$1" 2>/dev/null | tr -d ' \n')
    version=$(echo "$shown" | sed -n 's/.*"running":{[^}]*"version":"\([^"]*\)".*/\1/p')
    state=$(echo "$shown" | sed -n 's/.*"state":"\([^"]*\)".*/\1/p')
    [ -z "$version" ] || echo "$state $version"
}
# Waits until both devices are in one of the states given, on the version given (any, if it is empty).
reach() {
    tries=0
    while :; do
        good=0
        for device in @IDS@; do
            now=$(seen "$device")
            [ -n "$now" ] || continue
            state=${now% *}; version=${now#* }
            [ -z "$2" ] || [ "$version" = "$2" ] || continue
            case " $1 " in "  " | *" $state "*) good=$((good + 1)) ;; esac
        done
        [ "$good" = 2 ] && return 0
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || end FAILED "waited for [$1] $2 in vain: $(for d in @IDS@; do echo "$d $(seen "$d")"; done)"
        sleep 0.3
    done
}

done=$(cat "$world/said" 2>/dev/null) || done=0
reach "" ""
say AT "$done" $(for d in @IDS@; do seen "$d"; done)
step() {
    [ "$1" -gt "$done" ] || return 0
    tries=0
    until agent import "$world/bundle-$1" >/tmp/import.log 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 10 ] || end FAILED "bundle $1 is not taken: $(cat /tmp/import.log)"
        sleep 1
    done
    reach "$2" "$3"
    rm -f "$world/telemetry-$1"
    agent export "$world/telemetry-$1" >/tmp/export.log 2>&1 || end FAILED "no telemetry: $(cat /tmp/export.log)"
    sync
    echo "$1" >"$world/said.new"
    sync
    mv "$world/said.new" "$world/said"
    sync
    say SAID "$1"
}
step 1 confirmed 2.2.0
step 2 confirmed 2.3.0
step 3 rolledBack 2.2.0
rm -f "$world/telemetry-end"
agent export "$world/telemetry-end" >/tmp/export.log 2>&1 || end FAILED "no telemetry: $(cat /tmp/export.log)"
sync
end END
