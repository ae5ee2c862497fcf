# Completion for bash. The words come from exeat itself (`--help=words`), so that they cannot grow stale.

_exeat() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local command=${COMP_WORDS[1]} value
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$("$1" --help=words 2>/dev/null | cut -f1)" -- "$current")
        return
    fi
    if [[ $command == run ]]; then # what stands behind -- is another program's
        local i
        for ((i = 2; i < COMP_CWORD; i++)); do
            if [[ ${COMP_WORDS[i]} == -- ]]; then
                _command_offset $((i + 1)) 2>/dev/null || mapfile -t COMPREPLY < <(compgen -c -f -- "$current")
                return
            fi
        done
    fi
    value=$("$1" "$command" --help=words 2>/dev/null | awk -F '\t' -v option="$previous" '$1 == option { print $2 }')
    if [[ -n $value ]]; then # a file, or nothing that can be known
        case $value in
            FILE | DIR | LOG) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        esac
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$("$1" "$command" --help=words 2>/dev/null | cut -f1)" -- "$current")
    ((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f -- "$current")
}
complete -o filenames -F _exeat exeat
