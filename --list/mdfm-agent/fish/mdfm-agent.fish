# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mdfm_agent_global_optspecs
    string join \n config= json h/help V/version
end

function __fish_mdfm_agent_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mdfm_agent_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mdfm_agent_using_subcommand
    set -l cmd (__fish_mdfm_agent_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -s V -l version -d 'Print version'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "enrol" -d 'Enrols this gateway with the one-time token from the vendor\'s operator'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "run" -d 'Runs the agent'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "status" -d 'Shows how the gateway is: line to the vendor, directive, trust documents, what waits to be reported'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "devices" -d 'Lists the devices with what they run and where an installation stands'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "device" -d 'Shows all that is known of one device; adds, lists and removes configured devices'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "rollback" -d 'Returns a device to the firmware that it ran before, unless it is in use'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "hold" -d 'Leaves a device as it is: nothing is activated on it until it is released'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "release" -d 'Ends a hold, or the quarantine of a device on which three installations in a row failed'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "consent" -d 'Says that this hospital\'s staff agree to a deployment, with or without a connection'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "import" -d 'Brings a bundle from removable media: documents and images, checked as if they had come over the network'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "export" -d 'Writes the telemetry that waits to a file, for a gateway without a line; `mdfmctl bundles deliver` takes it up'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "logs" -d 'Shows the newest events, the newest last; `journalctl -u mdfm-agent` has more'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "selftest" -d 'Asks the running agent whether it can do its work: clock, disk, certificate, line, devices, what they wait for. Fails if it cannot'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "accept-clock" -d 'Takes the gateway\'s clock as right where a wrong one once stood far ahead, which the gateway remembers: for root alone. It asks first, and the vendor is informed. Set the clock before (timedatectl)'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "boot-slot" -d 'The boot loader\'s side of a device whose images lie on this gateway: chooses the slot to start, verifies it, counts the boot and prints what to start, as JSON. Ends with an error where nothing may be started'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "conformance" -d 'Asks a device, or the tool in front of it, everything that the agent will rely on, and says where it falls short. For makers of devices, on a bench: it installs the image permanently. No agent may run meanwhile'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "default-config" -d 'Prints the commented default configuration'
complete -c mdfm-agent -n "__fish_mdfm_agent_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand enrol" -l token-file -d 'File with the token in its first line; `-` reads standard input' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand enrol" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand enrol" -l again -d 'Replace an identity that is there already'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand enrol" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand enrol" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand run" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand run" -l check-config -d 'Only check the configuration'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand run" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand run" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand status" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand status" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand status" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand devices" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand devices" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand devices" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and not __fish_seen_subcommand_from add list remove help" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and not __fish_seen_subcommand_from add list remove help" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and not __fish_seen_subcommand_from add list remove help" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and not __fish_seen_subcommand_from add list remove help" -a "add" -d 'Adds a device in a file of its own, DEVICE.toml in the folder agent.d beside the configuration'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and not __fish_seen_subcommand_from add list remove help" -a "list" -d 'Lists the devices that are configured, with the file of each. `mdfm-agent devices` asks the running agent how they are'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and not __fish_seen_subcommand_from add list remove help" -a "remove" -d 'Removes the file of a device that `device add` made. What the agent knows of the device stays in its journal'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and not __fish_seen_subcommand_from add list remove help" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l id -d 'Device id, as the vendor registered it' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l adapter -d 'How the device is reached' -r -f -a "mqtt\t'It speaks MQTT and shows a secret, which is generated'
certificate\t'It speaks MQTT over TLS and shows a client certificate'
slots\t'Its slots lie on this gateway'
command\t'Its maker\'s tool reaches it'"
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l secret-file -d 'File with the secret that the gateway knows the device by; it is made, and must not exist. Without it, the secret is printed once' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l common-name -d 'Common name in the client certificate of the device; with --adapter certificate' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l model -d 'Model; with --adapter slots' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l serial -d 'Serial number; with --adapter slots' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l hardware -d 'Hardware revision; with --adapter slots' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l slots-dir -d 'Directory of boot record and status; with --adapter slots' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l slot-a -d 'Path of slot A; with --adapter slots' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l slot-b -d 'Path of slot B; with --adapter slots. A device with several pairs is configured in an editor' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l reboot -d 'Program that makes the device boot, and its arguments, each with an option of its own; with --adapter slots' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l program -d 'Path of the maker\'s tool; with --adapter command' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l argument -d 'Argument of the tool, each with an option of its own; with --adapter command' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from list" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from list" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from remove" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from remove" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "add" -d 'Adds a device in a file of its own, DEVICE.toml in the folder agent.d beside the configuration'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists the devices that are configured, with the file of each. `mdfm-agent devices` asks the running agent how they are'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Removes the file of a device that `device add` made. What the agent knows of the device stays in its journal'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand device; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand rollback" -l reason -d 'Who wants it and why' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand rollback" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand rollback" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand rollback" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand hold" -l reason -d 'Who wants it and why' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand hold" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand hold" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand hold" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand release" -l reason -d 'Who wants it and why' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand release" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand release" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand release" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand consent" -l reason -d 'Who agrees and why' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand consent" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand consent" -l withdraw -d 'Take the consent back: devices not yet activated wait again'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand consent" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand consent" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand import" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand import" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand import" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand export" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand export" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand export" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand logs" -l device -d 'Only of this device' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand logs" -l limit -d 'Largest number of events' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand logs" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand logs" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand logs" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand selftest" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand selftest" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand selftest" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand accept-clock" -l reason -d 'Who compared the clock, and with what' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand accept-clock" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand accept-clock" -l yes -d 'Do it without asking; for scripts'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand accept-clock" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand accept-clock" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand boot-slot" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand boot-slot" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand boot-slot" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand conformance" -l image -d 'The image to install; another one than the device runs' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand conformance" -l version -d 'Version label of the image' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand conformance" -l boot-seconds -d 'Time that the device may take for a boot, in seconds' -r
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand conformance" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand conformance" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand conformance" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand default-config" -l config -d 'Configuration file' -r -F
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand default-config" -l json -d 'Answer in JSON'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand default-config" -s h -l help -d 'Print help'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "enrol" -d 'Enrols this gateway with the one-time token from the vendor\'s operator'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "run" -d 'Runs the agent'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "status" -d 'Shows how the gateway is: line to the vendor, directive, trust documents, what waits to be reported'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "devices" -d 'Lists the devices with what they run and where an installation stands'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "device" -d 'Shows all that is known of one device; adds, lists and removes configured devices'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "rollback" -d 'Returns a device to the firmware that it ran before, unless it is in use'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "hold" -d 'Leaves a device as it is: nothing is activated on it until it is released'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "release" -d 'Ends a hold, or the quarantine of a device on which three installations in a row failed'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "consent" -d 'Says that this hospital\'s staff agree to a deployment, with or without a connection'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "import" -d 'Brings a bundle from removable media: documents and images, checked as if they had come over the network'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "export" -d 'Writes the telemetry that waits to a file, for a gateway without a line; `mdfmctl bundles deliver` takes it up'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "logs" -d 'Shows the newest events, the newest last; `journalctl -u mdfm-agent` has more'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "selftest" -d 'Asks the running agent whether it can do its work: clock, disk, certificate, line, devices, what they wait for. Fails if it cannot'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "accept-clock" -d 'Takes the gateway\'s clock as right where a wrong one once stood far ahead, which the gateway remembers: for root alone. It asks first, and the vendor is informed. Set the clock before (timedatectl)'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "boot-slot" -d 'The boot loader\'s side of a device whose images lie on this gateway: chooses the slot to start, verifies it, counts the boot and prints what to start, as JSON. Ends with an error where nothing may be started'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "conformance" -d 'Asks a device, or the tool in front of it, everything that the agent will rely on, and says where it falls short. For makers of devices, on a bench: it installs the image permanently. No agent may run meanwhile'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "default-config" -d 'Prints the commented default configuration'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and not __fish_seen_subcommand_from enrol run status devices device rollback hold release consent import export logs selftest accept-clock boot-slot conformance default-config help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and __fish_seen_subcommand_from device" -f -a "add" -d 'Adds a device in a file of its own, DEVICE.toml in the folder agent.d beside the configuration'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and __fish_seen_subcommand_from device" -f -a "list" -d 'Lists the devices that are configured, with the file of each. `mdfm-agent devices` asks the running agent how they are'
complete -c mdfm-agent -n "__fish_mdfm_agent_using_subcommand help; and __fish_seen_subcommand_from device" -f -a "remove" -d 'Removes the file of a device that `device add` made. What the agent knows of the device stays in its journal'
