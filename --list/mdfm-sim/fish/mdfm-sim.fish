# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mdfm_sim_global_optspecs
    string join \n h/help V/version
end

function __fish_mdfm_sim_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mdfm_sim_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mdfm_sim_using_subcommand
    set -l cmd (__fish_mdfm_sim_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mdfm-sim -n "__fish_mdfm_sim_needs_command" -s h -l help -d 'Print help'
complete -c mdfm-sim -n "__fish_mdfm_sim_needs_command" -s V -l version -d 'Print version'
complete -c mdfm-sim -n "__fish_mdfm_sim_needs_command" -f -a "device" -d 'Runs one device: two slots and a boot loader on disk, MQTT to its gateway, faults by script'
complete -c mdfm-sim -n "__fish_mdfm_sim_needs_command" -f -a "bedside" -d 'Runs one device whose images lie on the gateway, served by the agent\'s slots'
complete -c mdfm-sim -n "__fish_mdfm_sim_needs_command" -f -a "tool" -d 'One operation of a maker\'s flashing tool, with a simulated device behind it: the sample for the agent\'s command adapter'
complete -c mdfm-sim -n "__fish_mdfm_sim_needs_command" -f -a "fleet" -d 'Loads a coordinator with thousands of gateways: real TLS, real MQTT, one process'
complete -c mdfm-sim -n "__fish_mdfm_sim_needs_command" -f -a "world" -d 'Runs worlds in virtual time: agents, coordinator, lines, disks, devices and people, by seed or scenario'
complete -c mdfm-sim -n "__fish_mdfm_sim_needs_command" -f -a "scale" -d 'Rolls firmware out to a fleet of any size in virtual time and says what it cost'
complete -c mdfm-sim -n "__fish_mdfm_sim_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l dir -d 'Directory of the device\'s flash: slots and boot record. A file `in-use` in it means that a patient is connected' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l id -d 'Device id' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l broker -d 'Host and port where the gateway listens for devices' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l secret-file -d 'File with the secret that the gateway knows the device by' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l tls-authority -d 'Who vouches for the gateway\'s certificate, PEM: the device speaks TLS' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l tls-certificate -d 'The device\'s own certificate, PEM' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l tls-key -d 'Its key, PEM' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l model -d 'Model number' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l serial -d 'Serial number' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l hardware -d 'Hardware revision' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l factory-version -d 'Version that the factory installed' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l factory-release -d 'Release number that the factory installed' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l boot-ms -d 'Time that a boot takes, in milliseconds' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l script -d 'Faults, as TOML' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -l protocol -d 'Version of the device protocol that it speaks: 2 counts its faults in its reports, 1 sends events alone' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand device" -s h -l help -d 'Print help'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand bedside" -l dir -d 'Directory of the boot record and the status, as the agent\'s configuration says. A file `in-use` in it means that a patient is connected, a file `reboot` that the device is to boot' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand bedside" -l id -d 'Device id' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand bedside" -l agent -d 'The agent\'s program' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand bedside" -l config -d 'The agent\'s configuration' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand bedside" -l boot-ms -d 'Time that a boot takes, in milliseconds' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand bedside" -l script -d 'Faults, as TOML' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand bedside" -s h -l help -d 'Print help'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand tool" -l dir -d 'Directory of the device\'s flash. A file `in-use` in it means that a patient is connected' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand tool" -l factory-version -d 'Version that the factory installed' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand tool" -l model -d 'Model number' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand tool" -l serial -d 'Serial number' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand tool" -l hardware -d 'Hardware revision' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand tool" -s h -l help -d 'Print help'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and not __fish_seen_subcommand_from enrol run help" -s h -l help -d 'Print help'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and not __fish_seen_subcommand_from enrol run help" -f -a "enrol" -d 'Registers hospitals, gateways and devices at a coordinator and enrols the gateways'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and not __fish_seen_subcommand_from enrol run help" -f -a "run" -d 'Connects the enrolled gateways and loads the coordinator with them'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and not __fish_seen_subcommand_from enrol run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from enrol" -l dir -d 'Directory of the fleet, made by `enrol`' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from enrol" -l session -d 'Session of an operator (`mdfmctl login`)' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from enrol" -l gateways -d 'Gateways' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from enrol" -l devices -d 'Devices behind each gateway' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from enrol" -l gateways-per-hospital -d 'Gateways of each hospital' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from enrol" -l prefix -d 'Start of every id' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from enrol" -l model -d 'Model of the devices' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from enrol" -s h -l help -d 'Print help'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l dir -d 'Directory of the fleet, made by `enrol`' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l connect -d 'Another address than the enrolled one, as host:port: a balancer, or a broker to compare with' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l gateways -d 'Gateways that connect; all of the fleet without it' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l connects-at-once -d 'Connections being made at once' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l connect-seconds -d 'Longest time for all of them to connect, in seconds' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l seconds -d 'How long the load lasts, in seconds' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l heartbeats -d 'Heartbeats of the whole fleet each second' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l batches -d 'Telemetry batches of the whole fleet each second' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l events -d 'Device errors in each batch' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l reconnects -d 'Connections cut and made again each second' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l drain-seconds -d 'Longest time to wait for the last acknowledgements, in seconds' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l session -d 'Session of an operator: with it the coordinator\'s own counts are in the result' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l process -d 'A process of this machine whose memory and processor time are in the result, as name=pid; again for more' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l svg -d 'Draws the latencies into this file' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l observe -d 'Heartbeats carry the digests of what is observed of each device, and requests for it are answered; not beside batches, which are signed ahead'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -l json -d 'Prints the result as JSON'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from help" -f -a "enrol" -d 'Registers hospitals, gateways and devices at a coordinator and enrols the gateways'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from help" -f -a "run" -d 'Connects the enrolled gateways and loads the coordinator with them'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand fleet; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l seeds -d 'How many worlds to make up' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l first-seed -d 'The first seed' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l scenario -d 'One scenario from a TOML file instead' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l keep -d 'Folder that keeps failing worlds, shrunk' -r -F
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l jobs -d 'Worlds at a time; as many as there are processors if absent' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l fresh -d 'Take a first seed that was never used instead of `--first-seed`; it is printed'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l hostile -d 'Put an adversary into each world: one who holds a gateway, one who holds the coordinator\'s keys, clocks set back'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l ward -d 'Put hands into each world: exchanged devices, firmware flashed by hand, moved cables, crash loops'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l set-back -d 'Set gateways back, copy them, enrol them again or replace them in each world'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -l transcript -d 'Print what happens, line by line'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand world" -s h -l help -d 'Print help'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand scale" -l hospitals -d 'Hospitals' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand scale" -l gateways -d 'Gateways of all hospitals together' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand scale" -l devices -d 'Devices of all gateways together' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand scale" -l faulty-percent -d 'Share of devices that fail on trial, in percent' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand scale" -l seed -d 'Seed of delays and faults' -r
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand scale" -l json -d 'Print JSON'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand scale" -s h -l help -d 'Print help'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand help; and not __fish_seen_subcommand_from device bedside tool fleet world scale help" -f -a "device" -d 'Runs one device: two slots and a boot loader on disk, MQTT to its gateway, faults by script'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand help; and not __fish_seen_subcommand_from device bedside tool fleet world scale help" -f -a "bedside" -d 'Runs one device whose images lie on the gateway, served by the agent\'s slots'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand help; and not __fish_seen_subcommand_from device bedside tool fleet world scale help" -f -a "tool" -d 'One operation of a maker\'s flashing tool, with a simulated device behind it: the sample for the agent\'s command adapter'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand help; and not __fish_seen_subcommand_from device bedside tool fleet world scale help" -f -a "fleet" -d 'Loads a coordinator with thousands of gateways: real TLS, real MQTT, one process'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand help; and not __fish_seen_subcommand_from device bedside tool fleet world scale help" -f -a "world" -d 'Runs worlds in virtual time: agents, coordinator, lines, disks, devices and people, by seed or scenario'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand help; and not __fish_seen_subcommand_from device bedside tool fleet world scale help" -f -a "scale" -d 'Rolls firmware out to a fleet of any size in virtual time and says what it cost'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand help; and not __fish_seen_subcommand_from device bedside tool fleet world scale help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand help; and __fish_seen_subcommand_from fleet" -f -a "enrol" -d 'Registers hospitals, gateways and devices at a coordinator and enrols the gateways'
complete -c mdfm-sim -n "__fish_mdfm_sim_using_subcommand help; and __fish_seen_subcommand_from fleet" -f -a "run" -d 'Connects the enrolled gateways and loads the coordinator with them'
