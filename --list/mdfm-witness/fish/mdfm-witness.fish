# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mdfm_witness_global_optspecs
    string join \n h/help V/version
end

function __fish_mdfm_witness_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mdfm_witness_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mdfm_witness_using_subcommand
    set -l cmd (__fish_mdfm_witness_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mdfm-witness -n "__fish_mdfm_witness_needs_command" -s h -l help -d 'Print help'
complete -c mdfm-witness -n "__fish_mdfm_witness_needs_command" -s V -l version -d 'Print version'
complete -c mdfm-witness -n "__fish_mdfm_witness_needs_command" -f -a "init" -d 'Makes a key and prints its verifier key, which the vendor puts into the trust root'
complete -c mdfm-witness -n "__fish_mdfm_witness_needs_command" -f -a "serve" -d 'Runs the witness'
complete -c mdfm-witness -n "__fish_mdfm_witness_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfm-witness -n "__fish_mdfm_witness_using_subcommand init" -l data -d 'The directory to make' -r -F
complete -c mdfm-witness -n "__fish_mdfm_witness_using_subcommand init" -l name -d 'The witness\'s name, best a host name of yours with a path' -r
complete -c mdfm-witness -n "__fish_mdfm_witness_using_subcommand init" -s h -l help -d 'Print help'
complete -c mdfm-witness -n "__fish_mdfm_witness_using_subcommand serve" -l config -d 'Configuration file' -r -F
complete -c mdfm-witness -n "__fish_mdfm_witness_using_subcommand serve" -l check-config -d 'Only check the configuration'
complete -c mdfm-witness -n "__fish_mdfm_witness_using_subcommand serve" -s h -l help -d 'Print help'
complete -c mdfm-witness -n "__fish_mdfm_witness_using_subcommand help; and not __fish_seen_subcommand_from init serve help" -f -a "init" -d 'Makes a key and prints its verifier key, which the vendor puts into the trust root'
complete -c mdfm-witness -n "__fish_mdfm_witness_using_subcommand help; and not __fish_seen_subcommand_from init serve help" -f -a "serve" -d 'Runs the witness'
complete -c mdfm-witness -n "__fish_mdfm_witness_using_subcommand help; and not __fish_seen_subcommand_from init serve help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
