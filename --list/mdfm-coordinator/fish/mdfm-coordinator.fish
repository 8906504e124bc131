# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mdfm_coordinator_global_optspecs
    string join \n h/help V/version
end

function __fish_mdfm_coordinator_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mdfm_coordinator_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mdfm_coordinator_using_subcommand
    set -l cmd (__fish_mdfm_coordinator_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -s h -l help -d 'Print help'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -s V -l version -d 'Print version'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -f -a "init" -d 'Makes a data directory: keys, certificates, an empty audit log and the first administrator'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -f -a "serve" -d 'Runs the coordinator'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -f -a "backup" -d 'Copies a data directory, also while the coordinator runs on it, and verifies the copy. It holds the keys: keep it as safe'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -f -a "restore" -d 'Verifies a backup and makes a data directory of it'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -f -a "renew-certificate" -d 'Makes a new server certificate, also while the coordinator runs; it takes it up when it is reloaded (SIGHUP)'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -f -a "quickstart" -d 'Makes a trial installation in one directory and runs it: a coordinator, a hospital with a gateway and a simulated device, people with their keys, and a release to approve. Ctrl-C stops it; called again it starts again. Not for patients'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -f -a "default-config" -d 'Prints the commented default configuration'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand init" -l data -d 'The directory to make' -r -F
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand init" -l dns-name -d 'DNS names and addresses of the server certificate; once for each' -r
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand init" -l log-origin -d 'Name of the audit log, best a host name of yours with a path' -r
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand init" -l admin -d 'User id of the first administrator' -r
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand init" -l admin-password-file -d 'File with the administrator\'s password in its first line; without it a random one is made, in `first-password-of-` and the user id, in the data directory' -r -F
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand init" -l trial -d 'A trial installation: the first record of its log, every answer and every report say so, for ever'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand init" -s h -l help -d 'Print help'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand serve" -l config -d 'Configuration file' -r -F
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand serve" -l check-config -d 'Only check the configuration'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand serve" -l standby -d 'Wait while another coordinator serves the data directory, and take over when it ends'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand serve" -s h -l help -d 'Print help'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand backup" -l data -d 'The data directory' -r -F
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand backup" -l out -d 'The directory to make' -r -F
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand backup" -s h -l help -d 'Print help'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand restore" -l backup -d 'The backup' -r -F
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand restore" -l data -d 'The data directory to make' -r -F
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand restore" -s h -l help -d 'Print help'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand renew-certificate" -l data -d 'The data directory' -r -F
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand renew-certificate" -l dns-name -d 'DNS names and addresses of the server certificate; once for each' -r
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand renew-certificate" -s h -l help -d 'Print help'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand quickstart" -l dir -d 'The directory: a new one, an empty one, or a trial that this command made, which it starts again' -r -F
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand quickstart" -l port -d 'The coordinator\'s port on this machine; a free one if absent. A trial keeps the port that it was made with' -r
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand quickstart" -s h -l help -d 'Print help'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand default-config" -s h -l help -d 'Print help'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand help; and not __fish_seen_subcommand_from init serve backup restore renew-certificate quickstart default-config help" -f -a "init" -d 'Makes a data directory: keys, certificates, an empty audit log and the first administrator'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand help; and not __fish_seen_subcommand_from init serve backup restore renew-certificate quickstart default-config help" -f -a "serve" -d 'Runs the coordinator'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand help; and not __fish_seen_subcommand_from init serve backup restore renew-certificate quickstart default-config help" -f -a "backup" -d 'Copies a data directory, also while the coordinator runs on it, and verifies the copy. It holds the keys: keep it as safe'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand help; and not __fish_seen_subcommand_from init serve backup restore renew-certificate quickstart default-config help" -f -a "restore" -d 'Verifies a backup and makes a data directory of it'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand help; and not __fish_seen_subcommand_from init serve backup restore renew-certificate quickstart default-config help" -f -a "renew-certificate" -d 'Makes a new server certificate, also while the coordinator runs; it takes it up when it is reloaded (SIGHUP)'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand help; and not __fish_seen_subcommand_from init serve backup restore renew-certificate quickstart default-config help" -f -a "quickstart" -d 'Makes a trial installation in one directory and runs it: a coordinator, a hospital with a gateway and a simulated device, people with their keys, and a release to approve. Ctrl-C stops it; called again it starts again. Not for patients'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand help; and not __fish_seen_subcommand_from init serve backup restore renew-certificate quickstart default-config help" -f -a "default-config" -d 'Prints the commented default configuration'
complete -c mdfm-coordinator -n "__fish_mdfm_coordinator_using_subcommand help; and not __fish_seen_subcommand_from init serve backup restore renew-certificate quickstart default-config help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
