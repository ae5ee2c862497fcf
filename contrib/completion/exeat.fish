# Completion for fish. The words come from exeat itself (`--help=words`), so that they cannot grow stale.

function __exeat_words
    set -l typed (commandline -opc)
    if test (count $typed) -lt 2
        $typed[1] --help=words 2>/dev/null
    else
        # WORD, or --OPTION, VALUE and HELP: fish wants WORD and HELP
        $typed[1] $typed[2] --help=words 2>/dev/null | awk -F '\t' '{ print $1 "\t" $3 }'
    end
end
complete -c exeat -a '(__exeat_words)'
