# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mdfmctl_global_optspecs
    string join \n json o/output= local session= context= h/help V/version
end

function __fish_mdfmctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mdfmctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mdfmctl_using_subcommand
    set -l cmd (__fish_mdfmctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -s V -l version -d 'Print version'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "login" -d 'Sign in and keep the session'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "logout" -d 'Sign out'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "whoami" -d 'Show who you are here, with which roles, and whether you can sign'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "contexts" -d 'Contexts: sessions by name, for several coordinators or people'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "second-factor" -d 'Your second factor'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "change-password" -d 'Change your password'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "signing-key" -d 'Your signing key, where the coordinator keeps it for you'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "tokens" -d 'Tokens for machines that act for you'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "init" -d 'Set up a first installation: a guided key ceremony. Call it again after each step'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "keys" -d 'Make keys; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "trust" -d 'Make, sign and publish trust roots and rosters; making and signing work offline'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "users" -d 'Users'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "hospitals" -d 'Hospitals'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "groups" -d 'Groups of devices that deployments name'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "gateways" -d 'Gateways and their enrolment tokens'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "bundles" -d 'Removable media for gateways without a line'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "broker" -d 'Rules for an MQTT broker of your own'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "devices" -d 'Devices'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "firmware" -d 'Firmware releases'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "approve" -d 'Sign an approval with your own key'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "reject" -d 'Reject a release; final'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "deploy" -d 'Start a deployment from a JSON file'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "deployments" -d 'List and show deployments'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "watch" -d 'Show a deployment, live with `--follow`'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "validate" -d 'Sign the validation of a phase whose gate has held'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "pause" -d 'Pause a deployment'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "resume" -d 'Resume a deployment'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "abort" -d 'End a deployment: what is in flight goes back, what is done stays'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "rollback" -d 'Roll back a device, a hospital, a phase or a deployment'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "consent" -d 'Say that a hospital\'s staff agree to a deployment'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "duties" -d 'What a deployment owes to an authority'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "duty" -d 'The same as `duties fulfil`; for scripts of earlier versions'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "incidents" -d 'Incidents: report, decide, close'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "notices" -d 'Your notices, and what could not be delivered'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "webhooks" -d 'Webhooks: other programs that get notices'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "settings" -d 'Settings of the installation'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "recalls" -d 'Recalls: find the devices concerned, follow them to the last'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "rollback-orders" -d 'Rollback orders: let devices go back after their recall window, or below their security floor'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "withdrawals" -d 'Withdrawals: releases that gateways activate no more'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "reports" -d 'Reports for inspectors and authorities: make, verify offline'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "retention" -d 'Retention of records: terms, legal holds, disposal'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "audit" -d 'The audit log: search, the past, export, evidence, verify offline'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "completions" -d 'Print the completions of a shell; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l url -d '`https://host:port` of the coordinator; the one of the last time if it is not given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l ca -d 'PEM file of the authority that vouches for the coordinator; the one of the last time if it is not given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l user -d 'User id; the one of the last time if it is not given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l password-file -d 'File with the password in its first line; `-` reads standard input. Asked for on a terminal if it is not given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l code -d 'The six digits that the authenticator shows now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l factor-file -d 'File with the secret of the second factor, to make the code here: whoever holds that file holds the factor. For trials and for machines that are locked up like an authenticator. At the first sign-in (login) the factor is set up in it if it does not exist' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l recovery-code -d 'One of the recovery codes, where the second factor was lost' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l sso -d 'Sign in with your browser at the OpenID provider of your organisation'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand logout" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand logout" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand logout" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand logout" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand logout" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand whoami" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand whoami" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand whoami" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand whoami" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand whoami" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand whoami" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -f -a "list" -d 'Lists your contexts: where each signs in, as whom, and which one is in use'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -f -a "use" -d 'Uses a context from now on; `mdfmctl login --context NAME` makes one'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -f -a "remove" -d 'Removes a context that is signed out'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and not __fish_seen_subcommand_from list use remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from use" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from use" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from use" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from use" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from use" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from remove" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from remove" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from remove" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from remove" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists your contexts: where each signs in, as whom, and which one is in use'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from help" -f -a "use" -d 'Uses a context from now on; `mdfmctl login --context NAME` makes one'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Removes a context that is signed out'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand contexts; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -f -a "enrol" -d 'Sets up a second factor'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -f -a "confirm" -d 'Shows that the new second factor works; prints the recovery codes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -f -a "show" -d 'Shows the second factor again, for acts that need it shown within the last minutes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and not __fish_seen_subcommand_from enrol confirm show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from enrol" -l password-file -d 'File with your password in its first line; `-` reads standard input. Asked for on a terminal if it is not given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from enrol" -l factor-file -d 'Keep the secret in this file and show at once that it works, for trials; else put it into an authenticator, and confirm' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from enrol" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from enrol" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from enrol" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from enrol" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from enrol" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from enrol" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from enrol" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from confirm" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from confirm" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from confirm" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from confirm" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from confirm" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from confirm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from show" -l code -d 'The six digits that the authenticator shows now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from show" -l factor-file -d 'File with the secret of the second factor, to make the code here: whoever holds that file holds the factor. For trials and for machines that are locked up like an authenticator. At the first sign-in (login) the factor is set up in it if it does not exist' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from help" -f -a "enrol" -d 'Sets up a second factor'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from help" -f -a "confirm" -d 'Shows that the new second factor works; prints the recovery codes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows the second factor again, for acts that need it shown within the last minutes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand second-factor; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand change-password" -l password-file -d 'File with the present password in its first line; asked for on a terminal if it is not given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand change-password" -l new-password-file -d 'File with the new one; asked for twice on a terminal if it is not given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand change-password" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand change-password" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand change-password" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand change-password" -l keep-tokens -d 'Leaves your tokens as they are: you know who made each of them (tokens list)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand change-password" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand change-password" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand change-password" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and not __fish_seen_subcommand_from add help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and not __fish_seen_subcommand_from add help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and not __fish_seen_subcommand_from add help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and not __fish_seen_subcommand_from add help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and not __fish_seen_subcommand_from add help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and not __fish_seen_subcommand_from add help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and not __fish_seen_subcommand_from add help" -f -a "add" -d 'Makes a signing key that the coordinator keeps sealed under your password; the registrar puts it on the roster'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and not __fish_seen_subcommand_from add help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from add" -l password-file -d 'File with your password in its first line; `-` reads standard input. Asked for on a terminal if it is not given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from add" -l code -d 'The six digits that the authenticator shows now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from add" -l factor-file -d 'File with the secret of the second factor, to make the code here: whoever holds that file holds the factor. For trials and for machines that are locked up like an authenticator. At the first sign-in (login) the factor is set up in it if it does not exist' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from add" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from add" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from add" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from add" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from add" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from help" -f -a "add" -d 'Makes a signing key that the coordinator keeps sealed under your password; the registrar puts it on the roster'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand signing-key; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -f -a "add" -d 'Makes a token for a machine. The second factor must have been shown within the last minutes (second-factor show)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -f -a "list" -d 'Lists your tokens'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -f -a "revoke" -d 'Revokes a token, at once'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and not __fish_seen_subcommand_from add list revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -l permission -d 'One of your own permissions that are not for people alone (users permissions), for example `submitFirmware`, `manageFleet`, `read`, `readAll`, `readAudit`; once for each' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -l until -d 'Until when: RFC 3339, a date, or a duration from now such as `90d`; a year at most' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -l out -d 'Where to write it, readable by you alone; printed otherwise' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -l all -d 'Those of everybody'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from revoke" -l user -d 'Whose it is, where it is not yours' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from revoke" -l reason -d 'Why, where it is not yours' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from revoke" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from revoke" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from revoke" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from revoke" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from revoke" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from help" -f -a "add" -d 'Makes a token for a machine. The second factor must have been shown within the last minutes (second-factor show)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists your tokens'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revokes a token, at once'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand tokens; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l coordinator -d 'The coordinator\'s public key (online.pub of its data directory); for the first call' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l log-vkey -d 'The audit log\'s verifier key (log.vkey of the coordinator\'s data directory); for the first call' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l root-keys -d 'Owners of a root key' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l root-threshold -d 'How many of them must sign a change of trust' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l approver -d 'An approver, as `user-id|Printed Name|Role`; once for each, with the roles Clinical, QA and Regulatory. For the first call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l operator -d 'An operator, as `user-id|Printed Name`; once for each. Gets an account and signs nothing. For the first call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l keys -d 'Folder with the owners\' public keys, `OWNER.pub` each; those that are there are copied into the ceremony\'s folder' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l evidence -d 'What you, an administrator, saw of each approver yourself, for example `passport, in person`: records with it that you verified the identity of everybody whose account has no such record' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l trial -d 'Make every secret key here and now, in one folder. For trials: whoever has that folder is everybody at once'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and not __fish_seen_subcommand_from make show help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and not __fish_seen_subcommand_from make show help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and not __fish_seen_subcommand_from make show help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and not __fish_seen_subcommand_from make show help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and not __fish_seen_subcommand_from make show help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and not __fish_seen_subcommand_from make show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and not __fish_seen_subcommand_from make show help" -f -a "make" -d 'Makes Ed25519 keys: FILE with the secret, FILE.pub with the public key'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and not __fish_seen_subcommand_from make show help" -f -a "show" -d 'Shows a public key and its id, to compare with the ids that `trust inspect` shows'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and not __fish_seen_subcommand_from make show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from make" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from make" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from make" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from make" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from make" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from make" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "make" -d 'Makes Ed25519 keys: FILE with the secret, FILE.pub with the public key'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows a public key and its id, to compare with the ids that `trust inspect` shows'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "make-root" -d 'Makes a trust root; the owners of the root keys sign it, here or with `sign`. The next version needs the old and the new keys: `rotate-root` makes it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "make-roster" -d 'Makes the roster of the people who may approve: the first one, or the next from the one before'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "rotate-root" -d 'Makes the next version of a trust root: what is not named stays. It needs the signatures of the old and of the new root keys; sign here with those that are at hand, and let the others add theirs with `sign`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "sign" -d 'Shows a document in a file, what is weaker in it, asks, and then adds your signature'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "join" -d 'Adds to a document in a file the signatures of its copies, which other owners signed elsewhere; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "inspect" -d 'Shows every field of a document in a file, what is weaker in it, and who has signed it; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "verify" -d 'Checks trust roots from the first to the last, and a roster under the last; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "publish" -d 'Publishes a signed trust root or roster at the coordinator'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "show" -d 'Shows what the coordinator holds'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and not __fish_seen_subcommand_from make-root make-roster rotate-root sign join inspect verify publish show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l out -d 'Where to write it' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l document-version -d 'Version; 1 for the first' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l days -d 'Days until it expires' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l root -d 'Public root keys' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l root-threshold -d 'Root signatures needed' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l release -d 'Public keys of the release role' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l release-threshold -d 'Release signatures needed' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l registrar -d 'Public keys of the registrar role, who signs rosters' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l registrar-threshold -d 'Registrar signatures needed' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l coordinator -d 'The coordinator\'s public online key (online.pub of its data directory)' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l log-vkey -d 'File with the audit log\'s verifier key (log.vkey of the coordinator\'s data directory)' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l witness -d 'Verifier key of a witness, or a file with it; agents then trust only checkpoints that witnesses have seen' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l witness-threshold -d 'How many of the witnesses must have seen a checkpoint; all of them unless given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l key -d 'Secret root keys to sign with; others add theirs with `sign`' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-root" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l out -d 'Where to write it' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l previous -d 'The roster before. Its entries stay; only what is named here changes' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l document-version -d 'Version of a first roster, which has none before: 1' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l person -d 'One person who may sign: `user-id|Printed Name|Role,Role|public key or file`; or a file with one a line' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l revoke -d 'Ends the authority of a person early: nothing that they sign from `--at` on counts, nor what is logged after `--log-size`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l at -d 'Time of the revocation, for example 2026-11-29T10:00:00Z, or 1h ago as `1h`; now if absent. An earlier one voids what was signed since' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l log-size -d 'Size of the audit log at the revocation; else the coordinator is asked, if you are signed in. Approvals that stand in the log from there on do not count, whatever their date' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l checkpoint -d 'File with a checkpoint of the log, to read the size from' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l reason -d 'Why somebody is revoked; `trust publish` takes the same reason for the record' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l replace-key -d 'Another key for a person: the entry with the old one ends now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l rename -d 'Another printed name for a person: the entry with the old one ends now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l add-role -d 'Another role for a person, from now on' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l remove-role -d 'Ends a role of a person now; what they signed in it stays' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l extend -d 'Lets a person sign for `--entry-days` more' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l drop -d 'Drops every entry of a person, as if they had never been there; approvals that stand on them no longer count. Needs `--force`; to end somebody\'s authority use `--revoke`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l days -d 'Days until the roster expires: agents start nothing new with an expired one' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l entry-days -d 'Days for which new entries count' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l withdrawals -d 'Withdrawals that agents must hold beside this roster: a version, or a file with the document. As before if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l key -d 'Secret registrar keys to sign with; without one the roster is written unsigned, for `trust sign`' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l renew -d 'Change nothing but the version and the expiry'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l force -d 'Make it although it drops or narrows entries of the past, after a typed confirmation'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from make-roster" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l previous -d 'The document before this one' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l out -d 'Where to write the next one' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l days -d 'Days until it expires' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l root -d 'Public root keys, all of them' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l root-threshold -d 'Root signatures needed' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l release -d 'Public keys of the release role, all of them' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l release-threshold -d 'Release signatures needed' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l registrar -d 'Public keys of the registrar role, all of them' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l registrar-threshold -d 'Registrar signatures needed' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l coordinator -d 'The coordinator\'s public online key' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l log-vkey -d 'File with the audit log\'s verifier key' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l witness -d 'Verifier keys of witnesses, or files with them, all of them' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l witness-threshold -d 'How many of the witnesses must have seen a checkpoint' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l key -d 'Secret root keys to sign with' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from rotate-root" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l key -d 'Your secret key; may be repeated' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l previous -d 'The document before this one, from a source that you trust; else the coordinator is asked for it, if you are signed in' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l document -d 'What the file is, where that is not clear' -r -f -a "trust-root\t''
roster\t''
withdrawals\t''
rollback-order\t''
manifest\t''
approval\t''
validation\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from join" -l document -d 'What the file is, where that is not clear' -r -f -a "trust-root\t''
roster\t''
withdrawals\t''
rollback-order\t''
manifest\t''
approval\t''
validation\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from join" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from join" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from join" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from join" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from join" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from join" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from inspect" -l previous -d 'The document before this one, from a source that you trust; else the coordinator is asked for it, if you are signed in' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from inspect" -l document -d 'What the file is, where that is not clear' -r -f -a "trust-root\t''
roster\t''
withdrawals\t''
rollback-order\t''
manifest\t''
approval\t''
validation\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from inspect" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from inspect" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from inspect" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from inspect" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from inspect" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from verify" -l pin -d 'Digest of the first root, as the ceremony\'s minutes have it' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from verify" -l roster -d 'A roster to check too' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from verify" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from verify" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from verify" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from verify" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from verify" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -l reason -d 'Why, for the record of a roster' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -l force -d 'Publish a roster that drops or narrows entries of the past, after a confirmation: approvals that stand on them no longer count'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from publish" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "make-root" -d 'Makes a trust root; the owners of the root keys sign it, here or with `sign`. The next version needs the old and the new keys: `rotate-root` makes it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "make-roster" -d 'Makes the roster of the people who may approve: the first one, or the next from the one before'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "rotate-root" -d 'Makes the next version of a trust root: what is not named stays. It needs the signatures of the old and of the new root keys; sign here with those that are at hand, and let the others add theirs with `sign`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "sign" -d 'Shows a document in a file, what is weaker in it, asks, and then adds your signature'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "join" -d 'Adds to a document in a file the signatures of its copies, which other owners signed elsewhere; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Shows every field of a document in a file, what is weaker in it, and who has signed it; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Checks trust roots from the first to the last, and a roster under the last; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "publish" -d 'Publishes a signed trust root or roster at the coordinator'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows what the coordinator holds'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand trust; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "add" -d 'Creates a user'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "list" -d 'Lists users'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "permissions" -d 'Lists roles and what each may do'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "change-roles" -d 'Gives somebody other roles: adds and removes those that are named, or sets all of them'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "verify" -d 'Records that you verified somebody\'s identity; without it they sign nothing'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "train" -d 'Confirms that somebody is trained for the task'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "link" -d 'Links an account with the OpenID provider\'s, for single sign-on'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "unlink" -d 'Takes an account\'s link with the OpenID provider away'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "show" -d 'Shows one user'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "disable" -d 'Disables an account: its sessions and tokens end at once'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "enable" -d 'Enables an account that was disabled'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "sign-out" -d 'Ends every session and every token of somebody'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "remove-second-factor" -d 'Takes away a second factor that was lost, and with it the signing key, sessions and tokens'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "reset-password" -d 'Gives somebody another password; their sessions and tokens end, and their signing key is retired'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and not __fish_seen_subcommand_from add list permissions change-roles verify train link unlink show disable enable sign-out remove-second-factor reset-password help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -l name -d 'Printed name, as under signatures' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -l role -d 'Roles: Admin, Operator, Auditor, Clinical, QA, Regulatory, HospitalStaff' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -l hospital -d 'The hospital of a user with the role HospitalStaff' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -l password-file -d 'File with the first password in its first line; asked for on a terminal if it is not given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from permissions" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from permissions" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from permissions" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from permissions" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from permissions" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from permissions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -l role -d 'All roles, in place of those that the user has now; once for each' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -l add -d 'A role to add; once for each' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -l remove -d 'A role to remove; once for each' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -l hospital -d 'The hospital of a user with the role HospitalStaff' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from change-roles" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from verify" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from verify" -l evidence -d 'What you saw, for example `passport, in person`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from verify" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from verify" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from verify" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from verify" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from verify" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from train" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from train" -l until -d 'Until when, for example 2027-12-31 or 365d; from then on they sign nothing' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from train" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from train" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from train" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from train" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from train" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from train" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from link" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from link" -l subject -d 'The identifier of the person (`sub`) at the provider that is configured now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from link" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from link" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from link" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from link" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from link" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from link" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from unlink" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from unlink" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from unlink" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from unlink" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from unlink" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from unlink" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from unlink" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from disable" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from disable" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from disable" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from disable" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from disable" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from disable" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from enable" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from enable" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from enable" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from enable" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from enable" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from enable" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from sign-out" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from sign-out" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from sign-out" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from sign-out" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from sign-out" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from sign-out" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from sign-out" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from remove-second-factor" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from remove-second-factor" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from remove-second-factor" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from remove-second-factor" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from remove-second-factor" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from remove-second-factor" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from remove-second-factor" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from remove-second-factor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from reset-password" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from reset-password" -l password-file -d 'File with the new password in its first line; asked for on a terminal if it is not given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from reset-password" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from reset-password" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from reset-password" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from reset-password" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from reset-password" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from reset-password" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from reset-password" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "add" -d 'Creates a user'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists users'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "permissions" -d 'Lists roles and what each may do'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "change-roles" -d 'Gives somebody other roles: adds and removes those that are named, or sets all of them'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Records that you verified somebody\'s identity; without it they sign nothing'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "train" -d 'Confirms that somebody is trained for the task'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "link" -d 'Links an account with the OpenID provider\'s, for single sign-on'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "unlink" -d 'Takes an account\'s link with the OpenID provider away'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one user'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Disables an account: its sessions and tokens end at once'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Enables an account that was disabled'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "sign-out" -d 'Ends every session and every token of somebody'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "remove-second-factor" -d 'Takes away a second factor that was lost, and with it the signing key, sessions and tokens'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "reset-password" -d 'Gives somebody another password; their sessions and tokens end, and their signing key is retired'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand users; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -f -a "add" -d 'Registers a hospital'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -f -a "change" -d 'Corrects what is known of a hospital, or moves it to another cohort'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -f -a "cohorts" -d 'Lists cohorts with their hospitals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -f -a "policy" -d 'When a hospital\'s devices may be changed, and whether its staff want to be asked'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -f -a "show" -d 'Shows one hospital'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -f -a "list" -d 'Lists hospitals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and not __fish_seen_subcommand_from add change cohorts policy show list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from add" -l name -d 'Name' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from add" -l cohort -d 'Cohort that rollout phases name, for example `pilot`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from add" -l timezone -d 'IANA time zone' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from add" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from add" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from add" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from add" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from add" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -l name -d 'Name' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -l cohort -d 'Cohort that rollout phases name; empty for none' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -l timezone -d 'IANA time zone; empty for none' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from change" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from cohorts" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from cohorts" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from cohorts" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from cohorts" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from cohorts" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from cohorts" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from cohorts" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from cohorts" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from cohorts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from policy" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from policy" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from policy" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from policy" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from policy" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from policy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from policy" -f -a "show" -d 'Shows a hospital\'s windows, and whether its staff want to be asked'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from policy" -f -a "change" -d 'Changes what is named, and nothing else'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from policy" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from help" -f -a "add" -d 'Registers a hospital'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from help" -f -a "change" -d 'Corrects what is known of a hospital, or moves it to another cohort'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from help" -f -a "cohorts" -d 'Lists cohorts with their hospitals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from help" -f -a "policy" -d 'When a hospital\'s devices may be changed, and whether its staff want to be asked'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one hospital'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists hospitals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand hospitals; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -f -a "set" -d 'Makes a group, or replaces all of what it was, which is asked about; `change` changes only what is named'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -f -a "change" -d 'Changes what is named of a group, and nothing else'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -f -a "list" -d 'Lists groups'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -f -a "show" -d 'Shows one group'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -f -a "devices" -d 'Lists the devices that are in a group now'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -f -a "remove" -d 'Removes a group'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and not __fish_seen_subcommand_from set change list show devices remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l name -d 'Name' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l device -d 'A device; several may be given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l devices-file -d 'File with a device id in each line' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l query -d 'Every device of which this holds, for example `hospitalCohort=pilot,currentFirmwareVersion=2.*`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -l name -d 'Name' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -l query -d 'The condition of a group by query' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -l add-device -d 'A device to add to a group that is a list; once for each' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -l remove-device -d 'A device to remove from it; once for each' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from change" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from devices" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from devices" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from devices" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from devices" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from devices" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from devices" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from devices" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from devices" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from devices" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from remove" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from remove" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from remove" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from remove" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from remove" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from remove" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from help" -f -a "set" -d 'Makes a group, or replaces all of what it was, which is asked about; `change` changes only what is named'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from help" -f -a "change" -d 'Changes what is named of a group, and nothing else'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists groups'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one group'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from help" -f -a "devices" -d 'Lists the devices that are in a group now'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Removes a group'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand groups; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -f -a "add" -d 'Registers a gateway'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -f -a "add-token" -d 'Makes a one-time enrolment token. For a gateway that is enrolled, which whoever uses the token replaces, the second factor must have been shown within the last minutes, and administrators and operators are notified'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -f -a "revoke" -d 'Revokes a gateway permanently'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -f -a "list" -d 'Lists gateways'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -f -a "show" -d 'Shows one gateway'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -f -a "fleet-link" -d 'Shows how the link to the fleet does: connections, who is there, who follows what, what came in'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and not __fish_seen_subcommand_from add add-token revoke list show fleet-link help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add" -l hospital -d 'Its hospital' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add" -l token-out -d 'Where to write a one-time enrolment token for it (gateways add-token)' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add-token" -l out -d 'The file to make, readable by you alone; printed if absent' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add-token" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add-token" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add-token" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add-token" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add-token" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add-token" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from add-token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from revoke" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from revoke" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from revoke" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from revoke" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from revoke" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from revoke" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from revoke" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from fleet-link" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from fleet-link" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from fleet-link" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from fleet-link" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from fleet-link" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from fleet-link" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from help" -f -a "add" -d 'Registers a gateway'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from help" -f -a "add-token" -d 'Makes a one-time enrolment token. For a gateway that is enrolled, which whoever uses the token replaces, the second factor must have been shown within the last minutes, and administrators and operators are notified'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revokes a gateway permanently'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists gateways'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one gateway'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from help" -f -a "fleet-link" -d 'Shows how the link to the fleet does: connections, who is there, who follows what, what came in'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand gateways; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and not __fish_seen_subcommand_from export deliver help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and not __fish_seen_subcommand_from export deliver help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and not __fish_seen_subcommand_from export deliver help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and not __fish_seen_subcommand_from export deliver help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and not __fish_seen_subcommand_from export deliver help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and not __fish_seen_subcommand_from export deliver help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and not __fish_seen_subcommand_from export deliver help" -f -a "export" -d 'Writes a file for a gateway: trust documents, directive, releases, images. `mdfm-agent import` takes it up'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and not __fish_seen_subcommand_from export deliver help" -f -a "deliver" -d 'Brings a gateway\'s telemetry (`mdfm-agent export`) to the audit log'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and not __fish_seen_subcommand_from export deliver help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from export" -l out -d 'The file to make' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from export" -l log-size -d 'Size of the audit log that the gateway knows (`mdfm-agent status`: checkpointSize); what it said last by default' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from export" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from export" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from export" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from export" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from export" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from export" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from deliver" -l ack -d 'Where to write the coordinator\'s word that all of it is safe; `mdfm-agent import` takes it up, and the gateway frees its room' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from deliver" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from deliver" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from deliver" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from deliver" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from deliver" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from deliver" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from deliver" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from help" -f -a "export" -d 'Writes a file for a gateway: trust documents, directive, releases, images. `mdfm-agent import` takes it up'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from help" -f -a "deliver" -d 'Brings a gateway\'s telemetry (`mdfm-agent export`) to the audit log'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand bundles; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and not __fish_seen_subcommand_from rules help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and not __fish_seen_subcommand_from rules help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and not __fish_seen_subcommand_from rules help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and not __fish_seen_subcommand_from rules help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and not __fish_seen_subcommand_from rules help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and not __fish_seen_subcommand_from rules help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and not __fish_seen_subcommand_from rules help" -f -a "rules" -d 'Prints access rules for Mosquitto (an `acl_file`); works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and not __fish_seen_subcommand_from rules help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -l authenticates -d 'Who makes sure that a client is the gateway that it says' -r -f -a "coordinator\t'The coordinator\'s front door, which speaks to the broker for all gateways under one user'
certificates\t'The broker itself, by certificates whose common name is the gateway. Revocation is then the broker\'s work too'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -l gateway-user -d 'User under which the coordinator presents gateways, as in its `[broker]` section' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -l coordinator-user -d 'User of the coordinator itself' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -l out -d 'File to write; printed otherwise' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from rules" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from help" -f -a "rules" -d 'Prints access rules for Mosquitto (an `acl_file`); works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand broker; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -f -a "add" -d 'Registers a device'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -f -a "list" -d 'Lists devices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -f -a "show" -d 'Shows one device'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -f -a "import" -d 'Registers the devices of a CSV file, whose first line names the fields: deviceId,modelNumber,serialNumber,hospitalId, currentFirmwareVersion, and optionally udi,gatewayId'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -f -a "change" -d 'Corrects what is known of a device, or moves it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -f -a "reconcile" -d 'Ends the differences between what is registered of a device and what gateways observe, by saying which side is right'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -f -a "history" -d 'Shows what happened to a device, newest first'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -f -a "retire" -d 'Takes a device out of service permanently; from then on the retention of its records runs'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and not __fish_seen_subcommand_from add list show import change reconcile history retire help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l model -d 'Model number' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l serial -d 'Serial number' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l hospital -d 'Its hospital' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l firmware-version -d 'Version that it runs now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l gateway -d 'Its gateway, where the hospital has several' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l udi -d 'Unique device identifier, as on the label' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l hardware -d 'Hardware revision; without it, the observed one is not compared' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -l all -d 'Retired devices too'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -l differing -d 'Only those whose observed side differs from what is registered'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from import" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from import" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from import" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from import" -l dry-run -d 'Only check; register nothing'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from import" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from import" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -l serial -d 'Serial number' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -l udi -d 'Unique device identifier, as on the label' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -l hospital -d 'The hospital to which it moves' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -l gateway -d 'The gateway behind which it is now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from change" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from reconcile" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from reconcile" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from reconcile" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from reconcile" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from reconcile" -l accept-observed -d 'The registered side takes what is observed: serial number, model, hardware, gateway, firmware'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from reconcile" -l expect-registered -d 'The registered side stays; the device is to be corrected'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from reconcile" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from reconcile" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from reconcile" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from history" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from history" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from history" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from history" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from history" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from retire" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from retire" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from retire" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from retire" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from retire" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from retire" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from retire" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from retire" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from help" -f -a "add" -d 'Registers a device'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists devices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one device'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from help" -f -a "import" -d 'Registers the devices of a CSV file, whose first line names the fields: deviceId,modelNumber,serialNumber,hospitalId, currentFirmwareVersion, and optionally udi,gatewayId'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from help" -f -a "change" -d 'Corrects what is known of a device, or moves it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from help" -f -a "reconcile" -d 'Ends the differences between what is registered of a device and what gateways observe, by saying which side is right'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from help" -f -a "history" -d 'Shows what happened to a device, newest first'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from help" -f -a "retire" -d 'Takes a device out of service permanently; from then on the retention of its records runs'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand devices; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "upload" -d 'Uploads an image and its manifest, signed here with the release key'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "make-delta" -d 'Makes a patch from an image that gateways hold to a new one; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "list" -d 'Lists releases'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "withdraw" -d 'Takes a release back: no new deployment may use it. With a key, also for the fleet: gateways activate it no more'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "history" -d 'Shows what happened to a release, newest first: who submitted, approved, rejected and deployed it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "attach-sbom" -d 'Attaches the bill of materials that the manifest names, where the upload did not'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "sbom" -d 'Shows the parts of a release\'s bill of materials, or writes it to a file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "show" -d 'Shows one release: everything that its manifest says, its approvals, and what it changes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "differences" -d 'Shows what a release changes against another one, or against the one that most devices run now'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and not __fish_seen_subcommand_from upload make-delta list withdraw history attach-sbom sbom show differences help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l component-image -d 'An image of a device with several components, as NAME=FILE; once for each, in the order of installation' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l id -d 'Firmware id; a random one if absent. With the id of an upload that ended early, it goes on where that one ended' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l model -d 'Device model' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l hardware -d 'Hardware revisions that it fits' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l version -d 'Version label' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l release-number -d 'Release number: orders the releases of a model' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l security-version -d 'Security version; devices refuse releases below their floor' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l minimum-release -d 'Lowest release number from which a device may move to this one' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l delta -d 'A patch made by `firmware make-delta`: gateways that hold its base need not download the image; once for each base' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l sbom -d 'Software bill of materials: CycloneDX 1.2 to 1.7 or SPDX 2.2, 2.3 or 3.0, in JSON, up to 64 MiB; the manifest names its digest' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l notes -d 'Release notes' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l probation-seconds -d 'Time on trial before a device confirms, in seconds' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l error-budget -d 'Errors tolerated on trial' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l silence-seconds -d 'Longest silence on trial, in seconds' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l recall-window-days -d 'Days after its confirmation in which a device may be recalled without a rollback order; 14 unless given, at most 90' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l reboots-per-day -d 'Reboots that nobody ordered, in 24 hours, that a healthy device may have; 3 unless given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l release-key -d 'Secret keys of the release role' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l emergency -d 'An emergency release: Clinical and Regulatory approval within four hours'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l replaces-recalled -d 'Replaces recalled firmware: approved like any release, deployed at once if need be'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from upload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from make-delta" -l base -d 'The image that gateways hold, uncompressed; of a device with several components all of them, in the order of installation' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from make-delta" -l image -d 'The new image, likewise' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from make-delta" -l out -d 'The file to make' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from make-delta" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from make-delta" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from make-delta" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from make-delta" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from make-delta" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from make-delta" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l days -d 'Days until the signed withdrawals expire' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l key -d 'Secret key to sign with; once for each key that must sign' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l password-file -d 'File with your password in its first line, to sign with the key that the coordinator keeps for you; `-` reads standard input' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l code -d 'The six digits that the authenticator shows now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l factor-file -d 'File with the secret of the second factor, to make the code here: whoever holds that file holds the factor. For trials and for machines that are locked up like an authenticator. At the first sign-in (login) the factor is set up in it if it does not exist' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from withdraw" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from history" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from history" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from history" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from history" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from history" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from attach-sbom" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from attach-sbom" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from attach-sbom" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from attach-sbom" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from attach-sbom" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from attach-sbom" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from sbom" -l file -d 'The same as `attach-sbom`; for scripts of earlier versions' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from sbom" -l out -d 'The file to make, with the bill of materials as it was signed' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from sbom" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from sbom" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from sbom" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from sbom" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from sbom" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from sbom" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from sbom" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from differences" -l other -d 'The other release' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from differences" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from differences" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from differences" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from differences" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from differences" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from differences" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "upload" -d 'Uploads an image and its manifest, signed here with the release key'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "make-delta" -d 'Makes a patch from an image that gateways hold to a new one; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists releases'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "withdraw" -d 'Takes a release back: no new deployment may use it. With a key, also for the fleet: gateways activate it no more'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "history" -d 'Shows what happened to a release, newest first: who submitted, approved, rejected and deployed it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "attach-sbom" -d 'Attaches the bill of materials that the manifest names, where the upload did not'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "sbom" -d 'Shows the parts of a release\'s bill of materials, or writes it to a file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one release: everything that its manifest says, its approvals, and what it changes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "differences" -d 'Shows what a release changes against another one, or against the one that most devices run now'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand firmware; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l image -d 'The image that you tested, or one part of it as NAME=FILE, once for each: nothing is signed if the release has another' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l role -d 'The role in which you sign: Clinical, QA or Regulatory' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l key -d 'Your secret key file; without it the key that the coordinator keeps for you signs, with your password and second factor' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l password-file -d 'File with your password in its first line; `-` reads standard input. Asked for on a terminal if neither it nor a key is given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l code -d 'The six digits that the authenticator shows now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l factor-file -d 'File with the secret of the second factor, to make the code here: whoever holds that file holds the factor. For trials and for machines that are locked up like an authenticator. At the first sign-in (login) the factor is set up in it if it does not exist' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l reason -d 'Why, in your words' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reject" -l role -d 'The role in which you reject' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reject" -l reason -d 'Why, in your words' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reject" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reject" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reject" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reject" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reject" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reject" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reject" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -l firmware -d 'Firmware id; optional if the plan names it as `firmwareId`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -l plan-digest -d 'Start only if the plan is still the one with this digest, which a dry run shows; then nothing is asked' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -l dry-run -d 'Show every device, window and gate of the plan, and its digest; start nothing'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deploy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -f -a "list" -d 'Lists deployments'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -f -a "show" -d 'Shows one deployment with its devices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -f -a "history" -d 'Shows what happened to a deployment, newest first'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and not __fish_seen_subcommand_from list show history help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -l active -d 'Only those that have not ended'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from history" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from history" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from history" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from history" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from history" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists deployments'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one deployment with its devices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from help" -f -a "history" -d 'Shows what happened to a deployment, newest first'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand deployments; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand watch" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand watch" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand watch" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand watch" -l follow -d 'Go on until the deployment ends, printing what changes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand watch" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand watch" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l role -d 'The role in which you sign: Clinical, QA or Regulatory' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l key -d 'Your secret key file; without it the key that the coordinator keeps for you signs, with your password and second factor' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l password-file -d 'File with your password in its first line; `-` reads standard input. Asked for on a terminal if neither it nor a key is given' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l code -d 'The six digits that the authenticator shows now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l factor-file -d 'File with the secret of the second factor, to make the code here: whoever holds that file holds the factor. For trials and for machines that are locked up like an authenticator. At the first sign-in (login) the factor is set up in it if it does not exist' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l reason -d 'Why, in your words' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand validate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand pause" -l reason -d 'Why, in your words' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand pause" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand pause" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand pause" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand pause" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand pause" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand resume" -l reason -d 'Why, in your words' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand resume" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand resume" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand resume" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand resume" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand resume" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand abort" -l reason -d 'Why, in your words' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand abort" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand abort" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand abort" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand abort" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand abort" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand abort" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand abort" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l reason -d 'Why, in your words' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l device -d 'Only this device' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l hospital -d 'Only the devices of this hospital' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l phase -d 'Only the devices of this phase, 1 for the first' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l because -d 'What it says about the firmware, needed with `--device`, `--hospital` or `--phase`: `firmware`, and the devices count as failed, which may roll back everything; `operational`, and they leave the count' -r -f -a "firmware\t''
operational\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l operational -d 'The same as `--because operational`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l dry-run -d 'Show what the order counts as and what it leads to; do nothing'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand consent" -l hospital -d 'Hospital id' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand consent" -l reason -d 'Who agreed and how, in your words' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand consent" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand consent" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand consent" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand consent" -l withdraw -d 'Take the consent back'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand consent" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand consent" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand consent" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and not __fish_seen_subcommand_from fulfil help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and not __fish_seen_subcommand_from fulfil help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and not __fish_seen_subcommand_from fulfil help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and not __fish_seen_subcommand_from fulfil help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and not __fish_seen_subcommand_from fulfil help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and not __fish_seen_subcommand_from fulfil help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and not __fish_seen_subcommand_from fulfil help" -f -a "fulfil" -d 'Records that something owed to an authority has been done; `deployments show` lists what is owed'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and not __fish_seen_subcommand_from fulfil help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and __fish_seen_subcommand_from fulfil" -l reference -d 'Where it can be found, for example the number of the report' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and __fish_seen_subcommand_from fulfil" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and __fish_seen_subcommand_from fulfil" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and __fish_seen_subcommand_from fulfil" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and __fish_seen_subcommand_from fulfil" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and __fish_seen_subcommand_from fulfil" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and __fish_seen_subcommand_from fulfil" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and __fish_seen_subcommand_from help" -f -a "fulfil" -d 'Records that something owed to an authority has been done; `deployments show` lists what is owed'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duties; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duty" -l reference -d 'Where it can be found, for example the number of the report' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duty" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duty" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duty" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duty" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duty" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand duty" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -f -a "open" -d 'Reports what went wrong with a device'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -f -a "list" -d 'Lists incidents'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -f -a "show" -d 'Shows one incident'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -f -a "note" -d 'Adds a note'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -f -a "decide" -d 'Decides whether it must be reported to the FDA'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -f -a "report" -d 'Notes that the report was made'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -f -a "close" -d 'Closes it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and not __fish_seen_subcommand_from open list show note decide report close help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -l title -d 'One line' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -l description -d 'What happened' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -l consequence -d 'What became of it' -r -f -a "noHarm\t''
malfunction\t''
seriousInjury\t''
death\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -l device -d 'Devices concerned' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -l deployment -d 'The deployment in which it happened' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from open" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from note" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from note" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from note" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from note" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from note" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from note" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -l reportable -d 'It must'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -l not-reportable -d 'It need not'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -l urgent -d 'Within five working days, because action is needed at once'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from decide" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from report" -l reference -d 'Number of the report' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from report" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from report" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from report" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from report" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from report" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from close" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from close" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from close" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from close" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from close" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from close" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from close" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from help" -f -a "open" -d 'Reports what went wrong with a device'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists incidents'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one incident'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from help" -f -a "note" -d 'Adds a note'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from help" -f -a "decide" -d 'Decides whether it must be reported to the FDA'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from help" -f -a "report" -d 'Notes that the report was made'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from help" -f -a "close" -d 'Closes it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand incidents; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -f -a "list" -d 'Lists your notices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -f -a "read" -d 'Marks notices of yours as read'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -f -a "set-address" -d 'Sets where you get mail'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -f -a "dead-letters" -d 'Lists what could not be delivered to anybody'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -f -a "retry" -d 'Tries once more to deliver one of them'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and not __fish_seen_subcommand_from list read set-address dead-letters retry help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from read" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from read" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from read" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from read" -l all -d 'All of them'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from read" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from read" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from read" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from set-address" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from set-address" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from set-address" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from set-address" -l none -d 'You get no mail any more'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from set-address" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from set-address" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from set-address" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from dead-letters" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from dead-letters" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from dead-letters" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from dead-letters" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from dead-letters" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from dead-letters" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from dead-letters" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from dead-letters" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from dead-letters" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from retry" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from retry" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from retry" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from retry" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from retry" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists your notices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from help" -f -a "read" -d 'Marks notices of yours as read'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from help" -f -a "set-address" -d 'Sets where you get mail'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from help" -f -a "dead-letters" -d 'Lists what could not be delivered to anybody'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from help" -f -a "retry" -d 'Tries once more to deliver one of them'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand notices; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -f -a "set" -d 'Makes a webhook, or changes what is named of one, and prints the new secret by which its receiver checks signatures'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -f -a "list" -d 'Lists webhooks'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -f -a "show" -d 'Shows one webhook'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -f -a "remove" -d 'Removes a webhook'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and not __fish_seen_subcommand_from set list show remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l url -d 'Where to call; must begin with https://. Needed for a new webhook' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l kind -d 'Kinds of notices, for example deploymentPaused; once for each' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l hospital -d 'Only what concerns these hospitals; once for each' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l all-kinds -d 'Notices of every kind, as of a new webhook without --kind'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l all-hospitals -d 'What concerns any hospital, as of a new webhook without --hospital'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from remove" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from remove" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from remove" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from remove" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from remove" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from remove" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from help" -f -a "set" -d 'Makes a webhook, or changes what is named of one, and prints the new secret by which its receiver checks signatures'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists webhooks'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one webhook'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Removes a webhook'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand webhooks; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and not __fish_seen_subcommand_from show set help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and not __fish_seen_subcommand_from show set help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and not __fish_seen_subcommand_from show set help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and not __fish_seen_subcommand_from show set help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and not __fish_seen_subcommand_from show set help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and not __fish_seen_subcommand_from show set help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and not __fish_seen_subcommand_from show set help" -f -a "show" -d 'Prints the settings as JSON'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and not __fish_seen_subcommand_from show set help" -f -a "set" -d 'Replaces the settings by those of a file, unless somebody else changed them since it was made with `show`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and not __fish_seen_subcommand_from show set help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from set" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from set" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from set" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from set" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from set" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from set" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from help" -f -a "show" -d 'Prints the settings as JSON'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from help" -f -a "set" -d 'Replaces the settings by those of a file, unless somebody else changed them since it was made with `show`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand settings; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -f -a "open" -d 'Opens a recall: the firmware is withdrawn, its deployments end or go back'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -f -a "list" -d 'Lists recalls'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -f -a "show" -d 'Shows a recall and every device that it still waits for'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -f -a "close" -d 'Closes a recall that waits for no device any more'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and not __fish_seen_subcommand_from open list show close help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l model -d 'Device model' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l release-from -d 'Lowest release number concerned' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l release-to -d 'Highest release number concerned' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l firmware-version -d 'Version labels concerned, also of firmware that was never released from here' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l udi-prefix -d 'Devices whose UDI begins so' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l component -d 'A part that the software bill of materials names' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l component-version -d 'The part\'s version, if only that one is concerned' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l component-group -d 'The part\'s group: scope, namespace or vendor' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l component-purl -d 'Package URL of the part, such as pkg:npm/%40angular/core' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l component-cpe -d 'CPE name of the part, such as cpe:2.3:a:openssl:openssl:*:*:*:*:*:*:*:*' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l component-versions -d 'Versions of the part between others, such as ">=3.0.0,<3.0.7"' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l version-range -d 'Versions of the firmware between others, such as ">=2.0.0,<2.2.1"' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l remedy -d 'What becomes of the devices: quarantine, rollBack or replace' -r -f -a "quarantine\t''
rollBack\t''
replace\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l reason -d 'Why, in your words' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l all-releases -d 'Every release of the model; needed if nothing else narrows the recall'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l dry-run -d 'Show which releases, devices, hospitals and deployments it concerns; do nothing'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from open" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from close" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from close" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from close" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from close" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from close" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from close" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from help" -f -a "open" -d 'Opens a recall: the firmware is withdrawn, its deployments end or go back'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists recalls'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows a recall and every device that it still waits for'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from help" -f -a "close" -d 'Closes a recall that waits for no device any more'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand recalls; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -f -a "preview" -d 'Shows which devices an order would reach and what each of them needs; nothing is made'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -f -a "make" -d 'Writes an order to a file, for its signers'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -f -a "sign" -d 'Shows the order in a file, asks, and then adds your signature; works offline with a key file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -f -a "publish" -d 'Publishes the order in a file, which everybody named in it has signed'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -f -a "list" -d 'Lists orders'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -f -a "show" -d 'Shows an order and the devices that it concerns'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and not __fish_seen_subcommand_from preview make sign publish list show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l recall -d 'The recall whose devices need an order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l firmware -d 'A release to leave; once for each. With none, whatever the devices run' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l device -d 'A device that goes back; once for each. With none, every device that runs one of the releases' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l label -d 'A name for people; the recall\'s id unless given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l days -d 'Days until the order expires; at most 90' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l signer -d 'A person who signs, as USER:ROLE; once for each. One must sign as Clinical or Regulatory' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l below-floor -d 'The devices may go back below their security floor; needs two signers of different roles'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from preview" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l recall -d 'The recall whose devices need an order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l firmware -d 'A release to leave; once for each. With none, whatever the devices run' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l device -d 'A device that goes back; once for each. With none, every device that runs one of the releases' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l label -d 'A name for people; the recall\'s id unless given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l days -d 'Days until the order expires; at most 90' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l signer -d 'A person who signs, as USER:ROLE; once for each. One must sign as Clinical or Regulatory' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l out -d 'Where to write it' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l below-floor -d 'The devices may go back below their security floor; needs two signers of different roles'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from make" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l key -d 'Secret key to sign with; once for each key that must sign' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l password-file -d 'File with your password in its first line, to sign with the key that the coordinator keeps for you; `-` reads standard input' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l code -d 'The six digits that the authenticator shows now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l factor-file -d 'File with the secret of the second factor, to make the code here: whoever holds that file holds the factor. For trials and for machines that are locked up like an authenticator. At the first sign-in (login) the factor is set up in it if it does not exist' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from publish" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from publish" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from publish" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from publish" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from publish" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from publish" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from list" -l filter -d 'Conditions separated by commas, all of which must hold, for example `hospitalId=HOSP-1,version>=2.1`; fields are those of `--json`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from list" -l sort -d 'Field to sort by; with `-` before it in descending order' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from list" -l limit -d 'Largest number of rows; every row if absent' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from list" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from list" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from list" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from list" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from list" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from help" -f -a "preview" -d 'Shows which devices an order would reach and what each of them needs; nothing is made'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from help" -f -a "make" -d 'Writes an order to a file, for its signers'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from help" -f -a "sign" -d 'Shows the order in a file, asks, and then adds your signature; works offline with a key file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from help" -f -a "publish" -d 'Publishes the order in a file, which everybody named in it has signed'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists orders'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows an order and the devices that it concerns'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand rollback-orders; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -f -a "show" -d 'Shows which releases are withdrawn for the fleet, and until when that is valid'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -f -a "renew" -d 'Signs what is held again, with a new expiry'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -f -a "make" -d 'Writes the next document to a file, for keys that are elsewhere'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -f -a "sign" -d 'Shows the document in a file, asks, and then adds your signature; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -f -a "publish" -d 'Publishes the signed document in a file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and not __fish_seen_subcommand_from show renew make sign publish help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l days -d 'Days until the document expires' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l key -d 'Secret key to sign with; once for each key that must sign' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l password-file -d 'File with your password in its first line, to sign with the key that the coordinator keeps for you; `-` reads standard input' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l code -d 'The six digits that the authenticator shows now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l factor-file -d 'File with the secret of the second factor, to make the code here: whoever holds that file holds the factor. For trials and for machines that are locked up like an authenticator. At the first sign-in (login) the factor is set up in it if it does not exist' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -l firmware -d 'A release to withdraw; once for each. With none the document only renews what is held' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -l days -d 'Days until the document expires' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -l out -d 'Where to write it' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from make" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l key -d 'Your secret key; may be repeated' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l previous -d 'The document before this one, from a source that you trust; else the coordinator is asked for it, if you are signed in' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l document -d 'What the file is, where that is not clear' -r -f -a "trust-root\t''
roster\t''
withdrawals\t''
rollback-order\t''
manifest\t''
approval\t''
validation\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l digest -l manifest-digest -d 'The digest of what is to be signed; anything else is refused. It is shown by `trust inspect` for a document in a file, by `firmware show` for a release; `firmware upload` takes the SHA-256 of its images' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l yes -d 'Sign without asking; for scripts, with `--digest`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l accept-weaker -d 'With `--yes`: sign although something in it is marked as weaker'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from publish" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from publish" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from publish" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from publish" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from publish" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from publish" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows which releases are withdrawn for the fleet, and until when that is valid'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from help" -f -a "renew" -d 'Signs what is held again, with a new expiry'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from help" -f -a "make" -d 'Writes the next document to a file, for keys that are elsewhere'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from help" -f -a "sign" -d 'Shows the document in a file, asks, and then adds your signature; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from help" -f -a "publish" -d 'Publishes the signed document in a file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand withdrawals; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and not __fish_seen_subcommand_from make verify help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and not __fish_seen_subcommand_from make verify help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and not __fish_seen_subcommand_from make verify help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and not __fish_seen_subcommand_from make verify help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and not __fish_seen_subcommand_from make verify help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and not __fish_seen_subcommand_from make verify help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and not __fish_seen_subcommand_from make verify help" -f -a "make" -d 'Makes a report and saves it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and not __fish_seen_subcommand_from make verify help" -f -a "verify" -d 'Verifies a JSON report offline: that the coordinator states these facts, from which records of the log'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and not __fish_seen_subcommand_from make verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l format -d 'The form; by the file\'s name unless given' -r -f -a "pdf\t'For people'
json\t'For programs, with the signed statement'
csv\t'The main table'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l out -d 'The file to make' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l action -d 'Only this action, for example `firmware.approve` or `firmware.*`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l object -d 'Only this object, for example `firmware/FW-1`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l actor -d 'Only this actor' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l role -d 'Only actors with this role' -r -f -a "Admin\t''
Operator\t''
Auditor\t''
Clinical\t''
QA\t''
Regulatory\t''
HospitalStaff\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l outcome -d 'Only `accepted` or `refused`' -r -f -a "accepted\t''
refused\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l hospital -d 'Only what concerns this hospital' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l gateway -d 'Only what concerns this gateway' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l device -d 'Only what concerns this device, inside telemetry too' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l firmware -d 'Only what concerns this firmware' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l deployment -d 'Only what concerns this deployment' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l event -d 'Only what gateways reported so, for example `deviceError`' -r -f -a "agentStarted\t''
deviceAdopted\t''
stateChanged\t''
deviceError\t''
refused\t''
localAction\t''
consent\t''
deviceObserved\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l text -d 'Words of the reason' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l since -d 'Not before this time: RFC 3339, a date, or a duration before now such as `1h` or `14d`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l until -d 'Before this time, likewise' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from make" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from verify" -l coordinator -d 'The coordinator\'s public key, or a file with it' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from verify" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from verify" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from verify" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from verify" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from verify" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from help" -f -a "make" -d 'Makes a report and saves it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Verifies a JSON report offline: that the coordinator states these facts, from which records of the log'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand reports; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -f -a "show" -d 'Shows terms, holds and disposals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -f -a "set" -d 'Lengthens the terms that are named; they never get shorter'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -f -a "hold" -d 'Places a legal hold: what it names is kept whatever its term'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -f -a "release" -d 'Releases a legal hold'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -f -a "propose" -d 'Finds what has expired and proposes its disposal'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -f -a "confirm" -d 'Confirms a disposal that somebody else proposed; the payloads go, their hashes stay'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and not __fish_seen_subcommand_from show set hold release propose confirm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -l audit-years -d 'Sign-ins, refusals and whatever belongs to nothing that is kept longer, in years' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -l device-years -d 'Years after a device was retired' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -l deployment-years -d 'Years after a deployment ended' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from hold" -l object -d '`device/ID`, `hospital/ID`, `gateway/ID`, `deployment/ID`, `user/ID`, or `*` for everything' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from hold" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from hold" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from hold" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from hold" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from hold" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from hold" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from hold" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from release" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from release" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from release" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from release" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from release" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from release" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from propose" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from propose" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from propose" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from propose" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from propose" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from propose" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from propose" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from confirm" -l reason -d 'Why' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from confirm" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from confirm" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from confirm" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from confirm" -l yes -d 'Do it without asking; for scripts'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from confirm" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from confirm" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from confirm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows terms, holds and disposals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from help" -f -a "set" -d 'Lengthens the terms that are named; they never get shorter'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from help" -f -a "hold" -d 'Places a legal hold: what it names is kept whatever its term'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from help" -f -a "release" -d 'Releases a legal hold'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from help" -f -a "propose" -d 'Finds what has expired and proposes its disposal'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from help" -f -a "confirm" -d 'Confirms a disposal that somebody else proposed; the payloads go, their hashes stay'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand retention; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "search" -d 'Searches the log, newest first; everything given must hold, and values may end in `*`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "show" -d 'Shows one record with everything in it; a batch of telemetry with its events'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "state" -d 'Shows an object as it was at a time, for example `audit state device/D-1 --at 2027-03-01T12:00:00Z`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "differences" -d 'Shows what changed about an object between two times'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "status" -d 'Shows how the store is: size, newest checkpoint, what the last scrub found'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "export" -d 'Copies the log and its newest checkpoint into a directory'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "proof" -d 'Saves the proof that one entry stands in the log (C2SP tlog-proof), and the entry'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "evidence" -d 'Saves records with proofs, checkpoint and keys as one file that anybody can verify offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "page" -d 'Saves the page that verifies evidence files in a browser'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "verify" -d 'Verifies offline: an exported log, the `log` directory of a backup, static tiles, an evidence file, or a proof file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and not __fish_seen_subcommand_from search show state differences status export proof evidence page verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l action -d 'Only this action, for example `firmware.approve` or `firmware.*`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l object -d 'Only this object, for example `firmware/FW-1`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l actor -d 'Only this actor' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l role -d 'Only actors with this role' -r -f -a "Admin\t''
Operator\t''
Auditor\t''
Clinical\t''
QA\t''
Regulatory\t''
HospitalStaff\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l outcome -d 'Only `accepted` or `refused`' -r -f -a "accepted\t''
refused\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l hospital -d 'Only what concerns this hospital' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l gateway -d 'Only what concerns this gateway' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l device -d 'Only what concerns this device, inside telemetry too' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l firmware -d 'Only what concerns this firmware' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l deployment -d 'Only what concerns this deployment' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l event -d 'Only what gateways reported so, for example `deviceError`' -r -f -a "agentStarted\t''
deviceAdopted\t''
stateChanged\t''
deviceError\t''
refused\t''
localAction\t''
consent\t''
deviceObserved\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l text -d 'Words of the reason' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l since -d 'Not before this time: RFC 3339, a date, or a duration before now such as `1h` or `14d`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l until -d 'Before this time, likewise' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l from -d 'Where to go on: the first entry not to look at, or with --oldest the first to' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l limit -d 'Largest number of records' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l copy -d 'Read this copy in place of the coordinator, offline: an exported log, the `log` directory of a backup, static tiles, or, except for the past of an object, an evidence file. It is verified first, by `--log-vkey`' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l log-vkey -d 'The log\'s verifier key, or a file with it. Evidence brings its own, whose history you must then compare' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l witness -d 'Verifier key of a witness that must have cosigned, or a file with it' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l witness-threshold -d 'How many of the witnesses must have; all of them unless given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l oldest -d 'The oldest first'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l newest -d 'The newest first, as without it; for scripts of earlier versions'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from search" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l copy -d 'Read this copy in place of the coordinator, offline: an exported log, the `log` directory of a backup, static tiles, or, except for the past of an object, an evidence file. It is verified first, by `--log-vkey`' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l log-vkey -d 'The log\'s verifier key, or a file with it. Evidence brings its own, whose history you must then compare' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l witness -d 'Verifier key of a witness that must have cosigned, or a file with it' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l witness-threshold -d 'How many of the witnesses must have; all of them unless given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -l at -d 'The time: RFC 3339, a date, or a duration before now such as `1h` or `14d`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -l copy -d 'Read this copy in place of the coordinator, offline: an exported log, the `log` directory of a backup, static tiles, or, except for the past of an object, an evidence file. It is verified first, by `--log-vkey`' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -l log-vkey -d 'The log\'s verifier key, or a file with it. Evidence brings its own, whose history you must then compare' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -l witness -d 'Verifier key of a witness that must have cosigned, or a file with it' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -l witness-threshold -d 'How many of the witnesses must have; all of them unless given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from state" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from differences" -l since -d 'The earlier time: RFC 3339, a date, or a duration before now' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from differences" -l until -d 'The later time, likewise' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from differences" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from differences" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from differences" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from differences" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from differences" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from differences" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from status" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from status" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from status" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from status" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from status" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l tiles -d 'As static tiles (C2SP tlog-tiles), which public tools read'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from proof" -l out -d 'File for the proof; the entry goes beside it, with `.json` added' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from proof" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from proof" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from proof" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from proof" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from proof" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from proof" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from proof" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l action -d 'Only this action, for example `firmware.approve` or `firmware.*`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l object -d 'Only this object, for example `firmware/FW-1`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l actor -d 'Only this actor' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l role -d 'Only actors with this role' -r -f -a "Admin\t''
Operator\t''
Auditor\t''
Clinical\t''
QA\t''
Regulatory\t''
HospitalStaff\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l outcome -d 'Only `accepted` or `refused`' -r -f -a "accepted\t''
refused\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l hospital -d 'Only what concerns this hospital' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l gateway -d 'Only what concerns this gateway' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l device -d 'Only what concerns this device, inside telemetry too' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l firmware -d 'Only what concerns this firmware' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l deployment -d 'Only what concerns this deployment' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l event -d 'Only what gateways reported so, for example `deviceError`' -r -f -a "agentStarted\t''
deviceAdopted\t''
stateChanged\t''
deviceError\t''
refused\t''
localAction\t''
consent\t''
deviceObserved\t''"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l text -d 'Words of the reason' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l since -d 'Not before this time: RFC 3339, a date, or a duration before now such as `1h` or `14d`' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l until -d 'Before this time, likewise' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l out -d 'The file to make' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l page -d 'Also a page with the evidence in it, for a browser without a network' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from evidence" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from page" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from page" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from page" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from page" -l overwrite -d 'Replace a file that exists'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from page" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from page" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from page" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l log-vkey -d 'The log\'s verifier key, or a file with it. Evidence brings its own, whose history you must then compare' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l witness -d 'Verifier key of a witness that must have cosigned, or a file with it' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l witness-threshold -d 'How many of the witnesses must have; all of them unless given' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "search" -d 'Searches the log, newest first; everything given must hold, and values may end in `*`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows one record with everything in it; a batch of telemetry with its events'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "state" -d 'Shows an object as it was at a time, for example `audit state device/D-1 --at 2027-03-01T12:00:00Z`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "differences" -d 'Shows what changed about an object between two times'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "status" -d 'Shows how the store is: size, newest checkpoint, what the last scrub found'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "export" -d 'Copies the log and its newest checkpoint into a directory'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "proof" -d 'Saves the proof that one entry stands in the log (C2SP tlog-proof), and the entry'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "evidence" -d 'Saves records with proofs, checkpoint and keys as one file that anybody can verify offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "page" -d 'Saves the page that verifies evidence files in a browser'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Verifies offline: an exported log, the `log` directory of a backup, static tiles, an evidence file, or a proof file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand completions" -s o -l output -d 'Form of what is printed' -r -f -a "table\t'Columns, cut to the width of the terminal'
wide\t'Every column, never cut'
json\t'JSON as the API has it; errors as problem details'
name\t'The first column of a list alone, for scripts'"
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand completions" -l session -d 'File that keeps the session' -r -F
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand completions" -l context -d 'Context whose session is used, where `--session` names no file; `contexts use` chooses one for every call' -r
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand completions" -l json -d 'Print JSON; the same as `--output json`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand completions" -l local -d 'Show times in the time zone of this machine (`TZ`), not in universal time; JSON stays as it is'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "login" -d 'Sign in and keep the session'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "logout" -d 'Sign out'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "whoami" -d 'Show who you are here, with which roles, and whether you can sign'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "contexts" -d 'Contexts: sessions by name, for several coordinators or people'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "second-factor" -d 'Your second factor'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "change-password" -d 'Change your password'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "signing-key" -d 'Your signing key, where the coordinator keeps it for you'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "tokens" -d 'Tokens for machines that act for you'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "init" -d 'Set up a first installation: a guided key ceremony. Call it again after each step'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "keys" -d 'Make keys; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "trust" -d 'Make, sign and publish trust roots and rosters; making and signing work offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "users" -d 'Users'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "hospitals" -d 'Hospitals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "groups" -d 'Groups of devices that deployments name'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "gateways" -d 'Gateways and their enrolment tokens'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "bundles" -d 'Removable media for gateways without a line'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "broker" -d 'Rules for an MQTT broker of your own'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "devices" -d 'Devices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "firmware" -d 'Firmware releases'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "approve" -d 'Sign an approval with your own key'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "reject" -d 'Reject a release; final'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "deploy" -d 'Start a deployment from a JSON file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "deployments" -d 'List and show deployments'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "watch" -d 'Show a deployment, live with `--follow`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "validate" -d 'Sign the validation of a phase whose gate has held'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "pause" -d 'Pause a deployment'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "resume" -d 'Resume a deployment'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "abort" -d 'End a deployment: what is in flight goes back, what is done stays'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "rollback" -d 'Roll back a device, a hospital, a phase or a deployment'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "consent" -d 'Say that a hospital\'s staff agree to a deployment'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "duties" -d 'What a deployment owes to an authority'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "duty" -d 'The same as `duties fulfil`; for scripts of earlier versions'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "incidents" -d 'Incidents: report, decide, close'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "notices" -d 'Your notices, and what could not be delivered'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "webhooks" -d 'Webhooks: other programs that get notices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "settings" -d 'Settings of the installation'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "recalls" -d 'Recalls: find the devices concerned, follow them to the last'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "rollback-orders" -d 'Rollback orders: let devices go back after their recall window, or below their security floor'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "withdrawals" -d 'Withdrawals: releases that gateways activate no more'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "reports" -d 'Reports for inspectors and authorities: make, verify offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "retention" -d 'Retention of records: terms, legal holds, disposal'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "audit" -d 'The audit log: search, the past, export, evidence, verify offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "completions" -d 'Print the completions of a shell; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and not __fish_seen_subcommand_from login logout whoami contexts second-factor change-password signing-key tokens init keys trust users hospitals groups gateways bundles broker devices firmware approve reject deploy deployments watch validate pause resume abort rollback consent duties duty incidents notices webhooks settings recalls rollback-orders withdrawals reports retention audit completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from contexts" -f -a "list" -d 'Lists your contexts: where each signs in, as whom, and which one is in use'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from contexts" -f -a "use" -d 'Uses a context from now on; `mdfmctl login --context NAME` makes one'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from contexts" -f -a "remove" -d 'Removes a context that is signed out'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from second-factor" -f -a "enrol" -d 'Sets up a second factor'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from second-factor" -f -a "confirm" -d 'Shows that the new second factor works; prints the recovery codes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from second-factor" -f -a "show" -d 'Shows the second factor again, for acts that need it shown within the last minutes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from signing-key" -f -a "add" -d 'Makes a signing key that the coordinator keeps sealed under your password; the registrar puts it on the roster'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from tokens" -f -a "add" -d 'Makes a token for a machine. The second factor must have been shown within the last minutes (second-factor show)'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from tokens" -f -a "list" -d 'Lists your tokens'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from tokens" -f -a "revoke" -d 'Revokes a token, at once'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "make" -d 'Makes Ed25519 keys: FILE with the secret, FILE.pub with the public key'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "show" -d 'Shows a public key and its id, to compare with the ids that `trust inspect` shows'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "make-root" -d 'Makes a trust root; the owners of the root keys sign it, here or with `sign`. The next version needs the old and the new keys: `rotate-root` makes it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "make-roster" -d 'Makes the roster of the people who may approve: the first one, or the next from the one before'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "rotate-root" -d 'Makes the next version of a trust root: what is not named stays. It needs the signatures of the old and of the new root keys; sign here with those that are at hand, and let the others add theirs with `sign`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "sign" -d 'Shows a document in a file, what is weaker in it, asks, and then adds your signature'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "join" -d 'Adds to a document in a file the signatures of its copies, which other owners signed elsewhere; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "inspect" -d 'Shows every field of a document in a file, what is weaker in it, and who has signed it; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "verify" -d 'Checks trust roots from the first to the last, and a roster under the last; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "publish" -d 'Publishes a signed trust root or roster at the coordinator'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from trust" -f -a "show" -d 'Shows what the coordinator holds'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "add" -d 'Creates a user'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "list" -d 'Lists users'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "permissions" -d 'Lists roles and what each may do'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "change-roles" -d 'Gives somebody other roles: adds and removes those that are named, or sets all of them'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "verify" -d 'Records that you verified somebody\'s identity; without it they sign nothing'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "train" -d 'Confirms that somebody is trained for the task'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "link" -d 'Links an account with the OpenID provider\'s, for single sign-on'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "unlink" -d 'Takes an account\'s link with the OpenID provider away'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "show" -d 'Shows one user'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "disable" -d 'Disables an account: its sessions and tokens end at once'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "enable" -d 'Enables an account that was disabled'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "sign-out" -d 'Ends every session and every token of somebody'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "remove-second-factor" -d 'Takes away a second factor that was lost, and with it the signing key, sessions and tokens'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from users" -f -a "reset-password" -d 'Gives somebody another password; their sessions and tokens end, and their signing key is retired'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from hospitals" -f -a "add" -d 'Registers a hospital'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from hospitals" -f -a "change" -d 'Corrects what is known of a hospital, or moves it to another cohort'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from hospitals" -f -a "cohorts" -d 'Lists cohorts with their hospitals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from hospitals" -f -a "policy" -d 'When a hospital\'s devices may be changed, and whether its staff want to be asked'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from hospitals" -f -a "show" -d 'Shows one hospital'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from hospitals" -f -a "list" -d 'Lists hospitals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from groups" -f -a "set" -d 'Makes a group, or replaces all of what it was, which is asked about; `change` changes only what is named'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from groups" -f -a "change" -d 'Changes what is named of a group, and nothing else'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from groups" -f -a "list" -d 'Lists groups'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from groups" -f -a "show" -d 'Shows one group'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from groups" -f -a "devices" -d 'Lists the devices that are in a group now'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from groups" -f -a "remove" -d 'Removes a group'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from gateways" -f -a "add" -d 'Registers a gateway'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from gateways" -f -a "add-token" -d 'Makes a one-time enrolment token. For a gateway that is enrolled, which whoever uses the token replaces, the second factor must have been shown within the last minutes, and administrators and operators are notified'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from gateways" -f -a "revoke" -d 'Revokes a gateway permanently'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from gateways" -f -a "list" -d 'Lists gateways'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from gateways" -f -a "show" -d 'Shows one gateway'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from gateways" -f -a "fleet-link" -d 'Shows how the link to the fleet does: connections, who is there, who follows what, what came in'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from bundles" -f -a "export" -d 'Writes a file for a gateway: trust documents, directive, releases, images. `mdfm-agent import` takes it up'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from bundles" -f -a "deliver" -d 'Brings a gateway\'s telemetry (`mdfm-agent export`) to the audit log'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from broker" -f -a "rules" -d 'Prints access rules for Mosquitto (an `acl_file`); works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from devices" -f -a "add" -d 'Registers a device'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from devices" -f -a "list" -d 'Lists devices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from devices" -f -a "show" -d 'Shows one device'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from devices" -f -a "import" -d 'Registers the devices of a CSV file, whose first line names the fields: deviceId,modelNumber,serialNumber,hospitalId, currentFirmwareVersion, and optionally udi,gatewayId'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from devices" -f -a "change" -d 'Corrects what is known of a device, or moves it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from devices" -f -a "reconcile" -d 'Ends the differences between what is registered of a device and what gateways observe, by saying which side is right'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from devices" -f -a "history" -d 'Shows what happened to a device, newest first'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from devices" -f -a "retire" -d 'Takes a device out of service permanently; from then on the retention of its records runs'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from firmware" -f -a "upload" -d 'Uploads an image and its manifest, signed here with the release key'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from firmware" -f -a "make-delta" -d 'Makes a patch from an image that gateways hold to a new one; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from firmware" -f -a "list" -d 'Lists releases'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from firmware" -f -a "withdraw" -d 'Takes a release back: no new deployment may use it. With a key, also for the fleet: gateways activate it no more'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from firmware" -f -a "history" -d 'Shows what happened to a release, newest first: who submitted, approved, rejected and deployed it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from firmware" -f -a "attach-sbom" -d 'Attaches the bill of materials that the manifest names, where the upload did not'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from firmware" -f -a "sbom" -d 'Shows the parts of a release\'s bill of materials, or writes it to a file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from firmware" -f -a "show" -d 'Shows one release: everything that its manifest says, its approvals, and what it changes'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from firmware" -f -a "differences" -d 'Shows what a release changes against another one, or against the one that most devices run now'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from deployments" -f -a "list" -d 'Lists deployments'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from deployments" -f -a "show" -d 'Shows one deployment with its devices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from deployments" -f -a "history" -d 'Shows what happened to a deployment, newest first'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from duties" -f -a "fulfil" -d 'Records that something owed to an authority has been done; `deployments show` lists what is owed'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from incidents" -f -a "open" -d 'Reports what went wrong with a device'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from incidents" -f -a "list" -d 'Lists incidents'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from incidents" -f -a "show" -d 'Shows one incident'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from incidents" -f -a "note" -d 'Adds a note'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from incidents" -f -a "decide" -d 'Decides whether it must be reported to the FDA'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from incidents" -f -a "report" -d 'Notes that the report was made'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from incidents" -f -a "close" -d 'Closes it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from notices" -f -a "list" -d 'Lists your notices'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from notices" -f -a "read" -d 'Marks notices of yours as read'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from notices" -f -a "set-address" -d 'Sets where you get mail'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from notices" -f -a "dead-letters" -d 'Lists what could not be delivered to anybody'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from notices" -f -a "retry" -d 'Tries once more to deliver one of them'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from webhooks" -f -a "set" -d 'Makes a webhook, or changes what is named of one, and prints the new secret by which its receiver checks signatures'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from webhooks" -f -a "list" -d 'Lists webhooks'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from webhooks" -f -a "show" -d 'Shows one webhook'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from webhooks" -f -a "remove" -d 'Removes a webhook'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from settings" -f -a "show" -d 'Prints the settings as JSON'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from settings" -f -a "set" -d 'Replaces the settings by those of a file, unless somebody else changed them since it was made with `show`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from recalls" -f -a "open" -d 'Opens a recall: the firmware is withdrawn, its deployments end or go back'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from recalls" -f -a "list" -d 'Lists recalls'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from recalls" -f -a "show" -d 'Shows a recall and every device that it still waits for'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from recalls" -f -a "close" -d 'Closes a recall that waits for no device any more'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from rollback-orders" -f -a "preview" -d 'Shows which devices an order would reach and what each of them needs; nothing is made'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from rollback-orders" -f -a "make" -d 'Writes an order to a file, for its signers'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from rollback-orders" -f -a "sign" -d 'Shows the order in a file, asks, and then adds your signature; works offline with a key file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from rollback-orders" -f -a "publish" -d 'Publishes the order in a file, which everybody named in it has signed'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from rollback-orders" -f -a "list" -d 'Lists orders'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from rollback-orders" -f -a "show" -d 'Shows an order and the devices that it concerns'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from withdrawals" -f -a "show" -d 'Shows which releases are withdrawn for the fleet, and until when that is valid'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from withdrawals" -f -a "renew" -d 'Signs what is held again, with a new expiry'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from withdrawals" -f -a "make" -d 'Writes the next document to a file, for keys that are elsewhere'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from withdrawals" -f -a "sign" -d 'Shows the document in a file, asks, and then adds your signature; works offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from withdrawals" -f -a "publish" -d 'Publishes the signed document in a file'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from reports" -f -a "make" -d 'Makes a report and saves it'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from reports" -f -a "verify" -d 'Verifies a JSON report offline: that the coordinator states these facts, from which records of the log'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from retention" -f -a "show" -d 'Shows terms, holds and disposals'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from retention" -f -a "set" -d 'Lengthens the terms that are named; they never get shorter'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from retention" -f -a "hold" -d 'Places a legal hold: what it names is kept whatever its term'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from retention" -f -a "release" -d 'Releases a legal hold'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from retention" -f -a "propose" -d 'Finds what has expired and proposes its disposal'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from retention" -f -a "confirm" -d 'Confirms a disposal that somebody else proposed; the payloads go, their hashes stay'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "search" -d 'Searches the log, newest first; everything given must hold, and values may end in `*`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "show" -d 'Shows one record with everything in it; a batch of telemetry with its events'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "state" -d 'Shows an object as it was at a time, for example `audit state device/D-1 --at 2027-03-01T12:00:00Z`'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "differences" -d 'Shows what changed about an object between two times'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "status" -d 'Shows how the store is: size, newest checkpoint, what the last scrub found'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "export" -d 'Copies the log and its newest checkpoint into a directory'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "proof" -d 'Saves the proof that one entry stands in the log (C2SP tlog-proof), and the entry'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "evidence" -d 'Saves records with proofs, checkpoint and keys as one file that anybody can verify offline'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "page" -d 'Saves the page that verifies evidence files in a browser'
complete -c mdfmctl -n "__fish_mdfmctl_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Verifies offline: an exported log, the `log` directory of a backup, static tiles, an evidence file, or a proof file'
